# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""A telephone nobody of us wrote on either end of the relay."""

import socket

import pytest

import gstreamer
import mcx
from lab import apply, install

ALICE = "sip:alice@mcptt.example.org"
SSRC = 4660
SUITES = pytest.mark.parametrize("suite", list(mcx.KEY_LEN))


@SUITES
def test_srtpenc_to_plain(relay, lab, clients, name, new_key, suite):
    gmk = new_key(suite=suite, roc_rate=0)
    install(relay, gmk)
    radio, lmr = clients("ran"), clients("core")
    leg = radio.leg("radio", "srtp", gmk)
    apply(relay, name, [leg, lmr.leg("lmr", "plain")])
    host, port, own_port = radio.relay_host, radio.relay_port, radio.port
    radio.close()  # GStreamer speaks from this port
    lab.execute("ran", "gst-launch-1.0", "-q",
                *gstreamer.sender(gmk, ALICE, host, port, own_port, SSRC, 65530, 20).split())
    packets = [mcx.parse_rtp(lmr.recv()) for _ in range(20)]
    assert [p.seq for p in packets] == [(65530 + n) & 0xffff for n in range(20)]
    assert {p.ssrc for p in packets} == {SSRC} and {p.header[1] & 0x7f for p in packets} == {8}


@SUITES
def test_reencrypted_to_srtpdec(relay, lab, clients, name, new_key, suite):
    gmk1, gmk2 = new_key(), new_key(suite=suite, roc_rate=0)
    install(relay, gmk1, gmk2)
    radio, partner = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", gmk1, protection={"user": ALICE}),
                        partner.leg("partner", "srtp", gmk2)])
    own_port = partner.port
    partner.close()
    with lab.socket("core", socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.bind((partner.host, 0))
        text = gstreamer.receiver(gmk2, ALICE, partner.host, own_port, SSRC, out.getsockname()[1])
        with gstreamer.Pipeline(lab, "core", text):
            sender = mcx.SrtpSender(gmk1.group(ALICE), SSRC, seq=65530)
            for n in range(20):
                radio.send(sender.protect(bytes([n]) * 160, payload_type=8))
                assert out.recv(2048) == sender.last_plain
