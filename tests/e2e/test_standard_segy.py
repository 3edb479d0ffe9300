# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""An MC Security Gateway's media plane: TS 33.180 clauses L.4.2 to L.4.5, with 7.5 on the encrypted interface.

The encrypted interface is the port ran, the unencrypted one the port core.
"""

import socket
import struct

import pytest

import gstreamer
import libsrtp
import mcx
from lab import apply, fence, install
from tap import Tap

ALICE = "sip:alice@mcptt.example.org"
BOB = "sip:bob@mcptt.example.org"
LMR_USERS = ["sip:unit1@lmr.example.org", "sip:unit2@lmr.example.org"]
SSRC, LMR = 0x00a11ce0, 0x00001111
MTU = 1500
VIDEO = 1200  # octets of payload
CLAUSES = {"initiator": "L.4.2", "receiver": "L.4.3"}
SERVICES = pytest.mark.parametrize("service", ["mcptt", "mcvideo"])
FAMILIES = pytest.mark.parametrize("family", [4, 6])
CALLS = pytest.mark.parametrize("kind", ["L.4.2", "L.4.3", "L.4.4", "L.4.5"])


def opposite(role):
    return {"initiator": "receiver", "receiver": "initiator"}[role]


def room(family):
    """Octets of RTP payload, and of all that protection adds, in a packet of MTU size."""
    return MTU - {4: 20, 6: 40}[family] - 8 - 12


class SeGy:
    """One call through the gateway. A client on the encrypted interface, a user on the unencrypted one."""

    def __init__(self, relay, clients, name, new_key, kind, service="mcptt", family=4, lmr_family=None, **key_more):
        self.kind, self.service = kind, service
        self.client, self.lmr = clients("ran", family), clients("core", lmr_family or family)
        group = kind in ("L.4.4", "L.4.5")
        self.key = new_key("gmk" if group else "pck", **key_more)
        if group:
            # L.4.4: the GMS of the protected system made the key; L.4.5: the SeGy did, and knows whom it gave it to
            more = {"users": [ALICE, BOB, *LMR_USERS]} if kind == "L.4.5" else {}
            install(relay, self.key.rpc(**more))
            protection, keys = {}, []
            self.up = self.key.group(ALICE, service)
            self.down = self.key.group(LMR_USERS[0], service)
            self.overhead = mcx.TAG_LEN + 8 + 4
        else:
            role = "initiator" if kind == "L.4.2" else "receiver"
            protection, keys = {"role": role}, [self.key.rpc()]
            self.up, self.down = self.key.private(role, service), self.key.private(opposite(role), service)
            self.overhead = mcx.TAG_LEN + 4
        self.sender, self.receiver = mcx.SrtpSender(self.up, SSRC), mcx.SrtpReceiver(self.down)
        self.plain = mcx.PlainSender(LMR, seq=65530)
        lmr_user = {"user": LMR_USERS[0]} if group else {}
        apply(relay, name, [self.client.leg("client", "srtp", self.key, protection=protection),
                            self.lmr.leg("lmr", "plain", protection=lmr_user)],
              service, "group" if group else "private", keys=keys)

    def say_up(self, payload, **more):
        self.client.send(self.sender.protect(payload, **more))
        assert self.lmr.recv() == self.sender.last_plain

    def say_down(self, payload, **more):
        """What the client hears."""
        self.lmr.send(self.plain.protect(payload, **more))
        got = self.receiver.unprotect(self.client.recv())
        assert got.payload == payload and got.header[:8] == self.plain.last_plain[:8]
        return got


@pytest.fixture
def segy(relay, clients, name, new_key):
    return lambda kind, *args, **more: SeGy(relay, clients, name, new_key, kind, *args, **more)


# Each clause

@SERVICES
@FAMILIES
@CALLS
def test_call_both_ways(segy, kind, service, family):
    """L.4.2 to L.4.5, 3a and 3b: protected under the call's key on one side, in plain on the other; over a wrap of
    SEQ in both directions."""
    call = segy(kind, service, family)
    call.sender.seq = 65530
    heard = []
    for n in range(20):
        call.say_up(b"up %d" % n, marker=n == 0)
        heard.append(call.say_down(b"down %d" % n, marker=n == 0))
    [ssrc] = {packet.ssrc for packet in heard}
    assert ssrc != LMR, "standards.md A17"
    assert [packet.index - heard[0].index for packet in heard] == list(range(20))


@CALLS
@pytest.mark.parametrize("families", [(4, 6), (6, 4)], ids=str)
def test_call_between_address_families(segy, kind, families):
    """L.4.2 to L.4.5 where the two systems do not speak the same version of IP."""
    call = segy(kind, family=families[0], lmr_family=families[1])
    for n in range(5):
        call.say_up(b"up %d" % n)
        call.say_down(b"down %d" % n)


@SERVICES
@pytest.mark.parametrize("role", CLAUSES)
def test_private_call_with_libsrtp(segy, role, service):
    """L.4.2 and L.4.3: libsrtp2 is the MC client, initiator or receiver."""
    call = segy(CLAUSES[role], service)
    with libsrtp.private_peer(call.key, role, SSRC, service=service) as client:
        for n in range(10):
            plain = mcx.rtp(SSRC, 65530 + n & 0xffff, bytes([n]) * 160)
            call.client.send(client.protect(plain))
            assert call.lmr.recv() == plain
    ssrc = call.say_down(b"first").ssrc
    with libsrtp.private_peer(call.key, opposite(role), ssrc, service=service) as client:
        for n in range(3):
            call.lmr.send(call.plain.protect(bytes([n]) * 160))
            assert client.unprotect(call.client.recv())[12:] == bytes([n]) * 160


@pytest.mark.parametrize("kind", ["L.4.4", "L.4.5"])
def test_gstreamer_in_a_group(segy, lab, kind):
    """L.4.4 and L.4.5: GStreamer is the MC client on the encrypted interface, the gateway's user is heard by it."""
    call = segy(kind, roc_rate=0)
    ssrc = call.say_down(bytes(160), payload_type=8).ssrc  # the SSRC that the caps must name
    host, port = call.client.host, call.client.port
    call.client.close()
    with lab.socket("ran", socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.bind((host, 0))
        text = gstreamer.receiver(call.key, LMR_USERS[0], host, port, ssrc, out.getsockname()[1])
        with gstreamer.Pipeline(lab, "ran", text):
            for n in range(20):
                call.lmr.send(call.plain.protect(bytes([n]) * 160, payload_type=8))
                got = mcx.parse_rtp(out.recv(2048))
                assert got.payload == bytes([n]) * 160 and got.ssrc == ssrc


@SERVICES
def test_users_of_both_systems_in_one_group(relay, clients, name, new_key, service):
    """L.4.4, 7.4.2: on the encrypted interface each user of the other system speaks with a GUK-ID of its own, and what
    protected users say goes to the other protected ones as it came."""
    gmk = new_key("gmk")
    install(relay, gmk)
    ends = {ALICE: clients("ran"), BOB: clients("ran", 6)}
    lmrs = {user: clients("core", family) for user, family in zip(LMR_USERS, (4, 6))}
    apply(relay, name, [end.leg(f"mc{n}", "srtp", gmk) for n, end in enumerate(ends.values())]
          + [end.leg(f"lmr{n}", "plain", protection={"user": user}) for n, (user, end) in enumerate(lmrs.items())], service)
    talkers = {user: mcx.SrtpSender(gmk.group(user, service), SSRC + n) for n, user in enumerate(ends)}
    receivers = {user: mcx.SrtpReceiver(gmk.group(user, service)) for user in LMR_USERS}
    for n in range(10):
        for user, other in ((ALICE, BOB), (BOB, ALICE)):
            packet = talkers[user].protect(b"%d" % n)
            ends[user].send(packet)
            assert ends[other].recv() == packet
            assert {lmr.recv() for lmr in lmrs.values()} == {talkers[user].last_plain}
        for user, lmr in lmrs.items():
            plain = mcx.rtp(LMR, n, user.encode())  # of both users the same SSRC
            lmr.send(plain)
            heard = [end.recv() for end in ends.values()]
            assert heard[0] == heard[1]
            assert receivers[user].unprotect(heard[0]).payload == user.encode()
            assert [end.recv() for other, end in lmrs.items() if other != user] == [plain]


def test_group_of_two_protected_systems_through_a_plain_leg(relay, clients, name, new_key):
    """L.4.4 and L.4.5 at once: each protected system has its own GMK, and a talker that both name is re-encrypted."""
    gmks = [new_key("gmk"), new_key("gmk")]
    install(relay, *(gmk.rpc(users=[ALICE, BOB]) for gmk in gmks))
    near, far, lmr = clients("ran"), clients("ran"), clients("core")
    apply(relay, name, [near.leg("near", "srtp", gmks[0]), far.leg("far", "srtp", gmks[1]),
                        lmr.leg("lmr", "plain", protection={"user": LMR_USERS[0]})])
    for client, listener, user, own, other in ((near, far, ALICE, *gmks), (far, near, BOB, *gmks[::-1])):
        sender, receiver = mcx.SrtpSender(own.group(user), SSRC), mcx.SrtpReceiver(other.group(user))
        for n in range(5):
            client.send(sender.protect(b"%d" % n))
            assert receiver.unprotect(listener.recv()).packet == sender.last_plain
            assert lmr.recv() == sender.last_plain
    lmr.send(mcx.rtp(LMR, 1, b"to both"))
    for client, gmk in ((near, gmks[0]), (far, gmks[1])):
        assert mcx.SrtpReceiver(gmk.group(LMR_USERS[0])).unprotect(client.recv()).payload == b"to both"


# Sizes

@SERVICES
@FAMILIES
@CALLS
def test_video_sized_packets(segy, kind, service, family):
    """7.5 with packets as MCVideo has them: 1,200 octets, and fragments of a picture in a row."""
    call = segy(kind, service, family)
    for n in range(10):
        payload = bytes((n + m) & 0xff for m in range(VIDEO))
        call.say_up(payload, marker=n == 9)
        call.say_down(payload, marker=n == 9)
    for n in range(32):
        call.client.send(call.sender.protect(bytes([n]) * VIDEO))
    assert [mcx.parse_rtp(packet).payload for packet in call.lmr.recv_many(32)] == [bytes([n]) * VIDEO for n in range(32)]


@FAMILIES
@CALLS
def test_full_mtu_on_the_encrypted_interface(segy, kind, family):
    """7.5: a protected packet that fills the MTU to its last octet passes, up and down, whole."""
    call = segy(kind, "mcvideo", family)
    payload = bytes(n & 0xff for n in range(room(family) - call.overhead))
    for _ in range(3):
        call.say_up(payload)
        call.say_down(payload)


@FAMILIES
@CALLS
def test_does_not_fit_after_protection(segy, relay, kind, family):
    """7.5: what would be larger than the MTU with tag, MKI and ROC is dropped with that reason, and never cut short."""
    call = segy(kind, "mcvideo", family)
    call.say_down(b"first")
    before = relay.drops()
    largest = room(family) - call.overhead
    sizes = (largest + 1, largest + 4, room(family))
    for size in sizes:
        call.lmr.send(call.plain.protect(bytes(size)))
    call.say_down(bytes(largest))
    relay.wait_drops(before, larger_than_mtu=len(sizes))


def test_does_not_fit_into_the_longer_ip_header(relay, clients, name):
    """7.5, L.4: from IPv4 to IPv6 it is the 20 octets more of header that count."""
    a, b = clients("core", 4), clients("core", 6)
    apply(relay, name, [a.leg("a", "plain"), b.leg("b", "plain")])
    before = relay.drops()
    for seq, size in enumerate((room(4), room(6) + 1)):
        a.send(mcx.rtp(LMR, seq, bytes(size)))
    largest = mcx.rtp(LMR, 2, bytes(room(6)))
    assert fence(a, largest, b) == [largest]
    relay.wait_drops(before, larger_than_mtu=2)


@FAMILIES
def test_does_not_fit_under_a_longer_trailer(relay, clients, name, new_key, family):
    """7.4.2: re-encrypted from a GMK whose packets have 4 octets of MKI to one with 8 and a ROC."""
    short, long = new_key("gmk", mki_length=4, roc_rate=0), new_key("gmk")
    install(relay, short, long)
    a, b = clients("ran", family), clients("core", family)
    apply(relay, name, [a.leg("a", "srtp", short, protection={"user": ALICE}), b.leg("b", "srtp", long)], "mcvideo")
    sender, receiver = mcx.SrtpSender(short.group(ALICE, "mcvideo"), SSRC), mcx.SrtpReceiver(long.group(ALICE, "mcvideo"))
    before = relay.drops()
    a.send(sender.protect(bytes(room(family) - mcx.TAG_LEN - 4)))
    [got] = fence(a, sender.protect(bytes(room(family) - mcx.TAG_LEN - 12)), b)
    assert receiver.unprotect(got).packet == sender.last_plain
    relay.wait_drops(before, larger_than_mtu=1)


# Topology hiding

@FAMILIES
def test_nothing_names_the_other_side(segy, lab, family):
    """L.4, 11.1.3: addresses, ports, hop limit and traffic class of one side are not seen on the other."""
    call = segy("L.4.4", family=family)
    level, option = (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if family == 6 else (socket.IPPROTO_IP, socket.IP_TTL)
    seen = set()
    with Tap(lab, "core") as tap:
        for hops in (7, 64, 200):
            call.client.socket.setsockopt(level, option, hops)
            call.say_up(b"with %d hops left" % hops)
            seen.add(headers(tap, family, call.lmr.relay_port))
    [(source, hops)] = seen
    assert source == socket.inet_pton(socket.AF_INET6 if family == 6 else socket.AF_INET, call.lmr.relay_host)
    assert hops == 64


def headers(tap, family, port):
    """(source address, hop limit) of the next packet from this port of the relay."""
    ethertype, udp, source, hops = (b"\x86\xdd", 54, slice(22, 38), 21) if family == 6 else (b"\x08\0", 34, slice(26, 30), 22)
    while True:
        frame = tap.socket.recv(1 << 16)
        if frame[6:12] == tap.relay_mac and frame[12:14] == ethertype \
                and struct.unpack_from(">H", frame, udp)[0] == port:
            return frame[source], frame[hops]
