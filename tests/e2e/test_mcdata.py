# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""MCData payloads (TS 33.180 8.5): what the relay protects a client reads, and the other way round."""

import base64
import itertools
import os
import time

import pytest

import mcdata
import mcx
from lab import Relay, RpcError, install

PARAMS, NOT_FOUND, CONFLICT, REFUSED, MESSAGE_REFUSED = -32602, 1, 2, 4, 6
PROTECTED = 0x40
NAMES = {1: "dp-aes-128-gcm", 2: "dp-aes-256-gcm"}


def text(octets):
    return base64.b64encode(octets).decode()


@pytest.fixture
def key_of(relay, new_key):
    """Makes keys that are installed."""
    def make(kind, value_len=16, **more):
        key = new_key(kind)
        key.value = os.urandom(value_len)
        install(relay, key.rpc() | more)
        return key
    return make


def protect(relay, key, plaintext, **more):
    params = {"key": key.id_text, "domain": key.domain, "plaintext": text(plaintext), "message_type": 0x41} | more
    return base64.b64decode(relay.call("mcdata.protect", params)["protected"])


def unprotect(relay, octets, domain="home"):
    return relay.call("mcdata.unprotect", {"protected": text(octets), "domain": domain})


def error_of(call, *args, **more):
    with pytest.raises(RpcError) as caught:
        call(*args, **more)
    return caught.value.code, caught.value.path, caught.value.data.get("reason")


@pytest.mark.parametrize("kind", ["gmk", "pck", "csk", "spk", "musik"])
@pytest.mark.parametrize("algorithm, value_len", itertools.product(NAMES, (16, 32)))
def test_what_is_protected_a_client_reads(relay, key_of, kind, algorithm, value_len):
    """And the relay reads what the client protects, with a signalling algorithm and without."""
    key, plaintext = key_of(kind, value_len), os.urandom(77)
    for signalling in (None, 1, 2):
        stated = {"signalling_algorithm": NAMES[signalling]} if signalling else {}
        octets = protect(relay, key, plaintext, algorithm=NAMES[algorithm], message_type=0xc5, payload_id="0a0B0c0d",
                         sequence=200, **stated)
        fields, read = mcdata.unprotect(key.value, octets, signalling is not None)
        assert read == plaintext and abs(fields.pop("time") - time.time()) < 60
        assert fields == {"type": 0xc5, "payload_id": "0a0b0c0d", "sequence": 200, "algorithm": algorithm, "iei": 0,
                          "key": key.id, "signalling": signalling}
        octets = mcdata.protect(key.value, key.id, plaintext, algorithm, 0x45, 0x01020304, 7, bytes([signalling] if signalling else []),
                                0x78, 1796000000)
        assert unprotect(relay, octets, key.domain) == {
            "plaintext": text(plaintext), "key": key.id_text, "type": 0x45, "time": 1796000000, "payload_id": "01020304",
            "sequence": 7, "algorithm": NAMES[algorithm]} | stated


@pytest.mark.parametrize("length", [0, 1, 65519])
def test_lengths(relay, key_of, length):
    key, plaintext = key_of("pck"), os.urandom(length)
    octets = protect(relay, key, plaintext)
    assert mcdata.unprotect(key.value, octets)[1] == plaintext
    assert unprotect(relay, octets)["plaintext"] == text(plaintext)


def test_no_iv_comes_twice(relay, key_of):
    key = key_of("csk")
    ivs = {protect(relay, key, b"same")[12:44] for _ in range(100)}
    assert len(ivs) == 100


def test_one_octet_changed_anywhere(relay, key_of):
    """Refused, whatever it is: the fields are authenticated, but for the IEI (8.5.4.2)."""
    key = key_of("pck")
    octets = mcdata.protect(key.value, key.id, b"some text")
    iei = 12 + 16 + 4
    assert unprotect(relay, octets[:iei] + b"\x01" + octets[iei + 1:])["plaintext"] == text(b"some text")
    codes = set()
    for at in range(len(octets)):
        if at != iei:
            changed = octets[:at] + bytes([octets[at] ^ 0x04]) + octets[at + 1:]
            code, path, reason = error_of(unprotect, relay, changed)
            assert path == "params.protected"
            codes.add((code, reason))
    assert codes == {(MESSAGE_REFUSED, "tag"), (MESSAGE_REFUSED, "malformed"), (NOT_FOUND, None)}
    for length in range(len(octets)):
        assert error_of(unprotect, relay, octets[:length])[:2] == (MESSAGE_REFUSED, "params.protected")
    assert error_of(unprotect, relay, octets + b"\0") == (MESSAGE_REFUSED, "params.protected", "malformed")


def test_what_may_not_be_protected(relay, key_of, new_key):
    """8.5.1: message types without bit 7. 8.5.2.1: keys of other kinds; and those that cannot be used."""
    key = key_of("pck")
    assert error_of(protect, relay, key, b"x", message_type=0x81)[:2] == (PARAMS, "params.message_type")
    assert error_of(protect, relay, new_key("pck"), b"x")[:2] == (NOT_FOUND, "params.key")
    assert error_of(protect, relay, key, b"x", domain="elsewhere")[:2] == (NOT_FOUND, "params.key")
    for kind in ("mkfc", "mscck"):
        other = key_of(kind)
        assert error_of(protect, relay, other, b"x")[:2] == (REFUSED, "params.key")
        assert error_of(unprotect, relay, mcdata.protect(other.value, other.id, b"x"))[:2] == (REFUSED, "params.protected")
    pending = key_of("pck", activation=1 << 39)
    assert error_of(protect, relay, pending, b"x")[:2] == (REFUSED, "params.key")
    octets = mcdata.protect(key.value, key.id, b"x", message_type=0x05)
    assert error_of(unprotect, relay, octets) == (MESSAGE_REFUSED, "params.protected", "malformed")


@pytest.mark.parametrize("member, value", [
    ("plaintext", "????"), ("plaintext", "AAA"), ("plaintext", 65520), ("key", "1"), ("message_type", 256),
    ("message_type", None), ("payload_id", "123"), ("sequence", 256), ("algorithm", "aes"), ("signalling_algorithm", "none"),
    ("domain", ""), ("colour", "red")])
def test_params_that_are_wrong(relay, key_of, member, value):
    value = text(bytes(value)) if (member, value) == ("plaintext", 65520) else value
    params = {"key": key_of("pck").id_text, "plaintext": text(b"x"), "message_type": 0x41} | {member: value}
    assert error_of(relay.call, "mcdata.protect", params)[:2] == (PARAMS, f"params.{member}")


def test_the_algorithm_is_chosen_as_configured(relay):
    """The server's choice of what a client offers, and whether that is another than the client's."""
    def select(offered, **more):
        return relay.call("mcdata.select", {"offered": offered} | more)

    both = ["dp-aes-128-gcm", "dp-aes-256-gcm"]
    assert select(both, selected="dp-aes-128-gcm") == {"algorithm": "dp-aes-256-gcm", "change": True}
    assert select(both, selected="dp-aes-256-gcm") == {"algorithm": "dp-aes-256-gcm", "change": False}
    assert select(["other", both[0]], selected=both[0]) == {"algorithm": "dp-aes-128-gcm", "change": False}
    assert select([both[0]]) == {"algorithm": "dp-aes-128-gcm", "change": True}
    assert error_of(select, ["other"])[:2] == error_of(select, [])[:2] == (CONFLICT, "params.offered")
    assert error_of(select, both[0])[:2] == (PARAMS, "params.offered")
    assert error_of(select, [both[0], 7])[:2] == (PARAMS, "params.offered[1]")


def test_the_configured_order(lab, new_key):
    with Relay(lab, options='mikey = { mcdata = [ "dp-aes-128-gcm" ]; };\n') as relay:
        both = ["dp-aes-256-gcm", "dp-aes-128-gcm"]
        assert relay.call("mcdata.select", {"offered": both, "selected": both[0]}) == {
            "algorithm": "dp-aes-128-gcm", "change": True}
        key = mcx.RootKey("pck", 0x10000001, os.urandom(16), os.urandom(16))
        install(relay, key)
        assert mcdata.unprotect(key.value, protect(relay, key, b"x"))[0]["algorithm"] == 1
