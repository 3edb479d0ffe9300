# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""The relay opens I_MESSAGEs of a client that knows no code of it, and media flows under keys that no other than the
two of them ever saw in clear."""

import ctypes
import itertools
import json
import secrets

import pytest

import mcdata
import mcx
import process
import sakke
import vectors
from lab import Relay, RpcError, apply, wait_for
from test_standard_segy import FAMILIES, LMR, SERVICES, SSRC, opposite

REFUSED, CONFLICT, FALSE_KEY, NOT_FOUND, BUSY = 6, 2, 4, 1, 5
_numbers = itertools.count(1)


class Domain:
    """A KMS, this relay as a user of it, and Alice and a GMS who are others."""

    def __init__(self, relay, period=sakke.PERIOD):
        number = next(_numbers)
        self.relay, self.name = relay, f"domain{number}"
        self.kms = sakke.Kms(f"kms{number}.example.org", period)
        self.alice = sakke.Client(f"sip:alice{number}@mcptt.example.org", self.kms)
        self.gms = sakke.Client(f"sip:gms{number}@gms.example.org", self.kms)
        self.uri = f"sip:lmr{number}@gw.example.org"
        self.keys = self.kms.give(self.uri)
        self.state_kms()
        self.install()

    def state_kms(self, **more):
        answer = self.relay.call("kms.install", {"kms": [self.kms.rpc(gms=[self.gms.uri], **more)], "replace": True})
        assert answer == {"installed": 1, "rejected": []}

    def install(self):
        answer = self.relay.call("identity.install", {"identities": [self.keys.rpc(domain=self.name)]})
        assert answer == {"installed": 1, "rejected": []}

    def open(self, message, **more):
        return self.relay.call("message.open", {"message": sakke.text(message)} | more)

    def refusal(self, message, **more):
        """Why a message is refused; and no key is there."""
        with pytest.raises(RpcError) as caught:
            self.open(message, **more)
        assert caught.value.code == REFUSED and caught.value.path == "params.message"
        assert self.installed() == []
        return caught.value.data["reason"]

    def installed(self):
        return [key["id"] for key in self.relay.call("key.list", {"domain": self.name})["keys"]]

    def name_of_identity(self):
        return {"uri": self.uri, "kms": self.kms.uri}

    def close(self):
        self.relay.call("key.revoke", {"keys": [{"id": key, "domain": self.name} for key in self.installed()]})
        self.relay.call("identity.remove", {"identities": [self.name_of_identity()]})
        self.relay.call("kms.remove", {"uris": [self.kms.uri]})


@pytest.fixture
def domain(relay):
    made = Domain(relay)
    yield made
    made.close()


def test_the_client_computes_what_the_rfcs_say():
    """RFC 6508 A and TS 33.180 F.2.1.2: it is not the relay that it agrees with."""
    sample = dict(vectors.sections("sakke"))["rfc6508_A"]
    z_point = sakke.SAKKE.multiply(int(sample["z"], 16), sakke.BASE)
    assert sakke.SAKKE.write(z_point).hex() == sample["Z"]
    sed = sakke.encapsulate(z_point, bytes.fromhex(sample["b"]), bytes.fromhex(sample["ssv"]))
    assert sed.hex() == sample["sed"]
    uid = dict(vectors.sections("uid"))["ts33180_F212"]
    assert sakke.uid_of(uid["identifier"], uid["kms"], 2592000, 0, int(uid["period_no"])).hex() == uid["uid"]


@SERVICES
@FAMILIES
def test_private_call_under_a_pck_that_a_client_sent(domain, relay, clients, name, service, family):
    """L.4.2: the client makes the PCK; the relay opens the message and speaks plain to the other side, both ways."""
    key = sakke.new_key("pck")
    answer = domain.open(domain.alice.message(key, domain.uri), initiator=domain.alice.uri)
    assert (answer["type"], answer["id"], answer["domain"]) == ("pck", key.id_text, domain.name)
    assert (answer["initiator"], answer["receiver"]) == (domain.alice.uri, domain.uri)
    assert answer["installed"] and not answer["revoked"] and domain.installed() == [key.id_text]
    client, lmr = clients("ran", family), clients("core", family)
    apply(relay, name, [client.leg("client", "srtp", key, protection={"role": "initiator", "domain": domain.name}),
                        lmr.leg("lmr", "plain")], service, "private")
    sender = mcx.SrtpSender(key.private("initiator", service), SSRC)
    receiver = mcx.SrtpReceiver(key.private(opposite("initiator"), service))
    plain = mcx.PlainSender(LMR)
    for n in range(5):
        client.send(sender.protect(b"up %d" % n))
        assert lmr.recv() == sender.last_plain
        lmr.send(plain.protect(b"down %d" % n))
        assert receiver.unprotect(client.recv()).payload == b"down %d" % n


@FAMILIES
def test_group_call_under_a_gmk_that_a_gms_sent(domain, relay, clients, name, family):
    """L.4.4: the CSB-ID is the receiver's GUK-ID; the GMK-ID comes out, and the relay speaks as the receiver."""
    key = sakke.new_key("gmk")
    answer = domain.open(domain.gms.message(key, domain.uri))
    assert (answer["type"], answer["id"]) == ("gmk", key.id_text)
    assert answer["guk_id"] == f"{key.guk_id(domain.uri):08x}"
    assert answer["profile"] == {"suite": "aead-aes-128-gcm", "mki_length": 8, "roc_rate": 1}
    client, lmr = clients("ran", family), clients("core", family)
    apply(relay, name, [client.leg("client", "srtp", key, protection={"domain": domain.name}),
                        lmr.leg("lmr", "plain", protection={"user": domain.uri})])
    sender, plain = mcx.SrtpSender(key.group(domain.alice.uri), SSRC), mcx.PlainSender(LMR)
    receiver = mcx.SrtpReceiver(key.group(domain.uri))
    for n in range(5):
        client.send(sender.protect(b"up %d" % n))
        assert lmr.recv() == sender.last_plain
        lmr.send(plain.protect(b"down %d" % n))
        assert receiver.unprotect(client.recv()).payload == b"down %d" % n


def test_one_octet_changed_anywhere(domain):
    """Refused with a reason, and nothing is installed. Then the message itself is taken."""
    message = domain.alice.message(sakke.new_key("pck"), domain.uri)
    reasons = set()
    for at in range(secrets.randbelow(7), len(message), 7):
        changed = bytearray(message)
        changed[at] ^= 1 << secrets.randbelow(8)
        reasons.add(domain.refusal(bytes(changed)))
    assert len(reasons) > 5 and reasons >= {"signature"}
    assert domain.open(message)["installed"]


def test_who_may_send_what(domain):
    """5.6, 5.7: a GMK comes from a GMS of the KMS, a PCK from nobody of them; SIP names the same sender."""
    assert domain.refusal(domain.alice.message(sakke.new_key("gmk"), domain.uri)) == "not-authorized"
    assert domain.refusal(domain.gms.message(sakke.new_key("pck"), domain.uri)) == "not-authorized"
    message = domain.alice.message(sakke.new_key("pck"), domain.uri)
    assert domain.refusal(message, initiator="sip:mallory@mcptt.example.org") == "initiator"
    assert domain.refusal(domain.alice.message(sakke.new_key("pck"), "sip:other@gw.example.org")) == "not-for-us"
    stranger = sakke.Kms("kms.nobody.example.org")
    assert domain.refusal(sakke.Client(domain.alice.uri, stranger).message(
        sakke.new_key("pck"), domain.uri, domain.kms)) == "unknown-kms"
    impostor = sakke.Kms(domain.kms.uri)
    impostor.z_point = domain.kms.z_point
    assert domain.refusal(sakke.Client(domain.alice.uri, impostor).message(
        sakke.new_key("pck"), domain.uri, domain.kms)) == "signature"


def test_a_key_goes_where_its_session_looks(domain, relay, clients, name):
    """`session`: the key is in the session's domain, not in the identity's, and media flows under it."""
    client, lmr = clients("ran", 4), clients("core", 4)
    spec = {"id": name, "service": "mcptt", "type": "private", "domain": f"{name}.home", "legs": [lmr.leg("lmr", "plain")]}
    relay.call("session.apply", {"session": spec})
    key = sakke.new_key("pck")
    message = domain.alice.message(key, domain.uri)
    for session in (f"{name}-other", ""):
        with pytest.raises(RpcError) as caught:
            domain.open(message, session=session)
        assert (caught.value.code, caught.value.path) == (NOT_FOUND, "params.session")
    answer = domain.open(message, session=name)
    assert answer["domain"] == f"{name}.home" and domain.installed() == []
    assert [one["id"] for one in relay.call("key.list", {"domain": f"{name}.home"})["keys"]] == [key.id_text]
    leg = client.leg("client", "srtp", key, protection={"role": "initiator"})
    leg["protection"].pop("domain")
    spec["legs"].append(leg)
    relay.call("session.apply", {"session": spec})
    client.send(mcx.SrtpSender(key.private("initiator"), SSRC).protect(b"up"))
    assert lmr.recv()[-2:] == b"up"
    relay.call("key.revoke", {"keys": [{"id": key.id_text, "domain": f"{name}.home"}]})


def test_a_group_has_one_gms(domain):
    """5.7.2: another GMS's key for a group that has one is a conflict, and the message stays unopened."""
    group, other = "sip:group@mcptt.example.org", "sip:other@mcptt.example.org"
    rival = sakke.Client("sip:rival@gms.example.org", domain.kms)
    stated = domain.kms.rpc(gms=[domain.gms.uri, rival.uri])
    domain.relay.call("kms.install", {"kms": [stated], "replace": True})

    def gmk(gms, *groups):
        key = sakke.new_key("gmk")
        return key, gms.message(key, domain.uri, parameters=mcdata.key_parameters("gmk", groups))

    first, message = gmk(domain.gms, group)
    assert domain.open(message)["key_parameters"]["groups"] == [group]
    next_one, following = gmk(domain.gms, other, group)
    assert domain.open(following)["installed"]
    assert domain.open(gmk(rival, "sip:third@mcptt.example.org")[1])["installed"]
    second, message = gmk(rival, "sip:fourth@mcptt.example.org", group)
    with pytest.raises(RpcError) as caught:
        domain.open(message)
    assert (caught.value.code, caught.value.path) == (CONFLICT, "params.message") and group in str(caught.value)
    assert second.id_text not in domain.installed()
    keys = [{"id": key.id_text, "domain": domain.name} for key in (first, next_one)]
    domain.relay.call("key.revoke", {"keys": keys})
    assert domain.open(message)["installed"]


def departures(relay, domain):
    """What the log says of the KMS's users."""
    return [line.split("accept=")[1] for line in relay.log_text().splitlines()
            if "kms.departure" in line and f'"{domain.kms.uri}"' in line]


@pytest.mark.parametrize("without", [(6,), (7,), (6, 7)], ids=["initiator", "receiver", "both"])
def test_a_message_that_names_no_kms(domain, without):
    """`kms_defaults`: the KMS is that of the receiver, if it says so and is the only one; the log says it once."""
    def message():
        return domain.alice.message(sakke.new_key("pck"), domain.uri, without=without)

    assert domain.refusal(message()) == "missing-payload"
    domain.state_kms(accept=["kms_defaults", "srtp_id_map"])
    for _ in range(2):
        answer = domain.open(message())
        assert (answer["initiator_kms"], answer["receiver_kms"]) == (domain.kms.uri, domain.kms.uri)
    assert departures(domain.relay, domain) == ["kms_defaults"]
    domain.open(domain.alice.message(sakke.new_key("pck"), domain.uri))
    assert departures(domain.relay, domain) == ["kms_defaults"]


def test_departures_of_the_configuration(lab):
    """`mikey.accept` is of KMSs that state none."""
    with Relay(lab, options='mikey = { accept = [ "srtp_id_map", "kms_defaults" ]; };\n') as relay:
        domain, other = Domain(relay), sakke.Kms("kms.other.example.org")
        assert domain.open(domain.alice.message(sakke.new_key("pck"), domain.uri, without=(6, 7)))["installed"]
        relay.call("kms.install", {"kms": [other.rpc(accept=[])]})
        shown = {kms["uri"]: kms["accept"] for kms in relay.call("kms.list")["kms"]}
        assert shown == {domain.kms.uri: ["srtp_id_map", "kms_defaults"], other.uri: []}
        assert relay.call("kms.install", {"kms": [other.rpc(accept=[])]})["rejected"] == []


def test_a_clock_that_has_to_be_right(lab):
    """`mikey.require_sync`: messages are opened as adjtimex(2) has it, also by a confined process."""
    timex = ctypes.create_string_buffer(1024)
    asked = ctypes.CDLL(None).adjtimex(timex)
    unsynchronised = asked < 0 or int.from_bytes(timex.raw[40:44], "little") & 0x40
    with Relay(lab, options="mikey = { require_sync = true; };\n") as relay:
        domain = Domain(relay)
        message = domain.alice.message(sakke.new_key("pck"), domain.uri)
        if not unsynchronised:
            assert domain.open(message)["installed"]
            return
        with pytest.raises(RpcError) as caught:
            domain.open(message)
        assert caught.value.code == BUSY and "not synchronised" in str(caught.value)


def test_a_receiver_of_two_kmss_needs_one_named(domain):
    """`kms_defaults` of both: which of them is meant cannot be said."""
    other = sakke.Kms(f"other.{domain.kms.uri}")
    domain.state_kms(accept=["kms_defaults"])
    try:
        domain.relay.call("kms.install", {"kms": [other.rpc(accept=["kms_defaults"])]})
        domain.relay.call("identity.install", {"identities": [other.give(domain.uri).rpc(domain=domain.name)]})
        message = domain.alice.message(sakke.new_key("pck"), domain.uri, without=(6, 7))
        assert domain.refusal(message) == "missing-payload"
        domain.relay.call("kms.install", {"kms": [other.rpc(accept=[])], "replace": True})
        assert domain.open(message)["receiver_kms"] == domain.kms.uri
    finally:
        domain.relay.call("identity.remove", {"identities": [{"uri": domain.uri, "kms": other.uri}]})
        domain.relay.call("kms.remove", {"uris": [other.uri]})


def test_times(domain):
    now = sakke.time.time()
    assert domain.refusal(domain.alice.message(sakke.new_key("pck"), domain.uri, at=now - 600)) == "timestamp-old"
    assert domain.refusal(domain.alice.message(sakke.new_key("pck"), domain.uri, at=now + 600)) == "timestamp-future"
    assert domain.refusal(domain.gms.message(sakke.new_key("gmk"), domain.uri, at=now - 30), max_age=5) == "timestamp-old"
    old = domain.gms.message(sakke.new_key("gmk"), domain.uri, at=now - sakke.PERIOD)
    assert domain.refusal(old) == "no-key-material"
    last = domain.kms.give(domain.uri, now - sakke.PERIOD)
    domain.relay.call("identity.install", {"identities": [last.rpc(domain=domain.name)]})
    assert domain.open(old)["installed"]


def test_a_message_is_opened_once(domain):
    """Also under another signature of the same octets, and after a look that installs nothing."""
    key = sakke.new_key("pck")
    message = domain.alice.message(key, domain.uri)
    looked = domain.open(message, install=False)
    assert looked["id"] == key.id_text and not looked["installed"] and domain.installed() == []
    assert domain.open(message)["installed"]
    signed = message[:-129]
    for again in (message, signed + domain.kms.give(domain.alice.uri).sign(signed)):
        with pytest.raises(RpcError) as caught:
            domain.open(again)
        assert caught.value.data["reason"] == "replayed" and key.id_text in str(caught.value)


def test_another_key_under_an_id_is_a_conflict(domain):
    """5.7.2; and the message stays unopened."""
    key, other = sakke.new_key("gmk"), sakke.new_key("gmk")
    assert domain.open(domain.gms.message(key, domain.uri))["installed"]
    other.id = key.id
    message = domain.gms.message(other, domain.uri)
    with pytest.raises(RpcError) as caught:
        domain.open(message)
    assert (caught.value.code, caught.value.path) == (CONFLICT, "params.message")
    domain.relay.call("key.revoke", {"keys": [{"id": key.id_text, "domain": domain.name}]})
    assert domain.open(message)["installed"]


def test_messages_of_a_connection_are_answered_in_order(domain):
    """And a batch as one; each has its key."""
    keys = [sakke.new_key("pck") for _ in range(4)]
    messages = [sakke.text(domain.alice.message(key, domain.uri)) for key in keys]
    with domain.relay.connect() as control:
        for n, message in enumerate(messages[:2]):
            control.send_line(json.dumps({"jsonrpc": "2.0", "id": n, "method": "message.open",
                                          "params": {"message": message}}).encode())
            control.send_line(json.dumps({"jsonrpc": "2.0", "id": 10 + n, "method": "relay.info"}).encode())
        batch = [{"jsonrpc": "2.0", "id": 20 + n, "method": "message.open", "params": {"message": message}}
                 for n, message in enumerate(messages[2:])]
        control.send_line(json.dumps(batch).encode())
        answers = [control.read_line() for _ in range(4)]
        assert [answer["id"] for answer in answers] == [0, 10, 1, 11]
        answers += control.read_line()
    opened = [answer["result"]["id"] for answer in answers if "installed" in answer["result"]]
    assert opened == [key.id_text for key in keys]
    assert sorted(domain.installed()) == sorted(opened)


def test_who_disconnects_has_its_message_opened(domain, name):
    """The key was delivered."""
    key = sakke.new_key("pck")
    message = sakke.text(domain.alice.message(key, domain.uri))
    with domain.relay.connect() as control:
        control.send_line(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "message.open",
                                      "params": {"message": message}}).encode())
    wait_for(domain.installed, lambda ids: ids == [key.id_text], "its key")


def test_false_keys_are_refused(domain):
    """Of another identity, another period, another KMS; and a KMS's point of another curve."""
    other, bob = sakke.Kms("kms.other.example.org"), domain.kms.give("sip:bob@mcptt.example.org")
    false = [domain.keys.rpc(rsk=bob.rsk.hex()), domain.keys.rpc(ssk=f"{bob.ssk:064x}"),
             domain.keys.rpc(uid=bob.uid.hex()), other.give(domain.uri).rpc(kms=domain.kms.uri, uid=None)]
    domain.relay.call("identity.remove", {"identities": [domain.name_of_identity()]})
    rejected = domain.relay.call("identity.install", {"identities": false})["rejected"]
    assert [(one["index"], one["code"]) for one in rejected] == [(n, FALSE_KEY) for n in range(4)]
    kms = other.rpc(enc_key=sakke.SAKKE.write((5, 7)).hex())
    [one] = domain.relay.call("kms.install", {"kms": [kms]})["rejected"]
    assert one["code"] == FALSE_KEY
    assert domain.relay.call("identity.list", {"kms": domain.kms.uri})["identities"] == []


def test_lists_say_what_is_there(domain):
    domain.open(domain.alice.message(sakke.new_key("pck"), domain.uri))
    [identity] = domain.relay.call("identity.list", {"kms": domain.kms.uri})["identities"]
    period_no = domain.keys.period_no
    assert identity == {
        "uri": domain.uri, "kms": domain.kms.uri, "role": "user", "domain": domain.name, "opened": 1, "made": 0,
        "periods": [{"period_no": period_no, "from": period_no * sakke.PERIOD - sakke.NTP_UNIX,
                     "to": (period_no + 1) * sakke.PERIOD - sakke.NTP_UNIX}]}
    [kms] = [kms for kms in domain.relay.call("kms.list")["kms"] if kms["uri"] == domain.kms.uri]
    assert kms["identities"] == 1 and kms["gms"] == [domain.gms.uri] and not kms["pseudo"]


def secrets_of(domain, key):
    keys = domain.keys
    half = keys.rsk[1:129]
    return {"rsk": half, "rsk text": half.hex().encode(), "rsk y": keys.rsk[129:],
            "ssk": keys.ssk.to_bytes(32, "big"), "ssk text": f"{keys.ssk:064x}".encode(),
            "ssk of a number": keys.ssk.to_bytes(32, "little"), "key": key.value, "key text": key.value.hex().encode()}


def test_what_is_removed_is_nowhere(lab):
    """RSK, SSK and the key that was opened: not in the memory of the process, not in its log, in no answer."""
    with Relay(lab) as relay:
        domain, key = Domain(relay), sakke.new_key("pck")
        answer = domain.open(domain.alice.message(key, domain.uri))
        patterns = secrets_of(domain, key)
        found = process.memory_find(relay.process.pid, patterns)
        assert found >= {"ssk", "key"}, "it looks where they would be"
        assert found <= {"ssk", "key"}
        told = json.dumps(answer) + json.dumps(relay.call("identity.list")) + relay.log_text()
        domain.close()
        assert process.memory_find(relay.process.pid, patterns) == set()
        assert not [name for name, octets in patterns.items() if "text" in name and octets.decode() in told]


def test_a_restart_does_not_forget_what_was_opened(lab):
    """Neither does a death in the middle of everything."""
    with Relay(lab) as relay:
        domain, key = Domain(relay), sakke.new_key("pck")
        message = domain.alice.message(key, domain.uri)
        assert domain.open(message)["installed"]
        relay.kill9()
        relay.start_again()
        domain.state_kms()
        domain.install()
        assert domain.refusal(message) == "replayed"
        assert domain.open(domain.alice.message(sakke.new_key("pck"), domain.uri))["installed"]
