# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""docs/api.md: it has every method, type, event and error, and each example of it is what a relay says."""

import contextlib
import json
import os
import re
import socket
import struct
import time

import pytest

import mcx
import process
import sakke
import schema
from lab import PATIENCE, ROOT, RpcError, Side, wait_for
from tap import Tap, fragmentation_needed, mac_octets
from test_events import Subscriber
from test_schema import noticed, served

PAGE = (ROOT / "docs" / "api.md").read_text()
RAN, CORE = Side("ran", 1), Side("core", 2)
ADDRESSES = {"192.0.2.1:": f"{RAN.relay4}:", "192.0.2.2:": f"{RAN.host4}:", "192.0.2.3:": "10.77.1.3:",
             "198.51.100.1:": f"{CORE.relay4}:", "198.51.100.2:": f"{CORE.host4}:",
             '"198.51.100.2"': f'"{CORE.host4}"', '"198.51.100.254"': '"10.77.2.254"'}  # of the page, and of the lab
ALICE = "sip:alice@mcptt.example.org"
EXAMPLE = re.compile(r"^```json (request|result|shape|error|event)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def here(text):
    for documented, real in ADDRESSES.items():
        text = text.replace(documented, real)
    return text


def section(name):
    return re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]


def headings(name):
    return re.findall(r"^### (\S+)$", section(name), re.MULTILINE)


def examples(name):
    return [(kind, json.loads(here(text))) for kind, text in EXAMPLE.findall(section(name))]


EVENTS = {event["type"]: event for _, event in examples("Events")}
REQUESTS = [example for kind, example in examples("Methods") if kind == "request"]
KEY = next(request for request in REQUESTS if request["method"] == "key.install")["params"]["keys"][0]
SESSION = next(request for request in REQUESTS if request["method"] == "session.apply")["params"]["session"]


def shape(value):
    """Names and types, without values; of an array those of its first item, of drops nothing."""
    if isinstance(value, dict):
        return {name: dict if name == "drops" and isinstance(member, dict) else shape(member)
                for name, member in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value)


# It has everything

def test_it_has_every_method_and_event():
    assert sorted(headings("Methods")) == sorted(served())
    assert headings("Events") == noticed() == list(EVENTS)
    assert {request["method"] for request in REQUESTS} == set(served())


@pytest.mark.parametrize("name", ["Profile", "Key", "Protection", "Leg", "Session", "Kms", "Identity", "KeyParameters"])
def test_it_has_every_member_of_a_type(name):
    assert name in headings("Types")
    text = re.search(rf"^### {name}\n(.*?)(?=^###? |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]
    rows = [row for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)]
    assert {member for row in rows for member in re.findall(r"`(\w+)`", row)} == schema.DEFS[name]["properties"].keys()


def test_it_has_every_error():
    rows = re.findall(r"^\| (-?\d+) \| ([a-z ]+) \|", section("Errors"), re.MULTILINE)
    assert rows == [(str(code["const"]), code["description"]) for code in schema.DEFS["errorCode"]["oneOf"]]


@pytest.mark.parametrize("method", served())
def test_it_has_every_param(method):
    text = re.search(rf"^### {re.escape(method)}\n(.*?)(?=^###? |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]
    stated = schema.DEFS[f"{method}.params"].get("properties", {})
    assert ("No params." in text) == (not stated)
    assert {name for name in stated if f'"{name}"' not in text.split("→")[0]} == set()


# Its examples

def test_each_request_is_answered_so(relay):
    """In the order of the page: those that come later build on those before."""
    relay.call("session.remove", {"ids": list(relay.ANCHORS)})
    control = relay.connect()
    try:
        answered, asked = None, None
        for kind, example in [*examples("Methods"), ("request", None)]:
            if kind != "request":
                compared = shape if kind == "shape" else lambda value: value
                assert compared(answered) == compared(example), (asked, answered)
                answered = None
                continue
            assert answered is None or asked["method"] == "rpc.discover", f"{asked} has no answer on the page"
            if example is None:
                break
            asked = example
            try:
                answered = control.call(example["method"], example.get("params"))
            except RpcError as error:
                answered = {"code": error.code, "message": str(error).split(" ", 1)[1].rsplit(" (", 1)[0],
                            "data": error.data}
    finally:
        control.close()
        for family in relay.families:
            relay._anchor(f"anchor{family}", family)


class Call:
    """The call of the page, with somebody at each end."""

    def __init__(self, relay, lab, control):
        self.relay, self.lab, self.control = relay, lab, control
        self.stack = contextlib.ExitStack()
        self.gmk = mcx.RootKey("gmk", int(KEY["id"], 16), bytes.fromhex(KEY["value"]), bytes.fromhex(KEY["rand"]))
        self.talker = self.socket("ran", "192.0.2.2:5000")
        self.lmr = self.socket("core", "198.51.100.2:5000")
        self.install()
        self.apply()

    def install(self, **more):
        assert self.relay.call("key.install", {"keys": [KEY | more]})["installed"] == 1

    def apply(self, **more):
        self.relay.call("session.apply", {"session": SESSION | more})

    def socket(self, side, address):
        host, port = here(address).split(":")
        made = self.stack.enter_context(self.lab.socket(side, socket.AF_INET, socket.SOCK_DGRAM))
        made.bind((host, int(port)))
        return made

    def sender(self, user=ALICE, ssrc=1):
        return mcx.SrtpSender(self.gmk.group(user), ssrc)

    def say(self, packet, talker=None):
        host, port = SESSION["legs"][0]["local"].split(":")
        (talker or self.talker).sendto(packet, (host, int(port)))


def start_media(call):
    call.say(call.sender().protect(b"hello"))


def stop_media(call):
    call.apply(timeout=1)


def send_from_elsewhere(call):
    call.say(call.sender().protect(b"moved"), call.socket("ran", "192.0.2.2:5004"))


def let_key_live(call):
    """A second each."""
    now = int(time.time())
    call.install(activation=now + 1, expiry=now + 2)


def take_key_away(call):
    call.relay.call("key.revoke", {"keys": [{"id": KEY["id"]}]})
    call.say(call.sender().protect(b"hello"))


def forge(call):
    sender = call.sender()
    for _ in range(32):
        packet = bytearray(sender.protect(b"forged"))
        packet[14] ^= 1
        call.say(bytes(packet))


def speak_under_anothers_ssrc(call):
    """Two clients with a key each for floor control, both of which the relay protects under."""
    keys = [mcx.RootKey("csk", 0x20000001 + n, bytes(range(n, n + 16)), bytes(16)) for n in range(2)]
    call.relay.call("key.install", {"keys": [key.rpc() for key in keys]})
    first, second = (
        {"id": name, "port": "ran", "local": here(f"192.0.2.1:{port}"), "remote": here(f"192.0.2.2:{port - 1000}"),
         "traffic": "control", "protection": {"mode": "srtp", "key": key.id_text}}
        for name, port, key in (("first", 6000, keys[0]), ("alice", 6002, keys[1])))
    other = call.socket("ran", "192.0.2.2:5002")
    other.settimeout(PATIENCE)
    call.relay.call("session.apply", {"session": {
        "id": SESSION["id"], "service": "mcptt", "type": "group", "legs": [first, second]}})
    call.say(mcx.SrtcpSender(keys[0].control()).protect(mcx.floor_request(7, ALICE)))
    other.recv(2000)
    host, port = second["local"].split(":")
    other.sendto(mcx.SrtcpSender(keys[1].control()).protect(mcx.floor_request(7, ALICE)), (host, int(port)))


def control_in_clear(call):
    """SRTCP with E = 0 beside the media."""
    call.say(mcx.SrtcpSender(call.sender().context).protect(mcx.rr(7), encrypt=False))


def fill_a_queue(call):
    """Of packets that wait for a key context: 512 of a leg have room."""
    known = call.sender()
    call.say(known.protect(b"known"))
    call.lmr.recv(2000)
    lmr = call.sender("sip:lmr@gw.example.org", 2)
    with process.frozen(call.relay.process.pid):
        for _ in range(512 + 64):
            call.say(lmr.protect(b"first"))
        call.say(known.protect(b"behind them"))
        call.lmr.recv(2000)


def claim_address(call, host="10.77.1.1", mac="02:77:00:00:bb:02"):
    """By ARP, as if it were that host."""
    mac, it = mac_octets(mac), socket.inet_aton(host)
    with Tap(call.lab, "ran") as wire:
        wire.socket.send(b"\xff" * 6 + mac + struct.pack(">HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + mac + it + bytes(6) + it)


def send_what_a_router_refuses(call):
    """By ICMP of a router that there is not."""
    with Tap(call.lab, "core") as wire:
        call.say(call.sender().protect(bytes(1400)))
        while True:
            frame = wire.socket.recv(2048)
            if frame[6:12] == wire.relay_mac and len(frame) > 1400:
                break
        wire.send(*fragmentation_needed("10.77.2.254", CORE.relay4, 1300, frame[14:]))


def stop_listening(call):
    call.lmr.close()
    call.say(call.sender().protect(b"hello?"))


def move_a_host(call):
    """By ARP, as if 10.77.1.2, which the relay has just sent to, were elsewhere; and back."""
    call.talker.settimeout(PATIENCE)
    call.lmr.sendto(mcx.rtp(1, 1, b"hello"), ("10.77.2.1", 6000))
    call.talker.recv(2000)
    claim_address(call, "10.77.1.2")
    claim_address(call, "10.77.1.2", "02:77:00:00:01:02")


def send_too_much(call):
    """The second packet in a second."""
    call.apply(legs=[SESSION["legs"][0] | {"rate": {"packets": 1}}, SESSION["legs"][1]])
    sender = call.sender()
    with process.frozen(call.relay.process.pid):
        for _ in range(2):
            call.say(sender.protect(b"hello"))


def pull_the_cable(call):
    """For a moment."""
    call.lab.ip("relay", "link", "set", "veth-ran", "down")
    wait_for(call.relay.log_text, lambda text: "port_down port=ran" in text, "a line")
    call.lab.ip("relay", "link", "set", "veth-ran", "up")


def have_a_kms(call, **more):
    """Of nobody yet."""
    kms = sakke.Kms("kms.example.org")
    call.relay.call("kms.install", {"kms": [kms.rpc(**more)]})
    call.stack.callback(call.relay.call, "kms.remove", {"uris": [kms.uri]})
    return kms


def be_somebody(call, kms, seconds=None):
    """A key set of the period of that time."""
    call.relay.call("identity.install", {"identities": [kms.give("sip:lmr@gw.example.org", seconds).rpc()]})
    call.stack.callback(call.relay.call, "identity.remove", {"identities": [{"uri": "sip:lmr@gw.example.org", "kms": kms.uri}]})


def send_a_key(call):
    kms = have_a_kms(call)
    be_somebody(call, kms)
    key = mcx.RootKey("pck", 0x1a1b2c3d, os.urandom(16), os.urandom(16))
    message = sakke.text(sakke.Client(ALICE, kms).message(key, "sip:lmr@gw.example.org"))
    call.relay.call("message.open", {"message": message})
    call.relay.call("key.revoke", {"keys": [{"id": key.id_text}]})


def send_a_key_of_a_revoked_kms(call):
    kms = have_a_kms(call, revoked=True)
    message = sakke.text(sakke.Client(ALICE, kms).message(sakke.new_key("pck"), "sip:lmr@gw.example.org"))
    with pytest.raises(RpcError):
        call.relay.call("message.open", {"message": message})


def be_somebody_of_the_past(call):
    be_somebody(call, have_a_kms(call), 1790000000)


def have_a_kms_of_the_past(call):
    have_a_kms(call, valid_to=1790467200)


STIMULI = {"media.started": start_media, "media.timeout": stop_media, "leg.learned": send_from_elsewhere,
           "key.activated": let_key_live, "key.expired": let_key_live, "key.unknown": take_key_away,
           "auth.failing": forge, "ssrc.collision": speak_under_anothers_ssrc,
           "rtcp.unencrypted": control_in_clear, "overload": fill_a_queue,
           "address.conflict": claim_address, "path.mtu": send_what_a_router_refuses,
           "path.unreachable": stop_listening,
           "neighbour.moved": move_a_host, "leg.limited": send_too_much,
           "port.down": pull_the_cable, "port.up": pull_the_cable,
           "key.opened": send_a_key, "message.refused": send_a_key_of_a_revoked_kms,
           "identity.expiring": be_somebody_of_the_past, "kms.expiring": have_a_kms_of_the_past}


@pytest.mark.parametrize("kind", noticed())
def test_each_event_is_told_so(relay, lab, kind):
    with Subscriber(relay.connect(), [kind]) as subscriber:
        call = Call(relay, lab, subscriber.control)
        with call.stack:
            STIMULI[kind](call)
            of = {name: EVENTS[kind][name] for name in ("session", "key", "reason") if name in EVENTS[kind]}
            event = subscriber.expect(kind, **of)
    told = event | {"time": EVENTS[kind]["time"]}
    told.pop("lost", None)
    assert told == EVENTS[kind]
