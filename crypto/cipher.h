// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/build.h"
#include "crypto/suite.h"

enum { CIPHER_KEY_ALIGN = 64, CIPHER_IV_LEN = 12, CIPHER_CM_IV_LEN = 14 };

// One AEAD call of RFC 5116; or, with an AES-CM suite, what comes nearest: the tag of RFC 3711 4.2
// over the AAD, the ciphertext and what is in tail. src and dst are the same or do not overlap. The
// tag is computed in both directions; comparing it is the caller's, in constant time.
struct cipher_op {
	const void *key; // expanded by the same cipher's expand(), aligned to CIPHER_KEY_ALIGN
	const uint8_t *src;
	uint8_t *dst;
	const uint8_t *aad;
	uint32_t len;     // octets at src and dst, may be 0
	uint16_t aad_len; // octets
	uint8_t suite;    // enum srtp_suite
	bool failed;      // out, never cleared: no result, and neither dst nor tag may be used
	uint8_t iv[CIPHER_CM_IV_LEN]; // AES-GCM: CIPHER_IV_LEN octets of it
	uint8_t tail[4];              // AES-CM only
	// AES-CM decryption only, not NULL: the tag as received, of tag_len octets. If it does not
	// match, nothing is decrypted.
	const uint8_t *received;
	uint8_t tag_len;
	uint8_t tag[SRTP_GCM_TAG_LEN]; // out
};

// What a cipher reads of an expanded key for one packet, for who has it prefetched: octets at its begin, and octets
// before octet end; the latter for a packet shorter than short_len octets, and for a longer one.
struct cipher_reads {
	uint16_t first, end, last, last_of_long, short_len;
};

// An implementation of AES-GCM, or of AES-CM with HMAC-SHA1: of both suites. Immutable after
// cipher_open() (crypto/cipher_registry.h); its burst functions may run in any number of threads at once, and neither allocate
// nor block (docs/security.md says what libsrtp2 does).
struct cipher {
	const char *name; // as the config names it: "vaes", "ipsec-mb", "openssl"
	// Expands a session key, as struct srtp_session has it, into CIPHER_KEY_SIZE octets, which
	// the caller wipes. 0 or -EIO.
	int (*expand)(enum srtp_suite suite, const uint8_t *session_key, void *expanded);
	void (*encrypt_burst)(struct cipher_op *ops[], uint16_t n);
	void (*decrypt_burst)(struct cipher_op *ops[], uint16_t n);
	struct cipher_reads reads;
	// Called once in each thread before its first burst; 0 or -ENOMEM. And once after its last.
	int (*thread_init)(void);
	void (*thread_fini)(void);
};

// The AES-CM suites by libsrtp2, beside whichever cipher does AES-GCM. cipher_open() initialises it
// as well.
extern const struct cipher cipher_aes_cm;

// What does a suite where cipher does AES-GCM.
static inline const struct cipher *cipher_of_suite(
	const struct cipher *cipher, enum srtp_suite suite)
{
	return srtp_suite_is_aead(suite) ? cipher : &cipher_aes_cm;
}

// thread_init() and thread_fini() of cipher and of cipher_aes_cm.
int cipher_thread_init(const struct cipher *cipher);
void cipher_thread_fini(const struct cipher *cipher);
