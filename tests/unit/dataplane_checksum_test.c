// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/checksum.h"

enum { LEN_MAX = 1500, OFFSETS = 8 };

// RFC 1071 to the letter: words of 16 bits in network byte order, the last octet of an odd number ahead of a 0.
static uint16_t sum_of_words(const uint8_t *data, size_t len)
{
	uint32_t sum = 0;
	for (size_t i = 0; i < len; i++) {
		sum += i % 2 == 0 ? (uint32_t)data[i] << 8 : data[i];
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return (uint16_t)sum;
}

static void assert_sums(const uint8_t *data, unsigned len)
{
	uint16_t sum = checksum_sum(data, (uint16_t)len);
	const uint8_t *octets = (const uint8_t *)&sum;
	assert_int_equal(octets[0] << 8 | octets[1], sum_of_words(data, len));
}

static void every_length_and_alignment(void **state)
{
	// As long as it is used: a sanitizer sees what is read beyond it.
	for (unsigned len = 0; len <= LEN_MAX; len += len < 100 ? 1 : 37) {
		uint8_t *room = malloc(len + OFFSETS);
		for (unsigned i = 0; i < len + OFFSETS; i++)
			room[i] = (uint8_t)rand();
		for (unsigned offset = 0; offset < OFFSETS; offset++)
			assert_sums(room + OFFSETS - offset, len);
		free(room);
	}
	(void)state;
}

// Every addition carries, or none does.
static void extreme_octets(void **state)
{
	static const uint8_t octets[] = {0x00, 0x01, 0x80, 0xfe, 0xff};
	for (size_t i = 0; i < sizeof(octets); i++) {
		uint8_t data[LEN_MAX];
		memset(data, octets[i], sizeof(data));
		for (unsigned len = 0; len <= LEN_MAX; len++)
			assert_sums(data, len);
	}
	(void)state;
}

// The example of RFC 1071 3.
static void known_sum(void **state)
{
	static const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	static const uint8_t expected[] = {0xdd, 0xf2};
	uint16_t sum = checksum_sum(data, sizeof(data));
	assert_memory_equal(&sum, expected, sizeof(expected));
	(void)state;
}

static void sums_add(void **state)
{
	static const uint16_t numbers[] = {0, 1, 0x7fff, 0x8000, 0xfffe, 0xffff};
	for (size_t i = 0; i < 6; i++) {
		for (size_t j = 0; j < 6; j++) {
			uint8_t both[4];
			memcpy(both, &numbers[i], 2);
			memcpy(both + 2, &numbers[j], 2);
			assert_int_equal(
				checksum_add(numbers[i], numbers[j]), checksum_sum(both, 4));
		}
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_sum),
		cmocka_unit_test(every_length_and_alignment),
		cmocka_unit_test(extreme_octets),
		cmocka_unit_test(sums_add),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
