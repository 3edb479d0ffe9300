// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crypto/cipher.h"

// The cipher of that name, or of "auto" the quickest that this machine has, initialised and self-tested with known answers of RFC 7714 (both suites,
// both directions, and a tag that must not match), and cipher_aes_cm with others of the kind. NULL
// with *why set to a sentence if the name is unknown, the machine lacks what it needs, or a known
// answer differs. Not thread-safe; idempotent.
const struct cipher *cipher_open(const char *name, const char **why);

// A known answer of RFC 7714 for an AES-GCM suite, for whoever does AES-GCM without a struct cipher. key has
// the suite's octets, iv CIPHER_IV_LEN, tag SRTP_GCM_TAG_LEN; plaintext and ciphertext have len.
struct cipher_known {
	const uint8_t *key, *iv, *aad, *plaintext, *ciphertext, *tag;
	uint16_t len, aad_len;
};
struct cipher_known cipher_known(enum srtp_suite suite);

// "auto", which is the default.
extern const char cipher_auto[];

// What cipher_open() accepts beside it, the quickest first.
enum { N_CIPHERS = CRYPTO_IPSEC_MB ? CRYPTO_VAES + 2 : 1 };
const char *cipher_name(size_t i);
