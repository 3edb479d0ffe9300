// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/cipher.h"

#include <stdbool.h>
#include <string.h>

#include "crypto/cipher_backend.h"
#include "crypto/secmem.h"

enum { KNOWN_LEN = 38, KNOWN_AAD_LEN = 12 };

// RFC 7714 16.1.1 and 16.2.1: an SRTP packet under a 128-bit and a 256-bit key. Salt, header and
// text are the same, so the IV, AAD and plaintext are too.
static const uint8_t known_key[SRTP_KEY_MAX] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07,
	0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16,
	0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f};
static const uint8_t known_iv[CIPHER_IV_LEN] = {
	0x51, 0x75, 0x3c, 0x65, 0x80, 0xc2, 0x72, 0x6f, 0x20, 0x71, 0x84, 0x14};
static const uint8_t known_aad[KNOWN_AAD_LEN] = {
	0x80, 0x40, 0xf1, 0x7b, 0x80, 0x41, 0xf8, 0xd3, 0x55, 0x01, 0xa0, 0xb2};
static const char known_plaintext[KNOWN_LEN + 1] = "Gallia est omnis divisa in partes tres";

static const struct known_answer {
	uint8_t ciphertext[KNOWN_LEN];
	uint8_t tag[SRTP_GCM_TAG_LEN];
} known_answers[SRTP_N_SUITES] =
	{
		[SRTP_AEAD_AES_128_GCM] =
			{
				.ciphertext = {0xf2, 0x4d, 0xe3, 0xa3, 0xfb, 0x34, 0xde, 0x6c, 0xac,
					0xba, 0x86, 0x1c, 0x9d, 0x7e, 0x4b, 0xca, 0xbe, 0x63, 0x3b,
					0xd5, 0x0d, 0x29, 0x4e, 0x6f, 0x42, 0xa5, 0xf4, 0x7a, 0x51,
					0xc7, 0xd1, 0x9b, 0x36, 0xde, 0x3a, 0xdf, 0x88, 0x33},
				.tag = {0x89, 0x9d, 0x7f, 0x27, 0xbe, 0xb1, 0x6a, 0x91, 0x52, 0xcf,
					0x76, 0x5e, 0xe4, 0x39, 0x0c, 0xce},
			},
		[SRTP_AEAD_AES_256_GCM] =
			{
				.ciphertext = {0x32, 0xb1, 0xde, 0x78, 0xa8, 0x22, 0xfe, 0x12, 0xef,
					0x9f, 0x78, 0xfa, 0x33, 0x2e, 0x33, 0xaa, 0xb1, 0x80, 0x12,
					0x38, 0x9a, 0x58, 0xe2, 0xf3, 0xb5, 0x0b, 0x2a, 0x02, 0x76,
					0xff, 0xae, 0x0f, 0x1b, 0xa6, 0x37, 0x99, 0xb8, 0x7b},
				.tag = {0x7a, 0xa3, 0xdb, 0x36, 0xdf, 0xff, 0xd6, 0xb0, 0xf9, 0xbb,
					0x78, 0x78, 0xd7, 0xa7, 0x6c, 0x13},
			},
};

static const struct backend {
	const char *name;
	const struct cipher *(*open)(const char **why);
} backends[] = {
	{"ipsec-mb", cipher_ipsec_mb_open},
	{"openssl", cipher_openssl_open},
};
enum { N_BACKENDS = sizeof(backends) / sizeof(backends[0]) };

// Encrypts or decrypts from into out; in the latter case the first octet can be forged.
static void known_run(const struct cipher *cipher, struct cipher_op *op, const void *from,
	uint8_t *out, bool decrypt, bool forge)
{
	struct cipher_op *ops[] = {op};

	memcpy(out, from, KNOWN_LEN);
	out[0] ^= forge;
	op->src = out;
	op->dst = out;
	memset(op->tag, 0, sizeof(op->tag));
	if (decrypt)
		cipher->decrypt_burst(ops, 1);
	else
		cipher->encrypt_burst(ops, 1);
}

// The answers of one suite: both directions, and a ciphertext whose tag must not match.
static bool suite_test(const struct cipher *cipher, enum srtp_suite suite)
{
	_Alignas(CIPHER_KEY_ALIGN) uint8_t key[CIPHER_KEY_SIZE];
	const struct known_answer *known = &known_answers[suite];
	struct cipher_op op = {
		.key = key,
		.aad = known_aad,
		.len = KNOWN_LEN,
		.aad_len = KNOWN_AAD_LEN,
		.suite = suite,
	};
	uint8_t out[KNOWN_LEN];

	if (cipher->expand(suite, known_key, key) < 0)
		return false;
	memcpy(op.iv, known_iv, sizeof(op.iv));
	known_run(cipher, &op, known_plaintext, out, false, false);
	if (memcmp(out, known->ciphertext, KNOWN_LEN) != 0 ||
		memcmp(op.tag, known->tag, sizeof(op.tag)) != 0)
		return false;
	known_run(cipher, &op, known->ciphertext, out, true, false);
	if (memcmp(out, known_plaintext, KNOWN_LEN) != 0 ||
		memcmp(op.tag, known->tag, sizeof(op.tag)) != 0)
		return false;
	known_run(cipher, &op, known->ciphertext, out, true, true);
	return memcmp(op.tag, known->tag, sizeof(op.tag)) != 0 && !op.failed;
}

static bool self_test(const struct cipher *cipher, const char **why)
{
	bool passed = true;

	if (cipher->thread_init() < 0) {
		*why = "out of memory";
		return false;
	}
	for (int suite = 0; suite < SRTP_N_SUITES; suite++)
		passed = suite_test(cipher, (enum srtp_suite)suite) && passed;
	cipher->thread_fini();
	if (!passed)
		*why = "the cipher differs from the known answers of RFC 7714";
	return passed;
}

const struct cipher *cipher_open(const char *name, const char **why)
{
	static const struct cipher *tested[N_BACKENDS];

	for (size_t i = 0; i < N_BACKENDS; i++) {
		if (strcmp(name, backends[i].name) != 0)
			continue;
		if (tested[i])
			return tested[i];
		const struct cipher *cipher = backends[i].open(why);
		if (cipher && self_test(cipher, why))
			tested[i] = cipher;
		return tested[i];
	}
	*why = "no such cipher";
	return NULL;
}

const char *cipher_names(void)
{
	return "ipsec-mb, openssl";
}
