# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Storms of signalling: whoever floods the control socket has turns like everybody else.

Nothing here measures time. A storm goes on until the other client has its answers, or an answer shows that it was
given in the middle of somebody's long request.
"""

import contextlib
import json
import multiprocessing
import threading

import pytest

import mcx
from lab import Control, Relay, wait_for
from test_hostile_client import knock

REQUESTS = 30  # of the other client, during a storm
KEYS = 6000  # of a line
SESSIONS = 2000  # of a line
LENGTHS = [2000, 4000, 8000, 16_000]  # of a line that is to be seen half done: what a machine does in a turn differs
ATTEMPTS = 60  # for each: the one who looks may be too late for some


@pytest.fixture(scope="module")
def served(lab):
    limits = {"keys": 50_000, "sessions": 20_000, "legs": 20_000, "streams": 1000}
    with Relay(lab, limits=limits, anchored=False) as made:
        yield made


@pytest.fixture
def relay(served):
    yield served
    served.clear()


def request(method, number=1, **params):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def text(value):
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


def empty_session(name):
    return {"id": name, "service": "mcptt", "type": "group", "legs": []}


def keys(count):
    return [mcx.RootKey("gmk", n + 1, n.to_bytes(16, "big"), bytes(16)).rpc() for n in range(count)]


def apply_all(prefix, count):
    """A batch."""
    return [request("session.apply", n, session=empty_session(f"{prefix}{n}")) for n in range(count)]


# Many requests

def send_for_ever(path, octets, count):
    """Answers are read, so that nothing but turns holds it up."""
    with Control(path) as control:
        control.socket.settimeout(None)
        threading.Thread(target=read_for_ever, args=(control.socket,), daemon=True).start()
        while True:
            control.socket.sendall(octets)
            count.value += 1


def read_for_ever(connection):
    while connection.recv(1 << 16):
        pass


def connect_for_ever(path, octets, count):
    """Comes, asks, goes without an answer."""
    while True:
        with contextlib.suppress(OSError), Control(path) as control:
            control.socket.sendall(octets)
            count.value += 1


def storm_of(kind):
    if kind == "requests":
        return send_for_ever, text(request("session.apply", session=empty_session("storm"))) * 200
    if kind == "get":
        return send_for_ever, text(request("session.get", id="storm")) * 200
    if kind == "keys":
        return send_for_ever, text(request("key.install", keys=keys(KEYS)))
    if kind == "batches":
        return send_for_ever, text(apply_all("storm", SESSIONS))
    return connect_for_ever, text(request("session.list"))


@pytest.mark.parametrize("kind", ["requests", "get", "keys", "batches", "connections"])
def test_a_storm_without_end(relay, kind):
    """Two of the kind go on for as long as it takes the other client to get its answers, one after the other."""
    relay.call("session.apply", {"session": empty_session("storm")})
    function, octets = storm_of(kind)
    context = multiprocessing.get_context("fork")
    counts = [context.Value("q", 0, lock=False) for _ in range(2)]
    storms = [context.Process(target=function, args=(relay.socket_path, octets, count)) for count in counts]
    try:
        for storm in storms:
            storm.start()
        wait_for(lambda: min(count.value for count in counts), bool, "the storm")
        with knock(relay) as other:
            for _ in range(REQUESTS):
                assert other.call("session.apply", {"session": empty_session("other")}) == {"created": True}
                assert other.call("session.remove", {"ids": ["other"]}) == {"removed": 1}
        before = [count.value for count in counts]
        wait_for(lambda: [count.value for count in counts], lambda now: all(map(int.__gt__, now, before)),
                 "more of the storm")
    finally:
        for storm in storms:
            storm.kill()
            storm.join()
    assert relay.call("relay.info")["api"] == 1


# Long requests

def have(relay):
    """Sessions and keys that there are, as another client sees it."""
    stats = relay.call("relay.stats")
    return stats["sessions"] + stats["keys"]


def seen_half_done(relay, line, before, after):
    """Whether an answer came in the middle of the line, before which there were so many; after which so many."""
    with relay.connect() as bulk:
        bulk.send_line(line)
        seen = False
        while (now := have(relay)) != after:
            seen = seen or min(before, after) < now < max(before, after)
        bulk.read_line()
    return seen


def removals(names):
    return text(request("session.remove", ids=names))


def revocations(installed):
    return text(request("key.revoke", keys=[{"id": key["id"], "domain": key["domain"]} for key in installed]))


# What is done before, the line, and how many more there are after it.
LONG = {
    "key.install": lambda n: ([], text(request("key.install", keys=keys(n))), n),
    "key.revoke": lambda n: ([request("key.install", keys=keys(n))], revocations(keys(n)), -n),
    "session.apply": lambda n: ([], text(apply_all("s", n)), n),
    "session.remove": lambda n: ([apply_all("s", n)], removals([f"s{i}" for i in range(n)]), -n),
}


@pytest.mark.parametrize("kind", LONG)
def test_others_are_answered_in_the_middle(relay, kind):
    """Of a request for thousands of keys or sessions, or of a batch of as many requests."""
    for length in LENGTHS:
        preparation, line, change = LONG[kind](length)
        for _ in range(ATTEMPTS):
            relay.clear()
            for ready in preparation:
                with relay.connect() as control:
                    control.exchange(text(ready).rstrip())
            before = have(relay)
            if seen_half_done(relay, line.rstrip(), before, before + change):
                return
    raise AssertionError(f"nobody was answered while {kind} ran")


def test_who_does_not_read_holds_nobody_up(relay):
    """Not with a long line that is being answered, nor with one that waits behind 16 MiB of answers."""
    relay.call("session.apply", {"session": empty_session("x" * 250)})
    line = text([request("session.list", n) for n in range(10_000)])
    with relay.connect() as deaf:
        deaf.socket.settimeout(1)  # ends the sending; nothing is said about when
        with pytest.raises(TimeoutError):
            while True:
                deaf.socket.sendall(line)
        with relay.connect() as other:
            assert len(other.exchange(text(apply_all("other", SESSIONS)).rstrip())) == SESSIONS


def test_who_leaves_leaves_nothing_half_done(relay):
    """The request that runs when its client goes is run to its end."""
    line = text(request("key.install", keys=keys(KEYS)))
    with relay.connect() as gone:
        gone.socket.sendall(line)
        wait_for(lambda: relay.call("relay.stats")["keys"], bool, "the first key")
    wait_for(lambda: relay.call("relay.stats")["keys"], lambda n: n == KEYS, "all keys")


def test_lists_while_they_change(relay):
    """Sessions that are there all the time are listed once, whatever comes and goes meanwhile."""
    stays, churn = [f"stays{n}" for n in range(3000)], [f"churn{n}" for n in range(1000)]
    relay.control.call_many("session.apply", [{"session": empty_session(name)} for name in stays])
    with relay.connect() as reader, relay.connect() as writer:
        for _ in range(10):
            reader.send_line(text(request("session.list")).rstrip())
            writer.call_many("session.apply", [{"session": empty_session(name)} for name in churn])
            writer.call("session.remove", {"ids": churn})
            listed = [session["id"] for session in reader.read_line()["result"]["sessions"]]
            assert len(listed) == len(set(listed))
            assert set(stays) <= set(listed)
