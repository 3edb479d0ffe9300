# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""The wire of TS 33.180 media, written from the standards without a line of the relay's code.

RFC 3830 and 6043 key derivation, TS 33.220 KDF, RFC 3711 KDF and packets, RFC 7714 packets, RFC 4771 mode 3.
Slow and plain on purpose: it is the second opinion of the end-to-end tests.
"""

import hashlib
import hmac
import struct
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

GCM_128 = "aead-aes-128-gcm"
GCM_256 = "aead-aes-256-gcm"
CM_80 = "aes-cm-128-hmac-sha1-80"
CM_32 = "aes-cm-128-hmac-sha1-32"
KEY_LEN = {GCM_128: 16, GCM_256: 32, CM_80: 16, CM_32: 16}
AES_CM = (CM_80, CM_32)
SALT_LEN, CM_SALT_LEN = 12, 14
TAG_LEN = 16
CM_TAG_LEN = {(CM_80, "srtp"): 10, (CM_32, "srtp"): 4, (CM_80, "srtcp"): 10, (CM_32, "srtcp"): 10}  # RFC 4568 6.2

# Constants of RFC 3830 4.1.3.
TEK_CONSTANT = bytes.fromhex("2ad01c64")
SALT_CONSTANT = bytes.fromhex("39a2c14b")

# Purpose tags, TS 33.180 Annex G.
PURPOSE_TAGS = {"gmk": 0, "pck": 1, "csk": 2, "spk": 3, "mkfc": 4, "mscck": 5, "musik": 6}

# CS-IDs, TS 33.180 table 7.4.2-1; SPK, MKFC and MSCCK have none of their own (standards.md A11).
CS_GROUP = {"mcptt": 4, "mcvideo": 5}
CS_PRIVATE = {("mcptt", "initiator"): 0, ("mcptt", "receiver"): 1,
              ("mcvideo", "initiator"): 2, ("mcvideo", "receiver"): 3}
CS_CONTROL = {("csk", "mcptt"): 6, ("csk", "mcvideo"): 8, ("musik", "mcptt"): 7, ("musik", "mcvideo"): 9,
              ("spk", "mcptt"): 6, ("spk", "mcvideo"): 8, ("mscck", "mcptt"): 7, ("mscck", "mcvideo"): 9,
              ("mkfc", "mcptt"): 7, ("mkfc", "mcvideo"): 9}


class BadTag(Exception):
    """The packet is not what its key holder sent."""


class BadMki(Exception):
    """The packet names another key."""


class Replayed(Exception):
    """The packet index was received before."""


# Key derivation

def p_function(s, label, length):
    """P of RFC 3830 4.1.2 with the HMAC of RFC 6043 6.1."""
    out, a = b"", label
    while len(out) < length:
        a = hmac.digest(s, a, hashlib.sha256)
        out += hmac.digest(s, a + label, hashlib.sha256)
    return out[:length]


def mikey_prf(inkey, label, length):
    """PRF of RFC 3830 4.1.2: pieces of 256 bits of the key, their P outputs XORed."""
    out = bytes(length)
    for start in range(0, len(inkey), 32):
        piece = p_function(inkey[start:start + 32], label, length)
        out = bytes(x ^ y for x, y in zip(out, piece))
    return out


def tgk_label(constant, cs_id, csb_id, rand):
    return constant + struct.pack(">BI", cs_id, csb_id) + rand


def master_key(tgk, cs_id, csb_id, rand, suite=GCM_128):
    return mikey_prf(tgk, tgk_label(TEK_CONSTANT, cs_id, csb_id, rand), KEY_LEN[suite])


def master_salt(tgk, cs_id, csb_id, rand, length=SALT_LEN):
    return mikey_prf(tgk, tgk_label(SALT_CONSTANT, cs_id, csb_id, rand), length)


def salt_len(suite):
    return CM_SALT_LEN if suite in AES_CM else SALT_LEN


def mcx_kdf(key, fc, *params):
    """TS 33.220 B.2: HMAC-SHA-256 over FC || P0 || L0 || P1 || L1 ..."""
    s = bytes([fc]) + b"".join(p + struct.pack(">H", len(p)) for p in params)
    return hmac.digest(key, s, hashlib.sha256)


def guk_id(gmk, gmk_id, user):
    """TS 33.180 F.1.3."""
    salt = int.from_bytes(mcx_kdf(gmk, 0x50, user.encode())[-4:], "big") & 0x0fffffff
    return gmk_id ^ salt


def srtp_kdf(key, salt, label, length):
    """AES-CM PRF of RFC 3711 4.3.3, kdr 0; a salt of 96 bits is padded on the right (erratum 4938)."""
    block = bytearray(salt.ljust(14, b"\0") + b"\0\0")
    block[7] ^= label
    return Cipher(algorithms.AES(key), modes.CTR(bytes(block))).encryptor().update(bytes(length))


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


@dataclass
class Context:
    """What one transmitter's packets are protected with."""
    session_key: bytes = field(repr=False)
    session_salt: bytes = field(repr=False)
    srtcp_key: bytes = field(repr=False)
    srtcp_salt: bytes = field(repr=False)
    mki: bytes = b""
    roc_rate: int = 0
    suite: str = GCM_128  # the length of the key tells both of AES-GCM apart
    auth_key: bytes = field(default=b"", repr=False)
    srtcp_auth_key: bytes = field(default=b"", repr=False)


def context_of_master(key, salt, mki=b"", roc_rate=0, suite=GCM_128):
    n, m = len(key), salt_len(suite)
    context = Context(srtp_kdf(key, salt, 0, n), srtp_kdf(key, salt, 2, m),
                      srtp_kdf(key, salt, 3, n), srtp_kdf(key, salt, 5, m), mki, roc_rate, suite)
    if suite in AES_CM:
        assert len(salt) == CM_SALT_LEN
        context.auth_key, context.srtcp_auth_key = srtp_kdf(key, salt, 1, 20), srtp_kdf(key, salt, 4, 20)
    return context


@dataclass
class RootKey:
    """A GMK, PCK, CSK ... as a client got it in its I_MESSAGE."""
    type: str
    id: int
    value: bytes = field(repr=False)
    rand: bytes
    suite: str = GCM_128
    mki_length: int = None
    roc_rate: int = None
    domain: str = "home"

    def __post_init__(self):
        group = self.type == "gmk"
        if self.mki_length is None:
            self.mki_length = 8 if group else 4
        if self.roc_rate is None:
            self.roc_rate = 1 if group and self.suite not in AES_CM else 0

    @property
    def id_text(self):
        return f"{self.id:08x}"

    def guk_id(self, user):
        return guk_id(self.value, self.id, user)

    def _context(self, cs_id, csb_id, mki, roc_rate):
        return context_of_master(master_key(self.value, cs_id, csb_id, self.rand, self.suite),
                                 master_salt(self.value, cs_id, csb_id, self.rand, salt_len(self.suite)),
                                 mki, roc_rate, self.suite)

    def group(self, user, service="mcptt"):
        """Media of one talker of a group: CSB-ID is the talker's GUK-ID (TS 33.180 7.4.2)."""
        guk = self.guk_id(user)
        mki = struct.pack(">II", self.id, guk)[:self.mki_length]
        return self._context(CS_GROUP[service], guk, mki, self.roc_rate)

    def private(self, role, service="mcptt"):
        """Media that the client of this role sends."""
        mki = struct.pack(">I", self.id)[:self.mki_length]
        return self._context(CS_PRIVATE[service, role], self.id, mki, self.roc_rate)

    def control(self, service="mcptt"):
        """SRTCP under a CSK, SPK, MuSiK, MSCCK or MKFC."""
        mki = struct.pack(">I", self.id)[:self.mki_length]
        return self._context(CS_CONTROL[self.type, service], self.id, mki, 0)

    def rpc(self, **members):
        """The Key of the control API; profile is named only where it is not the default."""
        default = RootKey(self.type, self.id, self.value, self.rand, self.suite)
        profile = {}
        if self.suite != GCM_128:
            profile["suite"] = self.suite
        if self.mki_length != default.mki_length:
            profile["mki_length"] = self.mki_length
        if self.roc_rate != default.roc_rate:
            profile["roc_rate"] = self.roc_rate
        key = {"id": self.id_text, "value": self.value.hex(), "rand": self.rand.hex(), "domain": self.domain}
        if profile:
            key["profile"] = profile
        return key | members


# Plain packets

def rtp_header(ssrc, seq, timestamp=0, payload_type=120, marker=False, csrc=(), extension=None, padding=0):
    """RFC 3550 5.1; extension is (profile, octets), octets a multiple of 4."""
    first = 0x80 | (0x20 if padding else 0) | (0x10 if extension is not None else 0) | len(csrc)
    second = (0x80 if marker else 0) | payload_type
    header = struct.pack(">BBHII", first, second, seq, timestamp & 0xffffffff, ssrc)
    header += b"".join(struct.pack(">I", c) for c in csrc)
    if extension is not None:
        profile, octets = extension
        header += struct.pack(">HH", profile, len(octets) // 4) + octets
    return header


def rtp(ssrc, seq, payload, padding=0, **more):
    tail = bytes(padding - 1) + bytes([padding]) if padding else b""
    return rtp_header(ssrc, seq, padding=padding, **more) + payload + tail


def rtp_header_len(packet):
    if len(packet) < 12 or packet[0] >> 6 != 2:
        raise ValueError("not RTP version 2")
    n = 12 + 4 * (packet[0] & 15)
    if packet[0] & 0x10:
        if len(packet) < n + 4:
            raise ValueError("header extension cut off")
        n += 4 + 4 * struct.unpack_from(">H", packet, n + 2)[0]
    if len(packet) < n:
        raise ValueError("header cut off")
    return n


@dataclass
class Rtp:
    """A parsed plain RTP packet; padding stays part of payload."""
    header: bytes
    payload: bytes
    roc: int = 0

    @property
    def packet(self):
        return self.header + self.payload

    @property
    def seq(self):
        return struct.unpack_from(">H", self.header, 2)[0]

    @property
    def timestamp(self):
        return struct.unpack_from(">I", self.header, 4)[0]

    @property
    def ssrc(self):
        return struct.unpack_from(">I", self.header, 8)[0]

    @property
    def index(self):
        return self.roc << 16 | self.seq


def parse_rtp(packet):
    n = rtp_header_len(packet)
    return Rtp(packet[:n], packet[n:])


def rtcp_packet(payload_type, count, body):
    assert len(body) % 4 == 0
    return struct.pack(">BBH", 0x80 | count, payload_type, len(body) // 4) + body


def report_block(ssrc, lost=0, highest_seq=0, jitter=0):
    return struct.pack(">IIIIII", ssrc, lost, highest_seq, jitter, 0, 0)


def sr(ssrc, ntp=0, timestamp=0, packets=0, octets=0, blocks=()):
    return rtcp_packet(200, len(blocks), struct.pack(">IQIII", ssrc, ntp, timestamp, packets, octets)
                       + b"".join(blocks))


def rr(ssrc, blocks=()):
    return rtcp_packet(201, len(blocks), struct.pack(">I", ssrc) + b"".join(blocks))


def sdes(ssrc, cname):
    item = struct.pack(">IBB", ssrc, 1, len(cname)) + cname.encode() + b"\0"
    return rtcp_packet(202, 1, item + bytes(-len(item) % 4))


def bye(ssrc):
    return rtcp_packet(203, 1, struct.pack(">I", ssrc))


def app(ssrc, subtype, fields=(), name=b"MCPT"):
    """RTCP APP of TS 24.380 8.2; fields are (id, octets)."""
    body = struct.pack(">I", ssrc) + name
    for number, octets in fields:
        item = struct.pack(">BB", number, len(octets)) + octets
        body += item + bytes(-len(item) % 4)
    return rtcp_packet(204, subtype, body)


FLOOR_REQUEST, FLOOR_GRANTED, FLOOR_TAKEN, FLOOR_DENY, FLOOR_RELEASE, FLOOR_IDLE = range(6)


def floor_request(ssrc, user):
    return app(ssrc, FLOOR_REQUEST, [(0, b"\x05\0"), (6, user.encode()), (13, b"\x80\0")])


# AES-CM and HMAC-SHA1 of RFC 3711

def cm_crypt(key, salt, ssrc, index, octets):
    """RFC 3711 4.1.1; its own inverse."""
    iv = int.from_bytes(salt, "big") << 16 ^ ssrc << 64 ^ index << 16
    return Cipher(algorithms.AES(key), modes.CTR(iv.to_bytes(16, "big"))).encryptor().update(octets)


def cm_tag(context, protocol, octets):
    """RFC 3711 4.2."""
    key = context.auth_key if protocol == "srtp" else context.srtcp_auth_key
    return hmac.digest(key, octets, hashlib.sha1)[:CM_TAG_LEN[context.suite, protocol]]


def cm_srtp_protect(context, packet, roc):
    """RFC 3711 3.1: header | ciphertext | MKI | tag, which covers the ROC and not the MKI."""
    p = parse_rtp(packet)
    body = p.header + cm_crypt(context.session_key, context.session_salt, p.ssrc, roc << 16 | p.seq, p.payload)
    return body + context.mki + cm_tag(context, "srtp", body + struct.pack(">I", roc))


def cm_cut(context, protocol, packet):
    """(packet up to its MKI, tag)"""
    tag_at = len(packet) - CM_TAG_LEN[context.suite, protocol]
    mki_at = tag_at - len(context.mki)
    if packet[mki_at:tag_at] != context.mki:
        raise BadMki(packet[mki_at:tag_at].hex())
    return packet[:mki_at], packet[tag_at:]


def cm_srtp_unprotect(context, packet, roc):
    body, tag = cm_cut(context, "srtp", packet)
    n = rtp_header_len(body)
    p = Rtp(body[:n], b"", roc)
    if cm_tag(context, "srtp", body + struct.pack(">I", roc)) != tag:
        raise BadTag(f"SSRC {p.ssrc:08x} SEQ {p.seq} ROC {roc}")
    p.payload = cm_crypt(context.session_key, context.session_salt, p.ssrc, p.index, body[n:])
    return p


def cm_srtcp_protect(context, packet, index, encrypt):
    """RFC 3711 3.4: first 8 octets | ciphertext | E bit and index | MKI | tag."""
    body = packet + struct.pack(">I", index)
    if encrypt:
        ssrc = struct.unpack_from(">I", packet, 4)[0]
        body = (packet[:8] + cm_crypt(context.srtcp_key, context.srtcp_salt, ssrc, index, packet[8:])
                + struct.pack(">I", E_BIT | index))
    return body + context.mki + cm_tag(context, "srtcp", body)


def cm_srtcp_unprotect(context, packet):
    body, tag = cm_cut(context, "srtcp", packet)
    value = struct.unpack(">I", body[-4:])[0]
    index, encrypted = value & ~E_BIT, bool(value & E_BIT)
    if cm_tag(context, "srtcp", body) != tag:
        raise BadTag(f"SRTCP index {index}")
    plain = body[:-4]
    if encrypted:
        ssrc = struct.unpack_from(">I", body, 4)[0]
        plain = plain[:8] + cm_crypt(context.srtcp_key, context.srtcp_salt, ssrc, index, plain[8:])
    return plain, index, encrypted


# SRTP

def srtp_iv(salt, ssrc, roc, seq):
    return xor(struct.pack(">HIIH", 0, ssrc, roc, seq), salt)


def srtp_protect(context, packet, roc):
    """RFC 7714 8: header | ciphertext | tag | MKI | ROC if RFC 4771 wants one."""
    if context.suite in AES_CM:
        return cm_srtp_protect(context, packet, roc)
    p = parse_rtp(packet)
    iv = srtp_iv(context.session_salt, p.ssrc, roc, p.seq)
    out = p.header + AESGCM(context.session_key).encrypt(iv, p.payload, p.header) + context.mki
    if context.roc_rate and p.seq % context.roc_rate == 0:
        out += struct.pack(">I", roc)
    return out


def srtp_split(context, packet):
    """Cuts the trailer off: (packet up to its tag, carried ROC or None)."""
    roc, end = None, len(packet)
    if context.roc_rate and struct.unpack_from(">H", packet, 2)[0] % context.roc_rate == 0:
        end -= 4
        roc = struct.unpack_from(">I", packet, end)[0]
    if packet[end - len(context.mki):end] != context.mki:
        raise BadMki(packet[end - len(context.mki):end].hex())
    return packet[:end - len(context.mki)], roc


def srtp_unprotect(context, packet, roc=None):
    """One packet at a known ROC; roc None means the one it carries (0 if none)."""
    if context.suite in AES_CM:
        return cm_srtp_unprotect(context, packet, roc or 0)
    body, carried = srtp_split(context, packet)
    if roc is None:
        roc = carried or 0
    n = rtp_header_len(body)
    header = body[:n]
    p = Rtp(header, b"", roc)
    iv = srtp_iv(context.session_salt, p.ssrc, roc, p.seq)
    try:
        p.payload = AESGCM(context.session_key).decrypt(iv, body[n:], header)
    except InvalidTag:
        raise BadTag(f"SSRC {p.ssrc:08x} SEQ {p.seq} ROC {roc}") from None
    return p


class SrtpSender:
    """A radio's transmitter. Every protect() takes the next packet index."""

    def __init__(self, context, ssrc, seq=0, roc=0):
        self.context, self.ssrc, self.seq, self.roc = context, ssrc, seq, roc
        self.timestamp = 0
        self.last_plain = b""

    def protect(self, payload, **more):
        self.timestamp += 160
        self.last_plain = rtp(self.ssrc, self.seq, payload, timestamp=self.timestamp, **more)
        out = srtp_protect(self.context, self.last_plain, self.roc)
        self.seq = (self.seq + 1) & 0xffff
        if self.seq == 0:
            self.roc = (self.roc + 1) & 0xffffffff
        return out


class PlainSender:
    """The same without protection, as on a SeGy's plain side."""

    def __init__(self, ssrc, seq=0):
        self.ssrc, self.seq, self.timestamp = ssrc, seq, 0
        self.last_plain = b""

    def protect(self, payload, **more):
        self.timestamp += 160
        self.last_plain = rtp(self.ssrc, self.seq, payload, timestamp=self.timestamp, **more)
        self.seq = (self.seq + 1) & 0xffff
        return self.last_plain


class SrtpReceiver:
    """A radio's receiver: estimates the ROC per SSRC (RFC 3711 3.3.1), takes a carried one when that
    fails, refuses replayed indices."""

    def __init__(self, context, roc=0):
        self.context, self.start_roc = context, roc
        self.highest = {}  # ssrc: packet index
        self.seen = set()  # (ssrc, packet index)

    def _candidates(self, ssrc, seq, carried):
        rocs = []
        if ssrc in self.highest:
            base, last = self.highest[ssrc] >> 16, self.highest[ssrc] & 0xffff
            if last < 0x8000 and seq - last > 0x8000:
                base -= 1
            elif last >= 0x8000 and last - 0x8000 > seq:
                base += 1
            rocs.append(base & 0xffffffff)
        elif carried is None:
            rocs.append(self.start_roc)
        if carried is not None and carried not in rocs:
            rocs.append(carried)
        return rocs

    def unprotect(self, packet):
        body, carried = packet, None
        if self.context.suite not in AES_CM:
            body, carried = srtp_split(self.context, packet)
        ssrc, seq = struct.unpack_from(">I", body, 8)[0], struct.unpack_from(">H", body, 2)[0]
        for roc in self._candidates(ssrc, seq, carried):
            try:
                p = srtp_unprotect(self.context, packet, roc)
            except BadTag as bad:
                error = bad
                continue
            if (ssrc, p.index) in self.seen:
                raise Replayed(f"SSRC {ssrc:08x} index {p.index}")
            self.seen.add((ssrc, p.index))
            self.highest[ssrc] = max(self.highest.get(ssrc, 0), p.index)
            return p
        raise error


# SRTCP

E_BIT = 0x80000000


def srtcp_iv(salt, ssrc, index):
    return xor(struct.pack(">HIHI", 0, ssrc, 0, index), salt)


def srtcp_protect(context, packet, index, encrypt=True):
    """RFC 7714 9: first 8 octets | ciphertext | tag | E bit and index | MKI."""
    if context.suite in AES_CM:
        return cm_srtcp_protect(context, packet, index, encrypt)
    ssrc = struct.unpack_from(">I", packet, 4)[0]
    iv = srtcp_iv(context.srtcp_salt, ssrc, index)
    gcm = AESGCM(context.srtcp_key)
    if encrypt:
        word = struct.pack(">I", E_BIT | index)
        return packet[:8] + gcm.encrypt(iv, packet[8:], packet[:8] + word) + word + context.mki
    word = struct.pack(">I", index)
    return packet + gcm.encrypt(iv, b"", packet + word) + word + context.mki


def srtcp_unprotect(context, packet):
    """Returns (RTCP compound packet, SRTCP index, whether it was encrypted)."""
    if context.suite in AES_CM:
        return cm_srtcp_unprotect(context, packet)
    end = len(packet) - len(context.mki)
    if packet[end:] != context.mki:
        raise BadMki(packet[end:].hex())
    body, word = packet[:end - 4], packet[end - 4:end]
    value = struct.unpack(">I", word)[0]
    index = value & ~E_BIT
    iv = srtcp_iv(context.srtcp_salt, struct.unpack_from(">I", body, 4)[0], index)
    gcm = AESGCM(context.srtcp_key)
    try:
        if value & E_BIT:
            return body[:8] + gcm.decrypt(iv, body[8:], body[:8] + word), index, True
        gcm.decrypt(iv, body[-TAG_LEN:], body[:-TAG_LEN] + word)
    except InvalidTag:
        raise BadTag(f"SRTCP index {index}") from None
    return body[:-TAG_LEN], index, False


class SrtcpSender:
    def __init__(self, context, index=1):
        self.context, self.index = context, index

    def protect(self, packet, encrypt=True):
        out = srtcp_protect(self.context, packet, self.index, encrypt)
        self.index += 1
        return out


class SrtcpReceiver:
    """Refuses a (SSRC, SRTCP index) it saw before."""

    def __init__(self, context):
        self.context, self.seen = context, set()

    def unprotect(self, packet):
        plain, index, _ = srtcp_unprotect(self.context, packet)
        name = (struct.unpack_from(">I", plain, 4)[0], index)
        if name in self.seen:
            raise Replayed(f"SSRC {name[0]:08x} SRTCP index {index}")
        self.seen.add(name)
        return plain


def flipped(packet, offset, mask=0x01):
    """packet with one octet changed; a negative offset counts from the end."""
    out = bytearray(packet)
    out[offset] ^= mask
    return bytes(out)
