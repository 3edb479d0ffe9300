# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Crypto devices: which packets they do, in the order of which stream, and what is left of a key in them."""

import pytest

import lab as lab_module
import mcx
import test_invariants
from lab import Client, Relay, apply, install
from test_metrics import ADDRESS, Scrape

ALICE = "sip:alice@mcptt.example.org"
GATEWAY = "sip:gateway@lmr.example.org"
SMALL = {"keys": 1000, "sessions": 100, "legs": 100, "streams": 1000}
SSRC = 0x11223344
PACKETS = 200
LONG_HEADER_EVERY = 5  # packets: with an extension, which a device's session does not know
DEVICES = "crypto_aesni_gcm0", "crypto_aesni_mb0", "crypto_openssl0"


@pytest.fixture(scope="module")
def own_lab():
    with lab_module.Lab() as lab:
        yield lab


@pytest.fixture(scope="module", params=DEVICES)
def device(own_lab, request):
    options = f'metrics = {{ listen = "{ADDRESS[0]}:{ADDRESS[1]}"; }};\n'
    with Relay(own_lab, cipher=f"cryptodev:{request.param}", limits=SMALL, families=(4,), options=options) as made:
        assert made.call("relay.info")["cipher"] == f"cryptodev:{request.param}"
        yield made


@pytest.fixture
def call(device, own_lab, new_key):
    """Alice and a dispatcher under keys of their own."""
    with Client(own_lab, "ran") as radio, Client(own_lab, "core") as other:
        keys = new_key(), new_key()
        install(device, keys[0].rpc(users=[ALICE]), keys[1])
        apply(device, "call", [radio.leg("radio", "srtp", keys[0]),
                               other.leg("other", "srtp", keys[1])])
        yield radio, other, keys
    device.clear()


def clear(context, packet):
    got = mcx.srtp_unprotect(context, packet)
    return got.header + got.payload


def operations(lab):
    scrape = Scrape(lab)
    assert scrape.total("mcxrelay_cryptodev_stalled") == 0
    return [scrape.total(f"mcxrelay_cryptodev_{name}_total") for name in ("operations", "direct_operations")]


def test_device_and_worker_share_a_stream_in_order(device, own_lab, call):
    radio, other, keys = call
    sender = mcx.SrtpSender(keys[0].group(ALICE), SSRC)
    radio.send(sender.protect(b"her contexts are derived"))
    other.recv()
    before, sent = operations(own_lab), []
    for n in range(PACKETS):
        extension = (0xbede, b"\x10\x01\x00\x00") if n % LONG_HEADER_EVERY == 0 else None
        radio.send(sender.protect(b"packet %d" % n, extension=extension))
        sent.append(sender.last_plain)
    receiver = keys[1].group(ALICE)
    assert [clear(receiver, other.recv()) for _ in range(PACKETS)] == sent
    by_device, direct = (now - then for now, then in zip(operations(own_lab), before))
    assert direct == 2 * PACKETS // LONG_HEADER_EVERY
    assert by_device >= 2 * (PACKETS - PACKETS // LONG_HEADER_EVERY)


def test_forged_packet_is_dropped(device, call):
    radio, other, keys = call
    sender = mcx.SrtpSender(keys[0].group(ALICE), SSRC)
    radio.send(sender.protect(b"the first"))
    other.recv()
    before = device.drops()
    packet = sender.protect(b"a packet")
    radio.send(mcx.flipped(packet, 20))
    device.wait_drops(before, auth_fail=1)
    radio.send(packet)
    assert clear(keys[1].group(ALICE), other.recv()) == sender.last_plain


def test_no_octet_of_a_key_after_revoke(device, own_lab, new_key):
    gmk = new_key()
    patterns = test_invariants.group_octets(gmk, ALICE, GATEWAY)
    install(device, gmk)
    with Client(own_lab, "ran") as radio, Client(own_lab, "core") as lmr:
        apply(device, "group", [radio.leg("radio", "srtp", gmk),
                                lmr.leg("lmr", "plain", protection={"user": GATEWAY})])
        sender = mcx.SrtpSender(gmk.group(ALICE), SSRC)
        radio.send(sender.protect(b"to the relay"))
        assert lmr.recv() == sender.last_plain
        assert test_invariants.find(device, patterns)
        test_invariants.revoke(device, gmk)
        assert not test_invariants.find(device, patterns)
    device.clear()
