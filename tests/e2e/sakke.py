# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""A KMS and a client of MIKEY-SAKKE, written from the standards without a line of the relay's code.

RFC 6507 (ECCSI), RFC 6508 with parameter set 1 of RFC 6509 (SAKKE), RFC 6509 and TS 33.180 Annex E (I_MESSAGEs),
TS 33.180 F.2.1 (UIDs) and F.1.3 (GUK-IDs). Plain integers: slow, and nothing for secrets that matter.
"""

import base64
import hashlib
import os
import secrets
import struct
import time
from dataclasses import dataclass

import mcdata
import mcx
import vectors

NTP_UNIX = 2208988800
PERIOD = 2592000  # seconds
SET_1 = dict(vectors.sections("sakke"))["param_set_1"]
P, Q, G_FP = (int(SET_1[name], 16) for name in ("p", "q", "g"))
BASE = int(SET_1["Px"], 16), int(SET_1["Py"], 16)


def sha(octets):
    return hashlib.sha256(octets).digest()


@dataclass(frozen=True)
class Curve:
    """y^2 = x^3 + a x + b over F_p; points are pairs, the one at infinity is None."""
    p: int
    a: int
    q: int
    octets: int  # of a coordinate

    def add(self, one, other):
        if one is None or other is None:
            return one or other
        (x1, y1), (x2, y2) = one, other
        if x1 == x2 and (y1 + y2) % self.p == 0:
            return None
        if one == other:
            slope = (3 * x1 * x1 + self.a) * pow(2 * y1, -1, self.p)
        else:
            slope = (y2 - y1) * pow(x2 - x1, -1, self.p)
        x3 = (slope * slope - x1 - x2) % self.p
        return x3, (slope * (x1 - x3) - y1) % self.p

    def multiply(self, n, point):
        result = None
        for bit in bin(n)[2:]:
            result = self.add(result, result)
            if bit == "1":
                result = self.add(result, point)
        return result

    def write(self, point):
        return b"\x04" + b"".join(coordinate.to_bytes(self.octets, "big") for coordinate in point)


SAKKE = Curve(P, -3, Q, 128)
P256 = Curve(0xffffffff00000001000000000000000000000000ffffffffffffffffffffffff, -3,
             0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551, 32)
G = (0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
     0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5)


def hash_to_range(octets, n):
    """HashToIntegerRange of RFC 6508 5.1."""
    a, h, v = sha(octets), bytes(32), b""
    while len(v) * 8 < n.bit_length():
        h = sha(h)
        v += sha(h + a)
    return int.from_bytes(v, "big") % n


def power_of_g(r):
    """g^r in PF_p, whose elements are x2 / x1 of x1 + i x2."""
    real, imaginary = 1, 0
    for bit in bin(r)[2:]:
        real, imaginary = (real * real - imaginary * imaginary) % P, 2 * real * imaginary % P
        if bit == "1":
            real, imaginary = (real - imaginary * G_FP) % P, (imaginary + real * G_FP) % P
    return imaginary * pow(real, -1, P) % P


def encapsulate(z_point, uid, ssv):
    """RFC 6508 6.2.1."""
    b = int.from_bytes(uid, "big")
    r = hash_to_range(ssv + uid, Q)
    point = SAKKE.multiply(r, SAKKE.add(SAKKE.multiply(b, BASE), z_point))
    mask = hash_to_range(power_of_g(r).to_bytes(128, "big"), 1 << 128)
    return SAKKE.write(point) + (int.from_bytes(ssv, "big") ^ mask).to_bytes(16, "big")


def uid_of(uri, kms_uri, period, offset, period_no):
    def number(n):
        return n.to_bytes(max(1, (n.bit_length() + 7) // 8), "big")
    text = b"\x00"
    for part in (b"MIKEY-SAKKE-UID", uri.encode(), kms_uri.encode(), number(period), number(offset), number(period_no)):
        text += part + struct.pack(">H", len(part))
    return sha(text)


@dataclass
class KeySet:
    """What a KMS gives somebody for one key period."""
    uri: str
    kms: "Kms"
    period_no: int
    uid: bytes
    rsk: bytes
    ssk: int
    pvt: bytes

    def rpc(self, **members):
        """The Identity of the control API."""
        return {"uri": self.uri, "kms": self.kms.uri, "period_no": self.period_no, "uid": self.uid.hex(),
                "rsk": self.rsk.hex(), "ssk": f"{self.ssk:064x}", "pvt": self.pvt.hex()} | members

    def sign(self, message):
        """RFC 6507 5.2.1."""
        hs = sha(P256.write(G) + self.kms.kpak + self.uid + self.pvt)
        j = secrets.randbelow(P256.q - 1) + 1
        r = P256.multiply(j, G)[0]
        he = int.from_bytes(sha(hs + r.to_bytes(32, "big") + message), "big")
        s = pow(he + r * self.ssk, -1, P256.q) * j % P256.q
        return r.to_bytes(32, "big") + s.to_bytes(32, "big") + self.pvt


class Kms:
    """RFC 6507 4.2 and 5.1.1, RFC 6508 6.1."""

    def __init__(self, uri, period=PERIOD, offset=0):
        self.uri, self.period, self.offset = uri, period, offset
        self.z, self.ksak = secrets.randbelow(Q - 2) + 2, secrets.randbelow(P256.q - 1) + 1
        self.z_point = SAKKE.multiply(self.z, BASE)
        self.kpak = P256.write(P256.multiply(self.ksak, G))

    def rpc(self, **members):
        """The Kms of the control API."""
        return {"uri": self.uri, "period": self.period, "offset": self.offset,
                "enc_key": SAKKE.write(self.z_point).hex(), "auth_key": self.kpak.hex()} | members

    def period_no(self, seconds):
        return (int(seconds) + NTP_UNIX - self.offset) // self.period

    def uid(self, uri, seconds):
        return uid_of(uri, self.uri, self.period, self.offset, self.period_no(seconds))

    def give(self, uri, seconds=None):
        """The key set of the period of a time."""
        seconds = time.time() if seconds is None else seconds
        uid = self.uid(uri, seconds)
        v = secrets.randbelow(P256.q - 1) + 1
        pvt = P256.write(P256.multiply(v, G))
        hs = int.from_bytes(sha(P256.write(G) + self.kpak + uid + pvt), "big")
        inverse = pow(int.from_bytes(uid, "big") + self.z, -1, Q)
        return KeySet(uri, self, self.period_no(seconds), uid, SAKKE.write(SAKKE.multiply(inverse, BASE)),
                      (self.ksak + hs * v) % P256.q, pvt)


def payload(kind, rest):
    return kind, rest


def idr(role, uri):
    return payload(14, bytes([role, 1]) + struct.pack(">H", len(uri)) + uri.encode())


class Client:
    """An MC client, or whoever has key sets of a KMS."""

    def __init__(self, uri, kms):
        self.uri, self.kms = uri, kms

    def message(self, key, receiver, receiver_kms=None, at=None, parameters=None, without=()):
        """The I_MESSAGE that brings a key (mcx.RootKey) to a receiver, as octets.

        parameters: those of the key (mcdata.key_parameters()). without: roles whose IDR payloads are left out.
        """
        at, receiver_kms = time.time() if at is None else at, receiver_kms or self.kms
        csb_id = mcx.guk_id(key.value, key.id, receiver) if key.type == "gmk" else key.id
        sed = encapsulate(receiver_kms.z_point, receiver_kms.uid(receiver, at), key.value)
        payloads = [
            payload(5, b"\0" + struct.pack(">II", (int(at) + NTP_UNIX) & 0xffffffff, 0)),
            payload(11, bytes([len(key.rand)]) + key.rand),
            *(idr(role, uri) for role, uri in ((1, self.uri), (2, receiver), (6, self.kms.uri), (7, receiver_kms.uri))
              if role not in without),
            payload(26, b"\x01\x02" + struct.pack(">H", len(sed)) + sed),
        ]
        if parameters is not None:
            data = mcdata.protect(key.value, csb_id, parameters, at=at)
            payloads.append(payload(21, b"\x07" + struct.pack(">H", len(data)) + data))
        kinds = [kind for kind, _ in payloads] + [4]
        message = b"\x01\x1a" + bytes([kinds[0]]) + b"\x01" + struct.pack(">I", csb_id) + b"\0\x01"
        for (_, rest), following in zip(payloads, kinds[1:]):
            message += bytes([following]) + rest
        message += struct.pack(">H", 2 << 12 | 129)
        return message + self.kms.give(self.uri, at).sign(message)


def text(message):
    return base64.b64encode(message).decode()


def new_key(kind):
    return mcx.RootKey(kind, mcx.PURPOSE_TAGS[kind] << 28 | secrets.randbits(28), os.urandom(16), os.urandom(16))
