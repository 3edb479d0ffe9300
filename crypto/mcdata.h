// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// MCData Protected Payload messages (TS 33.180 8.5, F.1.5), which also wrap the key parameters of a
// MIKEY message (E.6.1):
//
//   type (1) | date and time (5) | payload ID (4) | sequence number (1) | algorithm (1) |
//   [signalling algorithm (1)] | IV (16 or 32) | DPPK-ID (4) | IEI (1) | length (2) |
//   ciphertext | tag (16)
//
// Integers are big-endian. What stands before the IEI is authenticated (8.5.4.2). Computation on
// the caller's memory, any thread; it allocates. No copy of a key or of a plaintext is left behind,
// whatever the status.

enum {
	MCDATA_DPPK_MAX = 32,       // octets of a CSK, SPK, MuSiK, GMK or PCK
	MCDATA_DPCK_MAX = 32,       // octets
	MCDATA_IV_MAX = 32,         // octets
	MCDATA_TAG_LEN = 16,        // octets
	MCDATA_PROTECTED_BIT = 0x40 // of a message type: the payload is protected (8.5.1)
};

#define MCDATA_TIME_MAX      ((UINT64_C(1) << 40) - 1)
#define MCDATA_PLAINTEXT_MAX ((size_t)UINT16_MAX - MCDATA_TAG_LEN)

// Algorithm ids of TS 24.282 for 8.5.4.2.
enum mcdata_algorithm {
	MCDATA_NO_ALGORITHM = 0, // as signalling algorithm: the octet is absent
	MCDATA_DP_AES_128_GCM = 1,
	MCDATA_DP_AES_256_GCM = 2,
};

#define MCDATA_STATUSES(_)                                                                         \
	_(OK, "ok")                                                                                \
	_(TOO_SHORT, "shorter than its fields")                                                    \
	_(LENGTH, "payload does not end where the message ends")                                   \
	_(ALGORITHM, "algorithm is neither DP_AES_128_GCM nor DP_AES_256_GCM")                     \
	_(SIGNALLING_ALGORITHM,                                                                    \
		"signalling algorithm is neither DP_AES_128_GCM nor DP_AES_256_GCM")               \
	_(TYPE, "message type does not say that the payload is protected")                         \
	_(TIME, "date and time is longer than five octets")                                        \
	_(DPPK, "key is not 16 or 32 octets long")                                                 \
	_(ROOM, "plaintext is too long or the output too small")                                   \
	_(TAG, "tag does not match")                                                               \
	_(LIBRARY, "the library failed")

enum mcdata_status {
#define _(name, text) MCDATA_##name,
	MCDATA_STATUSES(_)
#undef _
};

const char *mcdata_status_text(enum mcdata_status status);

// The fields in clear. In what mcdata_read() gives they are not to be trusted before
// mcdata_unprotect() says MCDATA_OK.
struct mcdata_header {
	uint64_t time; // seconds since 1970-01-01T00:00:00Z, at most MCDATA_TIME_MAX
	uint32_t payload_id;
	uint32_t dppk_id;
	uint8_t message_type;
	uint8_t sequence;
	uint8_t algorithm;            // of enum mcdata_algorithm, as the next
	uint8_t signalling_algorithm; // MCDATA_NO_ALGORITHM: not in the message
	uint8_t iei;                  // of the payload
};

// A message that was read, nothing of it verified. It points into the caller's octets.
struct mcdata_message {
	struct mcdata_header header;
	const uint8_t *aad; // from the start of the message
	size_t aad_len;
	const uint8_t *iv;
	size_t iv_len;
	const uint8_t *ciphertext; // without the tag, which follows it
	size_t ciphertext_len;
};

// Reads a message with (signalling) or without a signalling algorithm. Nothing in the message says
// whether it has one: a caller tries without, then with, and has a layout accepted by length, key
// id and tag. message is written only if the status is MCDATA_OK. An I_MESSAGE behind the payload
// (off-network only, 8.5.4.1 NOTE 4) is MCDATA_LENGTH.
enum mcdata_status mcdata_read(
	const uint8_t *octets, size_t len, bool signalling, struct mcdata_message *message);

// Verifies and decrypts message->ciphertext_len octets into plaintext, which has room for them and
// does not overlap the message. dppk has 16 or 32 octets. Written only if the status is MCDATA_OK.
enum mcdata_status mcdata_unprotect(const struct mcdata_message *message, const uint8_t *dppk,
	size_t dppk_len, uint8_t *plaintext);

// Octets of the message that mcdata_protect() makes; 0 for an unknown algorithm.
size_t mcdata_protected_len(const struct mcdata_header *header, size_t plaintext_len);

// Writes the message of *len octets into out[room]; out does not overlap plaintext. The IV is drawn
// here, at random: at most 2^32 calls under one DPCK (SP 800-38D 8.3), which the caller counts. out
// and len are written only if the status is MCDATA_OK.
enum mcdata_status mcdata_protect(const struct mcdata_header *header, const uint8_t *dppk,
	size_t dppk_len, const uint8_t *plaintext, size_t plaintext_len, uint8_t *out, size_t room,
	size_t *len);

// DPCK of F.1.5, 16 octets of dpck for DP_AES_128_GCM, 32 for DP_AES_256_GCM; the caller wipes it.
// Written only if the status is MCDATA_OK.
enum mcdata_status mcdata_derive_dpck(const uint8_t *dppk, size_t dppk_len, uint32_t dppk_id,
	enum mcdata_algorithm algorithm, uint8_t dpck[MCDATA_DPCK_MAX]);
