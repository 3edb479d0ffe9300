# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""No (key, SSRC, index) twice over the relay's lives: RFC 7714 8.4 and 9.1, RFC 3711 9.1, standards.md A12 and A17.

The relay is killed in mid-traffic, starts again and gets the same keys. The clients did not notice: they go on
counting. The plain side begins with the same packets every time, and anew within a life, under its SSRC; a radio changes
its address. All that leaves the relay is taken from the wire; what the clients themselves protect under the same keys
counts as well.
"""

import collections
import contextlib
import struct

import pytest

import lab as lab_module
import mcx
from lab import Client, Relay, apply, install, wait_for
from tap import UDP, Tap

ALICE = "sip:alice@mcptt.example.org"
CAROL = "sip:carol@partner.example.org"
GATEWAY = "sip:gateway@lmr.example.org"
FIRE = "sip:fire@groups.example.org"
ALICE_SSRC, CAROL_SSRC, LMR, UE, SERVER = 0xa11ce, 0xca401, 0x1111, 0x0e, 0x5e
LIVES, ROUNDS = 3, 12
PAUSE = 160000  # of RTP timestamps: between two talk spurts


class Capture:
    """Every (key, SSRC, index) that was used to encrypt, whoever did."""

    def __init__(self, *taps):
        self.taps, self.used, self.contexts = taps, {}, {"SRTP": {}, "SRTCP": {}}
        self.relays = collections.Counter()  # (name of the key, life): packets of the relay

    def know(self, protocol, name, context):
        self.contexts[protocol][context.mki] = (name, context)

    def use(self, key, ssrc, index, packet):
        before = self.used.setdefault((key, ssrc, index), packet)
        assert before is packet, f"SSRC {ssrc:08x} index {index} again under {key}"

    def client_sends(self, protocol, packet):
        """What a client protects under a key that the relay has, too."""
        self.use(*self.open(protocol, packet), packet)
        return packet

    def open(self, protocol, packet):
        """(name of the key, SSRC, index) of a packet; its tag must verify."""
        if protocol == "SRTP":
            name, context = self.contexts["SRTP"][packet[-12:-4]]
            plain = mcx.srtp_unprotect(context, packet)
            return name, plain.ssrc, plain.index
        name, context = self.contexts["SRTCP"][packet[-4:]]
        plain, index, _ = mcx.srtcp_unprotect(context, packet)
        return name, struct.unpack_from(">I", plain, 4)[0], index

    def read(self, life, ports):
        """Takes what these ports of the relay, which protect, have sent."""
        for tap in self.taps:
            assert tap.lost() == 0
            tap.socket.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.frame(tap, tap.socket.recv(1 << 16), life, ports)

    def frame(self, tap, frame, life, ports):
        if frame[6:12] != tap.relay_mac or frame[12:14] != b"\x08\0" or frame[23] != UDP:
            return
        head = 14 + 4 * (frame[14] & 15)
        packet = frame[head + 8:14 + struct.unpack_from(">H", frame, 16)[0]]
        if struct.unpack_from(">H", frame, head)[0] not in ports:
            return
        protocol = "SRTCP" if 192 <= packet[1] <= 223 else "SRTP"
        name, ssrc, index = self.open(protocol, packet)
        self.use(name, ssrc, index, packet)
        self.relays[name, life] += 1


class World:
    """Everybody and their keys, which outlive the relay."""

    def __init__(self, new_key, capture):
        self.capture = capture
        self.gmks, self.foreign = [new_key("gmk"), new_key("gmk")], new_key("gmk")
        self.csk, self.spk, self.ue_csk, self.musik = (new_key(k) for k in ("csk", "spk", "csk", "musik"))
        for n, gmk in enumerate([*self.gmks, self.foreign]):
            for user in (ALICE, CAROL, GATEWAY):
                capture.know("SRTP", f"GMK {n} of {user}", gmk.group(user))
        for name in ("csk", "spk", "ue_csk", "musik"):
            capture.know("SRTCP", name, getattr(self, name).control())
        self.alice = mcx.SrtpSender(self.gmks[0].group(ALICE), ALICE_SSRC, seq=65500)
        self.carol = mcx.SrtpSender(self.foreign.group(CAROL), CAROL_SSRC, seq=65500)
        self.alice_reports, self.ue = mcx.SrtcpSender(self.csk.control()), mcx.SrtcpSender(self.ue_csk.control())

    def named(self, key):
        return {"mode": "srtp", "key": key.id_text, "domain": "home"}


class Media:
    """Alice under a GMK, Carol under another one, and a gateway in plain; Alice's and Carol's RTCP is muxed."""

    def __init__(self, world, relay, lab, stack):
        self.world, self.relay, self.lab, self.stack = world, relay, lab, stack
        self.alice, self.lmr, self.carol = (stack.enter_context(Client(lab, side)) for side in ("ran", "core", "core"))
        w = world
        apply(relay, "media", [
            self.alice.leg("alice", "srtp", w.gmks[0], protection={"user": ALICE}, rtcp_protection=w.named(w.csk),
                           learn="authenticated"),
            self.lmr.leg("lmr", "plain", protection={"user": GATEWAY}),
            self.carol.leg("carol", "srtp", w.foreign, protection={"user": CAROL}, rtcp_protection=w.named(w.spk))])
        self.ports, self.seq, self.spurt = [self.alice.relay_port, self.carol.relay_port], 0, 0

    def wait(self, client, has):
        while not has(client.recv()):
            pass

    def round(self, reports=False):
        w, capture = self.world, self.world.capture
        self.alice.send(capture.client_sends("SRTP", w.alice.protect(b"alice")))
        self.carol.recv()
        self.carol.send(capture.client_sends("SRTP", w.carol.protect(b"carol")))
        self.alice.recv()
        for copy in range(2):  # the second is a duplicate with other octets
            self.gateway_says(b"lmr %d %d" % (self.spurt, copy))
        self.alice.recv()
        if reports:
            self.lmr.send(mcx.sr(LMR, packets=self.seq) + mcx.sdes(LMR, "lmr"))
            self.wait(self.alice, lambda packet: packet[1] == 200)
            self.alice.send(capture.client_sends("SRTCP", w.alice_reports.protect(mcx.rr(ALICE_SSRC))))
            self.wait(self.carol, lambda packet: packet[1] == 201)
        self.seq += 1

    def gateway_says(self, payload):
        self.lmr.send(mcx.rtp(LMR, self.seq, payload, timestamp=self.spurt * PAUSE + self.seq * 160))

    def gateway_begins_anew(self):
        """Same SSRC and SEQs, later timestamps. The first packet is confirmed by the second (RFC 3550 A.1)."""
        self.spurt, self.seq = self.spurt + 1, 0
        self.gateway_says(b"unconfirmed")
        self.seq = 1

    def alice_moves(self):
        """To another address, which the relay learns of her next packet."""
        self.alice = self.stack.enter_context(Client(self.lab, "ran", relay_port=self.alice.relay_port))
        self.alice.send(self.world.capture.client_sends("SRTP", self.world.alice.protect(b"from elsewhere")))
        self.carol.recv()
        wait_for(lambda: self.relay.call("session.get", {"id": "media"})["legs"][0]["remote"],
                 lambda remote: remote == self.alice.address, "a learnt address")

    def rounds(self, **what):
        """Some, with a gateway that begins anew and a radio that moves in between."""
        for change in (self.gateway_begins_anew, self.alice_moves, self.gateway_begins_anew):
            for _ in range(ROUNDS // 3):
                self.round(**what)
            change()
        for _ in range(ROUNDS // 3):
            self.round(**what)

    def storm(self):
        """Packets that are under way when the relay dies."""
        for n in range(50):
            self.lmr.send(mcx.rtp(LMR, self.seq + n, b"storm"))


class Control:
    """A floor control server in plain, a client under its CSK, and everybody under the MuSiK."""

    def __init__(self, world, relay, lab, stack):
        self.world = world
        self.server, self.ue, self.all = (stack.enter_context(Client(lab, side)) for side in ("core", "ran", "ran"))
        apply(relay, "control", [
            self.server.leg("server", "plain", traffic="control", to=["ue", "all"]),
            self.ue.leg("ue", "srtp", world.ue_csk, traffic="control", to=["server", "all"]),
            self.all.leg("all", "srtp", world.musik, traffic="control", receive=False)])
        self.ports = [self.ue.relay_port, self.all.relay_port]

    def round(self):
        self.ue.send(self.world.capture.client_sends("SRTCP", self.world.ue.protect(mcx.floor_request(UE, ALICE))))
        assert self.server.recv() == mcx.floor_request(UE, ALICE)
        self.all.recv()
        for _ in range(2):
            self.server.send(mcx.app(SERVER, mcx.FLOOR_IDLE))
            self.ue.recv()
            self.all.recv()

    def storm(self):
        for _ in range(50):
            self.server.send(mcx.app(SERVER, mcx.FLOOR_TAKEN))


@pytest.fixture(scope="module")
def own_lab():
    with lab_module.Lab() as lab:
        yield lab


@pytest.fixture(params=[1, 2], ids=["1 worker", "2 workers"])
def lives(request, own_lab, new_key):
    """Runs a scene in each of the relay's lives: lives(scene); scene(world, relay, stack) returns who is on stage."""
    def run(scene):
        with Relay(own_lab, workers=request.param) as relay, Tap(own_lab, "ran") as ran, Tap(own_lab, "core") as core:
            capture = Capture(ran, core)
            world = World(new_key, capture)
            for life in range(LIVES):
                with contextlib.ExitStack() as stack:
                    stage = scene(world, relay, stack)
                    stage.storm()
                    if life < LIVES - 1:
                        relay.kill9()
                        relay.start_again()
                    capture.read(life, stage.ports)
            return capture
    return run


def each_life(capture, *names):
    """The relay encrypted under each of these keys in every life: without this the capture would show nothing."""
    for name in names:
        assert all(capture.relays[name, life] > 0 for life in range(LIVES)), (name, capture.relays)


def spurts(capture, name):
    """SSRCs under which the gateway's talk spurts left: each, in each life, had its own."""
    return {ssrc for key, ssrc, _ in capture.used if key == name}


def test_media_over_lives(lives, own_lab):
    """7.5.1, A17: plain media to two GMKs, and media re-encrypted both ways, with the keys revoked and back in between."""
    def scene(world, relay, stack):
        keys = [world.gmks[0], world.foreign, world.csk, world.spk]
        install(relay, *keys)
        stage = Media(world, relay, own_lab, stack)
        stage.rounds()
        names = [{"domain": "home", "id": key.id_text} for key in keys]
        assert relay.call("key.revoke", {"keys": names}) == {"revoked": len(keys)}
        install(relay, *keys)
        stage.rounds()
        return stage
    capture = lives(scene)
    each_life(capture, f"GMK 0 of {GATEWAY}", f"GMK 0 of {CAROL}", f"GMK 2 of {GATEWAY}", f"GMK 2 of {ALICE}")
    assert len(spurts(capture, f"GMK 0 of {GATEWAY}")) >= 3 * LIVES


def test_reports_over_lives(lives, own_lab):
    """9.4.1, A12, A17: reports of the plain side under the CSK and SPK, and Alice's from one to the other."""
    def scene(world, relay, stack):
        install(relay, world.gmks[0], world.foreign, world.csk, world.spk)
        stage = Media(world, relay, own_lab, stack)
        stage.rounds(reports=True)
        return stage
    each_life(lives(scene), "csk", "spk", f"GMK 0 of {GATEWAY}")


def test_floor_control_over_lives(lives, own_lab):
    """9.4.2, 9.4.3, A12: a plain server's messages under a CSK that the client uses, too, and under the MuSiK."""
    def scene(world, relay, stack):
        install(relay, world.ue_csk, world.musik)
        stage = Control(world, relay, own_lab, stack)
        for _ in range(ROUNDS):
            stage.round()
        return stage
    each_life(lives(scene), "ue_csk", "musik")


def test_roll_over_over_lives(lives, own_lab):
    """5.7: in every life the same two GMKs of the group, the second one comes, the first one goes, the first one comes
    back."""
    def scene(world, relay, stack):
        old, new = world.gmks
        install(relay, old.rpc(groups=[FIRE]), world.foreign, world.csk, world.spk)
        stage = Media(world, relay, own_lab, stack)
        for step in range(4):
            stage.rounds()
            if step == 0:
                install(relay, new.rpc(groups=[FIRE]))
            elif step == 1:
                assert relay.call("key.revoke", {"keys": [{"domain": "home", "id": old.id_text}]}) == {"revoked": 1}
                world.alice.context = new.group(ALICE)
            elif step == 2:
                install(relay, old.rpc(groups=[FIRE]))
        world.alice.context = old.group(ALICE)
        return stage
    each_life(lives(scene), *(f"GMK {n} of {user}" for n in (0, 1) for user in (GATEWAY, CAROL)))
