#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""A group call between a radio, whose media is protected with a group key, and a system that knows no protection.

    group_call.py --key gmk.json --radio ran 192.0.2.1:6000 192.0.2.2:5000 \\
        --system core 198.51.100.1:6000 198.51.100.2:5000

gmk.json is the Key of the API, {"id": "0a1b2c3d", "value": "...", "rand": "..."}. Each end has the name of the relay's
port, the relay's address there, and its own. Prints what crosses once a second, until SIGINT or SIGTERM ends the call.
"""

import argparse
import json
import pathlib
import signal
import sys
import threading

from control import METHOD_NOT_FOUND, Control, Refused

RADIO_USER, SYSTEM_USER = "sip:alice@mcptt.example.org", "sip:lmr@gw.example.org"
WATCHED = ("media.started", "media.timeout", "key.expired", "key.unknown", "auth.failing")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--socket", default="/run/mcxrelay/control.sock")
    parser.add_argument("--session", default="group-call", help="id of the session")
    parser.add_argument("--key", required=True, type=pathlib.Path, help="file with the group key")
    for end in ("radio", "system"):
        parser.add_argument(f"--{end}", required=True, nargs=3, metavar=("PORT", "LOCAL", "REMOTE"))
    return parser.parse_args()


def leg(name, end, **protection):
    port, local, remote = end
    return {"id": name, "port": port, "local": local, "remote": remote, "protection": protection}


def set_up(relay, options, key):
    """The key first: a leg can only name one that is there."""
    for rejected in relay.call("key.install", keys=[key])["rejected"]:
        raise Refused(rejected)
    try:
        relay.call("session.apply", session={
            "id": options.session, "service": "mcptt", "type": "group", "timeout": 60,
            "legs": [leg("radio", options.radio, mode="srtp", key=key["id"], user=RADIO_USER),
                     leg("system", options.system, mode="plain", user=SYSTEM_USER)]})
    except Refused:
        relay.call("key.revoke", keys=[{"id": key["id"]}])
        raise


def tear_down(relay, options, key):
    """When the answer comes the octets of the key are wiped."""
    relay.batch([("session.remove", {"ids": [options.session]}), ("key.revoke", {"keys": [{"id": key["id"]}]})])


def show_events(socket_path):
    """Prints events as they come, on a connection of their own."""
    with Control.unix(socket_path) as relay:
        try:
            relay.subscribe(*WATCHED)
            for event in relay.events():
                print(json.dumps(event), flush=True)
        except Refused as refused:
            if refused.code != METHOD_NOT_FOUND:
                raise
            print("this relay has no events; its log says what happens", flush=True)


def show_statistics(relay, options):
    for one in relay.call("session.get", id=options.session)["legs"]:
        receive, send = one["statistics"]["receive"], one["statistics"]["send"]
        print(f"{one['id']}: {receive['packets']} received, {receive['lost']} lost, {send['packets']} sent, "
              f"drops {receive['drops'] | send['drops']}", flush=True)


def main():
    options = arguments()
    key = json.loads(options.key.read_text())
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with Control.unix(options.socket) as relay:
        threading.Thread(target=show_events, args=[options.socket], daemon=True).start()
        set_up(relay, options, key)
        try:
            while not ended.wait(1):
                show_statistics(relay, options)
        finally:
            tear_down(relay, options, key)


if __name__ == "__main__":
    try:
        main()
    except (Refused, OSError) as error:
        sys.exit(f"group_call: {error}")
