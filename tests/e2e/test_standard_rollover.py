# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Several keys of one group active at once, and the renewal of all others: TS 33.180 clauses 5.7, E.6.4 and E.6.5.

5.7: who has multiple active GMKs of a group encrypts with the one of the most recent activation time, and decrypts
with any. Keys of one type and scope whose `groups` have the session's group are its ring.
"""

import dataclasses
import itertools
import socket
import struct
import time

import pytest

import lab as lab_module
import mcx
from lab import PATIENCE, Client, Relay, RpcError, apply, install

ALICE = "sip:alice@mcptt.example.org"
CAROL = "sip:carol@partner.example.org"
GATEWAY = "sip:gateway@lmr.example.org"
FIRE, POLICE = "sip:fire@groups.example.org", "sip:police@groups.example.org"
SSRC, LMR = 0x000a11ce, 0x00001111
PACE = 0.005  # seconds between the packets of a talker
NOT_FOUND, KEY_REFUSED = 1, 4


def revoke(relay, *keys):
    names = [{"domain": key.domain, "id": key.id_text} for key in keys]
    assert relay.call("key.revoke", {"keys": names}) == {"revoked": len(keys)}


def key_state(relay, key):
    [state] = [k["state"] for k in relay.call("key.list", {})["keys"] if k["id"] == key.id_text]
    return state


def key_id_of(packet):
    """The GMK-ID at the tail of a packet with GMK-ID || GUK-ID and ROC."""
    return struct.unpack_from(">I", packet, len(packet) - 12)[0]


# While media flows

class Talker:
    """Numbered packets; protect() of its sender makes the next one."""

    def __init__(self, client, sender, word):
        self.client, self.sender, self.word, self.sent = client, sender, word, []

    def speak(self):
        packet = self.sender.protect(b"%s %06d" % (self.word, len(self.sent)))
        self.client.send(packet)
        self.sent.append((packet, self.sender.last_plain))

    @property
    def payloads(self):
        return [mcx.parse_rtp(plain).payload for _, plain in self.sent]


class Conversation:
    """Alice under the ring, a plain gateway and Carol under another key, all speaking; Bob hears them all."""

    def __init__(self, relay, lab, ring, foreign, **session):
        self.relay, self.drops = relay, relay.drops()
        self.alice, self.bob, self.lmr, self.carol = (Client(lab, side) for side in ("ran", "ran", "core", "core"))
        self.keys = {key.id: key for key in ring}
        apply(relay, "rollover", [
            self.alice.leg("alice", "srtp", ring[0], protection={"user": ALICE}),
            self.bob.leg("bob", "srtp", ring[0]),
            self.lmr.leg("lmr", "plain", protection={"user": GATEWAY}),
            self.carol.leg("carol", "srtp", foreign, protection={"user": CAROL})], **session)
        self.talkers = {
            "alice": Talker(self.alice, mcx.SrtpSender(ring[0].group(ALICE), SSRC, seq=65000), b"alice"),
            "lmr": Talker(self.lmr, mcx.PlainSender(LMR, seq=65100), b"lmr"),
            "carol": Talker(self.carol, mcx.SrtpSender(foreign.group(CAROL), SSRC + 1, seq=65200), b"carol")}

    def close(self):
        for client in (self.alice, self.bob, self.lmr, self.carol):
            client.close()

    def talk_until(self, condition, every=10):
        """200 packets a second of each talker, until condition, asked now and then, is true."""
        deadline = time.monotonic() + PATIENCE
        for n in itertools.count(1):
            for talker in self.talkers.values():
                talker.speak()
            time.sleep(PACE)
            if n % every == 0 and condition():
                return
            assert time.monotonic() < deadline

    def talk(self, n):
        self.talk_until(lambda: True, n)

    def taken(self):
        """{talker: packets that the relay has taken}"""
        legs = self.relay.call("session.get", {"id": "rollover"})["legs"]
        return {leg["id"]: leg["statistics"]["receive"]["packets"] for leg in legs if leg["id"] in self.talkers}

    def settle(self):
        """The relay has taken all that was sent: what comes now it does under the keys that it has now."""
        sent = {word: len(talker.sent) for word, talker in self.talkers.items()}
        lab_module.wait_for(self.taken, lambda found: found == sent, f"{sent} packets")

    def all_of(self, listener, words):
        """As many packets as these talkers have sent."""
        wanted = sum(len(self.talkers[word].sent) for word in words)
        for n in range(wanted):
            try:
                yield listener.recv()
            except TimeoutError:
                raise AssertionError(f"{n} of {wanted} packets came; dropped: {self.relay.refused_since(self.drops)}") \
                    from None

    def heard_by_bob(self):
        """{talker: [(packet, plain packet, key id)]}, each in the order of arrival."""
        heard = {word: [] for word in self.talkers}
        users = {"alice": ALICE, "lmr": GATEWAY, "carol": CAROL}
        contexts = {(self.keys[k].group(user).mki): self.keys[k].group(user) for k in self.keys for user in users.values()}
        nonces = set()
        for packet in self.all_of(self.bob, self.talkers):
            context = contexts[packet[-12:-4]]
            plain = mcx.srtp_unprotect(context, packet)
            assert (context.mki, plain.ssrc, plain.index) not in nonces
            nonces.add((context.mki, plain.ssrc, plain.index))
            heard[plain.payload.split()[0].decode()].append((packet, plain, key_id_of(packet)))
        return heard

    def heard_in_plain(self, words):
        """{talker: [packet]} at the gateway."""
        heard = {word: [] for word in words}
        for packet in self.all_of(self.lmr, words):
            heard[packet[12:].split()[0].decode()].append(packet)
        return heard

    def check(self, pending_until, old, new):
        """Nothing lost, doubled or out of order; the relay's own packets change from the old to the new key once."""
        heard = self.heard_by_bob()
        for word, talker in self.talkers.items():
            assert [plain.payload for _, plain, _ in heard[word]] == talker.payloads
        assert [packet for packet, _, _ in heard["alice"]] == [packet for packet, _ in self.talkers["alice"].sent]
        for word in ("lmr", "carol"):
            used = [key_id for _, _, key_id in heard[word]]
            first = used.index(new.id)
            assert set(used[:first]) == {old.id} and set(used[first:]) == {new.id}
            assert first >= pending_until[word], "under a key that was pending"
        assert [plain.packet for _, plain, _ in heard["carol"]] == [plain for _, plain in self.talkers["carol"].sent]
        for word, packets in self.heard_in_plain(["alice", "carol"]).items():
            assert packets == [plain for _, plain in self.talkers[word].sent]
        assert self.bob.drain() == self.lmr.drain() == []


@pytest.fixture(scope="module")
def own_lab():
    with lab_module.Lab() as lab:
        yield lab


@pytest.fixture(scope="module", params=[1, 2], ids=["1 worker", "2 workers"])
def busy(request, own_lab):
    with Relay(own_lab, workers=request.param) as relay:
        yield relay


@pytest.mark.parametrize("end", ["revoked", "expired"])
def test_roll_over_with_media_flowing(busy, own_lab, new_key, end):
    """5.7, E.6.4, E.6.5: at its activation time the new key takes over, late packets under the old one pass until it
    ends, and no packet of three talkers is lost, doubled or misplaced."""
    old, new, foreign = new_key("gmk"), new_key("gmk"), new_key("gmk")
    install(busy, old.rpc(groups=[FIRE]), foreign)
    c = Conversation(busy, own_lab, [old, new], foreign, group=FIRE)
    before = busy.drops()
    try:
        c.talk(20)
        install(busy, new.rpc(groups=[FIRE], activation=int(time.time()) + 2))
        pending = {}

        def active():
            taken = c.taken()
            if key_state(busy, new) == "active":
                return True
            pending.update(taken)
            return False

        c.talk_until(active)
        c.talk(40)                                      # Alice is late
        c.talkers["alice"].sender.context = new.group(ALICE)
        c.settle()
        c.talk(40)
        if end == "expired":
            install(busy, old.rpc(groups=[FIRE], expiry=int(time.time()) + 2))
            c.talk_until(lambda: key_state(busy, old) == "expired")
        else:
            revoke(busy, old)
        c.talk(40)                                      # the key that the legs name is gone
        c.check(pending, old, new)
        assert busy.refused_since(before) == {}
        late = mcx.SrtpSender(old.group(ALICE), SSRC, c.talkers["alice"].sender.seq, c.talkers["alice"].sender.roc)
        c.alice.send(late.protect(b"alice too late"))
        c.alice.send(c.talkers["alice"].sender.protect(b"fence"))
        assert mcx.srtp_unprotect(new.group(ALICE), c.bob.recv()).payload == b"fence"
        assert sum(busy.refused_since(before).values()) == 1
    finally:
        c.close()
        busy.clear()


@pytest.mark.parametrize("end", ["key.revoke", "expiry"])
def test_roll_over_at_once_with_media_flowing(busy, own_lab, new_key, end):
    """5.7: an activation time of 0 is that of the installation; the old key goes in the same moment as it comes back
    in others' packets, and those of the other talkers are not disturbed."""
    ring, foreign = [new_key("gmk") for _ in range(5)], new_key("gmk")
    install(busy, ring[0].rpc(groups=[FIRE, POLICE]), foreign)
    c = Conversation(busy, own_lab, ring, foreign, group=FIRE)
    before = busy.drops()
    try:
        c.talk(20)
        for old, new in itertools.pairwise(ring):
            c.settle()
            install(busy, new.rpc(groups=[FIRE]))
            c.talkers["alice"].sender.context = new.group(ALICE)
            c.talk(20)
            c.settle()
            if end == "key.revoke":
                revoke(busy, old)
            else:
                groups = [FIRE, POLICE] if old is ring[0] else [FIRE]
                install(busy, old.rpc(groups=groups, expiry=int(time.time()) + 2))
            c.talk(5)
        if end == "expiry":
            c.talk_until(lambda: key_state(busy, ring[-2]) == "expired")
        heard = c.heard_by_bob()
        for word, talker in c.talkers.items():
            assert [plain.payload for _, plain, _ in heard[word]] == talker.payloads
            assert list(dict.fromkeys(key_id for _, _, key_id in heard[word])) == [key.id for key in ring]
        c.heard_in_plain(["alice", "carol"])
        assert busy.refused_since(before) == {}
    finally:
        c.close()
        busy.clear()


# Which key the relay sends under

class Group:
    """A radio on a leg that names one key of a ring, and a plain side."""

    def __init__(self, relay, clients, name, named, **session):
        self.relay, self.named, self.seq = relay, named, itertools.count()
        self.radio, self.lmr = clients("ran"), clients("core")
        apply(relay, name, [self.radio.leg("radio", "srtp", named),
                            self.lmr.leg("lmr", "plain", protection={"user": GATEWAY})], **session)

    def sends_under(self, *keys):
        """The one of these keys that the relay protects with now."""
        self.lmr.send(mcx.rtp(LMR, next(self.seq), b"down"))
        packet = self.radio.recv()
        [key] = [key for key in keys if key.id == key_id_of(packet)]
        assert mcx.srtp_unprotect(key.group(GATEWAY), packet).payload == b"down"
        return key

    def takes(self, key, ssrc=SSRC):
        """Whether media under this key passes."""
        sender = mcx.SrtpSender(key.group(ALICE), ssrc + key.id, seq=next(self.seq))
        before = self.relay.drops()
        self.radio.send(sender.protect(b"up"))
        lab_module.wait_for(lambda: self.relay.refused_since(before) or self.lmr_has(), bool, "a packet or a drop")
        if self.lmr_has():
            assert self.lmr.recv() == sender.last_plain
            return True
        return False

    def lmr_has(self):
        self.lmr.socket.setblocking(False)
        try:
            self.lmr.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        return True


def test_most_recent_activation(relay, clients, name, new_key):
    """5.7: not what was installed last, but what was activated last; as keys come and go, the leg's own among them."""
    now, keys = int(time.time()), [new_key("gmk") for _ in range(4)]
    a, b, c, d = keys
    install(relay, a.rpc(groups=[FIRE], activation=now - 100), b.rpc(groups=[FIRE], activation=now - 200))
    g = Group(relay, clients, name, a, group=FIRE)
    assert g.sends_under(*keys) is a
    install(relay, c.rpc(groups=[FIRE], activation=now - 150))
    assert g.sends_under(*keys) is a
    install(relay, d.rpc(groups=[FIRE], activation=now - 50))
    assert g.sends_under(*keys) is d
    assert all(g.takes(key) for key in keys)
    revoke(relay, d)
    assert g.sends_under(*keys) is a
    revoke(relay, a)
    assert g.sends_under(*keys) is c
    assert [g.takes(key) for key in keys] == [False, True, True, False]
    revoke(relay, c)
    assert g.sends_under(*keys) is b
    revoke(relay, b)
    before = relay.drops()
    g.lmr.send(mcx.rtp(LMR, next(g.seq), b"no key"))
    relay.wait_drops(before, no_key=1)
    install(relay, c.rpc(groups=[FIRE]))
    assert g.sends_under(*keys) is c and g.takes(c)


@pytest.mark.parametrize("activation", [0, 1_700_000_000])
def test_same_activation_time(relay, clients, name, new_key, activation):
    """5.7, E.6.4 (0 is the time of the message): in the same second, what was installed later."""
    keys = [new_key("gmk") for _ in range(4)]
    install(relay, keys[0].rpc(groups=[FIRE], activation=activation))
    g = Group(relay, clients, name, keys[0], group=FIRE)
    for key in keys[1:]:
        install(relay, key.rpc(groups=[FIRE], activation=activation))
        assert g.sends_under(*keys) is key
    # of one request the last one
    more = [new_key("gmk") for _ in range(3)]
    install(relay, *(key.rpc(groups=[FIRE], activation=activation) for key in more))
    assert g.sends_under(*keys, *more) is more[-1]


def test_activation_time_is_updated(relay, clients, name, new_key):
    """5.7: key.install with the same octets moves a key's activation time, and with it the choice."""
    now, keys = int(time.time()), [new_key("gmk") for _ in range(2)]
    install(relay, keys[0].rpc(groups=[FIRE], activation=now - 200), keys[1].rpc(groups=[FIRE], activation=now - 100))
    g = Group(relay, clients, name, keys[0], group=FIRE)
    assert g.sends_under(*keys) is keys[1]
    install(relay, keys[0].rpc(groups=[FIRE], activation=now - 50))
    assert g.sends_under(*keys) is keys[0]
    install(relay, keys[0].rpc(groups=[FIRE], activation=now + 10000))
    assert g.sends_under(*keys) is keys[1]
    assert [g.takes(key) for key in keys] == [False, True]


@pytest.mark.parametrize("named, other, group, in_ring", [
    ([FIRE], [FIRE], FIRE, True),
    ([FIRE], [FIRE], None, True),
    ([FIRE], [POLICE, FIRE], FIRE, True),
    ([FIRE], [POLICE, FIRE], None, True),
    ([FIRE, POLICE], [FIRE], FIRE, True),
    ([FIRE, POLICE], [FIRE], None, False),
    ([FIRE, POLICE], [POLICE], FIRE, False),
    ([FIRE], [POLICE], FIRE, False),
    ([FIRE], [POLICE], None, False),
    ([FIRE], [], FIRE, False),
    ([FIRE], [], None, False),
    ([], [FIRE], None, False),
    ([], [], None, False),
])
def test_ring_by_groups(relay, clients, name, new_key, named, other, group, in_ring):
    """5.7: a GMK may be assigned to several groups; the ring of a session has those of its own group. Keys without
    groups stand alone."""
    first, second = new_key("gmk"), new_key("gmk")
    install(relay, first.rpc(groups=named), second.rpc(groups=other))
    g = Group(relay, clients, name, first, **({"group": group} if group else {}))
    assert g.sends_under(first, second) is (second if in_ring else first)
    assert g.takes(first)
    assert g.takes(second) == in_ring


def test_ring_of_one_domain(relay, clients, name, new_key):
    """Annex G, architecture.md: key ids belong to a domain; another domain's key of the same group is no key of ours."""
    first, abroad = new_key("gmk"), dataclasses.replace(new_key("gmk"), domain="abroad")
    install(relay, first.rpc(groups=[FIRE]), abroad.rpc(groups=[FIRE]))
    g = Group(relay, clients, name, first, group=FIRE)
    assert g.sends_under(first, abroad) is first
    assert g.takes(first) and not g.takes(abroad)


def test_ring_of_a_sessions_own_keys(relay, clients, name, new_key):
    """docs/api.md: keys of a session are known to it only; they form a ring of their own."""
    own, domain = [new_key("gmk") for _ in range(2)], new_key("gmk")
    install(relay, domain.rpc(groups=[FIRE]))
    radio, lmr = clients("ran"), clients("core")
    leg = radio.leg("radio", "srtp", own[0])
    del leg["protection"]["domain"]
    now = int(time.time())
    keys = [key.rpc(groups=[FIRE], activation=now - 100 + n) for n, key in enumerate(own)]
    apply(relay, name, [leg, lmr.leg("lmr", "plain", protection={"user": GATEWAY})], keys=keys, group=FIRE)
    lmr.send(mcx.rtp(LMR, 1, b"down"))
    packet = radio.recv()
    assert key_id_of(packet) == own[1].id
    assert mcx.srtp_unprotect(own[1].group(GATEWAY), packet).payload == b"down"
    before = relay.drops()
    radio.send(mcx.SrtpSender(domain.group(ALICE), SSRC).protect(b"up"))
    relay.wait_drops(before, unknown_mki=1)
    for key in own:
        sender = mcx.SrtpSender(key.group(ALICE), SSRC)
        radio.send(sender.protect(b"up"))
        assert lmr.recv() == sender.last_plain


def test_key_without_groups_stands_alone(relay, clients, name, new_key):
    """5.7, L.4.4: a leg to another system names that system's GMK, which is no key of the session's group: what goes
    there is under it, and nothing under the group's own keys, which that system does not have, comes from there."""
    own, others = new_key("gmk"), new_key("gmk")
    install(relay, others, own.rpc(groups=[FIRE]))
    radio, partner, lmr = clients("ran"), clients("core"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", own, protection={"user": ALICE}),
                        partner.leg("partner", "srtp", others, protection={"user": CAROL}),
                        lmr.leg("lmr", "plain", protection={"user": GATEWAY})], group=FIRE)
    lmr.send(mcx.rtp(LMR, 1, b"to both"))
    assert mcx.srtp_unprotect(own.group(GATEWAY), radio.recv()).payload == b"to both"
    assert mcx.srtp_unprotect(others.group(GATEWAY), partner.recv()).payload == b"to both"
    sender = mcx.SrtpSender(own.group(ALICE), SSRC)
    radio.send(sender.protect(b"from here"))
    assert mcx.srtp_unprotect(others.group(ALICE), partner.recv()).packet == sender.last_plain
    before = relay.drops()
    partner.send(mcx.SrtpSender(own.group(CAROL), SSRC + 1).protect(b"under a key of ours"))
    relay.wait_drops(before, unknown_mki=1)


def test_pending_key_is_not_received(relay, clients, name, new_key):
    """E.6.4: before its activation time a key of the ring is not in use, in either direction."""
    first, second = new_key("gmk"), new_key("gmk")
    install(relay, first.rpc(groups=[FIRE]), second.rpc(groups=[FIRE], activation=int(time.time()) + 10000))
    g = Group(relay, clients, name, first, group=FIRE)
    assert g.sends_under(first, second) is first
    assert g.takes(first) and not g.takes(second)


def test_users_of_each_key_of_a_ring(relay, clients, name, new_key):
    """F.1.3: who was left out of the new key is heard under the old one alone."""
    first, second = new_key("gmk"), new_key("gmk")
    install(relay, first.rpc(groups=[FIRE], users=[ALICE, GATEWAY]), second.rpc(groups=[FIRE], users=[GATEWAY]))
    g = Group(relay, clients, name, first, group=FIRE)
    assert g.takes(first)
    before = relay.drops()
    assert not g.takes(second)
    relay.wait_drops(before, unknown_user=1)


def test_media_of_the_ring_passes_as_it_came(relay, clients, name, new_key):
    """5.7, architecture.md invariant 1: what came under any key of the ring is not encrypted again."""
    keys = [new_key("gmk") for _ in range(3)]
    install(relay, *(key.rpc(groups=[FIRE]) for key in keys))
    alice, bob, carol = clients("ran"), clients("ran"), clients("core")
    apply(relay, name, [alice.leg("alice", "srtp", keys[0]), bob.leg("bob", "srtp", keys[0]),
                        carol.leg("carol", "srtp", keys[1])], group=FIRE)  # any name of the ring is as good
    for n, key in enumerate(keys):
        sender = mcx.SrtpSender(key.group(ALICE), SSRC + n)
        for _ in range(3):
            packet = sender.protect(b"voice")
            alice.send(packet)
            assert bob.recv() == carol.recv() == packet


# ROC

@pytest.mark.parametrize("named_by", ["key", "leg"])
def test_roc_goes_on_under_the_new_key(relay, clients, name, new_key, named_by):
    """RFC 3711 3.3.1: after a re-keying the rollover counter goes on, it is not reset; here it is not carried, so the
    relay has to know it from the stream that the same user has under the old key."""
    keys = [new_key("gmk", roc_rate=0) for _ in range(2)]
    users = {"users": [ALICE]} if named_by == "key" else {}
    install(relay, *(key.rpc(groups=[FIRE], **users) for key in keys))
    radio, lmr = clients("ran"), clients("core")
    user = {"user": ALICE} if named_by == "leg" else {}
    apply(relay, name, [radio.leg("radio", "srtp", keys[0], protection=user), lmr.leg("lmr", "plain")], group=FIRE)
    sender = mcx.SrtpSender(keys[0].group(ALICE), SSRC, seq=65530)
    for n in range(20):
        if n == 12:
            assert sender.roc == 1
            sender.context = keys[1].group(ALICE)
        radio.send(sender.protect(b"%d" % n))
        assert lmr.recv() == sender.last_plain


def test_roc_of_the_relay_goes_on_under_the_new_key(relay, clients, name, new_key):
    """RFC 3711 3.3.1 for what the relay protects: under a new key the ROC of an SSRC goes on; that of a new SSRC
    is 0."""
    keys = [new_key("gmk", roc_rate=0) for _ in range(2)]
    install(relay, keys[0].rpc(groups=[FIRE]))
    radio, lmr = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", keys[0]),
                        lmr.leg("lmr", "plain", protection={"user": GATEWAY})], group=FIRE)
    contexts = {key.group(GATEWAY).mki: key.group(GATEWAY) for key in keys}
    rocs, last = {}, {}
    for n in range(20):
        if n == 12:
            install(relay, keys[1].rpc(groups=[FIRE]))
        lmr.send(mcx.rtp(LMR, 65530 + n & 0xffff, b"%d" % n))
        packet = radio.recv()
        seq, ssrc = struct.unpack_from(">H", packet, 2)[0], packet[8:12]
        rocs[ssrc] = rocs.get(ssrc, 0) + (seq < last.get(ssrc, 0))
        last[ssrc] = seq
        assert packet[-8:] == keys[n >= 12].group(GATEWAY).mki
        assert mcx.srtp_unprotect(contexts[packet[-8:]], packet, rocs[ssrc]).payload == b"%d" % n


# Control keys

@pytest.mark.parametrize("kind", ["musik", "mkfc"])
def test_ring_of_a_multicast_key(relay, clients, name, new_key, kind):
    """9.2.2, 9.4.3, H.2 with 5.7: control for everybody leaves under the key activated last, and enters under any."""
    spk, keys, stranger = new_key("spk"), [new_key(kind) for _ in range(3)], new_key("mscck")
    install(relay, spk, keys[0].rpc(groups=[FIRE]), stranger.rpc(groups=[FIRE]))
    server, everybody = clients("core"), clients("ran")
    apply(relay, name, [server.leg("server", "srtp", spk, traffic="control"),
                        everybody.leg("all", "srtp", keys[0], traffic="control")], group=FIRE)
    down = mcx.SrtcpSender(spk.control())
    for n, key in enumerate(keys):
        if n:
            install(relay, key.rpc(groups=[FIRE]))
        for m in range(3):
            sample = mcx.app(0x5e, mcx.FLOOR_IDLE, [(8, bytes([n, m]))])
            server.send(down.protect(sample))
            packet = everybody.recv()
            assert packet.endswith(key.id.to_bytes(4, "big"))
            assert mcx.srtcp_unprotect(key.control(), packet)[0] == sample
    up = mcx.SrtcpReceiver(spk.control())
    for n, key in enumerate(keys):
        everybody.send(mcx.SrtcpSender(key.control()).protect(mcx.rr(0x100 + n)))
        assert up.unprotect(server.recv()) == mcx.rr(0x100 + n)
    before = relay.drops()
    everybody.send(mcx.SrtcpSender(stranger.control()).protect(mcx.rr(0x200)))
    relay.wait_drops(before, unknown_mki=1)
    revoke(relay, keys[0], keys[2])
    server.send(down.protect(mcx.rr(0x5e)))
    assert mcx.SrtcpReceiver(keys[1].control()).unprotect(everybody.recv()) == mcx.rr(0x5e)


# Renewal of keys that belong to no group

@pytest.mark.parametrize("kind", ["csk", "spk"])
def test_renewal_of_a_control_key(relay, clients, name, new_key, kind):
    """9.2.1, 9.2.3: a new CSK or SPK is named, the old one is still accepted, and never used to send."""
    old, new, peer = new_key(kind), new_key(kind), new_key("spk")
    install(relay, old, new, peer)
    client, server = clients("ran"), clients("core")
    far = server.leg("server", "srtp", peer, traffic="control")
    def near(key, *accepted):
        more = {"protection": {"accept": [k.id_text for k in accepted]}} if accepted else {}
        return client.leg("client", "srtp", key, traffic="control", **more)
    senders = {key.id: mcx.SrtcpSender(key.control()) for key in (old, new, peer)}
    receivers = {key.id: mcx.SrtcpReceiver(key.control()) for key in (old, new, peer)}
    def up(key):
        client.send(senders[key.id].protect(mcx.floor_request(7, ALICE)))
        assert receivers[peer.id].unprotect(server.recv()) == mcx.floor_request(7, ALICE)
    def down(key):
        server.send(senders[peer.id].protect(mcx.app(0x5e, mcx.FLOOR_IDLE)))
        assert receivers[key.id].unprotect(client.recv()) == mcx.app(0x5e, mcx.FLOOR_IDLE)
    def refuses(key):
        before = relay.drops()
        client.send(senders[key.id].protect(mcx.floor_request(7, ALICE)))
        lab_module.wait_for(lambda: relay.refused_since(before), bool, "a drop")
    apply(relay, name, [near(old), far])
    up(old), down(old), refuses(new)
    relay.call("leg.apply", {"session": name, "legs": [near(new, old)]})
    for _ in range(3):
        up(old), down(new), up(new), down(new)
    revoke(relay, old)
    refuses(old), up(new), down(new)
    relay.call("leg.apply", {"session": name, "legs": [near(new)]})
    refuses(old), up(new), down(new)


def test_renewal_of_a_pck(relay, clients, name, new_key):
    """7.2: a PCK is renewed within a call; media of the old one passes until the session is stated without it."""
    old, new = new_key("pck"), new_key("pck")
    client, lmr = clients("ran"), clients("core")
    sender = mcx.SrtpSender(old.private("initiator"), SSRC)
    def stand(key, *accepted):
        protection = {"role": "initiator"} | ({"accept": [k.id_text for k in accepted]} if accepted else {})
        leg = client.leg("client", "srtp", key, protection=protection)
        del leg["protection"]["domain"]
        apply(relay, name, [leg, lmr.leg("lmr", "plain")], kind="private", keys=[k.rpc() for k in (key, *accepted)])
    def both_ways(up, down):
        sender.context = up.private("initiator")
        client.send(sender.protect(b"up"))
        assert lmr.recv() == sender.last_plain
        lmr.send(mcx.rtp(LMR, sender.seq, b"down"))
        assert mcx.srtp_unprotect(down.private("receiver"), client.recv()).payload == b"down"
    stand(old)
    both_ways(old, old)
    stand(new, old)
    for up in (old, new, old, new):
        both_ways(up, new)
    stand(new)
    before = relay.drops()
    client.send(mcx.SrtpSender(old.private("initiator"), SSRC + 1).protect(b"too late"))
    lab_module.wait_for(lambda: relay.refused_since(before), bool, "a drop")
    both_ways(new, new)


def test_accepted_key_that_is_not_there(relay, clients, name, new_key):
    """docs/api.md: what a leg names must be installed; the message names the member."""
    csk, missing = new_key("csk"), new_key("csk")
    install(relay, csk)
    client = clients("ran")
    leg = client.leg("client", "srtp", csk, traffic="control", protection={"accept": [missing.id_text]})
    with pytest.raises(RpcError) as caught:
        apply(relay, name, [leg])
    assert (caught.value.code, caught.value.path) == (NOT_FOUND, "params.session.legs[0].protection.accept[0]")


def test_accepted_control_key_never_protects_media(relay, clients, name, new_key):
    """E.4.1 holds for keys that are accepted as for the one that is named."""
    gmk, csk = new_key("gmk"), new_key("csk")
    install(relay, gmk, csk)
    leg = clients("ran").leg("radio", "srtp", gmk, protection={"accept": [csk.id_text]})
    with pytest.raises(RpcError) as caught:
        apply(relay, name, [leg])
    assert (caught.value.code, caught.value.path) == (KEY_REFUSED, "params.session.legs[0].protection.accept[0]")
