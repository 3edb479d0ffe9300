# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""KMSs and key sets by what a KMS sends (TS 33.180 Annex D): taken in every form, and refused as a whole."""

import itertools
import json
import secrets
import time

import pytest

import process
import sakke
from kms_xml import (KW, KW_PAD, NS, certificate, in_base64, in_hex, key_set, message, response, signed, signed_element,
                     wrapped)
from lab import Relay, RpcError, wait_for

REFUSED, CONFLICT, FALSE_KEY, NOT_FOUND, PARAMS = 6, 2, 4, 1, -32602
TRK, OTHER = "trk.1@kms.example.org", "trk.2@kms.example.org"
_numbers = itertools.count(1)


class Provision:
    """A KMS, somebody behind the relay, and a transport key of 256 bits that both know."""

    def __init__(self, relay):
        number = next(_numbers)
        self.relay, self.kms = relay, sakke.Kms(f"xml{number}.example.org", period=(3600, 86400, 2592000)[number % 3], offset=number)
        self.uri, self.gms = f"sip:lmr{number}@gw.example.org", f"sip:gms{number}@xml.example.org"
        self.keys, self.key = self.kms.give(self.uri), secrets.token_bytes(32)

    def transport_keys(self, key_id=TRK):
        return [{"id": key_id, "value": self.key.hex()}]

    def kms_install(self, xml, **more):
        return self.relay.call("kms.install", {"xml": xml} | more)

    def install(self, xml, **more):
        return self.relay.call("identity.install", {"xml": xml} | more)

    def kms_list(self):
        return [kms for kms in self.relay.call("kms.list")["kms"] if kms["uri"] == self.kms.uri]

    def identities(self):
        listed = self.relay.call("identity.list")["identities"]
        return [identity for identity in listed if identity["kms"] == self.kms.uri]

    def open(self, kind="pck", sender="sip:alice@xml.example.org"):
        key = sakke.new_key(kind)
        answer = self.relay.call("message.open", {"message": sakke.text(sakke.Client(sender, self.kms).message(key, self.uri))})
        assert answer["id"] == key.id_text
        self.relay.call("key.revoke", {"keys": [{"id": key.id_text, "domain": answer["domain"]}]})
        return answer

    def close(self):
        self.relay.call("identity.remove", {"identities": [{"uri": i["uri"], "kms": i["kms"]} for i in self.identities()]})
        self.relay.call("kms.remove", {"uris": [self.kms.uri]})


@pytest.fixture
def provision(relay):
    made = Provision(relay)
    yield made
    made.close()


def refusal(call, *args, code=REFUSED, **more):
    with pytest.raises(RpcError) as caught:
        call(*args, **more)
    assert caught.value.code == code
    return caught.value.data.get("reason"), caught.value.path


FORMS = {"hex": in_hex, "base64": in_base64, "kw": KW, "kw-pad": KW_PAD}


@pytest.mark.parametrize("form, outside", [("hex", "message"), ("base64", "response"), ("kw", "response"), ("kw-pad", "message"),
                                           ("hex", "element"), ("kw", "element")])
def test_every_form_is_taken(provision, form, outside):
    """The certificate and the key set of one document: each method takes what is its own."""
    how = FORMS[form] if callable(FORMS[form]) else wrapped(TRK, provision.key, FORMS[form])
    plain = FORMS[form] if callable(FORMS[form]) else in_hex
    one, other = certificate(provision.kms, plain), key_set(provision.keys, how)
    ns = ' xmlns="urn:3gpp:ns:mcsecKMSInterface:1.0"'
    alone = [part.replace(" ", f"{ns} ", 1) if part.startswith("<KmsCertificate") else part.replace(">", f"{ns}>", 1)
             for part in (one, other)]
    xml = {"message": [message(one, other)] * 2, "response": [response(one, other)] * 2, "element": alone}[outside]
    shown = {"installed": 1, "rejected": [], "signed": "none", "transport_keys": []}
    assert provision.kms_install(xml[0], gms=[provision.gms], transport_keys=provision.transport_keys()) == shown
    assert provision.install(xml[1], transport_keys=provision.transport_keys(), domain="behind") == shown
    [kms] = provision.kms_list()
    assert (kms["role"], kms["gms"], kms["period"], kms["offset"]) == (
        "home", [provision.gms], provision.kms.period, provision.kms.offset)
    assert kms["cert_uri"] == f"cert.{provision.kms.uri}" and kms["domains"] == [provision.kms.uri]
    assert (kms["valid_from"], kms["valid_to"], kms["identities"]) == (1767225600, 4102444800, 1)
    [identity] = provision.identities()
    assert (identity["uri"], identity["role"], identity["domain"]) == (provision.uri, "user", "behind")
    assert [period["period_no"] for period in identity["periods"]] == [provision.keys.period_no]
    assert provision.open()["domain"] == "behind"


def test_what_a_document_does_not_say_stays(provision):
    """Neither who may act as a GMS, nor the role, nor the domain of an identity is lost with the next document."""
    kms = certificate(provision.kms)
    provision.kms_install(message(kms), gms=[provision.gms], role="migration", accept=["uid_base64"])
    assert provision.kms_install(message(kms))["installed"] == 1
    provision.install(message(key_set(provision.keys)), role="mdsi", domain="d")
    later = provision.kms.give(provision.uri, time.time() + 2 * provision.kms.period)
    assert provision.install(message(key_set(later)))["installed"] == 1
    [shown], [identity] = provision.kms_list(), provision.identities()
    assert (shown["gms"], shown["role"], shown["accept"]) == ([provision.gms], "migration", ["uid_base64"])
    assert (identity["role"], identity["domain"], len(identity["periods"])) == ("mdsi", "d", 2)
    changed = provision.kms_install(message(certificate(provision.kms, role="External")))
    assert [one["code"] for one in changed["rejected"]] == [CONFLICT]
    assert provision.kms_install(message(certificate(provision.kms, role="External")), replace=True)["installed"] == 1
    assert provision.kms_list()[0]["role"] == "external"


def test_accept_of_the_last_installation_stays(provision):
    """Whichever of several stated it first."""
    kms = provision.kms.rpc()
    for more in {}, {"accept": ["uid_base64"]}:
        provision.relay.call("kms.install", {"kms": [kms | more], "replace": True})
    assert provision.kms_install(message(certificate(provision.kms)), replace=True)["installed"] == 1
    assert provision.kms_list()[0]["accept"] == ["uid_base64"]


def test_signed_certificate(provision):
    """What its signature is worth is told, and one that is wrong is refused, alone or among others."""
    key = secrets.token_bytes(32)
    document = signed_element("SignedKmsCertificate", "ink.c", key, certificate(provision.kms))
    keys = [{"id": "ink.c", "value": key.hex()}]
    changed = document.replace("<UserKeyPeriod>", "<UserKeyPeriod>1")
    assert changed != document
    for wrong in changed, message(changed, kind="KmsCertCache"):
        assert refusal(provision.kms_install, wrong, transport_keys=keys) == ("signature", "params.xml")
    assert provision.kms_list() == []
    assert provision.kms_install(document, transport_keys=keys)["signed"] == "verified"
    assert provision.kms_install(document)["signed"] == "unverified"


def test_a_text_that_is_quoted_in_part(provision):
    """Cut within a character, it costs neither the answer nor those of others in the batch."""
    texts = ["<a" + "ä" * 20 + "/>", f'<KmsResponse xmlns="{NS}" Version="1.0.0"><KmsError>{"für " * 40}</KmsError></KmsResponse>',
             message(certificate(provision.kms, role="aä" * 30))]
    for xml in texts:
        for pad in "", "x", "xx":
            assert refusal(provision.kms_install, xml.replace("ä", pad + "ä", 1))[1] == "params.xml"
    batch = [{"jsonrpc": "2.0", "id": n, "method": "kms.install", "params": {"xml": texts[0]}} for n in range(2)]
    answers = provision.relay.control.exchange(json.dumps(batch).encode())
    assert [answer["id"] for answer in answers] == [0, 1] and all(answer["error"]["code"] == REFUSED for answer in answers)


def test_a_document_of_transport_keys_alone(provision):
    """They are of the KMS that the response names, and gone with it, whether or not it is installed."""
    fresh = secrets.token_bytes(32)
    new = f"<NewTransportKey>{wrapped(TRK, provision.key, carried=OTHER)(fresh)}</NewTransportKey>"
    document = response(new, kind="KmsKeyProv").replace("kms.example.org</KmsUri>", f"{provision.kms.uri}</KmsUri>")
    later = message(certificate(provision.kms), f"<NewTransportKey>{wrapped(OTHER, fresh, carried='tk.3')(fresh)}</NewTransportKey>")
    for installed in False, True:
        if installed:
            provision.kms_install(message(certificate(provision.kms)))
        answer = provision.kms_install(document, transport_keys=provision.transport_keys())
        assert answer["installed"] == 0 and answer["transport_keys"] == [OTHER]
        provision.relay.call("kms.remove", {"uris": [provision.kms.uri]})
        assert refusal(provision.kms_install, later) == ("transport-key", "params.xml")


def test_audit_names_what_a_document_has(provision):
    provision.kms_install(message(certificate(provision.kms)))
    provision.install(message(key_set(provision.keys)))
    for method, name in ("kms.install", f'kms="{provision.kms.uri}"'), ("identity.install", f'identities="{provision.uri}"'):
        wait_for(lambda: [line for line in provision.relay.log if f" audit method={method} " in line],
                 lambda lines: any(name in line for line in lines), f"{method} of {name}")


def test_several_in_one_document(provision):
    """Each succeeds or fails on its own, as in a list; and the others come."""
    bob = provision.kms.give("sip:bob@gw.example.org")
    provision.kms_install(message(certificate(provision.kms)))
    sets = [key_set(provision.keys), key_set(provision.keys, ssk=bob.ssk.to_bytes(32, "big")), key_set(bob, rsk=provision.keys.rsk),
            key_set(bob, uid=provision.keys.uid), key_set(bob, more="<Revoked>true</Revoked>"), key_set(bob),
            key_set(sakke.Kms("nowhere.example.org").give("sip:c@gw.example.org"))]
    answer = provision.install(message(*sets, kind="KmsKeyProv"))
    assert answer["installed"] == 2
    found = {one["index"]: (one["code"], one["data"]["path"]) for one in answer["rejected"]}
    path = "params.xml.KmsKeySet[{}]".format
    assert found == {1: (CONFLICT, path(1)), 2: (FALSE_KEY, path(2)), 3: (FALSE_KEY, path(3) + ".uid"), 4: (FALSE_KEY, path(4)),
                     6: (NOT_FOUND, path(6) + ".kms")}
    assert sorted(identity["uri"] for identity in provision.identities()) == sorted([provision.uri, bob.uri])
    assert provision.open()["type"] == "pck"


def test_a_key_that_a_document_brought(provision, relay):
    """NewTransportKey is kept, never shown, and unwraps the next document, which is signed under NewIntegrityKey."""
    fresh, integrity = secrets.token_bytes(32), secrets.token_bytes(32)
    new = (f"<NewTransportKey>{wrapped(TRK, provision.key, carried=OTHER)(fresh)}</NewTransportKey>"
           f"<NewIntegrityKey>{wrapped(TRK, provision.key, carried='ink.2')(integrity)}</NewIntegrityKey>")
    first = message(certificate(provision.kms), new)
    assert refusal(provision.kms_install, first) == ("transport-key", "params.xml")
    answer = provision.kms_install(first, transport_keys=provision.transport_keys())
    assert answer == {"installed": 1, "rejected": [], "signed": "none", "transport_keys": [OTHER, "ink.2"]}
    second = key_set(provision.keys, wrapped(OTHER, fresh))
    document = signed("ink.2", integrity, second)
    assert provision.install(document)["signed"] == "verified"
    assert provision.open()["installed"]
    changed = document.replace("<KeyPeriodNo>", "<KeyPeriodNo>1")
    assert refusal(provision.install, changed) == ("signature", "params.xml")
    assert provision.install(signed("ink.9", integrity, second))["signed"] == "unverified"
    again = message(f"<NewTransportKey>{wrapped(TRK, provision.key, carried=OTHER)(integrity)}</NewTransportKey>")
    assert refusal(provision.install, again, transport_keys=provision.transport_keys(), code=CONFLICT) == (None, "params.xml")
    provision.close()
    assert refusal(provision.install, message(second)) == ("transport-key", "params.xml")


def wrong_documents(p):
    """(xml, reason) of what is refused before anything is installed."""
    good_kms, good = certificate(p.kms), key_set(p.keys)
    key = wrapped(TRK, p.key)
    both = message(good_kms, good)
    yield "", "malformed"
    yield "kms", "malformed"
    yield both[:-1], "malformed"
    yield f"<!DOCTYPE KmsInit>{both}", "malformed"
    yield f'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>{both.replace("A&amp;B", "&b;")}', "malformed"
    yield both.replace("A&amp;B", "&b;"), "malformed"
    yield f'<?xml version="1.0" encoding="ISO-8859-1"?>{both}', "malformed"
    yield both + " " * 65536, "malformed"
    yield message("<a>" * 33 + "</a>" * 33), "malformed"
    yield both.replace("mcsecKMSInterface:1.0", "mcsecKMSInterface:2.0"), "xml-element"
    yield both.replace("KmsInit", "KmsLookup"), "xml-element"
    yield message(), "xml-element"
    yield message(good_kms, good.replace("<UserUri>", "<UserUri>x</UserUri><UserUri>")), "xml-element"
    for name in ("KmsUri", "UserUri", "UserID", "KeyPeriodNo", "UserDecryptKey", "UserSigningKeySSK", "UserPubTokenPVT"):
        head, _, rest = good.partition(f"<{name}>")
        yield message(good_kms, head + rest.partition(f"</{name}>")[2]), "xml-element"
    for name in ("UserIdFormat", "UserKeyPeriod", "UserKeyOffset", "PubEncKey", "PubAuthKey"):
        head, _, rest = good_kms.partition(f"<{name}>")
        yield message(head + rest.partition(f"</{name}>")[2], good), "xml-element"
    yield both.replace(in_hex(p.keys.rsk), in_hex(p.keys.rsk)[2:]), "xml-value"
    yield both.replace(in_hex(p.keys.pvt), in_hex(p.keys.pvt) + "00"), "xml-value"
    yield both.replace("<UserIdFormat>2", "<UserIdFormat>1"), "xml-value"
    yield both.replace("<ParameterSet>1", "<ParameterSet>2"), "xml-value"
    yield both.replace("<Revoked>false", "<Revoked>perhaps"), "xml-value"
    yield both.replace("2026-01-01T00", "2026-02-30T00"), "xml-value"
    yield both.replace(f"<KeyPeriodNo>{p.keys.period_no}", "<KeyPeriodNo>-1"), "xml-value"
    yield message(good_kms, key_set(p.keys, wrapped("trk.none", p.key))), "transport-key"
    yield message(good_kms, key_set(p.keys, wrapped(TRK, secrets.token_bytes(32)))), "transport-key"
    yield message(good_kms, key_set(p.keys, lambda octets: key(octets + bytes(8)))), "xml-value"
    yield message(good_kms, key_set(p.keys, lambda octets: key(octets + b"\1" * (-len(octets) % 8)))), "transport-key"
    pad = wrapped(TRK, p.key, KW_PAD)
    yield message(good_kms, key_set(p.keys, lambda octets: pad(octets + bytes(-len(octets) % 8)))), "transport-key"
    yield message(good_kms, key_set(p.keys, lambda octets: key(octets).replace("kw-aes256", "kw-aes128"))), "xml-value"
    yield message(good_kms, good, f"<NewTransportKey>{wrapped(TRK, p.key, carried='n')(bytes(16))}</NewTransportKey>"), "xml-value"
    yield response("<KmsError/>", good_kms), "xml-element"


def test_bad_documents_change_nothing(provision):
    """Each is refused with a reason and a path, and neither a KMS nor a key set nor a transport key is there."""
    rows = list(wrong_documents(provision))
    for xml, reason in rows:
        for call in (provision.kms_install, provision.install):
            assert refusal(call, xml, transport_keys=provision.transport_keys()) == (reason, "params.xml"), xml[:400]
    assert provision.kms_list() == [] and len(rows) > 30
    provision.kms_install(message(certificate(provision.kms)))
    for xml, reason in rows:
        assert refusal(provision.install, xml, transport_keys=provision.transport_keys()) == (reason, "params.xml")
    assert provision.identities() == []
    [only_kms, only_keys] = [message(certificate(provision.kms)), message(key_set(provision.keys))]
    assert refusal(provision.kms_install, only_keys) == ("xml-element", "params.xml")
    assert refusal(provision.install, only_kms) == ("xml-element", "params.xml")


def test_bad_params(provision):
    good, keys = message(certificate(provision.kms)), provision.transport_keys()
    two = message(certificate(provision.kms), certificate(sakke.Kms("two.example.org")))
    for more, path in (({"kms": []}, "params.kms"), ({"identities": []}, "params.identities"), ({"gms": [7]}, None),
                       ({"transport_keys": keys * 2}, "params.transport_keys[1].id"), ({"transport_keys": 7}, "params.transport_keys"),
                       ({"transport_keys": [{"id": "a"}]}, "params.transport_keys[0].value"),
                       ({"transport_keys": [{"id": "", "value": "00" * 32}]}, "params.transport_keys[0].id"),
                       ({"transport_keys": [{"id": "a", "value": "00" * 15}]}, "params.transport_keys[0].value"),
                       ({"transport_keys": [{"id": str(n), "value": "00" * 32} for n in range(65)]}, "params.transport_keys"),
                       ({"xml": two, "gms": []}, "params.gms"), ({"xml": 7}, "params.xml"), ({"domain": "d"}, "params.domain")):
        if path:
            assert refusal(provision.relay.call, "kms.install", {"xml": good} | more, code=PARAMS)[1] == path
        else:
            [one] = provision.kms_install(good, **more)["rejected"]
            assert one["data"]["path"] == "params.xml.KmsCertificate[0].gms[0]"
    assert refusal(provision.relay.call, "kms.install", {"kms": [], "transport_keys": []}, code=PARAMS)[1] == "params.transport_keys"
    assert provision.kms_list() == []


class StackRelay(Relay):
    """What a sanitizer puts in the place of the stack is wiped by nobody."""
    environment = {"ASAN_OPTIONS": "detect_stack_use_after_return=0"}


@pytest.mark.parametrize("form", ["hex", "base64", "wrapped"])
def test_what_was_removed_is_nowhere(lab, form):
    """Of a document: neither its keys, in whatever form it had them, nor the transport keys."""
    with StackRelay(lab) as relay:
        p = Provision(relay)
        fresh = secrets.token_bytes(32)
        how = {"hex": in_hex, "base64": in_base64, "wrapped": wrapped(TRK, p.key)}[form]
        new = f"<NewTransportKey>{wrapped(TRK, p.key, carried=OTHER)(fresh)}</NewTransportKey>"
        p.kms_install(message(certificate(p.kms), new), transport_keys=p.transport_keys())
        p.install(message(key_set(p.keys, how)), transport_keys=p.transport_keys())
        ssk = p.keys.ssk.to_bytes(32, "big")
        patterns = {"ssk": ssk, "fresh": fresh, "rsk": p.keys.rsk[1:129], "ssk text": ssk.hex().encode(),
                    "ssk TEXT": in_hex(ssk).encode(), "rsk text": p.keys.rsk[1:100].hex().encode(), "trk": p.key,
                    "trk text": p.key.hex().encode(), "ssk base64": in_base64(ssk).encode()[:40],
                    "rsk TEXT": in_hex(p.keys.rsk)[:200].encode(), "rsk base64": in_base64(p.keys.rsk).encode()[:70]}
        assert process.memory_find(relay.process.pid, patterns) == {"ssk", "fresh"}
        p.close()
        assert process.memory_find(relay.process.pid, patterns) == set()
        assert not [name for name, octets in patterns.items() if "text" in name.lower() and octets.decode() in relay.log_text()]
