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
    """The request without what its answer rejects: each element that is installed succeeds or fails on its own."""
    rejected = {one["index"] for one in response["result"].get("rejected", [])}
    name = {"key.install": "keys", "kms.install": "kms", "identity.install": "identities",
            "message.make": "receivers"}.get(request["method"])
    params = request.get("params", {})
    if "xml" in params and rejected:  # what stands beside the document is of what is rejected
        return request | {"params": {"xml": params["xml"]}}
    if name not in params or not rejected:
        return request
    left = [one for n, one in enumerate(params[name]) if n not in rejected]
    return request | {"params": params | {name: left}}


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
