# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Certificates for tests: an authority, and what it signs, as PEM files in a directory."""

import datetime
import ipaddress
import itertools
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
DAY = datetime.timedelta(days=1)

_numbers = itertools.count(1)


def pem_of_key(key, passphrase=None):
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


class Credentials:
    """A certificate and its key: files PREFIX.crt and PREFIX.key."""

    def __init__(self, prefix, certificate, key):
        self.certificate, self.key = certificate, key
        self.certificate_file, self.key_file = f"{prefix}.crt", f"{prefix}.key"
        with open(self.certificate_file, "wb") as file:
            file.write(certificate.public_bytes(serialization.Encoding.PEM))
        with open(os.open(self.key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(pem_of_key(key))


class Authority:
    """Signs certificates. Its own is in the file ca_file."""

    def __init__(self, directory, name):
        self.directory, self.name = directory, name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._sign(self._builder(self.subject, self.key, DAY * -1, DAY).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True))
        self.ca_file = str(directory / f"{name}.crt")
        with open(self.ca_file, "wb") as file:
            file.write(certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject, key, since, until):
        now = datetime.datetime.utcnow()
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(self.subject).public_key(key.public_key())
                .serial_number(next(_numbers)).not_valid_before(now + since).not_valid_after(now + until))

    def _sign(self, builder):
        return builder.sign(self.key, hashes.SHA256())

    def crl(self, *revoked, since=DAY * -1, until=DAY, numbers=()):
        """PEM of the list of these Credentials, or serial numbers."""
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateRevocationListBuilder().issuer_name(self.subject).last_update(now + since)
                   .next_update(now + until))
        for number in [*(one.certificate.serial_number for one in revoked), *numbers]:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now).build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, name, usage, since=DAY * -1, until=DAY, addresses=("127.0.0.1",), names=(), file=None):
        """Credentials for a common name, in files called after it unless file says another name."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        alternatives = [x509.IPAddress(ipaddress.ip_address(a)) for a in addresses] + [x509.DNSName(n) for n in names]
        builder = (self._builder(subject, key, since, until)
                   .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                   .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
                   .add_extension(x509.SubjectAlternativeName(alternatives), critical=False))
        return Credentials(self.directory / (file or name), self._sign(builder), key)
