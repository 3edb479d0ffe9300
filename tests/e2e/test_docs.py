# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""What docs/ and the README name is there: tests, source files, functions, pages."""

import collections
import functools
import re

import pytest

from lab import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
SOURCES = ("base", "bench", "config", "confine", "control", "crypto", "ctl", "dataplane", "event", "host", "key",
           "identity", "mikey", "server", "session", "store", "tests")


@functools.lru_cache(maxsize=None)
def tree():
    """{file name: text} of all sources; rooms may have files of one name."""
    texts = collections.defaultdict(str)
    for room in SOURCES:
        for path in (ROOT / room).rglob("*"):
            if path.is_file() and path.suffix in (".c", ".h", ".py"):
                texts[path.name] += path.read_text(errors="replace")
    return texts


def text_of_tests():
    return "\n".join(text for name, text in tree().items() if name.startswith("test_") or name.endswith("_test.c"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tests_and_sources_that_a_page_names(page):
    text = page.read_text()
    files = set(re.findall(r"\b(\w+\.(?:py|c|h))\b", text))
    assert not {name for name in files if name not in tree()}, "files that are not there"
    tests = set(re.findall(r"\b(test_\w+)\b(?!\.py)", text))
    defined = set(re.findall(r"def (test_\w+)|static void (\w+)\(void", text_of_tests()))
    names = {name for pair in defined for name in pair if name}
    assert not {name for name in tests if name not in names}, "tests that are not there"
    calls = set(re.findall(r"`(\w+)\(\)`", text))
    everything = "\n".join(tree().values())
    assert not {name for name in calls if not re.search(rf"\b{name}\(", everything)}, "functions that are not there"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_that_a_page_names(page):
    """In backquotes, from the root: `room/file.c`, `room/`. With * some must match."""
    paths = re.findall(r"`\.?/?([\w.-]+/[\w./*-]*)`", page.read_text())
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir()} - {"build"}
    assert not [path for path in paths if path.split("/")[0] in rooms and not list(ROOT.glob(path.rstrip("/")))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_that_a_page_links_to(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]
