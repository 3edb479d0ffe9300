# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""The invariants of docs/architecture.md, each with tests that can fail.

1. No (session key, SSRC, index) twice     test_no_index_twice_*, and
                                           test_media: test_plain_duplicates_never_share_an_index,
                                           test_two_clients_of_one_csk_share_no_nonce, test_same_gmk_leaves_as_it_came,
                                           test_rtcp: test_two_servers_share_no_nonce,
                                           test_workers: test_outbound_indices_of_two_workers
2. Nothing before its tag verified         test_forged_packets_leave_no_trace, and
                                           test_media: test_forged_first_packet_makes_no_stream,
                                           test_learned_address_follows_authentic_packets_only
3. A revoked or expired key is gone        test_no_octet_of_a_key_*, and
                                           test_media: test_revoked_key,
                                           test_pending_key_becomes_active_and_expires,
                                           test_workers: test_revoke_under_load_of_both
4. A worker never blocks                   test_worker_makes_no_system_call
5. A flood costs its sender                test_flood_on_one_leg_costs_no_other
6. No first word is lost                   test_first_words_in_order, and
                                           test_media: test_first_words_of_many_users,
                                           test_workers: test_first_packet_from_every_source
7. Every drop has a reason                 test_drops: all of it
"""

import collections
import contextlib
import itertools
import multiprocessing
import random
import struct
import time

import pytest

import lab as lab_module
import mcx
import process
from lab import Client, Relay, apply, install, wait_for
from tap import Tap

ALICE = "sip:alice@mcptt.example.org"
BOB = "sip:bob@mcptt.example.org"
GATEWAY = "sip:gateway@lmr.example.org"
SSRC = 0x11223344
SMALL = {"keys": 1000, "sessions": 100, "legs": 100, "streams": 1000}  # tables whose memory is soon searched


@pytest.fixture(scope="module")
def own_lab():
    with lab_module.Lab() as lab:
        yield lab


def revoke(relay, *keys):
    names = [{"domain": key.domain, "id": key.id_text} for key in keys]
    assert relay.call("key.revoke", {"keys": names}) == {"revoked": len(keys)}


# 1. No (session key, SSRC, index) twice

class Nonces:
    """All (SSRC, index) seen under one key. Refuses one that came before, even with the same octets."""

    def __init__(self):
        self.seen = {}

    def add(self, ssrc, index, packet):
        assert (ssrc, index) not in self.seen, f"SSRC {ssrc:08x} index {index} again"
        self.seen[ssrc, index] = packet


def plain_storm(generator):
    """(leg, packet): two senders with one SSRC and one range of SEQ; duplicates, disorder, a wrap, a new start."""
    order = [(leg, seq & 0xffff) for leg in (0, 1) for seq in range(65520, 65560) for _ in range(2)]
    generator.shuffle(order)
    order += [(leg, seq) for leg in (0, 1) for seq in range(1000, 1010)] * 2
    order += [(leg, seq) for seq in range(65520, 65530) for leg in (0, 1)]
    for n, (leg, seq) in enumerate(order):
        yield leg, mcx.rtp(SSRC, seq, b"%d %d" % (leg, n))


def test_no_index_twice_from_the_plain_side_over_lives(own_lab, new_key):
    """The relay crashes, the session ends, the key is revoked and comes back; key and plain senders stay the same.

    What leaves is taken from the wire, so that a packet which a socket would swallow counts as well.
    """
    gmk, nonces, generator = new_key(), Nonces(), random.Random(1)
    context = gmk.group(GATEWAY)

    def storm(relay, tap):
        with Client(own_lab, "core") as one, Client(own_lab, "core") as two, Client(own_lab, "ran") as radio:
            user = {"protection": {"user": GATEWAY}}
            apply(relay, "storm", [one.leg("one", "plain", to=["radio"], **user),
                                   two.leg("two", "plain", to=["radio"], **user), radio.leg("radio", "srtp", gmk)])
            def read_until(payload):
                for packet in tap.payloads(radio.relay_port):
                    plain = mcx.srtp_unprotect(context, packet)
                    nonces.add(plain.ssrc, plain.index, packet)
                    if plain.payload == payload:
                        return

            one.send(mcx.rtp(SSRC + 1, 0, b"first"))
            read_until(b"first")                    # the key context is there: nothing is held any more
            for leg, packet in plain_storm(generator):
                (one, two)[leg].send(packet)
            one.send(mcx.rtp(SSRC + 1, 1, b"fence"))
            read_until(b"fence")
            relay.call("session.remove", {"ids": ["storm"]})

    with Relay(own_lab) as relay, Tap(own_lab, "ran") as tap:
        for life in range(3):
            install(relay, gmk)
            storm(relay, tap)
            storm(relay, tap)                       # a new session, the same key
            revoke(relay, gmk)
            install(relay, gmk)
            storm(relay, tap)                       # the same octets of a key that was gone
            if life < 2:
                relay.kill9()
                relay.start_again()
        assert tap.lost() == 0
    assert len(nonces.seen) >= 9 * 2 * 40


class Floor:
    """Two clients under CSKs of their own, with one SSRC, and all receivers under one MuSiK."""

    def __init__(self, lab, new_key):
        self.lab, self.keys = lab, [new_key("csk"), new_key("csk"), new_key("musik")]
        self.senders = [mcx.SrtcpSender(key.control()) for key in self.keys[:2]]
        self.context, self.nonces, self._numbers = self.keys[2].control(), Nonces(), itertools.count()

    def speak(self, relay, tap, order):
        """One turn of the clients in this order; gives what leaves under the MuSiK to the nonces."""
        with contextlib.ExitStack() as stack:
            ends = [stack.enter_context(Client(self.lab, "core")) for _ in (0, 1)]
            everyone = stack.enter_context(Client(self.lab, "ran"))
            apply(relay, "floor", [end.leg(f"leg{n}", "srtp", key, traffic="control", to=["all"])
                                   for n, (end, key) in enumerate(zip(ends, self.keys))]
                  + [everyone.leg("all", "srtp", self.keys[2], traffic="control")])
            for n in order:
                ends[n].send(self.senders[n].protect(mcx.floor_request(7, f"sip:{next(self._numbers)}@x")))
            last = 0x100 + next(self._numbers)
            ends[0].send(self.senders[0].protect(mcx.app(last, mcx.FLOOR_IDLE)))
            for packet in tap.payloads(everyone.relay_port):
                plain, index, _ = mcx.srtcp_unprotect(self.context, packet)
                ssrc = struct.unpack_from(">I", plain, 4)[0]
                self.nonces.add(ssrc, index, packet)
                if ssrc == last:
                    break
            relay.call("session.remove", {"ids": ["floor"]})


def test_no_index_twice_in_srtcp_over_lives(own_lab, new_key):
    """The clients' SRTCP indices go on over the relay's crashes, and so do those under the shared key."""
    floor = Floor(own_lab, new_key)
    with Relay(own_lab) as relay, Tap(own_lab, "ran") as tap:
        for life in range(3):
            install(relay, *floor.keys)
            for _ in range(3):
                floor.speak(relay, tap, [0, 1] * 5)
            if life < 2:
                relay.kill9()
                relay.start_again()
        assert tap.lost() == 0
    assert len(floor.nonces.seen) >= 9 * 6


def test_no_index_twice_in_srtcp_when_another_comes_first(own_lab, new_key):
    """The same, but after a crash, or after the shared key was gone, it is the other client who speaks first."""
    floor = Floor(own_lab, new_key)
    with Relay(own_lab) as relay, Tap(own_lab, "ran") as tap:
        install(relay, *floor.keys)
        floor.speak(relay, tap, [0, 0, 0, 1])
        revoke(relay, floor.keys[2])
        install(relay, floor.keys[2])
        floor.speak(relay, tap, [1, 1, 1, 0])
        relay.kill9()
        relay.start_again()
        install(relay, *floor.keys)
        floor.speak(relay, tap, [1, 1, 1, 0])


def speak_in_plain(lab, relay, tap, keys, nonces, numbers):
    """Two servers with one SSRC and a client with another, and a report of plain media: all under one MuSiK."""
    csk, musik = keys
    context, sender = musik.control(), mcx.SrtcpSender(csk.control(), next(numbers))
    with Client(lab, "core") as one, Client(lab, "core") as two, Client(lab, "core") as client, \
            Client(lab, "core") as lmr, Client(lab, "ran") as everyone:
        talk = {"traffic": "control", "to": ["all"]}
        apply(relay, "plain floor", [one.leg("one", "plain", **talk), two.leg("two", "plain", **talk),
                                     client.leg("client", "srtp", csk, **talk), lmr.leg("lmr", "plain", to=["all"]),
                                     everyone.leg("all", "srtp", musik, traffic="control")])
        for _ in range(5):
            one.send(mcx.app(SSRC, mcx.FLOOR_TAKEN, [(0, b"%d" % next(numbers))]))
            client.send(sender.protect(mcx.app(SSRC + 1, mcx.FLOOR_REQUEST)))
            two.send(mcx.app(SSRC, mcx.FLOOR_IDLE, [(0, b"%d" % next(numbers))]))
            lmr.send(mcx.sr(SSRC, packets=next(numbers)))
        last = 0x100 + next(numbers)
        one.send(mcx.app(last, mcx.FLOOR_IDLE))
        for packet in tap.payloads(everyone.relay_port):
            plain, index, _ = mcx.srtcp_unprotect(context, packet)
            ssrc = struct.unpack_from(">I", plain, 4)[0]
            nonces.add(ssrc, index, packet)
            if ssrc == last:
                break
        relay.call("session.remove", {"ids": ["plain floor"]})


def test_no_index_twice_in_srtcp_from_the_plain_side_over_lives(own_lab, new_key):
    """The relay crashes, the key is revoked and comes back; the servers speak on in plain under the SSRC they had."""
    keys, nonces, numbers = (new_key("csk"), new_key("musik")), Nonces(), itertools.count(1)
    with Relay(own_lab) as relay, Tap(own_lab, "ran") as tap:
        for life in range(3):
            install(relay, *keys)
            speak_in_plain(own_lab, relay, tap, keys, nonces, numbers)
            speak_in_plain(own_lab, relay, tap, keys, nonces, numbers)
            revoke(relay, keys[1])
            install(relay, keys[1])
            speak_in_plain(own_lab, relay, tap, keys, nonces, numbers)
            if life < 2:
                relay.kill9()
                relay.start_again()
        assert tap.lost() == 0
    by_ssrc = collections.Counter(ssrc for ssrc, _ in nonces.seen)
    assert by_ssrc[SSRC] == 3 * 3 * 10 and by_ssrc[SSRC + 1] == 3 * 3 * 5
    assert len(nonces.seen) == 3 * 3 * 21, "not all reports of plain media came"


# 2. Nothing before its tag verified

def session_state(relay, name):
    """session.get without the counts of drops, which are the one thing that a forged packet may move."""
    def strip(value):
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if k != "drops"}
        return [strip(v) for v in value] if isinstance(value, list) else value
    return strip(relay.call("session.get", {"id": name}))


def forged_storm(context, ssrc, seq, roc, control):
    """Packets under a good MKI with tags that cannot verify; SEQ, ROC, SSRC and SRTCP index all over their ranges."""
    for new_ssrc in (ssrc, ssrc + 1):
        for step in (0, 1, 100, 20000, 30000):
            for rollover in (roc, roc + 1, 0xffff0000):
                sender = mcx.SrtpSender(context, new_ssrc, (seq + step) & 0xffff, rollover)
                yield mcx.flipped(sender.protect(b"forged"), 13)
        for index in (1, 5, 1000, 0x7ffffffe):
            yield mcx.flipped(mcx.srtcp_protect(control, mcx.floor_request(new_ssrc, BOB), index), 12)


@pytest.mark.parametrize("spoken", [True, False], ids=["after media", "before media"])
def test_forged_packets_leave_no_trace(relay, clients, name, new_key, spoken):
    gmk, csk = new_key(), new_key("csk")
    install(relay, gmk, csk)
    radio, thief, lmr = clients("ran"), clients("ran"), clients("core")
    thief.relay_port = radio.relay_port
    apply(relay, name, [radio.leg("radio", "srtp", gmk, learn="authenticated", rtcp="mux", rtcp_protection={
                            "mode": "srtp", "key": csk.id_text, "domain": "home"}),
                        lmr.leg("lmr", "plain", protection={"user": GATEWAY})], timeout=60)
    context, control = gmk.group(ALICE), csk.control()
    sender = mcx.SrtpSender(context, SSRC, seq=65000, roc=2)
    if spoken:
        radio.send(sender.protect(b"voice"))
        assert lmr.recv() == sender.last_plain
    contexts = relay.call("relay.stats")["key_contexts"]
    state, drops = session_state(relay, name), relay.drops()
    storm = list(forged_storm(context, SSRC, sender.seq, sender.roc, control))
    for packet in storm:
        thief.send(packet)
    # of those that wait for a key context at once all but 16 go without being looked at
    wait_for(lambda: relay.drops_since(drops), lambda new: new["auth_fail"] + new["hold_full"] >= len(storm), "drops")
    assert relay.drops_since(drops)["auth_fail"] >= len(storm) - (0 if spoken else 14)
    assert session_state(relay, name) == state
    if not spoken:
        wait_for(lambda: relay.call("relay.stats")["key_contexts"], lambda n: n == contexts,
                 "the end of contexts that nothing verified under")
    # ROC, replay list and address are where they were: the next packet is accepted, and answers go to the radio
    for _ in range(3):
        radio.send(sender.protect(b"voice"))
        assert lmr.recv() == sender.last_plain
    lmr.send(mcx.rtp(5, 1, b"answer"))
    assert mcx.srtp_unprotect(gmk.group(GATEWAY), radio.recv()).payload == b"answer"
    assert thief.drain() == lmr.drain() == []


# 3. A revoked or expired key is gone

def round_key_after(key):
    """The first 16 octets of the AES key schedule behind the key itself (FIPS 197 5.2)."""
    def s_box(octet):
        # FIPS 197 5.1.1: the inverse in GF(2^8), then the affine map
        inverse = next((c for c in range(256) if gf_mul(octet, c) == 1), 0)
        out = 0x63
        for shift in range(5):
            out ^= (inverse << shift | inverse >> (8 - shift)) & 0xff
        return out
    words = [key[n:n + 4] for n in range(0, len(key), 4)]
    n_key = len(words)
    for n in range(n_key, n_key + 4):
        word = words[-1]
        if n % n_key == 0:
            word = bytes(s_box(octet) for octet in word[1:] + word[:1])
            word = mcx.xor(word, b"\1\0\0\0")
        words.append(mcx.xor(words[n - n_key], word))
    return b"".join(words[n_key:])


def gf_mul(a, b):
    """In GF(2^8) modulo x^8 + x^4 + x^3 + x + 1."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = a << 1 ^ (0x11b if a & 0x80 else 0)
        b >>= 1
    return product


def test_round_key_of_fips_197():
    """FIPS 197 A.1 and A.3."""
    assert round_key_after(bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")).hex() \
        == "a0fafe1788542cb123a339392a6c7605"
    assert round_key_after(bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")).hex() \
        == "9ba354118e6925afa51a8b5f2067fcde"


def halves(name, octets):
    """Every piece of 16 octets: what is to be gone in any part."""
    return {f"{name} [{n}]": octets[n:n + 16] for n in range(0, len(octets), 16)}


def root_octets(key):
    text = key.value.hex()
    return (halves("root key", key.value) | halves("root key in hex", text.encode())
            | halves("root key in capital hex", text.upper().encode()))


def derived_octets(key, cs_id, csb_id):
    """What comes of a root key, by name."""
    master = mcx.master_key(key.value, cs_id, csb_id, key.rand, key.suite)
    salt = mcx.master_salt(key.value, cs_id, csb_id, key.rand, mcx.salt_len(key.suite))
    context = mcx.context_of_master(master, salt, suite=key.suite)
    found = halves(f"master key {csb_id:08x}", master)
    for protocol, session in (("SRTP", context.session_key), ("SRTCP", context.srtcp_key)):
        found |= halves(f"{protocol} session key {csb_id:08x}", session)
        found[f"{protocol} round key {csb_id:08x}"] = round_key_after(session)
    for protocol, auth in (("SRTP", context.auth_key), ("SRTCP", context.srtcp_auth_key)):
        if auth:
            found |= hmac_octets(f"{protocol} auth key {csb_id:08x}", auth)
    return found


def hmac_octets(name, auth):
    """The authentication key as it is, as HMAC pads it (RFC 2104 2), and so with the octets of its words swapped."""
    found = {name: auth[:16]}
    for pad in (0x36, 0x5c):
        padded = bytes(octet ^ pad for octet in auth[:16])
        found[f"{name} with {pad:02x}"] = padded
        found[f"{name} with {pad:02x} in words"] = b"".join(padded[n:n + 4][::-1] for n in range(0, 16, 4))
    return found


def group_octets(gmk, *users):
    found = root_octets(gmk)
    for user in users:
        found |= derived_octets(gmk, mcx.CS_GROUP["mcptt"], gmk.guk_id(user))
    return found


def private_octets(pck):
    found = root_octets(pck)
    for role in ("initiator", "receiver"):
        found |= derived_octets(pck, mcx.CS_PRIVATE["mcptt", role], pck.id)
    return found


def find(relay, patterns):
    return process.memory_find(relay.process.pid, patterns)


def in_use(relay, patterns):
    """While a key is in use its root key and session keys are found: the search can see."""
    found = find(relay, patterns)
    assert any(name.startswith("root key [") for name in found), "no root key found"
    assert any(name.startswith("SRTP session key") for name in found), "no session key found"
    if any(name.startswith("SRTP auth key") for name in patterns):
        # libsrtp2's schedules are gone as soon as a burst is done
        assert any(name.startswith("SRTP auth key") for name in found), "no authentication key found"
    elif lab_module.CIPHER in ("auto", "vaes", "ipsec-mb"):  # and OpenSSL's is gone as soon as a burst is done
        assert any(name.startswith("SRTP round key") for name in found), "no key schedule found"
    # of no use once derived, and of no use once read
    assert not {name for name in found if name.startswith(("master key", "root key in"))}, found


@pytest.fixture(scope="module")
def searched(own_lab):
    with Relay(own_lab, limits=SMALL, families=(4,)) as made:
        yield made


@pytest.fixture
def group_call(searched, own_lab, new_key):
    """Alice speaks to the plain side and the plain side speaks to her, under a GMK of either suite."""
    with Client(own_lab, "ran") as radio, Client(own_lab, "core") as lmr:
        def make(suite):
            gmk = new_key(suite=suite)
            install(searched, gmk)
            apply(searched, "group", [radio.leg("radio", "srtp", gmk),
                                      lmr.leg("lmr", "plain", protection={"user": GATEWAY})])
            sender = mcx.SrtpSender(gmk.group(ALICE), SSRC)
            for n in range(5):
                radio.send(sender.protect(b"to the relay"))
                assert lmr.recv() == sender.last_plain
                lmr.send(mcx.rtp(9, n, b"to the radio"))
                assert mcx.srtp_unprotect(gmk.group(GATEWAY), radio.recv()).payload == b"to the radio"
            return gmk, group_octets(gmk, ALICE, GATEWAY)
        yield make
    searched.clear()


SUITES = pytest.mark.parametrize("suite", list(mcx.KEY_LEN))


@SUITES
def test_no_octet_of_a_key_after_revoke(searched, group_call, suite):
    gmk, patterns = group_call(suite)
    in_use(searched, patterns)
    revoke(searched, gmk)
    # at once: the answer is the promise
    with process.stopped(searched.process.pid):
        assert find(searched, patterns) == set()


@SUITES
def test_no_octet_of_a_key_after_its_expiry(searched, group_call, suite):
    gmk, patterns = group_call(suite)
    in_use(searched, patterns)
    install(searched, gmk.rpc(expiry=int(time.time()) + 2))
    wait_for(lambda: [k["state"] for k in searched.call("key.list", {})["keys"] if k["id"] == gmk.id_text],
             lambda states: states == ["expired"], "expiry")
    wait_for(lambda: find(searched, patterns), lambda found: not found, "the end of the key's octets")


@SUITES
def test_no_octet_of_a_key_after_the_end_of_its_session(searched, own_lab, new_key, suite):
    pck = new_key("pck", suite=suite)
    patterns = private_octets(pck)
    with Client(own_lab, "ran") as radio, Client(own_lab, "core") as lmr:
        apply(searched, "private", [radio.leg("radio", "srtp", pck, protection={"role": "initiator"}),
                                    lmr.leg("lmr", "plain")], kind="private", keys=[pck.rpc()])
        sender = mcx.SrtpSender(pck.private("initiator"), SSRC)
        radio.send(sender.protect(b"private"))
        assert lmr.recv() == sender.last_plain
        in_use(searched, patterns)
        searched.call("session.remove", {"ids": ["private"]})
        wait_for(lambda: find(searched, patterns), lambda found: not found, "the end of the key's octets")


def test_no_octet_of_a_key_that_was_replaced(searched, group_call):
    gmk, patterns = group_call(mcx.GCM_128)
    install(searched, gmk.rpc(value="5a" * 16), replace=True)
    wait_for(lambda: find(searched, patterns), lambda found: not found, "the end of the old key's octets")


def test_no_text_of_a_key_stays(searched, new_key):
    """A request of many keys: when it is answered nothing of its text is left, neither in buffers nor as JSON."""
    keys = [new_key() for _ in range(400)]
    install(searched, *keys)
    patterns = {}
    for n in range(0, len(keys), 50):
        text = keys[n].value.hex().encode()
        patterns |= halves(f"key {n} in hex", text) | halves(f"key {n} in capital hex", text.upper())
    assert find(searched, patterns) == set()
    assert find(searched, halves("root key", keys[0].value)), "no root key found"
    searched.clear()


def test_no_octet_of_a_key_that_was_refused(searched, new_key):
    """Refused for its time, for its members, as a conflict, and as part of a session that is refused."""
    good, conflicting = new_key(), new_key()
    install(searched, good)
    bad = [conflicting.rpc(id=good.id_text), new_key().rpc(expiry=1), new_key().rpc(colour="red"),
           new_key().rpc(type="pck")]
    result = searched.call("key.install", {"keys": bad})
    assert result["installed"] == 0 and len(result["rejected"]) == 4
    pck = new_key("pck").rpc()
    with pytest.raises(lab_module.RpcError):
        apply(searched, "refused", [], keys=[pck, new_key("pck").rpc(rand=5)])
    patterns = {}
    for n, key in enumerate(bad + [pck]):
        for form in (bytes.fromhex(key["value"]), key["value"].encode(), key["value"].upper().encode()):
            patterns |= halves(f"key {n} in {len(form)} octets", form)
    assert find(searched, patterns) == set()
    searched.clear()


# 4. A worker never blocks

@SUITES
def test_worker_makes_no_system_call(own_lab, new_key, tmp_path, suite):
    """Media in all modes, first words, forgeries and drops: nothing but what the af_packet PMD does to transmit."""
    if suite in mcx.AES_CM and lab_module.sanitized():
        pytest.skip("libsrtp2 allocates, and the allocator of the sanitizer maps")
    with Relay(own_lab, families=(4,), idle_sleep_us=0) as relay, Client(own_lab, "ran") as radio, \
            Client(own_lab, "core") as lmr:
        gmk = new_key(suite=suite)
        install(relay, gmk)
        apply(relay, "traced", [radio.leg("radio", "srtp", gmk, learn="authenticated"),
                                lmr.leg("lmr", "plain", protection={"user": GATEWAY})])
        [worker] = process.workers(relay.process.pid)
        try:
            trace = process.Strace(worker, tmp_path / "trace")
        except PermissionError as error:
            pytest.skip(f"ptrace is not allowed here: {error}")
        for talker in range(20):
            sender = mcx.SrtpSender(gmk.group(f"sip:user{talker}@example.org"), SSRC + talker)
            for n in range(10):
                radio.send(sender.protect(b"up"))
                assert lmr.recv() == sender.last_plain
                lmr.send(mcx.rtp(talker, n, b"down"))
                assert mcx.srtp_unprotect(gmk.group(GATEWAY), radio.recv()).payload == b"down"
            radio.send(mcx.flipped(sender.protect(b"forged"), 13))
            radio.send(b"garbage")
        calls = trace.stop()
        assert set(calls) <= {"sendto", "poll"}, set(calls)
        assert calls.count("sendto") >= 300, "it is not the worker that was watched"


def test_worker_sleeps_if_it_may(own_lab, tmp_path):
    """For as long as is stated, when there is nothing to do; what comes meanwhile is forwarded."""
    with Relay(own_lab, families=(4,), idle_sleep_us=200) as relay, Client(own_lab, "ran") as radio, \
            Client(own_lab, "core") as lmr:
        apply(relay, "idle", [radio.leg("radio", "plain"), lmr.leg("lmr", "plain")])
        [worker] = process.workers(relay.process.pid)
        trace = process.Strace(worker, tmp_path / "trace")
        for n in range(20):
            radio.send(mcx.rtp(SSRC, n, b"up"))
            assert lmr.recv() == mcx.rtp(SSRC, n, b"up")
        asleep = "clock_nanosleep(CLOCK_MONOTONIC, 0, {tv_sec=0, tv_nsec=200000}"
        wait_for(lambda: (tmp_path / "trace").read_text(), lambda text: asleep in text, "its sleep")
        calls = trace.stop()
    # restart_syscall: strace came in the middle of a sleep
    assert set(calls) - {"restart_syscall"} == {"sendto", "clock_nanosleep"}, set(calls)


# 5. A flood costs its sender

FLOOD = 40000  # packets


def flood_packets(gmk, seed):
    """Of each kind as many: forged tag, unknown MKI, random GUK-ID, garbage, cut; with the next GUK-ID each time."""
    generator = random.Random(seed)
    sender = mcx.SrtpSender(gmk.group(BOB), 0xbad)
    good = sender.protect(bytes(40))
    mki = len(good) - 12
    for _ in range(FLOOD // 5):
        noise = generator.randbytes(60)
        yield good[:12] + noise[:56] + good[68:]
        yield good[:mki] + b"\x0f" + noise[:3] + good[mki + 4:]
        yield good[:mki + 4] + bytes([noise[0] & 0x0f]) + noise[1:4] + good[mki + 8:]
        yield noise
        yield b"\x80\x78" + noise[:generator.randrange(40)]


def flood(socket, address, unknown, packets):
    """Everything at full speed; every tenth packet goes to a port without a leg."""
    for n, packet in enumerate(packets):
        socket.sendto(packet, unknown if n % 10 == 9 else address)


@contextlib.contextmanager
def flooding(client, unknown_port, packets):
    child = multiprocessing.get_context("fork").Process(
        target=flood, args=(client.socket, (client.relay_host, client.relay_port),
                            (client.relay_host, unknown_port), packets))
    child.start()
    try:
        yield child
    finally:
        child.join()
    assert child.exitcode == 0


def test_flood_on_one_leg_costs_no_other(own_lab, new_key):
    """Authentic talkers, and new ones, on another port lose nothing; what is derived for nobody is bounded and goes."""
    gmk = new_key()
    packets = list(flood_packets(gmk, 5))
    with contextlib.ExitStack() as stack:
        relay = stack.enter_context(Relay(own_lab, families=(4,)))
        attacker, radio = (stack.enter_context(Client(own_lab, side)) for side in ("ran", "core"))
        lmr = stack.enter_context(Client(own_lab, "core"))
        install(relay, gmk)
        apply(relay, "attacked", [attacker.leg("attacked", "srtp", gmk, learn="authenticated", to=[])])
        apply(relay, "steady", [radio.leg("radio", "srtp", gmk), lmr.leg("lmr", "plain")])
        alice = mcx.SrtpSender(gmk.group(ALICE), SSRC)

        def say(sender):
            radio.send(sender.protect(b"through the flood"))
            assert lmr.recv() == sender.last_plain

        say(alice)
        before, drops = relay.call("relay.stats")["key_contexts"], relay.drops()
        most, talkers = before, 0
        with flooding(attacker, own_lab.local_port(), packets) as child:
            while child.is_alive():
                for _ in range(50):
                    say(alice)
                if talkers < 40:
                    say(mcx.SrtpSender(gmk.group(f"sip:new{talkers}@example.org"), 0x5000 + talkers))
                    talkers += 1
                most = max(most, relay.call("relay.stats")["key_contexts"])
        say(alice)
        new = relay.drops_since(drops)
        for reason in ("auth_fail", "unknown_mki", "derive_limit", "not_rtp", "no_leg"):
            assert new[reason] > 0, new
        assert talkers > 0
        # a leg may ask for 64 contexts at once and 64 a second, and each may last 2 s without proof
        assert most - before - talkers <= 64 + 3 * 64, f"{most} contexts for {before} talkers and {talkers} new ones"
        wait_for(lambda: relay.call("relay.stats")["key_contexts"], lambda n: n == before + talkers,
                 "the end of contexts that nothing verified under")
        state = relay.call("session.get", {"id": "attacked"})["legs"][0]
        assert state["remote"] == attacker.address and state["statistics"]["receive"]["packets"] == 0


# 6. No first word is lost

def test_first_words_in_order(own_lab, new_key):
    """Sixteen packets of each new talker at once, before the relay has a key context: all, in order."""
    with contextlib.ExitStack() as stack:
        relay = stack.enter_context(Relay(own_lab, families=(4,)))
        radios = [stack.enter_context(Client(own_lab, "ran")) for _ in range(8)]
        lmr = stack.enter_context(Client(own_lab, "core"))
        gmk = new_key()
        install(relay, gmk)
        apply(relay, "first", [radio.leg(f"radio{n}", "srtp", gmk, to=["lmr"]) for n, radio in enumerate(radios)]
              + [lmr.leg("lmr", "plain")])
        for n in range(400):
            sender = mcx.SrtpSender(gmk.group(f"sip:user{n}@example.org"), 0x1000 + n, seq=65530)
            words = [(sender.protect(b"%d" % word), sender.last_plain) for word in range(16)]
            for packet, _ in words:
                radios[n % len(radios)].send(packet)
            assert lmr.recv_many(16) == [plain for _, plain in words], f"talker {n}"


def test_first_words_while_control_is_busy(own_lab, new_key):
    """The control thread stands still while sixteen packets of each of four talkers come; then all of them go."""
    with contextlib.ExitStack() as stack:
        relay = stack.enter_context(Relay(own_lab, families=(4,)))
        radio, lmr = stack.enter_context(Client(own_lab, "ran")), stack.enter_context(Client(own_lab, "core"))
        gmk = new_key()
        install(relay, gmk)
        apply(relay, "busy", [radio.leg("radio", "srtp", gmk), lmr.leg("lmr", "plain")])
        before = relay.drops()
        senders = [mcx.SrtpSender(gmk.group(f"sip:user{n}@example.org"), 0x1000 + n) for n in range(4)]
        plains = {sender.ssrc: [] for sender in senders}
        with process.frozen(relay.process.pid):
            for word in range(16):
                for sender in senders:
                    radio.send(sender.protect(b"%d" % word))
                    plains[sender.ssrc].append(sender.last_plain)
        got = lmr.recv_many(64)
        assert {ssrc: [p for p in got if mcx.parse_rtp(p).ssrc == ssrc] for ssrc in plains} == plains
        assert not relay.drops_since(before)["hold_full"] and not relay.drops_since(before)["derive_limit"]
