// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

#include "crypto/cipher_registry.h"
#include "tests/unit/ciphers.h"
#include "tests/unit/vectors.h"

enum { TEXT_MAX = 2048 };

static const struct cipher *ciphers[N_CIPHERS];

static int ciphers_open(void **state)
{
	(void)state;

	for (size_t i = 0; i < N_CIPHERS; i++) {
		ciphers[i] = test_cipher(i);
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

	assert_ptr_equal(cipher_open(cipher_auto, &why), ciphers[0]);
	for (size_t i = 1; i < N_CIPHERS; i++)
		assert_ptr_equal(cipher_open(cipher_name(i), &why), ciphers[i]);
	assert_string_equal(cipher_name(N_CIPHERS - 1), "openssl");
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

// All ciphers give the same for one length of text and of AAD, in place and out of place, at any alignment, leave
// what is beside the text alone, and undo it.
static void agreement_check(uint8_t suite, uint32_t len, uint16_t aad_len)
{
	enum { BESIDE = 64, ROOM = BESIDE + TEXT_MAX + BESIDE };
	_Alignas(CIPHER_KEY_ALIGN) uint8_t key[N_CIPHERS][CIPHER_KEY_SIZE];
	static uint8_t text[ROOM], aad[TEXT_MAX], out[N_CIPHERS][ROOM];
	uint8_t session_key[SRTP_KEY_MAX], tag[SRTP_GCM_TAG_LEN];
	const uint32_t at = BESIDE - len % 32;
	struct cipher_op op = {.suite = suite, .len = len, .aad = aad, .aad_len = aad_len};
	pattern_fill(session_key, sizeof(session_key), len);
	pattern_fill(text, sizeof(text), len + 1);
	pattern_fill(aad, sizeof(aad), len + 2);
	pattern_fill(op.iv, sizeof(op.iv), len + 3);
	for (size_t c = 0; c < N_CIPHERS; c++) {
		ciphers[c]->expand((enum srtp_suite)suite, session_key, key[c]);
		memcpy(out[c], text, ROOM);
		op.key = key[c];
		op.dst = out[c] + at;
		op.src = c % 2 == 0 ? text + at : op.dst;
		op_run(ciphers[c], &op, false);
		if (c == 0)
			memcpy(tag, op.tag, sizeof(tag));
		assert_memory_equal(op.tag, tag, sizeof(tag));
		assert_memory_equal(out[c], out[0], ROOM);
	}
	for (size_t c = 0; c < N_CIPHERS; c++) {
		op.key = key[c];
		op.src = out[c] + at;
		op.dst = out[c] + at;
		op_run(ciphers[c], &op, true);
		assert_memory_equal(op.tag, tag, sizeof(tag));
		assert_memory_equal(out[c], text, ROOM);
	}
}

static void ciphers_agree(void **state)
{
	(void)state;

	for (uint8_t suite = 0; srtp_suite_is_aead(suite); suite++) {
		for (uint32_t len = 0; len < 300; len++)
			agreement_check(suite, len, 12);
		for (uint16_t aad_len = 0; aad_len < 200; aad_len++) {
			agreement_check(suite, 160, aad_len);
			agreement_check(suite, 0, aad_len);
		}
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

#if CRYPTO_VAES
enum {
	BLOCK = 16,
	SWEEP = 4096,        // octets of stack below the caller
	REGISTERS = 32 * 64, // of vectors
};

struct trace {
	_Alignas(64) uint8_t registers[REGISTERS], stack[SWEEP];
};

#define REGISTER_STORE(n) "vmovdqu64 %%zmm" #n ", " #n "*64(%0)\n"

// Runs an op and keeps what it left in vector registers and below this frame.
__attribute__((noinline, target("avx512f"), no_sanitize("address"))) static void op_trace(
	const struct cipher *cipher, struct cipher_op *op, bool decrypt, struct trace *trace)
{
	struct cipher_op *ops[] = {op};
	(decrypt ? cipher->decrypt_burst : cipher->encrypt_burst)(ops, 1);
	__asm__ volatile(REGISTER_STORE(0) REGISTER_STORE(1) REGISTER_STORE(2) REGISTER_STORE(
		3) REGISTER_STORE(4) REGISTER_STORE(5) REGISTER_STORE(6) REGISTER_STORE(7)
			REGISTER_STORE(8) REGISTER_STORE(9) REGISTER_STORE(10) REGISTER_STORE(
				11) REGISTER_STORE(12) REGISTER_STORE(13) REGISTER_STORE(14)
				REGISTER_STORE(15) REGISTER_STORE(16) REGISTER_STORE(
					17) REGISTER_STORE(18) REGISTER_STORE(19) REGISTER_STORE(20)
					REGISTER_STORE(21) REGISTER_STORE(22) REGISTER_STORE(
						23) REGISTER_STORE(24) REGISTER_STORE(25)
						REGISTER_STORE(26) REGISTER_STORE(
							27) REGISTER_STORE(28) REGISTER_STORE(29)
							REGISTER_STORE(30) REGISTER_STORE(
								31) "mov %%rsp, %%rsi\nsub %2, "
								    "%%rsi\nmov %1, %%rdi\nmov %2, "
								    "%%rcx\nrep movsb\n"
		:
		: "r"(trace->registers), "r"(trace->stack), "r"((uint64_t)SWEEP)
		: "memory", "rsi", "rdi", "rcx");
}

static bool holds(const uint8_t *octets, size_t n, const uint8_t block[BLOCK])
{
	for (size_t at = 0; at + BLOCK <= n; at++) {
		if (memcmp(octets + at, block, BLOCK) == 0)
			return true;
	}
	return false;
}

// Neither a round key nor a power of the hash key, in either order of octets, nor key stream.
static void trace_check(const struct trace *trace, const uint8_t *secret, size_t n)
{
	static const uint8_t zero[BLOCK];
	for (size_t at = 0; at + BLOCK <= n; at += BLOCK) {
		uint8_t reversed[BLOCK];
		for (size_t i = 0; i < BLOCK; i++)
			reversed[i] = secret[at + BLOCK - 1 - i];
		if (memcmp(secret + at, zero, BLOCK) == 0)
			continue;
		assert_false(holds(trace->registers, REGISTERS, secret + at));
		assert_false(holds(trace->stack, SWEEP, secret + at));
		assert_false(holds(trace->registers, REGISTERS, reversed));
		assert_false(holds(trace->stack, SWEEP, reversed));
	}
}

static void leaves_no_trace(void **state)
{
	_Alignas(CIPHER_KEY_ALIGN) static uint8_t key[CIPHER_KEY_SIZE];
	static struct trace trace;
	static uint8_t text[256], stream[256], aad[64];
	(void)state;

	if (strcmp(ciphers[0]->name, "vaes") != 0)
		skip();
#ifdef __SANITIZE_THREAD__
	skip(); // what it does between the calls keeps registers on the stack
#endif
	for (uint8_t suite = 0; srtp_suite_is_aead(suite); suite++) {
		for (uint32_t len = 16; len <= 224; len += 16) {
			uint8_t session_key[SRTP_KEY_MAX];
			pattern_fill(session_key, sizeof(session_key), len);
			pattern_fill(aad, sizeof(aad), len + 1);
			ciphers[0]->expand((enum srtp_suite)suite, session_key, key);
			struct cipher_op op = {.key = key,
				.src = stream,
				.dst = stream,
				.aad = aad,
				.len = len,
				.aad_len = (uint16_t)(len % 64),
				.suite = suite};
			memset(stream, 0, sizeof(stream));
			op_run(ciphers[0], &op, false); // of zeros: the key stream
			struct cipher_op nothing = op;
			nothing.len = nothing.aad_len = 0;
			op_run(ciphers[0], &nothing, false); // the tag is what J0 encrypts to
			for (int decrypt = 0; decrypt < 2; decrypt++) {
				pattern_fill(text, sizeof(text), len + 2);
				op.src = op.dst = text;
				op_trace(ciphers[0], &op, decrypt, &trace);
				trace_check(&trace, key, sizeof(key));
				trace_check(&trace, stream, len);
				trace_check(&trace, nothing.tag, sizeof(nothing.tag));
			}
		}
	}
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_suites),
		cmocka_unit_test(opens_by_name),
		cmocka_unit_test(known_answers_of_rfc7714),
		cmocka_unit_test(ciphers_agree),
		cmocka_unit_test(burst_equals_single_calls),
#if CRYPTO_VAES
		cmocka_unit_test(leaves_no_trace),
#endif
	};
	return cmocka_run_group_tests(tests, ciphers_open, ciphers_close);
}
