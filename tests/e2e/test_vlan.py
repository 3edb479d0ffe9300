# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""A tagged port (IEEE 802.1Q)."""

import time

import pytest

import lab as lab_module
import mcx
from lab import Relay, apply, install
from vlan import TaggedHost

VLAN = 77
ALICE, GATEWAY = "sip:alice@mcptt.example.org", "sip:gateway@lmr.example.org"

@pytest.fixture
def tagged():
    with lab_module.Lab(vlan=VLAN) as lab, Relay(lab, anchored=False) as relay:
        host = TaggedHost(lab, VLAN)
        yield lab, relay, host
        host.close()


def receive_repeated(host, lmr, make):
    """Has the plain side speak until the tagged host, which answers ARP meanwhile, gets a packet."""
    deadline = time.monotonic() + lab_module.PATIENCE
    host.socket.settimeout(0.05)
    while time.monotonic() < deadline:
        lmr.send(make())
        try:
            return host.receive()
        except TimeoutError:
            continue
        finally:
            host.socket.settimeout(lab_module.PATIENCE)
    raise AssertionError("nothing reached the tagged host")


def test_media_in_a_vlan(tagged, new_key):
    lab, relay, host = tagged
    gmk = new_key()
    install(relay, gmk)
    with lab_module.Client(lab, "core") as lmr:
        port = lab.local_port()
        apply(relay, "vlan", [{"id": "radio", "port": "ran", "local": f"10.77.1.1:{port}", "remote": "10.77.1.2:5000",
                               "protection": {"mode": "srtp", "key": gmk.id_text, "domain": "home"}},
                              lmr.leg("lmr", "plain", protection={"user": GATEWAY})])
        plain, receiver = mcx.PlainSender(3), mcx.SrtpReceiver(gmk.group(GATEWAY))
        got = receiver.unprotect(receive_repeated(host, lmr, lambda: plain.protect(b"down")))
        assert got.payload == b"down"
        sender = mcx.SrtpSender(gmk.group(ALICE), 0x55)
        before = relay.drops()
        host.send(port, sender.protect(b"no tag"), vlan=0)
        host.send(port, sender.protect(b"another VLAN"), vlan=VLAN + 1)
        host.send(port, sender.protect(b"a service provider's tag"), tag_type=0x88a8)
        host.send(port, sender.protect(b"tagged"))
        assert lmr.recv() == sender.last_plain
        relay.wait_drops(before, vlan=3)
