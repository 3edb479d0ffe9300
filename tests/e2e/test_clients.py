# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""docs/examples: each program as an integrator would run it, with media, and its client class."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading

import pytest

import mcx
from lab import PATIENCE, ROOT, install, wait_for

EXAMPLES = ROOT / "docs" / "examples"
sys.path.insert(0, str(EXAMPLES))
import control  # noqa: E402

ALICE, LMR = "sip:alice@mcptt.example.org", "sip:lmr@gw.example.org"


class Program:
    """An example that runs, and what it said so far."""

    def __init__(self, name, relay, *options):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", "-B", str(EXAMPLES / name), "--socket", relay.socket_path, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.reader.join()
        self.process.stdout.close()

    def says(self, text):
        wait_for(lambda: list(self.lines), lambda lines: any(text in line for line in lines), text)

    def end(self, number=None):
        """Its exit status."""
        if number is not None:
            self.process.send_signal(number)
        else:
            self.process.stdin.close()
        return self.process.wait(PATIENCE)


def end_options(option, client):
    return [f"--{option}", client.side.name, client.local, client.address]


@pytest.fixture
def key_file(tmp_path):
    def write(key, **more):
        path = tmp_path / f"{key.id_text}.json"
        path.write_text(json.dumps(key.rpc(**more)))
        return str(path)
    return write


def nothing_left(relay, *keys):
    sessions = {one["id"] for one in relay.call("session.list")["sessions"]}
    assert sessions <= set(relay.ANCHORS)
    assert {one["id"] for one in relay.call("key.list")["keys"]} == set(keys)


def test_group_call(relay, clients, new_key, key_file):
    gmk, radio, system = new_key(), clients("ran"), clients("core")
    options = ["--key", key_file(gmk), *end_options("radio", radio), *end_options("system", system)]
    with Program("group_call.py", relay, *options) as program:
        program.says("radio: 0 received")
        alice = mcx.SrtpSender(gmk.group(ALICE), 0x1111)
        radio.send(alice.protect(b"to the system"))
        assert mcx.parse_rtp(system.recv()).payload == b"to the system"
        system.send(mcx.PlainSender(0x2222).protect(b"to the radio"))
        assert mcx.SrtpReceiver(gmk.group(LMR)).unprotect(radio.recv()).payload == b"to the radio"
        program.says("radio: 1 received, 0 lost, 1 sent, drops {}")
        program.says("system: 1 received, 0 lost, 1 sent, drops {}")
        assert program.end(signal.SIGTERM) == 0
    nothing_left(relay)


def test_group_call_that_is_refused(relay, clients, new_key, key_file):
    """The address of a leg is in use: the program says so, and the key is gone."""
    gmk, radio, system = new_key(), clients("ran"), clients("core")
    relay.call("session.apply", {"session": {"id": "other", "service": "mcptt", "type": "group",
                                             "legs": [system.leg("a")]}})
    options = ["--key", key_file(gmk), *end_options("radio", radio), *end_options("system", system)]
    with Program("group_call.py", relay, *options) as program:
        program.says("group_call: params.session.legs[1].local is used by another session; accepted: an address and UDP port of "
                     "no leg (2)")
        assert program.end() == 1
    assert relay.call("session.remove", {"ids": ["other"]}) == {"removed": 1}
    nothing_left(relay)


def test_private_call(relay, clients, new_key, key_file):
    pck, initiator, receiver = new_key("pck"), clients("ran"), clients("core")
    options = ["--key", key_file(pck), *end_options("initiator", initiator), *end_options("receiver", receiver)]
    with Program("private_call.py", relay, *options) as program:
        program.says("the call is up")
        senders = [mcx.SrtpSender(pck.private(role), n) for n, role in enumerate(("initiator", "receiver"), 1)]
        initiator.send(senders[0].protect(b"hello"))
        assert mcx.SrtpReceiver(pck.private("initiator")).unprotect(receiver.recv()).payload == b"hello"
        before = relay.drops()
        program.process.stdin.write("mute\n")
        program.process.stdin.flush()
        program.says("done: mute")
        receiver.send(senders[1].protect(b"unheard"))
        relay.wait_drops(before, leg_muted=1)
        program.process.stdin.write("unmute\n")
        program.process.stdin.flush()
        program.says("done: unmute")
        receiver.send(senders[1].protect(b"heard"))
        assert mcx.SrtpReceiver(pck.private("receiver")).unprotect(initiator.recv()).payload == b"heard"
        assert program.end() == 0
    nothing_left(relay)


def test_roll_over(relay, clients, name, new_key, key_file):
    """Protected under the old key before, under the new one after, and a call that nobody told."""
    groups = {"groups": ["sip:g@mcptt.example.org"]}
    old, new, radio, system = new_key(), new_key(), clients("ran"), clients("core")
    install(relay, old.rpc(**groups))
    legs = [radio.leg("radio", "srtp", old), system.leg("system", "plain", protection={"user": LMR})]
    relay.call("session.apply", {"session": {"id": name, "service": "mcptt", "type": "group", "legs": legs}})
    talker = mcx.PlainSender(0x3333)
    system.send(talker.protect(b"before"))
    assert mcx.SrtpReceiver(old.group(LMR)).unprotect(radio.recv()).payload == b"before"
    options = ["--old", old.id_text, "--new", key_file(new, **groups), "--after", "0", "--overlap", "0"]
    with Program("roll_over.py", relay, *options) as program:
        program.says(f"{old.id_text} is gone")
        assert program.end() == 0
    system.send(talker.protect(b"after"))
    assert mcx.SrtpReceiver(new.group(LMR)).unprotect(radio.recv()).payload == b"after"
    relay.call("session.remove", {"ids": [name]})
    nothing_left(relay, new.id_text)


# The client class

@pytest.fixture
def client(relay):
    with control.Control.unix(relay.socket_path) as made:
        yield made


def test_call_and_refusal(client):
    assert client.call("relay.info")["api"] == 1
    with pytest.raises(control.Refused) as caught:
        client.call("session.get", id="no such")
    assert (caught.value.code, caught.value.path) == (control.NOT_FOUND, "params.id")
    assert str(caught.value) == "params.id is no session; accepted: an id that session.list shows (1)"
    assert client.call("relay.info")["api"] == 1


def test_batch(client):
    info, refused, sessions = client.batch([("relay.info", {}), ("no.such", {}), ("session.list", {})])
    assert info["api"] == 1 and refused.code == control.METHOD_NOT_FOUND and "sessions" in sessions


def test_line_too_long(client):
    with pytest.raises(control.Refused) as caught:
        client.call("session.get", id="x" * (1 << 20))
    assert caught.value.code == -32600


@pytest.mark.parametrize("types", [(), ("key.expired",), ("key.expired", "overload")])
def test_who_names_no_type_hears_of_all(types):
    """An empty array would ask for none."""
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    with contextlib.closing(theirs), control.Control(ours) as made:
        theirs.sendall(b'[{"jsonrpc": "2.0", "id": 1, "result": {}}]\n')
        made.subscribe(*types)
        [request] = json.loads(theirs.makefile("rb").readline())
        assert request["method"] == "events.subscribe" and request["params"] == ({"types": list(types)} if types else {})


def test_events_between_answers():
    """Against a peer of the test's own, which tells events at once: none is lost, none is taken for an answer."""
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    event = {"jsonrpc": "2.0", "method": "event", "params": {"type": "key.expired", "time": 1}}
    with contextlib.closing(theirs), control.Control(ours) as made:
        answer = [{"jsonrpc": "2.0", "id": 1, "result": {}}]
        for line in (event, answer, event):
            theirs.sendall(json.dumps(line).encode() + b"\n")
        made.subscribe("key.expired")
        events = made.events()
        assert [next(events), next(events)] == [event["params"]] * 2
        theirs.close()
        with pytest.raises(ConnectionError):
            next(events)
