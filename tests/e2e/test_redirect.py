# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""KMS redirect responses (TS 33.180 5.2.8): made of a message that names other KMSs, and the retry that follows."""

import base64
import subprocess

import pytest

import sakke
from lab import RpcError

REFUSED = 6


@pytest.fixture
def kmss(relay):
    """A home KMS, one of a partner, and one of which nobody here has heard."""
    made = [sakke.Kms(f"{name}.redirect.example.org") for name in ("home", "partner", "other")]
    for kms, role in zip(made, ("home", "external")):
        relay.call("kms.install", {"kms": [kms.rpc(role=role)]})
    yield made
    relay.call("kms.remove", {"uris": [kms.uri for kms in made]})


def reason_of(call, *args):
    with pytest.raises(RpcError) as caught:
        call(*args)
    assert caught.value.code == REFUSED
    return caught.value.data["reason"]


def redirect(relay, allowed, **more):
    return relay.call("message.redirect", {"creator": "sip:proxy@gw.example.org", "allowed": allowed} | more)["xml"]


@pytest.fixture
def signer(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                    "/CN=proxy", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return {"key": key.read_text(), "certificate": certificate.read_text()}


def der(certificate):
    return "".join(certificate.split("-----")[2].split())


def test_a_redirect_and_the_retry(relay, kmss):
    """Of a message to a KMS that is not known: what it names comes back, and the KMSs of the next one."""
    home, partner, other = kmss
    message = sakke.Client("sip:alice@mcptt.example.org", home).message(sakke.new_key("pck"), "sip:lmr@gw.example.org", other)
    xml = redirect(relay, {"initiator": "ANY", "receiver": [other.uri + ".x", partner.uri]}, message=sakke.text(message))
    for part in ("sip:alice@mcptt.example.org", "sip:lmr@gw.example.org", home.uri, other.uri, "sip:proxy@gw.example.org"):
        assert part in xml
    assert relay.call("message.redirected", {"xml": xml}) == {
        "initiator_kms": home.uri, "receiver_kms": partner.uri, "unknown": [], "signed": "none", "chain": 0}
    asked = relay.call("message.redirected", {"xml": xml, "policy": {"request_unknown": True}})
    assert asked["unknown"] == [other.uri + ".x"]
    stricter = redirect(relay, {"initiator": [home.uri], "receiver": [partner.uri]}, received=xml)
    assert relay.call("message.redirected", {"xml": stricter})["chain"] == 1
    empty = redirect(relay, {"initiator": "ANY", "receiver": [home.uri + ".x"]}, received=stricter)
    assert reason_of(relay.call, "message.redirected", {"xml": empty}) == "no-common-kms"


def test_what_is_refused_tells_its_redirect(relay, kmss):
    """message.open of a message to a KMS that is not known says what message.redirect makes of it; of a revoked one, too."""
    home, partner, other = kmss
    uri, alice = "sip:lmr@redirect.example.org", sakke.Client("sip:alice@mcptt.example.org", partner)
    relay.call("identity.install", {"identities": [home.give(uri).rpc()]})
    message = sakke.text(alice.message(sakke.new_key("pck"), uri, other))

    def refused(reason, message):
        with pytest.raises(RpcError) as caught:
            relay.call("message.open", {"message": message})
        assert (caught.value.code, caught.value.data["reason"]) == (REFUSED, reason)
        return caught.value.data.get("redirect")
    told = refused("unknown-kms", message)
    assert told["allowed"]["receiver"] == [home.uri] and {home.uri, partner.uri} <= set(told["allowed"]["initiator"])
    assert (told["initiator"], told["receiver"]) == (alice.uri, uri)
    assert (told["initiator_kms"], told["receiver_kms"]) == (partner.uri, other.uri)
    xml = relay.call("message.redirect", told | {"creator": "sip:segy@gw.example.org"})["xml"]
    assert relay.call("message.redirected", {"xml": xml})["receiver_kms"] == home.uri
    relay.call("kms.install", {"kms": [partner.rpc(role="external", revoked=True)], "replace": True})
    told = refused("kms-revoked", sakke.text(alice.message(sakke.new_key("pck"), uri, home)))
    assert partner.uri not in told["allowed"]["initiator"] and told["allowed"]["receiver"] == [home.uri]
    relay.call("kms.install", {"kms": [partner.rpc(role="external", valid_to=1800000000 - 400000000)], "replace": True})
    assert partner.uri not in refused("kms-not-valid", sakke.text(alice.message(sakke.new_key("pck"), uri, home)))["allowed"]["initiator"]
    assert refused("malformed", message[:8]) is None
    relay.call("identity.remove", {"identities": [{"uri": uri, "kms": home.uri}]})


def test_the_policy(relay, kmss, signer):
    """Signatures verify under a certificate that is trusted, and one changed character is found."""
    home, partner, _ = kmss
    parties = {"initiator": "sip:a@example.org", "receiver": "sip:b@example.org", "initiator_kms": "x", "receiver_kms": "y"}
    allowed = {"initiator": "ANY", "receiver": [partner.uri]}
    plain, signed = redirect(relay, allowed, **parties), redirect(relay, allowed, sign=signer, **parties)
    strict = {"require_signed": True}
    assert reason_of(relay.call, "message.redirected", {"xml": plain, "policy": {"allow": False}}) == "krr-policy"
    assert reason_of(relay.call, "message.redirected", {"xml": plain, "policy": strict}) == "krr-policy"
    assert relay.call("message.redirected", {"xml": signed})["signed"] == "unverified"
    assert reason_of(relay.call, "message.redirected", {"xml": signed, "policy": strict}) == "krr-policy"
    trusted = {"certificates": [der(signer["certificate"])], "policy": strict}
    assert relay.call("message.redirected", {"xml": signed} | trusted)["signed"] == "verified"
    changed = signed.replace("sip:b@example.org", "sip:c@example.org")
    assert reason_of(relay.call, "message.redirected", {"xml": changed} | trusted) == "krr-signature"
    assert signer["key"] not in relay.log_text()
