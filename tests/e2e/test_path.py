# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""What routers and hosts say by ICMP of packets that the relay sent: a smaller MTU is heeded and told, an unreachable
port is told and changes nothing, and what does not quote a packet of the relay's is not believed. More of the latter is
in tests/unit/host_icmp_error_test.c, how long an MTU holds in session_path_test.c."""

import contextlib

import pytest

import lab as lab_module
import mcx
from lab import Relay, apply, wait_for
from tap import Tap, fragmentation_needed, icmp_error
from test_events import Subscriber

HOP_MTU = 1300
HEADERS = {4: 28, 6: 48}  # octets of IP and UDP
LEAST = {4: 576, 6: 1280}
FAR = {4: "192.0.2.10", 6: "2001:db8::10"}
ROUTER = {4: "10.77.1.2", 6: "fd77:1::2"}


def statistics(relay, session, number):
    return relay.call("session.get", {"id": session})["legs"][number]["statistics"]["send"]


def packet_of(size, n, family):
    """Media that makes an IP packet of that size."""
    packet = mcx.rtp(7, n, b"")
    return packet + bytes(size - HEADERS[family] - len(packet))


@pytest.fixture
def hop():
    """A relay whose port ran has a router beside it, with a narrower link behind that."""
    with lab_module.Lab() as lab:
        lab.build_hop("ran", HOP_MTU)
        gateways = {"ran": {"gateway": ROUTER[4], "gateway6": ROUTER[6]}}
        with Relay(lab, ports=gateways) as relay:
            yield lab, relay


@pytest.mark.parametrize("mode", ["opaque", "srtp"])
@pytest.mark.parametrize("family", [4, 6])
def test_narrow_path(hop, family, mode, new_key):
    """A Linux router's "fragmentation needed", or Packet Too Big. What the path takes to the last octet arrives."""
    lab, relay = hop
    key = new_key("gmk") if mode == "srtp" else None
    sender = None
    if key:
        lab_module.install(relay, key)
        sender = mcx.SrtpSender(key.group("sip:alice@x"), 7)
    overhead = len(mcx.SrtpSender(key.group("sip:alice@x"), 7).protect(b"")) - 12 if key else 0

    def media(size, n):
        if not key:
            return packet_of(size, n, family)
        return sender.protect(bytes(size - HEADERS[family] - 12 - overhead))

    with lab_module.Client(lab, "core", family) as near, \
            lab_module.Client(lab, "ran", family, host=FAR[family], namespace="far") as far, \
            Subscriber(relay.connect(), ["path.mtu"]) as subscriber:
        apply(relay, "narrow", [near.leg("near", mode, key), far.leg("far", mode, key)])
        first = media(HOP_MTU, 0)  # the router knows the far host then
        near.send(first)
        assert far.recv() == first
        near.send(media(HOP_MTU + 1, 1))
        event = subscriber.expect("path.mtu", session="narrow", leg="far")
        assert (event["address"], event["host"], event["mtu"]) == (far.address, ROUTER[family], HOP_MTU)
        assert relay.drops()["larger_than_mtu"] == 0  # the one that told it was lost on its way
        before = relay.drops()
        for n in range(2, 5):
            near.send(media(HOP_MTU + n - 1, n))
        last = media(HOP_MTU, 5)
        near.send(last)
        assert far.recv() == last
        relay.wait_drops(before, larger_than_mtu=3)
        send = statistics(relay, "narrow", 1)
        assert send["path_mtu"] == HOP_MTU and send["drops"] == {"larger_than_mtu": 3} and send["packets"] == 3
        assert "unreachable" not in send
        assert "path_mtu" not in statistics(relay, "narrow", 0)
        line = f'warning path.mtu session="narrow" leg="far" address={far.address} host={ROUTER[family]} mtu={HOP_MTU}'
        wait_for(lambda: list(relay.log), lambda log: any(each.endswith(line + "\n") for each in log), line)


@pytest.mark.parametrize("family", [4, 6])
def test_closed_port(relay, lab, clients, name, family):
    """Told, counted, and not trusted: whoever opens the port hears what comes then."""
    a, b = clients("core", family), clients("ran", family)
    with Subscriber(relay.connect(), ["path.unreachable"]) as subscriber:
        apply(relay, name, [a.leg("a"), b.leg("b")])
        b.close()
        a.send(mcx.rtp(1, 1, b"hello?"))
        event = subscriber.expect("path.unreachable", session=name, leg="b")
        assert (event["address"], event["host"], event["reason"], event["count"]) == \
            (b.address, b.side.host_address(family), "port", 1)
        send = statistics(relay, name, 1)
        assert send["unreachable"] == 1 and send["drops"] == {} and "path_mtu" not in send
    with reopened(b) as again:
        a.send(mcx.rtp(1, 2, b"hello"))
        assert again.recv(2000) == mcx.rtp(1, 2, b"hello")


@contextlib.contextmanager
def reopened(client):
    with client.lab.socket(client.side.name, client.socket.family, client.socket.type) as made:
        made.bind((client.host, client.port))
        yield made


@pytest.mark.parametrize("family", [4, 6])
def test_nobody_and_no_route_behind_the_router(hop, family):
    """A Linux router says "host unreachable" when its neighbour does not answer, and "net" without a route."""
    lab, relay = hop
    nobody = {4: "192.0.2.77", 6: "2001:db8::77"}[family]
    nowhere = {4: "198.51.100.7", 6: "2001:db9::7"}[family]
    with lab_module.Client(lab, "core", family) as near, \
            Subscriber(relay.connect(), ["path.unreachable"]) as subscriber:
        legs = [near.leg("near")]
        for n, host in enumerate((nobody, nowhere)):
            local = lab_module.address_text(near.lab.sides["ran"].relay_address(family), lab.local_port())
            legs.append({"id": host, "port": "ran", "local": local, "remote": lab_module.address_text(host, 5000),
                         "protection": {"mode": "opaque"}})
        apply(relay, "dead", legs)
        near.send(mcx.rtp(1, 1, b"anybody there?"))
        reasons = {host: subscriber.expect("path.unreachable", session="dead", leg=host)["reason"]
                   for host in (nowhere, nobody)}
        assert reasons == {nowhere: "net", nobody: "host"}


class Quoted:
    """A leg whose newest packet, of 1,400 octets, is at hand to be quoted."""

    def __init__(self, relay, clients, name, wire, family):
        self.relay, self.name, self.wire, self.family = relay, name, wire, family
        self.sender, self.receiver = clients("core", family), clients("ran", family)
        apply(relay, name, [self.sender.leg("sender"), self.receiver.leg("receiver")])
        self.n = 0
        self.packet = self.send(1400)

    def send(self, size):
        self.n += 1
        media = packet_of(size, self.n, self.family)
        self.sender.send(media)
        while True:
            frame = self.wire.socket.recv(2048)
            if frame[6:12] == self.wire.relay_mac and frame.endswith(media):
                assert self.receiver.recv() == media
                return frame[14:]

    def say(self, mtu, packet=None, source=None):
        side = self.wire.side
        self.wire.send(*fragmentation_needed(source or side.host_address(self.family),
                                             side.relay_address(self.family), mtu, packet or self.packet))


def changed(packet, at, octet=None):
    out = bytearray(packet)
    out[at] = (out[at] + 1) % 256 if octet is None else octet
    return bytes(out)


@pytest.mark.parametrize("family", [4, 6])
def test_what_is_not_believed(relay, lab, clients, name, family):
    ports = HEADERS[family] - 8
    with Tap(lab, "ran") as wire, Subscriber(relay.connect(), ["path.mtu", "path.unreachable"]) as subscriber:
        leg = Quoted(relay, clients, name, wire, family)
        for mtu in (0 if family == 6 else 68, LEAST[family] - 1, 1400, 1500):
            leg.say(mtu)
        for at in (ports + 1, ports + 3, ports - 1):  # its port, the peer's, the peer's address
            leg.say(1300, changed(leg.packet, at))
        leg.say(1300, changed(leg.packet, 9 if family == 4 else 6, 6))  # TCP
        leg.say(1300, leg.packet[:ports + 7])
        leg.send(1400)
        send = statistics(relay, name, 1)
        assert "path_mtu" not in send and "unreachable" not in send and send["drops"] == {}
        leg.say(LEAST[family])
        event = subscriber.expect("path.mtu", session=name, leg="receiver")
        assert event["mtu"] == LEAST[family]
        leg.send(LEAST[family])
        before = relay.drops()
        leg.sender.send(packet_of(LEAST[family] + 1, 99, family))
        relay.wait_drops(before, larger_than_mtu=1)


@pytest.mark.parametrize("family", [4, 6])
def test_leg_that_moves_to_another_host(relay, lab, clients, name, family):
    """The MTU was that of the way to the host before."""
    with Tap(lab, "ran") as wire, Subscriber(relay.connect(), ["path.mtu"]) as subscriber:
        leg = Quoted(relay, clients, name, wire, family)
        leg.say(1300)
        subscriber.expect("path.mtu", session=name, leg="receiver")
        legs = [leg.sender.leg("sender"), leg.receiver.leg("receiver")]
        apply(relay, name, legs)
        assert statistics(relay, name, 1)["path_mtu"] == 1300
        other = lab_module.address_text({4: "10.77.1.9", 6: "fd77:1::9"}[family], 5000)
        relay.call("leg.apply", {"session": name, "legs": [legs[1] | {"remote": other}]})
        assert "path_mtu" not in statistics(relay, name, 1)


def test_flood_of_errors(relay, lab, clients, name):
    """A worker and the control thread have other things to do: media goes on, and a stranger is not told of."""
    with Tap(lab, "ran") as wire, Subscriber(relay.connect(), ["path.mtu", "path.unreachable"]) as subscriber:
        leg = Quoted(relay, clients, name, wire, 4)
        for n in range(3000):
            guess = changed(leg.packet, 23, leg.packet[23] ^ (n % 255 + 1))
            wire.send(*icmp_error("10.77.1.2", "10.77.1.1", 3, 3, 0, guess[:28]))
            if n % 100 == 0:
                leg.send(200)
        wait_for(lambda: leg.say(1300) or statistics(relay, name, 1).get("path_mtu"), lambda mtu: mtu == 1300,
                 "an error that is right, in a second without others")
        assert subscriber.event()["type"] == "path.mtu"


def test_others_are_not_narrowed(hop):
    """A listener behind the narrow link does not narrow the way of others, and what is small enough is heard by all."""
    lab, relay = hop
    with lab_module.Client(lab, "core") as talker, lab_module.Client(lab, "ran") as near, \
            lab_module.Client(lab, "ran", host=FAR[4], namespace="far") as far, \
            Subscriber(relay.connect(), ["path.mtu"]) as subscriber:
        apply(relay, "both", [talker.leg("talker"), near.leg("near"), far.leg("far")])
        for n in range(2):
            talker.send(packet_of(1400, n, 4))
            assert near.recv() == packet_of(1400, n, 4)
            if n == 0:
                subscriber.expect("path.mtu", session="both", leg="far")
        talker.send(packet_of(1000, 2, 4))
        assert near.recv() == far.recv() == packet_of(1000, 2, 4)
        wait_for(lambda: statistics(relay, "both", 2)["drops"], lambda drops: drops == {"larger_than_mtu": 1}, "a drop")
