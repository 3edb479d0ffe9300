# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Two workers and streams that reach both of them."""

import pytest

import lab as lab_module
import mcx
from lab import Relay, apply, install, wait_for

ALICE = "sip:alice@mcptt.example.org"
SOURCES = 8  # source ports; the kernel's fan-out spreads them over the queues


@pytest.fixture(scope="module")
def pair_lab():
    with lab_module.Lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def pair(pair_lab):
    with Relay(pair_lab, workers=2) as relay:
        assert relay.call("relay.info")["workers"] == 2
        yield relay


class Spread:
    """One talker whose packets come from many source ports, and a plain listener."""

    def __init__(self, relay, lab, new_key, name):
        self.relay, gmk = relay, new_key()
        install(relay, gmk)
        self.listener = lab_module.Client(lab, "core")
        self.sources = [lab_module.Client(lab, "ran") for _ in range(SOURCES)]
        for source in self.sources:
            source.relay_port = self.sources[0].relay_port
        apply(relay, name, [self.sources[0].leg("radio", "srtp", gmk, learn="authenticated"),
                            self.listener.leg("listener", "plain")])
        self.sender = mcx.SrtpSender(gmk.group(ALICE), 0x55, seq=65000)
        # the stream has an owner before the test begins
        self.sources[0].send(self.sender.protect(b"first"))
        assert self.listener.recv() == self.sender.last_plain

    def close(self):
        for client in (self.listener, *self.sources):
            client.close()


@pytest.fixture
def spread(pair, pair_lab, new_key, name):
    made = Spread(pair, pair_lab, new_key, name)
    yield made
    made.close()
    pair.clear()


def worker_counts(relay):
    """Received packets of each worker."""
    return [next(w[k] for k in ("rx_packets", "received", "rx", "packets") if k in w)
            for w in relay.call("relay.stats")["workers"]]


def test_sources_reach_both_workers(spread):
    """Without this the other tests of this file would prove nothing."""
    before = worker_counts(spread.relay)
    for source in spread.sources:
        source.send(spread.sender.protect(b"x"))
        assert spread.listener.recv() == spread.sender.last_plain
    wait_for(lambda: worker_counts(spread.relay), lambda now: all(n > b for n, b in zip(now, before)),
             "packets at both workers")


def test_alternating_sources_in_step(spread):
    for n in range(1000):
        spread.sources[n % SOURCES].send(spread.sender.protect(b"%d" % n))
        assert spread.listener.recv() == spread.sender.last_plain


def test_alternating_sources_in_bursts(spread):
    """Order between workers is nobody's promise; each packet once and whole is."""
    for _ in range(40):
        plains = []
        for n in range(32):
            packet = spread.sender.protect(bytes([n]) * 50)
            plains.append(spread.sender.last_plain)
            spread.sources[n % SOURCES].send(packet)
        assert sorted(spread.listener.recv_many(32)) == sorted(plains)


def test_nothing_is_accepted_twice(spread):
    """The same packet at the same time from every source: one of them wins."""
    before = spread.relay.drops()
    wanted = []
    for n in range(200):
        packet = spread.sender.protect(b"%d" % n)
        wanted.append(spread.sender.last_plain)
        for source in spread.sources:
            source.send(packet)
        assert spread.listener.recv() == wanted[-1]
    spread.relay.wait_drops(before, replayed=200 * (SOURCES - 1))
    spread.sources[0].send(spread.sender.protect(b"fence"))
    assert spread.listener.recv() == spread.sender.last_plain


def test_first_packet_from_every_source(pair, pair_lab, new_key, name):
    """A talker nobody knows, heard by both workers at once: one context, one stream, one copy."""
    gmk = new_key()
    install(pair, gmk)
    listener = lab_module.Client(pair_lab, "core")
    sources = [lab_module.Client(pair_lab, "ran") for _ in range(SOURCES)]
    for source in sources:
        source.relay_port = sources[0].relay_port
    apply(pair, name, [sources[0].leg("radio", "srtp", gmk, learn="authenticated"), listener.leg("l", "plain")])
    for n in range(20):
        before = pair.drops()
        sender = mcx.SrtpSender(gmk.group(f"sip:user{n}@example.org"), 0x100 + n)
        packet = sender.protect(b"me first")
        for source in sources:
            source.send(packet)
        assert listener.recv() == sender.last_plain
        pair.wait_drops(before, replayed=SOURCES - 1)
    assert listener.drain() == []
    for client in (listener, *sources):
        client.close()
    pair.clear()


def test_outbound_indices_of_two_workers(pair, pair_lab, new_key, name):
    """Plain senders that land on different workers and share an SSRC: no (SSRC, index) twice under one key."""
    gmk = new_key()
    install(pair, gmk)
    lmrs = [lab_module.Client(pair_lab, "core") for _ in range(SOURCES)]
    radio = lab_module.Client(pair_lab, "ran")
    user = {"user": "sip:gateway@lmr.example.org"}
    apply(pair, name, [lmr.leg(f"lmr{n}", "plain", protection=user, to=["radio"]) for n, lmr in enumerate(lmrs)]
          + [radio.leg("radio", "srtp", gmk)])
    context, used = gmk.group(user["user"]), {}
    for n in range(50):
        for m, lmr in enumerate(lmrs):
            lmr.send(mcx.rtp(0x99, n, b"from %d" % m))
        for packet in radio.recv_many(SOURCES):
            plain = mcx.srtp_unprotect(context, packet)
            assert used.setdefault((plain.ssrc, plain.index), packet) is packet, "index used twice"
    for client in (radio, *lmrs):
        client.close()
    pair.clear()


def test_revoke_under_load_of_both(spread):
    """After key.revoke has answered, nothing more comes out."""
    [key] = spread.relay.call("key.list", {})["keys"]
    for n in range(200):
        spread.sources[n % SOURCES].send(spread.sender.protect(b"%d" % n))
    spread.relay.call("key.revoke", {"keys": [{"domain": "home", "id": key["id"]}]})
    spread.listener.drain()
    before = spread.relay.drops()
    for n in range(50):
        spread.sources[n % SOURCES].send(spread.sender.protect(b"late"))
    wait_for(lambda: spread.relay.drops_since(before), lambda new: new["no_key"] >= 50, "50 drops")
    assert not [p for p in spread.listener.drain() if p.endswith(b"late")]
