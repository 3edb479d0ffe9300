# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Plain RTCP and SRTCP (TS 33.180 9.4): floor control as it is, RTCP of media translated, octet by octet."""

import re
import socket
import struct

import pytest

import mcx
from lab import apply, fence, install
from test_mcx import octets, sections

ALICE = "sip:alice@mcptt.example.org"
GATEWAY = "sip:gateway@lmr.example.org"
LMR = 0x777  # SSRC of the plain side
RADIO = 0x11223344  # SSRC of the protected side
SERVER = 0x55667788  # SSRC of the floor control server

SAMPLES = [(name, octets(v, "rtcp")) for name, v in sections("floor_control") if name != "csk_context"]
NAME = re.compile(rb"[A-Za-z0-9+/]{16}")


def ssrc_of(packet):
    return struct.unpack_from(">I", packet, 4)[0]


# Control traffic

def server_and_client(relay, clients, name, new_key, kind="csk", **members):
    """A floor control server in plain, and whoever has the key."""
    key = new_key(kind)
    install(relay, key)
    server, client = clients("core"), clients("ran")
    apply(relay, name, [server.leg("server", "plain", traffic="control"),
                        client.leg("client", "srtp", key, traffic="control", **members)])
    return server, client, key


@pytest.mark.parametrize("kind", ["csk", "spk", "mscck", "mkfc"])
def test_floor_control_between_plain_and_protected(relay, clients, name, new_key, kind):
    server, client, key = server_and_client(relay, clients, name, new_key, kind)
    assert len(SAMPLES) >= 7
    indices = []
    for what, sample in SAMPLES:
        server.send(sample)
        packet = client.recv()
        assert packet[:8] == sample[:8], what
        plain, index, encrypted = mcx.srtcp_unprotect(key.control(), packet)
        assert (plain, encrypted) == (sample, True), what
        indices.append(index)
    assert indices == list(range(indices[0], indices[0] + len(SAMPLES))), "not one counter"
    sender = mcx.SrtcpSender(key.control())
    for number, (what, sample) in enumerate(SAMPLES):
        mine = sample[:4] + struct.pack(">I", 0x9000 + number) + sample[8:]
        client.send(sender.protect(mine, encrypt=number % 2 == 0))
        assert server.recv() == mine, what


def test_floor_control_from_a_server_to_a_musik_group(relay, lab, clients, name, new_key):
    """One packet of the server reaches its clients under their CSKs, and all under the MuSiK by multicast."""
    csk, musik, group = new_key("csk"), new_key("musik"), "239.77.0.9"
    install(relay, csk, musik)
    server, client, downlink = clients("core"), clients("ran"), clients("ran")
    with lab.socket("ran", socket.AF_INET, socket.SOCK_DGRAM) as member:
        member.bind((group, 30002))
        member.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                          socket.inet_aton(group) + socket.inet_aton(downlink.host))
        member.settimeout(5)
        apply(relay, name, [server.leg("server", "plain", traffic="control"),
                            client.leg("client", "srtp", csk, traffic="control"),
                            downlink.leg("all", "srtp", musik, traffic="control", receive=False,
                                         remote=f"{group}:30002")])
        one, everyone = mcx.SrtcpReceiver(csk.control()), mcx.SrtcpReceiver(musik.control())
        for what, sample in SAMPLES:
            server.send(sample)
            assert one.unprotect(client.recv()) == sample, what
            assert everyone.unprotect(member.recv(2048)) == sample, what


def test_two_servers_share_no_nonce(relay, clients, name, new_key):
    """Two plain servers with one SSRC, and a client of the same MuSiK: SSRC and index differ (A12)."""
    musik = new_key("musik")
    install(relay, musik)
    one, two, everyone = clients("core"), clients("core"), clients("ran")
    apply(relay, name, [one.leg("one", "plain", traffic="control", to=["all"]),
                        two.leg("two", "plain", traffic="control", to=["all"]),
                        everyone.leg("all", "srtp", musik, traffic="control")])
    receiver = mcx.SrtcpReceiver(musik.control())  # refuses an SSRC and index that it saw before
    for n in range(10):
        for server in (one, two):
            sample = mcx.app(SERVER, mcx.FLOOR_TAKEN, [(6, b"%d" % n)])
            server.send(sample)
            assert receiver.unprotect(everyone.recv()) == sample


def test_plain_server_takes_no_clients_ssrc(relay, clients, name, new_key):
    server, client, key = server_and_client(relay, clients, name, new_key)
    sender, receiver = mcx.SrtcpSender(key.control()), mcx.SrtcpReceiver(key.control())
    client.send(sender.protect(mcx.floor_request(RADIO, ALICE)))
    assert server.recv() == mcx.floor_request(RADIO, ALICE)
    before = relay.drops()
    server.send(mcx.app(RADIO, mcx.FLOOR_GRANTED))
    [got] = fence(server, mcx.app(SERVER, mcx.FLOOR_GRANTED), client)
    assert receiver.unprotect(got) == mcx.app(SERVER, mcx.FLOOR_GRANTED)
    relay.wait_drops(before, ssrc_collision=1)


def test_client_takes_no_plain_servers_ssrc(relay, clients, name, new_key):
    server, client, key = server_and_client(relay, clients, name, new_key)
    sender = mcx.SrtcpSender(key.control())
    server.send(mcx.app(SERVER, mcx.FLOOR_IDLE))
    mcx.SrtcpReceiver(key.control()).unprotect(client.recv())
    before = relay.drops()
    client.send(sender.protect(mcx.floor_request(SERVER, ALICE)))
    assert fence(client, sender.protect(mcx.floor_request(RADIO, ALICE)), server) == [mcx.floor_request(RADIO, ALICE)]
    relay.wait_drops(before, ssrc_collision=1)


def test_malformed_plain_control_goes_nowhere(relay, clients, name, new_key):
    server, client, key = server_and_client(relay, clients, name, new_key)
    good = mcx.app(SERVER, mcx.FLOOR_IDLE)
    before = relay.drops()
    malformed = [good[:-4], good + b"\x80\xcc", good + mcx.rr(SERVER)[:4], good[:3] + b"\xff" + good[4:]]
    for packet in malformed:
        server.send(packet)
    [got] = fence(server, good, client)
    assert mcx.SrtcpReceiver(key.control()).unprotect(got) == good
    relay.wait_drops(before, not_rtp=len(malformed))


def test_plain_control_shows_its_ssrc(relay, clients, name, new_key):
    server, client, _ = server_and_client(relay, clients, name, new_key)
    server.send(mcx.app(SERVER, mcx.FLOOR_IDLE))
    client.recv()
    [state] = [leg for leg in relay.call("session.get", {"id": name})["legs"] if leg["id"] == "server"]
    received = state["statistics"]["receive"]
    assert (received["packets"], received["lost"], received["ssrcs"]) == (1, 0, [SERVER])


# RTCP of media

class MediaCall:
    """A radio whose media is under a GMK and whose RTCP is under a CSK, and the plain side."""

    def __init__(self, relay, clients, name, new_key):
        self.gmk, self.csk = new_key(), new_key("csk")
        install(relay, self.gmk, self.csk)
        self.radio, self.lmr = clients("ran"), clients("core")
        control = {"mode": "srtp", "key": self.csk.id_text, "domain": "home"}
        self.legs = [self.radio.leg("radio", "srtp", self.gmk, rtcp_protection=control),
                     self.lmr.leg("lmr", "plain", protection={"user": GATEWAY})]
        apply(relay, name, self.legs)
        self.media_receiver = mcx.SrtpReceiver(self.gmk.group(GATEWAY))
        self.receiver = mcx.SrtcpReceiver(self.csk.control())
        self.sender = mcx.SrtcpSender(self.csk.control())

    def to_radio(self, packet):
        self.lmr.send(packet)
        return self.receiver.unprotect(self.radio.recv())

    def to_lmr(self, packet):
        self.radio.send(self.sender.protect(packet))
        return self.lmr.recv()

    def media_to_radio(self, ssrc, seq, payload=b"voice"):
        """The fresh SSRC under which it arrives."""
        self.lmr.send(mcx.rtp(ssrc, seq, payload))
        got = self.media_receiver.unprotect(self.radio.recv())
        assert got.payload == payload
        return got.ssrc


@pytest.fixture
def media(relay, clients, name, new_key):
    return MediaCall(relay, clients, name, new_key)


def cname_of(packet, at):
    """The name in the SDES packet at that offset, which holds one chunk and nothing but its CNAME."""
    assert packet[at:at + 4] == b"\x81\xca\x00\x06" and packet[at + 8:at + 10] == b"\x01\x10"
    assert packet[at + 26:at + 28] == b"\0\0" and len(packet) >= at + 28
    name = packet[at + 10:at + 26]
    assert NAME.fullmatch(name), name
    return name.decode()


def sdes_with_everything(ssrc, cname):
    items = [(2, b"Bob"), (1, cname.encode()), (3, b"bob@lmr.example.org"), (6, b"radio 7"), (8, b"\x01xyz")]
    chunk = struct.pack(">I", ssrc) + b"".join(struct.pack("BB", *(kind, len(text))) + text for kind, text in items)
    return mcx.rtcp_packet(202, 1, chunk + bytes(4 - len(chunk) % 4))


@pytest.mark.parametrize("first", ["rtcp", "media"])
def test_plain_reports_name_the_fresh_ssrc(media, first):
    fresh = media.media_to_radio(LMR, 0) if first == "media" else None
    blocks = [mcx.report_block(RADIO, lost=1, highest_seq=9), mcx.report_block(LMR, lost=2)]
    got = media.to_radio(mcx.sr(LMR, ntp=5, timestamp=6, packets=7, octets=8, blocks=blocks)
                         + sdes_with_everything(LMR, "lmr") + mcx.bye(LMR))
    fresh = fresh or media.media_to_radio(LMR, 0)
    assert fresh != LMR
    report = mcx.sr(fresh, ntp=5, timestamp=6, packets=7, octets=8,
                    blocks=[blocks[0], mcx.report_block(fresh, lost=2)])
    assert got == report + mcx.sdes(fresh, cname_of(got, len(report))) + mcx.bye(fresh)
    assert media.media_to_radio(LMR, 1) == fresh


def test_protected_reports_name_the_original_ssrc(media):
    fresh, other = media.media_to_radio(LMR, 0), media.media_to_radio(LMR + 1, 0)
    blocks = [mcx.report_block(fresh, lost=1), mcx.report_block(0xabcdef, lost=2), mcx.report_block(other, lost=3)]
    got = media.to_lmr(mcx.rr(RADIO, blocks) + sdes_with_everything(RADIO, ALICE) + mcx.bye(RADIO))
    report = mcx.rr(RADIO, [mcx.report_block(LMR, lost=1), blocks[1], mcx.report_block(LMR + 1, lost=3)])
    assert got == report + mcx.sdes(RADIO, cname_of(got, len(report))) + mcx.bye(RADIO)
    assert ALICE.encode() not in got


def test_feedback_both_ways(media):
    """Reduced-size RTCP (RFC 5506): a request alone, without a report."""
    fresh = media.media_to_radio(LMR, 0)

    def request(sender, source):
        return mcx.rtcp_packet(206, 4, struct.pack(">IIII", sender, 0, source, 7 << 24))

    assert media.to_lmr(request(RADIO, fresh)) == request(RADIO, LMR)
    assert media.to_radio(request(LMR, RADIO)) == request(fresh, RADIO)
    lost = struct.pack(">HH", 3, 1)
    assert media.to_lmr(mcx.rtcp_packet(205, 1, struct.pack(">II", RADIO, fresh) + lost)) == \
        mcx.rtcp_packet(205, 1, struct.pack(">II", RADIO, LMR) + lost)


def words(*values):
    return struct.pack(f">{len(values)}I", *values)


# packet type, format, and what follows the sender's SSRC, about two streams
LISTED = {
    "nack": (205, 1, lambda a, b: words(a, 0x70003)),
    "tmmbr": (205, 3, lambda a, b: words(0, a, 7, b, 8)),
    "pause": (205, 9, lambda a, b: words(0, a, 1, b, 0x30010002, 3)),
    "ccfb": (205, 11, lambda a, b: words(a, 0x10003, 0x80018002, 0x80030000, b, 0x50001, 0x80010000, 0x1234)),
    "transport-cc": (205, 15, lambda a, b: words(a, 0x10002, 0x12345601, 0x20020000)),
    "pli": (206, 1, lambda a, b: words(a)),
    "fir": (206, 4, lambda a, b: words(0, a, 0x05000000, b, 0x06000000)),
    "vbcm": (206, 7, lambda a, b: words(0, a, 0x01600002, 0x61620000, b, 0x02600000)),
    "lrr": (206, 10, lambda a, b: words(0, a, 0x01600000, 0x10000, b, 0x02600000, 0x10000)),
    "remb": (206, 15, lambda a, b: words(0) + b"REMB" + words(0x020307d0, a, b)),
    "dlrr": (207, 0, lambda a, b: words(0x05000006, a, 1, 2, b, 3, 4)),
    "burst loss": (207, 0, lambda a, b: words(0x14000002, a, 1, 0x14000002, b, 2)),
}


@pytest.mark.parametrize("what", LISTED)
def test_feedback_names_the_streams_that_each_side_knows(media, what):
    fresh = [media.media_to_radio(LMR + n, 0) for n in range(2)]
    kind, count, about = LISTED[what]

    def packet(sender, sources):
        return mcx.rr(sender) + mcx.rtcp_packet(kind, count, words(sender) + about(*sources))

    assert media.to_lmr(packet(RADIO, fresh)) == packet(RADIO, (LMR, LMR + 1))
    radios = (RADIO, RADIO + 1)
    assert media.to_radio(packet(LMR, radios)) == packet(fresh[0], radios)


def test_interarrival_jitter_is_no_ssrc(media):
    """RFC 5450: words that are numbers, whatever SSRC they look like."""
    fresh = media.media_to_radio(LMR, 0)
    jitter = mcx.rtcp_packet(195, 1, words(0x155))
    for _ in range(100):  # each would cost a fresh SSRC and a token
        assert media.to_radio(mcx.rr(LMR) + jitter) == mcx.rr(fresh) + jitter
    looks_like = mcx.rtcp_packet(195, 2, words(fresh, RADIO))
    assert media.to_lmr(mcx.rr(RADIO) + looks_like) == mcx.rr(RADIO) + looks_like
    assert media.media_to_radio(LMR + 1, 0) != fresh


def test_what_is_not_listed_is_left_out_and_counted(relay, media):
    fresh = media.media_to_radio(LMR, 0)
    unlisted = [mcx.rtcp_packet(192, 0, words(LMR)), mcx.rtcp_packet(209, 1, words(LMR, fresh)),
                mcx.rtcp_packet(205, 6, words(LMR, fresh, 0x01000000)),
                mcx.rtcp_packet(206, 15, words(LMR, fresh) + b"MSFT" + words(fresh))]
    before = relay.drops()
    assert media.to_radio(mcx.rr(LMR) + b"".join(unlisted) + mcx.bye(LMR)) == mcx.rr(fresh) + mcx.bye(fresh)
    relay.wait_drops(before, rtcp_untranslated=4)
    report = words(LMR, 0x04000002, 1, 2, 0x63000001, fresh)  # its second block
    assert media.to_radio(mcx.rtcp_packet(207, 0, report)) == \
        mcx.rtcp_packet(207, 0, words(fresh, 0x04000002, 1, 2))
    extended = mcx.rtcp_packet(201, 0, words(RADIO, fresh))  # behind the report blocks
    assert media.to_lmr(extended) == mcx.rr(RADIO)
    relay.wait_drops(before, rtcp_untranslated=6)
    media.lmr.send(unlisted[0])
    relay.wait_drops(before, rtcp_untranslated=7)


def test_application_packets_pass_untouched(media):
    body = [(6, struct.pack(">I", LMR))]  # looks like an SSRC, is none of ours to touch
    fresh = ssrc_of(media.to_radio(mcx.app(LMR, 3, body, b"TEST")))
    assert fresh != LMR and media.media_to_radio(LMR, 0) == fresh
    assert media.to_radio(mcx.app(LMR, 3, body, b"TEST")) == mcx.app(fresh, 3, body, b"TEST")
    assert media.to_lmr(mcx.app(RADIO, 3, [(6, struct.pack(">I", fresh))])) == \
        mcx.app(RADIO, 3, [(6, struct.pack(">I", fresh))])


def test_one_source_keeps_one_name(media):
    def name_of(way, ssrc, cname):
        got = way(mcx.rr(ssrc) + mcx.sdes(ssrc, cname))
        return cname_of(got, 8)

    audio, video = name_of(media.to_radio, LMR, "bob@lmr"), name_of(media.to_radio, LMR + 1, "bob@lmr")
    assert audio == video and audio != "bob@lmr"
    assert name_of(media.to_radio, LMR + 2, "eve@lmr") != audio
    assert name_of(media.to_lmr, RADIO, "bob@lmr") == audio
    assert name_of(media.to_radio, LMR, "bob@lmr") == audio


def test_others_get_reports_as_they_came(relay, clients, name, new_key):
    """Plain to plain, and from key to key, nothing is translated, whoever else gets it."""
    call = MediaCall(relay, clients, name, new_key)
    other_csk = new_key("csk")
    install(relay, other_csk)
    desk, peer = clients("core"), clients("ran")
    control = {"mode": "srtp", "key": other_csk.id_text, "domain": "home"}
    apply(relay, name, call.legs + [desk.leg("desk", "plain", protection={"user": GATEWAY}),
                                    peer.leg("peer", "srtp", call.gmk, rtcp_protection=control)])
    receiver = mcx.SrtcpReceiver(other_csk.control())
    plain = mcx.sr(LMR, packets=1) + sdes_with_everything(LMR, "lmr")
    got = call.to_radio(plain)
    assert desk.recv() == plain
    assert receiver.unprotect(peer.recv()) == got != plain
    fresh = ssrc_of(got)
    report = mcx.rr(RADIO, [mcx.report_block(fresh)]) + sdes_with_everything(RADIO, ALICE)
    back = call.to_lmr(report)
    assert back == desk.recv() and back[:32] == mcx.rr(RADIO, [mcx.report_block(LMR)])
    assert receiver.unprotect(peer.recv()) == report


def test_what_cannot_be_translated_is_dropped(relay, media):
    inside = mcx.rtcp_packet(203, 2, struct.pack(">I", LMR))  # one goodbye less than it says
    many = b"".join(mcx.sdes(LMR, "") for _ in range(110))  # translated, each is three times as long
    before = relay.drops()
    media.lmr.send(inside)
    media.lmr.send(many)
    fresh = ssrc_of(media.to_radio(mcx.bye(LMR)))
    assert fresh != LMR
    relay.wait_drops(before, rtcp_untranslated=2)
    media.radio.send(media.sender.protect(mcx.rtcp_packet(203, 2, struct.pack(">I", RADIO))))
    assert media.to_lmr(mcx.bye(RADIO)) == mcx.bye(RADIO)
    relay.wait_drops(before, rtcp_untranslated=3)


def test_bye_of_nobody_leaves_under_no_ssrc(relay, clients, name, new_key):
    """What leaves protected beside plain media has the fresh SSRC of its sender: a BYE for nobody has none."""
    gmk, csk = new_key(), new_key("csk")
    install(relay, gmk, csk)
    radio, plain = clients("ran"), clients("core")
    apply(relay, name, [
        radio.leg("radio", "srtp", gmk, rtcp_protection={"mode": "srtp", "key": csk.id_text, "domain": "home"}),
        plain.leg("plain", "plain", protection={"user": GATEWAY})])
    before = relay.drops()
    plain.send(mcx.rtcp_packet(203, 0, struct.pack(">I", 0x12345678)))
    relay.wait_drops(before, rtcp_untranslated=1)
    plain.send(mcx.rr(LMR))
    plain_again, _, _ = mcx.srtcp_unprotect(csk.control(), radio.recv())
    assert ssrc_of(plain_again) not in (LMR, 0x12345678)


# Contributing sources

def csrcs_of(packet):
    return [struct.unpack_from(">I", packet, 12 + 4 * n)[0] for n in range(packet[0] & 15)]


@pytest.mark.parametrize("first", ["media", "sdes"])
def test_a_contributor_has_one_name(media, first):
    """A mixer on the plain side: its media, SDES and BYE name the same contributors (RFC 3550 5.1, 6.5, 6.6)."""
    contributors = [0xc0 + n for n in range(3)]

    def mixed(seq):
        media.lmr.send(mcx.rtp(LMR, seq, b"mixed", csrc=contributors))
        got = media.media_receiver.unprotect(media.radio.recv())
        assert got.payload == b"mixed"
        return got.ssrc, csrcs_of(got.packet)

    def described():
        got = media.to_radio(mcx.rr(LMR) + b"".join(mcx.sdes(ssrc, "x") for ssrc in [LMR, *contributors]))
        return [struct.unpack_from(">I", got, 8 + 28 * n + 4)[0] for n in range(4)]

    named = described() if first == "sdes" else None
    ssrc, fresh = mixed(1)
    assert len({LMR, *contributors, ssrc, *fresh}) == 8
    assert (named or described()) == [ssrc, *fresh]
    goodbye = mcx.rtcp_packet(203, 4, words(LMR, *contributors))
    assert media.to_radio(goodbye) == mcx.rtcp_packet(203, 4, words(ssrc, *fresh))
    assert mixed(2) == (ssrc, fresh)


def test_a_plain_contributor_of_a_protected_mixer(relay, media):
    """On the way back the plain side hears of its own, and the names of others stay."""
    fresh = media.media_to_radio(LMR, 0)
    mixer = mcx.SrtpSender(media.gmk.group(ALICE), RADIO)
    media.radio.send(mixer.protect(b"mixed", csrc=[RADIO + 1, fresh]))
    got = media.lmr.recv()
    assert csrcs_of(got) == [RADIO + 1, LMR] and ssrc_of(got[4:]) == RADIO and got[20:] == b"mixed"
    assert media.to_lmr(mcx.bye(fresh)) == mcx.bye(LMR)
