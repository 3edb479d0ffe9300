# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""tests/rooms finds an include against the direction, a circle of units, and a table that is none."""

import subprocess

import pytest

import lab

TABLE = "low:\nside: low\nhigh: low side/one\n"
UNITS = {
    "low/base.h": "",
    "low/base.c": '#include "low/base.h"\n',
    "side/one.h": '#include "low/base.h"\n',
    "side/two.h": '#include "side/one.h"\n',
    "high/main.c": '#include <stdio.h>\n#include "low/base.h"\n#include "side/one.h"\n',
}


def run(root):
    return subprocess.run([lab.ROOT / "tests/rooms", root], capture_output=True, text=True, check=False)


@pytest.fixture(name="tree")
def tree_fixture(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/rooms.table").write_text(TABLE)
    for name, text in UNITS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_of_this_tree():
    done = run(lab.ROOT)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_a_tree_that_keeps_its_table(tree):
    done = run(tree)
    assert (done.returncode, done.stdout) == (0, "5 includes in 3 rooms, 0 faults\n")


@pytest.mark.parametrize("file, target, words", [
    ("low/base.h", "high/main.h", "low/base.h:1: low may not include high/main.h; it may include no other room"),
    ("low/base.c", "side/one.h", "low/base.c:2: low may not include side/one.h"),
    ("side/two.h", "high/new.h", "side/two.h:2: side may not include high/new.h; it may include low"),
    ("high/main.c", "side/two.h", "high/main.c:4: high may not include side/two.h; it may include low, side/one"),
    ("high/main.c", "elsewhere/x.h", "high/main.c:4: high may not include elsewhere/x.h"),
])
def test_an_include_against_the_direction(tree, file, target, words):
    with open(tree / file, "a", encoding="utf-8") as out:
        out.write(f'  #  include "{target}"\n')
    done = run(tree)
    assert done.returncode == 1
    assert words in done.stdout


def test_a_circle_of_units(tree):
    (tree / "side/one.c").write_text('#include "side/one.h"\n#include "side/three.h"\n')
    (tree / "side/three.h").write_text('#include "side/two.h"\n')
    done = run(tree)
    assert done.returncode == 1
    assert "circle of 3 units: side/one side/three side/two\n" in done.stdout


@pytest.mark.parametrize("table, words", [
    ("low: high\nhigh:\n", "rooms.table:1: low names high, which is not above it"),
    ("low:\nlow:\n", "rooms.table:2: expected a new room"),
    ("low\n", "rooms.table:1: expected a new room, a colon"),
    ("low:\nattic: low\n", "attic/: there is no such room"),
])
def test_a_table_that_is_none(tree, table, words):
    (tree / "tests/rooms.table").write_text(table)
    done = run(tree)
    assert done.returncode == 1
    assert words in done.stderr
