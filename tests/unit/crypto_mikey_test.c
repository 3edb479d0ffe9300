// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/mikey_prf.h"
#include "tests/unit/vectors.h"

// The whole derivation of the own_* sections, and that each input matters.
static void derives_master_key_and_salt(void **state)
{
	struct vectors *vectors = vectors_read("mikey_prf.txt");
	size_t n_seen = 0;
	(void)state;

	for (size_t i = 0; i < vectors->n; i++) {
		const struct vector *v = &vectors->items[i];
		if (!vector_has(v, "master_key"))
			continue;
		uint8_t tgk[MIKEY_TGK_MAX], rand[MIKEY_RAND_MAX], key[16], salt[12];
		size_t tgk_len = vector_octets(v, "tgk", tgk, sizeof(tgk));
		size_t rand_len = vector_octets(v, "rand", rand, sizeof(rand));
		uint8_t cs_id = (uint8_t)vector_hex(v, "cs_id");
		uint32_t csb_id = (uint32_t)vector_hex(v, "csb_id");
		struct srtp_master master;
		vector_octets(v, "master_key", key, sizeof(key));
		vector_octets(v, "master_salt", salt, sizeof(salt));

		assert_int_equal(mikey_derive_master(tgk, tgk_len, cs_id, csb_id, rand, rand_len,
					 SRTP_AEAD_AES_128_GCM, &master),
			0);
		assert_memory_equal(master.key, key, sizeof(key));
		assert_memory_equal(master.salt, salt, sizeof(salt));

		assert_int_equal(mikey_derive_master(tgk, tgk_len, cs_id ^ 1, csb_id, rand,
					 rand_len, SRTP_AEAD_AES_128_GCM, &master),
			0);
		assert_memory_not_equal(master.key, key, sizeof(key));
		assert_int_equal(mikey_derive_master(tgk, tgk_len, cs_id, csb_id ^ 1, rand,
					 rand_len, SRTP_AEAD_AES_128_GCM, &master),
			0);
		assert_memory_not_equal(master.salt, salt, sizeof(salt));
		n_seen++;
	}
	assert_int_equal(n_seen, 6);
	vectors_free(vectors);
}

// A 256-bit master key starts with the 128-bit one (the output is cut, RFC 3830 4.1.2), under one
// salt.
static void derives_256_bit_master_key(void **state)
{
	static const uint8_t tgk[16] = {1, 2, 3}, rand[16] = {4, 5, 6}, zero[16];
	struct srtp_master short_master, long_master;
	(void)state;

	assert_int_equal(mikey_derive_master(tgk, 16, 4, 0x0a1b2c3d, rand, 16,
				 SRTP_AEAD_AES_128_GCM, &short_master),
		0);
	assert_int_equal(mikey_derive_master(tgk, 16, 4, 0x0a1b2c3d, rand, 16,
				 SRTP_AEAD_AES_256_GCM, &long_master),
		0);
	assert_memory_equal(short_master.key, long_master.key, 16);
	assert_memory_equal(short_master.salt, long_master.salt, 12);
	assert_memory_equal(short_master.key + 16, zero, 16);
	assert_memory_not_equal(long_master.key + 16, zero, 16);
}

// Inputs longer than a piece and outputs longer than a block.
static void splits_long_input_and_output(void **state)
{
	struct vectors *vectors = vectors_read("mikey_prf.txt");
	size_t n_seen = 0;
	(void)state;

	for (size_t i = 0; i < vectors->n; i++) {
		const struct vector *v = &vectors->items[i];
		if (!vector_has(v, "inkey"))
			continue;
		uint8_t inkey[128], label[MIKEY_LABEL_MAX], expected[64], outkey[64];
		size_t inkey_len = vector_octets(v, "inkey", inkey, sizeof(inkey));
		size_t label_len = vector_octets(v, "label", label, sizeof(label));
		size_t outkey_len = vector_decimal(v, "outkey_bits") / 8;

		assert_int_equal(
			vector_octets(v, "outkey", expected, sizeof(expected)), outkey_len);
		assert_int_equal(
			mikey_prf(inkey, inkey_len, label, label_len, outkey, outkey_len), 0);
		assert_memory_equal(outkey, expected, outkey_len);
		n_seen++;
	}
	assert_int_equal(n_seen, 7);
	vectors_free(vectors);
}

static void refuses_bad_lengths_and_wipes(void **state)
{
	static const uint8_t in[MIKEY_TGK_MAX + 1] = {1}, zero[sizeof(struct srtp_master)];
	uint8_t out[16];
	(void)state;

	memset(out, 0xa5, sizeof(out));
	assert_int_equal(mikey_prf(in, 0, in, 25, out, 16), -EINVAL);
	assert_memory_equal(out, zero, 16);
	assert_int_equal(mikey_prf(in, 16, in, 0, out, 16), -EINVAL);
	assert_int_equal(mikey_prf(in, 16, in, MIKEY_LABEL_MAX + 1, out, 16), -EINVAL);
	assert_int_equal(mikey_prf(in, 16, in, 25, out, 0), -EINVAL);

	static const struct {
		size_t tgk_len, rand_len;
		int ret;
	} cases[] = {
		{16, 16, 0},
		{MIKEY_TGK_MAX, MIKEY_RAND_MAX, 0},
		{0, 16, -EINVAL},
		{MIKEY_TGK_MAX + 1, 16, -EINVAL},
		{16, MIKEY_RAND_MIN - 1, -EINVAL},
		{16, MIKEY_RAND_MAX + 1, -EINVAL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct srtp_master master;
		memset(&master, 0xa5, sizeof(master));
		assert_int_equal(mikey_derive_master(in, cases[i].tgk_len, 4, 1, in,
					 cases[i].rand_len, SRTP_AEAD_AES_128_GCM, &master),
			cases[i].ret);
		assert_true(cases[i].ret == 0 || memcmp(&master, zero, sizeof(master)) == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(derives_master_key_and_salt),
		cmocka_unit_test(derives_256_bit_master_key),
		cmocka_unit_test(splits_long_input_and_output),
		cmocka_unit_test(refuses_bad_lengths_and_wipes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
