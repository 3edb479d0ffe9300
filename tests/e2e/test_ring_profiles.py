# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""A roll-over that changes the profile: each key of a ring has its own layout and suite, towards receivers, too.

What comes under a key that the receivers have leaves under it, as it came (TS 33.180 5.7), whichever is the newest.
"""

import dataclasses
import itertools

import pytest

import mcx
from lab import apply, install

ALICE = "sip:alice@mcptt.example.org"
GATEWAY = "sip:gateway@lmr.example.org"
SSRC = 0x1b000001
PROFILES = {
    "standard": {},
    "every-tenth-roc": {"roc_rate": 10},
    "no-roc": {"roc_rate": 0},
    "gmk-id": {"mki_length": 4},
    "gmk-id-no-roc": {"mki_length": 4, "roc_rate": 0},
    "gcm-256": {"suite": mcx.GCM_256},
    "cm-80": {"suite": mcx.CM_80},
    "cm-32": {"suite": mcx.CM_32, "mki_length": 4},
}
PAIRS = list(itertools.permutations(PROFILES, 2))


def ring(relay, name, new_key, kind, older, newer):
    """Two keys of a ring, the one that was active before and the one that is sent under."""
    keys = [new_key(kind, **older), new_key(kind, **newer)]
    install(relay, *(key.rpc(groups=[name], activation=n + 1) for n, key in enumerate(keys)))
    return keys


@pytest.mark.parametrize("older, newer", PAIRS, ids=["-then-".join(pair) for pair in PAIRS])
def test_media_stays_as_it_came(relay, clients, name, new_key, older, newer):
    """Alice, who has not turned over, and then has; who names the ring by either key, and the plain side."""
    keys = ring(relay, name, new_key, "gmk", PROFILES[older], PROFILES[newer])
    radio, lmr, *listeners = clients("ran"), clients("core"), clients("core"), clients("ran")
    user = {"user": ALICE}
    apply(relay, name, [radio.leg("radio", "srtp", keys[0], protection=user),
                        lmr.leg("lmr", "plain", protection={"user": GATEWAY}),
                        *(c.leg(f"listener{n}", "srtp", keys[n]) for n, c in enumerate(listeners))], group=name)
    for n, key in enumerate(keys):
        sender = mcx.SrtpSender(key.group(ALICE), SSRC + n, 5)
        for _ in range(20):
            packet = sender.protect(b"as it came")
            radio.send(packet)
            assert [c.recv() for c in listeners] == [packet] * 2
            assert lmr.recv() == sender.last_plain
    for n in range(11):  # what the relay protects itself leaves under the newer one
        lmr.send(mcx.rtp(7, n, b"newest"))
        for c in (radio, *listeners):
            assert mcx.srtp_unprotect(keys[1].group(GATEWAY), c.recv()).payload == b"newest"


@pytest.mark.parametrize("older, newer", [("standard", "gmk-id"), ("gmk-id", "no-roc"), ("every-tenth-roc", "gcm-256")])
def test_layout_is_that_of_the_key_it_leaves_under(relay, clients, name, new_key, older, newer):
    """Alice's radio has another idea of the older key's layout: the receivers get it in the layout of its profile."""
    keys = ring(relay, name, new_key, "gmk", PROFILES[older], PROFILES[newer])
    radio, listener = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", keys[0], protection={"user": ALICE}),
                        listener.leg("listener", "srtp", keys[1])], group=name)
    odd = dataclasses.replace(keys[0], mki_length=4 if keys[0].mki_length == 8 else 8, roc_rate=1)
    sender = mcx.SrtpSender(odd.group(ALICE), SSRC, 5)
    for n in range(20):
        radio.send(sender.protect(b"in order"))
        assert listener.recv() == mcx.srtp_protect(keys[0].group(ALICE), sender.last_plain, 0)


@pytest.mark.parametrize("kind", ["csk", "musik"])
@pytest.mark.parametrize("older, newer", [("standard", "gcm-256"), ("gcm-256", "cm-80"), ("cm-80", "standard")])
def test_control_stays_as_it_came(relay, clients, name, new_key, kind, older, newer):
    """SRTCP under a key of a ring (MuSiK), or under one that the leg accepts as well (CSK)."""
    keys = ring(relay, name, new_key, kind, PROFILES[older], PROFILES[newer])
    radio, other = clients("ran"), clients("core")
    accept = {"accept": [keys[0].id_text]} if kind == "csk" else {}
    apply(relay, name, [c.leg(f"leg{n}", "srtp", keys[1], protection=dict(accept), traffic="control")
                        for n, c in enumerate([radio, other])], group=name)
    for n, key in enumerate(keys):
        packet = mcx.SrtcpSender(key.control()).protect(mcx.floor_request(SSRC + n, ALICE))
        radio.send(packet)
        assert other.recv() == packet


@pytest.mark.parametrize("older, newer", [("standard", "gcm-256"), ("cm-80", "standard"), ("standard", "cm-32")])
def test_renewed_pck_stays_as_it_came(relay, clients, name, new_key, older, newer):
    keys = [new_key("pck", **PROFILES[older]), new_key("pck", **PROFILES[newer])]
    install(relay, *keys)
    caller, callee = clients("ran"), clients("core")
    accept = {"accept": [keys[0].id_text]}
    apply(relay, name, [caller.leg("caller", "srtp", keys[1], protection={"role": "initiator"} | accept),
                        callee.leg("callee", "srtp", keys[1], protection={"role": "receiver"} | accept)], kind="private")
    for n, key in enumerate(keys):
        sender = mcx.SrtpSender(key.private("initiator"), SSRC + n)
        for _ in range(3):
            packet = sender.protect(b"as it came")
            caller.send(packet)
            assert callee.recv() == packet
