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
MANY = 6000  # private calls, of four key contexts each: more than there is memory for
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


class ShortOfMemory(lab_module.Relay):
    """The EAL has memory for packets, and for the sessions of some thousand key contexts."""

    def config_text(self):
        text = super().config_text()
        assert text.count('"-m", "1024"') == 1
        return text.replace('"-m", "1024"', '"-m", "72"')


def test_keys_for_which_there_is_no_memory(own_lab, new_key):
    """They are not derived, the log says what to do, and those that were there before serve on."""
    limits = {"keys": 10 * MANY, "sessions": 2 * MANY, "legs": 4 * MANY, "streams": 1000}
    with ShortOfMemory(own_lab, cipher="cryptodev:crypto_aesni_gcm0", limits=limits, families=(4,)) as relay, \
            Client(own_lab, "ran") as radio, Client(own_lab, "core") as other:
        keys = new_key(), new_key()
        install(relay, keys[0].rpc(users=[ALICE]), keys[1])
        apply(relay, "call", [radio.leg("radio", "srtp", keys[0]), other.leg("other", "srtp", keys[1])])
        sender, receiver = mcx.SrtpSender(keys[0].group(ALICE), SSRC), keys[1].group(ALICE)

        def says():
            radio.send(sender.protect(b"she is heard"))
            return clear(receiver, other.recv()) == sender.last_plain

        assert says()
        sessions = []
        while "key_not_derived" not in relay.log_text():
            more = [private_call(radio, n) for n in range(len(sessions), len(sessions) + 500)]
            assert len(sessions) < MANY
            relay.control.call_many("session.apply", more, size=100)
            sessions += more
        assert 'reason="no memory; sessions of a crypto device need more' in relay.log_text()
        assert relay.log_text().count("sym_session_pool_create() line") <= 1  # DPDK's own refusal is not provoked each time
        assert says()
        relay.call("session.remove", {"ids": [one["session"]["id"] for one in sessions]})
        pck = new_key("pck")
        with Client(own_lab, "ran") as caller, Client(own_lab, "core") as called:
            legs = [caller.leg("caller", "srtp", pck, protection={"role": "initiator"}), called.leg("called", "plain")]
            apply(relay, "after", legs, kind="private", keys=[pck.rpc()])
            caller.send(mcx.SrtpSender(pck.private("initiator"), SSRC).protect(b"there is room again"))
            assert called.recv()[12:] == b"there is room again"


def private_call(radio, number):
    """params of session.apply: two protected legs with a PCK of their own, on one UDP address of the relay each."""
    key = {"id": f"{1 << 28 | number:08x}", "value": f"{number:032x}", "rand": f"{number:032x}"}
    legs = [{"id": role, "port": "ran", "local": f"{radio.relay_host}:{30000 + 4 * number + n}",
             "remote": f"{radio.host}:{9000 + n}", "protection": {"mode": "srtp", "key": key["id"], "role": role}}
            for n, role in ((0, "initiator"), (2, "receiver"))]
    return {"session": {"id": f"private-{number}", "service": "mcptt", "type": "private", "keys": [key], "legs": legs}}
