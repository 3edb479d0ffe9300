# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""The relay as a host of its networks: ARP, Neighbour Discovery, echo, gateways, peers that change."""

import os
import re
import socket
import struct

import pytest

import lab as lab_module
import mcx
import test_programs
from lab import Relay, apply, wait_for
from multicast import GROUPS, GroupSender, group_leg
from tap import IPV4, IPV6, Tap, checksum, ipv4_header, ipv6_packet, mac_octets

ALL = 0x0003  # ETH_P_ALL
ARP = 0x0806


@pytest.fixture
def own_lab():
    with lab_module.Lab() as lab:
        yield lab


@pytest.fixture
def own_relay(own_lab):
    with Relay(own_lab) as relay:
        yield relay


def echo(lab, side, host, size=56):
    """Sends an echo request from the side's host and returns what came back; the answer must be its echo."""
    six = ":" in host
    protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
    with lab.socket(side, socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_RAW, protocol) as s:
        number, data = os.getpid() & 0xffff, os.urandom(size)
        message = struct.pack(">BBHHH", 128 if six else 8, 0, 0, number, 1) + data
        if not six:
            message = message[:2] + struct.pack(">H", checksum(message)) + message[4:]
        s.sendto(message, (host, 0))
        while True:
            got, source = s.recvfrom(1 << 16)
            got = got if six else got[20:]
            if got[0] == (129 if six else 0) and source[0] == host:
                assert got[4:] == message[4:]
                return got


def tap(lab, side, protocol=ALL):
    made = lab.socket(side, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
    made.bind(("eth0", protocol))
    return made


@pytest.mark.parametrize("size", [0, 56, 57, 1400])
def test_echo(relay, lab, size):
    for side in lab.sides.values():
        echo(lab, side.name, side.relay4, size)
        echo(lab, side.name, side.relay6, size)


def test_echo_from_nobody(relay, lab):
    """RFC 1122 3.2.1.3: a broadcast, multicast, loopback or unspecified source, or the relay's own, gets no answer."""
    side = lab.sides["ran"]
    sources = {4: ("255.255.255.255", "10.77.1.255", "239.1.1.1", "127.0.0.1", "0.0.0.0", side.relay4),
               6: ("ff02::1", "::1", "::", side.relay6)}
    with Tap(lab, "ran") as wire:
        for family in sources:
            to = side.relay_address(family)
            for source in (*sources[family], side.host_address(family)):
                wire.send(*echo_request(source, to))
            while True:
                frame = wire.socket.recv(2048)
                if frame[6:12] == wire.relay_mac and (frame[34:35] == b"\0" if family == 4 else frame[54:55] == b"\x81"):
                    break
            answered = frame[30:34] if family == 4 else frame[38:54]
            assert answered == socket.inet_pton(socket.AF_INET6 if family == 6 else socket.AF_INET,
                                                side.host_address(family))


def echo_request(source, to):
    """(EtherType, packet)."""
    if ":" in source:
        return IPV6, ipv6_packet(source, to, socket.IPPROTO_ICMPV6, struct.pack(">BBHHH", 128, 0, 0, 7, 7), 2)
    message = struct.pack(">BBHHH", 8, 0, checksum(struct.pack(">BBHHH", 8, 0, 0, 7, 7)), 7, 7)
    return IPV4, ipv4_header(source, to, 8, socket.IPPROTO_ICMP) + message


def test_arp_answer(relay, lab):
    """RFC 826, asked by hand, so that every field of the answer is seen."""
    side = lab.sides["ran"]
    mac, me, it = mac_octets(side.mac), socket.inet_aton(side.host4), socket.inet_aton(side.relay4)
    with tap(lab, "ran", ARP) as s:
        def ask(target, ether=b"\xff" * 6):
            s.send(ether + mac + struct.pack(">HHHBBH", ARP, 1, 0x0800, 6, 4, 1) + mac + me + bytes(6) + target)

        def answer():
            while True:
                frame = s.recv(2048)
                if frame[20:22] == b"\0\2":
                    return frame
        # for an address that is not the relay's there is no answer: the next one is for the second question
        ask(socket.inet_aton("10.77.1.200"))
        ask(it)
        frame = answer()
        assert frame[:6] == mac and frame[12:14] == b"\x08\x06"
        assert frame[14:22] == struct.pack(">HHBBH", 1, 0x0800, 6, 4, 2)
        assert frame[22:28] == frame[6:12] == mac_octets("02:77:00:00:01:01")
        assert frame[28:32] == it and frame[32:38] == mac and frame[38:42] == me
        ask(it, frame[6:12])                        # unicast probe of a neighbour's cache
        assert answer()[28:32] == it


def test_neighbour_advertisement(relay, lab):
    """The host's kernel forgets the relay and finds it again (RFC 4861), and the relay's flags are as RFC 4861 4.4."""
    side = lab.sides["ran"]
    with tap(lab, "ran", IPV6) as s:
        lab.ip("ran", "-6", "neigh", "flush", "dev", "eth0")
        echo(lab, "ran", side.relay6)
        while True:
            frame = s.recv(2048)
            if frame[20] == socket.IPPROTO_ICMPV6 and frame[54] == 136 and frame[6:12] != mac_octets(side.mac):
                break
        assert frame[21] == 255, "hop limit"
        assert frame[62:78] == socket.inet_pton(socket.AF_INET6, side.relay6)
        assert frame[58] & 0x40, "solicited"
        assert frame[78:86] == b"\2\1" + mac_octets("02:77:00:00:01:01")
    assert "lladdr 02:77:00:00:01:01" in lab.ip("ran", "-6", "neigh", "show", side.relay6)


def test_kernel_finds_the_relay_after_a_flush(relay, lab):
    for side in lab.sides.values():
        for _ in range(3):
            lab.ip(side.name, "neigh", "flush", "dev", "eth0")
            echo(lab, side.name, side.relay4)


def test_first_hop_is_resolved_before_media(own_lab):
    """No anchor sessions here: session.apply has the next hop resolved, and media goes as soon as it is."""
    with Relay(own_lab, anchored=False) as relay:
        for family in (4, 6):
            with lab_module.Client(own_lab, "ran", family) as a, lab_module.Client(own_lab, "core", family) as b:
                apply(relay, f"f{family}", [a.leg("a"), b.leg("b")])
                repeat_until(a, b, mcx.rtp(family, 1, b"hello"))


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("gateway", [False, True], ids=["on link", "gateway"])
def test_first_words_wait_for_the_next_hop(own_lab, family, gateway):
    """What comes right behind session.apply, before the next hop has answered, arrives, whole and in order."""
    far = {4: "192.0.2.10", 6: "2001:db8::10"}[family]
    own_lab.ip("core", "addr", "add", "10.77.2.254/24", "dev", "eth0")
    own_lab.ip("core", "addr", "add", "fd77:2::fe/64", "dev", "eth0", "nodad")
    own_lab.ip("core", "addr", "add", f"{far}/{32 if family == 4 else 128}", "dev", "lo")
    ports = {"core": {"gateway": "10.77.2.254", "gateway6": "fd77:2::fe"}}
    with Relay(own_lab, anchored=False, ports=ports) as relay, lab_module.Client(own_lab, "ran", family) as a, \
            lab_module.Client(own_lab, "core", family, host=far if gateway else None) as b:
        echo(own_lab, "ran", a.relay_host)  # the sender knows where the relay is
        packets = [mcx.rtp(family, n, b"first words") for n in range(1, 51)]
        apply(relay, "first", [a.leg("a"), b.leg("b")])
        for packet in packets:
            a.send(packet)
        assert b.recv_many(len(packets)) == packets
        assert relay.drops()["next_hop_unresolved"] == 0


def test_nobody_at_the_next_hop(own_lab):
    """Packets wait for two seconds, then they are counted as lost, and those that follow do not wait."""
    with Relay(own_lab, anchored=False) as relay, lab_module.Client(own_lab, "ran") as a, \
            lab_module.Client(own_lab, "core") as b:
        before = relay.drops()
        apply(relay, "nobody", [a.leg("a"), b.leg("b", remote="10.77.2.99:5000")])
        for n in range(5):
            a.send(mcx.rtp(1, n, b"hello?"))
        relay.wait_drops(before, next_hop_unresolved=5)
        a.send(mcx.rtp(1, 5, b"hello?"))
        relay.wait_drops(before, next_hop_unresolved=6)
        statistics = relay.call("session.get", {"id": "nobody"})["legs"][1]["statistics"]["send"]
        assert statistics["packets"] == 0 and statistics["drops"] == {"next_hop_unresolved": 6}


def repeat_until(sender, receiver, packet):
    """Sends the same opaque packet until one arrives."""
    def attempt():
        sender.send(packet)
        try:
            return receiver.recv(0.05)
        except TimeoutError:
            return None
    assert wait_for(attempt, lambda got: got is not None, "a packet") == packet
    receiver.drain()


def test_next_hop_is_the_gateway(own_lab):
    """Hosts behind a router: frames go to the router's MAC, packets to the host."""
    own_lab.ip("ran", "addr", "add", "10.77.1.254/24", "dev", "eth0")
    own_lab.ip("ran", "addr", "add", "fd77:1::fe/64", "dev", "eth0", "nodad")
    own_lab.ip("ran", "addr", "add", "192.0.2.10/32", "dev", "lo")
    own_lab.ip("ran", "addr", "add", "2001:db8::10/128", "dev", "lo", "nodad")
    own_lab.sysctl("ran", "net.ipv4.conf.all.arp_ignore=1")  # nobody on the link answers for 192.0.2.10
    with Relay(own_lab, ports={"ran": {"gateway": "10.77.1.254", "gateway6": "fd77:1::fe"}}) as relay:
        for family, host in ((4, "192.0.2.10"), (6, "2001:db8::10")):
            with lab_module.Client(own_lab, "ran", family, host=host) as far, \
                    lab_module.Client(own_lab, "core", family) as near:
                apply(relay, f"g{family}", [far.leg("far"), near.leg("near")])
                repeat_until(near, far, mcx.rtp(1, 1, b"over the hills"))
                far.send(mcx.rtp(2, 2, b"and back"))
                assert near.recv() == mcx.rtp(2, 2, b"and back")


def change_mac(lab, side, mac):
    lab.ip(side, "link", "set", "eth0", "down")
    lab.ip(side, "link", "set", "eth0", "address", mac)
    lab.ip(side, "link", "set", "eth0", "up")
    if not any("fd77" in line for line in lab.ip(side, "-6", "addr", "show", "dev", "eth0").splitlines()):
        lab.ip(side, "addr", "add", f"{lab.sides[side].host6}/64", "dev", "eth0", "nodad")


@pytest.mark.parametrize("family", [4, 6])
def test_peer_restarts_with_another_mac(own_relay, own_lab, family):
    """It comes back, asks for the relay and speaks: the relay's answers follow it."""
    with lab_module.Client(own_lab, "ran", family) as a, lab_module.Client(own_lab, "core", family) as b:
        apply(own_relay, "mac", [a.leg("a"), b.leg("b")])
        repeat_until(b, a, mcx.rtp(1, 1, b"before"))
        change_mac(own_lab, "ran", "02:77:00:00:99:02")
        repeat_until(a, b, mcx.rtp(2, 1, b"I am back"))
        repeat_until(b, a, mcx.rtp(1, 2, b"welcome"))


@pytest.mark.parametrize("family", [4, 6])
def test_next_hop_changes_its_mac_silently(own_relay, own_lab, family):
    """It tells nobody, and says nothing itself: one-way media goes on."""
    mac = f"02:77:00:00:99:0{family}"
    with lab_module.Client(own_lab, "ran", family) as a, lab_module.Client(own_lab, "core", family) as b:
        apply(own_relay, "silent", [a.leg("a"), b.leg("b")])
        repeat_until(a, b, mcx.rtp(1, 1, b"before"))
        own_lab.ip("core", "link", "set", "eth0", "address", mac)
        repeat_until(a, b, mcx.rtp(1, 2, b"after"))
    host = own_lab.sides["core"].host4 if family == 4 else own_lab.sides["core"].host6
    wait_for(own_relay.log_text, lambda text: f'neighbour.moved port="core" host={host} mac={mac}' in text, "a line")


def test_gratuitous_arp_moves_a_peer(own_relay, own_lab):
    """A standby takes the address over and says so once (RFC 5227 3); it asks nothing."""
    side = own_lab.sides["ran"]
    new = mac_octets("02:77:00:00:aa:02")
    with lab_module.Client(own_lab, "ran") as a, lab_module.Client(own_lab, "core") as b:
        apply(own_relay, "garp", [a.leg("a"), b.leg("b")])
        repeat_until(b, a, mcx.rtp(1, 1, b"before"))
        with tap(own_lab, "ran") as s:
            me = socket.inet_aton(side.host4)
            s.send(b"\xff" * 6 + new + struct.pack(">HHHBBH", ARP, 1, 0x0800, 6, 4, 1) + new + me + bytes(6) + me)

            def attempt():
                b.send(mcx.rtp(1, 2, b"after"))
                frame = s.recv(2048)
                return frame if frame.endswith(b"after") else b""
            wait_for(attempt, lambda frame: frame[:6] == new, "a frame to the new MAC")


def test_unsolicited_advertisement_does_not_override(own_relay, own_lab):
    """RFC 4861 4.4, 7.2.5: without the override flag another MAC does not take the known one's place; with it, it does."""
    side = own_lab.sides["ran"]
    other = "02:77:00:00:aa:02"
    with lab_module.Client(own_lab, "ran", 6) as a, lab_module.Client(own_lab, "core", 6) as b, \
            Tap(own_lab, "ran") as wire:
        apply(own_relay, "na", [a.leg("a"), b.leg("b")])
        before = mcx.rtp(1, 1, b"before")
        repeat_until(b, a, before)

        def advertise(flags):
            body = struct.pack(">BBHB3x", 136, 0, 0, flags) + socket.inet_pton(socket.AF_INET6, side.host6)
            body += b"\2\1" + mac_octets(other)
            packet = ipv6_packet(side.host6, side.relay6 if flags & 0x40 else "ff02::1", 58, body, 2, hops=255)
            to = wire.relay_mac if flags & 0x40 else bytes.fromhex("333300000001")
            wire.socket.send(to + mac_octets(other) + struct.pack(">H", IPV6) + packet)

        for flags in (0, 0x40):
            advertise(flags)
            echo(own_lab, "ran", side.relay6)  # the relay has read what came before
            for n in range(10):
                b.send(mcx.rtp(2, n, b"stays"))
                got = a.recv()
                while got == before:  # copies that were on their way
                    got = a.recv()
                assert got == mcx.rtp(2, n, b"stays")
        advertise(0x20)

        def attempt():
            b.send(mcx.rtp(1, 2, b"after"))
            while True:
                frame = wire.socket.recv(2048)
                if frame.endswith(b"after"):
                    return frame[:6]
        wait_for(attempt, lambda mac: mac == mac_octets(other), "a frame to the new MAC")


def test_own_addresses_are_announced_at_start(own_lab):
    """RFC 5227 2.3 and RFC 4861 7.2.6: whoever had the address before is forgotten by its neighbours at once."""
    for side in own_lab.sides.values():
        for host in (side.relay4, side.relay6):
            own_lab.ip(side.name, "neigh", "replace", host, "lladdr", "02:77:00:00:cc:01", "dev", "eth0", "nud", "stale")
    with Relay(own_lab, anchored=False):
        for side in own_lab.sides.values():
            for host in (side.relay4, side.relay6):
                wait_for(lambda: own_lab.ip(side.name, "neigh", "show", host),
                         lambda text: f"lladdr 02:77:00:00:{side.number:02x}:01" in text, f"announcement of {host}")


def untimed(line):
    """A line of the log without the time, which lines of the start do not have."""
    return re.sub(r"^\d{4}-\d\d-\d\dT[\d:.]+Z ", "", line.strip())


def test_conflict_is_told_and_defended(own_relay, own_lab):
    side = own_lab.sides["core"]
    other = mac_octets("02:77:00:00:bb:02")
    with Tap(own_lab, "core") as wire:
        it = socket.inet_aton(side.relay4)
        wire.socket.send(b"\xff" * 6 + other + struct.pack(">HHHBBH", ARP, 1, 0x0800, 6, 4, 1) + other + it + bytes(6) + it)
        while True:
            frame = wire.socket.recv(2048)
            if frame[:14] == b"\xff" * 6 + wire.relay_mac + b"\x08\x06" and frame[28:32] == frame[38:42] == it:
                break
    [line] = wait_for(lambda: [each for each in own_relay.log if "address.conflict" in each], bool, "a line")
    assert untimed(line) == 'warning address.conflict port="core" host=10.77.2.1 mac=02:77:00:00:bb:02'


@pytest.mark.parametrize("family", [4, 6])
def test_somebody_has_the_address_already(own_lab, family):
    """A host that is silent when it hears the relay announce its address, as Linux is: it is asked, and the answer told. The
    relay does not wait for it."""
    side = own_lab.sides["core"]
    host = side.relay_address(family)
    own_lab.ip("core", "addr", "add", f"{host}/{32 if family == 4 else 128}", "dev", "eth0",
               *(["nodad"] if family == 6 else []))
    told = f'warning address.conflict port="core" host={host} mac={side.mac}'
    with Relay(own_lab, anchored=False) as relay:
        wait_for(lambda: [untimed(line) for line in relay.log], lambda log: told in log, told)
        assert not [line for line in relay.log if "address.conflict" in line and told not in line]


class SlowHop:
    """A next hop on the link of core that the test speaks for: it answers when it is told to."""

    def __init__(self, wire, family, number):
        self.wire, self.family = wire, family
        self.host = {4: f"10.77.2.{number}", 6: f"fd77:2::{number:x}"}[family]
        self.octets = socket.inet_pton(socket.AF_INET6 if family == 6 else socket.AF_INET, self.host)
        self.mac = bytes.fromhex(f"0277000002{number:02x}")

    def wait_until_asked(self):
        while True:
            frame = self.wire.socket.recv(2048)
            if frame[6:12] == self.wire.relay_mac and (
                    frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1" and frame[38:42] == self.octets or
                    frame[12:14] == b"\x86\xdd" and frame[54] == 135 and frame[62:78] == self.octets):
                return

    def answer(self):
        side, wire = self.wire.side, self.wire
        if self.family == 4:
            wire.socket.send(wire.relay_mac + self.mac + struct.pack(">HHHBBH", ARP, 1, 0x0800, 6, 4, 2) + self.mac +
                             self.octets + wire.relay_mac + socket.inet_aton(side.relay4))
            return
        body = struct.pack(">BBHB3x", 136, 0, 0, 0x60) + self.octets + b"\2\1" + self.mac
        wire.socket.send(wire.relay_mac + self.mac + struct.pack(">H", IPV6) +
                         ipv6_packet(self.host, side.relay6, 58, body, 2, hops=255))

    def packets(self, count):
        """The media that came for it."""
        at = 14 + (20 if self.family == 4 else 40) + 8
        found = []
        while len(found) < count:
            frame = self.wire.socket.recv(2048)
            if frame[:12] == self.mac + self.wire.relay_mac:
                found.append(frame[at:])
        return found


@pytest.mark.parametrize("family", [4, 6])
def test_next_hop_that_answers_late(own_lab, family):
    """All that the relay took before the answer is sent when it comes, in order and in front of what follows. A machine
    that lets two seconds pass meanwhile tries again."""
    with Relay(own_lab, anchored=False) as relay, lab_module.Client(own_lab, "ran", family) as a, \
            Tap(own_lab, "core") as wire:
        echo(own_lab, "ran", a.relay_host)  # the sender knows where the relay is
        for number in range(40, 50):
            hop = SlowHop(wire, family, number)
            side = own_lab.sides["core"]
            apply(relay, "late", [a.leg(f"a{number}"), {
                "id": f"b{number}", "port": "core", "remote": lab_module.address_text(hop.host, 5000),
                "local": lab_module.address_text(side.relay_address(family), own_lab.local_port()),
                "protection": {"mode": "opaque"}}])
            hop.wait_until_asked()
            packets = [mcx.rtp(number, n, b"first words") for n in range(100)]

            def counted(leg, direction):
                return relay.call("session.get", {"id": "late"})["legs"][leg]["statistics"][direction]

            for packet in packets[:60]:
                a.send(packet)
            wait_for(lambda: counted(0, "receive")["packets"], lambda n: n >= 60, "60 packets")
            held = counted(1, "send")
            hop.answer()
            for packet in packets[60:]:
                a.send(packet)
            send = wait_for(lambda: counted(1, "send"), lambda it: it["packets"] == len(packets) or it["drops"], "copies")
            if send["drops"]:
                continue
            assert held["packets"] == 0
            assert hop.packets(len(packets)) == packets
            return
        raise AssertionError("two seconds passed, each time, until the relay had 60 packets")


def test_addresses_of_others_are_left_alone(relay, lab, clients, name):
    """Echo and media for hosts that are not the relay."""
    a, b = clients("ran"), clients("core")
    apply(relay, name, [a.leg("a"), b.leg("b")])
    before = relay.drops()
    lab.ip("ran", "neigh", "replace", "10.77.1.66", "lladdr", "02:77:00:00:01:01", "dev", "eth0")
    with lab_module.Client(lab, "ran", relay_host="10.77.1.66", relay_port=a.relay_port) as stranger:
        stranger.send(mcx.rtp(6, 6, b"not for the relay"))
    # hosts' multicast is counted there too
    wait_for(lambda: relay.drops_since(before)["not_local"], lambda n: n >= 1, "a drop")
    a.send(mcx.rtp(1, 1, b"fence"))
    assert b.recv() == mcx.rtp(1, 1, b"fence")


def add_macvlan(lab):
    """It gets the groups that the kernel joined, no others."""
    lab.ip("relay", "link", "add", "link", "veth-ran", "name", "macvlan0", "address", "02:77:00:00:01:77",
           "type", "macvlan", "mode", "bridge")
    lab.ip("relay", "link", "set", "macvlan0", "up")


def test_interface_that_filters_multicast(own_lab):
    """IPv6 and media to groups reach the relay none the less, until it ends. That a port does not open which receives none
    is in tests/unit/dataplane_port_test.c."""
    add_macvlan(own_lab)
    side = own_lab.sides["ran"]
    with Relay(own_lab, ports={"ran": {"interface": "macvlan0"}}) as relay:
        for host in (side.relay4, side.relay6):
            own_lab.ip("ran", "neigh", "flush", "dev", "eth0")
            echo(own_lab, "ran", host)
        for family in (4, 6):
            group = GROUPS[family]
            with GroupSender(own_lab, group, 30000) as radio, lab_module.Client(own_lab, "core", family) as listener:
                apply(relay, f"group{family}", [group_leg(own_lab, "in", group, 30000), listener.leg("out")])
                for n in range(5):
                    radio.send(mcx.rtp(family, n, b"to the group"))
                    assert listener.recv() == mcx.rtp(family, n, b"to the group")
        assert "allmulti 1" in own_lab.ip("relay", "-d", "link", "show", "macvlan0")
    assert "allmulti 0" in own_lab.ip("relay", "-d", "link", "show", "macvlan0")


class XdpOnMacvlan(test_programs.XdpRelay):
    @staticmethod
    def device(n, side):
        return test_programs.XdpRelay.device(n, side).replace("veth-ran", "macvlan0")


def test_interface_that_filters_multicast_with_af_xdp(own_lab):
    """Those that do have no XDP that the driver takes: the relay does not start with one, and says why."""
    test_programs.need_af_xdp()
    add_macvlan(own_lab)
    with pytest.raises(RuntimeError, match="port ran: .* does not start: .*; net_af_xdp needs an interface whose driver has "
                                           "XDP in native mode"):
        XdpOnMacvlan(own_lab)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("end", ["relay", "host"])
def test_interface_that_is_down_for_a_while(own_relay, own_lab, end, family):
    """The kernel would keep what it is given meanwhile and send it late. The statistics say what was lost."""
    def link(state):
        if end == "relay":
            own_lab.ip("relay", "link", "set", "veth-core", state)
        else:
            own_lab.ip("core", "link", "set", "eth0", state)
            if state == "up":
                own_lab.ip("core", "addr", "replace", f"{own_lab.sides['core'].host6}/64", "dev", "eth0", "nodad")

    def is_up():
        return {port["name"]: port["link"] for port in own_relay.call("relay.info")["ports"]}

    with lab_module.Client(own_lab, "ran", family) as a, lab_module.Client(own_lab, "core", family) as b:
        apply(own_relay, "down", [a.leg("a"), b.leg("b")])
        a.send(mcx.rtp(1, 1, b"before"))
        assert b.recv() == mcx.rtp(1, 1, b"before")
        assert is_up() == {"ran": True, "core": True}
        link("down")
        wait_for(is_up, lambda ports: ports == {"ran": True, "core": False}, "the end of the link")
        before = own_relay.drops()
        for n in range(300):
            a.send(mcx.rtp(1, 2 + n, b"lost"))
        wait_for(lambda: own_relay.drops_since(before)["port_down"], lambda n: n >= 300, "drops")
        wait_for(own_relay.log_text, lambda text: "warning port_down port=core" in text, "a line")
        link("up")
        wait_for(is_up, lambda ports: all(ports.values()), "the link")
        repeat_until(a, b, mcx.rtp(2, 1, b"after"))
        drained = fence_packets(a, b)
        assert not [packet for packet in drained if packet.endswith(b"lost")]
        send = own_relay.call("session.get", {"id": "down"})["legs"][1]["statistics"]["send"]
        assert send["drops"]["port_down"] >= 300
        assert send["packets"] + sum(send["drops"].values()) == \
            own_relay.call("session.get", {"id": "down"})["legs"][0]["statistics"]["receive"]["packets"]
    wait_for(own_relay.log_text, lambda text: "info port_up port=core" in text, "a line")


def made_again(lab, side, mac):
    """The veth pair below a port and its host, deleted and made again with other link-layer addresses."""
    lab.ip("relay", "link", "del", f"veth-{side}")
    lab.ip("relay", "link", "add", f"veth-{side}", "address", mac + ":01", "type", "veth", "peer", "name", "eth0",
           "netns", lab.namespace(side), "address", mac + ":02")
    host_up(lab, side)
    lab.ip("relay", "link", "set", f"veth-{side}", "up")


def host_up(lab, side):
    it = lab.sides[side]
    lab.ip(side, "link", "set", "eth0", "up")
    lab.ip(side, "addr", "replace", f"{it.host4}/24", "dev", "eth0")
    lab.ip(side, "addr", "replace", f"{it.host6}/64", "dev", "eth0", "nodad")


def to_another_namespace_and_back(lab, side, mac):
    """It has the same name and number when it is back, and is down."""
    lab.ip("relay", "link", "set", f"veth-{side}", "netns", lab.namespace("core" if side == "ran" else "ran"))
    lab.ip("core" if side == "ran" else "ran", "link", "set", f"veth-{side}", "netns", lab.namespace("relay"))
    lab.ip("relay", "link", "set", f"veth-{side}", "up")
    host_up(lab, side)


def with_the_same_number(lab, side, mac):
    index = lab.ip("relay", "-o", "link", "show", f"veth-{side}").split(":")[0]
    lab.ip("relay", "link", "del", f"veth-{side}")
    lab.ip("relay", "link", "add", f"veth-{side}", "index", index, "address", mac + ":01", "type", "veth", "peer", "name",
           "eth0", "netns", lab.namespace(side), "address", mac + ":02")
    host_up(lab, side)
    lab.ip("relay", "link", "set", f"veth-{side}", "up")


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("replace", [made_again, to_another_namespace_and_back, with_the_same_number])
def test_interface_that_is_deleted_and_made_again(own_relay, own_lab, replace, family):
    """Media goes on in both directions, in a protected call as well, and nobody states anything again."""
    listening = own_relay.connect()
    listening.call("events.subscribe", {"types": ["port.down", "port.up"]})
    with lab_module.Client(own_lab, "ran", family) as a, lab_module.Client(own_lab, "core", family) as b:
        apply(own_relay, "again", [a.leg("a"), b.leg("b")])
        repeat_until(a, b, mcx.rtp(1, 1, b"before"))
        for n in (1, 2):  # more than once
            replace(own_lab, "core", f"02:77:00:0{n}:cc")
            told = [listening.read_line()["params"] for _ in range(2)]
            if told[0]["reason"] == "link":  # it goes down before it is deleted, which the relay may see
                told = [told[1], listening.read_line()["params"]]
            assert [(one["type"], one["port"], one["reason"]) for one in told] == [
                ("port.down", "core", "interface"), ("port.up", "core", "interface")]
            repeat_until(a, b, mcx.rtp(1, 1 + n, b"after"))
            repeat_until(b, a, mcx.rtp(2, 1 + n, b"after"))
        mac = next(port["mac"] for port in own_relay.call("relay.info")["ports"] if port["name"] == "core")
        assert mac.lower() in own_lab.ip("relay", "link", "show", "veth-core")
    listening.close()


def test_macvlan_that_is_deleted_and_made_again(own_lab):
    """It filters by link-layer address, and multicast."""
    def macvlan(mac):
        own_lab.ip("relay", "link", "add", "link", "veth-ran", "name", "macvlan0", "address", mac, "type", "macvlan",
                   "mode", "bridge")
        own_lab.ip("relay", "link", "set", "macvlan0", "up")

    macvlan("02:77:00:00:01:77")
    with Relay(own_lab, ports={"ran": {"interface": "macvlan0"}}) as relay:
        own_lab.ip("relay", "link", "del", "macvlan0")
        wait_for(relay.log_text, lambda text: "port_down port=ran reason=interface" in text, "a line")
        macvlan("02:77:00:00:01:78")
        wait_for(relay.log_text, lambda text: "port_up port=ran reason=interface" in text, "a line")
        for family, group in GROUPS.items():
            with GroupSender(own_lab, group, 30000) as radio, lab_module.Client(own_lab, "core", family) as listener:
                apply(relay, f"group{family}", [group_leg(own_lab, "in", group, 30000), listener.leg("out")])
                radio.send(mcx.rtp(family, 1, b"to the group"))
                assert listener.recv() == mcx.rtp(family, 1, b"to the group")
        with lab_module.Client(own_lab, "ran") as a, lab_module.Client(own_lab, "core") as b:
            apply(relay, "again", [a.leg("a"), b.leg("b")])
            repeat_until(a, b, mcx.rtp(1, 1, b"there"))
            repeat_until(b, a, mcx.rtp(2, 1, b"and back"))


def test_interface_made_again_below_several_queues(own_lab):
    """The kernel does not let their sockets move: the relay ends, so that the next one opens the port."""
    with Relay(own_lab, workers=2) as relay:
        own_lab.ip("relay", "link", "del", "veth-core")
        wait_for(relay.log_text, lambda text: "port_down port=core reason=interface" in text, "a line")
        own_lab._build_side(own_lab.sides["core"])
        assert relay.process.wait(lab_module.PATIENCE) == 75
        wait_for(relay.log_text, lambda text: "error port_needs_restart port=core" in text, "a line")
        relay.kill9()
        relay.start_again()


def fence_packets(sender, receiver):
    """What arrives until a packet that was sent now."""
    last, packets = mcx.rtp(3, 1, b"last"), []
    sender.send(last)
    while not packets or packets[-1] != last:
        packets.append(receiver.recv())
    return packets


def test_port_without_a_leg(relay, clients):
    stranger = clients("ran")
    before = relay.drops()
    for _ in range(10):
        stranger.send(mcx.rtp(1, 1, b"hello?"))
    relay.wait_drops(before, no_leg=10)
