# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Packets that wait for key contexts: the relay has one of a GMK's user, or of each of two GMKs, when it first hears of
that user (docs/security.md, invariant 6)."""

import pytest

import mcx
import process
from lab import apply, install

ALICE = "sip:alice@mcptt.example.org"
SSRC = 0x71000001
ROOM = 512  # packets that wait on account of one leg


class KeyFrame:
    """A camera under a GMK, whose user is new: packets of 1,200 octets at once, to a listener under another and one in
    plain, while the control thread stands still."""

    def __init__(self, relay, clients, name, new_key, family=4):
        self.here, self.there = new_key(), new_key()
        install(relay, *(key.rpc(users=[ALICE]) for key in (self.here, self.there)))
        self.camera, self.plain, self.other = clients("ran", family), clients("core", family), clients("core", family)
        apply(relay, name, [self.camera.leg("camera", "srtp", self.here), self.plain.leg("plain", "plain"),
                            self.other.leg("other", "srtp", self.there)], service="mcvideo")
        self.sender = mcx.SrtpSender(self.here.group(ALICE, "mcvideo"), SSRC, seq=65000, roc=3)
        self.receiver = mcx.SrtpReceiver(self.there.group(ALICE, "mcvideo"))

    def send(self, numbers):
        for n in numbers:
            self.camera.send(self.sender.protect(b"%05d" % n + bytes(1195)))

    def expect(self, numbers):
        wanted = list(numbers)
        assert [int(p[12:17]) for p in self.plain.recv_many(len(wanted))] == wanted
        got = [self.receiver.unprotect(p).payload for p in self.other.recv_many(len(wanted))]
        assert [int(payload[:5]) for payload in got] == wanted


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("count", [130, 400])
def test_key_frame_of_a_new_user(relay, clients, name, new_key, count, family):
    frame = KeyFrame(relay, clients, name, new_key, family)
    before = relay.drops()
    with relay.connect() as watcher:
        watcher.call("events.subscribe", {"types": ["key.unknown"]})
        with process.frozen(relay.process.pid):
            frame.send(range(count))
        frame.send(range(count, count + 20))
        frame.expect(range(count + 20))
        assert relay.refused_since(before) == {}
        watcher.send_line(b'{"jsonrpc": "2.0", "id": "after", "method": "relay.info"}')
        assert watcher.read_line().get("id") == "after"  # and no event before


def test_more_than_is_held(relay, clients, name, new_key):
    """The first ones are heard, in order; those behind them are lost and say why, and overtake nobody."""
    frame = KeyFrame(relay, clients, name, new_key)
    before = relay.drops()
    with process.frozen(relay.process.pid):
        frame.send(range(ROOM + 50))
    frame.expect(range(ROOM))
    frame.send(range(1000, 1010))
    frame.expect(range(1000, 1010))
    relay.wait_drops(before, hold_full=50)
