# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""What the relay does with packets, seen from outside."""

import dataclasses
import functools
import socket
import struct
import time

import pytest

import lab as lab_module
import libsrtp
import mcx
from lab import Relay, apply, fence, install, wait_for

ALICE = "sip:alice@mcptt.example.org"
BOB = "sip:bob@mcptt.example.org"
GATEWAY = "sip:gateway@lmr.example.org"
SSRC = 0x11223344


def legs_of(relay, name):
    return {leg["id"]: leg for leg in relay.call("session.get", {"id": name})["legs"]}


class Call:
    """Alice under a GMK on the radio side, one listener on the other side."""

    def __init__(self, relay, clients, name, gmk, mode="plain", seq=0, roc=0, key_members=None, ssrc=SSRC,
                 leg_members=None, **listener):
        install(relay, gmk.rpc(**(key_members or {})))
        self.relay, self.name, self.gmk = relay, name, gmk
        self.radio, self.listener = clients("ran"), clients("core")
        apply(relay, name, [self.radio.leg("radio", "srtp", gmk, **(leg_members or {})),
                            self.listener.leg("listener", mode, **listener)])
        self.context = gmk.group(ALICE)
        self.sender = mcx.SrtpSender(self.context, ssrc, seq, roc)

    def say(self, payload=b"voice", **more):
        """One packet of Alice's that must arrive in plain, as she made it."""
        self.radio.send(self.sender.protect(payload, **more))
        assert self.listener.recv() == self.sender.last_plain

    def silent_until(self, payload=b"fence"):
        """Nothing was forwarded of what was sent before this."""
        [got] = fence(self.radio, self.sender.protect(payload), self.listener)
        assert got == self.sender.last_plain


@pytest.fixture
def call(relay, clients, name):
    return functools.partial(Call, relay, clients, name)


# Distribution

def test_opaque_distribution(relay, clients, name):
    speaker, *listeners = [clients("ran"), clients("ran"), clients("core"), clients("core")]
    apply(relay, name, [c.leg(f"leg{n}") for n, c in enumerate([speaker, *listeners])])
    for n in range(20):
        packet = mcx.rtp(SSRC, n, b"sealed end to end", timestamp=160 * n) + b"tag and mki stay as they are"
        speaker.send(packet)
        assert [c.recv() for c in listeners] == [packet] * 3
    listeners[0].send(mcx.rtp(2, 0, b"back"))
    assert speaker.recv() == listeners[1].recv() == listeners[2].recv() == mcx.rtp(2, 0, b"back")
    assert listeners[0].drain() == []


def test_opaque_leg_takes_only_its_remote(relay, clients, name):
    speaker, listener, stranger = clients("ran"), clients("core"), clients("ran")
    apply(relay, name, [speaker.leg("a"), listener.leg("b")])
    stranger.relay_port = speaker.relay_port
    before = relay.drops()
    stranger.send(mcx.rtp(9, 9, b"not for you"))
    assert fence(speaker, mcx.rtp(1, 1, b"fence"), listener) == [mcx.rtp(1, 1, b"fence")]
    relay.wait_drops(before, source_mismatch=1)


def test_to_names_the_receivers(relay, clients, name):
    a, b, c = clients("ran"), clients("core"), clients("core")
    apply(relay, name, [a.leg("a", to=["c"]), b.leg("b"), c.leg("c")])
    for n in range(5):
        a.send(mcx.rtp(1, n, b"only c"))
        assert c.recv() == mcx.rtp(1, n, b"only c")
    c.send(mcx.rtp(3, 0, b"all"))
    assert b.recv() == a.recv() == mcx.rtp(3, 0, b"all")


def test_muted_legs(relay, clients, name):
    a, b, c = clients("ran"), clients("core"), clients("core")
    legs = [a.leg("a"), b.leg("b", receive=False), c.leg("c", send=False)]
    apply(relay, name, legs)
    before = relay.drops()
    b.send(mcx.rtp(2, 0, b"muted"))
    c.send(mcx.rtp(3, 0, b"from c"))
    assert a.recv() == b.recv() == mcx.rtp(3, 0, b"from c")
    relay.wait_drops(before, leg_muted=1)
    a.send(mcx.rtp(1, 0, b"to b"))
    assert b.recv() == mcx.rtp(1, 0, b"to b")
    relay.call("leg.apply", {"session": name, "legs": [c.leg("c")]})
    a.send(mcx.rtp(1, 1, b"to b and c"))
    assert b.recv() == c.recv() == mcx.rtp(1, 1, b"to b and c")


@pytest.mark.parametrize("mki_length", [8, 4])
def test_same_gmk_leaves_as_it_came(relay, clients, name, new_key, mki_length):
    gmk = new_key("gmk", mki_length=mki_length)
    install(relay, gmk)
    alice, bob, carol = clients("ran"), clients("ran"), clients("core")
    user = {"user": ALICE} if mki_length == 4 else {}
    apply(relay, name, [alice.leg("alice", "srtp", gmk, protection=user), bob.leg("bob", "srtp", gmk),
                        carol.leg("carol", "srtp", gmk)])
    sender = mcx.SrtpSender(gmk.group(ALICE), SSRC, seq=100)
    for n in range(20):
        packet = sender.protect(b"frame %d" % n)
        alice.send(packet)
        # same key and same packet index: anything but the same octets would be a nonce used twice
        assert bob.recv() == carol.recv() == packet


@pytest.mark.parametrize("profile", [{"mki_length": 4}, {"roc_rate": 0}, {"roc_rate": 10}])
def test_same_gmk_in_another_layout(relay, clients, name, new_key, profile):
    """Key and index are the same, so the octets up to the tag are; what follows it is as the listener expects."""
    gmk = new_key()
    other = dataclasses.replace(gmk, **profile)
    install(relay, gmk)
    alice, bob, carol = clients("ran"), clients("ran"), clients("core")
    apply(relay, name, [alice.leg("alice", "srtp", gmk, protection={"user": ALICE}), bob.leg("bob", "srtp", gmk),
                        carol.leg("carol", "srtp", gmk, protection={"profile": profile})])
    sender = mcx.SrtpSender(gmk.group(ALICE), SSRC, seq=65530)
    for n in range(20):
        roc = sender.roc
        packet = sender.protect(b"frame %d" % n)
        alice.send(packet)
        assert bob.recv() == packet
        assert carol.recv() == mcx.srtp_protect(other.group(ALICE), sender.last_plain, roc)


def test_video_service_has_its_own_cs_id(relay, clients, name, new_key):
    gmk = new_key()
    install(relay, gmk)
    camera, screen = clients("ran"), clients("core")
    apply(relay, name, [camera.leg("c", "srtp", gmk), screen.leg("s", "plain")], service="mcvideo")
    sender = mcx.SrtpSender(gmk.group(ALICE, "mcvideo"), SSRC)
    camera.send(sender.protect(b"picture", marker=True))
    assert screen.recv() == sender.last_plain
    wrong = mcx.SrtpSender(gmk.group(ALICE, "mcptt"), SSRC + 1)
    before = relay.drops()
    camera.send(wrong.protect(b"sound"))
    camera.send(sender.protect(b"fence"))
    assert screen.recv() == sender.last_plain
    relay.wait_drops(before, auth_fail=1)


# SeGy

SUITES = pytest.mark.parametrize("suite", list(mcx.KEY_LEN))
# AES-CM carries no ROC: mode 3 of RFC 4771 is for AEAD
LAYOUTS = pytest.mark.parametrize("suite,mki_length,roc_rate", [
    (suite, mki_length, roc_rate) for suite in mcx.KEY_LEN for mki_length in (8, 4)
    for roc_rate in ((0,) if suite in mcx.AES_CM else (1, 10, 0))])


@LAYOUTS
def test_srtp_to_plain(call, new_key, suite, mki_length, roc_rate):
    gmk = new_key(suite=suite, mki_length=mki_length, roc_rate=roc_rate)
    user = {"protection": {"user": ALICE}} if mki_length == 4 else {}
    c = call(gmk, seq=95, leg_members=user)
    for n in range(30):
        c.say(b"frame %d" % n)


@LAYOUTS
def test_plain_to_srtp(relay, clients, name, new_key, suite, mki_length, roc_rate):
    gmk = new_key(suite=suite, mki_length=mki_length, roc_rate=roc_rate)
    install(relay, gmk)
    lmr, radio = clients("core"), clients("ran")
    apply(relay, name, [lmr.leg("lmr", "plain", protection={"user": GATEWAY}), radio.leg("radio", "srtp", gmk)])
    sender, receiver = mcx.PlainSender(SSRC, seq=65500), mcx.SrtpReceiver(gmk.group(GATEWAY))
    got = []
    for n in range(60):
        lmr.send(sender.protect(b"frame %d" % n, marker=n == 0))
        got.append(receiver.unprotect(radio.recv()))
        assert got[-1].payload == b"frame %d" % n
        assert got[-1].header[:2] == sender.last_plain[:2]
        assert got[-1].timestamp - got[0].timestamp == 160 * n
    assert len({p.ssrc for p in got}) == 1
    assert got[0].ssrc != SSRC, "a foreign SSRC under a long-lived key (architecture.md, invariant 1)"
    assert [p.index - got[0].index for p in got] == list(range(60))


def test_plain_duplicates_never_share_an_index(relay, clients, name, new_key):
    gmk = new_key()
    install(relay, gmk)
    lmr, radio = clients("core"), clients("ran")
    apply(relay, name, [lmr.leg("lmr", "plain", protection={"user": GATEWAY}), radio.leg("radio", "srtp", gmk)])
    packets = [mcx.rtp(SSRC, seq, b"%d %d" % (seq, copy)) for seq in (5, 6, 7) for copy in range(3)]
    packets += [mcx.rtp(SSRC, 5, b"late"), mcx.rtp(SSRC, 40000, b"jump"), mcx.rtp(SSRC, 8, b"back")]
    for packet in packets:
        lmr.send(packet)
    lmr.send(mcx.rtp(SSRC + 1, 0, b"fence"))
    sent = {}
    while True:
        packet = radio.recv()
        plain = mcx.SrtpReceiver(gmk.group(GATEWAY)).unprotect(packet)
        assert sent.setdefault((plain.ssrc, plain.index), packet) == packet, "one index, two packets"
        if plain.payload == b"fence":
            break
    assert len(sent) >= 4


@pytest.mark.parametrize("method", ["session.apply", "leg.apply"])
def test_receivers_that_change_their_protection_together(relay, clients, name, new_key, method):
    """In one request, as when a call turns to encryption: none of them gets plain media afterwards."""
    gmk = new_key()
    install(relay, gmk)
    lmr, radios = clients("core"), [clients("ran", family) for family in (4, 6, 4)]
    sender = mcx.PlainSender(SSRC)

    def state(legs):
        if method == "session.apply":
            apply(relay, name, [lmr.leg("lmr", "plain", protection={"user": GATEWAY}), *legs])
        else:
            relay.call("leg.apply", {"session": name, "legs": legs})

    plain = [radio.leg(f"radio{n}", "plain") for n, radio in enumerate(radios)]
    protected = [radio.leg(f"radio{n}", "srtp", gmk) for n, radio in enumerate(radios)]
    apply(relay, name, [lmr.leg("lmr", "plain", protection={"user": GATEWAY}), *plain])
    for legs in (protected, plain, protected):
        state(legs)
        lmr.send(sender.protect(b"heard"))
        for radio in radios:
            packet = radio.recv()
            if legs is protected:
                packet = mcx.SrtpReceiver(gmk.group(GATEWAY)).unprotect(packet).packet
                assert packet[12:] == sender.last_plain[12:]  # under a fresh SSRC
            else:
                assert packet == sender.last_plain


def test_plain_to_srtp_after_a_crash(lab, new_key):
    """No (key, SSRC, index) twice, though the process forgot everything."""
    gmk, used = new_key(), set()
    with Relay(lab) as relay:
        for life in range(2):
            install(relay, gmk)
            with lab_module.Client(lab, "core") as lmr, lab_module.Client(lab, "ran") as radio:
                apply(relay, "crash", [lmr.leg("lmr", "plain", protection={"user": GATEWAY}),
                                       radio.leg("radio", "srtp", gmk)])
                for n in range(10):
                    lmr.send(mcx.rtp(SSRC, n, b"life %d" % life))
                    plain = mcx.SrtpReceiver(gmk.group(GATEWAY)).unprotect(radio.recv())
                    assert (plain.ssrc, plain.index) not in used
                    used.add((plain.ssrc, plain.index))
            if life == 0:
                relay.kill9()
                relay.start_again()


def test_plain_to_plain(relay, clients, name):
    a, b = clients("core"), clients("core")
    apply(relay, name, [a.leg("a", "plain"), b.leg("b", "plain")])
    a.send(mcx.rtp(1, 1, b"lmr to lmr"))
    assert b.recv() == mcx.rtp(1, 1, b"lmr to lmr")


@pytest.mark.parametrize("length", [150, 60])
@pytest.mark.parametrize("family", [4, 6])
def test_each_talk_spurt_of_a_plain_gateway_is_heard(relay, clients, name, new_key, family, length):
    """Each begins with the same SEQ, the timestamps go on: all is heard in clear. Protected it leaves under another
    SSRC, without the first packet of a spurt, which the second one confirms (RFC 3550 A.1)."""
    gmk = new_key()
    install(relay, gmk)
    gateway, desk, radio = clients("core", family), clients("core", family), clients("ran")
    apply(relay, name, [gateway.leg("gateway", "plain", protection={"user": GATEWAY}),
                        desk.leg("desk", "plain"), radio.leg("radio", "srtp", gmk)])
    receiver = mcx.SrtpReceiver(gmk.group(GATEWAY))  # refuses an SSRC and index that it saw before
    ssrcs = []
    for spurt in range(3):
        for seq in range(length):
            sent = mcx.rtp(SSRC, seq, b"%d.%d" % (spurt, seq), timestamp=160 * seq + 160000 * spurt, marker=seq == 0)
            gateway.send(sent)
            assert desk.recv() == sent
            if seq > 0 or spurt == 0:
                got = receiver.unprotect(radio.recv())
                assert got.payload == sent[12:]
                ssrcs.append(got.ssrc)
    assert ssrcs == sorted(ssrcs, key=ssrcs.index) and len(set(ssrcs)) == 3


def test_plain_to_opaque_is_refused(relay, clients, name):
    a, b, c = clients("core"), clients("ran"), clients("core")
    apply(relay, name, [a.leg("a", "plain"), b.leg("b"), c.leg("c", "plain")])
    before = relay.drops()
    a.send(mcx.rtp(1, 1, b"clear"))
    assert c.recv() == mcx.rtp(1, 1, b"clear")
    relay.wait_drops(before, no_conversion=1)
    c.send(mcx.rtp(3, 1, b"clear"))
    assert a.recv() == mcx.rtp(3, 1, b"clear")
    assert b.drain() == []


# Re-encryption

@pytest.mark.parametrize("suites", [(mcx.GCM_128, mcx.GCM_128), (mcx.GCM_128, mcx.GCM_256), (mcx.GCM_256, mcx.GCM_128)])
@pytest.mark.parametrize("named_by", ["leg", "users"])
def test_gmk_to_gmk(relay, clients, name, new_key, suites, named_by):
    gmk1, gmk2 = new_key(suite=suites[0]), new_key(suite=suites[1], roc_rate=10)
    install(relay, gmk1.rpc(**({"users": [ALICE, BOB]} if named_by == "users" else {})), gmk2)
    radio, partner = clients("ran"), clients("core")
    user = {"user": ALICE} if named_by == "leg" else {}
    apply(relay, name, [radio.leg("radio", "srtp", gmk1, protection=user), partner.leg("partner", "srtp", gmk2)])
    sender = mcx.SrtpSender(gmk1.group(ALICE), SSRC, seq=65530, roc=2)
    receiver = mcx.SrtpReceiver(gmk2.group(ALICE), roc=2)
    for n in range(20):
        radio.send(sender.protect(b"frame %d" % n))
        packet = receiver.unprotect(partner.recv())
        assert packet.packet == sender.last_plain
    assert packet.roc == 3
    if named_by == "users":
        second = mcx.SrtpSender(gmk1.group(BOB), SSRC + 1)
        radio.send(second.protect(b"bob"))
        assert mcx.SrtpReceiver(gmk2.group(BOB)).unprotect(partner.recv()).packet == second.last_plain


@pytest.mark.parametrize("how", ["revoked and installed again", "replaced", "another key"])
def test_inbound_key_changes_and_outbound_stays(relay, clients, name, new_key, how):
    """A domain renews its GMK; its talkers keep SSRC and SEQ, and the partner, whose key stays, hears them."""
    gmk1, gmk2 = new_key(), new_key()
    install(relay, gmk1, gmk2)
    radio, partner = clients("ran"), clients("core")

    def stand(key):
        apply(relay, name, [radio.leg("radio", "srtp", key, protection={"user": ALICE}),
                            partner.leg("partner", "srtp", gmk2)])

    stand(gmk1)
    sender, receiver = mcx.SrtpSender(gmk1.group(ALICE), SSRC, seq=100), mcx.SrtpReceiver(gmk2.group(ALICE))
    for _ in range(3):
        for _ in range(3):
            radio.send(sender.protect(b"voice"))
            assert receiver.unprotect(partner.recv()).packet == sender.last_plain
        if how == "revoked and installed again":
            relay.call("key.revoke", {"keys": [{"domain": "home", "id": gmk1.id_text}]})
            install(relay, gmk1)
        elif how == "replaced":
            gmk1 = mcx.RootKey("gmk", gmk1.id, bytes(x ^ 1 for x in gmk1.value), gmk1.rand)
            install(relay, gmk1, replace=True)
        else:
            gmk1 = new_key()
            install(relay, gmk1)
            stand(gmk1)
        sender.context = gmk1.group(ALICE)


def test_outbound_index_is_not_used_again(relay, clients, name, new_key):
    """A talker begins anew under a new key; towards the partner, whose key stays, his SSRC and SEQ are used up: he goes on
    under a fresh SSRC."""
    gmk1, gmk2, gmk3 = new_key(), new_key(), new_key()
    install(relay, gmk1, gmk2, gmk3)
    radio, partner = clients("ran"), clients("core")
    for key in (gmk1, gmk3):
        apply(relay, name, [radio.leg("radio", "srtp", key, protection={"user": ALICE}),
                            partner.leg("partner", "srtp", gmk2)])
        receiver = mcx.SrtpReceiver(gmk2.group(ALICE))
        sender = mcx.SrtpSender(key.group(ALICE), SSRC, seq=100)
        sent = [(sender.protect(b"voice under " + key.id_text.encode()), sender.last_plain) for _ in range(6)]
        for packet, plain in sent[:3] if key is gmk1 else sent:
            radio.send(packet)
            if key is gmk1:
                assert receiver.unprotect(partner.recv()).packet == plain
    heard = [receiver.unprotect(packet).packet for packet in partner.recv_many(6)]
    assert [packet[:8] + packet[12:] for packet in heard] == [plain[:8] + plain[12:] for _, plain in sent]
    fresh = {packet[8:12] for packet in heard}
    assert len(fresh) == 1 and fresh != {SSRC.to_bytes(4, "big")}


def test_unnamed_talker_is_not_reencrypted(relay, clients, name, new_key):
    gmk1, gmk2 = new_key(), new_key()
    install(relay, gmk1, gmk2)
    radio, partner, plain = clients("ran"), clients("core"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", gmk1), partner.leg("partner", "srtp", gmk2),
                        plain.leg("plain", "plain", protection={"user": GATEWAY})])
    before = relay.drops()
    sender = mcx.SrtpSender(gmk1.group(ALICE), SSRC)
    radio.send(sender.protect(b"who is it?"))
    assert plain.recv() == sender.last_plain
    relay.wait_drops(before, unknown_talker=1)
    plain.send(mcx.rtp(7, 1, b"fence"))
    assert mcx.SrtpReceiver(gmk2.group(GATEWAY)).unprotect(partner.recv()).payload == b"fence"


@pytest.mark.parametrize("service", ["mcptt", "mcvideo"])
def test_private_call_through_a_segy(relay, clients, name, new_key, service):
    """Each side has its own PCK; both directions, both roles."""
    pck1, pck2 = new_key("pck"), new_key("pck")
    a, b = clients("ran"), clients("core")
    apply(relay, name, [a.leg("a", "srtp", pck1, protection={"role": "initiator"}),
                        b.leg("b", "srtp", pck2, protection={"role": "receiver"})],
          service, "private", keys=[pck1.rpc(), pck2.rpc()])
    for speaker, listener, role, key, other in ((a, b, "initiator", pck1, pck2), (b, a, "receiver", pck2, pck1)):
        sender = mcx.SrtpSender(key.private(role, service), SSRC, seq=65533)
        receiver = mcx.SrtpReceiver(other.private(role, service))
        for n in range(6):
            speaker.send(sender.protect(b"%d" % n))
            assert receiver.unprotect(listener.recv()).packet == sender.last_plain


@pytest.mark.parametrize("role", ["initiator", "receiver"])
def test_private_call_to_plain(relay, clients, name, new_key, role):
    pck = new_key("pck")
    radio, lmr = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", pck, protection={"role": role}), lmr.leg("lmr", "plain")],
          kind="private", keys=[pck.rpc()])
    sender = mcx.SrtpSender(pck.private(role), SSRC)
    radio.send(sender.protect(b"up"))
    assert lmr.recv() == sender.last_plain
    other = {"initiator": "receiver", "receiver": "initiator"}[role]
    lmr.send(mcx.rtp(7, 7, b"down"))
    assert mcx.SrtpReceiver(pck.private(other)).unprotect(radio.recv()).payload == b"down"
    before = relay.drops()
    radio.send(mcx.SrtpSender(pck.private(other), SSRC + 1).protect(b"wrong role"))
    assert fence(radio, sender.protect(b"fence"), lmr) == [sender.last_plain]
    relay.wait_drops(before, auth_fail=1)


def test_same_pck_id_in_two_calls(relay, clients, new_key):
    """28 bits collide: each session's key is its own."""
    key1 = new_key("pck")
    key2 = mcx.RootKey("pck", key1.id, bytes(range(16)), bytes(16))
    calls = []
    for n, key in enumerate((key1, key2)):
        radio, lmr = clients("ran"), clients("core")
        apply(relay, f"twin{n}", [radio.leg("radio", "srtp", key, protection={"role": "initiator"}),
                                  lmr.leg("lmr", "plain")], kind="private", keys=[key.rpc()])
        calls.append((radio, lmr, mcx.SrtpSender(key.private("initiator"), SSRC)))
    for radio, lmr, sender in calls * 3:
        radio.send(sender.protect(b"mine"))
        assert lmr.recv() == sender.last_plain


# libsrtp2 as the peer

@pytest.mark.parametrize("suite,roc_rate", [
    (suite, roc_rate) for suite in mcx.KEY_LEN for roc_rate in ((0,) if suite in mcx.AES_CM else (0, 1, 10))])
def test_libsrtp_both_directions(relay, clients, name, new_key, suite, roc_rate):
    gmk1, gmk2 = new_key(suite=suite, roc_rate=roc_rate), new_key(suite=suite, roc_rate=roc_rate)
    install(relay, gmk1, gmk2)
    radio, partner = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", gmk1, protection={"user": ALICE}),
                        partner.leg("partner", "srtp", gmk2)])
    with libsrtp.group_peer(gmk1, ALICE, SSRC) as out, libsrtp.group_peer(gmk2, ALICE, SSRC) as into:
        for n in range(30):
            plain = mcx.rtp(SSRC, (65520 + n) & 0xffff, b"frame %d" % n)
            radio.send(out.protect(plain))
            assert into.unprotect(partner.recv()) == plain


# Rollover counter

@pytest.mark.parametrize("roc_rate", [0, 1, 10])
def test_wrap(call, new_key, roc_rate):
    c = call(new_key(roc_rate=roc_rate), seq=65500)
    for n in range(80):
        c.say(b"%d" % n)
    assert c.sender.roc == 1


def test_wrap_out_of_order(call, new_key):
    c = call(new_key(roc_rate=0), seq=65530)
    c.say()
    packets = [(c.sender.protect(b"%d" % n), c.sender.last_plain) for n in range(20)]
    for packet, plain in reversed(packets):
        c.radio.send(packet)
        assert c.listener.recv() == plain


def test_late_entry(call, new_key):
    """TS 33.180 9.4.5: the ROC comes with the packets."""
    c = call(new_key(roc_rate=1), seq=1000, roc=5)
    for n in range(10):
        c.say(b"%d" % n)


def test_late_entry_waits_for_the_carried_roc(call, relay, new_key):
    c = call(new_key(roc_rate=10), seq=1001, roc=5)
    before = relay.drops()
    for _ in range(9):  # 1001 .. 1009 carry none, and ROC 0 is wrong
        c.radio.send(c.sender.protect(b"not yet"))
    c.silent_until(b"1010")
    relay.wait_drops(before, auth_fail=9)
    for n in range(15):
        c.say(b"%d" % n)


def test_sender_jumps_a_whole_rollover(call, new_key):
    """Radio silence over more than 2^15 packets: the carried ROC brings both together again."""
    c = call(new_key(roc_rate=1), seq=10)
    c.say()
    c.sender.roc, c.sender.seq = 3, 5000
    for n in range(5):
        c.say(b"%d" % n)


# Attacks

def test_replay(call, relay, new_key):
    c = call(new_key(), seq=65000)
    sent = []
    for n in range(20):
        sent.append(c.sender.protect(b"%d" % n))
        c.radio.send(sent[-1])
        assert c.listener.recv() == c.sender.last_plain
    before = relay.drops()
    for packet in sent:
        c.radio.send(packet)
    c.silent_until()
    relay.wait_drops(before, replayed=20)


def test_two_copies_in_one_burst(call, relay, new_key):
    c = call(new_key())
    c.say()
    before = relay.drops()
    plains = []
    for n in range(50):
        packet = c.sender.protect(b"%d" % n)
        plains.append(c.sender.last_plain)
        c.radio.send(packet)
        c.radio.send(packet)
    assert c.listener.recv_many(50) == plains
    c.silent_until()
    relay.wait_drops(before, replayed=50)


def test_first_packet_twice(call, relay, new_key):
    """Both copies wait for the key context; one is forwarded."""
    c = call(new_key())
    before = relay.drops()
    packet = c.sender.protect(b"first")
    first = c.sender.last_plain
    c.radio.send(packet)
    c.radio.send(packet)
    assert c.listener.recv() == first
    c.silent_until()
    relay.wait_drops(before, replayed=1)


def test_behind_the_replay_list(call, relay, new_key):
    c = call(new_key(), seq=10)
    old = c.sender.protect(b"held back")
    c.say()
    c.sender.seq = 10 + 1500
    c.say()
    before = relay.drops()
    c.radio.send(old)
    c.silent_until()
    relay.wait_drops(before, too_old=1)


def forgeries(packet, n_header=12, mki_len=8, roc_len=4):
    """(name, forged packet): one per octet region that is authenticated or picks the key."""
    tag = len(packet) - roc_len - mki_len - mcx.TAG_LEN
    yield "version and flags", mcx.flipped(packet, 0, 0x20)
    yield "payload type", mcx.flipped(packet, 1, 0x02)
    yield "marker", mcx.flipped(packet, 1, 0x80)
    yield "timestamp", mcx.flipped(packet, 7)
    yield "SSRC", mcx.flipped(packet, 11)
    yield "first of ciphertext", mcx.flipped(packet, n_header)
    yield "last of ciphertext", mcx.flipped(packet, tag - 1, 0x80)
    for n in range(mcx.TAG_LEN):
        yield f"tag octet {n}", mcx.flipped(packet, tag + n, 1 << n % 8)


def test_forged_packets_change_nothing(call, relay, new_key):
    c = call(new_key(), seq=500)
    for _ in range(3):
        c.say()
    steady = {k: v for k, v in legs_of(relay, c.name)["radio"].items()}
    before = relay.drops()
    fresh = mcx.SrtpSender(c.context, SSRC, seq=c.sender.seq)
    template = fresh.protect(b"forged" * 10)
    found = [forged for _, forged in forgeries(template)]
    # ahead of the stream: an index taken before its tag is verified would shut out the rest
    ahead = mcx.SrtpSender(c.context, SSRC, seq=c.sender.seq + 20000).protect(b"x")
    found.append(mcx.flipped(ahead, 12))
    # and a rollover ahead
    later = mcx.SrtpSender(c.context, SSRC, seq=c.sender.seq, roc=77).protect(b"x")
    found.append(mcx.flipped(later, 12))
    for forged in found:
        c.radio.send(forged)
    c.silent_until()
    relay.wait_drops(before, auth_fail=len(found))
    for n in range(5):
        c.say(b"%d" % n)
    after = legs_of(relay, c.name)["radio"]
    assert after["remote"] == steady["remote"]


def test_forged_first_packet_makes_no_stream(call, relay, new_key):
    """An attacker who speaks first with a huge ROC and SEQ must not set the stream's state."""
    c = call(new_key(), seq=3)
    before = relay.drops()
    evil = mcx.SrtpSender(c.context, SSRC, seq=60000, roc=0xffff0000)
    for _ in range(4):
        c.radio.send(mcx.flipped(evil.protect(b"evil"), 14))
    for n in range(4):
        c.say(b"%d" % n)
    relay.wait_drops(before, auth_fail=4)


def test_forged_mki(call, relay, new_key):
    gmk = new_key()
    c = call(gmk, key_members={"users": [ALICE]})
    c.say()
    packet = c.sender.protect(b"x")
    before = relay.drops()
    mki = len(packet) - 12
    c.radio.send(mcx.flipped(packet, mki + 3))      # another GMK-ID
    c.radio.send(mcx.flipped(packet, mki + 7))      # another GUK-ID
    c.silent_until()
    relay.wait_drops(before, unknown_mki=1, unknown_user=1)
    c.radio.send(packet)                            # the true one is still new
    assert c.listener.recv()[12:] == b"x"


def test_forged_guk_id_of_an_open_gmk(call, relay, new_key):
    """The relay derives a context on demand; the tag fails and nothing is kept."""
    c = call(new_key())
    c.say()
    before = relay.drops()
    c.radio.send(mcx.flipped(c.sender.protect(b"x"), -5))
    relay.wait_drops(before, auth_fail=1)
    c.silent_until()


def test_forged_roc_never_moves_the_stream(call, relay, new_key):
    """The ROC octets are not authenticated: a receiver in sync may ignore them (RFC 4771 3), but not obey them."""
    c = call(new_key(), seq=100)
    c.say()
    for evil in (1, 0xff, 0x80000000):
        packet = c.sender.protect(b"hm")
        want = c.sender.last_plain
        c.radio.send(packet[:-4] + struct.pack(">I", evil))
        [got] = fence(c.radio, c.sender.protect(b"fence"), c.listener)
        if got == want:
            got = c.listener.recv()
        assert got == c.sender.last_plain
        c.say()


def test_forged_roc_on_the_first_packet(call, relay, new_key):
    c = call(new_key(roc_rate=1), seq=100, roc=5)
    packet = c.sender.protect(b"first")
    before = relay.drops()
    c.radio.send(packet[:-4] + struct.pack(">I", 6))
    c.silent_until()
    relay.wait_drops(before, auth_fail=1)


def test_garbage(call, relay, new_key):
    c = call(new_key())
    c.say()
    good = c.sender.protect(b"cut me")
    pieces = [b"\x80", bytes(12), b"\x80\x78" + bytes(10), b"\x00" * 200, b"\xff" * 1400]
    # cut anywhere but before the ROC: receivers take packets with and without it (standards.md A10)
    pieces += [good[:n] for n in range(1, len(good)) if n != len(good) - 4]
    # header lengths that lie
    pieces += [b"\x8f\x78" + good[2:30], b"\x90\x78" + good[2:16] + b"\xff\xff" + good[18:]]
    before = relay.drops()
    for piece in pieces:
        c.radio.send(piece)
    wait_for(lambda: sum(relay.drops_since(before).values()), lambda n: n >= len(pieces), "drops of garbage")
    c.silent_until()
    c.say()


def test_unknown_mki(call, relay, new_key):
    c = call(new_key())
    c.say()
    before = relay.drops()
    c.radio.send(mcx.SrtpSender(new_key().group(ALICE), SSRC).protect(b"foreign"))
    c.silent_until()
    relay.wait_drops(before, unknown_mki=1)


def test_revoked_key(call, relay, new_key):
    c = call(new_key())
    c.say()
    assert relay.call("key.revoke", {"keys": [{"domain": "home", "id": c.gmk.id_text}]}) == {"revoked": 1}
    before = relay.drops()
    for _ in range(5):
        c.radio.send(c.sender.protect(b"after"))
    relay.wait_drops(before, no_key=5)
    assert c.listener.drain() == []


@pytest.mark.parametrize("with_other_bytes", [False, True])
def test_revoked_key_installed_again(call, relay, new_key, with_other_bytes):
    """The session names the key by its id and goes on without being stated again, in both directions."""
    c = call(new_key(), protection={"user": GATEWAY})
    for again in range(3):
        c.say()
        c.listener.send(mcx.rtp(7 + again, 1, b"back"))
        assert mcx.SrtpReceiver(c.gmk.group(GATEWAY)).unprotect(c.radio.recv()).payload == b"back"
        assert relay.call("key.revoke", {"keys": [{"domain": "home", "id": c.gmk.id_text}]}) == {"revoked": 1}
        before = relay.drops()
        c.radio.send(c.sender.protect(b"without a key"))
        c.listener.send(mcx.rtp(7 + again, 2, b"without a key"))
        relay.wait_drops(before, no_key=2)
        if with_other_bytes:
            c.gmk = mcx.RootKey("gmk", c.gmk.id, bytes([again]) * 16, c.gmk.rand)
            c.sender.context = c.gmk.group(ALICE)
        install(relay, c.gmk)
    c.say()
    assert c.listener.drain() == c.radio.drain() == []


def key_state(relay, key):
    [state] = [k["state"] for k in relay.call("key.list", {})["keys"] if k["id"] == key.id_text]
    return state


def test_pending_key_becomes_active_and_expires(call, relay, new_key):
    """Media of a key is refused before its activation and after its expiry, while the session stands."""
    now = int(time.time())
    c = call(new_key(), key_members={"activation": now + 2, "expiry": now + 4})
    before = relay.drops()
    c.radio.send(c.sender.protect(b"too early"))
    relay.wait_drops(before, no_key=1)
    assert key_state(relay, c.gmk) == "pending"
    wait_for(lambda: key_state(relay, c.gmk), lambda state: state == "active", "activation")
    c.say()
    wait_for(lambda: key_state(relay, c.gmk), lambda state: state == "expired", "expiry")
    before = relay.drops()
    c.radio.send(c.sender.protect(b"too late"))
    relay.wait_drops(before, no_key=1)
    assert c.listener.drain() == []
    # a new life for the same key
    install(relay, c.gmk)
    c.say()


# First words and who may speak

def test_first_words_of_many_users(call, new_key):
    """The packet that has its key context derived is held, not lost."""
    c = call(new_key())
    senders = [mcx.SrtpSender(c.gmk.group(f"sip:user{n}@example.org"), 1000 + n) for n in range(50)]
    for sender in senders:
        c.radio.send(sender.protect(b"hello"))
        assert c.listener.recv() == sender.last_plain


def test_first_words_keep_their_order(call, new_key):
    c = call(new_key())
    packets = [(c.sender.protect(b"%d" % n), c.sender.last_plain) for n in range(8)]
    for packet, _ in packets:
        c.radio.send(packet)
    assert c.listener.recv_many(8) == [plain for _, plain in packets]


def test_closed_gmk_refuses_strangers(call, relay, new_key):
    c = call(new_key(), key_members={"users": [ALICE, BOB]})
    c.say()
    before = relay.drops()
    c.radio.send(mcx.SrtpSender(c.gmk.group("sip:mallory@example.org"), 99).protect(b"let me in"))
    c.silent_until()
    relay.wait_drops(before, unknown_user=1)
    bob = mcx.SrtpSender(c.gmk.group(BOB), 7)
    c.radio.send(bob.protect(b"bob"))
    assert c.listener.recv() == bob.last_plain


def test_two_talkers_with_one_ssrc(call, new_key):
    """Under one GMK each talker has a key of their own, so one SSRC does no harm to either."""
    c = call(new_key())
    bob = mcx.SrtpSender(c.gmk.group(BOB), SSRC, seq=30000)
    for n in range(5):
        c.say(b"alice %d" % n)
        c.radio.send(bob.protect(b"bob %d" % n))
        assert c.listener.recv() == bob.last_plain


# Shapes of packets

SHAPES = {
    "CSRC": {"csrc": [1, 2, 3]},
    "15 CSRC": {"csrc": list(range(15))},
    "extension": {"extension": (0xbede, b"\x10\xff\0\0")},
    "empty extension": {"extension": (0x1000, b"")},
    "long extension": {"extension": (0x1000, bytes(400)), "csrc": [9], "marker": True},
    "padding": {"padding": 4},
    "all": {"padding": 255, "csrc": [5], "extension": (0xbede, bytes(8))},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("payload", [b"", b"x", bytes(900)], ids=len)
def test_shapes(relay, clients, name, new_key, shape, payload):
    more = SHAPES[shape]
    gmk1, gmk2 = new_key(), new_key()
    install(relay, gmk1, gmk2)
    radio, partner, plain = clients("ran"), clients("core"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", gmk1, protection={"user": ALICE}),
                        partner.leg("partner", "srtp", gmk2), plain.leg("plain", "plain")])
    sender, receiver = mcx.SrtpSender(gmk1.group(ALICE), SSRC), mcx.SrtpReceiver(gmk2.group(ALICE))
    for _ in range(3):
        radio.send(sender.protect(payload, **more))
        assert plain.recv() == sender.last_plain
        assert receiver.unprotect(partner.recv()).packet == sender.last_plain


def test_larger_than_mtu_after_protection(relay, clients, name, new_key):
    gmk = new_key()
    install(relay, gmk)
    lmr, radio = clients("core"), clients("ran")
    apply(relay, name, [lmr.leg("lmr", "plain", protection={"user": GATEWAY}), radio.leg("radio", "srtp", gmk)])
    room = 1500 - 20 - 8 - 12
    receiver = mcx.SrtpReceiver(gmk.group(GATEWAY))
    before = relay.drops()
    lmr.send(mcx.rtp(SSRC, 0, bytes(room)))         # 28 octets of tag, MKI and ROC do not fit any more
    relay.wait_drops(before, larger_than_mtu=1)
    lmr.send(mcx.rtp(SSRC, 1, bytes(room - 28)))
    assert receiver.unprotect(radio.recv()).payload == bytes(room - 28)


# Addresses

@pytest.mark.parametrize("families", [(6, 6), (4, 6), (6, 4)])
def test_families(relay, clients, name, new_key, families):
    gmk1, gmk2 = new_key(), new_key()
    install(relay, gmk1, gmk2)
    radio, partner, second = clients("ran", families[0]), clients("core", families[1]), clients("core", families[0])
    apply(relay, name, [radio.leg("radio", "srtp", gmk1, protection={"user": ALICE}),
                        partner.leg("partner", "srtp", gmk2), second.leg("second", "plain")])
    sender, receiver = mcx.SrtpSender(gmk1.group(ALICE), SSRC), mcx.SrtpReceiver(gmk2.group(ALICE))
    for n in range(10):
        radio.send(sender.protect(bytes(n)))        # odd and even lengths: the UDP checksum over IPv6 counts
        assert receiver.unprotect(partner.recv()).packet == sender.last_plain
        assert second.recv() == sender.last_plain


def wait_learned(relay, name, leg, client):
    wait_for(lambda: legs_of(relay, name)[leg]["remote"], lambda remote: remote == client.address, "a learned address")


def test_learned_address_follows_authentic_packets_only(relay, clients, name, new_key):
    gmk = new_key()
    install(relay, gmk)
    radio, moved, thief, lmr = clients("ran"), clients("ran"), clients("ran"), clients("core")
    moved.relay_port = thief.relay_port = radio.relay_port
    apply(relay, name, [radio.leg("radio", "srtp", gmk, learn="authenticated"),
                        lmr.leg("lmr", "plain", protection={"user": GATEWAY})])
    sender, receiver = mcx.SrtpSender(gmk.group(ALICE), SSRC), mcx.SrtpReceiver(gmk.group(GATEWAY))
    radio.send(sender.protect(b"here"))
    assert lmr.recv() == sender.last_plain
    replayed = sender.protect(b"seen on the air")
    radio.send(replayed)
    assert lmr.recv() == sender.last_plain
    before = relay.drops()
    thief.send(mcx.flipped(sender.protect(b"mine"), 13))
    thief.send(replayed)
    relay.wait_drops(before, auth_fail=1, replayed=1)
    lmr.send(mcx.rtp(5, 1, b"to the radio"))
    assert receiver.unprotect(radio.recv()).payload == b"to the radio"
    assert legs_of(relay, name)["radio"]["remote"] == radio.address
    moved.send(sender.protect(b"moved"))
    assert lmr.recv() == sender.last_plain
    wait_learned(relay, name, "radio", moved)
    lmr.send(mcx.rtp(5, 2, b"after the move"))
    assert receiver.unprotect(moved.recv()).payload == b"after the move"
    assert thief.drain() == radio.drain() == []


def test_remote_unknown_until_learned(relay, clients, name, new_key):
    gmk = new_key()
    install(relay, gmk)
    radio, lmr = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", gmk, remote=None, learn="authenticated"),
                        lmr.leg("lmr", "plain", protection={"user": GATEWAY})])
    assert legs_of(relay, name)["radio"]["remote"] is None
    sender = mcx.SrtpSender(gmk.group(ALICE), SSRC)
    radio.send(sender.protect(b"I am here"))
    assert lmr.recv() == sender.last_plain
    wait_learned(relay, name, "radio", radio)
    lmr.send(mcx.rtp(5, 1, b"found"))
    assert mcx.SrtpReceiver(gmk.group(GATEWAY)).unprotect(radio.recv()).payload == b"found"


def test_multicast_leg(relay, lab, clients, name):
    speaker, listener = clients("ran"), clients("core")
    group = "239.77.0.1"
    member = socket.inet_aton(group) + socket.inet_aton(listener.host)
    bound = lab.socket("core", socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind((group, 30000))
    bound.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    apply(relay, name, [speaker.leg("a"), listener.leg("b", remote=f"{group}:30000")])
    speaker.send(mcx.rtp(1, 1, b"to all of you"))
    assert bound.recv(2048) == mcx.rtp(1, 1, b"to all of you")
    bound.close()


def test_dscp(relay, lab, clients, name):
    speaker, listener = clients("ran"), clients("core")
    listener.socket.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    apply(relay, name, [speaker.leg("a"), listener.leg("b", dscp=46)])
    speaker.send(mcx.rtp(1, 1, b"expedite"))
    _, ancillary, _, _ = listener.socket.recvmsg(2048, 64)
    assert [data[0] for level, kind, data in ancillary if kind == socket.IP_TOS] == [46 << 2]


# RTCP

def control_call(relay, clients, name, new_key, kinds=("csk", "csk"), **members):
    keys = [new_key(kind) for kind in kinds]
    install(relay, *keys)
    ends = [clients("ran"), clients("core")]
    apply(relay, name, [end.leg(f"leg{n}", "srtp", key, traffic="control", **members)
                        for n, (end, key) in enumerate(zip(ends, keys))])
    return ends, keys


@pytest.mark.parametrize("kinds", [("csk", "csk"), ("csk", "musik"), ("spk", "csk"), ("mscck", "mkfc")], ids=str)
def test_floor_control_from_key_to_key(relay, clients, name, new_key, kinds):
    (a, b), (key_a, key_b) = control_call(relay, clients, name, new_key, kinds)
    for near, far, near_key, far_key in ((a, b, key_a, key_b), (b, a, key_b, key_a)):
        sender, receiver = mcx.SrtcpSender(near_key.control()), mcx.SrtcpReceiver(far_key.control())
        ssrc = 0x5000 + near.port
        for encrypt in (True, True, False):
            plain = mcx.floor_request(ssrc, ALICE)
            near.send(sender.protect(plain, encrypt))
            got = receiver.unprotect(far.recv())
            assert got[:2] == plain[:2] and got[8:] == plain[8:]


def test_srtcp_replay_and_forgery(relay, clients, name, new_key):
    (a, b), (key_a, key_b) = control_call(relay, clients, name, new_key)
    sender, receiver = mcx.SrtcpSender(key_a.control()), mcx.SrtcpReceiver(key_b.control())
    packet = sender.protect(mcx.floor_request(7, ALICE))
    a.send(packet)
    receiver.unprotect(b.recv())
    before = relay.drops()
    a.send(packet)
    fresh = sender.protect(mcx.floor_request(7, ALICE))
    for offset in (1, 7, 8, 20, -5, -8, -9, -24):
        a.send(mcx.flipped(fresh, offset))
    word = len(fresh) - 8
    a.send(fresh[:word] + struct.pack(">I", mcx.E_BIT | 0x7fffffff) + fresh[word + 4:])
    [got] = fence(a, sender.protect(mcx.app(7, mcx.FLOOR_RELEASE)), b)
    assert receiver.unprotect(got)[8:] == mcx.app(7, mcx.FLOOR_RELEASE)[8:]
    relay.wait_drops(before, replayed=1, auth_fail=9)


def test_srtcp_to_libsrtp(relay, clients, name, new_key):
    (a, b), (key_a, key_b) = control_call(relay, clients, name, new_key)
    plain = mcx.floor_request(7, ALICE)
    with libsrtp.control_peer(key_a, 7) as out:
        for _ in range(3):
            a.send(out.protect_rtcp(plain))
            packet = b.recv()
            ssrc = int.from_bytes(packet[4:8], "big")
            with libsrtp.control_peer(key_b, ssrc) as into:
                assert into.unprotect_rtcp(packet)[8:] == plain[8:]


def test_srtcp_after_a_crash(lab, new_key):
    """The relay's own SRTCP indices survive it, or its SSRC is a fresh one."""
    keys, used = [new_key("csk"), new_key("csk")], set()
    index_a = 1
    with Relay(lab) as relay:
        for life in range(2):
            install(relay, *keys)
            with lab_module.Client(lab, "ran") as a, lab_module.Client(lab, "core") as b:
                apply(relay, "crash", [end.leg(f"leg{n}", "srtp", key, traffic="control")
                                       for n, (end, key) in enumerate(zip((a, b), keys))])
                sender, context = mcx.SrtcpSender(keys[0].control(), index_a), keys[1].control()
                for _ in range(10):
                    a.send(sender.protect(mcx.floor_request(7, ALICE)))
                    plain, index, _ = mcx.srtcp_unprotect(context, b.recv())
                    assert (plain[4:8], index) not in used
                    used.add((plain[4:8], index))
                index_a = sender.index
            if life == 0:
                relay.kill9()
                relay.start_again()


def test_two_clients_of_one_csk_share_no_nonce(relay, clients, name, new_key):
    """What goes to everyone under a MuSiK comes from several senders; SSRC and index must differ (A12)."""
    csk_a, csk_b, musik = new_key("csk"), new_key("csk"), new_key("musik")
    install(relay, csk_a, csk_b, musik)
    a, b, all_of_them = clients("ran"), clients("ran"), clients("core")
    apply(relay, name, [a.leg("a", "srtp", csk_a, traffic="control", to=["all"]),
                        b.leg("b", "srtp", csk_b, traffic="control", to=["all"]),
                        all_of_them.leg("all", "srtp", musik, traffic="control")])
    receiver = mcx.SrtcpReceiver(musik.control())  # refuses an SSRC and index it saw before
    senders = [(a, mcx.SrtcpSender(csk_a.control())), (b, mcx.SrtcpSender(csk_b.control()))]
    for n in range(10):
        for client, sender in senders:
            request = mcx.floor_request(7, f"sip:{n}.{client is a}@x")  # the same SSRC on purpose
            client.send(sender.protect(request))
            assert receiver.unprotect(all_of_them.recv()) == request


def test_client_with_the_relays_ssrc(relay, clients, name, new_key):
    """Under one CSK only the SSRC tells the client's nonces from the relay's: who takes the relay's is dropped (A12)."""
    csk_a, csk_b = new_key("csk"), new_key("csk")
    install(relay, csk_a, csk_b)
    a, b = clients("ran"), clients("core")
    apply(relay, name, [a.leg("a", "srtp", csk_a, traffic="control"), b.leg("b", "srtp", csk_b, traffic="control")])
    from_a, from_b = mcx.SrtcpSender(csk_a.control()), mcx.SrtcpSender(csk_b.control())
    a.send(from_a.protect(mcx.floor_request(7, "sip:a@x")))
    assert mcx.SrtcpReceiver(csk_b.control()).unprotect(b.recv()) == mcx.floor_request(7, "sip:a@x")
    before = relay.drops()
    b.send(from_b.protect(mcx.floor_request(7, "sip:b@x")))
    b.send(from_b.protect(mcx.floor_request(8, "sip:b@x")))
    assert mcx.SrtcpReceiver(csk_a.control()).unprotect(a.recv()) == mcx.floor_request(8, "sip:b@x")
    relay.wait_drops(before, ssrc_collision=1)


def test_forged_packet_reports_no_collision(relay, clients, name, new_key):
    """Who has no key, but saw the relay's SSRC and the MKI on the wire, makes no client look guilty."""
    csk = new_key("csk")
    install(relay, csk)
    radio, server = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", csk, traffic="control"),
                        server.leg("server", "plain", traffic="control")])
    server.send(mcx.floor_request(99, "sip:a@x"))
    seen = radio.recv()
    before = relay.drops()
    radio.send(seen[:8] + bytes(len(seen) - 16) + b"\x80\0\0\x07" + seen[-4:])
    relay.wait_drops(before, auth_fail=1)
    assert relay.drops_since(before)["ssrc_collision"] == 0


def test_relay_takes_no_clients_ssrc(relay, clients, name, new_key):
    """The other way round: what the relay would send under a client's key with that client's SSRC is dropped."""
    csk_a, csk_b = new_key("csk"), new_key("csk")
    install(relay, csk_a, csk_b)
    a, b = clients("ran"), clients("core")
    apply(relay, name, [a.leg("a", "srtp", csk_a, traffic="control", send=False),
                        b.leg("b", "srtp", csk_b, traffic="control")])
    from_a, from_b = mcx.SrtcpSender(csk_a.control()), mcx.SrtcpSender(csk_b.control())
    before = relay.drops()
    b.send(from_b.protect(mcx.floor_request(7, "sip:b@x")))
    relay.wait_drops(before, no_receiver=1)
    a.send(from_a.protect(mcx.floor_request(7, "sip:a@x")))
    a.send(from_a.protect(mcx.floor_request(8, "sip:a@x")))
    assert mcx.SrtcpReceiver(csk_b.control()).unprotect(b.recv()) == mcx.floor_request(8, "sip:a@x")
    relay.wait_drops(before, ssrc_collision=1)


def test_muxed_rtcp_under_a_csk(relay, clients, name, new_key):
    gmk, csk = new_key(), new_key("csk")
    install(relay, gmk, csk)
    radio, lmr = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", gmk, rtcp="mux",
                                  rtcp_protection={"mode": "srtp", "key": csk.id_text, "domain": "home"}),
                        lmr.leg("lmr", "plain", rtcp="mux", protection={"user": GATEWAY})])
    sender, control = mcx.SrtpSender(gmk.group(ALICE), SSRC), mcx.SrtcpSender(csk.control())
    radio.send(sender.protect(b"media"))
    assert lmr.recv() == sender.last_plain
    report = mcx.sr(SSRC, packets=1, octets=5)
    radio.send(control.protect(report))
    assert lmr.recv() == report
    # the way back: media goes under a fresh SSRC, and so does a report
    receiver = mcx.SrtpReceiver(gmk.group(GATEWAY))
    lmr.send(mcx.sr(0x777, packets=1))
    lmr.send(mcx.rtp(0x777, 0, b"back"))
    report = mcx.SrtcpReceiver(csk.control()).unprotect(radio.recv())
    back = receiver.unprotect(radio.recv())
    assert back.payload == b"back" and back.ssrc != 0x777
    assert report == mcx.sr(back.ssrc, packets=1)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mode", ["plain", "opaque", "srtp"])
def test_every_payload_type_is_media_without_rtcp(relay, clients, name, new_key, mode, family):
    """RFC 5761 forbids 64 to 95 with the marker only where RTCP is muxed."""
    gmk = new_key()
    install(relay, gmk)
    a, b = clients("ran", family), clients("core")
    sender = mcx.SrtpSender(gmk.group(ALICE), SSRC, seq=1000)
    apply(relay, name, [a.leg("a", mode, gmk if mode == "srtp" else None, rtcp="none"),
                        b.leg("b", "opaque" if mode == "opaque" else "plain", rtcp="none")])
    for payload_type in range(128):
        packet = sender.protect(b"voice", payload_type=payload_type, marker=True)
        sent = packet if mode == "srtp" else sender.last_plain
        a.send(sent)
        assert b.recv() == sender.last_plain
    # with the octets of RTCP it is RTCP
    csk, before = new_key("csk"), relay.drops()
    for report in (mcx.rr(1), mcx.sr(1) + mcx.sdes(1, "x"), mcx.app(1, 0), mcx.bye(1)):
        a.send(mcx.SrtcpSender(csk.control()).protect(report) if mode == "srtp" else report)
    relay.wait_drops(before, rtcp_off=4)


def test_rtcp_none_and_media_on_control(relay, clients, name, new_key):
    csk = new_key("csk")
    install(relay, csk)
    a, b = clients("ran"), clients("core")
    apply(relay, name, [a.leg("a", rtcp="none"), b.leg("b", rtcp="none")])
    before = relay.drops()
    a.send(mcx.rr(1))
    assert fence(a, mcx.rtp(1, 1, b"fence"), b) == [mcx.rtp(1, 1, b"fence")]
    relay.wait_drops(before, rtcp_off=1)
    apply(relay, name, [a.leg("a", "srtp", csk, traffic="control"), b.leg("b", "plain", traffic="control")])
    before = relay.drops()
    a.send(mcx.rtp(1, 2, b"media"))
    relay.wait_drops(before, media_on_control=1)


# Statistics

def test_session_statistics(call, relay, new_key):
    c = call(new_key())
    for n in range(10):
        c.say(b"%d" % n)
    c.sender.seq += 5                               # five are lost on the way
    c.say()
    session = relay.call("session.get", {"id": c.name})
    text = str(session)
    assert f"{SSRC:08x}" in text or str(SSRC) in text
    assert c.gmk.value.hex() not in text
