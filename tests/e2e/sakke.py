# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""A KMS and a client of MIKEY-SAKKE, written from the standards without a line of the relay's code.

RFC 6507 (ECCSI), RFC 6508 with parameter set 1 of RFC 6509 (SAKKE), RFC 6509 and TS 33.180 Annex E (I_MESSAGEs),
TS 33.180 F.2.1 (UIDs), F.1.3 (GUK-IDs), E.6 and F.1.5 (key parameters). Plain integers: slow, and nothing for secrets that matter.
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
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

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

    # Of (X, Y, Z) x is X / Z^2 and y is Y / Z^3: no inverse a step. Z is 0 at infinity.
    def double(self, point):
        x, y, z = point
        s, m = 4 * x * y * y, 3 * x * x + self.a * pow(z, 4, self.p)
        x2 = (m * m - 2 * s) % self.p
        return x2, (m * (s - x2) - 8 * pow(y, 4, self.p)) % self.p, 2 * y * z % self.p

    def add_pair(self, point, pair):
        x, y, z = point
        h, r = (pair[0] * z * z - x) % self.p, (pair[1] * pow(z, 3, self.p) - y) % self.p
        if z == 0:
            return *pair, 1
        if h == 0:
            return self.double(point) if r == 0 else (1, 1, 0)
        h2 = h * h % self.p
        h3, s = h * h2 % self.p, x * h2 % self.p
        x2 = (r * r - h3 - 2 * s) % self.p
        return x2, (r * (s - x2) - y * h3) % self.p, z * h % self.p

    def multiply(self, n, pair):
        result = 1, 1, 0
        for bit in bin(n)[2:]:
            result = self.double(result)
            if bit == "1":
                result = self.add_pair(result, pair)
        x, y, z = result
        if z == 0:
            return None
        inverse = pow(z, -1, self.p)
        return x * inverse * inverse % self.p, y * inverse ** 3 % self.p

    def read(self, octets):
        assert octets[0] == 4 and len(octets) == 1 + 2 * self.octets
        return int.from_bytes(octets[1:1 + self.octets], "big"), int.from_bytes(octets[1 + self.octets:], "big")

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


def times(one, other):
    """In F_p^2, whose elements are x1 + i x2."""
    (a, b), (c, d) = one, other
    return (a * c - b * d) % P, (a * d + b * c) % P


def pairing(one, other):
    """<one, other> of RFC 6508 3.2, as its element of F_p: what a line is multiplied by in F_p cancels out."""
    x, y = other
    v, c = (1, 0), (*one, 1)
    for bit in bin(Q - 1)[3:]:
        cx, cy, cz = c
        z2 = cz * cz % P
        tangent = (3 * (cx * cx - z2 * z2) * (x * z2 + cx) - 2 * cy * cy) % P, y * 2 * cy * cz * z2 % P
        v, c = times(times(v, v), tangent), SAKKE.double(c)
        if bit == "1":
            cx, cy, cz = c
            width = cz * (cx - one[0] * cz * cz) % P
            v = times(v, (((cy - one[1] * cz ** 3) * (x + one[0]) - one[1] * width) % P, y * width % P))
            c = SAKKE.add_pair(c, one)
    result = (1, 0)
    for bit in bin((P + 1) // Q)[2:]:
        result = times(result, result)
        if bit == "1":
            result = times(result, v)
    return result[1] * pow(result[0], -1, P) % P


def decapsulate(z_point, uid, rsk, sed):
    """RFC 6508 6.2.2: the key, once TEST was R."""
    r_point = SAKKE.read(sed[:257])
    mask = hash_to_range(pairing(r_point, SAKKE.read(rsk)).to_bytes(128, "big"), 1 << 128)
    ssv = (int.from_bytes(sed[257:], "big") ^ mask).to_bytes(16, "big")
    assert encapsulate(z_point, uid, ssv) == sed
    return ssv


def verify(kpak, uid, signed, signature):
    """RFC 6507 5.2.2."""
    r, s, pvt = signature[:32], int.from_bytes(signature[32:64], "big"), signature[64:]
    hs = sha(P256.write(G) + kpak + uid + pvt)
    he = int.from_bytes(sha(hs + r + signed), "big")
    y = P256.add(P256.multiply(int.from_bytes(hs, "big"), P256.read(pvt)), P256.read(kpak))
    inner = P256.add(P256.multiply(he % P256.q, G), P256.multiply(int.from_bytes(r, "big"), y))
    return P256.multiply(s, inner)[0] % P256.q == int.from_bytes(r, "big") % P256.q


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

    def decapsulate(self, sed):
        return decapsulate(self.kms.z_point, self.uid, self.rsk, sed)

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


@dataclass
class Message:
    """An I_MESSAGE that its receiver has opened."""
    key: mcx.RootKey
    csb_id: int
    sessions: dict  # {CS-ID: SPI}
    policy: bytes  # parameters of its SP; None: there is none
    parties: dict  # {role of an IDR: octets}
    time: int
    parameters: "Parameters"
    to_self: bytes  # SED; None: there is none


@dataclass
class Parameters:
    """Of a key, E.6."""
    key_type: int
    status: int
    activation: int
    expiry: int
    text: str
    groups: list
    signalling_algorithm: int = 0


def parameters_of(protected, ssv, kind):
    """8.5.4 under the key that the message brings, AES-128: with an octet for a signalling algorithm or without."""
    for signalling in (0, 1):
        at = 12 + signalling
        iv, dppk_id = protected[at:at + 16], protected[at + 16:at + 20]
        (length,) = struct.unpack_from(">H", protected, at + 21)
        if at + 23 + length == len(protected):
            break
    assert protected[0] & 0x40 and protected[11] == 1
    dpck = mcx.mcx_kdf(ssv, 0x53, dppk_id)[16:]
    plain = AESGCM(dpck).decrypt(iv, protected[at + 23:], protected[:at + 20])
    status, text_len = int.from_bytes(plain[1:5], "big"), int.from_bytes(plain[15:17], "big")
    found = Parameters(plain[0], status, int.from_bytes(plain[5:10], "big"), int.from_bytes(plain[10:15], "big"),
                       plain[17:17 + text_len].decode(), [], protected[12] if signalling else 0)
    at = 17 + text_len + 3
    for _ in range(plain[at - 1] if kind in ("gmk", "musik") else 0):
        assert plain[at] == 0x7b
        (length,) = struct.unpack_from(">H", plain, at + 1)
        found.groups.append(plain[at + 3:at + 3 + length].decode())
        at += 3 + length
    return found


def sessions_of(octets, n):
    """A GENERIC-ID map of n crypto sessions without session data: {CS-ID: SPI}, and what is behind it."""
    found = {}
    for _ in range(n):
        cs_id, protocol, policies, _, data_len, spi_len = struct.unpack_from(">BBBBHB", octets)
        assert (protocol, policies, data_len) == (0, 1, 0)
        found[cs_id] = octets[7:7 + spi_len]
        octets = octets[7 + spi_len:]
    return found, octets


def payloads_of(octets, kind):
    """[(type, octets behind the next payload's type)] of what stands before SIGN."""
    counted = {5: lambda o: 10, 11: lambda o: 2 + o[1], 14: lambda o: 5 + struct.unpack_from(">H", o, 3)[0],
               10: lambda o: 5 + struct.unpack_from(">H", o, 3)[0], 26: lambda o: 5 + struct.unpack_from(">H", o, 3)[0],
               21: lambda o: 4 + struct.unpack_from(">H", o, 2)[0]}
    found = []
    while kind != 4:
        length = counted[kind](octets)
        found.append((kind, octets[1:length]))
        kind, octets = octets[0], octets[length:]
    assert octets[:2] == struct.pack(">H", 2 << 12 | 129) and len(octets) == 2 + 129
    return found


def receive(message, client, sender, sender_kms):
    """What a client gets of a message for it. Who sent it under which KMS is known from SIP."""
    octets = base64.b64decode(message, validate=True)
    assert octets[:2] == b"\x01\x1a" and octets[3] == 1
    csb_id, n, map_type = struct.unpack_from(">IBB", octets, 4)
    assert map_type == (2 if n else 1)
    sessions, rest = sessions_of(octets[10:], n)
    payloads = payloads_of(rest, octets[2])
    only = dict(payloads)
    seconds = struct.unpack_from(">I", only[5], 1)[0] - NTP_UNIX
    assert abs(seconds - time.time()) < 3600  # a thousand messages take their time
    assert verify(sender_kms.kpak, sender_kms.uid(sender, seconds), octets[:-129], octets[-129:])
    ssv = client.kms.give(client.uri, seconds).decapsulate(only[26][4:])
    kind = {tag: name for name, tag in mcx.PURPOSE_TAGS.items()}[csb_id >> 28]
    key_id = mcx.guk_id(ssv, csb_id, client.uri) if kind == "gmk" else csb_id
    extensions = {body[0]: body[3:] for number, body in payloads if number == 21}
    parties = {body[0]: body[4:] for number, body in payloads if number == 14}
    return Message(mcx.RootKey(kind, key_id, ssv, only[11][1:]), csb_id, sessions, only[10][4:] if 10 in only else None,
                   parties, seconds, parameters_of(extensions[7], ssv, kind) if 7 in extensions else None,
                   extensions[6][5:] if 6 in extensions else None)


def text(message):
    return base64.b64encode(message).decode()


def new_key(kind):
    return mcx.RootKey(kind, mcx.PURPOSE_TAGS[kind] << 28 | secrets.randbits(28), os.urandom(16), os.urandom(16))
