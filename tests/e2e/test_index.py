# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Packet indices that no packet carries (RFC 3711 3.3.1): the relay and every receiver must estimate the same."""

import pytest

import mcx
import process
from lab import apply, install

ALICE = "sip:alice@mcptt.example.org"
SSRC = 0x5a5a0001
SUITES = pytest.mark.parametrize("suite", list(mcx.KEY_LEN))
FAMILIES = pytest.mark.parametrize("family", [4, 6])


def send_at_once(relay, client, packets):
    """They wait in the port's queue until the only worker takes them, in one burst."""
    [worker] = process.workers(relay.process.pid)
    with process.frozen(worker):
        for packet in packets:
            client.send(packet)


def expect_plain(client, packets):
    assert client.recv_many(len(packets)) == packets


def protect_many(sender, count):
    """Packets, and each in plain."""
    pairs = [(sender.protect(b"frame %d" % n), sender.last_plain) for n in range(count)]
    return [p for p, _ in pairs], [plain for _, plain in pairs]


# A burst is heard as the same packets are one by one

@FAMILIES
@SUITES
def test_first_burst_wraps(relay, clients, name, new_key, suite, family):
    pck = new_key("pck", suite=suite, mki_length=4, roc_rate=0)
    install(relay, pck)
    radio, listener = clients("ran", family), clients("core", family)
    apply(relay, name, [radio.leg("radio", "srtp", pck, protection={"role": "initiator"}), listener.leg("l", "plain")],
          kind="private")
    packets, plain = protect_many(mcx.SrtpSender(pck.private("initiator"), SSRC, seq=65533), 20)
    send_at_once(relay, radio, packets)
    expect_plain(listener, plain)


@pytest.mark.parametrize("roc_rate", [10, 7])
def test_first_burst_carries_roc_now_and_then(relay, clients, name, new_key, roc_rate):
    gmk = new_key(roc_rate=roc_rate)
    install(relay, gmk)
    radio, listener = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", gmk), listener.leg("l", "plain")])
    packets, plain = protect_many(mcx.SrtpSender(gmk.group(ALICE), SSRC, seq=430 * roc_rate, roc=5), 20)
    send_at_once(relay, radio, packets)
    expect_plain(listener, plain)


# The relay is the sender: receivers who know only SEQs take each packet for what it is

@FAMILIES
@SUITES
def test_plain_packet_from_before_the_first(relay, clients, name, new_key, suite, family):
    pck = new_key("pck", suite=suite, mki_length=4, roc_rate=0)
    install(relay, pck)
    gateway, radio, other = clients("core", family), clients("ran", family), clients("core", family)
    apply(relay, name, [gateway.leg("g", "plain"), radio.leg("radio", "srtp", pck, protection={"role": "initiator"}),
                        other.leg("other", "plain")])
    before = relay.drops()
    seqs = [1, 65535, 2, 65534, *range(3, 40)]
    for seq in seqs:
        gateway.send(mcx.rtp(SSRC, seq, b"frame %d" % seq, timestamp=160 * ((seq + 100) & 0xffff)))
    receiver = mcx.SrtpReceiver(pck.private("receiver"))
    heard = [receiver.unprotect(packet).payload for packet in radio.recv_many(39)]
    assert heard == [b"frame %d" % seq for seq in range(1, 40)]
    assert [mcx.parse_rtp(packet).seq for packet in other.recv_many(len(seqs))] == seqs
    relay.wait_drops(before, misordered=2)
