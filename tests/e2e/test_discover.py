# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""rpc.discover: an OpenRPC document that has every method, event and error, and is true."""

import json

import jsonschema
import pytest

import schema
from lab import RpcError
from test_schema import noticed, references, served

NOT_KNOWN = -32601
REFERENCE = {"type": "object", "required": ["$ref"], "properties": {"$ref": {"pattern": "^#/components/"}}}
OPENRPC = {  # what https://spec.open-rpc.org demands of the parts that the document has
    "type": "object", "required": ["openrpc", "info", "methods"],
    "additionalProperties": False, "patternProperties": {"^x-": {}},
    "properties": {
        "openrpc": {"pattern": r"^1\.3\.\d+$"},
        "info": {"type": "object", "required": ["title", "version"], "properties": {
            "license": {"type": "object", "required": ["name"]}}},
        "methods": {"type": "array", "items": {
            "type": "object", "required": ["name", "params", "result", "summary", "errors"],
            "properties": {
                "name": {"type": "string"}, "summary": {"type": "string"}, "paramStructure": {"const": "by-name"},
                "params": {"type": "array", "items": {"$ref": "#/definitions/content"}},
                "result": {"$ref": "#/definitions/content"}, "errors": {"type": "array", "items": REFERENCE}},
            "additionalProperties": False}},
        "components": {"type": "object", "propertyNames": {"enum": ["schemas", "errors"]}, "properties": {
            "schemas": {"propertyNames": {"pattern": r"^[a-zA-Z0-9._-]+$"},
                        "additionalProperties": {"$ref": "http://json-schema.org/draft-07/schema#"}},
            "errors": {"additionalProperties": {"type": "object", "required": ["code", "message"], "properties": {
                "code": {"type": "integer"}, "message": {"type": "string"}}, "additionalProperties": False}}}},
    },
    "definitions": {"content": {
        "type": "object", "required": ["name", "schema"], "additionalProperties": False, "properties": {
            "name": {"type": "string"}, "required": {"type": "boolean"},
            "schema": {"$ref": "http://json-schema.org/draft-07/schema#"}}}},
}


@pytest.fixture
def document(relay):
    return relay.call("rpc.discover")


def validator(document, name):
    """Of one of the components."""
    return jsonschema.Draft7Validator({"components": document["components"], "$ref": f"#/components/schemas/{name}"})


def test_it_is_an_openrpc_document(document):
    jsonschema.Draft7Validator(OPENRPC).validate(document)
    for reference in references(document):
        kind, name = reference.removeprefix("#/components/").split("/")
        assert name in document["components"][kind], reference
    assert len(json.dumps(document)) < 1 << 20


def test_it_has_no_keyword_that_its_schemas_do_not_know(document):
    """A reference stands alone in draft 7."""
    def places(value):
        if isinstance(value, dict):
            yield value
        for member in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            yield from places(member)
    for place in places(document):
        assert "$ref" not in place or len(place) == 1, place
        assert not place.keys() & {"$defs", "dependentRequired", "dependentSchemas", "unevaluatedProperties"}


def test_it_has_all_methods_events_and_errors(document):
    assert sorted(method["name"] for method in document["methods"]) == sorted(served())
    assert [event["name"] for event in document["x-events"]] == noticed()
    codes = [code["const"] for code in schema.DEFS["errorCode"]["oneOf"]]
    assert [error["code"] for error in document["components"]["errors"].values()] == \
        [code for code in codes if code not in (-32700, -32600, NOT_KNOWN)]


def test_every_method_is_there(relay, document):
    for method in document["methods"]:
        try:
            relay.call(method["name"], {"no such member": 1})
        except RpcError as error:
            assert error.code == -32602, (method["name"], error)
        else:
            raise AssertionError(f"{method['name']} takes any member")


def test_params_are_those_of_the_schema(document):
    for method in document["methods"]:
        stated = schema.DEFS[f"{method['name']}.params"]
        stated = schema.DEFS["nothing"] if "$ref" in stated else stated
        assert {p["name"] for p in method["params"]} == stated.get("properties", {}).keys()
        assert {p["name"] for p in method["params"] if p["required"]} == set(stated.get("required", ()))


@pytest.mark.parametrize("method", ["relay.info", "relay.stats", "key.list", "session.list", "session.top"])
def test_answers_are_as_it_says(relay, document, method):
    answer = relay.call(method)
    validator(document, f"{method}.result").validate(answer)
    assert not validator(document, f"{method}.result").is_valid(answer | {"colour": "red"})


def test_requests_are_refused_as_in_the_schema(document, new_key):
    good = new_key().rpc()
    keys = validator(document, "Key")
    assert keys.is_valid(good) and keys.is_valid(good | {"profile": {"roc_rate": 1}})
    assert not keys.is_valid(good | {"profile": {"suite": "aes-cm-128-hmac-sha1-80", "roc_rate": 1}})
    protection = validator(document, "Protection")
    assert protection.is_valid({"mode": "opaque"}) and not protection.is_valid({"mode": "srtp"})
    assert not protection.is_valid({"mode": "opaque", "accept": ["0a1b2c3d"]})
