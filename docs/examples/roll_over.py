#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Gives a group its next key, while calls go on.

    roll_over.py --old 0a1b2c3d --new next-gmk.json --after 3600 --overlap 600

next-gmk.json is the Key of the API; it and the old one share a URI in `groups`, which makes them one ring: legs that
name the old key take packets under both, and what the relay protects itself leaves under the new one from its
activation on. When the overlap is over the old key is revoked; legs need not be told.
"""

import argparse
import json
import pathlib
import sys
import time

from control import Control, Refused


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--socket", default="/run/mcxrelay/control.sock")
    parser.add_argument("--old", required=True, help="id of the key that goes")
    parser.add_argument("--new", required=True, type=pathlib.Path, help="file with the key that comes")
    parser.add_argument("--after", type=int, default=3600, help="seconds until the new key is used")
    parser.add_argument("--overlap", type=int, default=600, help="seconds in which both are good")
    return parser.parse_args()


def wait_until(moment):
    while (left := moment - time.time()) > 0:
        time.sleep(left)


def main():
    options = arguments()
    activation = int(time.time()) + options.after
    key = json.loads(options.new.read_text()) | {"activation": activation}
    with Control.unix(options.socket) as relay:
        for rejected in relay.call("key.install", keys=[key])["rejected"]:
            raise Refused(rejected)
        print(f"{key['id']} is there", flush=True)
        wait_until(activation + options.overlap)
        revoked = relay.call("key.revoke", keys=[{"id": options.old, "domain": key.get("domain", "home")}])["revoked"]
        print(f"{options.old} is gone" if revoked else f"{options.old} was not there", flush=True)


if __name__ == "__main__":
    try:
        main()
    except (Refused, OSError) as error:
        sys.exit(f"roll_over: {error}")
