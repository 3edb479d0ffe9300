# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""How much a leg may send: its rate, that of its service, and who loses first when a worker has no time left."""

import contextlib
import multiprocessing
import time

import pytest

import lab as lab_module
import mcx
import process
from lab import Client, Relay, RpcError, apply, install, wait_for
from test_mcxctl import shown

ALICE = "sip:alice@mcptt.example.org"
SERVICES = {"mcptt": {"packets": 200000, "octets": 100000000}, "mcvideo": {"packets": 3000000, "octets": 4000000000}}


def send_at_once(relay, client, packets):
    """The relay finds them all in its ring."""
    with process.frozen(relay.process.pid):
        for packet in packets:
            client.send(packet)


def leg_of(relay, session, name):
    return next(leg for leg in relay.call("session.get", {"id": session})["legs"] if leg["id"] == name)


def received(relay, session, name):
    """Packets that were accepted, and those that were too many."""
    statistics = leg_of(relay, session, name)["statistics"]["receive"]
    return statistics["packets"], statistics["drops"].get("rate_limited", 0)


@pytest.mark.parametrize("rate", [{"packets": 10}, {"octets": 10 * 212}], ids=["packets", "octets"])
@pytest.mark.parametrize("mode", ["opaque", "plain", "srtp"])
@pytest.mark.parametrize("family", [4, 6])
def test_rate_of_a_leg(relay, clients, name, new_key, mode, rate, family):
    """Ten packets a second of 200 octets of payload, of which what half a second allows may come at once."""
    a, b, gmk = clients("ran", family), clients("core", family), new_key()
    install(relay, gmk)
    sender = mcx.SrtpSender(gmk.group(ALICE), 7)
    key = gmk if mode == "srtp" else None
    apply(relay, name, [a.leg("a", mode, key, rate=rate), b.leg("b", "plain" if mode == "srtp" else mode)])
    packets = [sender.protect(bytes(200)) if key else mcx.rtp(7, n, bytes(200)) for n in range(40)]
    begin = time.monotonic()
    if key:  # its key context is derived for the first
        a.send(packets.pop(0))
        b.recv()
    send_at_once(relay, a, packets)
    accepted, refused = wait_for(lambda: received(relay, name, "a"), lambda counts: sum(counts) == 40, "40 packets")
    assert 5 <= accepted <= 6 + 11 * (time.monotonic() - begin)
    assert refused == 40 - accepted
    assert leg_of(relay, name, "b")["statistics"]["send"]["packets"] == accepted


def test_copies_cost_the_sender(relay, clients, name):
    """Fourteen listeners, and the leg itself, make a packet twice as dear as few."""
    a, b = clients("ran"), clients("core")
    listeners = [b.leg(f"b{n}", local="10.77.2.1") for n in range(14)]
    apply(relay, name, [a.leg("a", rate={"packets": 20}), *listeners])
    begin = time.monotonic()
    send_at_once(relay, a, [mcx.rtp(7, n, b"to all") for n in range(30)])
    accepted, _ = wait_for(lambda: received(relay, name, "a"), lambda counts: sum(counts) == 30, "30 packets")
    assert 5 <= accepted <= 6 + 11 * (time.monotonic() - begin)


def test_restated_leg_goes_on_where_it_was(relay, clients, name):
    a, b = clients("ran"), clients("core")
    begin = time.monotonic()
    for n in range(3):
        apply(relay, name, [a.leg("a", rate={"packets": 10}, dscp=n), b.leg("b")])
        send_at_once(relay, a, [mcx.rtp(7, 100 * n + i, b"again") for i in range(20)])
        accepted, _ = wait_for(lambda: received(relay, name, "a"), lambda counts: sum(counts) == 20 * (n + 1), "20 packets")
    assert accepted <= 6 + 11 * (time.monotonic() - begin)
    apply(relay, name, [a.leg("a", rate={"packets": 0, "octets": 0}), b.leg("b")])
    before, _ = received(relay, name, "a")
    send_at_once(relay, a, [mcx.rtp(7, 400 + i, b"any number") for i in range(400)])
    counts = wait_for(lambda: received(relay, name, "a"), lambda counts: sum(counts) == 460, "400 packets")
    assert counts[0] == before + 400


def test_rate_is_shown(relay, clients, name):
    a, b = clients("ran"), clients("core")
    for service, default in SERVICES.items():
        assert relay.call("relay.info")["limits"]["rate"][service] == default
        for stated in ({}, {"packets": 5}, {"octets": 5}, {"packets": 5, "octets": 0}):
            apply(relay, name, [a.leg("a", rate=stated), b.leg("b")], service=service)
            leg = leg_of(relay, name, "a")
            assert leg.get("rate") == (default | stated if stated else None)
            assert "rate" not in leg_of(relay, name, "b")
    head, first, *_ = (line.split() for line in shown(relay, "show", "session", name).splitlines()[1:])
    columns = dict(zip(head, first))
    assert columns["LEG"] == "a" and columns["PACKETS/S"] == "5" and columns["OCTETS/S"] == "0"


@pytest.mark.parametrize("rate, path, says", [
    (5, "rate", "an object"), ({"packets": -1}, "rate.packets", "0 to 1000000000"),
    ({"packets": 10 ** 9 + 1}, "rate.packets", "0 to 1000000000"), ({"octets": 10 ** 12 + 1}, "rate.octets", "0 to 1000000000000"),
    ({"octets": "1"}, "rate.octets", "an integer"), ({"frames": 1}, "rate.frames", "packets, octets")])
def test_wrong_rate(relay, clients, name, rate, path, says):
    a, b = clients("ran"), clients("core")
    with pytest.raises(RpcError) as caught:
        apply(relay, name, [a.leg("a", rate=rate), b.leg("b")])
    assert caught.value.code == -32602 and caught.value.path == f"params.session.legs[0].{path}"
    assert says in str(caught.value)


def test_rate_of_a_service(lab):
    """Of the configuration; a leg that states its own is not concerned."""
    with Relay(lab, limits={"rate": "{ mcptt = { packets = 10; }; }"}, families=()) as relay, \
            Client(lab, "ran") as a, Client(lab, "core") as b:
        assert relay.call("relay.info")["limits"]["rate"]["mcptt"] == {"packets": 10, "octets": 100000000}
        for service, rate, limited in (("mcptt", {}, True), ("mcvideo", {}, False), ("mcptt", {"packets": 1000}, False)):
            apply(relay, "call", [a.leg("a", rate=rate), b.leg("b")], service=service)
            send_at_once(relay, a, [mcx.rtp(7, n, b"again") for n in range(30)])
            counts = wait_for(lambda: received(relay, "call", "a"), lambda counts: sum(counts) == 30, "30 packets")
            assert (counts[1] > 0) == limited
            relay.call("session.remove", {"ids": ["call"]})


def flood(client, stop):
    """Authentic packets, 8,000 a second if this process may."""
    number, due = 0, time.monotonic()
    while not stop.is_set():
        for _ in range(80):
            client.send(mcx.rtp(66, number & 0xffff, bytes(160)))
            number += 1
        due = max(due + 0.01, time.monotonic() - 0.1)
        time.sleep(max(0, due - time.monotonic()))


@contextlib.contextmanager
def flooding(client):
    stop = multiprocessing.Event()
    child = multiprocessing.Process(target=flood, args=(client, stop), daemon=True)
    child.start()
    try:
        yield
    finally:
        stop.set()
        child.join()


def test_flood_of_a_member_costs_no_other(lab):
    """A member of a group of 200 legs, and a call beside it, each of whose packets arrives: during the flood, and after."""
    with Relay(lab, families=(4,)) as relay, contextlib.ExitStack() as stack:
        attacker, sink = (stack.enter_context(Client(lab, "ran")) for _ in range(2))
        a, b = (stack.enter_context(Client(lab, "core")) for _ in range(2))
        legs = [attacker.leg("attacker")] + [sink.leg(f"l{n}", local="10.77.1.1") for n in range(200)]
        listening = stack.enter_context(contextlib.closing(relay.connect()))
        listening.call("events.subscribe", {"types": ["leg.limited"]})
        apply(relay, "group", legs)
        apply(relay, "call", [a.leg("a"), b.leg("b")])
        told, number = [], 0
        with flooding(attacker):
            deadline = time.monotonic() + lab_module.PATIENCE
            while not told and time.monotonic() < deadline:
                for _ in range(20):
                    time.sleep(0.02)  # the pace of voice: who sends faster than that is squeezed, too
                    number += 1
                    a.send(mcx.rtp(1, number, b"through the flood"))
                    assert b.recv() == mcx.rtp(1, number, b"through the flood")
                told = [line for line in relay.log if 'leg.limited session="group" leg="attacker"' in line]
        assert told and listening.read_line()["params"]["leg"] == "attacker"
        assert received(relay, "call", "a") == (number, 0)
        assert received(relay, "group", "attacker")[1] > 0
