# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""docs/schema/control-api.json, held against what clients of the tests say and what the relay answers."""

import collections
import functools
import json
import pathlib

import jsonschema

PATH = pathlib.Path(__file__).resolve().parents[2] / "docs" / "schema" / "control-api.json"
DOCUMENT = json.loads(PATH.read_text())
DEFS = DOCUMENT["$defs"]
EVERY_CALL = 200  # of a method in one run of the tests; then one of SAMPLE is looked at
SAMPLE = 100
ITEMS = 40  # of a long array: from its head and its end

_calls = collections.Counter()


@functools.cache
def validator(name):
    """Of one of the $defs."""
    return jsonschema.Draft202012Validator({"$defs": DEFS, "$ref": f"#/$defs/{name}"})


def mistakes(name, value):
    """What is wrong with a value by one of the $defs; empty if nothing is."""
    found = []
    for error in validator(name).iter_errors(value):
        leaf = jsonschema.exceptions.best_match([error])
        found.append(f"{leaf.json_path}: {leaf.message}")
    return found


def shortened(value):
    """The same with less of its long arrays, all of whose items are of one kind."""
    if isinstance(value, dict):
        return {name: shortened(member) for name, member in value.items()}
    if isinstance(value, list):
        few = value if len(value) <= ITEMS else value[:ITEMS // 2] + value[-ITEMS // 2:]
        return [shortened(item) for item in few]
    return value


def taken(request, response):
    """The request without what its answer rejects: each key of key.install succeeds or fails on its own."""
    rejected = {key["index"] for key in response["result"].get("rejected", [])}
    if request["method"] != "key.install" or not rejected:
        return request
    keys = [key for n, key in enumerate(request["params"]["keys"]) if n not in rejected]
    return request | {"params": request["params"] | {"keys": keys}}


def check_exchange(request, response):
    """The answer is what the schema says, and so is the request if it succeeded."""
    method = request["method"]
    _calls[method] += 1
    if _calls[method] > EVERY_CALL and _calls[method] % SAMPLE:
        return
    found = mistakes("Response", shortened(response))
    if "result" in response:
        found += mistakes(f"{method}.result", shortened(response["result"]))
        found += mistakes(f"{method}.request", shortened(taken(request, response)))
    assert not found, f"{method} against {PATH.name}: {found[:3]}"


def forget_calls():
    """The next call of each method is looked at again."""
    _calls.clear()
