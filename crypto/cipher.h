// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/suite.h"

enum { CIPHER_KEY_SIZE = 1008, CIPHER_KEY_ALIGN = 64, CIPHER_IV_LEN = 12 };

// One AEAD call of RFC 5116. src and dst are the same or do not overlap. The tag is computed in
// both directions; comparing it is the caller's, in constant time.
struct cipher_op {
	const void *key; // expanded by the same cipher's expand(), aligned to CIPHER_KEY_ALIGN
	const uint8_t *src;
	uint8_t *dst;
	const uint8_t *aad;
	uint32_t len;     // octets at src and dst, may be 0
	uint16_t aad_len; // octets
	uint8_t suite;    // enum srtp_suite
	bool failed;      // out, never cleared: no result, and neither dst nor tag may be used
	uint8_t iv[CIPHER_IV_LEN];
	uint8_t tag[SRTP_GCM_TAG_LEN]; // out
};

// An implementation of both suites. Immutable after cipher_open(); its burst functions may run in
// any number of threads at once, and neither allocate nor block.
struct cipher {
	const char *name; // as the config names it: "ipsec-mb", "openssl"
	// Expands a session key into CIPHER_KEY_SIZE octets, which the caller wipes. 0 or -EIO.
	int (*expand)(enum srtp_suite suite, const uint8_t *session_key, void *expanded);
	void (*encrypt_burst)(struct cipher_op *ops[], uint16_t n);
	void (*decrypt_burst)(struct cipher_op *ops[], uint16_t n);
	// Called once in each thread before its first burst; 0 or -ENOMEM. And once after its last.
	int (*thread_init)(void);
	void (*thread_fini)(void);
};

// The cipher of that name, initialised and self-tested with known answers of RFC 7714 (both suites,
// both directions, and a tag that must not match). NULL with *why set to a sentence if the name is
// unknown, the machine lacks what it needs, or a known answer differs. Not thread-safe; idempotent.
const struct cipher *cipher_open(const char *name, const char **why);

// "ipsec-mb, openssl": what cipher_open() accepts, for error messages.
const char *cipher_names(void);
