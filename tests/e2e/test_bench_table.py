# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""bench/table --against: two builds in turn. What they measure is written here, so nothing depends on the machine."""

import pathlib
import subprocess

import pytest

TABLE = pathlib.Path(__file__).resolve().parents[2] / "bench/table"

# An mcxbench that has the benchmarks of its list, each quicker with every run of it, and notes that it ran.
BENCH = """#!/usr/bin/python3
import json, pathlib, sys
here = pathlib.Path(sys.argv[0]).parent
names = {names}
if "--list" in sys.argv:
    print("\\n".join(name + "   what it is" for name in names))
    sys.exit()
asked = [sys.argv[i + 1] for i, word in enumerate(sys.argv[:-1]) if word in ("-o", "--only")]
if not set(asked) <= set(names):
    sys.exit("is not accepted")
with open(here.parent / "order", "a") as order:
    order.write(here.name + "\\n")
runs = (here.parent / "order").read_text().split().count(here.name)
for name in asked or names:
    print(json.dumps({{"name": name, "ns_per_packet": {ns} - runs, "floors": {ns} / 10}}))
"""


@pytest.fixture(name="builds")
def builds_(tmp_path):
    for name, names, ns in (("now", ["old", "new"], 60), ("before", ["old"], 110)):
        (tmp_path / name).mkdir()
        program = tmp_path / name / "mcxbench"
        program.write_text(BENCH.format(names=names, ns=ns))
        program.chmod(0o755)
    return tmp_path


def table(builds, *words):
    command = [TABLE, builds / "now", "--against", builds / "before", *words]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def rows(output):
    lines = [line for line in output.splitlines() if line.startswith("| ")]
    return {cells[0]: cells[1:] for cells in ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)}


def order(builds):
    return (builds / "order").read_text(encoding="ascii").split()


def test_two_builds_run_in_turn(builds):
    """Seven pairs if nothing else is said, each begun by the other build than the one before."""
    result = table(builds, "--only", "old", "--seconds", "1")
    assert result.returncode == 0, result.stderr
    assert order(builds) == (["before", "now", "now", "before"] * 4)[:14]
    # runs 1 to 7: 109 to 103 before, 59 to 53 now
    assert rows(result.stdout)["old"] == ["106.0", "56.0", "0.528", "0.515 to 0.541", "0.545"]
    assert "7 pairs" in result.stdout and "load" in result.stdout


def test_what_the_build_before_lacks_stands_alone(builds):
    result = table(builds, "--pairs", "1", "-o", "new", "-o", "old")
    assert rows(result.stdout)["new"] == ["", "59.0", "", "", ""] and rows(result.stdout)["old"][0] == "109.0"
    assert order(builds) == ["before", "now"]
    result = table(builds, "--pairs", "1", "--only", "new")
    assert rows(result.stdout)["new"][1] == "58.0" and order(builds) == ["before", "now", "now"]


def test_all_benchmarks(builds):
    assert set(rows(table(builds, "--pairs", "2").stdout)) == {"benchmark", "old", "new"}


@pytest.mark.parametrize("words, why", [
    (["--pairs", "0"], '--pairs is "0"; accepted: a number from 1'),
    (["--pairs", "some"], '--pairs is "some"; accepted: a number from 1'),
    (["--pairs"], "--pairs needs a value"),
])
def test_what_is_not_accepted(builds, words, why):
    result = table(builds, *words)
    assert result.returncode == 1 and why in result.stderr and not (builds / "order").exists()
