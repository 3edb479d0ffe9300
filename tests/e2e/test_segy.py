# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""docs/segy.md: its calls in their order, with a partner at the other end who knows no code of the relay."""

import json
import re
import secrets

import sakke
from lab import ROOT, Relay
from test_api import here

PAGE = (ROOT / "docs" / "segy.md").read_text()
REQUESTS = re.findall(r"^```json request\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ALICE, LMR, MDSI = "sip:alice@mcptt.example.org", "sip:lmr-7@gw.example.org", "sip:mcptt@gw.example.org"


class Partner:
    """Its KMS, its users, and what it knows of the gateway."""

    def __init__(self):
        self.kms, self.gateway = sakke.Kms("kms.example.org"), None
        self.known = {"(PubEncKey)": sakke.SAKKE.write(self.kms.z_point).hex(), "(PubAuthKey)": self.kms.kpak.hex()}

    def learn(self, certificate):
        self.gateway = sakke.Kms(certificate["uri"], certificate["period"], certificate["offset"])
        self.gateway.z_point = sakke.SAKKE.read(bytes.fromhex(certificate["enc_key"]))
        self.gateway.kpak = bytes.fromhex(certificate["auth_key"])

    def message(self, kind, sender):
        """What one of it sends to the user, or with a CSK to the server, behind the gateway."""
        receiver = MDSI if kind == "CSK" else LMR
        client = sakke.Client(sender, self.kms)
        return sakke.text(client.message(sakke.new_key(kind.lower()), receiver, self.gateway))

    def fill(self, text):
        for placeholder, value in self.known.items():
            text = text.replace(placeholder, value)
        return re.sub(r"\((PCK|GMK|CSK) of (\S+?)\)", lambda match: self.message(*match.groups()), text)

    def take(self, params, answer):
        """Opens what the relay made."""
        for one in answer["messages"]:
            client = sakke.Client(one["receiver"], self.kms)
            message = sakke.receive(one["message"], client, params["initiator"], self.gateway)
            assert message.key.id_text == answer["id"] and message.key.type == params["type"]
            revoked = params.get("key_parameters", {}).get("status", {}).get("revoked", False)
            assert not message.parameters or message.parameters.status == (2 if revoked else 3)


def test_the_calls_of_the_page(lab, tmp_path):
    seal = tmp_path / "seal"
    seal.write_bytes(secrets.token_bytes(32))
    partner, methods = Partner(), []
    with Relay(lab, options=f'mikey = {{ seal = "{seal}"; }};\n', anchored=False) as relay:
        for text in REQUESTS:
            request = json.loads(partner.fill(here(text)))
            answer = relay.call(request["method"], request["params"])
            methods.append(request["method"])
            assert answer.get("rejected", []) == []
            if request["method"] == "kms.create":
                partner.learn(answer["certificate"])
            if request["method"] == "message.make":
                partner.take(request["params"], answer)
            if request["method"] == "message.open":
                assert answer["installed"] and answer["domain"] == "segy" and answer["security_gateway"]
            if "id" in answer:
                partner.known["(id)"] = answer["id"]
    assert methods.count("message.open") == 3 and methods.count("message.make") == 6 and len(methods) == len(REQUESTS)
