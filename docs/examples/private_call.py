#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""A private call: two MC clients under one PCK, and the second is muted and heard again.

    private_call.py --key pck.json --initiator ran 192.0.2.1:6000 192.0.2.2:5000 \\
        --receiver ran 192.0.2.1:6002 192.0.2.3:5000

pck.json is the Key of the API. It goes with the session: no other session can name it, and it is gone when that ends.
Reads commands from standard input: mute, unmute; the call ends with the input.
"""

import argparse
import json
import pathlib
import sys

from control import Control, Refused

ROLES = ("initiator", "receiver")
SESSION = "private-call"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--socket", default="/run/mcxrelay/control.sock")
    parser.add_argument("--key", required=True, type=pathlib.Path, help="file with the private call key")
    for role in ROLES:
        parser.add_argument(f"--{role}", required=True, nargs=3, metavar=("PORT", "LOCAL", "REMOTE"))
    return parser.parse_args()


def leg(role, end, key):
    """Each client sends under a key of its own, which the relay derives by role. A client behind NAT is learned."""
    port, local, remote = end
    return {"id": role, "port": port, "local": local, "remote": remote, "learn": "authenticated",
            "protection": {"mode": "srtp", "key": key["id"], "role": role}}


def main():
    options = arguments()
    key = json.loads(options.key.read_text())
    legs = {role: leg(role, getattr(options, role), key) for role in ROLES}
    with Control.unix(options.socket) as relay:
        relay.call("session.apply", session={"id": SESSION, "service": "mcptt", "type": "private", "keys": [key],
                                             "legs": list(legs.values())})
        try:
            print("the call is up", flush=True)
            for command in map(str.strip, sys.stdin):
                changed = legs["receiver"] | {"receive": command != "mute"}
                relay.call("leg.apply", session=SESSION, legs=[changed])
                print(f"done: {command}", flush=True)
        finally:
            relay.call("session.remove", ids=[SESSION])


if __name__ == "__main__":
    try:
        main()
    except (Refused, OSError) as error:
        sys.exit(f"private_call: {error}")
