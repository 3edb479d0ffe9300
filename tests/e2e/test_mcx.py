# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Known answers for the test kit itself: a wrong second opinion would be worth nothing."""

import pytest

import mcx
from vectors import sections


def octets(v, key):
    return bytes.fromhex(v[key])


def number(v, key):
    return int(v[key], 16)


def test_mikey_prf():
    for name, v in sections("mikey_prf"):
        if name.startswith("prf_split"):
            out = mcx.mikey_prf(octets(v, "inkey"), octets(v, "label"), int(v["outkey_bits"]) // 8)
            assert out == octets(v, "outkey"), name
            continue
        args = octets(v, "tgk"), number(v, "cs_id"), number(v, "csb_id"), octets(v, "rand")
        assert mcx.master_key(*args) == octets(v, "master_key"), name
        assert mcx.master_salt(*args) == octets(v, "master_salt"), name
        assert mcx.master_salt(*args, 14) == octets(v, "master_salt_112"), name


def test_guk_id():
    for name, v in sections("gukid"):
        assert mcx.guk_id(octets(v, "gmk"), number(v, "gmk_id"), v["uri_ascii"]) == number(v, "guk_id"), name


def test_srtp_kdf():
    labels = {"srtp_key": 0, "srtp_salt": 2, "srtcp_key": 3, "srtcp_salt": 5}
    for name, v in sections("srtp_kdf"):
        key, salt = octets(v, "master_key"), octets(v, "master_salt")
        for member, value in v.items():
            label = labels.get(member)
            if member.startswith("label_"):
                label = int(member.split("_")[1], 16)
            if label is None:
                continue
            want = bytes.fromhex(value)
            assert mcx.srtp_kdf(key, salt, label, len(want)) == want, (name, member)


def master_context(v, roc_rate=0):
    return mcx.context_of_master(octets(v, "master_key"), octets(v, "master_salt"), octets(v, "mki"), roc_rate)


def test_srtp_packets():
    found = [(n, v) for n, v in sections("e2e_packets") if "srtp" in v]
    assert found
    for name, v in found:
        context = master_context(v, int(v.get("rcc_rate", 0)))
        roc = number(v, "roc")
        assert context.session_key == octets(v, "session_key"), name
        assert mcx.srtp_protect(context, octets(v, "rtp"), roc) == octets(v, "srtp"), name
        assert mcx.srtp_unprotect(context, octets(v, "srtp"), roc).packet == octets(v, "rtp"), name


def test_srtp_root_keys():
    for name, v in sections("e2e_packets"):
        if "gmk" in v:
            gmk = mcx.RootKey("gmk", number(v, "gmk_id"), octets(v, "gmk"), octets(v, "rand"))
            context = gmk.group(v["tx_uri"])
        elif "pck" in v:
            pck = mcx.RootKey("pck", number(v, "pck_id"), octets(v, "pck"), octets(v, "rand"))
            context = pck.private("initiator" if number(v, "cs_id") == 0 else "receiver")
        else:
            kind = "csk" if number(v, "cs_id") == 6 else "musik"
            context = mcx.RootKey(kind, number(v, "key_id"), octets(v, "key"), octets(v, "rand")).control()
            assert context.srtcp_key == octets(v, "srtcp_key"), name
            assert context.srtcp_salt == octets(v, "srtcp_salt"), name
            continue
        assert context.session_key == octets(v, "session_key"), name
        assert context.session_salt == octets(v, "session_salt"), name
        assert context.mki == octets(v, "mki"), name


def test_srtcp_packets():
    for name, v in sections("e2e_packets"):
        if "srtcp" not in v:
            continue
        context = master_context(v)
        encrypt = "authonly" not in name
        index = number(v, "srtcp_index")
        assert mcx.srtcp_protect(context, octets(v, "rtcp"), index, encrypt) == octets(v, "srtcp"), name
        assert mcx.srtcp_unprotect(context, octets(v, "srtcp")) == (octets(v, "rtcp"), index, encrypt), name


def test_floor_control():
    found = dict(sections("floor_control"))
    v = found.pop("csk_context")
    context = mcx.context_of_master(octets(v, "master_key"), octets(v, "master_salt"), number(v, "csk_id").to_bytes(4, "big"))
    for name, v in found.items():
        plain, index, encrypted = mcx.srtcp_unprotect(context, octets(v, "srtcp"))
        assert (plain, index, encrypted) == (octets(v, "rtcp"), number(v, "srtcp_index"), True), name
        assert mcx.srtcp_protect(context, plain, index) == octets(v, "srtcp"), name
    request = octets(found["floor_request"], "rtcp")
    assert mcx.floor_request(0x11223344, "sip:alice@mcptt.example.org") == request


GMK = mcx.RootKey("gmk", 0x0a1b2c3d, bytes(range(16)), bytes(range(16, 32)))


def test_receiver_follows_wrap_and_late_entry():
    context = GMK.group("sip:a@x")
    context.roc_rate = 10
    sender = mcx.SrtpSender(context, 1, seq=65526, roc=5)
    receiver = mcx.SrtpReceiver(context)
    first = [sender.protect(b"x") for _ in range(4)]
    for packet in first:  # 65526 .. 65529: no ROC carried, so ROC 0 is tried
        with pytest.raises(mcx.BadTag):
            receiver.unprotect(packet)
    for n in range(20):
        packet = receiver.unprotect(sender.protect(b"%d" % n))
        assert packet.payload == b"%d" % n
    assert packet.roc == 6


def test_every_changed_octet_is_seen():
    context = GMK.group("sip:a@x")
    sender = mcx.SrtpSender(context, 0x11223344, seq=9)
    packet = sender.protect(b"voice", csrc=[1, 2], extension=(0xbede, b"\x10\xff\0\0"), padding=4)
    for offset in range(len(packet) - 4):  # the ROC is not authenticated
        with pytest.raises((mcx.BadTag, mcx.BadMki, ValueError)):
            mcx.srtp_unprotect(context, mcx.flipped(packet, offset), 0)
    assert mcx.SrtpReceiver(context).unprotect(packet).packet == sender.last_plain


def test_receiver_refuses_replay():
    context = GMK.group("sip:a@x")
    packet = mcx.SrtpSender(context, 1).protect(b"once")
    receiver = mcx.SrtpReceiver(context)
    receiver.unprotect(packet)
    with pytest.raises(mcx.Replayed):
        receiver.unprotect(packet)
