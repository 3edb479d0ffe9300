# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""The AES-CM suites of RFC 3711 and RFC 4568: where they differ from AES-GCM, and that nothing else does."""

import dataclasses
import struct

import pytest

import libsrtp
import mcx
from lab import RpcError, apply, fence, install

ALICE = "sip:alice@mcptt.example.org"
GATEWAY = "sip:gateway@lmr.example.org"
SSRC = 0x11223344
CM = pytest.mark.parametrize("suite", mcx.AES_CM)
PAIRS = pytest.mark.parametrize("inner,outer", [
    (inner, outer) for inner in mcx.KEY_LEN for outer in mcx.KEY_LEN if mcx.AES_CM.count(inner) + mcx.AES_CM.count(outer)])


class GroupCall:
    """Alice under a GMK of an AES-CM suite; a listener in plain."""

    def __init__(self, relay, clients, name, gmk, seq=0):
        install(relay, gmk)
        self.relay, self.name = relay, name
        self.radio, self.lmr = clients("ran"), clients("core")
        apply(relay, name, [self.radio.leg("radio", "srtp", gmk, protection={"user": ALICE}),
                            self.lmr.leg("lmr", "plain", protection={"user": GATEWAY})])
        self.sender = mcx.SrtpSender(gmk.group(ALICE), SSRC, seq)

    def say(self, payload=b"voice", **more):
        self.radio.send(self.sender.protect(payload, **more))
        assert self.lmr.recv() == self.sender.last_plain

    def silent_until(self, payload=b"fence"):
        assert fence(self.radio, self.sender.protect(payload), self.lmr) == [self.sender.last_plain]

    def received(self, drops=False):
        """What the radio's leg has received, in numbers that are the same whenever one looks."""
        [radio] = [leg for leg in self.relay.call("session.get", {"id": self.name})["legs"] if leg["id"] == "radio"]
        members = ("packets", "octets", "lost", "ssrcs") + (("drops",) if drops else ())
        return {member: radio["statistics"]["receive"][member] for member in members}


@pytest.fixture
def group_call(relay, clients, name, new_key):
    def make(suite, seq=0, **key):
        return GroupCall(relay, clients, name, new_key(suite=suite, **key), seq)
    return make


# From suite to suite

@PAIRS
@pytest.mark.parametrize("mki_length", [8, 4])
def test_group_from_suite_to_suite(relay, clients, name, new_key, inner, outer, mki_length):
    gmk1 = new_key(suite=inner, mki_length=mki_length)
    gmk2 = new_key(suite=outer, mki_length=12 - mki_length)
    install(relay, gmk1, gmk2)
    radio, partner = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", gmk1, protection={"user": ALICE}),
                        partner.leg("partner", "srtp", gmk2)])
    sender, receiver = mcx.SrtpSender(gmk1.group(ALICE), SSRC, seq=65530), mcx.SrtpReceiver(gmk2.group(ALICE))
    for n in range(20):
        radio.send(sender.protect(b"frame %d" % n, csrc=(1, 2), extension=(0xbede, b"\x10\xff\0\0")))
        assert receiver.unprotect(partner.recv()).packet == sender.last_plain


@PAIRS
@pytest.mark.parametrize("mki_length", [4, 0])
def test_private_call_from_suite_to_suite(relay, clients, name, new_key, inner, outer, mki_length):
    pck1, pck2 = (new_key("pck", suite=suite, mki_length=mki_length) for suite in (inner, outer))
    a, b = clients("ran"), clients("core")
    apply(relay, name, [a.leg("a", "srtp", pck1, protection={"role": "initiator"}),
                        b.leg("b", "srtp", pck2, protection={"role": "receiver"})],
          kind="private", keys=[pck1.rpc(), pck2.rpc()])
    for speaker, listener, role, key, other in ((a, b, "initiator", pck1, pck2), (b, a, "receiver", pck2, pck1)):
        sender, receiver = mcx.SrtpSender(key.private(role), SSRC), mcx.SrtpReceiver(other.private(role))
        for n in range(5):
            speaker.send(sender.protect(b"%d" % n))
            assert receiver.unprotect(listener.recv()).packet == sender.last_plain


@PAIRS
def test_floor_control_from_suite_to_suite(relay, clients, name, new_key, inner, outer):
    csk, musik = new_key("csk", suite=inner), new_key("musik", suite=outer)
    install(relay, csk, musik)
    ends = clients("ran"), clients("core")
    apply(relay, name, [end.leg(f"leg{n}", "srtp", key, traffic="control")
                        for n, (end, key) in enumerate(zip(ends, (csk, musik)))])
    sender, receiver = mcx.SrtcpSender(csk.control()), mcx.SrtcpReceiver(musik.control())
    for encrypt in (True, False, True):
        plain = mcx.floor_request(7, ALICE)
        ends[0].send(sender.protect(plain, encrypt))
        packet = ends[1].recv()
        assert mcx.srtcp_unprotect(musik.control(), packet)[2], "the relay is the sender there, and encrypts"
        assert receiver.unprotect(packet) == plain


@CM
def test_same_key_leaves_as_it_came(relay, clients, name, new_key, suite):
    gmk = new_key(suite=suite)
    install(relay, gmk)
    radio, other = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", gmk), other.leg("other", "srtp", gmk)])
    packet = mcx.SrtpSender(gmk.group(ALICE), SSRC).protect(b"untouched")
    radio.send(packet)
    assert other.recv() == packet


def test_one_key_in_both_suites_is_one_key_stream(relay, clients, name, new_key):
    """_80 and _32 derive the same session key: a plaintext under it has one index, and so one ciphertext."""
    gmk = new_key(suite=mcx.CM_80)
    short = dataclasses.replace(gmk, suite=mcx.CM_32)
    install(relay, gmk)
    lmr, long_tag, short_tag = clients("core"), clients("ran"), clients("ran")
    apply(relay, name, [lmr.leg("lmr", "plain", protection={"user": GATEWAY}),
                        long_tag.leg("long", "srtp", gmk, protection={"user": ALICE}),
                        short_tag.leg("short", "srtp", gmk, protection={"profile": {"suite": mcx.CM_32}})])
    for n in range(5):
        lmr.send(mcx.rtp(7, n, b"frame %d" % n))
        one, other = long_tag.recv(), short_tag.recv()
        assert mcx.srtp_unprotect(gmk.group(GATEWAY), one, 0).payload == b"frame %d" % n
        assert mcx.srtp_unprotect(short.group(GATEWAY), other, 0).payload == b"frame %d" % n
        assert one[:-18] == other[:-12] and len(one) - len(other) == 6
    # what comes under one of them leaves under the other, SSRC and index kept
    sender = mcx.SrtpSender(gmk.group(ALICE), SSRC)
    long_tag.send(sender.protect(b"up"))
    assert lmr.recv() == sender.last_plain
    assert mcx.srtp_unprotect(short.group(ALICE), short_tag.recv(), 0).packet == sender.last_plain


# Peers

@CM
def test_libsrtp_floor_control(relay, clients, name, new_key, suite):
    csk, other = new_key("csk", suite=suite), new_key("csk", suite=suite)
    install(relay, csk, other)
    a, b = clients("ran"), clients("core")
    apply(relay, name, [a.leg("a", "srtp", csk, traffic="control"), b.leg("b", "srtp", other, traffic="control")])
    plain = mcx.floor_request(7, ALICE)
    with libsrtp.control_peer(csk, 7) as out, libsrtp.control_peer(other, 7) as into:
        for _ in range(3):
            a.send(out.protect_rtcp(plain))
            assert into.unprotect_rtcp(b.recv()) == plain


# Rollover counter, replay, forgery

@CM
def test_wrap(group_call, suite):
    c = group_call(suite, seq=65500)
    for n in range(80):
        c.say(b"%d" % n)
    assert c.sender.roc == 1


@CM
def test_replay(group_call, relay, suite):
    c = group_call(suite)
    sent = []
    for n in range(10):
        sent.append(c.sender.protect(b"%d" % n))
        c.radio.send(sent[-1])
        assert c.lmr.recv() == c.sender.last_plain
    before = relay.drops()
    for packet in sent:
        c.radio.send(packet)
    c.silent_until()
    relay.wait_drops(before, replayed=10)


@CM
@pytest.mark.parametrize("mki_length", [8, 0])
def test_every_forged_octet_is_seen(group_call, relay, suite, mki_length):
    """But those of the MKI, which the tag does not cover: they name another key."""
    c = group_call(suite, seq=100, mki_length=mki_length)
    c.say()
    template = mcx.SrtpSender(c.sender.context, SSRC, seq=102).protect(b"forged payload", marker=True)
    tag_at = len(template) - mcx.CM_TAG_LEN[suite, "srtp"]
    mki_at = tag_at - mki_length
    steady = c.received()
    before = relay.drops()
    for offset in range(2, mki_at):                     # not what makes it another kind of packet
        c.radio.send(mcx.flipped(template, offset))
    for offset in range(tag_at, len(template)):
        c.radio.send(mcx.flipped(template, offset, 0x80))
    if mki_length:
        c.radio.send(mcx.flipped(template, mki_at))     # the GMK-ID
    expected = {"auth_fail": mki_at - 2 + len(template) - tag_at} | ({"unknown_mki": 1} if mki_length else {})
    relay.wait_drops(before, **expected)
    assert c.received() == steady
    c.say()


@CM
def test_forged_roc_fails(group_call, relay, suite):
    """The ROC is nowhere in the packet but under its tag."""
    c = group_call(suite, seq=100)
    c.say()
    before = relay.drops()
    c.radio.send(mcx.SrtpSender(c.sender.context, SSRC, seq=101, roc=1).protect(b"another ROC"))
    c.silent_until()
    relay.wait_drops(before, auth_fail=1)


@CM
def test_srtcp_replay_and_forgery(relay, clients, name, new_key, suite):
    csk, other = new_key("csk", suite=suite), new_key("csk")
    install(relay, csk, other)
    a, b = clients("ran"), clients("core")
    apply(relay, name, [a.leg("a", "srtp", csk, traffic="control"), b.leg("b", "srtp", other, traffic="control")])
    sender, receiver = mcx.SrtcpSender(csk.control()), mcx.SrtcpReceiver(other.control())
    packet = sender.protect(mcx.floor_request(7, ALICE))
    a.send(packet)
    receiver.unprotect(b.recv())
    before = relay.drops()
    a.send(packet)
    fresh = sender.protect(mcx.floor_request(7, ALICE))
    mki_at = len(fresh) - 14
    outside = set(range(mki_at, mki_at + 4))
    forged = [offset for offset in range(2, len(fresh)) if offset not in outside]
    for offset in forged:
        # an index that is ahead, not one that was received before
        a.send(mcx.flipped(fresh, offset, 0x10 if offset == mki_at - 1 else 0x01))
    a.send(mcx.flipped(fresh, mki_at - 4, 0x80))        # the E bit
    [got] = fence(a, sender.protect(mcx.app(7, mcx.FLOOR_RELEASE)), b)
    assert receiver.unprotect(got) == mcx.app(7, mcx.FLOOR_RELEASE)
    relay.wait_drops(before, replayed=1, auth_fail=len(forged) + 1)


# Lengths

@CM
def test_shortest_packets(group_call, relay, suite):
    """An empty payload passes; an octet less than header, MKI and tag does not."""
    c = group_call(suite)
    c.say(b"")
    whole = c.sender.protect(b"")
    assert len(whole) == 12 + 8 + mcx.CM_TAG_LEN[suite, "srtp"]
    before = relay.drops()
    c.radio.send(whole[:-1])
    c.silent_until()
    relay.wait_drops(before, srtp_short=1)


@CM
def test_full_mtu_after_protection(relay, clients, name, new_key, suite):
    """The overhead is that of the suite: what just fits goes, an octet more does not."""
    gmk = new_key(suite=suite)
    install(relay, gmk)
    lmr, radio = clients("core"), clients("ran")
    apply(relay, name, [lmr.leg("lmr", "plain", protection={"user": GATEWAY}), radio.leg("radio", "srtp", gmk)])
    room = 1500 - 28 - 12 - 8 - mcx.CM_TAG_LEN[suite, "srtp"]
    before = relay.drops()
    lmr.send(mcx.rtp(7, 0, bytes(room + 1)))
    lmr.send(mcx.rtp(7, 1, bytes(room)))
    packet = radio.recv()
    assert len(packet) == 1500 - 28
    assert mcx.srtp_unprotect(gmk.group(GATEWAY), packet, 0).payload == bytes(room)
    relay.wait_drops(before, larger_than_mtu=1)


# Statistics

@CM
def test_statistics_are_those_of_aes_gcm(relay, clients, new_key, suite):
    found = []
    for number, key in enumerate((new_key(suite=suite), new_key(roc_rate=0))):
        c = GroupCall(relay, clients, f"statistics{number}", key)
        for n in range(10):
            c.say(b"%d" % n)
        lost = c.sender.protect(b"lost")
        c.radio.send(mcx.flipped(lost, 12))
        c.silent_until()
        c.radio.send(lost[:20])
        c.silent_until()
        found.append(c.received(drops=True))
        del found[-1]["octets"]                         # the tags differ
        assert found[-1]["packets"] == 12 and found[-1]["lost"] == 1
        assert found[-1]["drops"] == {"auth_fail": 1, "srtp_short": 1}
    assert found[0] == found[1]


# Control

@CM
def test_roc_rate_is_for_aes_gcm(relay, clients, name, new_key, suite):
    gmk = new_key(suite=suite)
    [rejected] = relay.call("key.install", {"keys": [gmk.rpc(profile={"suite": suite, "roc_rate": 1})]})["rejected"]
    assert rejected["data"]["path"] == "params.keys[0].profile.roc_rate" and "AES-GCM" in rejected["message"]
    install(relay, gmk)
    radio = clients("ran")
    for profile in ({"roc_rate": 5}, {"suite": suite, "roc_rate": 5}):
        with pytest.raises(RpcError) as refused:
            apply(relay, name, [radio.leg("radio", "srtp", gmk, protection={"profile": profile})])
        assert refused.value.path.endswith("protection.profile.roc_rate"), refused.value.path
        assert "AES-GCM" in str(refused.value)
    pck = new_key("pck", suite=suite)
    with pytest.raises(RpcError):
        apply(relay, name, [radio.leg("radio", "srtp", pck, protection={"role": "initiator", "profile": {"roc_rate": 5}})],
              kind="private", keys=[pck.rpc()])
    apply(relay, name, [radio.leg("radio", "srtp", gmk, protection={"profile": {"roc_rate": 0}})])
    # leg.apply, which does not state the session's keys again
    apply(relay, name, [radio.leg("radio", "srtp", pck, protection={"role": "initiator"})], kind="private",
          keys=[pck.rpc()])
    leg = clients("ran").leg("more", "srtp", pck, protection={"role": "receiver", "profile": {"roc_rate": 5}})
    with pytest.raises(RpcError) as refused:
        relay.call("leg.apply", {"session": name, "legs": [leg]})
    assert refused.value.path.endswith("protection.profile.roc_rate"), refused.value.path


def test_gmk_default_has_no_roc(relay, clients, name, new_key):
    """Also where the leg, not the key, chooses the suite."""
    gmk = new_key()
    assert gmk.roc_rate == 1
    cm = dataclasses.replace(gmk, suite=mcx.CM_80, roc_rate=0)
    install(relay, gmk)
    lmr, radio = clients("core"), clients("ran")
    apply(relay, name, [lmr.leg("lmr", "plain", protection={"user": GATEWAY}),
                        radio.leg("radio", "srtp", gmk, protection={"profile": {"suite": mcx.CM_80}})])
    leg = next(found for found in relay.call("session.get", {"id": name})["legs"] if found["id"] == "radio")
    assert leg["protection"]["profile"] == {"suite": mcx.CM_80, "mki_length": 8, "roc_rate": 0}
    lmr.send(mcx.rtp(7, 0, b"down"))
    packet = radio.recv()
    assert len(packet) == 12 + 4 + 8 + 10
    assert mcx.srtp_unprotect(cm.group(GATEWAY), packet, 0).payload == b"down"
    sender = mcx.SrtpSender(cm.group(ALICE), SSRC)
    radio.send(sender.protect(b"up"))
    assert lmr.recv() == sender.last_plain


# The second opinion itself

def test_packet_of_libsrtp_and_rfc3711():
    """RFC 3711 B.3's master key, and the packet that libsrtp2 validates itself with."""
    key = bytes.fromhex("e1f97a0d3e018be0d64fa32c06de4139")
    salt = bytes.fromhex("0ec675ad498afeebb6960b3aabe6")
    context = mcx.context_of_master(key, salt, suite=mcx.CM_80)
    assert context.session_salt.hex() == "30cbbc08863d8c85d49db34a9ae1"
    assert context.auth_key.hex() == "cebe321f6ff7716b6fd4ab49af256a156d38baa4"
    plain = bytes.fromhex("800f1234decafbadcafebabe") + b"\xab" * 16
    packet = bytes.fromhex("800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb")
    assert mcx.srtp_protect(context, plain, 0) == packet
    assert mcx.srtp_unprotect(context, packet).packet == plain


def test_key_stream_of_rfc3711():
    """RFC 3711 B.2."""
    key, salt = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"), bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfd")
    assert mcx.cm_crypt(key, salt, 0, 0, bytes(48)).hex() == (
        "e03ead0935c95e80e166b16dd92b4eb4" "d23513162b02d0f72a43a2fe4a5f97ab" "41e95b3bb0a2e8dd477901e4fca894c0")


@CM
def test_client_refuses_what_is_forged(suite):
    context = mcx.RootKey("gmk", 0x0a1b2c3d, bytes(16), bytes(16), suite).group(ALICE)
    packet = mcx.SrtpSender(context, SSRC).protect(b"payload")
    for offset in range(2, len(packet)):
        with pytest.raises((mcx.BadTag, mcx.BadMki)):
            mcx.srtp_unprotect(context, mcx.flipped(packet, offset), 0)
    control = mcx.SrtcpSender(context).protect(mcx.floor_request(7, ALICE))
    for offset in range(len(control)):
        with pytest.raises((mcx.BadTag, mcx.BadMki)):
            mcx.srtcp_unprotect(context, mcx.flipped(control, offset))
    assert mcx.srtcp_unprotect(context, control)[1] == struct.unpack(">I", control[-22:-18])[0] & ~mcx.E_BIT


def test_one_key_in_two_suites_around_another(relay, clients, name, new_key):
    """Both suites derive one session key, so a packet's index is claimed once for both, whoever stands between them."""
    gmk, other = new_key(suite=mcx.CM_80), new_key()
    install(relay, gmk, other)
    radios, plain = [clients("ran") for _ in range(3)], clients("core")
    apply(relay, name, [radios[0].leg("a", "srtp", gmk), radios[1].leg("b", "srtp", other),
                        radios[2].leg("c", "srtp", gmk, protection={"profile": {"suite": mcx.CM_32}}),
                        plain.leg("plain", "plain", protection={"user": GATEWAY})])
    contexts = [gmk.group(GATEWAY), other.group(GATEWAY), dataclasses.replace(gmk, suite=mcx.CM_32).group(GATEWAY)]
    for n in range(3):
        plain.send(mcx.rtp(77, n, b"for all"))
        for radio, context in zip(radios, contexts):
            assert mcx.srtp_unprotect(context, radio.recv(), 0).payload == b"for all"
