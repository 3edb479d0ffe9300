# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""What follows the tag has no length on the wire: MKI of 8, 4 or 0 octets, ROC or none (TS 33.180 7.4.2, RFC 4771).

A peer may have another idea of it than the key's profile. Of each kind: what was sent, what the profile says, what else
the last octets could be.
"""

import dataclasses
import itertools

import pytest

import mcx
from lab import Client, apply, fence, install, wait_for

ALICE = "sip:alice@mcptt.example.org"
BOB = "sip:bob@mcptt.example.org"
SSRC = 0x1a000001
SENT = list(itertools.product((8, 4), (1, 0)))
STATED = list(itertools.product((8, 4, 0), (1, 10, 0)))


def sender_of(key, user, ssrc, mki_length, roc_rate, seq=0, roc=0):
    """Who has another idea of the layout than the profile that was stated."""
    own = dataclasses.replace(key, mki_length=mki_length, roc_rate=roc_rate)
    return mcx.SrtpSender(own.group(user), ssrc, seq, roc)


@pytest.mark.parametrize("roc", [0, 5, 0x00012345, 0x0fffffff, 0xfffffff0])
@pytest.mark.parametrize("stated", STATED, ids=lambda s: f"stated-{s[0]}-{s[1]}")
@pytest.mark.parametrize("family", [4, 6])
def test_layout_sent_and_stated(relay, lab, name, new_key, stated, family, roc):
    """Each combination is heard, the first packet, too: those without ROC from the second on, where it is not 0."""
    for n, (mki_length, roc_rate) in enumerate(SENT):
        key = new_key("gmk", mki_length=stated[0], roc_rate=stated[1])
        install(relay, key)
        with Client(lab, "ran", family) as radio, Client(lab, "core", family) as lmr:
            apply(relay, name, [radio.leg("radio", "srtp", key, protection={"user": ALICE}), lmr.leg("lmr", "plain")])
            sender = sender_of(key, ALICE, SSRC + n, mki_length, roc_rate, 19, roc if roc_rate else 0)
            for _ in range(12):
                radio.send(sender.protect(b"heard"))
                assert lmr.recv() == sender.last_plain, (mki_length, roc_rate)


@pytest.mark.parametrize("stated", [(8, 0), (8, 1), (4, 1), (4, 0)], ids=str)
@pytest.mark.parametrize("users", [None, [ALICE, BOB]], ids=["open", "closed"])
def test_another_talker_of_the_leg(relay, clients, name, new_key, stated, users):
    """Alice, whom the leg names, and then Bob, whose GUK-ID is where her ROC was, both with one SSRC; a burst of each."""
    key = new_key("gmk", mki_length=stated[0], roc_rate=stated[1])
    install(relay, key.rpc(users=users) if users else key)
    radio, lmr = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", key, protection={"user": ALICE}), lmr.leg("lmr", "plain")])
    alice = sender_of(key, ALICE, SSRC, 4, 1, 65530, 3)
    bob = sender_of(key, BOB, SSRC, 8, 0, 100)
    for count in (20, 1, 20):
        for sender in (alice, bob):
            said = []
            for _ in range(count):
                radio.send(sender.protect(b"in order"))
                said.append(sender.last_plain)
            assert lmr.recv_many(count) == said


@pytest.mark.parametrize("mki_length, roc_rate", SENT)
@pytest.mark.parametrize("stated", STATED, ids=str)
def test_roc_with_the_value_of_the_id(relay, clients, name, new_key, stated, mki_length, roc_rate):
    """The longest layout that fits is meant; four octets of GMK-ID, four of ROC, the same."""
    key = dataclasses.replace(new_key("gmk", mki_length=stated[0], roc_rate=stated[1]), id=0x00000007)
    radio, lmr = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", protection={"user": ALICE, "key": key.id_text}),
                        lmr.leg("lmr", "plain")], keys=[key.rpc()])
    sender = sender_of(key, ALICE, SSRC, mki_length, roc_rate, 3, 7 if roc_rate else 0)
    for _ in range(3):
        radio.send(sender.protect(b"seven"))
        assert lmr.recv() == sender.last_plain


def test_roc_with_the_value_of_another_key_of_the_ring(relay, clients, name, new_key):
    """The ROC is the id of a key that is looked at first."""
    older = dataclasses.replace(new_key("gmk"), id=0x00000009)
    newer = dataclasses.replace(new_key("gmk", mki_length=4, roc_rate=0), id=0x00000008)
    radio, lmr = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", protection={"user": ALICE, "key": older.id_text}),
                        lmr.leg("lmr", "plain")],
          keys=[older.rpc(groups=[name], activation=1), newer.rpc(groups=[name], activation=2)])
    sender = mcx.SrtpSender(older.group(ALICE), SSRC, 1, 8)
    for _ in range(3):
        radio.send(sender.protect(b"eight"))
        assert lmr.recv() == sender.last_plain


@pytest.mark.parametrize("suite", [mcx.GCM_256, mcx.CM_80, mcx.CM_32])
@pytest.mark.parametrize("stated", [8, 4, 0])
@pytest.mark.parametrize("sent", [8, 4])
def test_layouts_of_other_suites(relay, clients, name, new_key, suite, stated, sent):
    """With AES-CM the tag comes after the MKI, and there is no ROC."""
    key = new_key("gmk", suite=suite, mki_length=stated)
    install(relay, key)
    radio, lmr = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", key, protection={"user": ALICE}), lmr.leg("lmr", "plain")])
    sender = sender_of(key, ALICE, SSRC, sent, 0 if suite in mcx.AES_CM else 1)
    for _ in range(3):
        radio.send(sender.protect(b"as long"))
        assert lmr.recv() == sender.last_plain


@pytest.mark.parametrize("kind", ["pck", "gmk"])
@pytest.mark.parametrize("stated", [4, 0])
def test_layout_of_muxed_control(relay, clients, name, new_key, kind, stated):
    """SRTCP of a media leg has no ROC; its MKI may be there where the profile has none."""
    key = new_key(kind, mki_length=stated)
    install(relay, key)
    radio, lmr = clients("ran"), clients("core")
    protection = {"user": ALICE} if kind == "gmk" else {"role": "initiator"}
    apply(relay, name, [radio.leg("radio", "srtp", key, protection=protection), lmr.leg("lmr", "plain")])
    own = dataclasses.replace(key, mki_length=4)
    context = own.group(ALICE) if kind == "gmk" else own.private("initiator")
    sender = mcx.SrtcpSender(context)
    radio.send(sender.protect(mcx.rr(SSRC)))
    assert lmr.recv() == mcx.rr(SSRC)


@pytest.mark.parametrize("stated", [(8, 1), (4, 1)], ids=str)
@pytest.mark.parametrize("users", [None, [ALICE]], ids=["open", "closed"])
def test_forged_packets_with_two_readings(relay, clients, name, new_key, stated, users):
    """Neither tag matches: each is dropped once, and whom the leg names goes on."""
    key = new_key("gmk", mki_length=stated[0], roc_rate=stated[1])
    install(relay, key.rpc(users=users) if users else key)
    radio, lmr = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", key, protection={"user": ALICE}), lmr.leg("lmr", "plain")])
    alice = sender_of(key, ALICE, SSRC, 4, 1)
    radio.send(alice.protect(b"first"))
    assert lmr.recv() == alice.last_plain
    before = relay.drops()
    forger = sender_of(key, ALICE, 9, 4, 1)
    for n in range(200):
        radio.send(mcx.flipped(forger.protect(b"forged"), 20))
        if n % 20 == 0:
            assert fence(radio, alice.protect(b"goes on"), lmr) == [alice.last_plain]
    new = wait_for(lambda: relay.refused_since(before), lambda drops: drops.total() >= 200, "drops")
    # Where the profile expects a GUK-ID, that of nobody is one.
    assert new.total() == 200 and set(new) <= {"auth_fail", *(["unknown_user"] if users and stated[0] == 8 else [])}, new
