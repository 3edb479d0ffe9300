// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

#include "crypto/cipher_registry.h"
#include "tests/unit/vectors.h"

enum { TEXT_MAX = 2048 };

static const struct cipher *ciphers[N_CIPHERS];

static int ciphers_open(void **state)
{
	(void)state;

	for (size_t i = 0; i < N_CIPHERS; i++) {
		const char *why = NULL;
		ciphers[i] = cipher_open(cipher_name(i), &why);
		if (!ciphers[i])
			fail_msg("%s: %s", cipher_name(i), why);
		assert_string_equal(ciphers[i]->name, cipher_name(i));
		assert_int_equal(ciphers[i]->thread_init(), 0);
	}
	return 0;
}

static int ciphers_close(void **state)
{
	(void)state;

	for (size_t i = 0; i < N_CIPHERS; i++)
		ciphers[i]->thread_fini();
	return 0;
}

static void names_suites(void **state)
{
	(void)state;

	for (int suite = 0; suite < SRTP_N_SUITES; suite++)
		assert_int_equal(
			srtp_suite_from_name(srtp_suite_name((enum srtp_suite)suite)), suite);
	assert_int_equal(srtp_suite_from_name("aead-aes-128-gcm"), SRTP_AEAD_AES_128_GCM);
	assert_int_equal(
		srtp_suite_from_name("aes-cm-128-hmac-sha1-80"), SRTP_AES_CM_128_HMAC_SHA1_80);
	assert_int_equal(srtp_suite_from_name("aes-cm-256-hmac-sha1-80"), -1);
	assert_int_equal(srtp_suite_key_len(SRTP_AEAD_AES_128_GCM), 16);
	assert_int_equal(srtp_suite_key_len(SRTP_AEAD_AES_256_GCM), 32);
	assert_int_equal(srtp_suite_key_len(SRTP_AES_CM_128_HMAC_SHA1_32), 16);
	assert_int_equal(srtp_suite_salt_len(SRTP_AEAD_AES_256_GCM), 12);
	assert_int_equal(srtp_suite_salt_len(SRTP_AES_CM_128_HMAC_SHA1_32), 14);
}

static void opens_by_name(void **state)
{
	const char *why = NULL;
	(void)state;

	assert_ptr_equal(cipher_open(cipher_name(0), &why), ciphers[0]);
	assert_ptr_equal(cipher_open("openssl", &why), ciphers[N_CIPHERS - 1]);
	assert_null(why);
	assert_null(cipher_open("rot13", &why));
	assert_non_null(why);
}

// One section of rfc7714.txt as the bare AEAD call, in both directions.
static void known_answer_check(const struct cipher *cipher, const struct vector *v)
{
	_Alignas(CIPHER_KEY_ALIGN) uint8_t key[CIPHER_KEY_SIZE];
	uint8_t session_key[SRTP_KEY_MAX], aad[256], text[256], packet[256], out[256];
	size_t key_len = vector_octets(v, "session_key", session_key, sizeof(session_key));
	bool rtcp = vector_has(v, "srtcp");
	size_t packet_len = vector_octets(v, rtcp ? "srtcp" : "srtp", packet, sizeof(packet));
	size_t aad_len = vector_octets(v, "aad", aad, sizeof(aad));
	size_t plain_len = vector_octets(v, rtcp ? "rtcp" : "rtp", text, sizeof(text));
	// Where the plaintext starts: after 8 octets of RTCP, after the AAD of RTP, or it is empty.
	size_t head_len = rtcp ? 8 : aad_len;
	if (rtcp && aad_len != 12)
		head_len = plain_len;
	uint32_t len = (uint32_t)(plain_len - head_len);
	const uint8_t *tag = packet + plain_len;
	struct cipher_op op = {
		.key = key,
		.src = text + head_len,
		.dst = out,
		.aad = aad,
		.len = len,
		.aad_len = (uint16_t)aad_len,
		.suite = key_len == 32 ? SRTP_AEAD_AES_256_GCM : SRTP_AEAD_AES_128_GCM,
	};
	struct cipher_op *ops[] = {&op};

	assert_true(packet_len == plain_len + (rtcp ? 20 : 16));
	vector_octets(v, "iv", op.iv, sizeof(op.iv));
	assert_int_equal(cipher->expand((enum srtp_suite)op.suite, session_key, key), 0);
	cipher->encrypt_burst(ops, 1);
	assert_false(op.failed);
	assert_memory_equal(out, packet + head_len, len);
	assert_memory_equal(op.tag, tag, sizeof(op.tag));

	memset(op.tag, 0, sizeof(op.tag));
	op.src = packet + head_len;
	cipher->decrypt_burst(ops, 1);
	assert_false(op.failed);
	assert_memory_equal(out, text + head_len, len);
	assert_memory_equal(op.tag, tag, sizeof(op.tag));
}

static void known_answers_of_rfc7714(void **state)
{
	struct vectors *vectors = vectors_read("rfc7714.txt");
	(void)state;

	assert_int_equal(vectors->n, 8);
	for (size_t c = 0; c < N_CIPHERS; c++) {
		for (size_t i = 0; i < vectors->n; i++)
			known_answer_check(ciphers[c], &vectors->items[i]);
	}
	vectors_free(vectors);
}

// Fills with octets that repeat late.
static void pattern_fill(uint8_t *out, size_t size, uint32_t seed)
{
	for (size_t i = 0; i < size; i++) {
		seed = seed * 1664525 + 1013904223;
		out[i] = (uint8_t)(seed >> 24);
	}
}

static void op_run(const struct cipher *cipher, struct cipher_op *op, bool decrypt)
{
	struct cipher_op *ops[] = {op};
	if (decrypt)
		cipher->decrypt_burst(ops, 1);
	else
		cipher->encrypt_burst(ops, 1);
	assert_false(op->failed);
}

// Both ciphers give the same for one length of text and of AAD, in place and out of place, and undo
// it.
static void agreement_check(uint8_t suite, uint32_t len, uint16_t aad_len)
{
	_Alignas(CIPHER_KEY_ALIGN) uint8_t key[N_CIPHERS][CIPHER_KEY_SIZE];
	static uint8_t text[TEXT_MAX], aad[TEXT_MAX], out[2][TEXT_MAX];
	uint8_t session_key[SRTP_KEY_MAX], tag[SRTP_GCM_TAG_LEN];
	struct cipher_op op = {.suite = suite, .len = len, .aad = aad, .aad_len = aad_len};
	pattern_fill(session_key, sizeof(session_key), len);
	pattern_fill(text, sizeof(text), len + 1);
	pattern_fill(aad, sizeof(aad), len + 2);
	pattern_fill(op.iv, sizeof(op.iv), len + 3);
	for (size_t c = 0; c < N_CIPHERS; c++)
		ciphers[c]->expand((enum srtp_suite)suite, session_key, key[c]);

	op.key = key[0];
	op.src = text;
	op.dst = out[0];
	op_run(ciphers[0], &op, false);
	memcpy(tag, op.tag, sizeof(tag));

	memcpy(out[1], text, len);
	op.key = key[N_CIPHERS - 1];
	op.src = out[1];
	op.dst = out[1];
	op_run(ciphers[N_CIPHERS - 1], &op, false);
	assert_memory_equal(op.tag, tag, sizeof(tag));
	assert_memory_equal(out[0], out[1], len);

	for (size_t c = 0; c < N_CIPHERS; c++) {
		op.key = key[c];
		op.src = out[c];
		op.dst = out[c];
		op_run(ciphers[c], &op, true);
		assert_memory_equal(op.tag, tag, sizeof(tag));
		assert_memory_equal(out[c], text, len);
	}
}

static void ciphers_agree(void **state)
{
	(void)state;

	for (uint8_t suite = 0; srtp_suite_is_aead(suite); suite++) {
		for (uint32_t len = 0; len < 200; len++)
			agreement_check(suite, len, 12);
		for (uint16_t aad_len = 1; aad_len < 200; aad_len++)
			agreement_check(suite, 160, aad_len);
		// Around the scratch of the OpenSSL cipher and beyond.
		static const uint32_t lens[] = {511, 512, 513, 1023, 1024, 1025, 1500, TEXT_MAX};
		for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
			agreement_check(suite, lens[i], 12);
	}
}

// Ops of a burst with other keys, suites and lengths do not disturb each other.
static void burst_equals_single_calls(void **state)
{
	enum { N = 32 };
	static struct {
		_Alignas(CIPHER_KEY_ALIGN) uint8_t key[CIPHER_KEY_SIZE];
	} expanded[N];
	static uint8_t text[N][256], out[N][256], alone[256];
	static const uint8_t aad[12] = {1};
	(void)state;

	for (size_t c = 0; c < N_CIPHERS; c++) {
		struct cipher_op ops[N], *pointers[N];
		memset(ops, 0, sizeof(ops));
		for (uint32_t i = 0; i < N; i++) {
			uint8_t session_key[SRTP_KEY_MAX];
			pattern_fill(session_key, sizeof(session_key), i);
			pattern_fill(text[i], sizeof(text[i]), 100 + i);
			ops[i].suite = i % 3 == 0 ? SRTP_AEAD_AES_256_GCM : SRTP_AEAD_AES_128_GCM;
			ciphers[c]->expand(
				(enum srtp_suite)ops[i].suite, session_key, expanded[i].key);
			ops[i].key = expanded[i].key;
			ops[i].src = text[i];
			ops[i].dst = out[i];
			ops[i].aad = aad;
			ops[i].aad_len = sizeof(aad);
			ops[i].len = i * 8;
			pointers[i] = &ops[i];
		}
		ciphers[c]->encrypt_burst(pointers, N);
		for (size_t i = 0; i < N; i++) {
			struct cipher_op op = ops[i];
			op.dst = alone;
			memset(op.tag, 0, sizeof(op.tag));
			op_run(ciphers[c], &op, false);
			assert_memory_equal(alone, out[i], op.len);
			assert_memory_equal(op.tag, ops[i].tag, sizeof(op.tag));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_suites),
		cmocka_unit_test(opens_by_name),
		cmocka_unit_test(known_answers_of_rfc7714),
		cmocka_unit_test(ciphers_agree),
		cmocka_unit_test(burst_equals_single_calls),
	};
	return cmocka_run_group_tests(tests, ciphers_open, ciphers_close);
}
