// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

#include "base/base64.h"

// RFC 4648 10, and octets that need each kind of character.
static void both_ways(void **state)
{
	(void)state;
	static const struct {
		const char *octets, *text;
	} rows[] = {
		{"", ""},
		{"f", "Zg=="},
		{"fo", "Zm8="},
		{"foo", "Zm9v"},
		{"foob", "Zm9vYg=="},
		{"fooba", "Zm9vYmE="},
		{"foobar", "Zm9vYmFy"},
		{"\xfb\xff\xbf", "+/+/"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const size_t len = strlen(rows[i].octets);
		char text[16];
		uint8_t octets[16];
		size_t n = 99;
		base64_encode((const uint8_t *)rows[i].octets, len, text);
		assert_string_equal(text, rows[i].text);
		assert_int_equal(strlen(text), base64_len(len));
		assert_true(base64_decode(text, strlen(text), octets, &n));
		assert_int_equal(n, len);
		assert_memory_equal(octets, rows[i].octets, len);
	}
}

static void others_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {"Z", "Zg",
		"Zg=", "Zh==", "Zm9=", "Zg==Zg==", "====", "Z===", "Zm 8", "Zm-_", "=m9v",
		"Zm9v\n"};
	static const uint8_t zero[9];
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		uint8_t octets[9];
		size_t n = 99;
		memset(octets, 0xa5, sizeof(octets));
		if (base64_decode(bad[i], strlen(bad[i]), octets, &n))
			fail_msg("row %zu was taken", i);
		assert_memory_equal(octets, zero, base64_room(strlen(bad[i])));
		assert_int_equal(n, 99);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_ways),
		cmocka_unit_test(others_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
