# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Known answers of tests/vectors."""

import pathlib

import pytest

VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors"


def sections(name):
    """[(section, {key: text})] of a vector file."""
    path = VECTORS / f"{name}.txt"
    if not path.exists():
        pytest.fail(f"{path} is missing", pytrace=False)
    found = []
    for line in path.read_text().splitlines():
        line = line.strip()
        if line.startswith("["):
            found.append((line[1:-1], {}))
        elif "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found[-1][1][key.strip()] = value.strip()
    assert found
    return found


def floor_control():
    """{name: RTCP compound} of all samples of floor, transmission and MBMS subchannel control."""
    return {name: bytes.fromhex(v["rtcp"]) for name, v in sections("floor_control") if "rtcp" in v}
