// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/cipher_registry.h"

#include <stdbool.h>
#include <string.h>

#include "base/secmem.h"
#include "crypto/cipher_backend.h"

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
} known_answers[] =
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
} backends[N_CIPHERS] = {
#if CRYPTO_VAES
	{"vaes", cipher_vaes_open},
#endif
#if CRYPTO_IPSEC_MB
	{"ipsec-mb", cipher_ipsec_mb_open},
#endif
	{"openssl", cipher_openssl_open},
};

// The packet of 16 octets that libsrtp2 tests itself with, under the session keys of RFC 3711 B.3.
enum { CM_KNOWN_LEN = 16 };
static const uint8_t cm_known_key[SRTP_SESSION_KEY_MAX] = {0xc6, 0x1e, 0x7a, 0x93, 0x74, 0x4f, 0x39,
	0xee, 0x10, 0x73, 0x4a, 0xfe, 0x3f, 0xf7, 0xa0, 0x87, 0xce, 0xbe, 0x32, 0x1f, 0x6f, 0xf7,
	0x71, 0x6b, 0x6f, 0xd4, 0xab, 0x49, 0xaf, 0x25, 0x6a, 0x15, 0x6d, 0x38, 0xba, 0xa4};
static const uint8_t cm_known_iv[CIPHER_CM_IV_LEN] = {
	0x30, 0xcb, 0xbc, 0x08, 0x4c, 0xc3, 0x36, 0x3b, 0xd4, 0x9d, 0xb3, 0x4a, 0x88, 0xd5};
static const uint8_t cm_known_aad[KNOWN_AAD_LEN] = {
	0x80, 0x0f, 0x12, 0x34, 0xde, 0xca, 0xfb, 0xad, 0xca, 0xfe, 0xba, 0xbe};
static const uint8_t cm_known_plaintext[CM_KNOWN_LEN] = {0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab,
	0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab};
static const uint8_t cm_known_ciphertext[CM_KNOWN_LEN] = {0x4e, 0x55, 0xdc, 0x4c, 0xe7, 0x99, 0x78,
	0xd8, 0x8c, 0xa4, 0xd2, 0x15, 0x94, 0x9d, 0x24, 0x02};
static const uint8_t cm_known_tag[SRTP_SHA1_80_TAG_LEN] = {
	0xb7, 0x8d, 0x6a, 0xcc, 0x99, 0xea, 0x17, 0x9b, 0x8d, 0xbb};

struct cipher_known cipher_known(enum srtp_suite suite)
{
	return (struct cipher_known){
		.key = known_key,
		.iv = known_iv,
		.aad = known_aad,
		.plaintext = (const uint8_t *)known_plaintext,
		.ciphertext = known_answers[suite].ciphertext,
		.tag = known_answers[suite].tag,
		.len = KNOWN_LEN,
		.aad_len = KNOWN_AAD_LEN,
	};
}

// Encrypts or decrypts from into out; in the latter case the first octet can be forged.
static void known_run(const struct cipher *cipher, struct cipher_op *op, const void *from,
	uint8_t *out, bool decrypt, bool forge)
{
	struct cipher_op *ops[] = {op};
	memcpy(out, from, op->len);
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
	if (cipher->expand(suite, known_key, key) < 0)
		return false;
	memcpy(op.iv, known_iv, sizeof(known_iv));
	uint8_t out[KNOWN_LEN];
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

// AES-CM: a ciphertext whose tag does not match must not be decrypted either.
static bool aes_cm_test(void)
{
	_Alignas(CIPHER_KEY_ALIGN) uint8_t key[CIPHER_KEY_SIZE];
	const size_t tag_len = sizeof(cm_known_tag);
	struct cipher_op op = {
		.key = key,
		.aad = cm_known_aad,
		.len = CM_KNOWN_LEN,
		.aad_len = KNOWN_AAD_LEN,
		.suite = SRTP_AES_CM_128_HMAC_SHA1_80,
		.received = cm_known_tag,
		.tag_len = sizeof(cm_known_tag),
	};
	if (cipher_aes_cm.expand((enum srtp_suite)op.suite, cm_known_key, key) < 0)
		return false;
	memcpy(op.iv, cm_known_iv, sizeof(op.iv));
	uint8_t out[CM_KNOWN_LEN];
	known_run(&cipher_aes_cm, &op, cm_known_plaintext, out, false, false);
	if (memcmp(out, cm_known_ciphertext, sizeof(out)) != 0 ||
		memcmp(op.tag, cm_known_tag, tag_len) != 0)
		return false;
	known_run(&cipher_aes_cm, &op, cm_known_ciphertext, out, true, false);
	if (memcmp(out, cm_known_plaintext, sizeof(out)) != 0 ||
		memcmp(op.tag, cm_known_tag, tag_len) != 0)
		return false;
	known_run(&cipher_aes_cm, &op, cm_known_ciphertext, out, true, true);
	return memcmp(op.tag, cm_known_tag, tag_len) != 0 && !op.failed &&
	       memcmp(out + 1, cm_known_ciphertext + 1, sizeof(out) - 1) == 0;
}

static bool self_test(const struct cipher *cipher, const char **why)
{
	bool passed = true;
	if (cipher->thread_init() < 0) {
		*why = "out of memory";
		return false;
	}
	for (int suite = 0; srtp_suite_is_aead((enum srtp_suite)suite); suite++)
		passed = suite_test(cipher, (enum srtp_suite)suite) && passed;
	cipher->thread_fini();
	if (!passed)
		*why = "the cipher differs from the known answers of RFC 7714";
	return passed;
}

static bool aes_cm_open(const char **why)
{
	static bool tested;
	if (tested)
		return true;
	if (!cipher_libsrtp_open(why))
		return false;
	if (cipher_aes_cm.thread_init() < 0) {
		*why = "out of memory";
		return false;
	}
	tested = aes_cm_test();
	cipher_aes_cm.thread_fini();
	if (!tested)
		*why = "libsrtp2 differs from the known answers of RFC 3711";
	return tested;
}

static const struct cipher *backend_open(size_t i, const char **why)
{
	static const struct cipher *tested[N_CIPHERS];
	if (tested[i])
		return tested[i];
	const struct cipher *cipher = backends[i].open(why);
	if (cipher && self_test(cipher, why) && aes_cm_open(why))
		tested[i] = cipher;
	return tested[i];
}

const char cipher_auto[] = "auto";

const struct cipher *cipher_open(const char *name, const char **why)
{
	const bool any = strcmp(name, cipher_auto) == 0;
	const char *why_not = NULL;
	for (size_t i = 0; i < N_CIPHERS; i++) {
		if (!any && strcmp(name, backends[i].name) != 0)
			continue;
		const struct cipher *cipher = backend_open(i, &why_not);
		if (cipher)
			return cipher;
	}
	*why = why_not ? why_not : "this program is built without it";
	return NULL;
}

const char *cipher_name(size_t i)
{
	return backends[i].name;
}
