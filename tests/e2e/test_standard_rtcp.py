# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""RTCP hop by hop: TS 33.180 clauses 9.4 and H.4, standards.md A12 and A17, and the RFCs behind them.

Legs for control traffic: what enters leaves as it was, under the next hop's key. RTCP muxed with media: the
same, but where media changes its SSRC on the way (plain to protected) the reports follow.
"""

import struct

import pytest

import gstreamer
import libsrtp
import mcx
from lab import apply, fence, install
from member import Member
from vectors import floor_control

ALICE = "sip:alice@mcptt.example.org"
GATEWAY = "sip:gateway@lmr.example.org"
CLIENT, SERVER = 0x0000a11c, 0x5e000001
SAMPLES = floor_control() | {
    "MCPC": mcx.app(SERVER, 0, [(0, b"\0\1")], b"MCPC"),                # TS 24.380 8.3
    "MCV2 ack": mcx.app(SERVER, 4, [(12, b"\x02\0")], b"MCV2"),         # TS 24.581 9.2
    "ack wanted": mcx.app(SERVER, 0x10 | mcx.FLOOR_TAKEN, [(4, ALICE.encode())]),
    "no body": mcx.app(SERVER, mcx.FLOOR_IDLE),
    "unknown name and subtype": mcx.app(SERVER, 31, [(200, bytes(3))], b"ZZZZ"),
    "compound": mcx.rr(SERVER) + mcx.sdes(SERVER, "server@core.example.org") + mcx.app(SERVER, mcx.FLOOR_GRANTED),
    "report": mcx.sr(SERVER, 1 << 40, 160, 3, 99, [mcx.report_block(CLIENT)]) + mcx.bye(SERVER),
}
SERVICES = pytest.mark.parametrize("service", ["mcptt", "mcvideo"])


def of(ssrc, packet):
    """The sample as this sender would say it."""
    return packet[:4] + struct.pack(">I", ssrc) + packet[8:]


class End:
    """A client or server of one control leg, which may be in plain."""

    def __init__(self, client, key=None, service="mcptt"):
        self.client, self.key = client, key
        if key:
            self.context = key.control(service)
            self.sender, self.receiver = mcx.SrtcpSender(self.context), mcx.SrtcpReceiver(self.context)
            self.highest = {}  # SSRC: SRTCP index

    def leg(self, name, **more):
        return self.client.leg(name, "srtp" if self.key else "plain", self.key, traffic="control", **more)

    def say(self, packet, encrypt=True):
        self.client.send(self.sender.protect(packet, encrypt) if self.key else packet)

    def hear(self, encrypted=True):
        packet = self.client.recv()
        return self.open(packet, encrypted) if self.key else packet

    def open(self, packet, encrypted=True):
        """Demands what RFC 3711 3.4 does of a sender: each index once, and rising for its SSRC."""
        plain = self.receiver.unprotect(packet)
        ssrc, word = packet[4:8], struct.unpack_from(">I", packet, len(packet) - 8)[0]
        assert word & mcx.E_BIT or not encrypted, "9.4.8: confidentiality"
        assert word & ~mcx.E_BIT > self.highest.get(ssrc, -1)
        self.highest[ssrc] = word & ~mcx.E_BIT
        return plain


@pytest.fixture
def hop(relay, clients, name, new_key):
    """Makes the two ends of a session for control traffic: hop("csk", "plain")."""
    def make(near, far, service="mcptt", family=4):
        ends = []
        for side, kind in (("ran", near), ("core", far)):
            key = None if kind == "plain" else new_key(kind)
            if key:
                install(relay, key)
            ends.append(End(clients(side, family), key, service))
        apply(relay, name, [end.leg(f"leg{n}") for n, end in enumerate(ends)], service)
        return ends
    return make


# Unicast

@SERVICES
@pytest.mark.parametrize("encrypt", [True, False], ids=["E", "no E"])
@pytest.mark.parametrize("pair", [("csk", "plain"), ("csk", "spk"), ("csk", "csk"), ("spk", "plain"), ("spk", "spk")],
                         ids="-".join)
def test_all_control_messages_both_ways(hop, pair, encrypt, service):
    """9.4.1, 9.4.2 and 9.4.5: decrypted and encrypted again for the next hop, SSRC and APP untouched, also of what
    came without encryption."""
    near, far = hop(*pair, service)
    for talker, listener, ssrc in ((near, far, CLIENT), (far, near, SERVER)) * 2:
        for sample in SAMPLES.values():
            talker.say(of(ssrc, sample), encrypt)
            assert listener.hear() == of(ssrc, sample)


E_BIT_KEYS = [("csk", {}), ("spk", {"suite": mcx.GCM_256}), ("musik", {"suite": mcx.CM_80})]


@pytest.mark.parametrize("kind, profile", E_BIT_KEYS, ids=[kind for kind, _ in E_BIT_KEYS])
@pytest.mark.parametrize("came", ["E", "no E", "plain"])
def test_encryption_is_what_the_receiving_leg_says(relay, clients, name, new_key, kind, profile, came):
    """9.4.8: E = 1 under each key but the one that it came under, or E = 0 where the leg says so; each index once."""
    near, far = new_key("csk"), new_key(kind, **profile)
    install(relay, near, far)
    talker, member, crypt, clear = clients("ran"), clients("ran"), clients("core"), clients("core")
    apply(relay, name, [
        talker.leg("talker", "plain", traffic="control") if came == "plain" else
        talker.leg("talker", "srtp", near, traffic="control"),
        member.leg("member", "srtp", near, traffic="control"),
        crypt.leg("crypt", "srtp", far, traffic="control"),
        clear.leg("clear", "srtp", far, traffic="control", protection={"encrypt": False})])
    sender, indices = mcx.SrtcpSender(near.control()), []
    for n in range(5):
        said = mcx.floor_request(CLIENT, f"sip:{n}@example.org")
        talker.send(said if came == "plain" else sender.protect(said, came == "E"))
        assert mcx.srtcp_unprotect(near.control(), member.recv())[::2] == (said, came != "no E")
        for client, encrypted in ((crypt, True), (clear, False)):
            plain, index, was = mcx.srtcp_unprotect(far.control(), client.recv())
            assert (plain, was) == (said, encrypted)
            indices.append(index)
    assert len(set(indices)) == len(indices)


def test_encryption_beside_media(relay, clients, name, new_key):
    """SRTCP muxed with media: rtcp_protection says it, or protection where there is no other."""
    gmk, csk = new_key("gmk"), new_key("csk")
    install(relay, gmk, csk)
    radio, media, both = clients("ran"), clients("core"), clients("core")
    apply(relay, name, [
        radio.leg("radio", "srtp", gmk, protection={"user": "sip:a@example.org", "encrypt": False}),
        media.leg("media", "srtp", gmk, rtcp_protection={"mode": "srtp", "key": csk.id_text}),
        both.leg("both", "srtp", gmk, rtcp_protection={"mode": "srtp", "key": csk.id_text, "encrypt": False})])
    radio.send(mcx.SrtcpSender(gmk.group("sip:a@example.org")).protect(mcx.rr(CLIENT), encrypt=False))
    assert mcx.srtcp_unprotect(csk.control(), media.recv())[::2] == (mcx.rr(CLIENT), True)
    assert mcx.srtcp_unprotect(csk.control(), both.recv())[::2] == (mcx.rr(CLIENT), False)
    shown = relay.call("session.get", {"id": name})["legs"]
    assert [(leg["protection"]["encrypt"], leg.get("rtcp_protection", {}).get("encrypt")) for leg in shown] == \
        [(False, None), (True, True), (True, False)]


def test_control_over_ipv6(hop):
    """9.4.2 over IPv6."""
    client, server = hop("csk", "plain", family=6)
    for talker, listener, ssrc in ((client, server, CLIENT), (server, client, SERVER)):
        for sample in SAMPLES.values():
            talker.say(of(ssrc, sample))
            assert listener.hear() == of(ssrc, sample)


@SERVICES
def test_plain_server_to_libsrtp(hop, service):
    """9.4.6, 9.4.7: what the relay protects for a server opens in libsrtp2."""
    client, server = hop("csk", "plain", service)
    with libsrtp.control_peer(client.key, SERVER, service) as peer:
        for sample in SAMPLES.values():
            server.say(of(SERVER, sample))
            assert peer.unprotect_rtcp(client.client.recv()) == of(SERVER, sample)


def test_index_of_each_sender(hop):
    """RFC 3711 3.2.3, 3.4: two senders behind one plain leg each have rising indices under the CSK."""
    client, server = hop("csk", "plain")
    for n in range(20):
        for ssrc in (SERVER, SERVER + 1, SERVER + 2):
            server.say(mcx.app(ssrc, mcx.FLOOR_IDLE, [(8, struct.pack(">H", n))]))
            assert client.hear() == mcx.app(ssrc, mcx.FLOOR_IDLE, [(8, struct.pack(">H", n))])
    assert len(client.highest) == 3


def test_index_of_two_clients_is_their_own(relay, clients, name, new_key):
    """RFC 3711 3.3.2: the replay list belongs to key and SSRC; two clients' equal indices are no replay."""
    csks = [new_key("csk"), new_key("csk")]
    install(relay, *csks)
    ends, server = [End(clients("ran"), csk) for csk in csks], End(clients("core"))
    apply(relay, name, [end.leg(f"c{n}", to=["server"]) for n, end in enumerate(ends)] + [server.leg("server")])
    for _ in range(3):
        for n, end in enumerate(ends):
            end.say(mcx.floor_request(CLIENT + n, ALICE))
            assert server.hear() == mcx.floor_request(CLIENT + n, ALICE)
    # and two SSRCs under one CSK
    for ssrc in (CLIENT + 7, CLIENT + 8):
        ends[0].client.send(mcx.srtcp_protect(ends[0].context, mcx.rr(ssrc), 1))
        assert server.hear() == mcx.rr(ssrc)


def test_replayed_and_reordered_control(hop, relay):
    """RFC 3711 3.3.2: each index once; in any order within the list of 1,024."""
    client, server = hop("csk", "plain")
    def said(index):
        return mcx.app(CLIENT, mcx.FLOOR_REQUEST, [(8, struct.pack(">H", index))])
    packets = {n: mcx.srtcp_protect(client.context, said(n), n) for n in (1, 2, 900, 1000, 1024, 1300)}
    for n in (1000, 2, 1024, 900):
        client.client.send(packets[n])
        assert server.hear() == said(n)
    before = relay.drops()
    for n in (1000, 2, 1024, 900):
        client.client.send(packets[n])
    client.client.send(packets[1300])
    assert server.hear() == said(1300)
    relay.wait_drops(before, replayed=4)
    client.client.send(packets[1])
    relay.wait_drops(before, replayed=4, too_old=1)


@pytest.mark.parametrize("shape", ["cut", "length beyond the end", "short length", "version", "no SSRC"])
@pytest.mark.parametrize("traffic", ["control", "media"])
def test_malformed_plain_rtcp(relay, clients, name, new_key, shape, traffic):
    """RFC 3550 A.2: what is no compound packet is not given a tag. A drop of any reason, and the leg goes on."""
    gmk, csk = new_key("gmk"), new_key("csk")
    install(relay, gmk, csk)
    client, server = clients("ran"), clients("core")
    named = {"mode": "srtp", "key": csk.id_text, "domain": "home"}
    near = client.leg("client", "srtp", csk) if traffic == "control" else \
        client.leg("client", "srtp", gmk, rtcp_protection=named)
    apply(relay, name, [near | {"traffic": traffic},
                        server.leg("server", "plain", traffic=traffic, protection={"user": GATEWAY})])
    good = mcx.rr(SERVER, [mcx.report_block(CLIENT)]) + mcx.app(SERVER, mcx.FLOOR_IDLE)
    bad = {"cut": good[:-3], "length beyond the end": good[:34] + b"\0\x30" + good[36:],
           "short length": good[:34] + b"\0\0" + good[36:], "version": good[:32] + b"\x40" + good[33:],
           "no SSRC": b"\x80\xc9\0\0"}[shape]
    before = relay.drops()
    server.send(bad)
    [got] = fence(server, mcx.app(SERVER, mcx.FLOOR_RELEASE), client)
    plain = mcx.SrtcpReceiver(csk.control()).unprotect(got)
    assert plain[8:] == mcx.app(SERVER, mcx.FLOOR_RELEASE)[8:]
    assert sum(relay.refused_since(before).values()) == 1


# Multicast

@SERVICES
@pytest.mark.parametrize("kind", ["musik", "mscck", "mkfc"])
@pytest.mark.parametrize("family, group", [(4, "239.77.18.2"), (6, "ff15::7718:2")], ids=["IPv4", "IPv6"])
def test_plain_server_to_everybody(relay, lab, clients, name, new_key, kind, service, family, group):
    """9.4.3: multicast floor and transmission control under the MuSiK; H.4: subchannel control under the MSCCK, and
    what legacy servers protect with the MKFC. libsrtp2 is among the members."""
    key = new_key(kind)
    install(relay, key)
    server, out = End(clients("core", family)), End(clients("ran", family), key, service)
    with Member(lab, "ran", group, 30004) as everybody, libsrtp.control_peer(key, SERVER, service) as peer:
        apply(relay, name, [server.leg("server"), out.leg("all", remote=everybody.address, receive=False)], service)
        for sample in SAMPLES.values():
            server.say(of(SERVER, sample))
            packet = everybody.recv()
            assert out.open(packet) == peer.unprotect_rtcp(packet) == of(SERVER, sample)


def test_unicast_and_multicast_at_once(relay, lab, clients, name, new_key):
    """9.4.1: one message of the server to clients under CSKs of their own, and to everybody under the MuSiK; what the
    clients answer goes to the server alone."""
    musik, csks = new_key("musik"), [new_key("csk") for _ in range(3)]
    install(relay, musik, *csks)
    server, out = End(clients("core")), End(clients("ran"), musik)
    ends = [End(clients("ran"), csk) for csk in csks]
    with Member(lab, "ran", "239.77.18.3", 30004) as everybody:
        apply(relay, name, [end.leg(f"c{n}", to=["server"]) for n, end in enumerate(ends)]
              + [server.leg("server"), out.leg("all", remote=everybody.address, receive=False)])
        for sample in SAMPLES.values():
            server.say(of(SERVER, sample))
            for end in ends:
                assert end.hear() == of(SERVER, sample)
            assert out.open(everybody.recv()) == of(SERVER, sample)
        for n, end in enumerate(ends):
            end.say(mcx.floor_request(CLIENT + n, ALICE))
            assert server.hear() == mcx.floor_request(CLIENT + n, ALICE)


# The relay's own SSRC

def test_client_takes_a_plain_servers_ssrc(hop, relay):
    """standards.md A12: under a CSK only the SSRC separates both directions; a client with the server's is dropped."""
    client, server = hop("csk", "plain")
    server.say(mcx.app(SERVER, mcx.FLOOR_IDLE))
    assert client.hear() == mcx.app(SERVER, mcx.FLOOR_IDLE)
    before = relay.drops()
    client.say(mcx.floor_request(SERVER, ALICE))
    client.say(mcx.floor_request(CLIENT, ALICE))
    assert server.hear() == mcx.floor_request(CLIENT, ALICE)
    relay.wait_drops(before, ssrc_collision=1)


def test_plain_server_takes_a_clients_ssrc(hop, relay):
    """standards.md A12: the other way round, nothing is protected with the client's own SSRC."""
    client, server = hop("csk", "plain")
    client.say(mcx.floor_request(CLIENT, ALICE))
    assert server.hear() == mcx.floor_request(CLIENT, ALICE)
    before = relay.drops()
    server.say(mcx.app(CLIENT, mcx.FLOOR_GRANTED))
    server.say(mcx.app(SERVER, mcx.FLOOR_IDLE))
    assert client.hear() == mcx.app(SERVER, mcx.FLOOR_IDLE)
    relay.wait_drops(before, ssrc_collision=1)


def test_two_plain_servers_with_one_ssrc(relay, lab, clients, name, new_key):
    """standards.md A12, across the senders of a MuSiK: whatever leaves has an SSRC and index of its own."""
    musik = new_key("musik")
    install(relay, musik)
    servers, out = [End(clients("core")), End(clients("core"))], End(clients("ran"), musik)
    apply(relay, name, [end.leg(f"s{n}", to=["all"]) for n, end in enumerate(servers)] + [out.leg("all", receive=False)])
    for n in range(10):
        for m, end in enumerate(servers):
            end.say(mcx.app(SERVER, mcx.FLOOR_IDLE, [(8, bytes([n, m]))]))
    servers[0].say(mcx.app(SERVER + 1, mcx.FLOOR_IDLE))
    heard = []
    while not heard or heard[-1] != mcx.app(SERVER + 1, mcx.FLOOR_IDLE):
        heard.append(out.hear())        # its receiver refuses what it had
    assert len(heard) == len(set(heard)) >= 11


# Muxed with media

LMR, LMR_VIDEO = 0x00000777, 0x00000778


class Gateway:
    """A radio under a GMK with its RTCP under a CSK, and a plain side."""

    def __init__(self, relay, clients, name, new_key, service="mcptt", family=4):
        self.gmk, self.csk = new_key("gmk"), new_key("csk")
        install(relay, self.gmk, self.csk)
        self.radio, self.lmr = clients("ran", family), clients("core", family)
        self.named = {"mode": "srtp", "key": self.csk.id_text, "domain": "home"}
        self.legs = [self.radio.leg("radio", "srtp", self.gmk, rtcp_protection=self.named),
                     self.lmr.leg("lmr", "plain", protection={"user": GATEWAY})]
        apply(relay, name, self.legs, service)
        self.alice = mcx.SrtpSender(self.gmk.group(ALICE, service), CLIENT)
        self.control = End(self.radio, self.csk, service)
        self.media = mcx.SrtpReceiver(self.gmk.group(GATEWAY, service))
        self.alice_speaks()

    def alice_speaks(self):
        self.radio.send(self.alice.protect(b"up"))
        assert self.lmr.recv() == self.alice.last_plain

    def lmr_speaks(self, ssrc=LMR, seq=0, payload=b"down"):
        """The SSRC under which the radio hears it."""
        self.lmr.send(mcx.rtp(ssrc, seq, payload, timestamp=160 * seq))
        got = self.media.unprotect(self.radio.recv())
        assert got.payload == payload and got.timestamp == 160 * seq
        return got.ssrc

    def down(self, packet):
        self.lmr.send(packet)
        return self.control.hear()

    def up(self, packet):
        self.control.say(packet)
        return self.lmr.recv()


@pytest.fixture
def gateway(relay, clients, name, new_key):
    return lambda **more: Gateway(relay, clients, name, new_key, **more)


def sdes_chunk(ssrc, *items):
    octets = struct.pack(">I", ssrc) + b"".join(struct.pack(">BB", kind, len(text)) + text for kind, text in items)
    return octets + bytes(4 - len(octets) % 4)


def sdes(*chunks):
    return mcx.rtcp_packet(202, len(chunks), b"".join(chunks))


CNAME, NAME, PHONE, TOOL, PRIV = 1, 2, 4, 6, 8
PERSONAL = ((CNAME, b"dispatcher@10.9.8.7"), (NAME, b"J. Doe"), (PHONE, b"+49 110"), (TOOL, b"LMR 7"),
            (PRIV, b"\3keyvalue"))


def cname_of(packet):
    """The one item of an SDES packet of one chunk, which must be a CNAME."""
    assert packet[:2] == b"\x81\xca" and packet[8] == CNAME, packet.hex()
    name = packet[10:10 + packet[9]]
    assert packet == sdes(sdes_chunk(int.from_bytes(packet[4:8], "big"), (CNAME, name))), "more than a CNAME"
    return name


@SERVICES
@pytest.mark.parametrize("family", [4, 6])
def test_reports_follow_media_that_was_plain(gateway, service, family):
    """9.4.1, standards.md A17: a SeGy's own SSRC is in its media and in all of its reports; those of the other side
    stay; a CNAME names nobody, and all else of SDES is left out."""
    g = gateway(service=service, family=family)
    fresh = g.lmr_speaks()
    assert fresh != LMR
    block = mcx.report_block(CLIENT, lost=3, highest_seq=77, jitter=5)
    report = g.down(mcx.sr(LMR, 1 << 60, 160, 9, 999, [block]) + sdes(sdes_chunk(LMR, *PERSONAL)))
    expected = mcx.sr(fresh, 1 << 60, 160, 9, 999, [block])
    assert report[:len(expected)] == expected
    name = cname_of(report[len(expected):])
    assert len(name) == 16 and name != PERSONAL[0][1][:16]
    assert report[len(expected) + 4:][:4] == struct.pack(">I", fresh)
    assert g.down(mcx.rr(LMR) + sdes(sdes_chunk(LMR, *PERSONAL)) + mcx.bye(LMR)) \
        == mcx.rr(fresh) + sdes(sdes_chunk(fresh, (CNAME, name))) + mcx.bye(fresh)


def test_reports_about_media_that_was_plain(gateway):
    """standards.md A17: what the radio reports about the SeGy's SSRC reaches the plain side under its own."""
    g = gateway()
    fresh, fresh_video = g.lmr_speaks(), g.lmr_speaks(LMR_VIDEO)
    assert fresh != fresh_video
    blocks = [mcx.report_block(fresh, 1, 2, 3), mcx.report_block(fresh_video, 4, 5, 6), mcx.report_block(0x1234)]
    back = [mcx.report_block(LMR, 1, 2, 3), mcx.report_block(LMR_VIDEO, 4, 5, 6), mcx.report_block(0x1234)]
    assert g.up(mcx.rr(CLIENT, blocks)) == mcx.rr(CLIENT, back)
    assert g.up(mcx.sr(CLIENT, 7, 160, 1, 2, blocks)) == mcx.sr(CLIENT, 7, 160, 1, 2, back)
    got = g.up(mcx.rr(CLIENT, blocks[:1]) + sdes(sdes_chunk(CLIENT, *PERSONAL)) + mcx.bye(CLIENT))
    head, tail = mcx.rr(CLIENT, back[:1]), mcx.bye(CLIENT)
    assert got.startswith(head) and got.endswith(tail)
    assert len(cname_of(got[len(head):-len(tail)])) == 16


FEEDBACK = {
    "NACK": (205, 1, struct.pack(">HH", 100, 3)),       # RFC 4585 6.2.1
    "PLI": (206, 1, b""),                               # RFC 4585 6.3.1
}


@pytest.mark.parametrize("kind", FEEDBACK)
def test_feedback_both_ways(gateway, kind):
    """RFC 4585 6.1, standards.md A17: sender and media source of feedback, also alone (RFC 5506)."""
    payload_type, fmt, body = FEEDBACK[kind]
    g = gateway()
    fresh = g.lmr_speaks()
    def feedback(sender, source):
        return mcx.rtcp_packet(payload_type, fmt, struct.pack(">II", sender, source) + body)
    assert g.up(feedback(CLIENT, fresh)) == feedback(CLIENT, LMR)
    assert g.down(feedback(LMR, CLIENT)) == feedback(fresh, CLIENT)


def test_full_intra_request_both_ways(gateway):
    """RFC 5104 4.3.1: the SSRC of an FIR is in its entry, as an MCVideo receiver sends it."""
    g = gateway(service="mcvideo")
    fresh = g.lmr_speaks()
    def fir(sender, target):
        return mcx.rtcp_packet(206, 4, struct.pack(">IIII", sender, 0, target, 5 << 24))
    assert g.up(fir(CLIENT, fresh)) == fir(CLIENT, LMR)
    assert g.down(fir(LMR, CLIENT)) == fir(fresh, CLIENT)


@pytest.mark.parametrize("sample", [sample for sample, packet in SAMPLES.items() if packet[1] == 204])
def test_app_on_a_media_leg(gateway, sample):
    """9.4.1: floor control muxed with media keeps its body both ways; its sender is the one of the media."""
    g = gateway()
    fresh = g.lmr_speaks()
    assert g.down(of(LMR, SAMPLES[sample])) == of(fresh, SAMPLES[sample])
    assert g.up(of(CLIENT, SAMPLES[sample])) == of(CLIENT, SAMPLES[sample])


def test_report_before_media(gateway):
    """standards.md A17: who reports before it speaks has the SSRC of its media already."""
    g = gateway()
    report = g.down(mcx.rr(LMR, [mcx.report_block(CLIENT)]))
    fresh = struct.unpack_from(">I", report, 4)[0]
    assert fresh != LMR and report == mcx.rr(fresh, [mcx.report_block(CLIENT)])
    assert g.lmr_speaks() == fresh
    assert g.up(mcx.rr(CLIENT, [mcx.report_block(fresh)])) == mcx.rr(CLIENT, [mcx.report_block(LMR)])


def test_sound_and_picture_keep_one_name(gateway):
    """RFC 3550 6.5.1: the CNAME ties streams of one source together; it still does when it names nobody."""
    g = gateway()
    def name_of(ssrc, cname):
        return cname_of(g.down(mcx.rr(ssrc) + sdes(sdes_chunk(ssrc, (CNAME, cname))))[8:])
    sound, picture = name_of(LMR, b"unit7@10.1.1.1"), name_of(LMR_VIDEO, b"unit7@10.1.1.1")
    assert sound == picture != name_of(LMR + 9, b"unit8@10.1.1.1")
    assert b"unit" not in sound


def test_each_receiver_gets_its_own_translation(gateway, relay, clients, name, new_key):
    """9.4.1: one plain report to a plain receiver, and to two radios under CSKs of their own."""
    g = gateway()
    csk, second, plain = new_key("csk"), clients("ran"), clients("core")
    install(relay, csk)
    apply(relay, name, g.legs + [
        second.leg("second", "srtp", g.gmk, rtcp_protection=g.named | {"key": csk.id_text}),
        plain.leg("plain", "plain", protection={"user": GATEWAY})])
    end = End(second, csk)
    fresh = g.lmr_speaks()
    second.recv(), plain.recv()
    sent = mcx.sr(LMR, 5) + sdes(sdes_chunk(LMR, *PERSONAL)) + mcx.app(LMR, mcx.FLOOR_IDLE)
    for _ in range(5):
        first = g.down(sent)
        assert first.startswith(mcx.sr(fresh, 5)) and first.endswith(mcx.app(fresh, mcx.FLOOR_IDLE))
        assert end.hear() == first
        assert plain.recv() == sent


def test_reports_that_need_no_translation(relay, clients, name, new_key):
    """9.4.1: between two plain legs, and from key to key, media keeps its SSRC and RTCP all of its octets."""
    gmks, csks = [new_key("gmk"), new_key("gmk")], [new_key("csk"), new_key("spk")]
    install(relay, *gmks, *csks)
    plains, ends = [clients("core"), clients("core")], [clients("ran"), clients("core")]
    sent = mcx.sr(CLIENT, 5) + sdes(sdes_chunk(CLIENT, *PERSONAL)) + mcx.bye(CLIENT)
    apply(relay, name + "p", [client.leg(f"p{n}", "plain") for n, client in enumerate(plains)])
    plains[0].send(sent)
    assert plains[1].recv() == sent
    apply(relay, name + "s", [client.leg(f"s{n}", "srtp", gmk, protection={"user": ALICE}, rtcp_protection={
        "mode": "srtp", "key": csk.id_text, "domain": "home"}) for n, (client, gmk, csk) in enumerate(zip(ends, gmks, csks))])
    for near, far, ssrc in ((0, 1, CLIENT), (1, 0, SERVER)):
        ends[near].send(mcx.SrtcpSender(csks[near].control()).protect(of(ssrc, sent)))
        assert mcx.SrtcpReceiver(csks[far].control()).unprotect(ends[far].recv()) == of(ssrc, sent)


def test_private_call_with_muxed_control(relay, clients, name, new_key):
    """9.4.2 and 7.4.1 together: a client's media under the PCK, its RTCP under its CSK, a plain partner."""
    pck, csk = new_key("pck"), new_key("csk")
    install(relay, csk)
    client, lmr = clients("ran"), clients("core")
    apply(relay, name, [client.leg("client", "srtp", pck, protection={"role": "initiator"}, rtcp_protection={
                            "mode": "srtp", "key": csk.id_text, "domain": "home"}),
                        lmr.leg("lmr", "plain")], kind="private", keys=[pck.rpc()])
    end = End(client, csk)
    lmr.send(mcx.rtp(LMR, 1, b"down"))
    fresh = mcx.SrtpReceiver(pck.private("receiver")).unprotect(client.recv()).ssrc
    lmr.send(mcx.sr(LMR, 9))
    assert end.hear() == mcx.sr(fresh, 9)
    end.say(mcx.rr(CLIENT, [mcx.report_block(fresh)]))
    assert lmr.recv() == mcx.rr(CLIENT, [mcx.report_block(LMR)])


def test_gstreamer_on_the_plain_side(relay, lab, clients, name, new_key):
    """9.4.1, RFC 3550: an RTP stack nobody of us wrote speaks in plain; its reports name the SSRC of its media."""
    g = Gateway(relay, clients, name, new_key)
    host, port, own_port = g.lmr.relay_host, g.lmr.relay_port, g.lmr.port
    g.lmr.close()  # GStreamer speaks from this port
    media, reports = [], []
    with gstreamer.Pipeline(lab, "core", gstreamer.plain_sender(host, port, own_port, LMR, 20)):
        while len(media) < 20 or not reports or bye_of(reports[-1]) is None:
            packet = g.radio.recv()
            if packet[1] & 0x7f in range(64, 96):
                reports.append(g.control.open(packet))
            else:
                media.append(g.media.unprotect(packet))
    [fresh] = {packet.ssrc for packet in media}
    assert fresh != LMR
    assert bye_of(reports[-1]) == fresh
    assert {struct.unpack_from(">I", report, 4)[0] for report in reports} == {fresh}


def bye_of(compound):
    """The SSRC that a compound packet says goodbye for, or None."""
    at = 0
    while at < len(compound):
        if compound[at + 1] == 203:
            return struct.unpack_from(">I", compound, at + 4)[0]
        at += 4 + 4 * struct.unpack_from(">H", compound, at + 2)[0]
    return None
