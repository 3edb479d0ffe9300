// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/rand.h>

#include "crypto/mcdata.h"
#include "tests/unit/vectors.h"

enum { MESSAGE_MAX = 512 };

int __real_RAND_bytes(unsigned char *octets, int n);
int __wrap_RAND_bytes(unsigned char *octets, int n);

static const uint8_t *next_iv; // what RAND_bytes() gives, NULL: random ones
static bool random_fails;

int __wrap_RAND_bytes(unsigned char *octets, int n)
{
	if (random_fails)
		return 0;
	if (!next_iv)
		return __real_RAND_bytes(octets, n);
	memcpy(octets, next_iv, (size_t)n);
	return 1;
}

static const uint8_t some_dppk[16] = {1, 2, 3};
static const struct mcdata_header some_header = {
	.time = 1794470327,
	.payload_id = 0x01020304,
	.dppk_id = 0x1abbccdd,
	.message_type = 0x43,
	.sequence = 5,
	.algorithm = MCDATA_DP_AES_128_GCM,
	.iei = 0x78,
};

static void assert_header_equal(const struct mcdata_header *a, const struct mcdata_header *b)
{
	assert_int_equal(a->time, b->time);
	assert_int_equal(a->payload_id, b->payload_id);
	assert_int_equal(a->dppk_id, b->dppk_id);
	assert_int_equal(a->message_type, b->message_type);
	assert_int_equal(a->sequence, b->sequence);
	assert_int_equal(a->algorithm, b->algorithm);
	assert_int_equal(a->signalling_algorithm, b->signalling_algorithm);
	assert_int_equal(a->iei, b->iei);
}

// Reads exactly len octets, so that the sanitizers see one read too many.
static enum mcdata_status read_exactly(
	const uint8_t *octets, size_t len, bool signalling, struct mcdata_message *message)
{
	uint8_t *copy = malloc(len);
	assert_true(copy || len == 0);
	if (len > 0)
		memcpy(copy, octets, len);
	enum mcdata_status status = mcdata_read(copy, len, signalling, message);
	free(copy);
	return status;
}

// The known answers: derivation, the message as a whole, and back.
static void protects_and_unprotects_vectors(void **state)
{
	struct vectors *vectors = vectors_read("mcdata.txt");
	(void)state;

	assert_int_equal(vectors->n, 2);
	for (size_t i = 0; i < vectors->n; i++) {
		const struct vector *v = &vectors->items[i];
		uint8_t dppk[16], dpck[32], derived[32], aad[64], text[64], sealed[80], iv[32];
		uint8_t octets[MESSAGE_MAX], expected[MESSAGE_MAX];
		struct mcdata_message m;
		size_t len = 0;

		vector_octets(v, "dppk", dppk, sizeof(dppk));
		uint32_t dppk_id = (uint32_t)vector_hex(v, "dppk_id");
		size_t dpck_len = vector_octets(v, "dpck", dpck, sizeof(dpck));
		size_t aad_len = vector_octets(v, "header_aad", aad, sizeof(aad));
		size_t text_len = vector_octets(v, "plaintext", text, sizeof(text));
		size_t sealed_len = vector_octets(v, "ciphertext_tag", sealed, sizeof(sealed));
		vector_octets(v, "iv", iv, sizeof(iv));
		struct mcdata_header header = {
			.time = 0x0069434400,
			.payload_id = 1,
			.dppk_id = dppk_id,
			.message_type = 0x43,
			.algorithm = dpck_len == 16 ? MCDATA_DP_AES_128_GCM : MCDATA_DP_AES_256_GCM,
			.iei = 0x78,
		};

		assert_int_equal(mcdata_derive_dpck(dppk, sizeof(dppk), dppk_id,
					 (enum mcdata_algorithm)header.algorithm, derived),
			MCDATA_OK);
		assert_memory_equal(derived, dpck, dpck_len);

		memcpy(expected, aad, aad_len);
		memcpy(expected + aad_len, (uint8_t[]){0x78, 0, (uint8_t)sealed_len}, 3);
		memcpy(expected + aad_len + 3, sealed, sealed_len);
		next_iv = iv;
		assert_int_equal(mcdata_protect(&header, dppk, sizeof(dppk), text, text_len, octets,
					 sizeof(octets), &len),
			MCDATA_OK);
		next_iv = NULL;
		assert_int_equal(len, aad_len + 3 + sealed_len);
		assert_int_equal(len, mcdata_protected_len(&header, text_len));
		assert_memory_equal(octets, expected, len);

		assert_int_equal(mcdata_read(octets, len, false, &m), MCDATA_OK);
		assert_header_equal(&m.header, &header);
		assert_int_equal(m.ciphertext_len, text_len);
		assert_int_equal(mcdata_unprotect(&m, dppk, sizeof(dppk), derived), MCDATA_OK);
		assert_memory_equal(derived, text, text_len);
	}
	vectors_free(vectors);
}

// Both algorithms, both lengths of a DPPK, all layouts, no octet and many, an IV of its own each.
static void round_trips(void **state)
{
	static const size_t lens[] = {0, 1, 15, 16, 17, 1000, MCDATA_PLAINTEXT_MAX};
	static const uint8_t key[32] = {7};
	uint8_t *text = malloc(MCDATA_PLAINTEXT_MAX), *back = malloc(MCDATA_PLAINTEXT_MAX);
	uint8_t *octets = malloc(UINT16_MAX + 100), last_iv[16] = {0};
	(void)state;

	assert_true(text && back && octets);
	for (size_t i = 0; i < MCDATA_PLAINTEXT_MAX; i++)
		text[i] = (uint8_t)(i * 31);
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]) * 12; i++) {
		size_t text_len = lens[i / 12], len = 0, key_len = i % 2 ? 32 : 16;
		struct mcdata_header header = some_header;
		struct mcdata_message m;
		header.algorithm = i / 2 % 2 ? MCDATA_DP_AES_256_GCM : MCDATA_DP_AES_128_GCM;
		header.signalling_algorithm = (uint8_t)(i / 4 % 3);
		assert_int_equal(mcdata_protect(&header, key, key_len, text, text_len, octets,
					 UINT16_MAX + 100, &len),
			MCDATA_OK);
		assert_int_equal(mcdata_read(octets, len, i / 4 % 3 != 0, &m), MCDATA_OK);
		assert_header_equal(&m.header, &header);
		assert_memory_not_equal(m.iv, last_iv, sizeof(last_iv));
		memcpy(last_iv, m.iv, sizeof(last_iv));
		assert_int_equal(mcdata_unprotect(&m, key, key_len, back), MCDATA_OK);
		assert_memory_equal(back, text, text_len);
	}
	free(text);
	free(back);
	free(octets);
}

// Every bit of a message, and the key, is covered by the tag or by the length.
static void refuses_any_changed_bit(void **state)
{
	static const uint8_t other_dppk[16] = {1, 2, 4};
	uint8_t octets[MESSAGE_MAX], back[MESSAGE_MAX], untouched[MESSAGE_MAX];
	struct mcdata_message m;
	size_t len, n_read = 0;
	(void)state;

	memset(back, 0xa5, sizeof(back));
	memset(untouched, 0xa5, sizeof(untouched));
	assert_int_equal(mcdata_protect(&some_header, some_dppk, 16, (const uint8_t *)"hello", 5,
				 octets, sizeof(octets), &len),
		MCDATA_OK);
	for (size_t bit = 0; bit < len * 8; bit++) {
		octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
		// The IEI alone stands outside of what 8.5.4.2 authenticates, and is never examined.
		if (bit / 8 != 32 && mcdata_read(octets, len, false, &m) == MCDATA_OK) {
			assert_int_equal(mcdata_unprotect(&m, some_dppk, 16, back), MCDATA_TAG);
			n_read++;
		}
		octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_in_range(n_read, (len - 4) * 8, len * 8);
	assert_int_equal(mcdata_read(octets, len, false, &m), MCDATA_OK);
	assert_int_equal(mcdata_unprotect(&m, other_dppk, 16, back), MCDATA_TAG);
	assert_int_equal(mcdata_unprotect(&m, some_dppk, 15, back), MCDATA_DPPK);
	assert_memory_equal(back, untouched, sizeof(back));
}

static void refuses_malformed_messages(void **state)
{
	uint8_t octets[MESSAGE_MAX];
	struct mcdata_message m, untouched;
	struct mcdata_header header = some_header;
	size_t len;
	(void)state;

	memset(&m, 0xa5, sizeof(m));
	memset(&untouched, 0xa5, sizeof(untouched));
	header.signalling_algorithm = MCDATA_DP_AES_256_GCM;
	for (int signalling = 0; signalling < 2; signalling++) {
		assert_int_equal(mcdata_protect(signalling ? &header : &some_header, some_dppk, 16,
					 (const uint8_t *)"", 0, octets, sizeof(octets), &len),
			MCDATA_OK);
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(
				read_exactly(octets, cut, signalling, &m), MCDATA_TOO_SHORT);
		octets[len] = 0;
		assert_int_equal(read_exactly(octets, len + 1, signalling, &m), MCDATA_LENGTH);
	}
	octets[11] = 0;
	assert_int_equal(read_exactly(octets, len, true, &m), MCDATA_ALGORITHM);
	octets[11] = 3;
	assert_int_equal(read_exactly(octets, len, true, &m), MCDATA_ALGORITHM);
	octets[11] = MCDATA_DP_AES_128_GCM;
	octets[12] = 3;
	assert_int_equal(read_exactly(octets, len, true, &m), MCDATA_SIGNALLING_ALGORITHM);
	assert_memory_equal(&m, &untouched, sizeof(m));
}

static void refuses_to_protect_bad_input(void **state)
{
	uint8_t out[MESSAGE_MAX], untouched[MESSAGE_MAX];
	struct mcdata_header headers[4] = {some_header, some_header, some_header, some_header};
	static const enum mcdata_status expected[] = {
		MCDATA_TYPE, MCDATA_TIME, MCDATA_ALGORITHM, MCDATA_SIGNALLING_ALGORITHM};
	size_t len = 7, room = mcdata_protected_len(&some_header, 5);
	(void)state;

	memset(out, 0xa5, sizeof(out));
	memset(untouched, 0xa5, sizeof(untouched));
	headers[0].message_type = 0xbf;
	headers[1].time = MCDATA_TIME_MAX + 1;
	headers[2].algorithm = 3;
	headers[3].signalling_algorithm = 3;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(mcdata_protect(&headers[i], some_dppk, 16,
					 (const uint8_t *)"hello", 5, out, sizeof(out), &len),
			expected[i]);
	assert_int_equal(mcdata_protect(&some_header, some_dppk, 16, (const uint8_t *)"hello", 5,
				 out, room - 1, &len),
		MCDATA_ROOM);
	assert_int_equal(mcdata_protect(&some_header, some_dppk, 16, out, MCDATA_PLAINTEXT_MAX + 1,
				 out, SIZE_MAX, &len),
		MCDATA_ROOM);
	assert_int_equal(mcdata_protect(&some_header, some_dppk, 24, (const uint8_t *)"hello", 5,
				 out, sizeof(out), &len),
		MCDATA_DPPK);
	random_fails = true;
	assert_int_equal(mcdata_protect(&some_header, some_dppk, 16, (const uint8_t *)"hello", 5,
				 out, sizeof(out), &len),
		MCDATA_LIBRARY);
	random_fails = false;
	assert_int_equal(
		mcdata_derive_dpck(some_dppk, 16, 1, MCDATA_NO_ALGORITHM, out), MCDATA_ALGORITHM);
	assert_int_equal(
		mcdata_derive_dpck(some_dppk, 0, 1, MCDATA_DP_AES_128_GCM, out), MCDATA_DPPK);
	assert_memory_equal(out, untouched, sizeof(out));
	assert_int_equal(len, 7);
	assert_int_equal(mcdata_protected_len(&headers[2], 5), 0);
	assert_int_equal(mcdata_protect(&some_header, some_dppk, 16, (const uint8_t *)"hello", 5,
				 out, room, &len),
		MCDATA_OK);
	assert_string_equal(mcdata_status_text(MCDATA_TAG), "tag does not match");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(protects_and_unprotects_vectors),
		cmocka_unit_test(round_trips),
		cmocka_unit_test(refuses_any_changed_bit),
		cmocka_unit_test(refuses_malformed_messages),
		cmocka_unit_test(refuses_to_protect_bad_input),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
