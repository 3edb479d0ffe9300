# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""events.subscribe: each type, who hears it, what a slow subscriber is told."""

import contextlib
import json
import multiprocessing
import select
import socket
import time

import pytest

import lab as lab_module
import mcx
import process
import schema
from lab import PATIENCE, Relay, RpcError, apply, install, wait_for
from tap import Tap
from test_tls import TlsControl, certificates, client_context, own_lab, served  # noqa: F401 (fixtures)

ALICE, BOB = "sip:alice@mcptt.example.org", "sip:bob@mcptt.example.org"
TYPES = ["media.started", "media.timeout", "leg.learned", "key.activated", "key.expired", "key.unknown",
         "auth.failing", "ssrc.collision", "rtcp.unencrypted", "overload", "address.conflict",
         "path.mtu", "path.unreachable",
         "neighbour.moved", "leg.limited", "port.down", "port.up",
         "key.opened", "message.refused", "identity.expiring", "kms.expiring"]


class Subscriber:
    """A connection that hears of events."""

    def __init__(self, control, types=None):
        self.control = control
        self.subscribe(types)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.control.close()

    def subscribe(self, types=None):
        assert self.control.call("events.subscribe", {} if types is None else {"types": types}) == {}

    def event(self):
        message = self.control.read_line()
        assert message.keys() == {"jsonrpc", "method", "params"} and message["jsonrpc"] == "2.0"
        assert message["method"] == "event"
        found = schema.mistakes(f"{message['params']['type']}.event", message["params"])
        assert not found, message
        return message["params"]

    def expect(self, kind, **members):
        """The next event of that type with these members; others may come before."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            event = self.event()
            if event["type"] == kind and members.items() <= event.items():
                assert abs(event["time"] - time.time()) < 60 and event["time"] % 0.001 == pytest.approx(0, abs=0.001)
                return event
        raise AssertionError(f"no {kind} with {members}")


@pytest.fixture
def subscriber_of():
    """Makes Subscribers of a relay, who end with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda relay, *types: stack.enter_context(Subscriber(relay.connect(), list(types)))


@pytest.fixture
def subscriber(relay):
    with Subscriber(relay.connect()) as made:
        yield made


def call(relay, name, clients, **more):
    a, b = clients("ran"), clients("core")
    apply(relay, name, [a.leg("a"), b.leg("b")], **more)
    return a, b


def protected(relay, name, clients, gmk, **more):
    a, b = clients("ran"), clients("core")
    apply(relay, name, [a.leg("a", "srtp", gmk, protection={"user": ALICE}, **more), b.leg("b", "plain")])
    return a, b


def members(event):
    return event.keys() - {"type", "time", "lost"}


def test_media_starts_and_ends(relay, subscriber, clients, name):
    a, b = call(relay, name, clients, timeout=1)
    a.send(mcx.rtp(1, 1, b"hello"))
    assert members(subscriber.expect("media.started", session=name, leg="a")) == {"session", "leg"}
    assert members(subscriber.expect("media.timeout", session=name, seconds=1)) == {"session", "seconds"}
    b.send(mcx.rtp(2, 1, b"again"))
    subscriber.expect("media.started", session=name, leg="b")


def test_leg_learned(relay, subscriber, clients, name, new_key):
    gmk = new_key()
    install(relay, gmk)
    a, b = protected(relay, name, clients, gmk, learn="authenticated", remote=None)
    a.send(mcx.SrtpSender(gmk.group(ALICE), 1).protect(b"here I am"))
    event = subscriber.expect("leg.learned", session=name, leg="a")
    assert event["address"] == a.address and members(event) == {"session", "leg", "address"}


def test_key_lives(relay, subscriber, new_key):
    key, now = new_key("pck"), int(time.time())
    install(relay, key.rpc() | {"activation": now + 1, "expiry": now + 2})
    for kind in ("key.activated", "key.expired"):
        event = subscriber.expect(kind, key=key.id_text)
        assert event["domain"] == "home" and event["key_type"] == "pck"
        assert members(event) == {"key", "key_type", "domain"}


def test_key_of_a_session(relay, subscriber, clients, name, new_key):
    """It has no domain: the session says whose it is."""
    key, a = new_key("pck"), clients("ran")
    stated = key.rpc() | {"expiry": int(time.time()) + 1}
    stated.pop("domain", None)
    apply(relay, name, [a.leg("a", "srtp", protection={"key": key.id_text, "role": "initiator"})], kind="private",
          keys=[stated])
    assert members(subscriber.expect("key.expired", key=key.id_text, session=name)) == {"key", "key_type", "session"}


@pytest.mark.parametrize("state", ["missing", "pending"])
def test_key_unknown_because_it_cannot_be_used(relay, subscriber, clients, name, new_key, state):
    gmk = new_key()
    install(relay, gmk.rpc() | {"activation": int(time.time()) + 3600})
    a, b = protected(relay, name, clients, gmk)
    if state == "missing":
        relay.call("key.revoke", {"keys": [{"id": gmk.id_text}]})
    a.send(mcx.SrtpSender(gmk.group(ALICE), 1).protect(b"too early"))
    event = subscriber.expect("key.unknown", session=name, leg="a")
    assert (event["key"], event["reason"], event["state"], event["count"]) == (gmk.id_text, "no_key", state, 1)


def test_key_unknown_does_not_repeat_what_the_wire_says(relay, subscriber, clients, name, new_key):
    gmk, foreign = new_key(), new_key()
    install(relay, gmk)
    a, b = protected(relay, name, clients, gmk)
    a.send(mcx.SrtpSender(foreign.group(ALICE), 1).protect(b"foreign"))
    event = subscriber.expect("key.unknown", session=name, leg="a", reason="unknown_mki")
    assert members(event) == {"session", "leg", "reason", "count"} and foreign.id_text not in json.dumps(event)


def test_auth_failing(relay, subscriber, clients, name, new_key):
    gmk = new_key()
    install(relay, gmk)
    a, b = protected(relay, name, clients, gmk)
    alice = mcx.SrtpSender(gmk.group(ALICE), 1)
    for _ in range(40):
        packet = bytearray(alice.protect(b"forged"))
        packet[14] ^= 1
        a.send(bytes(packet))
    event = subscriber.expect("auth.failing", session=name, leg="a")
    assert 32 <= event["count"] <= 40 and members(event) == {"session", "leg", "count"}


def test_ssrc_collision(relay, subscriber, clients, name, new_key):
    keys = new_key("csk"), new_key("csk")
    install(relay, *keys)
    a, b = clients("ran"), clients("core")
    apply(relay, name, [end.leg(leg, "srtp", key, traffic="control")
                        for end, leg, key in ((a, "a", keys[0]), (b, "b", keys[1]))])
    a.send(mcx.SrtcpSender(keys[0].control()).protect(mcx.floor_request(7, ALICE)))
    b.recv()
    b.send(mcx.SrtcpSender(keys[1].control()).protect(mcx.floor_request(7, BOB)))
    event = subscriber.expect("ssrc.collision", session=name, leg="b")
    assert event["count"] == 1 and members(event) == {"session", "leg", "count"}


def test_rtcp_unencrypted(relay, subscriber, clients, name, new_key):
    """Of a client that sends SRTCP in clear, not of one that does not."""
    keys = new_key("csk"), new_key("csk")
    install(relay, *keys)
    a, b = clients("ran"), clients("core")
    apply(relay, name, [end.leg(leg, "srtp", key, traffic="control")
                        for end, leg, key in ((a, "a", keys[0]), (b, "b", keys[1]))])
    b.send(mcx.SrtcpSender(keys[1].control()).protect(mcx.floor_request(8, BOB)))
    a.recv()
    a.send(mcx.SrtcpSender(keys[0].control()).protect(mcx.floor_request(7, ALICE), encrypt=False))
    b.recv()
    event = subscriber.expect("rtcp.unencrypted", session=name)
    assert event["leg"] == "a" and event["count"] == 1 and members(event) == {"session", "leg", "count"}


def test_overload_begins_and_ends(clients, name, new_key):
    """More packets of a first talker than wait for a key context, while the control thread stands still.

    Of a relay of its own: where another test let that many wait, the overload goes on for ten seconds."""
    gmk = new_key()
    with lab_module.Lab() as lab, Relay(lab, families=(4,)) as relay, Subscriber(relay.connect()) as subscriber:
        install(relay, gmk)
        a, b = protected(relay, name, lambda side: clients(side, lab=lab), gmk)
        bob = mcx.SrtpSender(gmk.group(BOB), 5)
        alice = mcx.SrtpSender(gmk.group(ALICE), 1)
        a.send(alice.protect(b"known"))
        b.recv()
        with process.frozen(relay.process.pid):
            for _ in range(512 + 64):
                a.send(bob.protect(b"first"))
            a.send(alice.protect(b"behind them"))
            b.recv()
        event = subscriber.expect("overload", state="on")
        assert event["reason"] == "hold_full" and event["count"] == 64
        assert members(event) == {"reason", "state", "count"}
        assert subscriber.expect("overload", reason="hold_full", state="off")["time"] >= event["time"] + 10


@pytest.fixture
def flood():
    """flood(client, packet): sends it from now on as fast as it goes, until the test or `with flood(..)` ends."""
    @contextlib.contextmanager
    def sending(client, packet):
        sender = multiprocessing.get_context("fork").Process(target=send_without_end, args=(client, packet), daemon=True)
        sender.start()
        try:
            yield
        finally:
            sender.kill()
            sender.join()
    return sending


def send_without_end(client, packet):
    while True:
        with contextlib.suppress(OSError):                      # the interface's queue is full
            client.send(packet)


class PcapRelay(Relay):
    """Its ports are libpcap's: a driver for kernel interfaces that counts itself what it missed."""

    RINGS = ""

    def config_text(self):
        text = super().config_text()
        for n, side in enumerate(self.lab.sides):
            old = f"net_af_packet{n},iface=veth-{side}"
            assert text.count(old) == 1
            text = text.replace(old, f"net_pcap{n},iface=veth-{side}")
        return text.replace("confine = false;\n", "") + "confine = false;\n"   # its system calls are not those that are let


@pytest.mark.parametrize("kind", [Relay, PcapRelay], ids=["af_packet", "pcap"])
def test_overload_of_a_port(subscriber_of, flood, kind):
    """While its worker stands still more frames come than the port has buffers for."""
    with lab_module.Lab() as lab, kind(lab, families=(4,)) as relay, lab_module.Client(lab, "ran") as a, \
            lab_module.Client(lab, "core") as b:
        apply(relay, "call", [a.leg("a"), b.leg("b")])
        subscriber = subscriber_of(relay, "overload")
        [worker] = process.workers(relay.process.pid)

        def missed():
            return relay.call("relay.stats")["ports"][0]["rx_missed"]

        with process.frozen(worker), flood(a, mcx.rtp(1, 1, bytes(160))):
            wait_for(missed, lambda n: n > 1000, "frames that the port missed")
        event = subscriber.expect("overload", reason="rx_missed", state="on")
        assert event["port"] == "ran" and event["count"] >= 32 and members(event) == {"reason", "state", "count", "port"}
        told = [event]
        while told[-1]["state"] == "on":
            told.append(subscriber.expect("overload", reason="rx_missed"))
        assert told[-1]["port"] == "ran" and sum(e.get("count", 0) for e in told) <= missed()
        assert told[-1]["time"] >= event["time"] + 10
        assert "warning overload reason=rx_missed port=\"ran\" state=on" in relay.log_text()


def test_overload_of_a_worker(subscriber_of, flood):
    """It has to copy more than it can send, as the leg may send any number; the socket that receives the copies just drops them."""
    n_copies = 200
    with lab_module.Lab() as lab, Relay(lab, families=(4,)) as relay, lab_module.Client(lab, "ran") as talker, \
            lab_module.Client(lab, "core") as listener:
        listeners = [listener.leg(f"b{n}") | {"local": lab_module.address_text(listener.relay_host, 30000 + n)}
                     for n in range(n_copies)]
        apply(relay, "call", [talker.leg("a", rate={"packets": 0, "octets": 0}), *listeners])
        subscriber = subscriber_of(relay, "overload")
        [worker] = relay.call("relay.stats")["workers"]
        assert worker["squeeze"] == 0
        wait_for(lambda: relay.call("relay.stats")["workers"][0]["busy_percent"], lambda n: n < 50, "a worker that has time")
        with flood(talker, mcx.rtp(1, 1, bytes(160))):
            event = subscriber.expect("overload", reason="worker_busy", state="on")
            wait_for(lambda: relay.call("relay.stats")["workers"][0]["squeeze"], lambda n: 2 <= n <= 12, "what it does about it")
            wait_for(lambda: relay.call("relay.stats")["workers"][0]["busy_percent"], lambda n: n >= 95, "how busy it is")
        assert event["worker"] == 0 and members(event) == {"reason", "state", "count", "worker"}
        off = subscriber.expect("overload", reason="worker_busy", state="off")
        assert off["worker"] == 0 and off["time"] >= event["time"] + 10
        assert "warning overload reason=worker_busy worker=0 state=on" in relay.log_text()


# Who hears

def test_two_subscribers_and_their_types(relay, clients, name):
    with Subscriber(relay.connect(), ["media.started"]) as one, Subscriber(relay.connect(), ["media.timeout"]) as two:
        a, b = call(relay, name, clients, timeout=1)
        a.send(mcx.rtp(1, 1, b"hello"))
        assert one.event()["type"] == "media.started"
        assert two.event()["type"] == "media.timeout"


def test_types_are_replaced(relay, clients, name):
    """After the answer nothing comes of the types before; and an empty array ends it."""
    with Subscriber(relay.connect(), TYPES) as one, Subscriber(relay.connect(), ["media.started"]) as witness:
        one.subscribe(["media.timeout"])
        a, b = call(relay, name, clients, timeout=1)
        a.send(mcx.rtp(1, 1, b"hello"))
        witness.expect("media.started", session=name)
        assert one.event()["type"] == "media.timeout"
        one.subscribe([])
        b.send(mcx.rtp(2, 1, b"hello"))
        witness.expect("media.started", session=name, leg="b")
        assert one.control.call("relay.info")["api"] == 1  # and no event before that answer


def test_closed_subscriber(relay, clients, name):
    Subscriber(relay.connect()).control.close()
    with Subscriber(relay.connect(), ["media.started"]) as witness:
        call(relay, name, clients)[0].send(mcx.rtp(1, 1, b"hello"))
        witness.expect("media.started", session=name)
    assert relay.call("relay.info")["api"] == 1


@pytest.mark.parametrize("params, path", [
    ({"types": ["media.started", "media.stopped"]}, "params.types[1]"), ({"types": [5]}, "params.types[0]"),
    ({"types": "media.started"}, "params.types"), ({"type": []}, "params.type")])
def test_refused(relay, params, path):
    with pytest.raises(RpcError) as error:
        relay.call("events.subscribe", params)
    assert error.value.code == -32602 and error.value.path == path
    if path.endswith("]"):
        assert all(kind in str(error.value) for kind in TYPES)


def test_over_tls(served, own_lab, certificates):  # noqa: F811
    a, b = (lab_module.Client(own_lab, side) for side in ("ran", "core"))
    with a, b, Subscriber(TlsControl(own_lab, client_context(certificates, certificates.mcx))) as subscriber:
        apply(served, "over-tls", [a.leg("a"), b.leg("b")])
        a.send(mcx.rtp(1, 1, b"hello"))
        subscriber.expect("media.started", session="over-tls", leg="a")


# Storms

def storm(relay, n, seconds, first):
    """So many keys expire at once."""
    expiry = int(time.time()) + seconds
    install(relay, *({"id": f"1{first + i:07x}", "value": "0f" * 16, "rand": "0e" * 16, "expiry": expiry}
                     for i in range(n)))


def test_slow_subscriber_is_told_what_it_lost(relay):
    """It reads nothing while more expire than sockets and queue hold; another one who asks is answered at once."""
    told, heard, lost = 4000, 0, 0
    with Subscriber(relay.connect(), ["key.expired", "media.started"]) as slow:
        slow.control.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        storm(relay, told, 2, 0)
        wait_for(lambda: {k["state"] for k in relay.call("key.list", {"domain": "home"})["keys"]},
                 lambda states: states == {"expired"}, "end of the keys")
        relay.clear()
        while heard + lost < told:
            if b"\n" not in slow.control.buffer and not select.select([slow.control.socket], [], [], 0.2)[0]:
                storm(relay, 1, 1, 0x100000 + told)  # the next event there is, with the number of those lost
                told += 1
            event = slow.event()
            heard += 1
            lost += event.get("lost", 0)
        assert lost > 0 and heard + lost == told
