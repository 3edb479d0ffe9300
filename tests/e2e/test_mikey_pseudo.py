# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""KMSs that the relay itself is (TS 33.180 L.3.2): made once, sealed on disk, there again after a restart, and nobody but
the relay knows their secrets."""

import json
import secrets
import subprocess
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import pytest

import process
import sakke
from lab import Relay, RpcError, build_directory

NOT_FOUND, CONFLICT, INVALID = 1, 2, -32602
NS = "{urn:3gpp:ns:mcsecKMSInterface:1.0}"
OWN = "segy.kms.example.org"
USER, GMS, MDSI = (f"sip:{who}@gw.example.org" for who in ("lmr-7", "gms", "mcptt"))
ALICE = "sip:alice@mcptt.example.org"
STATED = {"uri": OWN, "users": ["sip:lmr-*@gw.example.org"], "gms": [GMS], "mdsi": [MDSI], "domain": "segy",
          "domains": ["gw.example.org"]}


@pytest.fixture(scope="module")
def seal(tmp_path_factory):
    path = tmp_path_factory.mktemp("seal") / "seal"
    path.write_bytes(secrets.token_bytes(32))
    return path


def start(lab, seal):
    return Relay(lab, options=f'mikey = {{ seal = "{seal}"; }};\n')


@pytest.fixture(scope="module")
def gateway(lab, seal):
    """A relay that is a KMS, and the KMS of a partner."""
    with start(lab, seal) as relay:
        home = sakke.Kms("kms.example.org")
        relay.call("kms.install", {"kms": [home.rpc(gms=["sip:gms@mcptt.example.org"], mdsi=["sip:mcptt@mcptt.example.org"])]})
        created = relay.call("kms.create", STATED)
        yield SimpleNamespace(relay=relay, home=home, created=created, own=as_partner(created))


def as_partner(created):
    """What the KMS of a partner knows of it."""
    certificate = created["certificate"]
    own = sakke.Kms(certificate["uri"], certificate["period"], certificate["offset"])
    own.z, own.ksak, own.z_point = None, None, sakke.SAKKE.read(bytes.fromhex(certificate["enc_key"]))
    own.kpak = bytes.fromhex(certificate["auth_key"])
    return own


def make(relay, kind, initiator, receiver=ALICE, receiver_kms="kms.example.org"):
    return relay.call("message.make", {
        "type": kind, "key": {"new": True}, "initiator": initiator, "initiator_kms": OWN, "key_parameters": {},
        "receivers": [{"uri": receiver, "kms": receiver_kms}]})


def refusal(relay, method, params):
    with pytest.raises(RpcError) as caught:
        relay.call(method, params)
    return caught.value.code, caught.value.path


def test_its_certificate(gateway):
    """D.3.2.2, with IsSecurityGateway, so version 1.2.0."""
    certificate = gateway.created["certificate"]
    assert certificate["pseudo"] and certificate["security_gateway"] and certificate["role"] == "home"
    root = ElementTree.fromstring(gateway.created["xml"])
    assert root.tag == f"{NS}KmsCertificate"
    assert root.attrib == {"Version": "1.2.0", "Role": "External", "IsSecurityGateway": "true"}
    texts = {element.tag.removeprefix(NS): element.text for element in root}
    expected = {"KmsUri": OWN, "Revoked": "false", "UserIdFormat": "2", "UserKeyPeriod": "2592000", "UserKeyOffset": "0",
                "PubEncKey": certificate["enc_key"], "PubAuthKey": certificate["auth_key"], "ParameterSet": "1"}
    assert texts.items() >= expected.items()
    assert [element.text for element in root.iter(f"{NS}KmsDomain")] == ["gw.example.org"]
    told = gateway.relay.call("kms.certificate", {"uri": OWN})
    assert told == {"xml": gateway.created["xml"]}
    own = ElementTree.fromstring(gateway.relay.call("kms.certificate", {"uri": OWN, "role": "home"})["xml"])
    assert own.attrib["Role"] == "Root"
    partner = ElementTree.fromstring(gateway.relay.call("kms.certificate", {"uri": gateway.home.uri})["xml"])
    assert partner.attrib == {"Version": "1.1.0", "Role": "External"}
    assert refusal(gateway.relay, "kms.certificate", {"uri": "kms.nobody.example.org"}) == (NOT_FOUND, "params.uri")


def test_the_same_again(gateway):
    """And another one under its URI is a conflict; so is a certificate that is installed in its place."""
    relay = gateway.relay
    assert relay.call("kms.create", STATED) == gateway.created
    for more in ({"users": ["sip:*@gw.example.org"]}, {"period": 3600}, {"gms": []}, {"domain": "home"}):
        assert refusal(relay, "kms.create", STATED | more) == (CONFLICT, "params.uri")
    assert refusal(relay, "kms.create", STATED | {"uri": gateway.home.uri}) == (CONFLICT, "params.uri")
    for one in (sakke.Kms(OWN).rpc(), gateway.created["certificate"] | {"gms": []}):
        [rejected] = relay.call("kms.install", {"kms": [one], "replace": True})["rejected"]
        assert rejected["code"] == CONFLICT
    listed = {kms["uri"]: kms for kms in relay.call("kms.list")["kms"]}
    assert listed[OWN] == gateway.created["certificate"] and not listed[gateway.home.uri]["pseudo"]
    stated = {name: value for name, value in listed[OWN].items() if name not in ("pseudo", "identities", "users", "domain")}
    assert relay.call("kms.install", {"kms": [stated]}) == {"installed": 1, "rejected": []}
    assert relay.call("kms.create", STATED) == gateway.created


def test_bad_params(gateway):
    for path, more in {
            "params.users": {"users": []}, "params.users[0]": {"users": ["sip:*@*"]}, "params.users[1]": {"users": ["a", ""]},
            "params.period": {"period": 60}, "params.offset": {"offset": 2592000}, "params.domain": {"domain": ""},
            "params.gms[0]": {"gms": [7]}, "params.uri": {"uri": ""}, "params.enc_key": {"enc_key": "04"},
            "params.role": {"role": "home"}}.items():
        assert refusal(gateway.relay, "kms.create", STATED | {"uri": "x.example.org"} | more) == (INVALID, path)


@pytest.mark.parametrize("kind, initiator", [("pck", USER), ("gmk", GMS), ("csk", MDSI), ("musik", MDSI)])
def test_its_users_make_messages(gateway, kind, initiator):
    """L.3: pseudo clients, a pseudo GMS and a pseudo MCX server, whose key sets nobody has installed."""
    answer = make(gateway.relay, kind, initiator)
    assert answer["rejected"] == [] and answer["domain"] == "segy"
    [one] = answer["messages"]
    message = sakke.receive(one["message"], sakke.Client(ALICE, gateway.home), initiator, gateway.own)
    assert message.key.id_text == answer["id"] and message.parameters.status == 3  # a security gateway's, not revoked
    assert answer["id"] in [key["id"] for key in gateway.relay.call("key.list", {"domain": "segy"})["keys"]]


def test_whom_it_does_not_serve(gateway):
    for uri in ("sip:lmr-@gw.example.org", "sip:other@gw.example.org", "sip:lmr-7@gw.example.com", ALICE):
        with pytest.raises(RpcError) as caught:
            make(gateway.relay, "pck", uri)
        assert (caught.value.code, caught.value.path) == (NOT_FOUND, "params.initiator")
    assert make(gateway.relay, "gmk", USER)["rejected"][0]["data"]["reason"] == "not-authorized"


def mcxctl(relay, *arguments, stdin="", status=0):
    done = subprocess.run([build_directory() / "mcxctl", "-s", relay.socket_path, *arguments], input=stdin, text=True,
                          capture_output=True, check=False)
    assert done.returncode == status, done
    return done.stdout if status == 0 else done.stderr


def test_mcxctl(gateway, tmp_path):
    """kms, identity, message make and message open."""
    file = tmp_path / "params"
    file.write_text(json.dumps(STATED))
    assert mcxctl(gateway.relay, "kms", "create", str(file)) == gateway.created["xml"]
    assert mcxctl(gateway.relay, "kms", "certificate", OWN) == gateway.created["xml"]
    listed = {line.split()[0]: line.split()[1:] for line in mcxctl(gateway.relay, "kms", "list").splitlines()}
    assert listed[OWN] == ["home", "yes", "yes", "no", "2592000", "0", "0"]
    assert listed[gateway.home.uri] == ["external", "no", "no", "no", "2592000", "0", "0"]
    params = {"type": "gmk", "key": {"new": True}, "initiator": GMS, "initiator_kms": OWN,
              "receivers": [{"uri": ALICE, "kms": gateway.home.uri}]}
    _, line = mcxctl(gateway.relay, "message", "make", "-", stdin=json.dumps(params)).splitlines()
    receiver, key_id, guk_id, message = line.split()
    opened = sakke.receive(message, sakke.Client(ALICE, gateway.home), GMS, gateway.own)
    assert (receiver, key_id, guk_id) == (ALICE, opened.key.id_text, f"{opened.csb_id:08x}")
    answer = json.loads(mcxctl(gateway.relay, "-j", "message", "make", "-", stdin=json.dumps(params)))
    assert [one["receiver"] for one in answer["messages"]] == [ALICE]
    wrong = json.dumps(params | {"initiator": USER})
    assert "not authorized" in mcxctl(gateway.relay, "message", "make", "-", stdin=wrong, status=1)
    for n, before in enumerate(("", "a=key-mgmt:mikey ")):
        key = sakke.new_key("pck")
        file.write_text(f"{before}{sent(gateway, key, ALICE, USER)}\r\n")
        title, line = mcxctl(gateway.relay, "message", "open", str(file), *[ALICE][:n]).splitlines()
        assert title.split()[0] == "KEY" and line.split() == [key.id_text, "pck", "segy", ALICE, USER, "yes", "no"]
    assert "was opened" in mcxctl(gateway.relay, "message", "open", str(file), status=1)
    user = gateway.home.give("sip:ctl@mcptt.example.org")
    gateway.relay.call("identity.install", {"identities": [user.rpc()]})
    title, line = mcxctl(gateway.relay, "identity", "list").splitlines()
    assert title.split()[0] == "IDENTITY" and line.split()[:5] == [user.uri, gateway.home.uri, "user", "home", "1"]
    for arguments in (("kms",), ("kms", "sing"), ("kms", "create"), ("identity",), ("identity", "list", "x"), ("message", "make"), ("message", "open")):
        assert f"{arguments[0]} " in mcxctl(gateway.relay, *arguments, status=1)


def test_without_a_seal_there_is_none(relay):
    assert refusal(relay, "kms.create", STATED) == (INVALID, "params")


def test_a_restart_brings_it_back(lab, seal):
    """Also a death; and its messages verify under the same certificate."""
    with start(lab, seal) as relay:
        created = relay.call("kms.create", STATED)
        assert make_and_open(relay, created)
        relay.kill9()
        relay.start_again()
        assert relay.call("kms.create", STATED) == created
        assert make_and_open(relay, created)


def make_and_open(relay, created):
    home = sakke.Kms("kms.example.org")
    relay.call("kms.install", {"kms": [home.rpc()], "replace": True})
    [one] = make(relay, "pck", USER)["messages"]
    return sakke.receive(one["message"], sakke.Client(ALICE, home), USER, as_partner(created))


def test_another_seal_and_a_damaged_file(lab, tmp_path):
    """What cannot be read is left as it is, said in the log, and its URI is not given to another KMS."""
    seal = tmp_path / "seal"
    seal.write_bytes(bytes(range(32)))
    with start(lab, seal) as relay:
        relay.call("kms.create", STATED)
        [sealed] = (relay.directory / "state" / "kms").iterdir()
        octets = sealed.read_bytes()
        assert OWN.encode() not in octets and sealed.stat().st_mode & 0o777 == 0o600
        for damage in (lambda: seal.write_bytes(bytes(32)), lambda: sealed.write_bytes(octets[:-1] + bytes([octets[-1] ^ 1])),
                       lambda: sealed.write_bytes(octets[:40])):
            damage()
            relay.kill9()
            relay.start_again()
            assert OWN not in [kms["uri"] for kms in relay.call("kms.list")["kms"]]
            assert "kms_not_restored" in relay.log_text()
            assert refusal(relay, "kms.create", STATED) == (CONFLICT, "params.uri")
            seal.write_bytes(bytes(range(32)))
            assert sealed.exists()


def test_it_is_destroyed(lab, seal):
    """Only where that is meant; then it is on no disk and in no memory, and a new one has other keys."""
    with start(lab, seal) as relay:
        created = relay.call("kms.create", STATED)
        make_and_open(relay, created)
        assert refusal(relay, "kms.remove", {"uris": [OWN]}) == (CONFLICT, "params.uris[0]")
        assert relay.call("kms.remove", {"uris": [OWN], "destroy": True}) == {"removed": 1}
        assert list((relay.directory / "state" / "kms").iterdir()) == []
        other = relay.call("kms.create", STATED)
        assert other["certificate"]["auth_key"] != created["certificate"]["auth_key"]
        assert other["certificate"]["enc_key"] != created["certificate"]["enc_key"]


def test_the_seal_is_32_octets(lab, tmp_path):
    """The relay does not start with another file."""
    for octets in (b"", bytes(31), bytes(33)):
        seal = tmp_path / "seal"
        seal.write_bytes(octets)
        with pytest.raises(Exception):
            with start(lab, seal):
                pass


@pytest.mark.parametrize("kind, sender, receiver", [
    ("pck", ALICE, USER), ("gmk", "sip:gms@mcptt.example.org", USER), ("gmk", "sip:gms@mcptt.example.org", GMS),
    ("csk", ALICE, MDSI), ("csk", "sip:mcptt@mcptt.example.org", USER), ("musik", "sip:mcptt@mcptt.example.org", USER)])
def test_its_users_are_sent_messages(gateway, kind, sender, receiver):
    """L.4.2, L.4.4 and 5.4, 5.8: nobody has installed a key set of them."""
    for _ in range(2):  # derived, and the one that was kept
        key = sakke.new_key(kind)
        answer = gateway.relay.call("message.open", {"message": sent(gateway, key, sender, receiver)})
        assert (answer["id"], answer["type"], answer["domain"]) == (key.id_text, kind, "segy")
        assert answer["installed"] and answer["security_gateway"] and answer["receiver"] == receiver


def sent(gateway, key, sender, receiver, at=None):
    return sakke.text(sakke.Client(sender, gateway.home).message(key, receiver, gateway.own, at))


def reason(gateway, message):
    with pytest.raises(RpcError) as caught:
        gateway.relay.call("message.open", {"message": message})
    return caught.value.data["reason"]


def test_what_its_users_are_not_sent(gateway):
    assert reason(gateway, sent(gateway, sakke.new_key("pck"), ALICE, "sip:other@gw.example.org")) == "not-for-us"
    assert reason(gateway, sent(gateway, sakke.new_key("pck"), ALICE, MDSI)) == "not-authorized"
    assert reason(gateway, sent(gateway, sakke.new_key("gmk"), ALICE, USER)) == "not-authorized"
    impostor = SimpleNamespace(home=sakke.Kms(gateway.home.uri), own=gateway.own)
    assert reason(gateway, sent(impostor, sakke.new_key("pck"), ALICE, USER)) == "signature"
    stranger = sakke.Kms(OWN)
    assert reason(gateway, sent(SimpleNamespace(home=gateway.home, own=stranger), sakke.new_key("pck"), ALICE, USER)) == "sakke"


def test_messages_of_any_period(gateway):
    """A GMK that waited in a group document for months (5.7)."""
    at = sakke.time.time() - 7 * sakke.PERIOD
    answer = gateway.relay.call("message.open", {
        "message": sent(gateway, sakke.new_key("gmk"), "sip:gms@mcptt.example.org", USER, at)})
    assert answer["installed"] and abs(answer["time"] - at) < 2


def test_more_users_than_are_kept(gateway):
    """Who was not written to for long has its key set derived anew."""
    for n in [*range(40), 0, 39]:
        key = sakke.new_key("pck")
        answer = gateway.relay.call("message.open", {"message": sent(gateway, key, ALICE, f"sip:lmr-{n}@gw.example.org")})
        assert answer["id"] == key.id_text


def test_nothing_of_it_is_left(lab, seal):
    """Of key sets that were derived: neither in memory nor on disk once it was destroyed."""
    with start(lab, seal) as relay:
        created = relay.call("kms.create", STATED | {"uri": "gone.example.org"})
        home = sakke.Kms("kms.example.org")
        relay.call("kms.install", {"kms": [home.rpc()]})
        gateway = SimpleNamespace(home=home, own=as_partner(created), relay=relay)
        key = sakke.new_key("pck")
        answer = relay.call("message.open", {"message": sent(gateway, key, ALICE, USER)})
        relay.call("key.revoke", {"keys": [{"id": answer["id"], "domain": "segy"}]})
        assert relay.call("kms.remove", {"uris": ["gone.example.org"], "destroy": True}) == {"removed": 1}
        assert process.memory_find(relay.process.pid, {"key": key.value}) == set()
