# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Every example in the README, docs/*.md and the man pages does what it says.

Each block of theirs is a drawing, or is run: a block of a kind that nobody knows fails. What the README's calls do to
media is in test_mcxctl.py, the programs of docs/examples are in test_clients.py.
"""

import contextlib
import json
import re
import shlex
import subprocess

import pytest

import lab as lab_module
import pki
import schema
from lab import ROOT, build_directory
from test_mcxctl import ExampleRelay

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
MANUALS = sorted((ROOT / "docs" / "man").iterdir())
TLS_ADDRESS = "203.0.113.1"


# What the pages have

def blocks_of_page(text):
    """Indented and fenced blocks of Markdown, but for those that test_api.py runs."""
    fenced = re.findall(r"^```([a-z ]*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    yield from (block for kind, block in fenced if " " not in kind)
    for block in re.findall(r"(?<=\n\n)((?:    [^\n]*\n|\n(?=    ))+)", text):
        yield re.sub(r"^    ", "", block, flags=re.MULTILINE)


def blocks_of_manual(text):
    """What stands between .nf and .fi, as man shows it."""
    for block in re.findall(r"^\.nf\n(.*?)^\.fi$", text, re.MULTILINE | re.DOTALL):
        for roff, shown in ((r"\(dq", '"'), (r"\-", "-"), (r"\e", "\\"), ("\\\\", "\\")):
            block = block.replace(roff, shown)
        yield block


def all_blocks():
    for path in PAGES:
        yield from ((path.name, block) for block in blocks_of_page(path.read_text()))
    for path in MANUALS:
        yield from ((path.name, block) for block in blocks_of_manual(path.read_text()))


def kind_of(block):
    if re.search("[│►◄▼═]", block):
        return "drawing"
    if re.search(r"^ports = \($", block, re.MULTILINE):
        return "configuration"
    return "json" if block.lstrip()[0] in '{["' else "shell"


BLOCKS = [(page, kind_of(block), block) for page, block in all_blocks()]


def blocks(kind):
    return [pytest.param(block, id=f"{page}-{n}") for n, (page, its, block) in enumerate(BLOCKS) if its == kind]


def test_there_are_examples():
    """Neither pages nor the search lost them."""
    found = {(page, kind) for page, kind, _ in BLOCKS}
    assert found >= {("README.md", "shell"), ("README.md", "drawing"), ("mcxrelay.conf.5", "configuration"),
                     ("mcxctl.1", "shell"), ("mcxrelay.8", "shell"), ("api.md", "drawing"), ("errors.md", "json"),
                     ("performance.md", "shell"), ("packet.md", "drawing"), ("threads.md", "drawing")}


# Configuration and JSON

def checked(path):
    done = subprocess.run([build_directory() / "mcxrelay", "--check", "-c", str(path)], capture_output=True, text=True,
                          timeout=lab_module.PATIENCE)
    assert done.returncode == 0 and done.stderr == "", done.stderr


@pytest.mark.parametrize("block", blocks("configuration"))
def test_configuration(tmp_path, block):
    (tmp_path / "mcxrelay.conf").write_text(block)
    checked(tmp_path / "mcxrelay.conf")


@pytest.mark.parametrize("block", blocks("json"))
def test_json(block):
    assert schema.mistakes("Response", json.loads(block)) == []


# Commands

def commands_of(block):
    """One each, joined where a quote or a backslash goes on; without what is said beside them in a column."""
    found, text = [], ""
    for line in block.splitlines():
        text += re.split(r"(?<=\S)\s{4,}(?=\S)", line)[0]
        if text.endswith("\\"):
            text = text[:-1]
            continue
        with contextlib.suppress(ValueError):
            shlex.split(text)
            found.append(text.strip())
            text = ""
    assert text == "", f"the quote does not end: {text}"
    return [part for line in found if line for part in re.split(r" && ", line)]


COMMANDS = [pytest.param(command, id=f"{page}: {command[:50]}") for page, kind, block in BLOCKS if kind == "shell"
            for command in commands_of(block)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A relay with config/af_packet.conf and TLS at the address of the examples. Commands run in its namespace."""
    directory = tmp_path_factory.mktemp("site")
    relays, clients = pki.Authority(directory, "relays-ca"), pki.Authority(directory, "clients-ca")
    server = relays.issue("relay", pki.SERVER, addresses=(TLS_ADDRESS,))
    clients.issue("mcx.example.org", pki.CLIENT, file="mcx")

    class Site(ExampleRelay):
        def config_text(self):
            tls = (f'tls = {{ listen = "{TLS_ADDRESS}:7443"; certificate = "{server.certificate_file}"; '
                   f'key = "{server.key_file}"; ca = "{clients.ca_file}"; }};')
            text = super().config_text()
            assert text.count('mode = "0600"; ') == 1
            return text.replace('mode = "0600"; ', f'mode = "0600"; {tls} ')

    with lab_module.Lab() as lab:
        lab.ip("relay", "addr", "add", f"{TLS_ADDRESS}/32", "dev", "lo")
        with Site(lab, anchored=False) as relay:
            relay.files = directory
            relay.call("log.set", {"level": "debug"})  # who connects
            yield relay


def succeeds(words, **more):
    done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=lab_module.PATIENCE, **more)
    assert done.returncode == 0, (words, done.stdout[-2000:], done.stderr[-2000:])
    return done.stdout


def watches(site, words):
    """It is endless: it has connected, and waits."""
    before = site.log_text().count("client.connected")
    with subprocess.Popen(["ip", "netns", "exec", site.lab.namespace("relay"), build_directory() / "mcxctl",
                           *words[1:]], stdin=subprocess.DEVNULL) as watch:
        lab_module.wait_for(lambda: site.log_text().count("client.connected"), lambda n: n > before, "the watcher")
        assert watch.poll() is None
        watch.terminate()


def run_mcxctl(site, words):
    if words[1] not in ("derive", "guk-id", "--tls"):
        words[1:1] = ["-s", site.socket_path]
    if "watch" in words:
        watches(site, words)
        return
    if "top" in words:
        words[1:1] = ["-n", "1"]  # it is endless
    if not {"call", "derive", "guk-id"} & set(words):
        assert succeeds(["ip", "netns", "exec", site.lab.namespace("relay"), build_directory() / "mcxctl", *words[1:]])
        return
    result = json.loads(succeeds(["ip", "netns", "exec", site.lab.namespace("relay"),
                                  build_directory() / "mcxctl", *words[1:]], cwd=site.files))
    if "call" in words:
        method = words[words.index("call") + 1]
        assert schema.mistakes(f"{method}.result", result) == []
    else:
        assert result


def run_mcxrelay(site, words):
    """With --check; otherwise the fixture runs it, with the same file, whose state --new-state would begin."""
    if words[-1] != "config/af_packet.conf":
        assert words[-1] == "/etc/mcxrelay/mcxrelay.conf"  # which is config/af_packet.conf when it is installed
    if "--check" in words:
        checked(ROOT / "config/af_packet.conf")
    assert set(words[1:-1]) <= {"--check", "--new-state", "-c"} and site.call("relay.info")["api"] == 1


def run_mcxbench(_site, words):
    """Measuring takes long: what it would measure is there, and its options are."""
    listed = succeeds([build_directory() / "mcxbench", "--list"])
    usage = succeeds([build_directory() / "mcxbench", "--help"])
    options = words[1:]
    assert all(option in usage for option in options if option.startswith("--"))
    if "--only" in options:
        assert options[options.index("--only") + 1] in listed


def run_table(site, words):
    usage = succeeds([ROOT / words[0], "--help"])
    assert "[BUILD] [mcxbench options]" in usage and words[1] == "build"
    if "--against" in words:  # its own option, and a build folder that is not here
        assert "[BUILD] --against BEFORE" in usage
        at = words.index("--against")
        words = words[:at] + words[at + 2:]
    run_mcxbench(site, words[1:])


def run_in_small(_site, words):
    """Measuring takes long, a test of its own (test_bench_*.py) does it in small; its options are there."""
    usage = succeeds([ROOT / words[0], "--help"])
    assert words[1] == "build" and all(option in usage for option in words[2:] if option.startswith("--"))


def run_script(_site, words):
    assert len(words) == 1 and "usage" in succeeds([ROOT / words[0], "--help"]).lower()


def run_meson(_site, words):
    """The build is there already, and nothing is built now."""
    if words[1] == "setup":
        assert words[2:] == ["build"]
        assert (build_directory() / "build.ninja").exists()
    else:
        assert words[:4] == ["meson", "test", "-C", "build"] and words[4:] == ["--benchmark"]
        assert "short" in succeeds(["meson", "test", "--no-rebuild", "-C", build_directory(), "--benchmark", "--list"])


def run_ninja(_site, words):
    targets = succeeds(["ninja", "-C", build_directory(), "-t", "targets", "all"])
    assert words[:3] == ["ninja", "-C", "build"] and all(f"\n{target}: " in targets for target in words[3:])


def run_not_here(_site, words):
    """What would change this machine; tests/package builds the package and looks into it."""
    unit = (ROOT / "systemd" / "mcxrelay.service.in")
    known = {"dpkg-buildpackage": ["-us", "-uc", "-b"], "apt": ["install", "../mcxrelay_*.deb"],
             "sudoedit": ["/etc/mcxrelay/mcxrelay.conf"], "editor": ["/etc/mcxrelay/mcxrelay.conf"],
             "systemctl": ["enable", "--now", "mcxrelay"]}
    assert words[1:] == known[words[0]] and (unit.exists() or unit.with_suffix("").exists())


def run_mcxgen(_site, words):
    """Needs a relay with those ports, and takes long: test_mcxgen.py carries such calls. Here its options are looked at."""
    usage = succeeds([build_directory() / words[0].removeprefix("build/"), "--help"])
    assert all(word in usage for word in words if word.startswith("--"))


RUNNERS = {
    "mcxctl": run_mcxctl, "mcxrelay": run_mcxrelay, "mcxbench": run_mcxbench, "bench/table": run_table,
    "./demo": run_script, "./check": run_script, "meson": run_meson, "ninja": run_ninja,
    "dpkg-buildpackage": run_not_here, "apt": run_not_here, "sudoedit": run_not_here, "editor": run_not_here,
    "systemctl": run_not_here, "mcxgen": run_mcxgen, "bench/control": run_in_small, "bench/flood": run_in_small,
}


@pytest.mark.parametrize("command", COMMANDS)
def test_command(site, command):
    """In the order of the page: a call finds what the one before it set up."""
    words = shlex.split(command)
    if words[0] == "sudo":
        words.pop(0)
    name = words[0].removeprefix("build/")
    assert name in RUNNERS, f"nobody knows how to try: {command}"
    RUNNERS[name](site, words)
