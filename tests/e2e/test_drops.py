# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Every reason to drop a packet (dataplane/drop.h), provoked from outside: its counter grows by one, no other does."""

import contextlib
import pathlib
import re
import socket
import struct

import pytest

import lab as lab_module
import mcx
import process
from lab import Client, Relay, apply, install, wait_for
from tap import IPV4, IPV6, Tap, ipv4_header, udp_header

ALICE = "sip:alice@mcptt.example.org"
GATEWAY = "sip:gateway@lmr.example.org"
SSRC = 0x11223344
STREAMS = 600  # limits.streams, above the pool of fresh SSRCs
PUNT_ROOM = 255  # packets of one of two ports that wait for the control thread at most
HOLD_ROOM = 512  # packets that wait on account of one leg
HOLD_CONTEXTS = 4  # key contexts that one leg waits for

# Why the others are not provoked here.
NOT_PROVOKED = {
    "index_used": "64 senders of one leg must count anew in one second",
    "stream_busy": "two workers must send in one stream in the same microsecond",
    "handoff_full": "4,096 packets must reach one worker while another stands still",
    "ssrc_pool": "a worker has 256 SSRCs in hand, a leg may begin 64 streams at once",
    "cipher_fail": "no packet makes AES-GCM fail but by its tag",
    "no_buffer": "needs all packet buffers in flight at once",
    "tx_full": "the af_packet PMD waits for the kernel instead",
    "port_down": "takes a link down: see test_network.py",
}


@pytest.fixture(scope="module")
def quiet_lab():
    """Hosts without IPv6, which send nothing by themselves that the relay would count."""
    with lab_module.Lab() as lab:
        for side in lab.sides:
            lab.sysctl(side, "net.ipv6.conf.all.disable_ipv6=1")
        yield lab


@pytest.fixture(scope="module")
def quiet_relay(quiet_lab):
    with Relay(quiet_lab, limits={"streams": STREAMS}, families=(4,)) as made:
        yield made


class Scene:
    """What the cases need: the relay, clients, keys, and a tap for frames made by hand."""

    def __init__(self, relay, lab, new_key, stack):
        self.relay, self.lab, self.new_key = relay, lab, new_key
        self.tap = stack.enter_context(Tap(lab, "ran"))
        self.a, self.b, self.c = (stack.enter_context(Client(lab, side)) for side in ("ran", "core", "core"))
        self.before = relay.drops()

    def ready(self):
        """From here on drops count."""
        self.before = self.relay.drops()

    def opaque(self, **leg):
        apply(self.relay, "opaque", [self.a.leg("a", **leg), self.b.leg("b")])
        self.ready()

    def protected(self, members=None, target="plain", protection=None, **profile):
        """Alice speaks under a GMK to b; returns her sender, whose first packet has arrived."""
        self.gmk = self.new_key(**profile)
        install(self.relay, self.gmk.rpc(**(members or {})))
        apply(self.relay, "protected", [self.a.leg("a", "srtp", self.gmk),
                                        self.b.leg("b", target, protection=protection or {"user": GATEWAY})])
        self.sender = mcx.SrtpSender(self.gmk.group(ALICE), SSRC, seq=10)
        if target == "plain":
            self.say()
        self.ready()
        return self.sender

    def say(self, payload=b"voice"):
        self.a.send(self.sender.protect(payload))
        assert self.b.recv() == self.sender.last_plain

    def to_radio(self):
        """Plain media of b leaves to a under a GMK, and the first packet did."""
        self.protected()
        self.b.send(mcx.rtp(1, 1, b"first"))
        self.a.recv()
        self.ready()

    def control(self, *kinds):
        """RTCP of a under a key of its own, to b, and of c to b as well."""
        keys = [self.new_key(kind) for kind in kinds]
        install(self.relay, *keys)
        apply(self.relay, "control", [client.leg(name, "srtp", key, traffic="control") for name, client, key
                                      in zip("abc", (self.a, self.b, self.c), keys)])
        self.ready()
        return keys

    def frame(self, length=20, to=None, protocol=17, udp_length=None):
        """IPv4 and UDP headers to a leg's port, without payload's meaning."""
        to = to or self.a.side.relay4
        udp = udp_header(5000, self.a.relay_port, udp_length if udp_length is not None else length) + bytes(length)
        return ipv4_header(self.a.host, to, len(udp), protocol) + udp


CASES = {}


def case(function):
    CASES[function.__name__] = function
    return function


# Frames

@case
def frame_short(s):
    s.tap.send(IPV4, s.frame(100)[:60])


@case
def vlan(s):
    s.tap.send(0x8100, struct.pack(">HH", 5, IPV4) + s.frame())


@case
def ethertype(s):
    s.tap.send(0x88b5, bytes(46))


@case
def ip_header(s):
    s.tap.send(IPV4, mcx.flipped(s.frame(), 10))


@case
def ip_fragment(s):
    """Of IPv6: with several workers the kernel puts those of IPv4 together before the af_packet PMD sees them."""
    source, to = (socket.inet_pton(socket.AF_INET6, host) for host in (s.a.side.host6, s.a.side.relay6))
    fragment = struct.pack(">BBHI", 17, 0, 1, 7) + bytes(16)
    s.tap.send(IPV6, struct.pack(">IHBB", 6 << 28, len(fragment), 44, 64) + source + to + fragment)


@case
def ip_protocol(s):
    s.tap.send(IPV4, s.frame(protocol=132))


@case
def not_local(s):
    s.tap.send(IPV4, s.frame(to="10.77.1.99"))


@case
def own_source(s):
    """As if a switch brought back what the relay sent."""
    apply(s.relay, "group", [s.a.leg("group", remote="239.77.3.1:5004"), s.b.leg("b")])
    s.ready()
    s.tap.send(IPV4, ipv4_header(s.a.side.relay4, "239.77.3.1", 20) + udp_header(5004, 5004, 12) + bytes(12))


@case
def udp_length(s):
    s.tap.send(IPV4, s.frame(20, udp_length=21))


@case
def udp_checksum(s):
    """Over IPv6 alone."""
    source, to = (socket.inet_pton(socket.AF_INET6, host) for host in (s.a.side.host6, s.a.side.relay6))
    datagram = udp_header(5000, s.a.relay_port, 20) + bytes(20)
    s.tap.send(IPV6, struct.pack(">IHBB", 6 << 28, len(datagram), 17, 64) + source + to + datagram)


@case
def punt_full(s):
    s.opaque()
    question = struct.pack(">HHBBH", 1, IPV4, 6, 4, 1) + s.tap.mac + bytes([10, 77, 1, 2]) + bytes(6)
    with process.frozen(s.relay.process.pid):
        for n in range(PUNT_ROOM + 1):
            s.tap.send(0x0806, question + bytes([10, 77, 1, 200]))  # nobody's address: no answer, no trace
            if n % 32 == 31:  # or the ring of the af_packet PMD is what is full
                s.a.send(mcx.rtp(1, n, b"behind them"))
                s.b.recv()


# Legs

@case
def no_leg(s):
    s.a.send(mcx.rtp(1, 1, b"hello?"))


@case
def leg_muted(s):
    s.opaque(receive=False)
    s.a.send(mcx.rtp(1, 1, b"muted"))


@case
def source_mismatch(s):
    s.opaque(remote="10.77.1.2:9")
    s.a.send(mcx.rtp(1, 1, b"from elsewhere"))


@case
def not_rtp(s):
    s.opaque()
    s.a.send(b"nonsense, but long enough")


@case
def rtcp_off(s):
    s.opaque(rtcp="none")
    s.a.send(mcx.rr(1))


@case
def media_on_control(s):
    s.opaque(traffic="control")
    s.a.send(mcx.rtp(1, 1, b"media"))


# Keys

@case
def unknown_mki(s):
    s.protected()
    s.a.send(mcx.SrtpSender(s.new_key().group(ALICE), SSRC).protect(b"foreign"))


@case
def unknown_user(s):
    s.protected({"users": [ALICE]})
    s.a.send(mcx.SrtpSender(s.gmk.group("sip:mallory@example.org"), SSRC).protect(b"let me in"))


@case
def no_key(s):
    s.protected()
    s.relay.call("key.revoke", {"keys": [{"domain": "home", "id": s.gmk.id_text}]})
    s.a.send(s.sender.protect(b"too late"))


@case
def derive_limit(s):
    s.protected()
    with process.frozen(s.relay.process.pid):
        for n in range(HOLD_CONTEXTS + 1):
            s.a.send(mcx.SrtpSender(s.gmk.group(f"sip:user{n}@example.org"), n).protect(b"first"))
        s.say(b"behind them")
    s.b.recv_many(HOLD_CONTEXTS)


@case
def hold_full(s):
    s.protected()
    bob = mcx.SrtpSender(s.gmk.group("sip:bob@example.org"), 5)
    with process.frozen(s.relay.process.pid):
        for _ in range(HOLD_ROOM + 1):
            s.a.send(bob.protect(b"first"))
        s.say(b"behind them")
    s.b.recv_many(HOLD_ROOM)


# Streams

@case
def replayed(s):
    packet = s.protected().protect(b"once")
    s.a.send(packet)
    s.b.recv()
    s.a.send(packet)


@case
def too_old(s):
    old = s.protected().protect(b"old")
    s.sender.seq += 2000
    s.say()
    s.a.send(old)


@case
def misordered(s):
    s.to_radio()
    s.b.send(mcx.rtp(9, 0, b"first"))
    s.a.recv()
    s.b.send(mcx.rtp(9, 65535, b"overtaken"))


@case
def stream_limit(s):
    """New plain senders until one is refused: each is followed by one that is known."""
    apply(s.relay, "plain", [s.a.leg("a", "plain"), s.b.leg("b", "plain")])
    s.ready()
    until_refused(s.a, s.b, lambda packet: packet[12:])


def until_refused(sender, receiver, payload_of):
    """Packets with a new SSRC each, until one does not arrive."""
    sender.send(mcx.rtp(2, 1, b"known"))
    receiver.recv()
    for n in range(2, 2 * STREAMS):
        sender.send(mcx.rtp(0x10000 + n, 1, b"new"))
        sender.send(mcx.rtp(2, n, b"known"))
        if payload_of(receiver.recv()) == b"known":
            return
        assert payload_of(receiver.recv()) == b"known"
    raise AssertionError("none was refused")


@case
def rate_limited(s):
    """One packet a second: the next one of the same burst is too much."""
    s.opaque(rate={"packets": 1})
    with process.frozen(s.relay.process.pid):
        for n in range(2):
            s.a.send(mcx.rtp(1, n, b"and on"))


@case
def stream_share(s):
    """New senders of one user until one is refused: each is followed by one that is known."""
    s.protected()
    for n in range(2, 2 * STREAMS):
        s.a.send(mcx.SrtpSender(s.gmk.group(ALICE), 0x10000 + n).protect(b"new"))
        s.a.send(s.sender.protect(b"known"))
        if s.b.recv() == s.sender.last_plain:
            return
        assert s.b.recv() == s.sender.last_plain
    raise AssertionError("none was refused")


def gmk(s):
    s.gmk = s.new_key()
    install(s.relay, s.gmk)
    return s.gmk


@case
def ssrc_collision(s):
    csk_a, csk_b = s.control("csk", "csk")
    s.a.send(mcx.SrtcpSender(csk_a.control()).protect(mcx.floor_request(7, ALICE)))
    s.b.recv()
    # under this key the SSRC is the relay's now
    s.b.send(mcx.SrtcpSender(csk_b.control()).protect(mcx.floor_request(7, GATEWAY)))


# Cipher

@case
def srtp_short(s):
    s.protected()
    s.a.send(mcx.rtp(5, 1, b"no room for tag and MKI"[:8]))


@case
def auth_fail(s):
    s.a.send(mcx.flipped(s.protected().protect(b"forged"), 13))


@case
def index_limit(s):
    s.protected()
    s.sender.roc, s.sender.seq = 0xffffffff, 0xffff
    s.say(b"the last")
    s.ready()
    s.a.send(s.sender.protect(b"one more"))


@case
def malformed_clear(s):
    key, _ = s.control("csk", "csk")
    s.a.send(mcx.SrtcpSender(key.control()).protect(mcx.rr(1) + b"\x80\xc9\xff\xff"))


# Copies

@case
def no_receiver(s):
    apply(s.relay, "alone", [s.a.leg("a")])
    s.a.send(mcx.rtp(1, 1, b"anybody?"))


@case
def unknown_talker(s):
    gmk2 = s.new_key()
    install(s.relay, gmk2)
    gmk(s)
    apply(s.relay, "talker", [s.a.leg("a", "srtp", s.gmk), s.b.leg("b", "srtp", gmk2)])
    s.ready()
    s.a.send(mcx.SrtpSender(s.gmk.group(ALICE), SSRC).protect(b"who is it?"))


@case
def senders_key(s):
    old, new = s.new_key("csk"), s.new_key("csk")
    install(s.relay, old, new)
    apply(s.relay, "renewal", [
        s.a.leg("a", "srtp", new, traffic="control", protection={"accept": [old.id_text]}),
        s.b.leg("b", "srtp", new, traffic="control")])
    s.ready()
    s.a.send(mcx.SrtcpSender(old.control()).protect(mcx.rr(1)))


@case
def no_conversion(s):
    apply(s.relay, "mixed", [s.a.leg("a", "plain"), s.b.leg("b")])
    s.a.send(mcx.rtp(1, 1, b"clear"))


@case
def rtcp_untranslated(s):
    gmk(s)
    apply(s.relay, "rtcp", [s.a.leg("a", "plain", protection={"user": ALICE}), s.b.leg("b", "srtp", s.gmk)])
    s.a.send(mcx.rtcp_packet(201, 1, struct.pack(">I", 1)))  # a report block less than it says


@case
def larger_than_mtu(s):
    s.to_radio()
    s.b.send(mcx.rtp(1, 2, bytes(1500 - 20 - 8 - 12)))


@case
def no_remote(s):
    apply(s.relay, "nowhere", [s.a.leg("a"), s.b.leg("b", remote=None, receive=False)])
    s.a.send(mcx.rtp(1, 1, b"to nowhere"))


@case
def next_hop_unresolved(s):
    apply(s.relay, "nobody", [s.a.leg("a"), s.b.leg("b", remote="10.77.2.77:5000")])
    s.a.send(mcx.rtp(1, 1, b"to nobody"))


@pytest.mark.parametrize("reason", CASES)
def test_drop(quiet_relay, quiet_lab, new_key, reason):
    with contextlib.ExitStack() as stack:
        scene = Scene(quiet_relay, quiet_lab, new_key, stack)
        try:
            CASES[reason](scene)
            wait_for(lambda: quiet_relay.drops_since(scene.before), lambda new: sum(new.values()) >= 1, "a drop")
            assert quiet_relay.drops_since(scene.before) == {reason: 1}
        finally:
            quiet_relay.clear()


def test_every_reason_is_here(quiet_relay):
    """A new reason needs a case, or a word why it has none."""
    assert set(quiet_relay.drops()) == set(CASES) | set(NOT_PROVOKED)
    assert not set(CASES) & set(NOT_PROVOKED)


def test_every_reason_is_told_once(quiet_relay):
    """relay.stats has what dataplane/drop.h lists, in its order, each with a text."""
    source = (pathlib.Path(lab_module.ROOT) / "dataplane/drop.h").read_text()
    listed = re.findall(r'_\(\w+,\s*"(\w+)",[\s\\]*"([^"]+)"', source)
    assert [label for label, _ in listed] == list(quiet_relay.call("relay.stats")["drops"])
    assert len({text for _, text in listed}) == len(listed)


def test_every_reason_is_documented(quiet_relay):
    pages = [page.read_text() for page in (lab_module.ROOT / "docs").rglob("*") if page.is_file()]
    documented = {label for label in quiet_relay.drops() for page in pages if re.search(rf"\b{label}\b", page)}
    if not documented & set(CASES) - {"vlan"}:
        pytest.skip("docs has no table of drop reasons yet")
    assert documented == set(quiet_relay.drops())
