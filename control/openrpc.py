#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Makes the OpenRPC document of rpc.discover, as a C array, from the JSON Schema of the control API.

Usage: openrpc.py control-api.json openrpc.c
"""

import json
import pathlib
import sys

OPENRPC = "1.3.2"  # its schemas are of JSON Schema draft 7
JSON_RPC = (-32700, -32600, -32601)  # codes of any request, whatever its method


def references(value):
    if isinstance(value, dict):
        yield from ([value["$ref"]] if "$ref" in value else [])
        for member in value.values():
            yield from references(member)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def draft7(value):
    """The same in draft 7, which ignores what stands beside $ref, with references into the components."""
    if isinstance(value, list):
        return [draft7(item) for item in value]
    if not isinstance(value, dict):
        return value
    made = {"dependencies" if name == "dependentRequired" else name: draft7(member)
            for name, member in value.items() if name != "$ref"}
    if "$ref" not in value:
        return made
    reference = {"$ref": value["$ref"].replace("#/$defs/", "#/components/schemas/")}
    return made | {"allOf": [reference, *made.get("allOf", [])]} if made else reference


def resolved(defs, schema):
    while "$ref" in schema:
        schema = defs[schema["$ref"].removeprefix("#/$defs/")]
    return schema


def params(schema):
    required = schema.get("required", [])
    return [{"name": name, "required": name in required, "schema": draft7(member)}
            for name, member in schema.get("properties", {}).items()]


def method(defs, name, errors):
    return {
        "name": name, "summary": defs[f"{name}.request"]["description"], "paramStructure": "by-name",
        "params": params(resolved(defs, defs[f"{name}.params"])),
        "result": {"name": "result", "schema": {"$ref": f"#/components/schemas/{name}.result"}},
        "errors": [{"$ref": f"#/components/errors/{error}"} for error in errors],
    }


def used(defs, names):
    """These definitions and all that they refer to, in the order of the schema."""
    found, left = set(), list(names)
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += [ref.removeprefix("#/$defs/") for ref in references(defs[name])]
    return {name: draft7(schema) for name, schema in defs.items() if name in found}


def document(schema):
    defs = schema["$defs"]
    methods = [ref.removeprefix("#/$defs/").removesuffix(".request") for ref in references(defs["Request"])]
    events = defs["eventType"]["enum"]
    errors = {str(code["const"]): {"code": code["const"], "message": code["description"]}
              for code in defs["errorCode"]["oneOf"] if code["const"] not in JSON_RPC}
    roots = [f"{name}.{part}" for name in methods for part in ("params", "result")]
    roots += [f"{name}.event" for name in events]
    return {
        "openrpc": OPENRPC,
        "info": {"title": "mcxrelay control API", "version": "1", "license": {"name": "BSD-3-Clause"},
                 "description": "JSON-RPC 2.0, one text a line. x-events are the params of the notifications "
                                "\"event\" that events.subscribe asks for."},
        "methods": [method(defs, name, errors) for name in methods],
        "x-events": [{"name": name, "summary": defs[f"{name}.event"]["description"],
                      "schema": {"$ref": f"#/components/schemas/{name}.event"}} for name in events],
        "components": {"schemas": used(defs, roots), "errors": errors},
    }


def c_array(text):
    pieces = [text[i:i + 80].replace("\\", "\\\\").replace('"', '\\"') for i in range(0, len(text), 80)]
    return ('#include "control/openrpc.h"\n\nconst char openrpc_text[] =\n' +
            "\n".join(f'\t"{piece}"' for piece in pieces) +
            ";\nconst size_t openrpc_len = sizeof(openrpc_text) - 1;\n")


def main():
    schema, out = sys.argv[1:]
    text = json.dumps(document(json.loads(pathlib.Path(schema).read_text())), separators=(",", ":"))
    pathlib.Path(out).write_text(c_array(text))


if __name__ == "__main__":
    main()
