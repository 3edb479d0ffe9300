# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""MCData Protected Payloads of TS 33.180 8.5 and F.1.5, written from the standard without a line of the relay's code."""

import os
import struct
import time

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import mcx

ALGORITHMS = {1: 16, 2: 32}  # DP_AES_128_GCM, DP_AES_256_GCM: octets of key and of IV
NAMES = {"dp-aes-128-gcm": 1, "dp-aes-256-gcm": 2}
IEI_PAYLOAD = 0x78


def dpck(dppk, dppk_id, algorithm):
    """F.1.5: the least significant bits."""
    return mcx.mcx_kdf(dppk, 0x53, struct.pack(">I", dppk_id))[-ALGORITHMS[algorithm]:]


def protect(dppk, dppk_id, plaintext, algorithm=1, message_type=0x41, payload_id=0, sequence=0, signalling=b"", iei=0,
            at=None):
    """8.5.4: what stands before the IEI is authenticated."""
    iv = os.urandom(ALGORITHMS[algorithm])
    aad = (bytes([message_type]) + int(time.time() if at is None else at).to_bytes(5, "big") + struct.pack(">I", payload_id) +
           bytes([sequence, algorithm]) + signalling + iv + struct.pack(">I", dppk_id))
    sealed = AESGCM(dpck(dppk, dppk_id, algorithm)).encrypt(iv, plaintext, aad)
    return aad + bytes([iei]) + struct.pack(">H", len(sealed)) + sealed


def unprotect(dppk, octets, signalling=False):
    """The fields in clear, and the plaintext."""
    message_type, payload_id, sequence, algorithm = octets[0], octets[6:10], octets[10], octets[11]
    at = 13 if signalling else 12
    iv = octets[at:at + ALGORITHMS[algorithm]]
    at += len(iv)
    dppk_id = struct.unpack(">I", octets[at:at + 4])[0]
    aad, sealed = octets[:at + 4], octets[at + 7:]
    assert struct.unpack(">H", octets[at + 5:at + 7])[0] == len(sealed)
    fields = {"type": message_type, "time": int.from_bytes(octets[1:6], "big"), "payload_id": payload_id.hex(),
              "sequence": sequence, "algorithm": algorithm, "iei": octets[at + 4], "key": dppk_id,
              "signalling": octets[12] if signalling else None}
    return fields, AESGCM(dpck(dppk, dppk_id, algorithm)).decrypt(iv, sealed, aad)


def key_parameters(kind, groups=None, status=1, activation=0, expiry=0, text=b""):
    """The key parameters of a key, TS 33.180 E.6.1, in clear."""
    out = (bytes([mcx.PURPOSE_TAGS[kind]]) + struct.pack(">I", status) + activation.to_bytes(5, "big") +
           expiry.to_bytes(5, "big") + struct.pack(">H", len(text)) + text)
    if groups is None:
        return out
    ids = b"".join(b"\x7b" + struct.pack(">H", len(group)) + group.encode() for group in groups)
    return out + struct.pack(">HB", len(ids) + 1, len(groups)) + ids
