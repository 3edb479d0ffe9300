# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""A client that may connect and means ill: it gets the documented error or is closed, and harms nobody else."""

import contextlib
import itertools
import json
import pathlib
import random
import re

import pytest

import process
import schema
from lab import Relay, sanitized, wait_for

PARSE, REQUEST = -32700, -32600
LINE_MAX, CLIENTS_MAX, OUTPUT_MAX = 1 << 20, 256, 16 << 20
LINES_A_TURN = 32
SLACK = (256 if sanitized() else 48) << 20  # octets that the relay may grow by, beside what it must hold
MANY = 10_000  # connections


@pytest.fixture(scope="module")
def served(lab):
    limits = {"keys": 1000, "sessions": 1000, "legs": 2000, "streams": 1000}
    with Relay(lab, limits=limits, anchored=False) as made:
        yield made


@pytest.fixture
def relay(served):
    """After the test it serves, holds nothing, and has not grown by more than the slack."""
    before = resident(served)
    yield served
    served.clear()
    assert served.call("session.list") == {"sessions": []}
    assert resident(served) < before + SLACK


def resident(relay):
    """Octets of the relay's memory."""
    status = pathlib.Path(f"/proc/{relay.process.pid}/status").read_text()
    return 1024 * int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)[1])


def knock(relay):
    """A connection, as soon as the relay has taken some of those that wait."""
    def attempt():
        with contextlib.suppress(BlockingIOError):  # the backlog is full
            return relay.connect()
        return None
    return wait_for(attempt, bool, "a place in the backlog")


def is_closed(control):
    try:
        return control.socket.recv(1 << 16) == b""
    except ConnectionError:
        return True


# Lines

WRONG_LINES = {
    "arrays": (b"[" * (LINE_MAX - 1), PARSE),
    "objects": (b'{"a":' * 200_000, PARSE),
    "closed arrays": (b"[" * 500_000 + b"]" * 500_000, PARSE),
    "closing only": (b"]" * (LINE_MAX - 1), PARSE),
    "brackets in a string": (b'"' + b"[" * 500_000 + b'"', REQUEST),
    "no end of a string": (b'{"jsonrpc":"' + b"x" * 1_000_000, PARSE),
    "escape at the end": (b'"' + b"\\" * 999_999, PARSE),
    "digits": (b"9" * 1_000_000, PARSE),
    "exponent": (b'{"jsonrpc":"2.0","id":1e999999,"method":"relay.info"}', PARSE),
    "number with a zero": (b"01", PARSE),
    "not a number": (b"NaN", PARSE),
    "cut sequence": (b'"\xe2\x82"', PARSE),
    "overlong sequence": (b'"\xc0\xaf"', PARSE),
    "surrogate in UTF-8": (b'"\xed\xa0\x80"', PARSE),
    "beyond Unicode": (b'"\xf4\x90\x80\x80"', PARSE),
    "half a surrogate pair": (b'"\\ud800"', PARSE),
    "NUL": (b'{"jsonrpc":"2.0",\0"id":1}', PARSE),
    "NUL in a string": (b'{"jsonrpc":"2.0","id":1,"method":"relay.info\\u0000"}', PARSE),
    "byte order mark": (b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"relay.info"}', PARSE),
    "UTF-16": ('{"jsonrpc":"2.0","id":1,"method":"relay.info"}'.encode("utf-16-le"), PARSE),
    "two texts": (b"{}{}", PARSE),
    "TLS": (bytes.fromhex("160301004d01000049") + bytes(64), PARSE),
    "HTTP": (b"GET / HTTP/1.1\r", PARSE),
    "a batch of half a million": (b"[" + b"1," * 500_000 + b"1]", REQUEST),
    "null": (b"null", REQUEST),
    "params of a million": (b'{"jsonrpc":"2.0","id":[' + b"1," * 400_000 + b'1],"method":"relay.info"}', REQUEST),
}


@pytest.mark.parametrize("name", WRONG_LINES)
def test_wrong_line(relay, name):
    """The error comes, and the connection goes on."""
    line, code = WRONG_LINES[name]
    with relay.connect() as hostile:
        answer = hostile.exchange(line)
        assert answer["error"]["code"] == code and answer["id"] is None
        assert schema.mistakes("Response", answer) == []
        assert hostile.call("relay.info")["api"] == 1


def test_a_batch_of_nothing_but_mistakes(relay):
    """Each of as many as a batch may have is answered."""
    with relay.connect() as hostile:
        answers = hostile.exchange(b"[" + b"1," * 32_767 + b"1]")
        assert len(answers) == 32_768 and {answer["error"]["code"] for answer in answers} == {REQUEST}


def test_lines_that_are_too_long(relay):
    """Error, then the end; again and again."""
    for _ in range(20):
        with relay.connect() as hostile:
            with contextlib.suppress(ConnectionError):  # it need not wait for the rest
                hostile.socket.sendall(b'{"a":"' + b"x" * (2 * LINE_MAX))
            with contextlib.suppress(ConnectionError):
                assert hostile.read_line()["error"]["code"] == REQUEST
            wait_for(lambda: is_closed(hostile), bool, "the end of the connection")


def test_half_requests(relay):
    """Of each the relay holds what came, and nothing more when they are gone; others are served meanwhile."""
    before, count, size = resident(relay), 40, LINE_MAX - 4096
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            hostile = stack.enter_context(relay.connect())
            hostile.socket.sendall(b'{"jsonrpc":"2.0","id":"' + b"x" * size)
        assert relay.call("relay.info")["api"] == 1
        assert resident(relay) < before + 2 * count * LINE_MAX + SLACK
    assert relay.call("relay.info")["api"] == 1


def test_one_who_does_not_read(relay):
    """Answers wait up to their bound, then no more requests are read of him; others are served meanwhile."""
    relay.call("session.apply", {"session": {"id": "x" * 250, "service": "mcptt", "type": "group", "legs": []}})
    batch = [{"jsonrpc": "2.0", "id": n, "method": "session.list"} for n in range(15_000)]
    line = json.dumps(batch, separators=(",", ":")).encode() + b"\n"
    before = resident(relay)
    with relay.connect() as hostile:
        hostile.socket.settimeout(1)  # ends the sending; nothing is said about when
        with pytest.raises(TimeoutError):
            for _ in range(100):  # 700 MB of answers
                hostile.socket.sendall(line)
        assert relay.call("relay.info")["api"] == 1
        assert resident(relay) < before + 2 * OUTPUT_MAX + SLACK


# Connections

def test_many_connections(relay):
    """As many as the limit are served, who is one too many is closed, and there is room when they go."""
    with contextlib.ExitStack() as stack:
        hostile = [stack.enter_context(knock(relay)) for _ in range(2000)]
        served = CLIENTS_MAX - 1  # without the one of the tests
        assert all(control.call("relay.info")["api"] == 1 for control in hostile[:served])
        assert all(is_closed(control) for control in hostile[served:])
        assert relay.call("relay.info")["api"] == 1

    def comes_in():
        with contextlib.suppress(ConnectionError), knock(relay) as control:
            return control.call("relay.info")
        return None
    wait_for(comes_in, bool, "room after the others went")


def test_connections_without_end(relay):
    """Ten thousand that come, say half a word, and go."""
    for _ in range(MANY):
        with knock(relay) as hostile, contextlib.suppress(ConnectionError):
            hostile.socket.sendall(b'{"jsonrpc"')
    assert relay.call("relay.info")["api"] == 1


def test_a_flood_does_not_delay_others(relay):
    """Who asks once is served after a turn of a flood's lines, not after all of them."""
    def flood(name):
        return b"".join(json.dumps({"jsonrpc": "2.0", "id": n, "method": "session.apply", "params": {"session": {
            "id": f"{name}{n}", "service": "mcptt", "type": "group", "legs": []}}}).encode() + b"\n" for n in range(400))

    with relay.connect() as before, relay.connect() as other, relay.connect() as after:
        for control in (before, other, after):
            control.call("relay.info")
        with process.stopped(relay.process.pid):
            # when it goes on all have asked, and in whichever order it looks, a flood comes before the other
            before.socket.sendall(flood("before"))
            after.socket.sendall(flood("after"))
            other.send_line(b'{"jsonrpc":"2.0","id":1,"method":"session.list"}')
        assert len(other.read_line()["result"]["sessions"]) <= 2 * LINES_A_TURN
        for control in (before, after):
            assert [control.read_line()["id"] for _ in range(400)] == list(range(400))
    assert len(relay.call("session.list")["sessions"]) == 800


# Requests

LEAVES = (None, True, -1, 0, 7, 1.5, 1 << 62, "", "?", "x" * 3000, "0a1b2c3d", "10.77.1.1:5000", [], {}, [[]], {"": {}})


def spoilt(value, chance, rng):
    """A value in which some things are others, some are missing, some are twice."""
    if rng.random() < chance:
        return rng.choice(LEAVES)
    if isinstance(value, dict):
        kept = {name: spoilt(member, chance, rng) for name, member in value.items() if rng.random() > chance}
        return kept | {rng.choice(list(value)) + "?": 1} if value and rng.random() < chance else kept
    if isinstance(value, list):
        return [spoilt(item, chance, rng) for item in value for _ in range(1 + (rng.random() < chance))]
    return value


def good_requests():
    key = {"id": "0a1b2c3d", "type": "gmk", "value": "0f" * 16, "rand": "b0" * 16, "domain": "home", "activation": 0,
           "expiry": 0, "groups": ["sip:g@example.org"], "users": ["sip:alice@example.org"],
           "profile": {"suite": "aead-aes-128-gcm", "mki_length": 8, "roc_rate": 1}}
    protection = {"mode": "srtp", "key": "0a1b2c3d", "accept": ["0a1b2c3d"], "domain": "home", "role": "initiator",
                  "user": "sip:alice@example.org", "profile": key["profile"], "verify": True}
    leg = {"id": "a", "port": "ran", "local": "10.77.1.1:5000", "remote": "10.77.1.2:5000", "learn": "authenticated",
           "receive": True, "send": True, "traffic": "media", "rtcp": "mux", "to": ["b"], "dscp": 46, "clock_rate": 8000,
           "ssrc": "random", "rate": {"packets": 1000, "octets": 100000}, "protection": protection, "rtcp_protection": protection}
    other = leg | {"id": "b", "port": "core", "local": "10.77.2.1:5000", "remote": "10.77.2.2:5000", "to": []}
    session = {"id": "s", "service": "mcptt", "type": "group", "domain": "home", "group": "sip:g@example.org",
               "keys": [key], "legs": [leg, other], "timeout": 5}
    for method, params in (
            ("relay.info", {}), ("relay.stats", {}), ("key.install", {"keys": [key, key], "replace": True}),
            ("key.list", {"domain": "home", "type": "gmk"}), ("session.apply", {"session": session}),
            ("leg.apply", {"session": "s", "legs": [leg]}), ("session.get", {"id": "s"}), ("session.list", {}),
            ("leg.remove", {"session": "s", "ids": ["a"]}), ("session.remove", {"ids": ["s"]}),
            ("key.revoke", {"keys": [{"id": "0a1b2c3d", "domain": "home"}]})):
        yield {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


@pytest.mark.parametrize("chance", [0.003, 0.02, 0.1, 0.3])
def test_wrong_types_everywhere(relay, chance):
    """A thousand requests, spoilt a little or much: each has its answer, which is a documented one."""
    rng = random.Random(f"hostile {chance}")
    outcomes = set()
    with relay.connect() as hostile:
        for request in itertools.islice(itertools.cycle(good_requests()), 1000):
            answer = hostile.exchange(json.dumps(request | {"params": spoilt(request["params"], chance, rng)}).encode())
            assert answer["id"] == 1
            assert schema.mistakes("Response", answer) == []
            if "result" in answer:
                assert schema.mistakes(f"{request['method']}.result", answer["result"]) == []
            outcomes.add(answer.get("error", {"code": 0})["code"])
    assert outcomes >= {0, -32602}
