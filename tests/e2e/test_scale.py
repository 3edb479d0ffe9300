# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Numbers of a real agency: a group of 500 users, a session of 500 legs."""

import json

import pytest

import mcx
from lab import apply, install, wait_for

USERS = 500
LEGS = 20  # of the test with many users; 25 of them behind each, as behind a vehicle's gateway


@pytest.fixture
def users():
    return [f"sip:unit{n:04d}@police.example.org" for n in range(USERS)]


def test_gmk_with_500_users(relay, clients, name, new_key, users):
    """Everyone speaks once to the plain side, one of each leg at a time, and everyone is understood."""
    gmk = new_key()
    install(relay, gmk.rpc(users=users))
    radios, listener = [clients("ran") for _ in range(LEGS)], clients("core")
    apply(relay, name, [radio.leg(f"radio{n}", "srtp", gmk, send=False) for n, radio in enumerate(radios)]
          + [listener.leg("listener", "plain")])
    senders = [mcx.SrtpSender(gmk.group(user), 0x1000 + n, seq=n) for n, user in enumerate(users)]
    for start in range(0, USERS, LEGS):
        batch = senders[start:start + LEGS]
        for radio, sender in zip(radios, batch):
            radio.send(sender.protect(b"unit reporting"))
        # contexts become ready in any order
        assert sorted(listener.recv_many(LEGS)) == sorted(sender.last_plain for sender in batch)
    before = relay.drops()
    radios[0].send(mcx.SrtpSender(gmk.group("sip:stranger@example.org"), 1).protect(b"?"))
    relay.wait_drops(before, unknown_user=1)
    for n, sender in enumerate(senders):
        radios[n % LEGS].send(sender.protect(b"again"))
        assert listener.recv() == sender.last_plain
    [key] = [k for k in relay.call("key.list", {})["keys"] if k["id"] == gmk.id_text]
    assert key["packets"] >= 2 * USERS


def test_session_with_500_legs(relay, clients, name, new_key):
    """One call carried to all: on the radio side the same GMK, on the partner's another, some in plain."""
    gmk, partner_gmk = new_key(), new_key()
    install(relay, gmk, partner_gmk)
    user = "sip:control@police.example.org"
    ends = [clients("ran" if n % 2 else "core", 6 if n % 5 == 0 else 4) for n in range(USERS)]
    legs = []
    for n, end in enumerate(ends):
        if n % 10 == 9:
            legs.append(end.leg(f"leg{n}", "plain"))
        elif end.side.name == "ran":
            legs.append(end.leg(f"leg{n}", "srtp", gmk, protection={"user": user} if n == 1 else {}))
        else:
            legs.append(end.leg(f"leg{n}", "srtp", partner_gmk))
    apply(relay, name, legs)
    sender = mcx.SrtpSender(gmk.group(user), 0x77)
    opened = mcx.SrtpReceiver
    for n in range(10):
        packet = sender.protect(b"all units %d" % n)
        ends[1].send(packet)
        for m, end in enumerate(ends):
            if m == 1:
                continue
            got = end.recv()
            if m % 10 == 9:
                assert got == sender.last_plain
            elif end.side.name == "ran":
                assert got == packet
            else:
                assert opened(partner_gmk.group(user)).unprotect(got).packet == sender.last_plain
    relay.call("leg.remove", {"session": name, "ids": [f"leg{n}" for n in range(250, 500)]})
    ends[1].send(sender.protect(b"half of you"))
    for m in (0, 2, 248, 249):
        ends[m].recv()
    assert len(relay.call("session.get", {"id": name})["legs"]) == 250


def many_legs(radio, count):
    """Legs as they fit into one line by the thousand."""
    return [radio.leg(f"{n}", local=radio.relay_host, remote=f"{radio.host}:{20000 + n}") for n in range(count)]


def ask(method, **params):
    return json.dumps({"jsonrpc": "2.0", "id": method, "method": method, "params": params}).encode()


def test_a_request_of_thousands_of_legs(relay, clients, name):
    """Requests of two clients about one session, one of them large: each is done as a whole, others go on meanwhile."""
    radio = clients("ran")
    legs = many_legs(radio, 3000)
    session = {"id": name, "service": "mcptt", "type": "group", "legs": legs}
    apply(relay, name, legs[:100])
    with relay.connect() as large, relay.connect() as small:
        for count, ids in ((3000, ["7", "11"]), (2000, ["8", "12"])):
            large.send_line(ask("session.apply", session=session | {"legs": legs[:count]}))
            small.send_line(ask("leg.remove", session=name, ids=ids))
            assert name in [one["id"] for one in relay.call("session.list")["sessions"]]
            picked, removed = large.read_line()["result"]["legs"], small.read_line()["result"]["removed"]
            assert [leg["id"] for leg in picked] == [leg["id"] for leg in legs[:count]]
            left = [leg["id"] for leg in relay.call("session.get", {"id": name})["legs"]]
            expected = [leg["id"] for leg in legs[:count]]
            assert removed == 2 and left in (expected, [one for one in expected if one not in ids])
        # what the last leg has wrong is not the first one's fault
        before = relay.call("session.get", {"id": name})
        for params in ({"session": session | {"legs": [*legs, legs[0]]}}, {"session": session | {"legs": [*legs, {}]}}):
            large.send_line(ask("session.apply", **params))
            assert large.read_line()["error"]["data"]["path"].startswith("params.session.legs[3000].")
        assert relay.call("session.get", {"id": name}) == before
    relay.call("session.remove", {"ids": [name]})


def test_who_states_thousands_of_legs_and_leaves(relay, clients, name):
    """Once there is anything of it all of it comes."""
    radio = clients("ran")
    session = {"id": name, "service": "mcptt", "type": "group", "legs": many_legs(radio, 3000)}
    with relay.connect() as leaves:
        leaves.send_line(ask("session.apply", session=session))
        wait_for(lambda: [one["id"] for one in relay.call("session.list")["sessions"]], lambda ids: name in ids, "the session")
    relay.call("leg.apply", {"session": name, "legs": []})  # waits for it
    assert len(relay.call("session.get", {"id": name})["legs"]) == 3000
    assert relay.call("session.remove", {"ids": [name]})["removed"] == 1


def test_many_sessions(relay, lab, clients, new_key):
    """A thousand private calls with a PCK each; the first, a middle and the last one speak."""
    near, far = clients("ran"), clients("core")
    keys, calls = [], []
    for n in range(1000):
        pck = new_key("pck")
        keys.append(pck)
        legs = [near.leg("a", "srtp", pck, local=f"10.77.1.1:{lab.local_port()}", protection={"role": "initiator"}),
                far.leg("b", "plain", local=f"10.77.2.1:{lab.local_port()}")]
        calls.append(legs)
        apply(relay, f"private{n}", legs, kind="private", keys=[pck.rpc()])
    for n in (0, 499, 999):
        near.relay_port, far.relay_port = (int(leg["local"].rsplit(":")[1]) for leg in calls[n])
        sender = mcx.SrtpSender(keys[n].private("initiator"), 5)
        near.send(sender.protect(b"private"))
        assert far.recv() == sender.last_plain
    assert relay.call("session.remove", {"ids": [f"private{n}" for n in range(1000)]})["removed"] == 1000


def test_thousands_of_keys_in_one_call(relay):
    keys = [mcx.RootKey("gmk", n + 1, n.to_bytes(16, "big"), bytes(16)).rpc() for n in range(3000)]
    assert relay.call("key.install", {"keys": keys}) == {"installed": 3000, "rejected": []}
    names = [{"domain": "home", "id": key["id"]} for key in keys]
    assert relay.call("key.revoke", {"keys": names}) == {"revoked": 3000}


def test_streams_under_one_key(relay, clients, name, new_key):
    """A thousand SSRCs of one talker, each with its own ROC and replay list."""
    gmk = new_key()
    install(relay, gmk)
    radio, listener = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", gmk), listener.leg("listener", "plain")])
    context = gmk.group("sip:video.wall@example.org")
    senders = [mcx.SrtpSender(context, 0x10000 + n, seq=65535, roc=n % 7) for n in range(1000)]
    for _ in range(2):
        for sender in senders:
            radio.send(sender.protect(b"tile"))
            assert listener.recv() == sender.last_plain


KEYS = 70  # more than stand next to each other in what workers read


def test_session_with_a_key_for_each_leg(relay, clients, name, new_key):
    """Each gets what is said under the key of his own alone, whoever leaves, comes back and gets another key."""
    pcks = [new_key("pck") for _ in range(KEYS)]
    lmr, radios = clients("core"), [clients("ran", 6 if n % 3 == 0 else 4) for n in range(KEYS)]
    install(relay, *pcks)

    def leg(n):
        return radios[n].leg(f"radio{n}", "srtp", pcks[n], protection={"role": "initiator"})

    apply(relay, name, [lmr.leg("lmr", "plain")] + [leg(n) for n in range(KEYS)])
    there = set(range(KEYS))

    def say(sender, client, others):
        client.send(sender.protect(b"to all"))
        for n in others:
            got = mcx.SrtpReceiver(pcks[n].private("receiver")).unprotect(radios[n].recv())
            assert got.payload == b"to all"

    gateway, speaker = mcx.PlainSender(0x77), mcx.SrtpSender(pcks[0].private("initiator"), 0x78)
    say(gateway, lmr, there)
    say(speaker, radios[0], there - {0})
    assert lmr.recv() == speaker.last_plain
    gone = {n for n in there if n % 4 == 1}
    relay.call("leg.remove", {"session": name, "ids": [f"radio{n}" for n in gone]})
    say(gateway, lmr, there - gone)
    for n in gone:
        relay.call("leg.apply", {"session": name, "legs": [leg(n)]})
    say(gateway, lmr, there)
    for n in range(0, KEYS, 7):
        pcks[n] = mcx.RootKey("pck", pcks[n].id, bytes([n]) * 16, bytes(16))
        install(relay, pcks[n], replace=True)
    say(gateway, lmr, there)
    assert all(not radios[n].drain() for n in there)
