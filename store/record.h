// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Records of what a relay knows, sealed: (name, version, octets) with AES-256-GCM under a data key of this process,
// which stands in each record, wrapped by a cluster key (RFC 3394). Numbers are in network byte order:
//
//   "MCR1" | name length (2) | 0 (2) | body length (4) | version (8) | wrapped data key (40) | IV (12) | name |
//   ciphertext | tag (16)
//
// All before the ciphertext is in the AAD: a record under another name or version does not open. The data key is
// random, and an IV a count of what was sealed with it: none is used twice, however many processes have the cluster key.
// One thread at a time.

enum {
	RECORD_KEY_LEN = 32, // octets, as all lengths here
	RECORD_WRAPPED_LEN = RECORD_KEY_LEN + 8,
	RECORD_HEAD_LEN = 72,
	RECORD_TAG_LEN = 16,
	RECORD_NAME_MAX = 4095,
	RECORD_BODY_MAX = 64 << 20,
};

// What record_open() found.
enum record_finding {
	RECORD_GOOD,
	RECORD_CUT,     // shorter than it says, longer, or no record at all
	RECORD_FOREIGN, // of another cluster key
	RECORD_DAMAGED, // its octets, name or version were changed
	RECORD_NO_MEMORY
};

// In words that follow "it".
const char *record_finding_text(enum record_finding finding);

// What a record says of itself before it was opened. Points into its octets.
struct record {
	const char *name; // not terminated
	uint16_t name_len;
	uint64_t version;
	size_t body_len;
};

struct record_sealer;

// With a random data key. cluster_key is copied. NULL if there is no memory, or OpenSSL gave nothing.
struct record_sealer *record_sealer_new(const uint8_t cluster_key[RECORD_KEY_LEN]);
// Wipes its keys. NULL is ignored.
void record_sealer_free(struct record_sealer *sealer);

static inline size_t record_sealed_len(size_t name_len, size_t body_len)
{
	return RECORD_HEAD_LEN + name_len + body_len + RECORD_TAG_LEN;
}

// Writes a record of record_sealed_len() octets. False if name or body is too long, or OpenSSL failed; out is
// undefined then, and has no part of the body in clear.
bool record_seal(struct record_sealer *sealer, const char *name, uint64_t version, const void *body,
	size_t body_len, uint8_t *out);

// Reads what stands before the ciphertext; nothing of it was verified. False if len octets are no record.
bool record_peek(const uint8_t *octets, size_t len, struct record *record);

// Opens a record: RECORD_GOOD, and *body is what was sealed, body_len octets and a NUL behind them, which the caller
// frees with secmem_free(). Otherwise *body is NULL.
enum record_finding record_open(struct record_sealer *sealer, const uint8_t *octets, size_t len,
	struct record *record, char **body);
