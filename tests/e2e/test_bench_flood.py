# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""bench/flood in small: each kind of flood comes to where it is for. What it costs whom is not looked at."""

import json
import re
import subprocess

import pytest

import lab as lab_module

PROGRAM = lab_module.ROOT / "bench" / "flood"
BUILD = lab_module.build_directory()
# Some of these the relay counts, whatever comes first of the others: a packet for which a token is left, or none.
COUNTED = {
    "closed-port": {"no_leg"}, "garbage": {"not_rtp", "unknown_mki"}, "unknown-mki": {"unknown_mki"},
    "forged": {"auth_fail"}, "forged-at-remote": {"auth_fail"}, "forged-rocs": {"auth_fail"},
    "forged-rtcp": {"auth_fail"}, "replayed": {"replayed"}, "users": {"auth_fail", "derive_limit"},
    "users-closed": {"unknown_user"}, "fragments": {"ip_fragment"},
}
pytestmark = pytest.mark.skipif(lab_module.sanitized(), reason="a relay for each flood is slow with sanitizers")
OTHERS = {"member", "member-ssrcs", "arp", "icmp-errors"}  # of which none has to be dropped


def flood(*options):
    return subprocess.run([PROGRAM, BUILD, *options], capture_output=True, text=True, timeout=600, check=False)


def test_each_kind():
    done = flood("--quick", "--json")
    assert done.returncode == 0, done.stderr
    results = {result["kind"]: result for result in map(json.loads, done.stdout.splitlines())}
    assert set(results) == set(COUNTED) | OTHERS and len(results) == 15
    for kind, result in results.items():
        assert result["flood"] > 0 and result["sent"] == 40 and not result["not_authentic"], result
        assert not result["flood_forwarded"], result
        assert result["rate"] == 500 and result["rss_mib"] > 0, result
        assert kind in OTHERS or result["missed"] or set(result["drops"]) & COUNTED[kind], result


def test_beside_another_build():
    done = flood("--quick", "--kinds", "forged", "--against", BUILD)
    assert done.returncode == 0, done.stderr
    lines = [re.split(r" *\| *", line)[1:-1] for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [line[:2] for line in lines[1:]] == [["forged", "before"], ["forged", "now"]]
    for label in lines[0][2:]:  # each has its unit
        assert re.search(r", (frames/s|frames|packets|%|ms|MiB)$", label), label


@pytest.mark.parametrize("words, says", [
    (("--kinds", "forged,rain"), "rain is no kind of flood; accepted: closed-port, "),
    (("--seconds", "0"), "up to 600 seconds"),
])
def test_what_is_not_accepted(words, says):
    done = flood(*words)
    assert done.returncode == 2 and says in done.stderr and not done.stdout
