# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""The control API: every error with its code and path, nothing half done, changes under running media."""

import copy
import dataclasses
import json
import threading
import time

import pytest

import lab as lab_module
import mcx
from lab import Relay, RpcError, apply, install

PARSE, REQUEST, METHOD, PARAMS = -32700, -32600, -32601, -32602
NOT_FOUND, CONFLICT, LIMIT, REFUSED = 1, 2, 3, 4
ALICE = "sip:alice@mcptt.example.org"


def snapshot(relay):
    """All that the relay holds, without its counters."""
    names = sorted(s["id"] for s in relay.call("session.list", {})["sessions"])
    sessions = {name: strip(relay.call("session.get", {"id": name})) for name in names}
    keys = sorted(map(str, map(strip, relay.call("key.list", {})["keys"])))
    return sessions, keys


COUNTERS = {"packets", "contexts", "last_seen", "statistics", "stats", "uptime", "drops", "age"}


def strip(value):
    if isinstance(value, dict):
        return {k: strip(v) for k, v in value.items() if k not in COUNTERS}
    if isinstance(value, list):
        return [strip(v) for v in value]
    return value


def refused(relay, method, params, code, path=None):
    """The call fails with this code and path, and leaves no trace."""
    before = snapshot(relay)
    with pytest.raises(RpcError) as caught:
        relay.call(method, params)
    assert caught.value.code == code, caught.value
    if path is not None:
        assert caught.value.path == path, caught.value
    assert caught.value.message
    assert snapshot(relay) == before
    return caught.value


def changed(value, path, new):
    """A deep copy with one member set, or removed if new is ..."""
    value = copy.deepcopy(value)
    *way, last = path
    place = value
    for step in way:
        place = place[step]
    if new is ...:
        del place[last]
    else:
        place[last] = new
    return value


def path_text(path):
    return "params." + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).lstrip(".")


# JSON-RPC

@pytest.mark.parametrize("line,code", [
    (b"{", PARSE), (b"nonsense", PARSE), (b'{"jsonrpc":"2.0","id":1,"method":"relay.info"', PARSE),
    (b'{"jsonrpc":"2.0","id":1,"method":"\xff\xfe"}', PARSE), (b"[" * 10000, PARSE),
    (b'{"jsonrpc":"2.0","id":1,"method":"relay.info","method":"relay.stats"}', PARSE),
    (b"[]", REQUEST), (b"7", REQUEST), (b'"x"', REQUEST), (b"{}", REQUEST),
    (b'{"jsonrpc":"1.0","id":1,"method":"relay.info"}', REQUEST),
    (b'{"jsonrpc":"2.0","id":1,"method":7}', REQUEST),
    (b'{"jsonrpc":"2.0","id":1}', REQUEST),
    (b'{"jsonrpc":"2.0","id":1,"method":"no.such"}', METHOD),
    (b'{"jsonrpc":"2.0","id":1,"method":"session.get","params":["x"]}', PARAMS),
    (b'{"jsonrpc":"2.0","id":1,"method":"relay.info","params":7}', None),
], ids=lambda v: repr(v)[:40] if isinstance(v, bytes) else str(v))
def test_bad_lines(relay, line, code):
    with relay.connect() as control:
        answer = control.exchange(line)
        assert answer["jsonrpc"] == "2.0"
        assert answer["error"]["code"] in ([REQUEST, PARAMS] if code is None else [code])
        if code == PARSE:
            assert answer["id"] is None
        # the connection goes on
        assert control.call("relay.info")["api"] == 1


def test_batch_and_notification(relay):
    with relay.connect() as control:
        requests = [{"jsonrpc": "2.0", "id": "a", "method": "relay.info"},
                    {"jsonrpc": "2.0", "method": "relay.info"},
                    {"jsonrpc": "2.0", "id": "b", "method": "no.such"},
                    7]
        answers = control.exchange(json.dumps(requests).encode())
        assert len(answers) == 3
        by_id = {answer["id"]: answer for answer in answers}
        assert by_id["a"]["result"]["api"] == 1
        assert by_id["b"]["error"]["code"] == METHOD
        assert by_id[None]["error"]["code"] == REQUEST
        control.send_line(b'{"jsonrpc":"2.0","method":"relay.info"}')
        assert control.exchange(b'{"jsonrpc":"2.0","id":9,"method":"relay.info"}')["id"] == 9


def test_answers_keep_the_order_of_requests(relay):
    with relay.connect() as control:
        for n in range(200):
            control.send_line(json.dumps({"jsonrpc": "2.0", "id": n,
                                          "method": "relay.stats" if n % 3 else "key.list", "params": {}}).encode())
        assert [control.read_line()["id"] for _ in range(200)] == list(range(200))


def test_line_in_pieces_and_line_too_long(relay):
    with relay.connect() as control:
        for octet in b'{"jsonrpc":"2.0","id":5,"method":"relay.info"}\n':
            control.socket.sendall(bytes([octet]))
        assert control.read_line()["id"] == 5
    with relay.connect() as control:
        # either an error or the end of the connection, but no relay without memory
        try:
            control.send_line(b'{"a":"' + b"x" * (3 << 20))
            control.read_line()
        except OSError:
            pass
    assert relay.call("relay.info")["api"] == 1


def test_several_clients(relay):
    others = [relay.connect() for _ in range(20)]
    for n, control in enumerate(others):
        control.send_line(json.dumps({"jsonrpc": "2.0", "id": n, "method": "relay.info"}).encode())
    assert [control.read_line()["id"] for control in others] == list(range(20))
    for control in others:
        control.close()


def test_info(relay):
    info = relay.call("relay.info")
    assert info["api"] == 1 and info["workers"] == 1 and info["cipher"]
    assert "version" in info and "uptime" in info and "limits" in info
    assert {"ran", "core"} <= {port if isinstance(port, str) else port["name"] for port in info["ports"]}


# Keys

@pytest.fixture
def key(new_key):
    return new_key().rpc(groups=["sip:group1@example.org"], users=[ALICE])


BAD_KEYS = [
    (("id",), ...), (("id",), 7), (("id",), "0a1b2c3"), (("id",), "0a1b2c3g"), (("id",), ""),
    (("value",), ...), (("value",), "00"), (("value",), "zz" * 16), (("value",), 5),
    (("rand",), 5), (("rand",), "0"),
    (("type",), "pck"), (("type",), "secret"), (("type",), 1),
    (("activation",), "now"), (("expiry",), -1), (("domain",), 5),
    (("users",), ALICE), (("users", 0), 5), (("groups",), {}),
    (("profile",), 5), (("profile",), {"suite": "rot13"}), (("profile",), {"mki_length": 5}),
    (("profile",), {"roc_rate": 65536}), (("profile",), {"roc_rate": "1"}), (("profile",), {"colour": 1}),
    (("nickname",), "x"),
]


@pytest.mark.parametrize("path,new", BAD_KEYS, ids=str)
def test_bad_key_is_rejected_alone(relay, key, new_key, path, new):
    """In key.install each key succeeds or fails on its own, or the request as a whole is refused."""
    good = new_key().rpc()
    bad = changed(key, path, new)
    before = snapshot(relay)
    try:
        result = relay.call("key.install", {"keys": [bad, good]})
    except RpcError as error:
        assert error.code in (PARAMS, REFUSED)
        assert error.path.startswith("params.keys[0]"), error
        assert snapshot(relay) == before
        return
    assert result["installed"] == 1
    [rejected] = result["rejected"]
    assert rejected["index"] == 0 and rejected["code"] in (PARAMS, REFUSED) and rejected["message"]
    assert [k["id"] for k in relay.call("key.list", {})["keys"]] == [good["id"]]


def test_key_conflict_and_replace(relay, key, new_key):
    install(relay, key)
    install(relay, key | {"users": [ALICE, "sip:bob@example.org"]})
    other = key | {"value": "ff" * 16}
    result = relay.call("key.install", {"keys": [other]})
    assert result["installed"] == 0 and result["rejected"][0]["code"] == CONFLICT
    assert key["value"] not in json.dumps(result) and other["value"] not in json.dumps(result)
    install(relay, other, replace=True)
    assert relay.call("key.list", {})["keys"][0]["id"] == key["id"]
    # another domain is another key
    install(relay, key | {"domain": "partner"})
    assert len(relay.call("key.list", {})["keys"]) == 2
    assert [k["domain"] for k in relay.call("key.list", {"domain": "partner"})["keys"]] == ["partner"]


def test_expired_key_is_refused_or_listed_expired(relay, key):
    result = relay.call("key.install", {"keys": [key | {"activation": 1, "expiry": 2}]})
    if result["installed"]:
        assert relay.call("key.list", {})["keys"][0]["state"] == "expired"
    else:
        assert result["rejected"][0]["code"] == REFUSED


def test_pending_key(relay, key):
    install(relay, key | {"activation": 4102444800})
    assert relay.call("key.list", {})["keys"][0]["state"] == "pending"


def test_key_list_and_revoke(relay, new_key):
    keys = [new_key("gmk"), new_key("pck"), new_key("csk")]
    install(relay, *keys)
    listed = relay.call("key.list", {})
    assert {k["id"]: k["type"] for k in listed["keys"]} == {k.id_text: k.type for k in keys}
    assert all(k["state"] == "active" for k in listed["keys"])
    assert [k["id"] for k in relay.call("key.list", {"type": "csk"})["keys"]] == [keys[2].id_text]
    for k in keys:
        assert k.value.hex() not in json.dumps(listed)
    revoke = [{"domain": "home", "id": k.id_text} for k in keys[:2]]
    assert relay.call("key.revoke", {"keys": revoke}) == {"revoked": 2}
    assert relay.call("key.revoke", {"keys": revoke}) == {"revoked": 0}
    assert [k["id"] for k in relay.call("key.list", {})["keys"]] == [keys[2].id_text]


@pytest.mark.parametrize("method,params,path", [
    ("key.install", {}, "params.keys"), ("key.install", {"keys": 5}, "params.keys"),
    ("key.install", {"keys": [], "replace": 1}, "params.replace"), ("key.install", {"keys": [], "x": 1}, "params.x"),
    ("key.revoke", {}, "params.keys"), ("key.revoke", {"keys": [{}]}, "params.keys[0].id"),
    ("key.revoke", {"keys": [{"domain": "home", "id": "xyz"}]}, "params.keys[0].id"),
    ("key.list", {"type": "secret"}, "params.type"), ("key.list", {"domain": 5}, "params.domain"),
    ("session.get", {}, "params.id"), ("session.get", {"id": 5}, "params.id"),
    ("session.remove", {}, "params.ids"), ("session.remove", {"ids": [5]}, "params.ids[0]"),
    ("session.apply", {}, "params.session"), ("session.apply", {"session": []}, "params.session"),
    ("leg.apply", {"session": "x"}, "params.legs"), ("leg.remove", {"session": "x"}, "params.ids"),
    ("relay.info", {"x": 1}, "params.x"),
], ids=str)
def test_wrong_params(relay, method, params, path):
    refused(relay, method, params, PARAMS, path)


def test_keys_are_shown_nowhere(relay, clients, name, new_key):
    gmk, pck = new_key(), new_key("pck")
    install(relay, gmk)
    a, b = clients("ran"), clients("core")
    apply(relay, name, [a.leg("a", "srtp", gmk), b.leg("b", "plain")], keys=[pck.rpc()])
    relay.call("key.install", {"keys": [gmk.rpc(value="0" * 31)]})
    seen = json.dumps([relay.call("session.get", {"id": name}), relay.call("session.list", {}),
                       relay.call("key.list", {}), relay.call("relay.stats"), relay.call("relay.info")])
    for secret in (gmk.value.hex(), pck.value.hex()):
        assert secret not in seen.lower() and secret not in relay.log_text().lower()


# Sessions

@pytest.fixture
def two(clients):
    return clients("ran"), clients("core")


@pytest.fixture
def good(name, two, new_key, relay):
    """A session that is taken; the tests break one thing of it."""
    gmk = new_key()
    install(relay, gmk)
    return lab_module.session(name, [two[0].leg("a", "srtp", gmk), two[1].leg("b", "plain", protection={"user": ALICE})])


BAD_SESSIONS = [
    (("id",), ...), (("id",), 5), (("id",), ""),
    (("service",), "mcdata"), (("service",), ...), (("type",), "crowd"), (("type",), ...),
    (("domain",), 5), (("timeout",), -1), (("timeout",), "1"), (("colour",), "red"),
    (("legs",), {}), (("legs",), ...), (("legs", 0), 5), (("keys",), {}),
    (("legs", 1, "id"), ...), (("legs", 1, "id"), 5),
    (("legs", 1, "port"), "moon"), (("legs", 1, "port"), ...), (("legs", 1, "port"), 0),
    (("legs", 1, "local"), "10.77.2.1:"), (("legs", 1, "local"), "10.77.2.99:5004"), (("legs", 1, "local"), ...),
    (("legs", 1, "local"), "10.77.1.1:5004"), (("legs", 1, "local"), "10.77.2.1:0"),
    (("legs", 1, "local"), "10.77.2.1:65536"), (("legs", 1, "local"), "[fd77:2::1:5004"),
    (("legs", 1, "remote"), "nowhere"), (("legs", 1, "remote"), 5), (("legs", 1, "remote"), "[fd77:2::2]:5004"),
    (("legs", 1, "learn"), "always"), (("legs", 1, "receive"), 1), (("legs", 1, "send"), "yes"),
    (("legs", 1, "traffic"), "all"), (("legs", 1, "rtcp"), "maybe"), (("legs", 1, "dscp"), 64),
    (("legs", 1, "ssrc"), "mine"), (("legs", 1, "to"), "a"), (("legs", 1, "to"), [5]),
    (("legs", 1, "nickname"), "x"),
    (("legs", 0, "protection"), 5), (("legs", 0, "protection", "mode"), "xor"),
    (("legs", 0, "protection", "mode"), ...), (("legs", 0, "protection", "key"), "12"),
    (("legs", 0, "protection", "role"), "boss"), (("legs", 0, "protection", "user"), 5),
    (("legs", 0, "protection", "verify"), "no"), (("legs", 0, "protection", "colour"), 1),
    (("legs", 0, "protection", "profile"), {"suite": "rot13"}),
]


@pytest.mark.parametrize("path,new", BAD_SESSIONS, ids=str)
def test_bad_session_new(relay, good, path, new):
    deeper = ".suite" if path[-1] == "profile" else "[0]" if path[-1] == "to" and isinstance(new, list) else ""
    refused(relay, "session.apply", {"session": changed(good, path, new)}, PARAMS,
            path_text(("session", *path)) + deeper)


@pytest.mark.parametrize("path,new", BAD_SESSIONS[3:], ids=str)
def test_bad_session_change(relay, good, two, path, new):
    """The same against a running session: it stays as it was."""
    relay.call("session.apply", {"session": good})
    refused(relay, "session.apply", {"session": changed(good, path, new)}, PARAMS)
    two[1].send(mcx.rtp(1, 1, b"still there"))
    assert two[0].recv()


def test_session_life(relay, good):
    assert relay.call("session.apply", {"session": good}) == {"created": True}
    assert relay.call("session.apply", {"session": good}) == {"created": False}
    got = relay.call("session.get", {"id": good["id"]})
    assert got["service"] == "mcptt" and got["type"] == "group"
    assert [leg["id"] for leg in got["legs"]] == ["a", "b"]
    for mine, its in zip(good["legs"], got["legs"]):
        for member in ("local", "remote", "port"):
            assert its[member] == mine[member]
    assert good["id"] in [s["id"] for s in relay.call("session.list", {})["sessions"]]
    assert relay.call("session.remove", {"ids": [good["id"], "no such"]}) == {"removed": 1}
    refused(relay, "session.get", {"id": good["id"]}, NOT_FOUND, "params.id")
    # its addresses are free again
    assert relay.call("session.apply", {"session": good | {"id": good["id"] + "x"}}) == {"created": True}


def test_not_found(relay, good):
    refused(relay, "session.get", {"id": "no such"}, NOT_FOUND, "params.id")
    refused(relay, "leg.apply", {"session": "no such", "legs": []}, NOT_FOUND, "params.session")
    refused(relay, "leg.remove", {"session": "no such", "ids": []}, NOT_FOUND, "params.session")
    relay.call("session.apply", {"session": good})
    refused(relay, "leg.remove", {"session": good["id"], "ids": ["b", "zz"]}, NOT_FOUND, "params.ids[1]")
    error = refused(relay, "session.apply", {"session": changed(good, ("legs", 0, "to"), ["zz"])}, NOT_FOUND)
    assert error.path == "params.session.legs[0].to[0]"


def test_key_that_is_not_installed(relay, good, new_key):
    path = ("legs", 0, "protection", "key")
    for session in (changed(good, path, new_key().id_text),
                    changed(good, ("legs", 0, "protection", "domain"), "elsewhere")):
        refused(relay, "session.apply", {"session": session}, NOT_FOUND, path_text(("session", *path)))
    relay.call("session.apply", {"session": good})
    leg = changed(good["legs"][0], ("protection", "key"), new_key().id_text)
    refused(relay, "leg.apply", {"session": good["id"], "legs": [leg]}, NOT_FOUND, "params.legs[0].protection.key")


def test_conflicts(relay, good, clients):
    # one local address on two legs of a session
    error = refused(relay, "session.apply",
                    {"session": changed(good, ("legs",), good["legs"] + [good["legs"][1] | {"id": "c"}])}, CONFLICT)
    assert error.path == "params.session.legs[2].local"
    # one leg id twice
    twin = clients("core").leg("b", "plain")
    error = refused(relay, "session.apply", {"session": changed(good, ("legs",), good["legs"] + [twin])}, CONFLICT)
    assert error.path == "params.session.legs[2].id"
    # one local address in two sessions
    relay.call("session.apply", {"session": good})
    error = refused(relay, "session.apply", {"session": good | {"id": good["id"] + "x"}}, CONFLICT)
    assert error.path == "params.session.legs[0].local"
    # and by leg.apply
    thief = good["legs"][1] | {"id": "thief"}
    error = refused(relay, "leg.apply", {"session": good["id"], "legs": [twin | {"id": "c"}, thief]}, CONFLICT)
    assert error.path == "params.legs[1].local"


def test_bad_session_key(relay, good, new_key):
    pck = new_key("pck").rpc()
    for path, new in ((("value",), "12"), (("rand",), 5), (("id",), "x"), (("type",), "gmk")):
        session = good | {"keys": [new_key("pck").rpc(), changed(pck, path, new)]}
        with pytest.raises(RpcError) as caught:
            relay.call("session.apply", {"session": session})
        assert caught.value.code in (PARAMS, REFUSED)
        assert caught.value.path == path_text(("session", "keys", 1, *path))
        refused(relay, "session.get", {"id": good["id"]}, NOT_FOUND)


def test_limits(lab, new_key):
    with Relay(lab, limits={"keys": 40, "sessions": 4, "legs": 8, "streams": 64}, anchored=False) as relay:
        client = lab_module.Client(lab, "core")
        limits = relay.call("relay.info")["limits"]
        assert (limits["keys"], limits["sessions"], limits["legs"]) == (40, 4, 8)
        result = relay.call("key.install", {"keys": [new_key().rpc() for _ in range(42)]})
        assert result["installed"] == 40
        assert [(r["index"], r["code"]) for r in result["rejected"]] == [(40, LIMIT), (41, LIMIT)]

        def legs(count):
            return [client.leg(f"leg{n}", local=f"10.77.2.1:{lab.local_port()}") for n in range(count)]

        refused(relay, "session.apply", {"session": lab_module.session("big", legs(9))}, LIMIT)
        for n in range(4):
            apply(relay, f"s{n}", legs(1))
        refused(relay, "session.apply", {"session": lab_module.session("fifth", legs(1))}, LIMIT)
        refused(relay, "leg.apply", {"session": "s0", "legs": [leg | {"id": f"x{n}"} for n, leg in
                                                              enumerate(legs(5))]}, LIMIT)
        relay.call("leg.apply", {"session": "s0", "legs": [leg | {"id": f"x{n}"} for n, leg in enumerate(legs(4))]})
        assert relay.call("session.remove", {"ids": ["s0"]}) == {"removed": 1}
        apply(relay, "again", legs(5))
        client.close()


def test_leg_apply_and_remove(relay, clients, name):
    a, b, c = clients("ran"), clients("core"), clients("core")
    apply(relay, name, [a.leg("a"), b.leg("b")])
    relay.call("leg.apply", {"session": name, "legs": [c.leg("c")]})
    a.send(mcx.rtp(1, 1, b"three"))
    assert b.recv() == c.recv() == mcx.rtp(1, 1, b"three")
    relay.call("leg.remove", {"session": name, "ids": ["b"]})
    a.send(mcx.rtp(1, 2, b"two"))
    assert c.recv() == mcx.rtp(1, 2, b"two")
    relay.call("leg.apply", {"session": name, "legs": [b.leg("b")]})
    a.send(mcx.rtp(1, 3, b"three again"))
    assert b.recv() == c.recv() == mcx.rtp(1, 3, b"three again")
    assert [leg["id"] for leg in relay.call("session.get", {"id": name})["legs"]].count("b") == 1


def test_stream_state_survives_a_change(relay, clients, name, new_key):
    """A replay stays a replay, and the ROC stays, after session.apply."""
    gmk = new_key(roc_rate=0)
    install(relay, gmk)
    radio, lmr, more = clients("ran"), clients("core"), clients("core")
    legs = [radio.leg("radio", "srtp", gmk), lmr.leg("lmr", "plain")]
    apply(relay, name, legs)
    sender = mcx.SrtpSender(gmk.group(ALICE), 5, seq=65530)
    sent = []
    for _ in range(12):
        sent.append(sender.protect(b"x"))
        radio.send(sent[-1])
        assert lmr.recv() == sender.last_plain
    apply(relay, name, legs + [more.leg("more", "plain")])
    before = relay.drops()
    for packet in sent:
        radio.send(packet)
    radio.send(sender.protect(b"ROC 1"))
    assert lmr.recv() == more.recv() == sender.last_plain
    relay.wait_drops(before, replayed=len(sent))


def test_changes_under_a_running_stream(relay, clients, name, new_key):
    """One leg comes, changes and goes a hundred times; the others miss nothing."""
    gmk = new_key()
    install(relay, gmk)
    radio, steady, guest = clients("ran"), clients("core"), clients("core")
    radio_leg, steady_leg = radio.leg("radio", "srtp", gmk), steady.leg("steady", "plain")
    apply(relay, name, [radio_leg, steady_leg])
    sender = mcx.SrtpSender(gmk.group(ALICE), 5, seq=65000)
    done, failures, carried = threading.Event(), [], threading.Semaphore(0)

    def speak():
        """Never more than one packet under way, so that no socket or ring is what loses one."""
        try:
            while not done.is_set():
                radio.send(sender.protect(b"live"))
                got = steady.recv()
                if got != sender.last_plain:
                    raise AssertionError(f"SEQ {mcx.parse_rtp(got).seq} instead of {sender.seq - 1}")
                carried.release()
        except Exception as error:
            failures.append(error)

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        for n in range(100):
            guest_leg = guest.leg("guest", "plain" if n % 2 else "srtp", None if n % 2 else gmk, send=n % 3 != 0)
            if n % 5 == 0:
                apply(relay, name, [radio_leg, steady_leg])
            elif n % 5 == 4:
                apply(relay, name, [radio_leg, steady_leg, guest_leg])
            else:
                relay.call("leg.apply", {"session": name, "legs": [guest_leg]})
            for _ in range(3):  # the stream lives through every change
                assert carried.acquire(timeout=lab_module.PATIENCE), failures
    finally:
        done.set()
        thread.join()
    assert not failures, failures
    assert steady.drain() == []


# The process

def test_start_and_stop(lab):
    """Relay.stop() looks at the exit status, the sanitizers' reports and the socket file."""
    for _ in range(2):
        with Relay(lab, anchored=False) as relay:
            assert relay.call("relay.info")["api"] == 1


def test_stop_under_load(lab, new_key):
    with Relay(lab) as relay, lab_module.Client(lab, "ran") as a, lab_module.Client(lab, "core") as b:
        gmk = new_key()
        install(relay, gmk)
        apply(relay, "load", [a.leg("a", "srtp", gmk), b.leg("b", "plain")])
        sender = mcx.SrtpSender(gmk.group(ALICE), 1)
        for _ in range(500):
            a.send(sender.protect(bytes(160)))


@pytest.mark.parametrize("address", ["10.77.1.255:5000", "10.77.1.0:5000", "10.77.1.1:5000", "0.0.0.0:5000",
                                     "127.0.0.1:5000", "255.255.255.255:5000", "[::]:5000", "[::1]:5000",
                                     "[fd77:1::1]:5000"])
def test_remote_that_is_no_hosts(relay, clients, name, address):
    leg = clients("ran", 6 if address.startswith("[") else 4).leg("a", remote=address)
    with pytest.raises(RpcError) as refused:
        apply(relay, name, [leg])
    assert (refused.value.code, refused.value.path) == (-32602, "params.session.legs[0].remote")


def test_key_that_is_installed_again_keeps_its_profile(relay, clients, name, new_key):
    """Same id and same bytes: times and users are updated, and media goes on."""
    gmk = new_key(suite=mcx.GCM_256, roc_rate=3)
    radio, plain = clients("ran"), clients("core")
    install(relay, gmk)
    apply(relay, name, [radio.leg("radio", "srtp", gmk), plain.leg("plain", "plain")])
    sender = mcx.SrtpSender(gmk.group("sip:alice@mcptt.example.org"), 7)

    def heard():
        radio.send(sender.protect(b"on"))
        assert plain.recv() == sender.last_plain

    heard()
    again = gmk.rpc(expiry=int(time.time()) + 1000)
    del again["profile"]
    install(relay, again)
    heard()
    other = gmk.rpc(profile={"suite": mcx.GCM_256, "roc_rate": 4})
    [rejected] = relay.call("key.install", {"keys": [other]})["rejected"]
    assert rejected["code"] == 2
    heard()
    install(relay, other, replace=True)
    sender.context = dataclasses.replace(gmk, roc_rate=4).group("sip:alice@mcptt.example.org")
    heard()


def test_mki_without_guk_id_on_a_leg_without_user(relay, clients, name, new_key):
    """Nobody knows who that is, and it is no forgery."""
    gmk = new_key(mki_length=4)
    radio, plain = clients("ran"), clients("core")
    install(relay, gmk)
    apply(relay, name, [radio.leg("radio", "srtp", gmk), plain.leg("plain", "plain")])
    before = relay.drops()
    for n in range(3):
        radio.send(mcx.SrtpSender(gmk.group("sip:alice@mcptt.example.org"), 7 + n, roc=n).protect(b"who?"))
    relay.wait_drops(before, unknown_user=3)
    assert relay.drops_since(before)["auth_fail"] == 0
