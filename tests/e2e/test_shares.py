# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Who takes all that he can get of what legs share, and what others keep (docs/security.md)."""

import os

import pytest

import mcx
from lab import Relay, apply, install, wait_for

ALICE, BOB, MALLORY = (f"sip:{name}@mcptt.example.org" for name in ("alice", "bob", "mallory"))
STREAMS = 2000  # limits.streams
SSRC = 0x20000000
CHUNK = 100  # packets at once


@pytest.fixture(scope="module")
def served(lab):
    with Relay(lab, limits={"keys": 1000, "sessions": 100, "legs": 100, "streams": STREAMS}) as made:
        yield made


@pytest.fixture
def relay(served):
    yield served
    served.clear()


def received(relay):
    return sum(worker["rx_packets"] for worker in relay.call("relay.stats")["workers"])


def send_all(relay, client, packets):
    """No more at once than rings hold: each hundred was taken before the next goes."""
    for start in range(0, len(packets), CHUNK):
        chunk = packets[start:start + CHUNK]
        before = received(relay)
        for packet in chunk:
            client.send(packet)
        wait_for(lambda: received(relay) - before, lambda n, want=len(chunk): n >= want, "the packets at the relay")


class Call:
    """Mallory, who has a key, and others who do; a listener in plain."""

    def __init__(self, relay, clients, name, new_key, family, control):
        self.relay, self.control = relay, control
        self.mallory, self.alice = clients("ran", family), clients("ran", family)
        self.listener = clients("core", family)
        if control:
            self.keys = [new_key("csk"), new_key("csk")]
            install(relay, *self.keys)
            more = {"traffic": "control"}
            self.contexts = [key.control() for key in self.keys]
        else:
            gmk = new_key()
            install(relay, gmk)
            self.keys, more = [gmk, gmk], {}
            self.contexts = [gmk.group(MALLORY), gmk.group(ALICE)]
        apply(relay, name, [self.mallory.leg("mallory", "srtp", self.keys[0], to=["listener"], **more),
                            self.alice.leg("alice", "srtp", self.keys[1], to=["listener"], **more),
                            self.listener.leg("listener", "plain", to=[], **more)])

    def packet(self, who, ssrc, index=1):
        """And what it is in plain."""
        if self.control:
            plain = mcx.floor_request(ssrc, MALLORY)
            return mcx.SrtcpSender(self.contexts[who], index).protect(plain), plain
        sender = mcx.SrtpSender(self.contexts[who], ssrc, seq=index)
        return sender.protect(b"speech"), sender.last_plain

    def heard(self, who, ssrc, index=1):
        packet, plain = self.packet(who, ssrc, index)
        (self.alice if who else self.mallory).send(packet)
        return self.listener.recv() == plain


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("control", [False, True], ids=["srtp", "srtcp"])
def test_new_ssrc_in_each_packet(relay, clients, name, new_key, family, control):
    """He gets his share of limits.streams. Others' streams are born before and after; the oldest of his go first, and
    none of their packets is taken a second time."""
    call = Call(relay, clients, name, new_key, family, control)
    before = relay.drops()
    assert call.heard(1, SSRC - 1)
    assert call.heard(0, SSRC - 2)
    send_all(relay, call.mallory, [call.packet(0, SSRC + n)[0] for n in range(STREAMS)])
    got = len(call.listener.drain())
    wait_for(lambda: relay.drops_since(before)["stream_share"], lambda n: n > STREAMS // 2, "packets beyond his share")
    assert got < STREAMS // 2 and not relay.drops_since(before)["stream_limit"]
    call.listener.drain()
    for n in range(64):
        assert call.heard(1, SSRC - 100 - n)

    def born(numbers=iter(range(1 << 20))):
        """One more of his, if his oldest have gone by now."""
        packet, plain = call.packet(0, SSRC + 0x100000 + next(numbers))
        call.mallory.send(packet)
        call.alice.send(call.packet(1, SSRC - 1, 10 + next(numbers))[0])
        return call.listener.recv() == plain and call.listener.recv() is not None

    wait_for(born, bool, "another stream of his")
    before = relay.drops()
    send_all(relay, call.mallory, [call.packet(0, SSRC + n)[0] for n in range(50)])
    wait_for(lambda: relay.drops_since(before)["replayed"], lambda n: n == 50, "all his first ones refused")
    [leg] = [leg for leg in relay.call("session.get", {"id": name})["legs"] if leg["id"] == "mallory"]
    assert len(leg["statistics"]["receive"]["ssrcs"]) <= 1024


def strange(packet):
    """The same with a GUK-ID of nobody, which stands before the ROC."""
    return packet[:-8] + bytes([os.urandom(1)[0] & 0x0f]) + os.urandom(3) + packet[-4:]


@pytest.mark.parametrize("family", [4, 6])
def test_stranger_with_guk_ids_of_nobody(relay, clients, name, new_key, family):
    """The GMK lists its users: what none of them has is refused at once, and their first words are heard all the while."""
    gmk = new_key()
    talkers = [f"sip:unit{n}@mcptt.example.org" for n in range(40)]
    install(relay, gmk.rpc(users=talkers + [ALICE]))
    radio, stranger, listener = clients("ran", family), clients("ran", family), clients("core", family)
    apply(relay, name, [radio.leg("radio", "srtp", gmk), listener.leg("listener", "plain")])
    stranger.relay_port = radio.relay_port
    known = mcx.SrtpSender(gmk.group(ALICE), SSRC).protect(b"seen on the wire")
    before = relay.drops()
    for n, talker in enumerate(talkers):
        send_all(relay, stranger, [strange(known) for _ in range(20)])
        sender = mcx.SrtpSender(gmk.group(talker), SSRC + 1 + n)
        radio.send(sender.protect(b"first word"))
        assert listener.recv() == sender.last_plain
    relay.wait_drops(before, unknown_user=20 * len(talkers))
    assert not relay.drops_since(before)["derive_limit"]


@pytest.mark.parametrize("family", [4, 6])
def test_stranger_and_an_open_gmk(relay, clients, name, new_key, family):
    """Whoever has the key may speak: a stranger's derivations are bounded, and cost no client his first words."""
    gmk = new_key()
    install(relay, gmk)
    radio, stranger, listener = clients("ran", family), clients("ran", family), clients("core", family)
    apply(relay, name, [radio.leg("radio", "srtp", gmk), listener.leg("listener", "plain")])
    stranger.relay_port = radio.relay_port
    known = mcx.SrtpSender(gmk.group(ALICE), SSRC).protect(b"seen on the wire")
    before = relay.drops()
    for n in range(40):
        send_all(relay, stranger, [strange(known) for _ in range(20)])
        sender = mcx.SrtpSender(gmk.group(f"sip:unit{n}@mcptt.example.org"), SSRC + 1 + n)
        radio.send(sender.protect(b"first word"))
        assert listener.recv() == sender.last_plain
    assert relay.drops_since(before)["derive_limit"] > 0


def test_forged_rocs_of_a_stranger(relay, clients, name, new_key):
    """Forged packets with another ROC use up the second tries of strangers; the client that jumps has his own."""
    pck = new_key("pck", roc_rate=1)
    install(relay, pck)
    radio, stranger, listener = clients("ran"), clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", pck, protection={"role": "initiator"}),
                        listener.leg("listener", "plain")], kind="private")
    stranger.relay_port = radio.relay_port
    context = pck.private("initiator")
    sender = mcx.SrtpSender(context, SSRC, seq=1)
    radio.send(sender.protect(b"in step"))
    assert listener.recv() == sender.last_plain
    for jump in range(5):
        forged = [mcx.flipped(mcx.SrtpSender(context, SSRC, seq=5, roc=50 + n).protect(b"forged"), 14)
                  for n in range(200)]
        send_all(relay, stranger, forged)
        sender.roc += 3
        radio.send(sender.protect(b"jumped"))
        assert listener.recv() == sender.last_plain, jump
