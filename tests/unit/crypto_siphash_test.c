// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hex.h"
#include "base/siphash.h"

// The vectors of SipHash's authors: key 00 to 0f, input 00, 01, ... of that length. Both sides of a word's
// end, and the longest that they have.
static void hashes_reference_inputs(void **state)
{
	static const struct {
		size_t len;
		const char *hash;
	} vectors[] = {
		{0, "a3817f04ba25a8e66df67214c7550293"},
		{1, "da87c1d86b99af44347659119b22fc45"},
		{7, "a1f1ebbed8dbc153c0b84aa61ff08239"},
		{8, "3b62a9ba6258f5610f83e264f31497b4"},
		{15, "5493e99933b0a8117e08ec0f97cfc3d9"},
		{63, "5150d1772f50834a503e069a973fbd7c"},
	};
	uint8_t key[SIPHASH_KEY_LEN], data[64], expected[SIPHASH_LEN], out[SIPHASH_LEN];
	(void)state;

	for (uint8_t i = 0; i < sizeof(key); i++)
		key[i] = i;
	for (uint8_t i = 0; i < sizeof(data); i++)
		data[i] = i;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		assert_true(hex_decode(vectors[i].hash, expected, sizeof(expected)));
		siphash128(key, data, vectors[i].len, out);
		assert_memory_equal(out, expected, sizeof(out));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_reference_inputs),
	};
	return cmocka_run_group_tests_name("crypto_siphash", tests, NULL, NULL);
}
