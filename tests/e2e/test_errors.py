# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""docs/errors.md: each error of its tables is provoked, and says there what it says here."""

import json
import re

import pytest

import kms_xml
import sakke
import vectors
from lab import ROOT, Relay

PAGE = (ROOT / "docs" / "errors.md").read_text()
RAN, CORE = "10.77.1.1", "10.77.2.1"
GMK, PCK, CSK = "0000e001", "1000e001", "2000e001"
GROUP = "239.1.2.3:5004"
KEYS = dict(vectors.sections("imessage_more"))["keys"]
LIMITS = {"keys": 5000, "sessions": 8, "legs": 2000, "streams": 1000, "ports": "[ 7000, 7001 ]"}


def catalogue():
    """{(code, data.path, message)} of the tables."""
    rows = set()
    for code, section in re.findall(r"^## (-?\d+) [^\n]*\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL):
        for path, message in re.findall(r"^\|[^|\n]*\| (?:`([^`|]+)`|none) \| `` (.*) `` \|$", section, re.MULTILINE):
            rows.add((int(code), path or None, message))
    return rows


def key(key_id=GMK, **more):
    return {"id": key_id, "value": "0f" * 16, "rand": "b0" * 16} | more


def leg(name="a", local=f"{RAN}:5000", mode="opaque", port="ran", **more):
    protection = {"mode": mode} | more.pop("protection", {})
    return {"id": name, "port": port, "local": local, "receive": False, "protection": protection} | more


def srtp(name="a", key_id=GMK, local=f"{RAN}:5000", **more):
    return leg(name, local, "srtp", protection={"key": key_id} | more.pop("protection", {}), **more)


def kms(**more):
    return {"uri": KEYS["kms_home_uri"], "period": 2592000, "enc_key": KEYS["kms_home_Z"],
            "auth_key": KEYS["kms_home_KPAK"]} | more


def identity(**more):
    keys = {name: KEYS[f"id_ingrid_1657_{name}"] for name in ("rsk", "ssk", "pvt", "uid")}
    return {"uri": KEYS["id_ingrid_uri"], "kms": KEYS["kms_home_uri"], "period_no": 1657} | keys | more


def listener(name="a", local=f"{RAN}:5000", remote=GROUP):
    return leg(name, local, receive=True, remote=remote)


class Provoker:
    """Asks for errors, and keeps them."""

    def __init__(self, relay):
        self.relay, self.found = relay, set()

    def keep(self, error):
        self.found.add((error["code"], error.get("data", {}).get("path"), error["message"]))

    def line(self, octets):
        with self.relay.connect() as control:
            self.keep(control.exchange(octets)["error"])

    def request(self, **members):
        self.line(json.dumps({"jsonrpc": "2.0", "id": 1} | members, separators=(",", ":")).encode())

    def call(self, method, **params):
        self.request(method=method, params=params)

    def key(self, *keys):
        """The last of them is refused."""
        result = self.relay.call("key.install", {"keys": list(keys)})
        [rejected] = result["rejected"]
        assert rejected["index"] == len(keys) - 1
        self.keep(rejected)

    def element(self, method, name, value):
        """It alone is stated, and refused."""
        [rejected] = self.relay.call(method, {name: [value]})["rejected"]
        self.keep(rejected)

    def kms(self, **more):
        self.element("kms.install", "kms", kms(**more))

    def identity(self, **more):
        self.element("identity.install", "identities", identity(**more))

    def session(self, *legs, **more):
        self.call("session.apply", session={"id": "e", "service": "mcptt", "type": "group", "legs": list(legs)} | more)


def hold(relay, name, *legs, **more):
    """A session that is there."""
    session = {"id": name, "service": "mcptt", "type": "group", "legs": list(legs)} | more
    relay.call("session.apply", {"session": session})


def ask_wrongly(p):
    p.line(b"{")
    p.line(b"[" * 33)
    p.line(b"7")
    p.line(b"[]")
    p.line(b" " * (1 << 20))
    p.request(jsonrpc="1.0", method="relay.info")
    p.request(id=[], method="relay.info")
    p.request(method=7)
    p.request(method="relay.info", params=7)
    p.request(method="no.such")
    p.request(method="relay.info", params=[])


def state_wrongly(p):
    """What each kind of member may be."""
    p.call("session.get")
    p.call("session.get", id=7)
    p.call("relay.info", colour="red")
    p.call("relay.info", **{str(n): n for n in range(65)})
    p.call("session.apply", session=[])
    p.call("session.remove", ids="e")
    p.call("session.remove", ids=[7])
    p.call("key.install", keys=[], replace=1)
    p.call("key.revoke", keys=[{"id": "12"}])
    p.call("key.list", type="secret")
    p.call("key.list", domain="")
    p.call("leg.remove", session="held", ids=[7])
    p.call("events.subscribe", types=["media.stopped"])
    p.session(colour="red")
    p.session(leg(colour="red"))
    p.session(leg(protection={"colour": "red"}))
    p.key(key(colour="red"))
    p.key(key(profile={"colour": "red"}))
    p.session(id="")
    p.session(group="")
    p.session(timeout="1")
    p.session(timeout=-1)


def state_wrong_keys(p):
    p.key(key(value="00"))
    p.key(key(rand="00"))
    p.key(key(users=[""]))
    p.key(key(profile={"mki_length": 5}))
    p.key(key(PCK, profile={"mki_length": 8}))
    p.key(key(profile={"suite": "aes-cm-128-hmac-sha1-80", "roc_rate": 1}))
    p.session(keys=[key("0000e009"), key("0000e009")])
    p.key(key("7000e001"))
    p.key(key(type="pck"))
    p.key(key(activation=20, expiry=10))
    p.key(key(expiry=1))
    p.key(key(PCK, users=["sip:alice@mcptt.example.org"]))
    p.key(key("0000e002", value="0e" * 16))
    p.key(key("0000e002", profile={"mki_length": 4}))


def state_wrong_legs(p):
    p.session(leg(port="moon"))
    p.session(leg(local="10.77.1.1:0"))
    p.session(leg(local={"port": "core", "family": 4}))
    p.session(leg(local={"port": "ran"}))
    p.session(leg(local={"port": "ran", "family": 5}))
    p.session(leg(remote="nowhere"))
    p.session(leg(remote="[2001:db8::2]:5004"))
    p.session(leg(remote=f"{GROUP}", learn="authenticated"))
    p.session(leg(to=[7]))
    p.session(leg(receive=True))
    p.session(leg(local="10.77.1.9:5000"))
    p.session(leg(source="127.0.0.1:5000"))
    p.session(leg(remote="127.0.0.1:5000"))
    p.session(leg(remote="[2001:db8::7]:5004", local="[fd77:1::1]:5000"))
    p.session(leg(remote="203.0.113.1:5000"))
    p.session(leg(mode="srtp"))
    p.session(leg(mode="plain", protection={"key": GMK}))
    p.session(leg(protection={"accept": [GMK]}))
    p.session(leg(protection={"roc": 1}))
    p.session(srtp(protection={"accept": [7]}))
    p.session(srtp(protection={"accept": [GMK] * 9}))
    p.session(srtp(key_id="0000e003", protection={"profile": {"roc_rate": 1}}))
    p.session(srtp(key_id=PCK), type="private")


def name_what_is_not_there(p):
    p.call("session.get", id="no such")
    p.call("leg.remove", session="held", ids=["no such"])
    p.session(leg(to=["no such"]))
    p.session(srtp(key_id="0000ffff"))
    p.session(srtp(protection={"accept": ["0000ffff"]}))
    p.session(srtp(protection={"domain": "nowhere"}))


def want_what_others_have(p):
    p.session(leg("a"), leg("a", f"{RAN}:5002"))
    p.session(leg("a"), leg("b"))
    p.session(listener("a"), listener("b", f"{RAN}:5002"))
    p.session(leg(local=f"{RAN}:4000"))
    p.session(listener(remote="239.1.2.3:4000"))


def use_keys_wrongly(p):
    p.session(srtp(key_id=CSK))
    p.session(srtp(traffic="control"))
    p.session(srtp(key_id="0000e002"), group="sip:dogs@mcptt.example.org")
    p.session(srtp(protection={"accept": [CSK]}))


def ways(n):
    """So many legs that use a gmk, each another way."""
    return [srtp(f"w{i}", local=f"{RAN}:{6000 + 2 * i}", protection={"profile": {"roc_rate": i}}) for i in range(n)]


def be_wrong_about_kmss(p):
    p.kms(uri="")
    p.kms(enc_key="00")
    p.kms(cert_uri="u" * 256)
    p.kms(domains=["d"] * 256)
    p.kms(gms=[7])
    p.kms(accept=["everything"])
    p.kms(period=None)
    p.kms(offset=2592000)
    p.kms(valid_from=2, valid_to=1)
    p.call("kms.remove", uris=[7])
    p.call("kms.remove", uris=["kms.example.org"] * 1001)
    p.identity()
    p.kms(enc_key=f"04{5:0256x}{7:0256x}")
    assert p.relay.call("kms.install", {"kms": [kms()]})["installed"] == 1
    p.kms(enc_key=KEYS["kms_later_Z"])
    p.kms(revoked=True)


def be_wrong_about_documents(p):
    own = sakke.Kms("document.example.org")
    ours, other = kms_xml.certificate(own), kms_xml.certificate(sakke.Kms("another.example.org"))

    def install(xml, **more):
        p.call("kms.install", xml=xml, **more)
    install("<a/>", transport_keys=[{"id": "trk", "value": "00"}])
    install("<a/>", transport_keys=[{"id": "", "value": "00" * 32}])
    install("<a/>", transport_keys=[{"id": "trk", "value": "00" * 32}] * 2)
    install("<a/>", transport_keys=[{}] * 65)
    install("<a/>", kms=[])
    p.call("kms.install", kms=[], transport_keys=[])
    install("<KmsInit/>")
    install(kms_xml.message())
    install(kms_xml.message(ours, other), gms=[])

    def new_key(octets):
        form = kms_xml.wrapped("trk", bytes(32), carried="trk.2")
        return kms_xml.message(f"<NewTransportKey>{form(octets)}</NewTransportKey>")
    trk = {"transport_keys": [{"id": "trk", "value": "00" * 32}]}
    p.relay.call("kms.install", {"xml": new_key(bytes(32))} | trk)
    install(new_key(b"1" * 32), **trk)
    p.relay.call("kms.install", {"xml": kms_xml.message(ours)})
    revoked = kms_xml.message(kms_xml.key_set(own.give("sip:a@document.example.org"), more="<Revoked>true</Revoked>"))
    p.keep(p.relay.call("identity.install", {"xml": revoked})["rejected"][0])
    p.relay.call("kms.remove", {"uris": [own.uri]})


def be_wrong_about_identities(p):
    p.identity(rsk="00")
    p.identity(uid="00")
    p.identity(domain="")
    p.identity(period_no=None)
    p.identity(uid=KEYS["id_ulf_1657_uid"])
    p.identity(rsk=KEYS["id_ulf_1657_rsk"])
    assert p.relay.call("identity.install", {"identities": [identity()]})["installed"] == 1
    p.identity(ssk=KEYS["id_ulf_1657_ssk"])
    p.call("kms.remove", uris=[KEYS["kms_home_uri"]])
    p.call("message.open", message="?")
    p.call("message.open", message="ARoFAQ==")
    p.call("message.open", message="ARoFAQ==", session="none")


def be_wrong_about_made_messages(p):
    own, user, gms = sakke.Kms("made.example.org"), "sip:user@made.example.org", "sip:gms@made.example.org"
    p.relay.call("kms.install", {"kms": [own.rpc(gms=[gms])]})
    p.relay.call("identity.install", {"identities": [own.give(uri).rpc() for uri in (user, gms)]})
    p.relay.call("key.install", {"keys": [{"id": "10000777", "value": "0f" * 32, "rand": "b0" * 16}]})

    def make(receivers=({"uri": "sip:bob@made.example.org"},), **more):
        p.call("message.make", **{"type": "pck", "key": {"new": True}, "initiator": user, "initiator_kms": own.uri,
                                  "receivers": list(receivers)} | more)
    p.call("kms.create", uri="segy.example.org", users=["sip:*"])
    make(key={"id": "10000777", "new": True})
    make(hide=["initiator"] * 3)
    make(key={"id": "10000778"})
    make(key={"id": GMK})
    make(key={"id": "10000777"})
    make(initiator="sip:nobody@made.example.org")
    make(receivers=[])
    make(signalling_algorithm="dp-aes-128-gcm")
    make(key_parameters={"groups": ["sip:g"]})
    make(key_parameters={"text": "x" * 256})
    make(key_parameters={"status": {"revoked": True}})
    make(key_parameters={"activation": 4000000000, "expiry": 3000000000})
    groups = [f"sip:{n:0251d}" for n in range(255)]
    result = p.relay.call("message.make", {
        "type": "gmk", "key": {"new": True}, "initiator": gms, "initiator_kms": own.uri,
        "receivers": [{"uri": user}], "key_parameters": {"groups": groups}})
    p.keep(result["rejected"][0])
    p.relay.call("key.revoke", {"keys": [{"id": "10000777"}]})


def protect_payloads_wrongly(p):
    p.relay.call("key.install", {"keys": [key("4000e001"), key("1000e002", activation=1 << 39)]})
    good = {"key": PCK, "plaintext": "AAAA", "message_type": 0x41}
    for wrong in ({"message_type": 1}, {"message_type": None}, {"payload_id": "?"}, {"plaintext": "?"}, {"key": "4000e001"},
                  {"key": "1000e002"}, {"key": "0000ffff"}):
        p.call("mcdata.protect", **(good | wrong))
    p.call("mcdata.unprotect", protected="QQ==")
    p.call("mcdata.select", offered=["rot13"])
    p.call("mcdata.select", offered=[1])
    p.call("mcdata.select", offered=["rot13"] * 65)
    p.relay.call("key.revoke", {"keys": [{"id": "4000e001"}, {"id": "1000e002"}]})


def redirect_wrongly(p):
    parties = {"initiator": "sip:a", "receiver": "sip:b", "initiator_kms": "a", "receiver_kms": "b", "creator": "sip:c"}
    good = parties | {"allowed": {"initiator": "ANY", "receiver": "ANY"}}
    p.call("message.redirect", **(good | {"allowed": {"initiator": "?", "receiver": "ANY"}}))
    p.call("message.redirect", **(good | {"allowed": {"initiator": "ANY", "receiver": [""]}}))
    p.call("message.redirect", **(good | {"initiator": None}))
    p.call("message.redirected", xml="<a/>", certificates=["?"])


def go_beyond_limits(p):
    p.session(*ways(9))
    p.session(leg("a", RAN), leg("b", RAN))
    p.session(*[leg(str(i), f"{RAN}:{10000 + i}") for i in range(10001)])
    p.session(*[leg(str(i), f"{RAN}:{10000 + i}") for i in range(LIMITS["legs"])])
    p.session(*[srtp(str(i), PCK, f"{RAN}:{10000 + i}", protection={"role": "initiator"}) for i in range(1900)])
    p.session(*[listener(str(i), f"{RAN}:{10000 + i}", f"239.7.{i >> 8}.{i & 255}:5000") for i in range(1024)])
    for n in range(LIMITS["sessions"] - 1):
        hold(p.relay, f"s{n}")
    p.session()
    domains = [key(domain=f"domain{n}") for n in range(4095)]
    p.key(*domains, key(domain="one more"))
    more = LIMITS["keys"] - len(p.relay.call("key.list")["keys"])
    p.key(*[key(f"0001{n:04x}") for n in range(more + 1)])
    lists = [{"jsonrpc": "2.0", "id": n, "method": "key.list"} for n in range(140)]  # of half a megabyte each
    with p.relay.connect() as control:
        p.keep(control.exchange(json.dumps(lists).encode())[-1]["error"])


@pytest.fixture(scope="module")
def provoked(lab):
    with Relay(lab, limits=LIMITS, anchored=False) as relay:
        relay.call("key.install", {"keys": [
            key(), key("0000e002", groups=["sip:cats@mcptt.example.org"]), key(PCK), key(CSK),
            key("0000e003", profile={"suite": "aes-cm-128-hmac-sha1-80"})]})
        hold(relay, "held", listener("a", f"{RAN}:4000", "239.1.2.3:4000"))
        p = Provoker(relay)
        for provoke in (ask_wrongly, state_wrongly, state_wrong_keys, state_wrong_legs, name_what_is_not_there,
                        want_what_others_have, use_keys_wrongly, be_wrong_about_kmss, be_wrong_about_documents, be_wrong_about_identities,
                        be_wrong_about_made_messages, protect_payloads_wrongly, redirect_wrongly,
                        go_beyond_limits):
            provoke(p)
        yield p.found


def test_every_error_is_in_the_catalogue(provoked):
    assert provoked - catalogue() == set()


def test_every_entry_of_the_catalogue_is_true(provoked):
    assert catalogue() - provoked == set()


CALLS = re.compile(r"\b(?:rpc_fail|reader_fail|fail_at)\((.*?)\);", re.DOTALL)
RARE = {"out of memory", "the method failed without saying why", "there is no memory for events of this connection; "
        "accepted: less", "there is no memory for it; accepted: less, or later",
        "comes when too many wait to be computed; accepted: later", "gives no UID: %s; accepted: one that does",
        "cannot be dated: the clock of this relay says %llu; accepted: later, when it is set",
        "comes when %d messages are remembered; accepted: later",
        "cannot be remembered: %s; accepted: later, when the state directory can be written",
        "finds no free key id; accepted: later", "finds no random octets; accepted: later",
        "names no users; accepted: a URI of 1 to %d octets, with at most one *",
        "is a KMS that is there, with other members; accepted: another uri, or the same members",
        "is a KMS that this relay itself is, with other members; accepted: the same",
        "is a KMS with which messages are made or opened; accepted: later",
        "is a KMS that this relay itself is; accepted: destroy true, and nobody can read what was made for its users",
        "is a KMS that is sealed in the state directory; accepted: another uri",
        "cannot be sealed in the state directory: %s; accepted: later",
        "cannot be taken from the state directory: %s; accepted: later",
        "has no certificate that can be written: a time is beyond the year 9999; accepted: another KMS",
        "has expired; accepted: another key", "was taken away meanwhile; accepted: a key that key.list shows",
        "is for the %dth domain; accepted: %d", "is one KMS too many; accepted: %d",
        "is one key set of the identity too many; accepted: %d", "is one key set too many; accepted: %d",
        "is from another GMS than key %08x; accepted: keys from one GMS in a domain for the group %s",
        "cannot be dated: the clock of this relay is not synchronised, which mikey.require_sync asks for; accepted: later, "
        "when it is", "cannot be protected: %s; accepted: later",
        "has protected 4294967296 payloads by this algorithm; accepted: another key (SP 800-38D 8.3)"}
# nothing that a client asks for provokes them


def texts_of_the_sources():
    """Formats of all messages, one string of each call: the last that the call has."""
    for path in sorted(path for room in ("server", "identity", "key", "session", "control") for path in (ROOT / room).glob("*.c")):
        for call in CALLS.findall(path.read_text()):
            strings = re.findall(r'(?:"(?:[^"\\]|\\.)*"\s*(?:PRIu64\s*|JSON_INTEGER_FORMAT\s*)?)+', call)
            words = ["".join(re.findall(r'"((?:[^"\\]|\\.)*)"', s)).replace('\\"', '"') for s in strings]
            words = [w for w in words if len(w.split()) > 2]
            yield from words[:1]


def test_every_text_of_the_sources_is_in_the_catalogue():
    """And says what is accepted."""
    texts, messages = set(texts_of_the_sources()) - RARE, [message for _, _, message in catalogue()]
    assert len(texts) > 40
    for text in texts:
        pattern = ".*".join(re.escape(part) for part in re.split(r"%\d*z?(?:ll)?[sud]|%08x|%", text))
        assert any(re.match(pattern, message) for message in messages), text
    assert not [message for message in messages if "accepted" not in message]


def test_every_code_has_its_section():
    codes = re.findall(r"^\tRPC_\w+ = (-?\d+),", (ROOT / "server" / "rpc_error.h").read_text(), re.MULTILINE)
    assert len(codes) == 12
    assert sorted(re.findall(r"^## (-?\d+) ", PAGE, re.MULTILINE)) == sorted(set(codes) - {"0"})
