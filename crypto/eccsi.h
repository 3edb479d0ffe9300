// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>
#include <stdint.h>

// ECCSI (RFC 6507) on P-256 with SHA-256 (RFC 6509 2.1.1): N = 32, signatures that carry the
// signer's PVT. Names are the RFC's. Points are uncompressed (04 || x || y), scalars and
// coordinates big-endian; a point that is not on the curve, a coordinate of p or more and a scalar
// outside of [1, q - 1] are refused.
//
// Computation on the caller's memory, any thread; it allocates. What depends on KSAK, SSK, v or j
// takes constant time, and no copy of them is left in freed memory or on the stack, whatever the
// status. Outputs are written only if the status is ECCSI_OK, and do not overlap inputs.

enum {
	ECCSI_SCALAR_LEN = 32,                                        // octets, as all of these
	ECCSI_POINT_LEN = 65,                                         //
	ECCSI_SIGNATURE_LEN = 2 * ECCSI_SCALAR_LEN + ECCSI_POINT_LEN, // r || s || PVT
	ECCSI_ID_MAX = 255                                            // a UID has 32
};

#define ECCSI_STATUSES(_)                                                                          \
	_(OK, "ok")                                                                                \
	_(KPAK, "KPAK is not a point of P-256")                                                    \
	_(ID, "identifier is not 1 to 255 octets")                                                 \
	_(PVT, "PVT is not a point of P-256")                                                      \
	_(SSK, "SSK is not in [1, q - 1]")                                                         \
	_(KSAK, "KSAK is not in [1, q - 1]")                                                       \
	_(SCALAR, "r or s of the signature is not in [1, q - 1]")                                  \
	_(KEY_SET, "SSK and PVT are not of this KPAK and identifier")                              \
	_(SIGNATURE, "signature does not verify")                                                  \
	_(LIBRARY, "the library failed")

enum eccsi_status {
#define _(name, text) ECCSI_##name,
	ECCSI_STATUSES(_)
#undef _
};

const char *eccsi_status_text(enum eccsi_status status);

// Who signs: an identifier and the KMS that vouches for it. Public.
struct eccsi_signer {
	const uint8_t *kpak; // [ECCSI_POINT_LEN]
	const uint8_t *id;
	size_t id_len;
};

// Whether KPAK is a point that a KMS may have.
enum eccsi_status eccsi_kpak_check(const uint8_t kpak[ECCSI_POINT_LEN]);

// Whether SSK and PVT are what the KMS of this KPAK gave this identifier: KPAK = [SSK]G - [HS]PVT
// (RFC 6507 5.1.2).
enum eccsi_status eccsi_ssk_validate(const struct eccsi_signer *signer,
	const uint8_t ssk[ECCSI_SCALAR_LEN], const uint8_t pvt[ECCSI_POINT_LEN]);

// Signature of message (5.2.1). j is drawn from SSK, the message and 32 random octets (RFC 6979
// 3.6), so neither a repeated message nor a failed generator repeats it. KPAK and PVT are read as
// points, but only eccsi_ssk_validate() tells whether the key set is whole.
enum eccsi_status eccsi_sign(const struct eccsi_signer *signer, const uint8_t ssk[ECCSI_SCALAR_LEN],
	const uint8_t pvt[ECCSI_POINT_LEN], const uint8_t *message, size_t len,
	uint8_t signature[ECCSI_SIGNATURE_LEN]);

// ECCSI_OK if signature is one of signer over message (5.2.2). Variable time: all inputs are
// public. A signature is malleable (with r, s also r, q - s verifies).
enum eccsi_status eccsi_verify(const struct eccsi_signer *signer, const uint8_t *message,
	size_t len, const uint8_t signature[ECCSI_SIGNATURE_LEN]);

// A KMS: a random KSAK, which the caller wipes, and KPAK = [KSAK]G (4.2).
enum eccsi_status eccsi_ksak_make(uint8_t ksak[ECCSI_SCALAR_LEN], uint8_t kpak[ECCSI_POINT_LEN]);

// KPAK of a KSAK that was kept.
enum eccsi_status eccsi_kpak_make(
	const uint8_t ksak[ECCSI_SCALAR_LEN], uint8_t kpak[ECCSI_POINT_LEN]);

// A key set for an identifier, as its KMS (5.1.1). v is derived from KSAK and identifier, so the
// same key set comes out each time. The caller wipes ssk.
enum eccsi_status eccsi_ssk_make(const uint8_t ksak[ECCSI_SCALAR_LEN], const uint8_t *id,
	size_t id_len, uint8_t ssk[ECCSI_SCALAR_LEN], uint8_t pvt[ECCSI_POINT_LEN]);
