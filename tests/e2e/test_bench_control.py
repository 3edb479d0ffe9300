# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""bench/control in small: nothing is lost and nothing is left. How long it takes is not looked at."""

import json
import re
import subprocess

import pytest

import lab as lab_module

PROGRAM = lab_module.ROOT / "bench" / "control"
KEYS, SESSIONS, ROUNDS, GROUP = 3000, 500, 2, 400
pytestmark = [
    pytest.mark.skipif(not (lab_module.build_directory() / "mcxgen").exists(), reason="mcxgen is not built"),
    pytest.mark.skipif(lab_module.sanitized(), reason="its relay is confined, which the search for leaks is not")]


def run(*options):
    return subprocess.run([PROGRAM, lab_module.build_directory(), "--no-huge", "--keys", str(KEYS), "--sessions",
                           str(SESSIONS), "--group", str(GROUP), *options], capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("options", [(), ("--keys-a-line", "100", "--sessions-a-line", "1", "--in-flight", "64")],
                         ids=["long lines", "many lines"])
def test_the_call_goes_on(options):
    done = run("--rounds", str(ROUNDS), *options)
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    phases = {"key-install": KEYS, "key-list": KEYS, "session-apply": SESSIONS, "session-get": SESSIONS,
              "session-list": SESSIONS, "session-remove": SESSIONS, "key-revoke": KEYS}
    for name, count in phases.items():
        assert [result["count"] for result in results if result["name"] == name] == [count] * ROUNDS
    [idle] = [result for result in results if result["name"] == "idle"]
    assert idle["other_client_ms"]["requests"] > 0
    full = [result["relay"] for result in results if result["name"] == "session-apply"]
    for counts in full:  # mcxgen has a session of two legs and two keys
        assert (counts["sessions"], counts["legs"]) == (SESSIONS + 1, 2 * SESSIONS + 2)
        assert counts["keys"] == KEYS + SESSIONS + 2
    empty = [result for result in results if result["name"] == "empty"]
    assert len(empty) == ROUNDS + 1 and all(result["relay"] == result["before"] for result in empty)
    counts = {result["name"]: result["count"] for result in results if result["name"].startswith(f"group-{GROUP}-")}
    assert counts == {f"group-{GROUP}-{name}": count for name, count in (
        ("state", GROUP), ("restate", 10 * GROUP), ("come", GROUP), ("join", 300), ("mute", 300), ("leave", 300), ("get", GROUP), ("renew", 1), ("revoke", 1), ("go", 1))}
    for kind in ("control", "own"):  # a key each
        counts = {result["name"]: result["count"] for result in results if result["name"].startswith(f"{kind}-{GROUP}-")}
        assert counts == {f"{kind}-{GROUP}-{name}": count for name, count in (
            ("come", GROUP), ("join", 300), ("mute", 300), ("renew", 100), ("leave", 300), ("go", 1))}
    for kind in ("group", "control", "own"):
        [ratio] = [result for result in results if result["name"] == f"{kind}-ratio"]
        assert ratio["legs"] == [100, GROUP] and all(ratio[change] > 0 for change in ("join", "mute", "leave"))
    call = results[-1]
    assert call["name"] == "call" and call["sent"] > 0 and call["received"] == call["sent"]
    assert call["lost"] == call["auth_failed"] == call["unknown"] == call["duplicates"] == 0 and call["drops"] == {}


def test_as_a_table():
    done = run("--rounds", "1", "--table")
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| ([a-z0-9-]+) \|", done.stdout, re.MULTILINE)
    assert rows == ["phase", "idle", "key-install", "key-list", "session-apply", "session-get", "session-list",
                    "session-remove", "key-revoke", "empty",
                    *(f"group-{legs}-{name}" for legs in (100, GROUP) for name in (
                        "state", "restate", "come", "join", "mute", "leave", "get", "renew", "revoke", "go")),
                    *(f"{kind}-{legs}-{name}" for kind in ("control", "own") for legs in (100, GROUP) for name in (
                        "come", "join", "mute", "renew", "leave", "go")), "empty"]
    assert re.search(r"^The call: [1-9][\d,]* packets sent, 0 lost, drops: none", done.stdout, re.MULTILINE)
