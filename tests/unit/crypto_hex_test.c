// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

#include "base/hex.h"

static void decodes_hex(void **state)
{
	static const char *const bad[] = {"", "0", "00112", "001122334", "0011223g", "g0112233",
		"001122 3", "0011223344", "0x112233", "-0112233"};
	uint8_t out[4];
	static const uint8_t expected[4] = {0x00, 0x9a, 0xfa, 0xff}, zero[4];
	(void)state;

	assert_true(hex_decode("009AfaFf", out, 4));
	assert_memory_equal(out, expected, 4);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memset(out, 0xa5, sizeof(out));
		assert_false(hex_decode(bad[i], out, 4));
		assert_memory_equal(out, zero, 4);
	}
	assert_true(hex_decode("", out, 0));
}

static void decodes_hex_of_a_range(void **state)
{
	uint8_t out[3];
	static const uint8_t zero[3];
	(void)state;

	assert_int_equal(hex_decode_range("aabb", out, 2, 3), 2);
	assert_int_equal(out[1], 0xbb);
	assert_int_equal(hex_decode_range("aabbcc", out, 2, 3), 3);
	assert_int_equal(hex_decode_range("aa", out, 2, 3), 0);
	assert_int_equal(hex_decode_range("aabbc", out, 2, 3), 0);
	assert_int_equal(hex_decode_range("aabbccdd", out, 2, 3), 0);
	assert_int_equal(hex_decode_range("aabb", out, 2, 3), 2);
	assert_int_equal(hex_decode_range("aaxb", out, 2, 3), 0);
	assert_memory_equal(out, zero, 2);
}

static void encodes_hex(void **state)
{
	static const uint8_t in[] = {0x00, 0x9a, 0xff};
	char out[7];
	(void)state;

	hex_encode(in, sizeof(in), out);
	assert_string_equal(out, "009aff");
	hex_encode(in, 0, out);
	assert_string_equal(out, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_hex),
		cmocka_unit_test(decodes_hex_of_a_range),
		cmocka_unit_test(encodes_hex),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
