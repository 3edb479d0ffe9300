# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""docs/schema/control-api.json: it speaks of everything, and refuses what the relay refuses.

That every answer is as it says, and every request that succeeds, is looked at in each call of each test (lab.py).
"""

import copy
import re

import jsonschema
import pytest

import schema
from lab import ROOT, RpcError, apply, install
from mcx import CM_80

PARAMS, REFUSED = -32602, 4
NOBODY = {"id": "e", "service": "mcptt", "type": "group", "domain": "home", "timeout": 0, "keys": [], "legs": []}
DEFS = schema.DOCUMENT["$defs"]
PROFILE = {"suite": "aead-aes-256-gcm", "mki_length": 8, "roc_rate": 3}
WRONG = (7, -1, 1.5, 1 << 62, True, "", "?", "x" * 2000, [], [7], ["?"], {}, {"colour": "red"})


def references(value):
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def served():
    """The methods in the tables of the code."""
    sources = "\n".join(path.read_text() for path in sorted((ROOT / "control").glob("*.c")))
    return re.findall(r'^\t\{"([a-z_]+\.[a-z_]+)", [^}]+\},$', sources, re.MULTILINE)


def noticed():
    """The event types of the code, in their order."""
    return re.findall(r'^\t_\([A-Z_]+, "([a-z.]+)", ', (ROOT / "event" / "notice.h").read_text(), re.MULTILINE)


def named_by(name):
    """The $defs that one of them is any of."""
    return [choice["$ref"].removeprefix("#/$defs/") for choice in DEFS[name]["anyOf"]]


def objects(value, way=""):
    """Paths of the objects with members that stand within a definition."""
    if isinstance(value, list):
        for item in value:
            yield from objects(item, way)
    elif isinstance(value, dict):
        for step, member in value.items():
            if step in ("if", "then", "else", "not", "allOf", "dependentRequired", "propertyNames"):
                continue  # conditions, not types
            yield from objects(member, f"{way}/{step}")
        if value.get("type") == "object" and "properties" in value:
            yield way


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(schema.DOCUMENT)
    named = {ref.removeprefix("#/$defs/") for ref in references(schema.DOCUMENT)}
    assert named == set(DEFS)


def test_every_object_has_a_name():
    """Generators of code make a type of each, and a map of what has none."""
    assert [way for name, value in DEFS.items() for way in objects(value, name) if way != name] == []
    assert list(objects({"properties": {"a": {"type": "object", "properties": {}}}})) == ["/properties/a"]


def numbers(value, way=""):
    """Paths of what is one of some numbers, with its type."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, member in items:
        yield from numbers(member, f"{way}/{step}")
    if isinstance(value, dict) and any(isinstance(n, int) for n in value.get("enum", ())):
        yield way, "enum", value.get("type")
    if isinstance(value, dict) and isinstance(value.get("const"), int):
        yield way, "const", value.get("type")


def test_numbers_are_what_generators_can_read():
    """quicktype 23.2.6 makes a union of everything of an enum of numbers without a type, and fails at a const."""
    found = [one for one in numbers(DEFS) if not one[0].startswith("/errorCode/oneOf/")]
    assert len(found) >= 3 and {(keyword, kind) for _, keyword, kind in found} == {("enum", "integer")}
    assert DEFS["errorCode"]["type"] == "integer"


def test_it_has_all_methods():
    methods = served()
    assert len(methods) >= 13 and len(set(methods)) == len(methods)
    for end in (".params", ".request", ".result"):
        assert {name.removesuffix(end) for name in DEFS if name.endswith(end)} == set(methods)
    assert named_by("Request") == [f"{name.removesuffix('.result')}.request" for name in named_by("Result")]
    for method in methods:
        request = DEFS[f"{method}.request"]
        assert f"{method}.request" in named_by("Request")
        assert request["properties"]["method"] == {"const": method}
        assert request["properties"]["params"] == {"$ref": f"#/$defs/{method}.params"}
        assert request["description"]


def test_it_has_all_events():
    labels = noticed()
    assert len(labels) >= 9 and DEFS["eventType"]["enum"] == labels
    assert [name.removesuffix(".event") for name in DEFS if name.endswith(".event")] == labels
    [*events] = [choice["$ref"] for choice in DEFS["Event"]["properties"]["params"]["anyOf"]]
    assert events == [f"#/$defs/{label}.event" for label in labels]
    for label in labels:
        assert DEFS[f"{label}.event"]["properties"]["type"] == {"const": label}


def test_it_has_all_codes():
    codes = re.findall(r"^\tRPC_\w+ = (-?\d+),", (ROOT / "server" / "rpc_error.h").read_text(), re.MULTILINE)
    assert len(codes) == 12
    assert [code["const"] for code in DEFS["errorCode"]["oneOf"]] == [int(code) for code in codes if code != "0"]


@pytest.mark.parametrize("line, good", [
    ({"jsonrpc": "2.0", "id": 1, "method": "relay.info"}, True),
    ([{"jsonrpc": "2.0", "method": "session.list", "params": {}}], True),
    ({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "not valid JSON"}}, True),
    ({"jsonrpc": "2.0", "id": 1, "method": "events.subscribe", "params": {"types": ["key.expired"]}}, True),
    ({"jsonrpc": "2.0", "method": "event", "params": {"type": "key.expired", "time": 1.5, "key": "0a1b2c3d", "key_type": "gmk", "domain": "home"}}, True),
    ({"jsonrpc": "2.0", "method": "event", "params": {"type": "key.expired", "time": 1.5, "id": "0a1b2c3d"}}, False),
    ({"jsonrpc": "2.0", "method": "event", "params": {"type": "key.eaten", "time": 1}}, False),
    ({"jsonrpc": "2.0", "id": 1, "method": "events.subscribe", "params": {"types": ["key.eaten"]}}, False),
    ({"jsonrpc": "2.0", "id": 1, "result": {}, "error": {"code": 1, "message": "is no session"}}, False),
    ({"jsonrpc": "2.0", "id": 1, "method": "session.get"}, False),
    ([], False),
])
def test_a_line_as_a_whole(line, good):
    assert jsonschema.Draft202012Validator(schema.DOCUMENT).is_valid(line) == good


@pytest.mark.parametrize("change", [
    lambda result: result.update(colour="red"), lambda result: result.pop("uptime"),
    lambda result: result.update(api="1"), lambda result: result["limits"].update(keys=-1),
    lambda result: result["ports"][-1].update(mtu=None)])
def test_an_answer_that_is_otherwise_is_found(relay, change):
    request = {"jsonrpc": "2.0", "id": 1, "method": "relay.info"}
    response = {"jsonrpc": "2.0", "id": 1, "result": relay.call("relay.info")}
    assert schema.mistakes("relay.info.result", response["result"]) == []
    change(response["result"])
    schema.forget_calls()
    with pytest.raises(AssertionError, match="relay.info against"):
        schema.check_exchange(request, response)


def test_a_request_that_should_not_have_succeeded_is_found():
    request = {"jsonrpc": "2.0", "id": 1, "method": "session.get", "params": {"id": 7}}
    schema.forget_calls()
    with pytest.raises(AssertionError, match=r"params\.id"):
        schema.check_exchange(request, {"jsonrpc": "2.0", "id": 1, "result": NOBODY})


# Requests that are wrong, made of good ones

def places(value, way=()):
    yield way, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, member in items:
        yield from places(member, (*way, step))


def changed(value, way, change):
    """A copy in which change(container, step) was done to one place."""
    value = copy.deepcopy(value)
    place = value
    for step in way[:-1]:
        place = place[step]
    change(place, way[-1])
    return value


def mutants(params):
    """(path of the member, params with something else there, or nothing, or one more)."""
    for way, value in places(params):
        path = "params" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in way)
        if isinstance(value, dict):
            yield f"{path}.colour", changed([params], (0, *way, "colour"), lambda at, step: at.update(colour=1))[0]
        if not way:
            continue
        if isinstance(way[-1], str):
            yield path, changed(params, way, lambda at, step: at.pop(step))
        for wrong in WRONG:
            yield path, changed(params, way, lambda at, step, wrong=wrong: at.__setitem__(step, wrong))


def whole_key(key):
    return key.rpc() | {"activation": 1, "expiry": 1 << 40, "groups": ["sip:g@example.org"],
                        "users": ["sip:alice@example.org"], "profile": dict(PROFILE)}


def whole_session(name, ends, gmk, pck, csk):
    """Every member that there is."""
    protection = {"user": "sip:alice@example.org", "profile": dict(PROFILE), "verify": True, "encrypt": True, "role": "initiator",
                  "accept": [gmk.id_text]}
    one = ends[0].leg("one", "srtp", gmk, learn="authenticated", receive=True, send=True, traffic="media", rtcp="mux",
                      to=["two"], dscp=46, clock_rate=8000, ssrc="random", protection=protection,
                      rate={"packets": 1000, "octets": 1000000},
                      rtcp_protection={"mode": "srtp", "key": csk.id_text})
    two = ends[1].leg("two", "plain", protection={"user": "sip:lmr@example.org"})
    return {"id": name, "service": "mcptt", "type": "group", "domain": "home", "group": "sip:g@example.org",
            "keys": [whole_key(gmk) | {"id": "0fffffff"}, pck.rpc()], "legs": [one, two], "timeout": 60}


def refuses(relay, method, path, params):
    """The relay refuses it and names the member, or what it is in."""
    if method == "key.install":
        try:
            [rejected] = relay.call(method, params)["rejected"]
        except RpcError as error:
            rejected = {"code": error.code, "data": {"path": error.path}}
        code, told = rejected["code"], rejected["data"]["path"]
    else:
        with pytest.raises(RpcError) as caught:
            relay.call(method, params)
        code, told = caught.value.code, caught.value.path
    assert code in (PARAMS, REFUSED), (path, code, told)
    parent = re.sub(r"(\.\w+|\[\d+\])$", "", path)
    assert told.startswith(parent), (path, code, told)


def wrong_by_schema(method, params):
    return schema.mistakes(f"{method}.request", {"jsonrpc": "2.0", "id": 1, "method": method, "params": params})


@pytest.mark.parametrize("method, at_least", [
    ("key.install", 100), ("key.revoke", 20), ("key.list", 15), ("session.apply", 300), ("session.remove", 10),
    ("session.get", 8), ("leg.apply", 150), ("leg.remove", 15), ("relay.stats", 1)])
def test_what_the_schema_refuses_the_relay_refuses(relay, clients, name, new_key, method, at_least):
    gmk, pck, csk = new_key(), new_key("pck"), new_key("csk")
    ends = clients("ran"), clients("core")
    install(relay, gmk, csk)
    apply(relay, f"{name}-there", [end.leg(end.side.name) for end in ends])
    session = whole_session(name, (clients("ran"), clients("core")), gmk, pck, csk)
    params = {
        "key.install": {"keys": [whole_key(gmk)], "replace": True},
        "key.revoke": {"keys": [{"domain": "home", "id": gmk.id_text}]},
        "key.list": {"domain": "home", "type": "gmk"},
        "session.apply": {"session": session}, "session.remove": {"ids": [f"{name}-there"]},
        "session.get": {"id": f"{name}-there"}, "leg.apply": {"session": f"{name}-there", "legs": session["legs"]},
        "leg.remove": {"session": f"{name}-there", "ids": ["ran"]}, "relay.stats": {},
    }[method]
    assert wrong_by_schema(method, params) == []
    wrong = [(path, mutant) for path, mutant in mutants(params) if wrong_by_schema(method, mutant)]
    assert len(wrong) >= at_least
    for path, mutant in wrong:
        refuses(relay, method, path, mutant)
    answer = relay.call(method, params)
    assert answer.get("rejected", []) == []


@pytest.mark.parametrize("change", [
    {"type": "pck"}, {"id": "7a1b2c3d"}, {"id": "1a1b2c3d", "users": ["sip:alice@example.org"]},
    {"id": "1a1b2c3d", "profile": {"mki_length": 8}}, {"profile": {"suite": CM_80, "roc_rate": 1}}], ids=str)
def test_members_of_a_key_that_contradict(relay, new_key, change):
    params = {"keys": [new_key().rpc() | change]}
    assert wrong_by_schema("key.install", params)
    assert relay.call("key.install", params)["installed"] == 0


@pytest.mark.parametrize("protection", [
    {"mode": "srtp"}, {"mode": "plain", "key": "0a1b2c3d"}, {"mode": "opaque", "accept": ["0a1b2c3d"]},
    {"mode": "opaque", "key": "0a1b2c3d", "accept": ["0a1b2c3d"] * 9},
    {"mode": "srtp", "key": "1a1b2c3d", "profile": {"mki_length": 8}}], ids=str)
def test_members_of_a_protection_that_contradict(relay, clients, name, protection):
    leg = clients().leg("a") | {"protection": protection}
    params = {"session": {"id": name, "service": "mcptt", "type": "group", "legs": [leg]}}
    assert wrong_by_schema("session.apply", params)
    with pytest.raises(RpcError) as caught:
        relay.call("session.apply", params)
    assert caught.value.code == PARAMS
