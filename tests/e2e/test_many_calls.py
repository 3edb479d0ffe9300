# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""A hundred thousand private calls at once, each with a PCK of its own: TS 33.180 clauses 5.6, 7.4.1 and Annex G.

A PCK-ID has 28 bits that every initiator draws for itself, so calls have equal ones. Here only some thousands of ids
serve all calls, and a packet must find its key by the call it belongs to.
"""

import hashlib
import pathlib
import random
import re
import time

import pytest

import lab as lab_module
import mcx
import process
from lab import Client, Relay, wait_for

IDS = 4096
SAMPLE = 400
FIRST_PORT = 1024
PORTS = range(FIRST_PORT, 65536, 2)  # RTP has even ports, RFC 3550 11
BATCH = 1000
CYCLE, CYCLES = 1000, 8  # calls that come and go at once, and how often
LEAK = 150  # octets a call: less than anything that could be kept of each


def count():
    return 5000 if lab_module.sanitized() else 100_000


def pck_of(n, generation):
    """The PCK of call n; of a call's second life it has other octets."""
    octets = hashlib.sha256(b"%d %d" % (n, generation)).digest()
    return mcx.RootKey("pck", mcx.PURPOSE_TAGS["pck"] << 28 | 0x0c0ffee & ~(IDS - 1) | n % IDS, octets[:16], octets[16:])


def role_of(n):
    return ("initiator", "receiver")[n // IDS % 2]


def resident_octets(relay):
    """VmRSS of the relay."""
    status = pathlib.Path(f"/proc/{relay.process.pid}/status").read_text()
    return 1024 * int(re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)[1])


class Calls:
    def __init__(self, relay, lab):
        self.relay, self.n = relay, count()
        self.client, self.lmr = Client(lab, "ran"), Client(lab, "core")

    def close(self):
        self.client.close()
        self.lmr.close()

    def local(self, n, side):
        """(host, port) of the relay for call n."""
        address, port = divmod(n, len(PORTS))
        return f"10.77.{side}.{10 + address}", PORTS[port]

    def session(self, n, generation):
        pck = pck_of(n, generation)
        legs = [self.client.leg("client", "srtp", local="%s:%d" % self.local(n, 1),
                                protection={"key": pck.id_text, "role": role_of(n)}),
                self.lmr.leg("lmr", "plain", local="%s:%d" % self.local(n, 2))]
        return {"session": lab_module.session(f"call{n}", legs, kind="private", keys=[pck.rpc()])}

    def begin(self, calls, generation=0):
        """Sets them up; returns the seconds that this took, without those that the test needs to think of them."""
        sessions = [self.session(n, generation) for n in calls]
        start = time.monotonic()
        self.relay.control.call_many("session.apply", sessions, BATCH)
        return time.monotonic() - start

    def end(self, calls):
        names = [f"call{n}" for n in calls]
        for start in range(0, len(names), BATCH):
            piece = names[start:start + BATCH]
            assert self.relay.call("session.remove", {"ids": piece})["removed"] == len(piece)

    def aim(self, n):
        self.client.relay_host, self.client.relay_port = self.local(n, 1)
        self.lmr.relay_host, self.lmr.relay_port = self.local(n, 2)

    def speak(self, n, generation=0, ssrc=0x0c0ffee):
        """Both directions of one call, under its key and no other."""
        self.aim(n)
        pck, role = pck_of(n, generation), role_of(n)
        other = {"initiator": "receiver", "receiver": "initiator"}[role]
        sender = mcx.SrtpSender(pck.private(role), ssrc, seq=n & 0xffff)
        for _ in range(2):
            self.client.send(sender.protect(b"up %d" % n))
            assert self.lmr.recv() == sender.last_plain
        self.lmr.send(mcx.rtp(ssrc, 1, b"down %d" % n))
        assert mcx.srtp_unprotect(pck.private(other), self.client.recv()).payload == b"down %d" % n

    def intrude(self, n, m):
        """Call m's packets, of the same PCK-ID, on call n's leg."""
        assert pck_of(n, 0).id == pck_of(m, 0).id and n != m
        self.aim(n)
        for role in ("initiator", "receiver"):
            self.client.send(mcx.SrtpSender(pck_of(m, 0).private(role), 0xbad).protect(b"of another call"))


@pytest.fixture(scope="module")
def many():
    """The relay, without calls yet."""
    n = count()
    extra = {side: {"addresses": [f"10.77.{number}.{10 + i}/24" for i in range(-(-n // len(PORTS)))]}
             for side, number in (("ran", 1), ("core", 2))}
    # of each PCK four key contexts: to receive and to send, media and RTCP
    limits = {"keys": 4 * n + 1000, "sessions": n + 10, "legs": 2 * n + 10, "streams": 100_000}
    with lab_module.Lab() as lab, Relay(lab, limits=limits, ports=extra) as relay:
        calls = Calls(relay, lab)
        calls.contexts = relay.call("relay.stats")["key_contexts"]
        yield calls
        calls.close()


@pytest.fixture(scope="module")
def standing(many):
    """The same with all calls, each in its first life."""
    seconds = many.begin(range(many.n))
    print(f"{many.n} sessions with a PCK each: {many.n / seconds:.0f} a second")
    return many


def wait_empty(calls):
    """No key context is left of calls that have ended; they go when no worker can reach them."""
    wait_for(lambda: calls.relay.call("relay.stats")["key_contexts"], lambda n: n == calls.contexts, "the contexts' end")
    assert {s["id"] for s in calls.relay.call("session.list", {})["sessions"]} == set(Relay.ANCHORS)


@pytest.mark.skipif(lab_module.sanitized(), reason="what was freed stays in the sanitizer's quarantine")
def test_memory_of_calls_that_come_and_go(many):
    """Before the others, whose calls stay until the end. Nothing is kept of a call that has ended: after some rounds,
    in which pools find their size, memory does not grow any more."""
    def rounds(generations):
        for generation in generations:
            many.begin(range(CYCLE), generation)
            for n in (0, CYCLE - 1):
                many.speak(n, generation)
            many.end(range(CYCLE))
            wait_empty(many)
        return resident_octets(many.relay)
    before = rounds(range(3))
    grown = rounds(range(3, 3 + CYCLES)) - before
    assert grown < CYCLES * CYCLE * LEAK, f"{grown} octets more after {CYCLES} times {CYCLE} calls"


def strangers_of(calls, sample):
    """(n, m): two calls with one PCK-ID."""
    for n in sample:
        m = n + IDS if n + IDS < calls.n else n - IDS
        yield n, m


def test_each_call_has_its_own_key(standing):
    """7.4.1, architecture.md: the scope of a PCK is its session, so equal PCK-IDs do no harm, in either direction."""
    relay, generator = standing.relay, random.Random(33180)
    assert len(relay.call("session.list", {})["sessions"]) == standing.n + len(relay.ANCHORS)
    before = relay.drops()
    sample = [0, standing.n - 1, *generator.sample(range(1, standing.n - 1), SAMPLE)]
    for n in sample:
        standing.speak(n)
    assert relay.refused_since(before) == {}
    for n, m in strangers_of(standing, sample[:100]):
        standing.intrude(n, m)
        standing.speak(n, ssrc=0xfe)
    relay.wait_drops(before, auth_fail=200)


def test_calls_come_and_go_among_many(standing):
    """5.6: while all others stand, calls with the same PCK-ID end and begin anew with other octets."""
    relay, generator = standing.relay, random.Random(5)
    renewed = list(range(7, standing.n, IDS))[:20]
    for n in renewed:
        assert relay.call("session.remove", {"ids": [f"call{n}"]})["removed"] == 1
        standing.aim(n)
        before = relay.drops()
        standing.client.send(mcx.SrtpSender(pck_of(n, 0).private(role_of(n)), 1).protect(b"after the end"))
        relay.wait_drops(before, no_leg=1)
        relay.call("session.apply", standing.session(n, 1))
        before = relay.drops()
        standing.client.send(mcx.SrtpSender(pck_of(n, 0).private(role_of(n)), 1).protect(b"of the call before"))
        relay.wait_drops(before, auth_fail=1)
        standing.speak(n, 1)
    others = [n for n in generator.sample(range(standing.n), 100) if n not in renewed]
    for n in others:
        standing.speak(n, ssrc=0xabc)
    for n in renewed:
        standing.speak(n, 1, ssrc=0xabd)


def test_all_calls_end(standing):
    """When all have ended no octet of their keys is left, and the memory serves the next ones."""
    relay, sample = standing.relay, [1, standing.n // 2, standing.n - 2]
    keys = {n: pck_of(n, 0).value for n in sample}
    assert process.memory_find(relay.process.pid, keys) == set(sample)
    sizes = [resident_octets(relay)]
    standing.end(range(standing.n))
    wait_empty(standing)
    assert process.memory_find(relay.process.pid, keys) == set()
    # What the first ones after it took for themselves serves the next ones as well.
    for generation in (2, 3, 4, 5):
        standing.begin(range(CYCLE), generation)
        standing.speak(0, generation)
        sizes.append(resident_octets(relay))
        standing.end(range(CYCLE))
        wait_empty(standing)
    assert lab_module.sanitized() or sizes[-1] < max(sizes[:3]) + CYCLE * LEAK, sizes
