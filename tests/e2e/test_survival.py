# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Calls outlive the process: what was stated and learnt comes back with the next life, and nobody states it again."""

import contextlib
import signal
import time

import pytest

import lab as lab_module
import mcx
from keeper import RECORD_HEAD, Kept
from lab import Client, apply, install, wait_for

ALICE, BOB = "sip:alice@mcptt.example.org", "sip:bob@mcptt.example.org"
GATEWAY, GROUP = "sip:gateway@lmr.example.org", "sip:fire@groups.example.org"
SSRC = 0x5eed
SIGNALS = [signal.SIGKILL, signal.SIGTERM]


@pytest.fixture(scope="module")
def lab():
    with lab_module.Lab() as made:
        yield made


def speak(sender, receiver, talker, listener, text):
    """A packet from sender arrives: sent anew, as the next one, until next hops are known again. The plain packet."""
    deadline = time.monotonic() + lab_module.PATIENCE
    while True:
        sender.send(talker.protect(text))
        with contextlib.suppress(TimeoutError):
            while True:  # copies of what was said before may be late
                packet = receiver.recv(0.2)
                plain = listener.unprotect(packet) if listener else mcx.parse_rtp(packet)
                if plain.payload == text:
                    return plain
        assert time.monotonic() < deadline, f"{text} does not arrive"


def without_statistics(relay, name):
    """A session as session.get shows it, without what was counted."""
    shown = relay.call("session.get", {"id": name})
    for leg in shown["legs"]:
        del leg["statistics"]
    for key in shown["keys"]:
        del key["packets"], key["contexts"]
    return shown


@pytest.mark.parametrize("number", SIGNALS, ids=["kill9", "term"])
@pytest.mark.parametrize("family", [4, 6])
def test_group_call(lab, new_key, family, number):
    """Under a GMK with users, re-encrypted under another one: SSRC, SEQ and ROC go on."""
    near, far = new_key("gmk"), new_key("gmk", domain="far")
    with Kept(lab, families=(family,)) as relay, Client(lab, "ran", family) as alice, Client(lab, "core", family) as bob:
        install(relay, near.rpc(users=[ALICE, BOB], groups=[GROUP]), far.rpc(groups=[GROUP]))
        apply(relay, "call", [alice.leg("alice", "srtp", near, protection={"user": ALICE}),
                              bob.leg("bob", "srtp", far, protection={"user": BOB})], group=GROUP)
        talker = mcx.SrtpSender(near.group(ALICE), SSRC, seq=65534, roc=6)
        listener = mcx.SrtpReceiver(far.group(ALICE))
        for n in range(4):
            speak(alice, bob, talker, listener, b"before %d" % n)
        before = without_statistics(relay, "call")
        assert relay.again(number) == {"sessions": 2, "legs": 4, "keys": 2, "losses": 0}
        for n in range(4):
            plain = speak(alice, bob, talker, listener, b"after %d" % n)
            assert (plain.ssrc, plain.index >> 16) == (SSRC, 7)
        assert without_statistics(relay, "call") == before
        # The answer of the same request is that nothing is new.
        assert apply(relay, "call", [alice.leg("alice", "srtp", near, protection={"user": ALICE}),
                                     bob.leg("bob", "srtp", far, protection={"user": BOB})],
                     group=GROUP)["created"] is False


@pytest.mark.parametrize("number", SIGNALS, ids=["kill9", "term"])
def test_roc_that_no_packet_carries(lab, new_key, number):
    """A PCK whose stream is two ROCs beyond the one that was stated: no guess finds it."""
    pck = new_key("pck")
    other = new_key("pck")
    with Kept(lab) as relay, Client(lab, "ran") as alice, Client(lab, "core") as bob:
        install(relay, pck)
        apply(relay, "call", [alice.leg("alice", "srtp", pck, protection={"role": "initiator", "roc": 5}),
                              bob.leg("bob", "srtp", other, protection={"role": "receiver", "roc": 5})],
              kind="private", keys=[other.rpc()])
        talker = mcx.SrtpSender(pck.private("initiator"), SSRC, seq=65530, roc=5)
        listener = mcx.SrtpReceiver(other.private("initiator"), roc=5)
        for seq, roc in ((65530, 5), (20000, 6), (40000, 6), (60000, 6), (10000, 7)):
            talker.seq, talker.roc = seq, roc
            speak(alice, bob, talker, listener, b"at %d %d" % (roc, seq))
        # A checkpoint that began after the ROC did.
        names = [f"streams:{pck.id_text}:domain:{pck.domain}", f"streams:{other.id_text}:session:call"]
        records = relay.records()
        since = max(records.get(name, 0) for name in names)

        def both_written():
            speak(alice, bob, talker, listener, b"goes on")
            now = relay.records()
            return all(now.get(name, 0) > since for name in names)
        wait_for(both_written, bool, "a checkpoint")
        assert relay.again(number)["losses"] == 0
        plain = speak(alice, bob, talker, listener, b"after")
        assert plain.index >> 16 == 7


def test_replay_that_the_checkpoint_knows(lab, new_key):
    """At a stop all is written down: what was accepted before is not a second time."""
    pck = new_key("pck")
    with Kept(lab) as relay, Client(lab, "ran") as alice, Client(lab, "core") as plain_side:
        install(relay, pck)
        apply(relay, "call", [alice.leg("alice", "srtp", pck, protection={"role": "initiator"}),
                              plain_side.leg("plain", "plain")], kind="private")
        talker = mcx.SrtpSender(pck.private("initiator"), SSRC)
        old = talker.protect(b"once")
        alice.send(old)
        assert mcx.parse_rtp(plain_side.recv()).payload == b"once"
        relay.again(signal.SIGTERM)
        speak(alice, plain_side, talker, None, b"new")
        before = relay.drops()
        alice.send(old)
        relay.wait_drops(before, replayed=1)


def test_learned_address_and_answered_ports(lab, new_key):
    """A leg is where its radio was heard last; an open local address keeps the port that was answered."""
    gmk = new_key("gmk")
    with Kept(lab) as relay, Client(lab, "ran") as alice, Client(lab, "core") as bob:
        install(relay, gmk)
        stated = [alice.leg("alice", "srtp", gmk, protection={"user": ALICE}, learn="authenticated",
                            local={"port": "ran", "family": 4}, remote=f"{alice.host}:9"),
                  bob.leg("bob", "plain", protection={"user": GATEWAY}, local=bob.relay_host)]
        ports = {leg["id"]: int(leg["local"].rpartition(":")[2]) for leg in apply(relay, "call", stated)["legs"]}
        alice.relay_port, bob.relay_port = ports["alice"], ports["bob"]
        talker, answer = mcx.SrtpSender(gmk.group(ALICE), SSRC), mcx.PlainSender(SSRC + 1)
        speak(alice, bob, talker, None, b"moves the leg")
        wait_for(lambda: relay.call("session.get", {"id": "call"})["legs"][0]["remote"],
                 lambda remote: remote == alice.address, "the learned address")
        before = without_statistics(relay, "call")
        relay.again()
        assert without_statistics(relay, "call") == before
        speak(bob, alice, answer, mcx.SrtpReceiver(gmk.group(GATEWAY)), b"to where it was learned")
        speak(alice, bob, talker, None, b"at the port that was answered")
        # Stated again, still open, both keep their ports; a life later, too.
        relay.again()
        assert {leg["id"]: int(leg["local"].rpartition(":")[2])
                for leg in apply(relay, "call", stated)["legs"]} == ports
        assert without_statistics(relay, "call") == before


def test_plain_and_opaque(lab, new_key):
    """What enters in plain leaves under a fresh SSRC in each life: no index comes twice. Opaque media goes on as it is."""
    gmk = new_key("gmk")
    context = gmk.group(GATEWAY)
    with Kept(lab) as relay, Client(lab, "core") as server, Client(lab, "ran") as radio, \
            Client(lab, "ran") as one, Client(lab, "core") as two:
        install(relay, gmk)
        apply(relay, "call", [server.leg("server", "plain", protection={"user": GATEWAY}, source=server.address),
                              radio.leg("radio", "srtp", gmk, receive=False)])
        apply(relay, "opaque", [one.leg("one"), two.leg("two")], kind="private", service="mcvideo")
        used, talker = set(), mcx.PlainSender(SSRC)
        opaque = mcx.PlainSender(SSRC)
        for life in range(3):
            for n in range(3):
                plain = speak(server, radio, talker, mcx.SrtpReceiver(context), b"%d %d" % (life, n))
                assert (plain.ssrc, plain.index) not in used
                used.add((plain.ssrc, plain.index))
                assert speak(one, two, opaque, None, b"%d %d" % (life, n)).ssrc == SSRC
            relay.again()
        assert len({ssrc for ssrc, _ in used}) == 3


def test_what_went_does_not_come_back(lab, new_key):
    """Revoked keys, removed sessions and legs, refused requests."""
    stays, goes, own = new_key("gmk"), new_key("gmk"), new_key("gmk")
    with Kept(lab, anchored=False) as relay, Client(lab, "ran") as alice, Client(lab, "core") as bob, \
            Client(lab, "core") as carol:
        install(relay, stays, goes)
        legs = [alice.leg("alice", "srtp", goes, to=["bob", "carol"]), bob.leg("bob", "srtp", stays), carol.leg("carol")]
        apply(relay, "call", legs)
        apply(relay, "goes", [bob.leg("bob", local=f"{bob.relay_host}:{lab.local_port()}", protection={"key": own.id_text})],
              keys=[own.rpc()])
        relay.call("key.revoke", {"keys": [{"id": goes.id_text, "domain": goes.domain}]})
        relay.call("session.remove", {"ids": ["goes"]})
        relay.call("leg.remove", {"session": "call", "ids": ["carol"]})
        with pytest.raises(lab_module.RpcError):
            apply(relay, "call", [legs[0] | {"to": ["nobody"]}])
        for secret in (goes, own):
            assert secret.value not in relay.octets() and secret.value.hex().encode() not in relay.octets()
        names = list(relay.records())
        assert not any("goes" in name or "carol" in name for name in names), names
        for _ in range(2):
            assert relay.again() == {"sessions": 1, "legs": 2, "keys": 1, "losses": 0}
            assert [key["id"] for key in relay.call("key.list")["keys"]] == [stays.id_text]
            assert [s["id"] for s in relay.call("session.list")["sessions"]] == ["call"]
            shown = without_statistics(relay, "call")["legs"]
            assert [(leg["id"], leg["protection"]["key_state"], leg.get("to")) for leg in shown] == [
                ("alice", "missing", ["bob"]), ("bob", "active", None)]
        # It comes back when it is installed again, for the leg that named it all the time.
        install(relay, goes)
        assert without_statistics(relay, "call")["legs"][0]["protection"]["key_state"] == "active"


def test_another_leg_of_a_name_that_went(lab):
    """Who named the leg that was removed does not send to one that has its id later: neither in this life nor the next."""
    with Kept(lab, anchored=False) as relay, Client(lab, "ran") as alice, Client(lab, "core") as bob, \
            Client(lab, "core") as carol:
        names_carol = alice.leg("alice", to=["bob", "carol"])
        apply(relay, "call", [names_carol, bob.leg("bob", to=["carol", "alice"]), carol.leg("carol")])
        relay.call("leg.remove", {"session": "call", "ids": ["carol"]})
        relay.call("leg.apply", {"session": "call", "legs": [carol.leg("carol")]})

        def named():
            return {leg["id"]: leg.get("to") for leg in relay.call("session.get", {"id": "call"})["legs"]}
        for _ in range(2):
            assert named() == {"alice": ["bob"], "bob": ["alice"], "carol": None}
            assert relay.again()["losses"] == 0
        # Of those that are stated at once each may name any.
        relay.call("leg.apply", {"session": "call", "legs": [names_carol]})
        for _ in range(2):
            assert named() == {"alice": ["bob", "carol"], "bob": ["alice"], "carol": None}
            assert relay.again()["losses"] == 0


def test_key_that_expires_meanwhile_and_its_ring(lab, new_key):
    """The key that legs name expires while no relay runs; the newer one of its group goes on carrying the call."""
    old, new = new_key("gmk"), new_key("gmk")
    with Kept(lab) as relay, Client(lab, "ran") as alice, Client(lab, "core") as bob:
        now = int(time.time())
        install(relay, old.rpc(groups=[GROUP], activation=now - 10, expiry=now + 6))
        install(relay, new.rpc(groups=[GROUP], activation=now - 5))
        apply(relay, "call", [alice.leg("alice", "srtp", old, protection={"user": ALICE}),
                              bob.leg("bob", "plain", protection={"user": GATEWAY})], group=GROUP)
        talker, answer = mcx.SrtpSender(new.group(ALICE), SSRC), mcx.PlainSender(SSRC + 1)
        speak(alice, bob, talker, None, b"before")
        relay.end()
        wait_for(time.time, lambda t: t > now + 6, "the expiry")
        for _ in range(2):
            relay.again()
            assert [key["id"] for key in relay.call("key.list")["keys"]] == [new.id_text]
            speak(alice, bob, talker, None, b"after")
            speak(bob, alice, answer, mcx.SrtpReceiver(new.group(GATEWAY)), b"answer")


def test_newest_key_of_a_ring_stays_it(lab, new_key):
    """Which key is the newest does not depend on the start: it was installed later, with the same times."""
    keys = [new_key("gmk") for _ in range(3)]
    with Kept(lab) as relay, Client(lab, "ran") as alice, Client(lab, "core") as bob:
        for key in keys:
            install(relay, key.rpc(groups=[GROUP]))
        apply(relay, "call", [alice.leg("alice", "srtp", keys[0]), bob.leg("bob", "plain", protection={"user": GATEWAY})],
              group=GROUP)
        talker = mcx.PlainSender(SSRC)
        for _ in range(3):
            speak(bob, alice, talker, mcx.SrtpReceiver(keys[2].group(GATEWAY)), b"under the newest")
            relay.again()


def test_several_workers(lab, new_key):
    gmk = new_key("gmk")
    with Kept(lab, workers=2) as relay, contextlib.ExitStack() as stack:
        install(relay, gmk)
        pairs = []
        for n in range(8):
            alice, bob = (stack.enter_context(Client(lab, side)) for side in ("ran", "core"))
            user = f"sip:user{n}@mcptt.example.org"
            apply(relay, f"call {n}", [alice.leg("alice", "srtp", gmk, protection={"user": user}),
                                       bob.leg("bob", "plain", protection={"user": GATEWAY})])
            pairs.append((alice, bob, mcx.SrtpSender(gmk.group(user), SSRC + n, roc=3)))
        for life in range(3):
            for alice, bob, talker in pairs:
                speak(alice, bob, talker, None, b"life %d" % life)
            assert relay.again()["losses"] == 0


def test_as_many_talkers_as_there_were(lab, new_key):
    """Contexts come back of more talkers than may be new at once; those for which there is no room now are a loss."""
    gmk, n = new_key("gmk"), 40
    with Kept(lab, limits={"keys": 64}) as relay, Client(lab, "ran") as alice, Client(lab, "core") as bob:
        install(relay, gmk)
        apply(relay, "call", [alice.leg("alice", "srtp", gmk), bob.leg("bob", "plain", protection={"user": GATEWAY})])
        talkers = [mcx.SrtpSender(gmk.group(f"sip:user{i}@mcptt.example.org"), SSRC + i, roc=3) for i in range(n)]
        for i, talker in enumerate(talkers):
            speak(alice, bob, talker, None, b"before %d" % i)

        def contexts():
            return relay.call("key.list")["keys"][0]["contexts"]
        assert relay.again(signal.SIGTERM)["losses"] == 0
        assert contexts() >= n
        for i, talker in enumerate(talkers):
            speak(alice, bob, talker, None, b"after %d" % i)
        relay.limits["keys"] = 20
        assert relay.again(signal.SIGTERM)["losses"] == 1
        assert f"streams_not_restored key={gmk.id_text} streams={n - 20} " in relay.log_text()
        assert contexts() == 20


def test_large_session(lab):
    """Of several pages of legs, whose order stays."""
    with Kept(lab, anchored=False) as relay, Client(lab, "ran") as client:
        legs = [client.leg(f"leg {n}", local=f"{client.relay_host}:{30000 + 2 * n}") for n in range(300)]
        apply(relay, "large", legs)
        relay.call("leg.apply", {"session": "large", "legs": [legs[5] | {"dscp": 46}]})
        relay.call("leg.remove", {"session": "large", "ids": ["leg 7"]})
        before = without_statistics(relay, "large")
        assert relay.again() == {"sessions": 1, "legs": 299, "keys": 0, "losses": 0}
        assert without_statistics(relay, "large") == before


def test_records_that_do_not_open(lab, new_key):
    """Each is told once by its name; the others come back, and what a call lost is taken from it as a whole."""
    keys = [new_key("gmk") for _ in range(3)]
    with Kept(lab, anchored=False) as relay, Client(lab, "ran") as client:
        install(relay, *keys)
        for name in ("one", "two"):
            apply(relay, name, [client.leg(f"{name} {n}", local=f"{client.relay_host}:{lab.local_port()}") for n in "ab"])
        relay.end()
        damaged = [f"key:{keys[1].id_text}:domain:{keys[1].domain}", "session:one", "leg:3:two:two a"]
        for offset, piece in list(relay.pieces()):
            if any(piece[RECORD_HEAD:].startswith(name.encode()) for name in damaged):
                relay.change(offset + len(piece) - 1, bytes([piece[-1] ^ 1]))
        assert relay.again() == {"sessions": 1, "legs": 1, "keys": 2, "losses": 3}
        for name in damaged:
            assert relay.log_text().count(f'record_skipped name="{name}"') == 1
        assert {key["id"] for key in relay.call("key.list")["keys"]} == {keys[0].id_text, keys[2].id_text}
        assert [s["id"] for s in relay.call("session.list")["sessions"]] == ["two"]
        assert [leg["id"] for leg in without_statistics(relay, "two")["legs"]] == ["two b"]
        assert relay.again() == {"sessions": 1, "legs": 1, "keys": 2, "losses": 0}


def test_address_that_is_no_longer_configured(lab):
    """All legs on it are told, and the others come back."""
    more = "10.99.0.1"
    with Kept(lab, anchored=False, ports={"ran": {"addresses": [f"{more}/24"]}}) as relay, Client(lab, "ran") as client:
        stay = [client.leg(f"stays {n}", local=f"{client.relay_host}:{30000 + 2 * n}", to=[f"goes {n}", f"stays {n ^ 1}"])
                for n in range(20)]
        go = [client.leg(f"goes {n}", local=f"{more}:{30000 + 2 * n}", remote=f"10.99.0.9:{30000 + n}") for n in range(200)]
        apply(relay, "call", [leg for pair in zip(stay, go) for leg in pair] + go[len(stay):])
        relay.port_settings = {}
        assert relay.again() == {"sessions": 1, "legs": 20, "keys": 0, "losses": 200}
        for n in range(200):
            assert relay.log_text().count(f'not_restored what=leg id="goes {n}"') == 1
        legs = without_statistics(relay, "call")["legs"]
        assert {leg["id"]: leg["to"] for leg in legs} == {f"stays {n}": [f"stays {n ^ 1}"] for n in range(20)}
        assert relay.again() == {"sessions": 1, "legs": 20, "keys": 0, "losses": 0}


def test_no_secret_in_clear(lab, new_key):
    gmk, pck = new_key("gmk"), new_key("pck")
    with Kept(lab, anchored=False) as relay, Client(lab, "ran") as client:
        install(relay, gmk)
        apply(relay, "call", [client.leg("leg", "srtp", pck, protection={"role": "initiator"})], keys=[pck.rpc()],
              kind="private")
        octets = relay.octets()
        assert len(relay.records()) == 4
        for key in (gmk, pck):
            assert key.value not in octets and key.value.hex().encode() not in octets


class Unkept(Kept):
    store = ""


def test_store_of_the_configuration(lab):
    with Unkept(lab, anchored=False, options='store = "local";\n') as relay, Client(lab, "ran") as client:
        apply(relay, "call", [client.leg("leg")])
        assert relay.again() == {"sessions": 1, "legs": 1, "keys": 0, "losses": 0}


@pytest.mark.parametrize("number", SIGNALS, ids=["kill9", "term"])
def test_life_without_the_store_in_between(lab, new_key, number):
    """What it revoked and removed does not come back with a later life that has the store."""
    gmk = new_key("gmk")
    with Kept(lab, anchored=False) as relay, Client(lab, "ran") as client:
        install(relay, gmk)
        apply(relay, "call", [client.leg("leg", "srtp", gmk)])
        relay.options = 'store = "none";\n'
        assert relay.again(number) is None
        assert relay.kept is None and "store_dropped" in relay.log_text()
        assert relay.call("session.list")["sessions"] == []
        relay.options = ""
        assert relay.again(number) is None
        assert relay.call("session.list")["sessions"] == [] and relay.call("key.list")["keys"] == []
        apply(relay, "call", [client.leg("leg")])
        assert relay.again(number) == {"sessions": 1, "legs": 1, "keys": 0, "losses": 0}


def test_life_that_knows_no_store_in_between(lab, new_key):
    """Nobody tells systemd that it is to let the descriptor go: the state of the relay tells that another life was there."""
    gmk = new_key("gmk")
    with Kept(lab, anchored=False) as relay, Client(lab, "ran") as client:
        install(relay, gmk)
        apply(relay, "call", [client.leg("leg", "srtp", gmk)])
        relay.end()
        kept, relay.kept, relay.options = relay.kept, None, 'store = "none";\n'
        relay.start_again()
        relay.end()
        relay.kept, relay.options = kept, ""
        relay.start_again()
        assert relay.restored() == {"sessions": 0, "legs": 0, "keys": 0, "losses": 1}
        assert relay.log_text().count("store_outdated") == 1
        assert relay.call("session.list")["sessions"] == [] and relay.call("key.list")["keys"] == []
        apply(relay, "call", [client.leg("leg")])
        assert relay.again() == {"sessions": 1, "legs": 1, "keys": 0, "losses": 0}


@pytest.mark.parametrize("kind, options", [(Kept, 'store = "none";\n'), (Unkept, "")])
def test_without_a_store(lab, kind, options):
    with kind(lab, anchored=False, options=options) as relay, Client(lab, "ran") as client:
        apply(relay, "call", [client.leg("leg")])
        assert relay.kept is None
        assert relay.again() is None
        assert relay.call("session.list")["sessions"] == []
