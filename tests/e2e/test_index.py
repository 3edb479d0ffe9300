# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Packet indices that no packet carries (RFC 3711 3.3.1): the relay and every receiver must estimate the same."""

import contextlib
import time

import pytest

import mcx
import process
from lab import Client, Relay, RpcError, apply, install

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


# A ROC that nobody carries

def private_call(relay, clients, name, pck, family=4, **protection):
    radio, listener = clients("ran", family), clients("core", family)
    apply(relay, name, [radio.leg("radio", "srtp", pck, protection={"role": "initiator"} | protection),
                        listener.leg("l", "plain")], kind="private")
    return radio, listener


def leg_of(relay, name):
    return relay.call("session.get", {"id": name})["legs"][0]


@FAMILIES
@SUITES
@pytest.mark.parametrize("stated,roc", [(None, 0), (None, 1), (0, 1), (5, 5), (5, 6), (0xfffffffe, 0xffffffff)])
def test_new_stream_of_an_old_call(relay, clients, name, new_key, suite, family, stated, roc):
    pck = new_key("pck", suite=suite, mki_length=4, roc_rate=0)
    install(relay, pck)
    radio, listener = private_call(relay, clients, name, pck, family, **({} if stated is None else {"roc": stated}))
    sender = mcx.SrtpSender(pck.private("initiator"), SSRC, seq=3000, roc=roc)
    for _ in range(3):
        radio.send(sender.protect(b"still here"))
        assert listener.recv() == sender.last_plain
    leg = leg_of(relay, name)
    assert leg["protection"].get("roc") == stated
    assert [stream["roc"] for stream in leg["statistics"]["receive"]["streams"]] == [roc]


def test_older_call_must_be_told(relay, clients, name, new_key):
    pck = new_key("pck", mki_length=4, roc_rate=0)
    install(relay, pck)
    radio, listener = private_call(relay, clients, name, pck)
    sender = mcx.SrtpSender(pck.private("initiator"), SSRC, seq=3000, roc=2)
    before = relay.drops()
    radio.send(sender.protect(b"unheard"))
    relay.wait_drops(before, auth_fail=1)
    relay.call("leg.apply", {"session": name, "legs": [
        radio.leg("radio", "srtp", pck, protection={"role": "initiator", "roc": 2})]})
    radio.send(sender.protect(b"heard"))
    assert listener.recv() == sender.last_plain
    before = relay.drops()
    with pytest.raises(RpcError) as refused:
        private_call(relay, clients, name, pck, roc=1 << 32)
    assert refused.value.path.endswith("protection.roc")
    radio.send(sender.protect(b"still heard"))
    assert listener.recv() == sender.last_plain


@pytest.mark.parametrize("missed", [40000, 65536, 98000])
def test_call_is_found_again_of_which_much_was_missed(relay, clients, name, new_key, missed):
    """A radio without coverage goes on counting; the estimate of RFC 3711 3.3.1 bridges 32,767 packets."""
    pck = new_key("pck", mki_length=4, roc_rate=0)
    install(relay, pck)
    radio, listener = private_call(relay, clients, name, pck)

    def say(index):
        sender = mcx.SrtpSender(pck.private("initiator"), SSRC, seq=index & 0xffff, roc=index >> 16)
        for _ in range(3):
            radio.send(sender.protect(b"here"))
            assert listener.recv() == sender.last_plain

    before = relay.drops()
    say(65000)
    time.sleep(2.1)  # of silence: while a stream is heard nothing else is tried
    say(65000 + missed)
    assert not relay.drops_since(before)["auth_fail"]


def test_restarted_relay_hears_a_call_that_wrapped(lab, new_key):
    with contextlib.ExitStack() as stack:
        relay = stack.enter_context(Relay(lab, families=(4,)))
        radio, listener = (stack.enter_context(Client(lab, side)) for side in ("ran", "core"))
        pck = new_key("pck", mki_length=4, roc_rate=0)
        sender = mcx.SrtpSender(pck.private("initiator"), SSRC, seq=65530)
        stated = {}
        for life in range(3):
            install(relay, pck)
            apply(relay, "call", [radio.leg("radio", "srtp", pck, protection={"role": "initiator"} | stated),
                                  listener.leg("l", "plain")], kind="private")
            for _ in range(20):
                radio.send(sender.protect(b"life %d" % life))
                assert listener.recv() == sender.last_plain
            if life > 0:
                stated["roc"] = leg_of(relay, "call")["statistics"]["receive"]["streams"][0]["roc"]
            sender.roc += life  # it wraps while the relay is away
            relay.kill9()
            relay.start_again()


# A sender that counts anew with a new key, towards a key that stays

@FAMILIES
@pytest.mark.parametrize("kind", ["pck", "gmk"])
def test_key_without_mki_is_the_one_to_send_under(relay, clients, name, new_key, kind, family):
    """Whatever else the leg accepts, and though that was installed later: no packet can name it."""
    keys = [new_key(kind, mki_length=0) for _ in range(2)]
    for key in keys:
        install(relay, key)
    alice, plain = clients("ran", family), clients("core", family)
    whose = {"role": "initiator"} if kind == "pck" else {}
    apply(relay, name, [alice.leg("alice", "srtp", keys[0], protection=whose | {
        "user": ALICE, "accept": [keys[1].id_text]}), plain.leg("plain", "plain")])
    used = keys[0].private("initiator") if kind == "pck" else keys[0].group(ALICE)
    sender, before = mcx.SrtpSender(used, SSRC), relay.drops()
    for _ in range(3):
        alice.send(sender.protect(b"heard"))
        assert plain.recv() == sender.last_plain
    assert relay.refused_since(before) == {}


ANEW = [  # ROC rate of the receivers' key; first ROC and SEQ under one key of the sender, first SEQ under the other
    (1, 0, 0, 0), (0, 0, 0, 0), (1, 3, 40000, 40012), (1, 1, 65530, 6), (0, 0, 65500, 65490), (0, 0, 100, 95)]


AT_ONCE = [[(0, [1])], [(1, [0])]]  # the leg's key and what it accepts besides; 1 is installed later
ONE_BY_ONE = [[(0, []), (1, [])], [(0, []), (1, [0])]]


@FAMILIES
@pytest.mark.parametrize("stated,rate,roc,seq,again", [
    (stated, *case) for case in ANEW for stated in ONE_BY_ONE + AT_ONCE
    if stated in ONE_BY_ONE or case[1] <= 1])  # a leg is told one ROC; 0 and 1 are tried
def test_sender_counts_anew_with_a_new_key(relay, clients, name, new_key, family, stated, rate, roc, seq, again):
    pcks, stays = [new_key("pck", mki_length=4, roc_rate=0) for _ in range(2)], new_key(roc_rate=rate)
    install(relay, *pcks, stays)
    alice, bob, plain = clients("ran", family), clients("core", family), clients("core", family)

    def alice_leg(key, accept, **more):
        return alice.leg("alice", "srtp", pcks[key], protection={
            "role": "initiator", "user": ALICE, "accept": [pcks[i].id_text for i in accept]} | more)

    told = {"roc": roc} if stated in ONE_BY_ONE else {}
    apply(relay, name, [alice_leg(*stated[0], **told), bob.leg("bob", "srtp", stays), plain.leg("plain", "plain")])
    receiver, before = mcx.SrtpReceiver(stays.group(ALICE)), relay.drops()

    def say(sender):
        ssrcs = []
        for n in range(12):
            alice.send(sender.protect(b"frame %d" % n))
            assert plain.recv() == sender.last_plain
            got = receiver.unprotect(bob.recv())  # an index that was used would be refused
            assert (got.seq, got.payload) == (mcx.parse_rtp(sender.last_plain).seq, b"frame %d" % n)
            ssrcs.append(got.ssrc)
        return ssrcs

    assert set(say(mcx.SrtpSender(pcks[0].private("initiator"), SSRC, seq=seq, roc=roc))) == {SSRC}
    for keys in stated[1:]:
        relay.call("leg.apply", {"session": name, "legs": [alice_leg(*keys)]})
    ssrcs = say(mcx.SrtpSender(pcks[1].private("initiator"), SSRC, seq=again))
    assert ssrcs[-1] != SSRC and len(set(ssrcs) - {SSRC}) == 1
    assert relay.refused_since(before) == {}
