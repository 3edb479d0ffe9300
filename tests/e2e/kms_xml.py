# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""What a KMS sends (TS 33.180 Annex D), of a sakke.Kms: written from the tables, not by the relay's writer."""

import base64
import hashlib
import hmac
import xml.etree.ElementTree as ElementTree
from datetime import datetime, timezone

import sakke
from cryptography.hazmat.primitives.keywrap import aes_key_wrap, aes_key_wrap_with_padding

NS, ENC, DSIG = ("urn:3gpp:ns:mcsecKMSInterface:1.0", "http://www.w3.org/2001/04/xmlenc#",
                 "http://www.w3.org/2000/09/xmldsig#")
KW, KW_PAD = f"{ENC}kw-aes256", "http://www.w3.org/2009/xmlenc11#kw-aes-256-pad"
C14N, ENVELOPED = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315", f"{DSIG}enveloped-signature"


def moment(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


def in_hex(octets):
    return octets.hex().upper()


def in_base64(octets):
    return base64.encodebytes(octets).decode()


def wrapped(key_id, key, algorithm=KW, carried=""):
    """A form of a key: wrapped under a transport key, filled with zeros to a multiple of 8 or as RFC 5649 has it."""
    def form(octets):
        filled = octets + bytes(-len(octets) % 8)
        value = aes_key_wrap(key, filled) if algorithm == KW else aes_key_wrap_with_padding(key, octets)
        name = f"<CarriedKeyName>{carried}</CarriedKeyName>" if carried else ""
        return (f'<EncryptedKey xmlns="{ENC}"><EncryptionMethod Algorithm="{algorithm}"/><ds:KeyInfo xmlns:ds="{DSIG}">'
                f"<ds:KeyName> {key_id} </ds:KeyName></ds:KeyInfo><CipherData><CipherValue>{in_base64(value)}</CipherValue>"
                f"</CipherData>{name}</EncryptedKey>")
    return form


def certificate(kms, form=in_hex, role="Root", more="", attributes=""):
    return (f'<KmsCertificate Version="1.1.0" Role="{role}"{attributes}><CertUri>cert.{kms.uri}</CertUri>'
            f"<KmsUri>{kms.uri}</KmsUri><Issuer>A&amp;B</Issuer><ValidFrom>{moment(1767225600)}</ValidFrom>"
            f"<ValidTo>{moment(4102444800)}</ValidTo><Revoked>false</Revoked><UserIdFormat>2</UserIdFormat>"
            f"<UserKeyPeriod>{kms.period}</UserKeyPeriod><UserKeyOffset>{kms.offset}</UserKeyOffset>"
            f"<PubEncKey>{form(sakke.SAKKE.write(kms.z_point))}</PubEncKey><PubAuthKey>{form(kms.kpak)}</PubAuthKey>"
            f"<ParameterSet>1</ParameterSet>{more}<KmsDomainList><KmsDomain>{kms.uri}</KmsDomain></KmsDomainList>"
            f"</KmsCertificate>")


def key_set(keys, form=in_hex, more="", **changed):
    """Of a sakke.KeySet; changed: octets in place of its own, by name."""
    value = {"uid": keys.uid, "rsk": keys.rsk, "ssk": keys.ssk.to_bytes(32, "big"), "pvt": keys.pvt} | changed
    return (f"<KmsKeySet><KmsUri>{keys.kms.uri}</KmsUri><CertUri>cert.{keys.kms.uri}</CertUri><Issuer>A</Issuer>"
            f"<UserUri>{keys.uri}</UserUri><UserID>{in_base64(value['uid'])}</UserID><ValidFrom>{moment(1767225600)}</ValidFrom>"
            f"<ValidTo>{moment(4102444800)}</ValidTo><KeyPeriodNo>{keys.period_no}</KeyPeriodNo>{more}"
            f"<UserDecryptKey>{form(value['rsk'])}</UserDecryptKey><UserSigningKeySSK>{form(value['ssk'])}</UserSigningKeySSK>"
            f"<UserPubTokenPVT>{form(value['pvt'])}</UserPubTokenPVT></KmsKeySet>")


def message(*parts, kind="KmsInit"):
    """KmsInit, KmsKeyProv or KmsCertCache alone."""
    return f'<{kind} xmlns="{NS}" Version="1.0.0">{"".join(parts)}</{kind}>'


def response(*parts, kind="KmsInit", ns=f' xmlns="{NS}"'):
    return (f'<KmsResponse{ns} Version="1.0.0"><UserUri>sip:somebody@example.org</UserUri><KmsUri>kms.example.org</KmsUri>'
            f"<Time>{moment(1767225600)}</Time><KmsId>kms</KmsId><ClientReqUrl>https://kms.example.org/keymanagement</ClientReqUrl>"
            f'<KmsMessage><{kind} Version="1.0.0">{"".join(parts)}</{kind}></KmsMessage></KmsResponse>')


def signed(key_id, key, *parts, kind="KmsInit"):
    """A SignedKmsResponse under an integrity key."""
    return signed_element("SignedKmsResponse", key_id, key, response(*parts, kind=kind, ns=""))


def signed_element(name, key_id, key, body):
    """D.1. What is in it has no default namespace twice."""
    def canonical(text):
        return ElementTree.canonicalize(text, rewrite_prefixes=False)
    head, tail = f'<{name} xmlns="{NS}" Id="xmldoc">', f"</{name}>"
    digest = hashlib.sha256(canonical(head + body + tail).encode()).digest()
    info = (f'<SignedInfo xmlns="{DSIG}"><CanonicalizationMethod Algorithm="{C14N}"/>'
            f'<SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"/><Reference URI="#xmldoc">'
            f'<Transforms><Transform Algorithm="{ENVELOPED}"/><Transform Algorithm="{C14N}"/></Transforms>'
            f'<DigestMethod Algorithm="{ENC}sha256"/><DigestValue>{base64.b64encode(digest).decode()}</DigestValue>'
            f"</Reference></SignedInfo>")
    value = base64.b64encode(hmac.new(key, canonical(info).encode(), hashlib.sha256).digest()).decode()
    signature = (f'<Signature xmlns="{DSIG}">{info}<SignatureValue>{value}</SignatureValue><KeyInfo>'
                 f"<KeyName>{key_id}</KeyName></KeyInfo></Signature>")
    return head + body + signature + tail
