# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""The relay makes I_MESSAGEs that a client opens that knows no code of it, and media flows under their keys."""

import itertools
import json
import time

import pytest

import mcx
import process
import sakke
import schema
import vectors
from lab import Relay, RpcError, apply
from test_standard_segy import FAMILIES, LMR, SERVICES, SSRC

REFUSED, NOT_FOUND, CONFLICT, LIMIT, FALSE_KEY, INVALID = 6, 1, 2, 3, 4, -32602
GATEWAY, NOT_REVOKED = 2, 1  # bits of a status, E.6.9
_numbers = itertools.count(1)


class Gateway:
    """A KMS under which the relay is a user, a GMS and an MCX server, and another one under which Alice is."""

    def __init__(self, relay):
        number = next(_numbers)
        self.relay, self.name = relay, f"made{number}"
        self.own, self.home = sakke.Kms(f"own{number}.example.org"), sakke.Kms(f"home{number}.example.org", 3600, 600)
        self.user, self.gms, self.mdsi = (f"sip:{who}{number}@gw.example.org" for who in ("lmr", "gms", "mcx"))
        self.alice, self.server = f"sip:alice{number}@mcptt.example.org", f"sip:mcptt{number}@mcptt.example.org"
        answer = relay.call("kms.install", {"kms": [
            self.own.rpc(role="home", security_gateway=True, gms=[self.gms], mdsi=[self.mdsi]),
            self.home.rpc(mdsi=[self.server])]})
        assert answer == {"installed": 2, "rejected": []}
        roles = {self.user: "user", self.gms: "gms", self.mdsi: "mdsi"}
        answer = relay.call("identity.install", {"identities": [
            self.own.give(uri).rpc(role=role, domain=self.name) for uri, role in roles.items()]})
        assert answer == {"installed": 3, "rejected": []}

    def order(self, kind, receivers, initiator=None, key=None, **more):
        """The params of message.make."""
        initiator = initiator or {"gmk": self.gms, "pck": self.user, "csk": self.mdsi}.get(kind, self.mdsi)
        return {
            "type": kind, "key": {"new": True} if key is None else key, "initiator": initiator, "initiator_kms": self.own.uri,
            "receivers": [{"uri": uri, "kms": self.home.uri} for uri in receivers]} | more

    def make(self, *args, **more):
        return self.relay.call("message.make", self.order(*args, **more))

    def made(self, kind, receiver, initiator=None, **more):
        """The message for one receiver, as it opens it."""
        initiator = initiator or {"gmk": self.gms, "pck": self.user}.get(kind, self.mdsi)
        answer = self.make(kind, [receiver], initiator, **more)
        assert answer["rejected"] == [] and answer["domain"] == self.name
        [one] = answer["messages"]
        assert one["receiver"] == receiver
        message = self.opened(one["message"], receiver, initiator)
        assert message.key.id_text == answer["id"] and message.key.type == kind
        assert one.get("guk_id") == (f"{message.csb_id:08x}" if kind == "gmk" else None)
        return message

    def opened(self, message, receiver, initiator):
        return sakke.receive(message, sakke.Client(receiver, self.home), initiator, self.own)

    def refusal(self, *args, **more):
        before = self.installed()
        with pytest.raises(RpcError) as caught:
            self.make(*args, **more)
        assert self.installed() == before
        return caught.value.code, caught.value.path

    def installed(self):
        return [key["id"] for key in self.relay.call("key.list", {"domain": self.name})["keys"]]

    def close(self):
        self.relay.call("key.revoke", {"keys": [{"id": key, "domain": self.name} for key in self.installed()]})
        names = [{"uri": uri, "kms": self.own.uri} for uri in (self.user, self.gms, self.mdsi)]
        self.relay.call("identity.remove", {"identities": names})
        self.relay.call("kms.remove", {"uris": [self.own.uri, self.home.uri]})


@pytest.fixture
def gateway(relay):
    made = Gateway(relay)
    yield made
    made.close()


def test_the_client_computes_what_rfc_6508_says():
    """Appendix A: it opens what it has not made."""
    sample = dict(vectors.sections("sakke"))["rfc6508_A"]
    z_point, rsk = sakke.SAKKE.read(bytes.fromhex(sample["Z"])), bytes.fromhex(sample["rsk"])
    ssv = sakke.decapsulate(z_point, bytes.fromhex(sample["b"]), rsk, bytes.fromhex(sample["sed"]))
    assert ssv.hex() == sample["ssv"]


@SERVICES
@FAMILIES
def test_private_call_under_a_pck_that_the_relay_made(gateway, relay, clients, name, service, family):
    """L.4.3: the pseudo client behind the gateway calls Alice."""
    key = gateway.made("pck", gateway.alice).key
    client, lmr = clients("ran", family), clients("core", family)
    apply(relay, name, [client.leg("client", "srtp", key, protection={"role": "receiver", "domain": gateway.name}),
                        lmr.leg("lmr", "plain")], service, "private")
    sender = mcx.SrtpSender(key.private("receiver", service), SSRC)
    receiver = mcx.SrtpReceiver(key.private("initiator", service))
    plain = mcx.PlainSender(LMR)
    for n in range(5):
        client.send(sender.protect(b"up %d" % n))
        assert lmr.recv() == sender.last_plain
        lmr.send(plain.protect(b"down %d" % n))
        assert receiver.unprotect(client.recv()).payload == b"down %d" % n


@FAMILIES
def test_group_call_under_a_gmk_that_the_relay_made(gateway, relay, clients, name, family):
    """L.4.5: the relay is the GMS, and every member gets the same key and RAND (5.2.3)."""
    members = [gateway.alice, "sip:bob@mcptt.example.org"]
    answer = gateway.make("gmk", members)
    opened = [gateway.opened(one["message"], one["receiver"], gateway.gms) for one in answer["messages"]]
    key = opened[0].key
    assert [one["receiver"] for one in answer["messages"]] == members
    assert {(one.key.id, one.key.value, one.key.rand) for one in opened} == {(key.id, key.value, key.rand)}
    assert [one["guk_id"] for one in answer["messages"]] == [f"{key.guk_id(member):08x}" for member in members]
    client, lmr = clients("ran", family), clients("core", family)
    apply(relay, name, [client.leg("client", "srtp", key, protection={"domain": gateway.name}),
                        lmr.leg("lmr", "plain", protection={"user": gateway.user})])
    sender, plain = mcx.SrtpSender(key.group(gateway.alice), SSRC), mcx.PlainSender(LMR)
    receiver = mcx.SrtpReceiver(key.group(gateway.user))
    for n in range(5):
        client.send(sender.protect(b"up %d" % n))
        assert lmr.recv() == sender.last_plain
        lmr.send(plain.protect(b"down %d" % n))
        assert receiver.unprotect(client.recv()).payload == b"down %d" % n


@pytest.mark.parametrize("kind", ["gmk", "pck", "csk", "mscck", "musik"])
def test_every_type_is_opened_by_another_domain(gateway, kind):
    """message.open of an identity that another KMS gave this relay: the same key in that domain."""
    now = time.time()  # its key period may end before the message is made
    identities = [gateway.home.give(gateway.alice, at).rpc(domain=gateway.name + ".home")
                  for at in (now, now + gateway.home.period)]
    assert gateway.relay.call("identity.install", {"identities": identities})["installed"] == 2
    made = gateway.make(kind, [gateway.alice], services=["mcptt", "mcvideo"], key_parameters={"text": "moin"})
    [one] = made["messages"]
    opened = gateway.relay.call("message.open", {"message": one["message"]})
    assert (opened["id"], opened["type"], opened.get("guk_id")) == (made["id"], kind, one.get("guk_id"))
    assert opened["domain"] == gateway.name + ".home" and opened["installed"] and opened["security_gateway"]
    parameters = opened["key_parameters"]
    assert parameters["text"] == "moin" and parameters["status"] == {"revoked": False, "security_gateway": True}
    gateway.relay.call("key.revoke", {"keys": [{"id": opened["id"], "domain": gateway.name + ".home"}]})
    gateway.relay.call("identity.remove", {"identities": [{"uri": gateway.alice, "kms": gateway.home.uri}]})


def test_a_client_uploads_its_csk(gateway):
    """5.4, from a pseudo client to the MCX server of the other system; and back down."""
    assert gateway.made("csk", gateway.server, gateway.user).key.type == "csk"
    assert gateway.made("csk", gateway.alice).key.type == "csk"


def test_what_a_message_says_of_its_key(gateway, relay, clients, name):
    """E.6; and the key that is installed is of the same times and groups."""
    now = int(time.time())
    stated = {"activation": now + 100, "expiry": now + 1000, "text": "ä", "groups": ["sip:g1@x.org", "sip:g2@x.org"]}
    message = gateway.made("gmk", gateway.alice, key_parameters=stated)
    assert message.parameters == sakke.Parameters(0, NOT_REVOKED | GATEWAY, now + 100, now + 1000, "ä", stated["groups"])
    [key] = gateway.relay.call("key.list", {"domain": gateway.name})["keys"]
    assert (key["activation"], key["expiry"]) == (now + 100, now + 1000)
    leg = clients("ran", 4).leg("client", "srtp", message.key, protection={"domain": gateway.name})
    with pytest.raises(RpcError) as caught:
        apply(relay, name, [leg], group="sip:g3@x.org")
    assert "other groups" in str(caught.value)
    apply(relay, name, [leg], group="sip:g2@x.org")
    assert gateway.made("pck", gateway.alice).parameters is None
    plain = gateway.made("pck", gateway.alice, key_parameters={"status": {"security_gateway": False}}).parameters
    assert plain == sakke.Parameters(1, NOT_REVOKED, 0, 0, "", [])


def test_a_revocation_is_told(gateway):
    """5.2.4: under the key that it is of."""
    first = gateway.made("gmk", gateway.alice)
    name = {"id": first.key.id_text, "domain": gateway.name}
    told = gateway.made("gmk", gateway.alice, key=name, key_parameters={"status": {"revoked": True}})
    assert told.parameters.status == GATEWAY and told.key == first.key


def test_signalling_algorithm_of_a_download(gateway):
    """5.8.1."""
    for kind, name, number in (("csk", "dp-aes-128-gcm", 1), ("musik", "dp-aes-256-gcm", 2)):
        message = gateway.made(kind, gateway.alice, key_parameters={}, signalling_algorithm=name)
        assert message.parameters.signalling_algorithm == number
    assert gateway.refusal("pck", [gateway.alice], key_parameters={}, signalling_algorithm="dp-aes-128-gcm") == (
        INVALID, "params.signalling_algorithm")
    assert gateway.refusal("csk", [gateway.alice], signalling_algorithm="dp-aes-128-gcm") == (
        INVALID, "params.signalling_algorithm")


@pytest.mark.parametrize("hide", [[], ["initiator"], ["receiver"], ["receiver", "initiator"]], ids=len)
def test_who_is_hidden(gateway, hide):
    """5.2.6, E.7: IDRi and IDRr, or IDRuidi and IDRuidr with the UIDs."""
    message = gateway.made("pck", gateway.alice, hide=hide)
    uids = gateway.own.uid(gateway.user, message.time), gateway.home.uid(gateway.alice, message.time)
    expected = {6: gateway.own.uri.encode(), 7: gateway.home.uri.encode()}
    expected |= {8: uids[0]} if "initiator" in hide else {1: gateway.user.encode()}
    expected |= {9: uids[1]} if "receiver" in hide else {2: gateway.alice.encode()}
    assert message.parties == expected


def test_who_made_it_reads_it_too(gateway):
    """E.5."""
    message = gateway.made("pck", gateway.alice, to_self=True)
    assert gateway.own.give(gateway.user, message.time).decapsulate(message.to_self) == message.key.value
    assert gateway.made("pck", gateway.alice).to_self is None


@pytest.mark.parametrize("kind, cs_ids", [("pck", (0, 1, 2, 3)), ("gmk", (4, 5)), ("csk", (6, 8)), ("musik", (7, 9))])
def test_crypto_sessions_of_services(gateway, kind, cs_ids):
    """E.1.3, and their SPI is the MKI of media (RFC 6043 6.1.1)."""
    half = len(cs_ids) // 2
    for services, expected in ([["mcptt"], cs_ids[:half]], [["mcvideo"], cs_ids[half:]], [["mcptt", "mcvideo"], cs_ids]):
        message = gateway.made(kind, gateway.alice, services=services)
        mki = message.key.id.to_bytes(4, "big") + (message.csb_id.to_bytes(4, "big") if kind == "gmk" else b"")
        assert message.sessions == dict.fromkeys(expected, mki) and message.policy
    assert gateway.made(kind, gateway.alice).policy is None


def test_profiles(gateway):
    """RFC 3830 6.10.1, RFC 7714 14, RFC 4771 5."""
    message = gateway.made("gmk", gateway.alice, profile={"suite": "aead-aes-256-gcm", "mki_length": 4, "roc_rate": 7},
                           services=["mcptt"])
    policy = {message.policy[n]: message.policy[n + 2:n + 2 + message.policy[n + 1]]
              for n in range(0, 9, 3)}
    assert policy[0] == b"\6" and policy[1] == b"\x20" and message.policy.find(b"\x0d\2\0\7") >= 0
    assert message.sessions == {4: message.key.id.to_bytes(4, "big")}
    stated = message.key.rpc(domain=gateway.name)
    profile = {"suite": "aead-aes-256-gcm", "mki_length": 4, "roc_rate": 7}
    for wrong in ({"suite": "aead-aes-128-gcm"}, {"mki_length": 8}, {"roc_rate": 1}):
        answer = gateway.relay.call("key.install", {"keys": [stated | {"profile": profile | wrong}]})
        assert [one["code"] for one in answer["rejected"]] == [CONFLICT]
    assert gateway.relay.call("key.install", {"keys": [stated | {"profile": profile}]})["installed"] == 1


def test_a_key_that_is_there_goes_to_another_receiver(gateway):
    first = gateway.made("gmk", gateway.alice)
    name = {"id": first.key.id_text, "domain": gateway.name}
    assert gateway.made("gmk", "sip:bob@mcptt.example.org", key=name).key == first.key
    assert gateway.installed() == [first.key.id_text]
    assert gateway.refusal("gmk", [gateway.alice], key=name, profile={"roc_rate": 3}) == (CONFLICT, "params.profile")
    assert gateway.refusal("pck", [gateway.alice], key=name) == (FALSE_KEY, "params.key.id")
    assert gateway.refusal("gmk", [gateway.alice], key={"id": "0abcdef0"}) == (NOT_FOUND, "params.key.id")
    assert gateway.refusal("gmk", [gateway.alice], key={"id": first.key.id_text, "domain": "x"}) == (
        NOT_FOUND, "params.key.id")
    for wrong in ({}, name | {"new": True}, {"new": False}):
        assert gateway.refusal("gmk", [gateway.alice], key=wrong) == (INVALID, "params.key.id")
    long = mcx.RootKey("csk", 0x20000777, bytes(range(32)), bytes(16))
    gateway.relay.call("key.install", {"keys": [long.rpc(domain=gateway.name)]})
    assert gateway.refusal("csk", [gateway.alice], key={"id": long.id_text}) == (FALSE_KEY, "params.key.id")


def reasons(answer):
    return [(one["index"], one["code"], one["data"]["path"], one["data"].get("reason")) for one in answer["rejected"]]


def test_who_may_send_what(gateway):
    """5.4, 5.6 to 5.9: nobody gets a key that he would refuse, and no key is left behind."""
    gms, mdsi, user, server = gateway.gms, gateway.mdsi, gateway.user, gateway.server
    for kind, initiator, receiver in (
            ("gmk", user, gateway.alice), ("gmk", mdsi, gateway.alice), ("gmk", gms, server), ("pck", gms, gateway.alice),
            ("pck", mdsi, gateway.alice), ("pck", user, server), ("csk", user, gateway.alice), ("csk", mdsi, server),
            ("csk", gms, gateway.alice), ("mscck", gms, gateway.alice), ("mscck", mdsi, server),
            ("musik", user, gateway.alice), ("musik", mdsi, server)):
        answer = gateway.make(kind, [receiver], initiator)
        assert reasons(answer) == [(0, REFUSED, "params.receivers[0]", "not-authorized")], (kind, initiator, receiver)
        assert answer["messages"] == [] and "id" not in answer and gateway.installed() == []


def test_others_have_theirs(gateway):
    """Each receiver who can have no message is rejected alone."""
    revoked, gone = sakke.Kms("revoked.example.org"), sakke.Kms("gone.example.org")
    gateway.relay.call("kms.install", {"kms": [revoked.rpc(revoked=True), gone.rpc(valid_to=1700000000)]})
    answer = gateway.relay.call("message.make", {
        "type": "pck", "key": {"new": True}, "initiator": gateway.user, "initiator_kms": gateway.own.uri, "receivers": [
            {"uri": "sip:other@gw.example.org"}, {"uri": gateway.alice, "kms": "kms.nobody.example.org"}, {"uri": ""},
            {"uri": gateway.alice, "kms": revoked.uri}, {"uri": gateway.alice, "kms": gone.uri}, 7,
            {"uri": gateway.alice, "kms": gateway.home.uri}]})
    assert [one["receiver"] for one in answer["messages"]] == ["sip:other@gw.example.org", gateway.alice]
    assert reasons(answer) == [
        (1, NOT_FOUND, "params.receivers[1].kms", None), (2, INVALID, "params.receivers[2].uri", None),
        (3, REFUSED, "params.receivers[3]", "kms-revoked"), (4, REFUSED, "params.receivers[4]", "kms-not-valid"),
        (5, INVALID, "params.receivers[5]", None)]
    gateway.relay.call("kms.remove", {"uris": [revoked.uri, gone.uri]})


def test_who_makes_it(gateway):
    receivers = [gateway.alice]
    assert gateway.refusal("pck", receivers, "sip:nobody@gw.example.org") == (NOT_FOUND, "params.initiator")
    assert gateway.refusal("pck", receivers, initiator_kms="kms.nobody.example.org") == (NOT_FOUND, "params.initiator_kms")
    assert gateway.refusal("pck", receivers, initiator_kms=gateway.home.uri) == (NOT_FOUND, "params.initiator")
    gateway.relay.call("identity.remove", {"identities": [{"uri": gateway.user, "kms": gateway.own.uri}]})
    last = gateway.own.give(gateway.user, time.time() - sakke.PERIOD)
    gateway.relay.call("identity.install", {"identities": [last.rpc(domain=gateway.name)]})
    assert gateway.refusal("pck", receivers) == (REFUSED, "params.initiator")


def test_bad_params_change_nothing(gateway):
    now = int(time.time())
    for path, more in {
            "params.type": {"type": "mkfc"}, "params.hide[1]": {"hide": ["initiator", "me"]},
            "params.services[0]": {"services": [7]}, "params.key_parameters.groups": {"key_parameters": {"groups": ["sip:g"]}},
            "params.key_parameters.text": {"key_parameters": {"text": "x" * 256}}, "params.to_self": {"to_self": 1},
            "params.key_parameters.status.revoked": {"key_parameters": {"status": {"revoked": True}}},
            "params.profile.suite": {"profile": {"suite": "rot13"}}, "params.more": {"more": 1}}.items():
        assert gateway.refusal("pck", [gateway.alice], **more) == (INVALID, path)
    for expiry in (now - 1, now + 50):
        parameters = {"activation": now + 50, "expiry": expiry}
        assert gateway.refusal("pck", [gateway.alice], key_parameters=parameters) == (
            FALSE_KEY, "params.key_parameters.expiry")
    many = [f"sip:{n}@mcptt.example.org" for n in range(1001)]
    for receivers in ([], many):
        assert gateway.refusal("gmk", receivers) == (INVALID, "params.receivers")


def test_a_key_for_a_thousand(gateway):
    """One call; others are answered before anybody has read its answer, which is longer than a socket holds."""
    many = [f"sip:{n}@mcptt.example.org" for n in range(999)] + [gateway.alice]
    request = {"jsonrpc": "2.0", "id": 1, "method": "message.make", "params": gateway.order("gmk", many)}
    with gateway.relay.connect() as slow:
        slow.socket.settimeout(1800)
        slow.send_line(json.dumps(request).encode())
        assert gateway.relay.call("relay.info")
        response = slow.read_line()
    schema.check_exchange(request, response)
    answer = response["result"]
    assert [one["receiver"] for one in answer["messages"]] == many and answer["rejected"] == []
    key = gateway.opened(answer["messages"][-1]["message"], gateway.alice, gateway.gms).key
    assert [one["guk_id"] for one in answer["messages"]] == [f"{key.guk_id(one):08x}" for one in many]
    identities = gateway.relay.call("identity.list", {"kms": gateway.own.uri})["identities"]
    assert {one["uri"]: one["made"] for one in identities} == {gateway.user: 0, gateway.gms: 1000, gateway.mdsi: 0}


def test_messages_are_never_the_same(gateway):
    """Neither keys, RANDs nor ids repeat, nor does a signature."""
    answers = [gateway.make("pck", [gateway.alice]) for _ in range(16)]
    assert len({answer["id"] for answer in answers}) == 16 and {answer["id"][0] for answer in answers} == {"1"}
    name = {"id": answers[0]["id"], "domain": gateway.name}
    again = [gateway.make("pck", [gateway.alice], key=name)["messages"][0]["message"] for _ in range(4)]
    assert len({sakke.base64.b64decode(message)[-129:-97] for message in again}) == 4


def test_keys_obey_the_limit(lab):
    with Relay(lab, limits={"keys": 2}) as relay:
        gateway = Gateway(relay)
        for _ in range(2):
            gateway.make("pck", [gateway.alice])
        assert gateway.refusal("pck", [gateway.alice]) == (LIMIT, "params.key")


def test_what_was_made_is_nowhere(lab):
    """Once the key is revoked and the identities are gone, no octet of key, RSK or SSK is in memory, log or answers."""
    with Relay(lab) as relay:
        gateway = Gateway(relay)
        message = gateway.made("pck", gateway.alice, to_self=True, key_parameters={})
        key = message.key.value
        assert process.memory_find(relay.process.pid, {"key": key}) == {"key"}, "it looks where it would be"
        gateway.close()
        assert process.memory_find(relay.process.pid, {"key": key, "text": key.hex().encode()}) == set()
        assert key.hex() not in relay.log_text()
