# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""What session.get counts of a leg, and what the log tells of media that comes, stops and fails."""

import json
import time

import pytest

import mcx
from lab import RpcError, apply, fence, install, wait_for

ALICE = "sip:alice@mcptt.example.org"
GATEWAY = "sip:gateway@lmr.example.org"
SSRC = 0x11223344
NO_DROPS = {}


def statistics(relay, name, leg):
    """Both directions of a leg."""
    found = {item["id"]: item["statistics"] for item in relay.call("session.get", {"id": name})["legs"]}[leg]
    return found["receive"], found["send"]


def streams(relay, name, leg):
    return {stream["ssrc"]: stream for stream in statistics(relay, name, leg)[0]["streams"]}


class Pair:
    """A talker on the radio side and a listener on the other."""

    def __init__(self, relay, clients, name, mode="opaque", key=None, listener=None, session=None, **leg):
        self.relay, self.name = relay, name
        self.a, self.b = clients("ran"), clients("core")
        apply(relay, name, [self.a.leg("a", mode, key, **leg), self.b.leg("b", listener or mode)], **(session or {}))

    def say(self, seq, ssrc=SSRC, payload=b"voice", **more):
        """A packet that arrives as it was."""
        packet = mcx.rtp(ssrc, seq, payload, **more)
        self.a.send(packet)
        assert self.b.recv() == packet

    def receive(self):
        return statistics(self.relay, self.name, "a")[0]


@pytest.fixture
def pair(relay, clients, name):
    return lambda **more: Pair(relay, clients, name, **more)


# Jitter: what can be said of it whatever the machine does in between

def test_jitter_of_a_timestamp_that_jumps(pair):
    p, rate, jump = pair(), 16000, 1600000
    begin = time.monotonic()
    p.say(1, timestamp=0)
    p.say(2, timestamp=jump)
    took = time.monotonic() - begin
    jitter = p.receive()["jitter"]
    # the one difference is the jump, less what really passed
    assert (jump - took * rate) / 16 - 2 <= jitter <= jump / 16
    assert jitter == p.receive()["streams"][0]["jitter"]


@pytest.mark.parametrize("jump", [2**31 - 1, 2**31, -160000 * 16])
def test_jitter_recovers_from_a_timestamp_that_jumps(pair, jump):
    p, timestamp = pair(mode="plain"), 0
    for seq in range(40):
        timestamp += jump if seq == 20 else 0
        p.say(seq, timestamp=timestamp)
    assert p.receive()["jitter"] < 16000  # what the machine made of it, less than a second


def test_no_loss_where_none_was(pair):
    """The first two packets swapped; then a sender that steps back by 600."""
    p = pair(mode="plain")
    for seq in (1001, 1000, *range(1002, 1050), *range(400, 550)):
        p.say(seq)
        assert p.receive()["lost"] == 0
    [stream] = p.receive()["streams"]
    assert (stream["packets"], stream["lost"]) == (149, 0)


def test_jitter_of_a_timestamp_that_stands_still(pair):
    p, rate = pair(), 16000
    begin = time.monotonic()
    for seq in range(20):
        p.say(seq, timestamp=77)
    took = time.monotonic() - begin
    assert 0 <= p.receive()["jitter"] <= took * rate / 16 + 1


def test_jitter_in_units_of_the_clock_rate(pair):
    """A pause in units of a microsecond, while the timestamp stands still."""
    p, rate = pair(clock_rate=1000000), 1000000
    p.say(1, timestamp=0)
    begin = time.monotonic()
    time.sleep(0.02)
    pause = time.monotonic() - begin
    p.say(2, timestamp=0)
    assert p.receive()["jitter"] >= pause * rate / 16 - 2


def test_jitter_of_a_protected_stream(relay, clients, name, new_key):
    gmk, jump = new_key(), 16000 * 1000
    install(relay, gmk)
    p = Pair(relay, clients, name, "srtp", gmk, listener="plain")
    sender = mcx.SrtpSender(gmk.group(ALICE), SSRC, seq=1)
    begin = time.monotonic()
    for timestamp in (5, 5, 5 + jump):  # the first one is held for its key: when it came is not known
        sender.timestamp = timestamp
        p.a.send(sender.protect(b"voice"))
        assert p.b.recv() == sender.last_plain
    took = time.monotonic() - begin
    assert (jump - took * 16000) / 16 - 2 <= p.receive()["jitter"]


def test_no_jitter_where_nothing_was_heard(pair):
    p = pair()
    assert p.receive()["jitter"] is None and p.receive()["streams"] == []


def test_clock_rate(relay, clients, name):
    a, b = clients("ran"), clients("ran")
    for service, rate in (("mcptt", 16000), ("mcvideo", 90000)):
        apply(relay, name, [a.leg("a"), b.leg("b", clock_rate=48000)], service=service)
        legs = {leg["id"]: leg["clock_rate"] for leg in relay.call("session.get", {"id": name})["legs"]}
        assert legs == {"a": rate, "b": 48000}
    for wrong in (0, 1000001, -1, "8000", 8000.5):
        with pytest.raises(RpcError) as error:
            apply(relay, name, [a.leg("a", clock_rate=wrong)])
        assert error.value.code == -32602 and error.value.path == "params.session.legs[0].clock_rate"


# Streams of opaque legs, which the relay has no key for

def test_opaque_loss_and_ssrcs(pair):
    p = pair()
    for seq in (10, 11, 14, 13, 20):
        p.say(seq)
    for seq in (65535, 0, 2):
        p.say(seq, ssrc=5, payload=b"twice as long")
    receive = p.receive()
    assert receive["packets"] == 8 and receive["lost"] == 6 + 1
    assert receive["ssrcs"] == [5, SSRC]  # heard last comes first
    assert receive["drops"] == NO_DROPS
    video, voice = receive["streams"]
    assert voice["last_seen"] <= video["last_seen"] == receive["last_seen"]
    assert {k: voice[k] for k in ("ssrc", "packets", "octets", "lost")} == \
        {"ssrc": SSRC, "packets": 5, "octets": 5 * 17, "lost": 6}
    assert {k: video[k] for k in ("ssrc", "packets", "octets", "lost")} == \
        {"ssrc": 5, "packets": 3, "octets": 3 * 25, "lost": 1}


def test_opaque_duplicates_are_forwarded_and_counted_once(pair):
    p = pair()
    for seq in (1, 2, 2, 1, 2):
        p.say(seq)
    receive = p.receive()
    assert receive["packets"] == 5 and receive["streams"][0]["packets"] == 2 and receive["lost"] == 0
    assert receive["drops"] == NO_DROPS


def test_opaque_sender_that_restarts(pair):
    p = pair()
    for seq in (100, 109, 40000, 40001, 40003):
        p.say(seq)
    [stream] = p.receive()["streams"]
    assert stream["packets"] == 2 and stream["lost"] == 1 and p.receive()["packets"] == 5


@pytest.mark.parametrize("mode", ["opaque", "plain"])
@pytest.mark.parametrize("length", [150, 60])
def test_each_talk_spurt_is_counted(pair, mode, length):
    """The same SEQs with other timestamps, again and again."""
    p = pair(mode=mode)
    for spurt in range(3):
        for seq in range(length):
            p.say(seq, timestamp=160 * seq + 160000 * spurt)
    [stream] = p.receive()["streams"]
    assert (stream["packets"], stream["lost"]) == (length - 1, 0)  # the first one was confirmed by the second
    assert p.receive()["packets"] == 3 * length and p.receive()["drops"] == NO_DROPS


def test_opaque_with_a_key_that_is_not_verified(relay, clients, name, new_key):
    gmk = new_key()
    install(relay, gmk)
    p = Pair(relay, clients, name, "opaque", gmk, protection={"verify": False})
    for seq in (1, 4):
        p.say(seq)
    assert p.receive()["lost"] == 2 and p.receive()["ssrcs"] == [SSRC]


def test_opaque_with_a_key_counts_what_verified(relay, clients, name, new_key):
    gmk = new_key()
    install(relay, gmk)
    p = Pair(relay, clients, name, "opaque", gmk)
    sender = mcx.SrtpSender(gmk.group(ALICE), SSRC, seq=5)
    for skip in (0, 3):
        sender.seq += skip
        packet = sender.protect(b"voice")
        p.a.send(packet)
        assert p.b.recv() == packet
    p.a.send(mcx.flipped(sender.protect(b"forged"), 20))
    [got] = fence(p.a, packet := sender.protect(b"fence"), p.b)
    assert got == packet
    receive = p.receive()
    assert receive["packets"] == 3 and receive["lost"] == 3 + 1 and receive["drops"] == {"auth_fail": 1}
    assert [stream["packets"] for stream in receive["streams"]] == [3]


def test_only_the_streams_heard_last_are_listed(pair):
    """65 SSRCs; a leg may bring 64 at once, so one is not counted, or begins a token later: 64 are shown."""
    p = pair()
    for ssrc in range(1, 66):
        p.say(1, ssrc=ssrc)
    wait_for(lambda: (p.say(2, ssrc=66), p.receive())[1],
             lambda receive: receive["ssrcs"][0] == 66 and len(receive["ssrcs"]) > 64, "more than 64 streams")
    receive = p.receive()
    assert [stream["ssrc"] for stream in receive["streams"]] == receive["ssrcs"][:64]


def test_rtcp_is_no_rtp_stream(pair):
    p = pair()
    p.a.send(mcx.rr(1))
    assert p.b.recv() == mcx.rr(1)
    receive = p.receive()
    assert receive["packets"] == 1 and receive["streams"] == [] and receive["jitter"] is None


# Keepalives

STUN_REQUEST = bytes.fromhex("0001000821 12a442000102030405060708090a0b 80280004deadbeef".replace(" ", ""))
KEEPALIVES = {
    "empty": b"", "CR LF": b"\r\n", "twice": b"\r\n\r\n", "STUN request": STUN_REQUEST,
    "STUN indication": bytes.fromhex("00110000") + bytes(range(16)),
    "STUN of RFC 3489": bytes.fromhex("00010000") + bytes(range(16)),
    "RTP version 0": bytes(11) + b"\x07",
}


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mode", ["opaque", "plain", "srtp"])
def test_keepalives_are_counted_and_prove_nothing(relay, clients, name, new_key, mode, family):
    gmk = new_key()
    install(relay, gmk)
    a, b, stranger = clients("ran", family), clients("core"), clients("ran", family)
    stranger.relay_port = a.relay_port
    members = {"learn": "authenticated"} if mode == "srtp" else {}
    apply(relay, name, [a.leg("a", mode, gmk if mode == "srtp" else None, **members),
                        b.leg("b", "plain" if mode == "srtp" else mode)])
    before, n = relay.call("relay.stats"), 0
    for client in (a, stranger):
        for packet in KEEPALIVES.values():
            client.send(packet)
            n += 1
    wait_for(lambda: statistics(relay, name, "a")[0], lambda receive: receive["keepalives"] == n, "keepalives")
    receive, after = statistics(relay, name, "a")[0], relay.call("relay.stats")
    assert (receive["packets"], receive["last_seen"], receive["drops"]) == (0, None, NO_DROPS)
    assert after["drops"] == before["drops"]
    total = [sum(worker["keepalives"] for worker in stats["workers"]) for stats in (before, after)]
    assert total[1] - total[0] == n
    [leg] = [leg for leg in relay.call("session.get", {"id": name})["legs"] if leg["id"] == "a"]
    assert leg["remote"] == a.address
    drops = relay.drops()
    for packet in (b"\n", b"\r\r", STUN_REQUEST[:-4], b"\x01\x01" + STUN_REQUEST[2:], bytes(12)):
        a.send(packet)
    relay.wait_drops(drops, not_rtp=5)


def test_keepalives_keep_no_session_alive(pair, relay):
    p = pair(session={"timeout": 1})
    mine = f'session="{p.name}"'
    wait_for(lambda: (p.a.send(b""), lines(relay, "media.timeout", mine))[1], lambda found: found, "a timeout")
    assert p.receive()["keepalives"] > 1 and not lines(relay, "media.started", mine)


# Copies

def test_last_sent(pair, relay):
    p = pair()
    assert statistics(relay, p.name, "b")[1] == {"packets": 0, "octets": 0, "last_sent": None, "drops": NO_DROPS}
    before = time.time()
    p.say(1)
    after = time.time()
    receive, send = statistics(relay, p.name, "b")
    assert send["packets"] == 1 and send["octets"] == 17
    assert before - 0.1 <= send["last_sent"] <= after + 0.1  # of two clocks
    assert receive["last_seen"] is None


def test_drops_of_copies_are_the_receivers(relay, clients, name):
    a, b, c = clients("ran"), clients("core"), clients("core")
    apply(relay, name, [a.leg("a"), b.leg("b"), c.leg("c", remote="10.77.2.77:5000", receive=False)])
    before = relay.drops()
    a.send(mcx.rtp(1, 1, b"to b, and to nobody"))
    b.recv()
    relay.wait_drops(before, next_hop_unresolved=1)
    assert statistics(relay, name, "c")[1]["drops"] == {"next_hop_unresolved": 1}
    assert statistics(relay, name, "b")[1]["drops"] == NO_DROPS
    for leg in "abc":
        assert statistics(relay, name, leg)[0]["drops"] == NO_DROPS


def test_what_is_larger_than_mtu_is_the_receivers(relay, clients, name, new_key):
    gmk = new_key()
    install(relay, gmk)
    a, b = clients("ran"), clients("core")
    apply(relay, name, [a.leg("a", "srtp", gmk, protection={"user": ALICE}),
                        b.leg("b", "plain", protection={"user": GATEWAY})])
    b.send(mcx.rtp(1, 1, b"first"))
    a.recv()
    before = relay.drops()
    b.send(mcx.rtp(1, 2, bytes(1500 - 20 - 8 - 12)))
    relay.wait_drops(before, larger_than_mtu=1)
    assert statistics(relay, name, "a")[1]["drops"] == {"larger_than_mtu": 1}
    assert statistics(relay, name, "b")[0]["drops"] == NO_DROPS


# Notices

def lines(relay, *parts):
    return [line for line in relay.log_text().splitlines() if all(part in line for part in parts)]


def wait_lines(relay, number, *parts):
    return wait_for(lambda: lines(relay, *parts), lambda found: len(found) == number, f"{number} times {parts}")


def test_media_starts_and_times_out(pair, relay, clients):
    p = pair(session={"timeout": 1})
    mine = f'session="{p.name}"'
    p.say(1)
    wait_lines(relay, 1, "info media.started", mine, 'leg="a"')
    [told] = wait_lines(relay, 1, "info media.timeout", mine)
    assert told.endswith(f'{mine} seconds=1') and "leg=" not in told
    p.say(2)
    wait_lines(relay, 2, "media.started", mine, 'leg="a"')
    wait_lines(relay, 2, "media.timeout", mine)
    assert not lines(relay, "media.started", mine, 'leg="b"')


def test_session_that_is_never_heard_times_out_once(pair, relay, clients):
    """By the time that another session timed out twice, this one was silent as long, too."""
    silent = pair(session={"timeout": 1})
    other = Pair(relay, clients, f"{silent.name}-other", session={"timeout": 1})
    wait_lines(relay, 1, "media.timeout", f'session="{silent.name}"')
    wait_lines(relay, 1, "media.timeout", f'session="{other.name}"')
    other.say(1)
    wait_lines(relay, 2, "media.timeout", f'session="{other.name}"')
    assert len(lines(relay, "media.timeout", f'session="{silent.name}"')) == 1
    assert not lines(relay, "media.started", f'session="{silent.name}"')


def test_one_leg_keeps_a_session_from_its_timeout(pair, relay, clients):
    p = pair(session={"timeout": 2})
    other = Pair(relay, clients, f"{p.name}-other", session={"timeout": 1})
    p.say(1)
    seq = iter(range(2, 10000))

    def told():
        time.sleep(0.05)  # the pace of media
        p.say(next(seq))
        return lines(relay, "media.timeout", f'session="{other.name}"')
    for n in range(1, 4):
        wait_for(told, lambda found, n=n: len(found) == n, "timeouts of the other session")
        other.say(n)
    assert not lines(relay, "media.timeout", f'session="{p.name}"')
    assert len(lines(relay, "media.started", f'session="{p.name}"')) == 1


def test_a_forged_packet_starts_nothing(relay, clients, name, new_key):
    gmk = new_key()
    install(relay, gmk)
    p = Pair(relay, clients, name, "srtp", gmk, listener="plain", session={"timeout": 1})
    sender = mcx.SrtpSender(gmk.group(ALICE), SSRC, seq=1)
    for n in range(40):
        p.a.send(mcx.flipped(sender.protect(b"%d" % n), 14))
    [told] = wait_lines(relay, 1, "warning auth.failing", f'session="{name}"', 'leg="a"')
    assert 32 <= int(told.rpartition("count=")[2]) <= 40
    wait_lines(relay, 1, "media.timeout", f'session="{name}"')
    assert not lines(relay, "media.started", f'session="{name}"')


def test_a_client_with_the_relays_ssrc_is_reported(relay, clients, name, new_key):
    """standards.md A12: under one CSK only the SSRC keeps the two directions apart."""
    keys = [new_key("csk"), new_key("csk")]
    install(relay, *keys)
    a, b = clients("ran"), clients("core")
    apply(relay, name, [client.leg(leg, "srtp", key, traffic="control")
                        for leg, client, key in zip("ab", (a, b), keys)])
    a.send(mcx.SrtcpSender(keys[0].control()).protect(mcx.floor_request(7, ALICE)))
    b.recv()
    before = relay.drops()
    b.send(mcx.SrtcpSender(keys[1].control()).protect(mcx.floor_request(7, GATEWAY)))
    relay.wait_drops(before, ssrc_collision=1)
    [told] = wait_lines(relay, 1, "warning ssrc.collision", f'session="{name}"')
    assert told.endswith('leg="b" count=1')
    assert statistics(relay, name, "b")[0]["drops"] == {"ssrc_collision": 1}


def test_an_id_forges_no_line(relay, clients, name):
    a, b = clients("ran"), clients("core")
    ugly = f'{name}" leg="x" \\ \x1b[31m\ninfo key.expired'
    apply(relay, ugly, [a.leg("a"), b.leg("b")])
    a.send(mcx.rtp(1, 1, b"voice"))
    b.recv()
    [told] = wait_lines(relay, 1, "media.started", name)
    assert told.endswith(f'session="{name}\\" leg=\\"x\\" \\\\ \\x1b[31m\\x0ainfo key.expired" leg="a"')


def test_a_learned_address_is_told(relay, clients, name, new_key):
    gmk = new_key()
    install(relay, gmk)
    p = Pair(relay, clients, name, "srtp", gmk, listener="plain", remote=None, learn="authenticated")
    sender = mcx.SrtpSender(gmk.group(ALICE), SSRC, seq=1)
    p.a.send(sender.protect(b"voice"))
    p.b.recv()
    [told] = wait_lines(relay, 1, "info leg.learned", f'session="{name}"')
    assert told.endswith(f'leg="a" address={p.a.address}')


def test_keys_that_activate_and_expire_are_told(relay, new_key):
    early, late, soon = new_key(), new_key(), int(time.time()) + 3  # both are installed by then
    install(relay, early.rpc(expiry=soon), late.rpc(activation=soon))
    wait_lines(relay, 1, "info key.activated", f"id={late.id_text} type=gmk", f'domain="{late.domain}"')
    wait_lines(relay, 1, "info key.expired", f"id={early.id_text} type=gmk", f'domain="{early.domain}"')
    assert not lines(relay, "key.activated", f"id={early.id_text}")


# What is left of legs and sessions that are removed

def counted(relay, name):
    return [{"id": leg["id"], "statistics": leg["statistics"]}
            for leg in relay.call("session.get", {"id": name})["legs"]]


def speak(relay, clients, name, family=4):
    """A call in which one leg spoke, one heard it, and one has seen no packet."""
    a, b, c = clients("ran", family), clients("core", family), clients("core", family)
    apply(relay, name, [a.leg("a", "plain", to=["b"]), b.leg("b", "plain", to=[]), c.leg("c", "plain", to=[])])
    for n in range(10):
        a.send(mcx.rtp(7, n, b"spoken", timestamp=160 * n))
        assert b.recv()
    b.send(mcx.rtp(8, 0, b"to nobody"))
    wait_for(lambda: counted(relay, name)[1]["statistics"]["receive"]["drops"], bool, "the drop")


@pytest.mark.parametrize("family", [4, 6])
def test_removed_legs_tell_their_statistics(relay, clients, name, family):
    speak(relay, clients, name, family)
    a, b, _ = counted(relay, name)
    assert a["statistics"]["receive"]["packets"] == b["statistics"]["send"]["packets"] == 10
    assert relay.call("leg.remove", {"session": name, "ids": ["c", "b"]}) == {"removed": 2, "legs": [b]}
    assert relay.call("session.remove", {"ids": [name]}) == {"removed": 1, "legs": [a | {"session": name}]}


def test_removed_sessions_tell_their_statistics(relay, clients, name):
    """In their order, those that are no session or saw no packet passed over; also in a batch, and unasked."""
    names = [f"{name}-{n}" for n in range(3)]
    for one in names[::2]:
        speak(relay, clients, one)
    apply(relay, names[1], [clients("ran").leg("a", "plain")])
    expected = [leg | {"session": one} for one in names[::2] for leg in counted(relay, one)[:2]]
    request = {"jsonrpc": "2.0", "method": "session.remove", "params": {"ids": [*names, "no such"]}}
    with relay.connect() as control:
        first, second = control.exchange(json.dumps([request | {"id": 1}, request | {"id": 2}]).encode())
    assert first == {"jsonrpc": "2.0", "id": 1, "result": {"removed": 3, "legs": expected}}
    assert second["result"] == {"removed": 0}
    speak(relay, clients, name)
    with relay.connect() as control:
        control.send_line(json.dumps(request | {"params": {"ids": [name]}}).encode())
        assert name not in [one["id"] for one in control.call("session.list")["sessions"]]


def test_large_session_tells_all_its_legs(relay, clients, name):
    """It is removed in pieces."""
    a, b = clients("ran"), clients("core")
    hears = [b.leg(str(n), local=b.relay_host, remote=f"{b.host}:{20000 + n}") for n in range(300)]
    apply(relay, name, [a.leg("a"), *hears, b.leg("last")])
    a.send(mcx.rtp(7, 1, b"to all"))
    assert b.recv()
    expected = [leg | {"session": name} for leg in counted(relay, name)]
    answer = relay.call("session.remove", {"ids": ["no such", name, name]})
    assert answer == {"removed": 1, "legs": expected} and len(expected) == 302
    assert name not in [one["id"] for one in relay.call("session.list")["sessions"]]


def test_many_legs_tell_their_statistics(relay, clients, name):
    """They are removed in pieces, too; an id that is wrong keeps all of them."""
    a, b = clients("ran"), clients("core")
    hears = [b.leg(str(n), local=b.relay_host, remote=f"{b.host}:{20000 + n}") for n in range(300)]
    apply(relay, name, [a.leg("a"), *hears, b.leg("last")])
    a.send(mcx.rtp(7, 1, b"to all"))
    assert b.recv()
    before, ids = counted(relay, name), [leg["id"] for leg in hears]
    with pytest.raises(RpcError) as caught:
        relay.call("leg.remove", {"session": name, "ids": [*ids, "no such"]})
    assert caught.value.path == "params.ids[300]" and counted(relay, name) == before
    assert relay.call("leg.remove", {"session": name, "ids": ids}) == {"removed": 300, "legs": before[1:301]}
    assert counted(relay, name) == [before[0], before[301]]


def test_what_is_refused_tells_nothing(relay, clients, name):
    speak(relay, clients, name)
    before = counted(relay, name)
    with pytest.raises(RpcError):
        relay.call("leg.remove", {"session": name, "ids": ["a", "no such"]})
    assert counted(relay, name) == before


# Whether the key of a leg is there

def key_states(relay, name):
    legs = relay.call("session.get", {"id": name})["legs"]
    return [leg[member].get("key_state") for leg in legs for member in ("protection", "rtcp_protection") if member in leg]


@pytest.mark.parametrize("kind", ["gmk", "pck"])
@pytest.mark.parametrize("mode", ["srtp", "opaque"])
def test_state_of_the_key_of_a_leg(relay, clients, name, new_key, mode, kind):
    key, csk, now = new_key(kind), new_key("csk"), int(time.time())
    a, b = clients("ran"), clients("core")
    install(relay, key.rpc() | {"activation": now + 1, "expiry": now + 2}, csk)
    apply(relay, name, [a.leg("a", mode, key, protection={"role": "initiator"},
                              rtcp_protection={"mode": "srtp", "key": csk.id_text, "domain": csk.domain}),
                        b.leg("b", "plain")])
    assert key_states(relay, name) == ["pending", "active", None]
    wait_for(lambda: key_states(relay, name), lambda found: found == ["active", "active", None], "its activation")
    wait_for(lambda: key_states(relay, name), lambda found: found == ["expired", "active", None], "its end")
    relay.call("key.revoke", {"keys": [{"id": one.id_text, "domain": one.domain} for one in (key, csk)]})
    assert key_states(relay, name) == ["missing", "missing", None]
    install(relay, key)
    assert key_states(relay, name) == ["active", "missing", None]


def test_state_of_a_key_of_the_session(relay, clients, name, new_key):
    key, leg = new_key("pck"), clients("ran").leg("a", "srtp")
    leg["protection"] |= {"key": key.id_text, "role": "receiver"}
    stated = {member: value for member, value in key.rpc().items() if member != "domain"}
    apply(relay, name, [leg], kind="private", keys=[stated | {"activation": int(time.time()) + 3600}])
    assert key_states(relay, name) == ["pending"]
    apply(relay, name, [leg], kind="private", keys=[stated])
    assert key_states(relay, name) == ["active"]


# What a leg without remote would have been sent

@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mode", ["plain", "srtp"])
def test_leg_without_remote_counts_what_it_would_have_been_sent(relay, clients, name, new_key, mode, family):
    gmk = new_key()
    install(relay, gmk)
    a, b, c = clients("ran", family), clients("core", family), clients("core", family)
    key = {"key": gmk} if mode == "srtp" else {}
    waits = b.leg("b", mode, **key, remote=None, receive=False)
    apply(relay, name, [a.leg("a", "plain", protection={"user": ALICE}), waits, c.leg("c", "plain")])
    for n in range(5):
        a.send(mcx.rtp(SSRC, n, b"to whom it may concern"))
        assert c.recv() == mcx.rtp(SSRC, n, b"to whom it may concern")
    assert statistics(relay, name, "b")[1] == {"packets": 0, "octets": 0, "last_sent": None, "drops": {"no_remote": 5}}
    assert statistics(relay, name, "a")[0]["drops"] == NO_DROPS
    relay.call("leg.apply", {"session": name, "legs": [waits | {"send": False}]})
    a.send(mcx.rtp(SSRC, 5, b"not for b"))
    assert c.recv() == mcx.rtp(SSRC, 5, b"not for b")
    relay.call("leg.apply", {"session": name, "legs": [waits | {"remote": b.address}]})
    a.send(mcx.rtp(SSRC, 6, b"for b"))
    assert b.recv() and c.recv()
    sent = statistics(relay, name, "b")[1]
    assert (sent["packets"], sent["drops"]) == (1, {"no_remote": 5})
