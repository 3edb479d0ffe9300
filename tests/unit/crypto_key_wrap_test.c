// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

#include "base/hex.h"
#include "crypto/key_wrap.h"
#include "tests/unit/key_wrap_reference.h"

static uint8_t kek[KEY_WRAP_KEK_LEN];

static int kek_make(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(kek); i++)
		kek[i] = (uint8_t)i;
	return 0;
}

// RFC 3394 4.6.
static void known_answer(void **state)
{
	(void)state;
	uint8_t wrapped[40], plain[32], expected[32];
	assert_true(hex_decode("28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43B"
			       "FB988B9B7A02DD21",
		wrapped, sizeof(wrapped)));
	assert_true(hex_decode("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
		expected, sizeof(expected)));
	assert_true(key_unwrap(KEY_WRAP_AES, kek, wrapped, sizeof(wrapped), plain, sizeof(plain)));
	assert_memory_equal(plain, expected, sizeof(plain));
}

// The lengths that a KMS wraps, and those around a multiple of 8.
static void both_kinds(void **state)
{
	(void)state;
	static const size_t lens[] = {9, 15, 16, 17, 32, 65, 257, KEY_WRAP_MAX};
	for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++)
		for (int kind = KEY_WRAP_AES; kind <= KEY_WRAP_AES_PADDED; kind++) {
			uint8_t value[KEY_WRAP_MAX], wrapped[KEY_WRAP_MAX + 16];
			uint8_t out[KEY_WRAP_MAX + 1];
			for (size_t k = 0; k < lens[i]; k++)
				value[k] = (uint8_t)(k * 7 + i + 1);
			size_t len = key_wrap_by_openssl(
				(enum key_wrap)kind, kek, value, lens[i], wrapped);
			assert_int_equal(len, key_wrapped_len(lens[i]));
			memset(out, 0xa5, sizeof(out));
			assert_true(
				key_unwrap((enum key_wrap)kind, kek, wrapped, len, out, lens[i]));
			assert_memory_equal(out, value, lens[i]);
			assert_int_equal(out[lens[i]], 0xa5);
			assert_false(
				key_unwrap((enum key_wrap) !kind, kek, wrapped, len, out, lens[i]));
		}
}

static void others_are_refused(void **state)
{
	(void)state;
	uint8_t value[40] = {1, 2, 3}, wrapped[64], out[64], untouched[64];
	memset(out, 0xa5, sizeof(out));
	memset(untouched, 0xa5, sizeof(untouched));
	for (int kind = KEY_WRAP_AES; kind <= KEY_WRAP_AES_PADDED; kind++) {
		size_t len = key_wrap_by_openssl((enum key_wrap)kind, kek, value, 33, wrapped);
		for (size_t i = 0; i < len; i++) {
			wrapped[i] ^= 1;
			assert_false(key_unwrap((enum key_wrap)kind, kek, wrapped, len, out, 33));
			wrapped[i] ^= 1;
		}
		for (size_t n = 0; n <= len + 8; n++)
			if (n != len)
				assert_false(
					key_unwrap((enum key_wrap)kind, kek, wrapped, n, out, 33));
		kek[5] ^= 1;
		assert_false(key_unwrap((enum key_wrap)kind, kek, wrapped, len, out, 33));
		kek[5] ^= 1;
		assert_false(key_unwrap((enum key_wrap)kind, kek, wrapped, len, out, 0));
	}
	// Filled with something else than zeros.
	value[36] = 1;
	size_t len = key_wrap_by_openssl(KEY_WRAP_AES, kek, value, 40, wrapped);
	assert_false(key_unwrap(KEY_WRAP_AES, kek, wrapped, len, out, 33));
	assert_memory_equal(out, untouched, sizeof(out));
	assert_true(key_unwrap(KEY_WRAP_AES, kek, wrapped, len, out, 40));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_answer),
		cmocka_unit_test(both_kinds),
		cmocka_unit_test(others_are_refused),
	};
	return cmocka_run_group_tests(tests, kek_make, NULL);
}
