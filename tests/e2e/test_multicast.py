# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Legs that receive from multicast groups: memberships on the wire, in a switch, and the media that comes."""

import contextlib
import json
import socket
import struct

import pytest

import lab as lab_module
import mcx
from lab import Client, Relay, RpcError, apply, fence, install, wait_for
from multicast import GROUPS, IS_EXCLUDE, TO_EXCLUDE, TO_INCLUDE, Decoder, GroupSender, group_leg
from tap import Tap, ipv4_header, ipv6_packet

ALICE, BOB = "sip:alice@mcptt.example.org", "sip:bob@mcptt.example.org"
PORT = 30000
OTHER = {4: "239.77.1.2", 6: "ff15::77:2"}
FAMILIES = pytest.mark.parametrize("family", [4, 6])


def counters(relay, name, leg="in"):
    legs = relay.call("session.get", {"id": name})["legs"]
    [found] = [each for each in legs if each["id"] == leg]
    return found["statistics"]["receive"]


def change(relay, name, *legs):
    relay.call("leg.apply", {"session": name, "legs": list(legs)})


# On the wire

def test_reports_on_the_wire(new_key):
    """Joined, changed and left, as tshark reads it; all of it left at SIGTERM."""
    with lab_module.Lab() as lab, Decoder(lab) as wire:
        with Relay(lab, anchored=False) as relay:
            wire.wait(6, TO_EXCLUDE, "ff02::1:ff00:1", 2)
            for family in (4, 6):
                leg = group_leg(lab, "in", GROUPS[family], PORT)
                apply(relay, f"f{family}", [leg])
                wire.wait(family, TO_EXCLUDE, GROUPS[family], 2)
                change(relay, f"f{family}", leg | {"receive": False})
                wire.wait(family, TO_INCLUDE, GROUPS[family], 2)
                change(relay, f"f{family}", leg)
                wire.wait(family, TO_EXCLUDE, GROUPS[family], 4)
                change(relay, f"f{family}", leg | {"remote": lab_module.address_text(OTHER[family], PORT)})
                wire.wait(family, TO_EXCLUDE, OTHER[family], 2)
                wire.wait(family, TO_INCLUDE, GROUPS[family], 4)
        for group in OTHER[4], OTHER[6], "ff02::1:ff00:1":
            wire.wait(6 if ":" in group else 4, TO_INCLUDE, group)
        for report in wire.reports(4):
            assert (report.source, report.to, report.hops) == ("10.77.1.1", "224.0.0.22", "1")
            assert report.row["ip.dsfield"] == "0xc0" and report.row["ip.opt.ra"] == "0"
            assert report.row["ip.checksum.status"] == report.row["igmp.checksum.status"] == "1"
            assert report.row["eth.dst"] == "01:00:5e:00:00:16"
        for report in wire.reports(6):
            assert (report.source, report.to, report.hops) == ("fe80::77:ff:fe00:101", "ff02::16", "1")
            assert report.row["ipv6.opt.router_alert"] == "0" and report.row["icmpv6.checksum.status"] == "1"
            assert report.row["eth.dst"] == "33:33:00:00:00:16"


# A switch that snoops

class Switch:
    """A bridge in place of the host of ran, and a plug of it to send from."""

    SETTINGS = ("mcast_snooping", "1", "mcast_igmp_version", "3", "mcast_mld_version", "2",
                "mcast_query_response_interval", "50", "mcast_query_interval", "100",
                "mcast_startup_query_interval", "50", "mcast_last_member_interval", "20")

    def __init__(self, lab):
        self.lab = lab
        lab.ip("ran", "link", "add", "br0", "type", "bridge", *self.SETTINGS)
        lab.ip("ran", "link", "set", "br0", "type", "bridge", "mcast_querier", "1")  # counts with the intervals above
        lab.ip("ran", "link", "add", "plug", "type", "veth", "peer", "name", "host")
        for device in ("eth0", "plug"):
            lab.ip("ran", "link", "set", device, "master", "br0")
        for device in ("plug", "host", "br0"):
            lab.ip("ran", "link", "set", device, "up")
        self.host = self._open("ran", "host")
        self.relay = self._open("relay", "veth-ran")
        self.number = 0

    def _open(self, side, device):
        made = self.lab.socket(side, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        made.bind((device, 3))
        return made

    def close(self):
        self.host.close()
        self.relay.close()

    def members(self):
        """Groups behind the plug of the relay."""
        database = json.loads(self.lab.execute("ran", "bridge", "-j", "mdb", "show", "dev", "br0"))
        return {entry["grp"] for entry in database[0]["mdb"] if entry["port"] == "eth0"}

    def send(self, family, group, payload):
        udp = struct.pack(">HHHH", 4000, PORT, 8 + len(payload), 0) + payload
        to = socket.inet_pton(socket.AF_INET6 if family == 6 else socket.AF_INET, group)
        if family == 4:
            packet = ipv4_header("10.77.1.50", group, len(udp)) + udp
            head = b"\x01\0\x5e" + bytes([to[1] & 0x7f]) + to[2:]
        else:
            packet = ipv6_packet("fd77:1::50", group, 17, udp, 6)
            head = b"\x33\x33" + to[12:]
        self.host.send(head + bytes.fromhex("027700000150") + (b"\x08\0" if family == 4 else b"\x86\xdd") + packet)

    def passes(self, family, group):
        """Whether the switch gives the relay what is sent to a group: a broadcast behind it comes in any case."""
        self.number += 1
        mark = struct.pack(">I", self.number)
        self.send(family, group, mcx.rtp(9, self.number & 0xffff, b"passes" + mark))
        self.host.send(b"\xff" * 6 + bytes.fromhex("02770000015088b5") + b"fence" + mark + bytes(46))
        found = False
        while True:
            frame = self.relay.recv(2048)
            found |= b"passes" + mark in frame
            if b"fence" + mark in frame:
                return found


@FAMILIES
def test_switch_learns_the_membership(family):
    group = GROUPS[family]
    with lab_module.Lab() as lab, contextlib.closing(Switch(lab)) as switch, Decoder(lab) as wire, \
            Relay(lab, anchored=False) as relay, Client(lab, "core", family) as listener:
        wait_for(lambda: switch.passes(family, group), lambda passed: not passed, "snooping")
        leg = group_leg(lab, "in", group, PORT, send=False)
        apply(relay, "call", [leg, listener.leg("out")])
        wait_for(switch.members, lambda members: group in members, "membership in the switch")
        assert switch.passes(family, group)
        packet = mcx.rtp(1, 1, b"through the switch")

        def attempt():  # until the listener's link-layer address is known
            switch.send(family, group, packet)
            with contextlib.suppress(TimeoutError):
                return listener.recv(0.05)
            return None
        wait_for(attempt, lambda got: got == packet, "media")
        wire.wait(family, IS_EXCLUDE, group, 2)  # the switch asks once a second
        assert group in switch.members()
        if family == 6:  # and finds the relay's address
            assert "ff02::1:ff00:1" in switch.members()
        relay.call("leg.remove", {"session": "call", "ids": ["in"]})
        wait_for(switch.members, lambda members: group not in members, "leaving in the switch")
        wait_for(lambda: switch.passes(family, group), lambda passed: not passed, "end of the group")


# Media

@pytest.fixture(scope="module", params=[1, 2], ids=["1 worker", "2 workers"])
def group_relay(request):
    with lab_module.Lab() as lab, Relay(lab, workers=request.param) as made:
        yield made


@FAMILIES
def test_opaque_media_from_any_source(group_relay, family):
    relay, lab = group_relay, group_relay.lab
    with Client(lab, "core", family) as listener, GroupSender(lab, GROUPS[family], PORT) as one, \
            GroupSender(lab, GROUPS[family], PORT) as two, GroupSender(lab, GROUPS[family], PORT + 2) as beside:
        apply(relay, "opaque", [group_leg(lab, "in", GROUPS[family], PORT), listener.leg("out")])
        before = relay.drops()
        beside.send(mcx.rtp(3, 1, b"another port of the group"))
        for sender in one, two:
            packet = mcx.rtp(sender.socket.fileno(), 1, b"from anybody")
            sender.send(packet)
            assert listener.recv() == packet
        relay.wait_drops(before, no_leg=1)
        assert counters(relay, "opaque")["packets"] == 2
        relay.clear()


@FAMILIES
def test_media_under_a_gmk(group_relay, new_key, family):
    """To a unicast leg in the clear; forged and replayed packets end here as anywhere."""
    relay, lab, gmk = group_relay, group_relay.lab, new_key()
    install(relay, gmk)
    with Client(lab, "core", family) as lmr, GroupSender(lab, GROUPS[family], PORT) as radio:
        apply(relay, "gmk", [group_leg(lab, "in", GROUPS[family], PORT, "srtp", gmk), lmr.leg("lmr", "plain")])
        sender = mcx.SrtpSender(gmk.group(ALICE), 0x55)
        before = relay.drops()
        packet = sender.protect(b"first words")
        radio.send(packet)
        assert lmr.recv() == sender.last_plain
        radio.send(packet)
        radio.send(mcx.flipped(sender.protect(b"forged"), 20))
        assert fence(radio, sender.protect(b"on"), lmr) == [sender.last_plain]
        relay.wait_drops(before, replayed=1, auth_fail=1)
        # an authentic packet to the leg's own address is none to the group
        stray = Client(lab, "ran", family)
        leg = relay.call("session.get", {"id": "gmk"})["legs"][0]
        stray.relay_port = int(leg["local"].rsplit(":", 1)[1])
        stray.send(sender.protect(b"beside"))
        relay.wait_drops(before, no_leg=1)
        stray.close()
        relay.clear()


@pytest.mark.parametrize("kind", ["musik", "mscck"])
@FAMILIES
def test_floor_control_from_a_group(group_relay, new_key, kind, family):
    """What the floor control server multicasts reaches a client that has only its CSK."""
    relay, lab = group_relay, group_relay.lab
    key, csk = new_key(kind), new_key("csk")
    install(relay, key, csk)
    with Client(lab, "core", family) as client, GroupSender(lab, GROUPS[family], PORT) as server:
        apply(relay, "floor", [group_leg(lab, "in", GROUPS[family], PORT, "srtp", key, traffic="control"),
                               client.leg("out", "srtp", csk, traffic="control")])
        sender, receiver = mcx.SrtcpSender(key.control()), mcx.SrtcpReceiver(csk.control())
        for encrypt in (True, False):
            plain = mcx.app(0x77, mcx.FLOOR_IDLE)
            server.send(sender.protect(plain, encrypt))
            got = receiver.unprotect(client.recv())
            assert got[:2] == plain[:2] and got[8:] == plain[8:]
        relay.clear()


@FAMILIES
def test_nothing_comes_back(group_relay, family):
    """A leg that sends to its group and receives from it: what the relay sends is not taken for something new."""
    relay, lab = group_relay, group_relay.lab
    with Client(lab, "core", family) as speaker, GroupSender(lab, GROUPS[family], PORT) as member, \
            Tap(lab, "ran") as tap:
        apply(relay, "echo", [group_leg(lab, "in", GROUPS[family], PORT), speaker.leg("speaker")])
        for n in range(20):
            speaker.send(mcx.rtp(5, n, b"once"))
        packet = mcx.rtp(6, 1, b"answer")
        member.send(packet)
        assert speaker.recv() == packet  # nothing of its own before it
        wait_for(lambda: relay.call("session.get", {"id": "echo"})["legs"][0]["statistics"]["send"]
                 ["packets"], lambda n: n == 20, "20 packets sent")
        assert counters(relay, "echo")["packets"] == 1
        speaker.send(mcx.rtp(5, 20, b"last"))
        seen = []
        while not seen or b"last" not in seen[-1]:
            frame = tap.socket.recv(2048)
            if frame[6:12] == tap.relay_mac and (b"once" in frame or b"last" in frame):
                seen.append(frame)
        assert len(seen) == 21
        assert {frame[22 if family == 4 else 21] for frame in seen} == {64}
        assert speaker.drain() == []
        relay.clear()


# Sessions

def test_two_ports_have_groups_of_their_own(relay, lab, clients):
    """One group on both ports, a session each."""
    listeners = {"ran": clients("core"), "core": clients("ran")}
    for side, listener in listeners.items():
        apply(relay, f"from-{side}", [group_leg(lab, "in", GROUPS[4], PORT, side=side), listener.leg("out")])
    for side, listener in listeners.items():
        with GroupSender(lab, GROUPS[4], PORT, side) as sender:
            for n in range(3):
                packet = mcx.rtp(n, n, side.encode())
                sender.send(packet)
                assert listener.recv() == packet
    assert [counters(relay, f"from-{side}")["packets"] for side in listeners] == [3, 3]


@FAMILIES
def test_leg_moves_between_groups(relay, lab, clients, name, family):
    listener = clients("core", family)
    leg = group_leg(lab, "in", GROUPS[family], PORT)
    apply(relay, name, [leg, listener.leg("out")])
    with GroupSender(lab, GROUPS[family], PORT) as first, GroupSender(lab, OTHER[family], PORT) as second:
        first.send(mcx.rtp(1, 1, b"here"))
        assert listener.recv() == mcx.rtp(1, 1, b"here")
        change(relay, name, leg | {"remote": lab_module.address_text(OTHER[family], PORT)})
        first.send(mcx.rtp(1, 2, b"nobody listens"))
        assert fence(second, mcx.rtp(1, 3, b"there"), listener) == [mcx.rtp(1, 3, b"there")]
        change(relay, name, leg | {"receive": False})
        before = relay.drops()
        first.send(mcx.rtp(1, 4, b"muted"))
        second.send(mcx.rtp(1, 5, b"muted"))
        wait_for(lambda: relay.drops_since(before)["not_local"], lambda n: n >= 2, "drops of what nobody listens to")
        change(relay, name, leg)
        assert fence(first, mcx.rtp(1, 6, b"again"), listener) == [mcx.rtp(1, 6, b"again")]
        relay.call("session.remove", {"ids": [name]})
        apply(relay, name, [leg, listener.leg("out")])  # nothing is left of it
        assert fence(first, mcx.rtp(1, 7, b"anew"), listener) == [mcx.rtp(1, 7, b"anew")]


def refused(relay, code, path, *legs, name="refused"):
    with pytest.raises(RpcError) as error:
        apply(relay, name, list(legs))
    assert (error.value.code, error.value.path) == (code, path)


def test_what_is_refused(relay, lab, name):
    first = group_leg(lab, "in", GROUPS[4], PORT)
    apply(relay, name, [first])
    other = group_leg(lab, "other", GROUPS[4], PORT)
    refused(relay, 2, "params.session.legs[0].remote", other)
    refused(relay, 2, "params.session.legs[1].remote", group_leg(lab, "a", OTHER[4], PORT),
            group_leg(lab, "b", OTHER[4], PORT))
    refused(relay, -32602, "params.session.legs[0].learn", group_leg(lab, "a", OTHER[4], PORT, learn="authenticated"))
    refused(relay, -32602, "params.session.legs[0].local", other | {"local": "239.77.1.9:30000"})
    # who only sends to the group is in nobody's way, nor is another port of it, nor the other side
    apply(relay, f"{name}-beside", [other | {"receive": False}, group_leg(lab, "b", GROUPS[4], PORT + 2),
                                    group_leg(lab, "c", GROUPS[4], PORT, side="core")])


def test_a_refused_request_joins_nothing(new_key):
    with lab_module.Lab() as lab, Decoder(lab) as wire, Relay(lab, anchored=False) as relay:
        good = group_leg(lab, "good", OTHER[4], PORT)
        bad = group_leg(lab, "bad", "239.77.1.3", PORT, "srtp", new_key())  # a key that is not installed
        refused(relay, 1, "params.session.legs[1].protection.key", good, bad)
        apply(relay, "later", [group_leg(lab, "in", GROUPS[4], PORT)])
        wire.wait(4, TO_EXCLUDE, GROUPS[4], 2)
        assert {group for report in wire.reports(4) for _, group in report.records} == {GROUPS[4]}
