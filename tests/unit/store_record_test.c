// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// Sealed records: what comes back is what was sealed, under its name and version, and nothing else does.

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/secmem.h"
#include "store/record.h"

static const uint8_t cluster_key[RECORD_KEY_LEN] = {1, 2, 3};
static const uint8_t other_key[RECORD_KEY_LEN] = {1, 2, 4};
static const char name[] = "session:call-1", body[] = "what was stated";

enum { BODY_LEN = sizeof(body) - 1, LEN = RECORD_HEAD_LEN + 14 + BODY_LEN + RECORD_TAG_LEN };

static void seal(struct record_sealer *sealer, uint64_t version, uint8_t out[LEN])
{
	assert_int_equal(record_sealed_len(strlen(name), BODY_LEN), LEN);
	assert_true(record_seal(sealer, name, version, body, BODY_LEN, out));
}

static enum record_finding open_one(struct record_sealer *sealer, const uint8_t *octets, size_t len)
{
	struct record record;
	char *text;
	enum record_finding finding = record_open(sealer, octets, len, &record, &text);
	if (finding == RECORD_GOOD) {
		assert_int_equal(record.body_len, BODY_LEN);
		assert_string_equal(text, body);
	} else {
		assert_null(text);
	}
	secmem_free(text);
	return finding;
}

static void another_process_opens_it(void **state)
{
	(void)state;
	uint8_t octets[LEN];
	struct record record;
	struct record_sealer *a = record_sealer_new(cluster_key),
			     *b = record_sealer_new(cluster_key);
	seal(a, 7, octets);
	assert_int_equal(open_one(b, octets, LEN), RECORD_GOOD);
	assert_true(record_peek(octets, LEN, &record));
	assert_int_equal(record.version, 7);
	assert_int_equal(record.name_len, strlen(name));
	assert_memory_equal(record.name, name, record.name_len);
	assert_null(memmem(octets, LEN, body, BODY_LEN));
	record_sealer_free(a);
	record_sealer_free(b);
}

static void records_of_several_processes_in_turn(void **state)
{
	(void)state;
	uint8_t octets[2][LEN];
	struct record_sealer *sealers[] = {record_sealer_new(cluster_key),
		record_sealer_new(cluster_key), record_sealer_new(cluster_key)};
	seal(sealers[0], 1, octets[0]);
	seal(sealers[1], 2, octets[1]);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(open_one(sealers[2], octets[i % 2], LEN), RECORD_GOOD);
	for (unsigned i = 0; i < 3; i++)
		record_sealer_free(sealers[i]);
}

// Neither the same data key nor the same IV twice.
static void nothing_is_sealed_alike(void **state)
{
	(void)state;
	uint8_t octets[3][LEN];
	struct record_sealer *a = record_sealer_new(cluster_key),
			     *b = record_sealer_new(cluster_key);
	seal(a, 1, octets[0]);
	seal(a, 1, octets[1]);
	seal(b, 1, octets[2]);
	const size_t at_wrapped = 20, at_iv = 60;
	assert_memory_equal(octets[0] + at_wrapped, octets[1] + at_wrapped, RECORD_WRAPPED_LEN);
	assert_memory_not_equal(octets[0] + at_iv, octets[1] + at_iv, 12);
	assert_memory_not_equal(octets[0] + at_wrapped, octets[2] + at_wrapped, RECORD_WRAPPED_LEN);
	record_sealer_free(a);
	record_sealer_free(b);
}

static void of_another_cluster_key(void **state)
{
	(void)state;
	uint8_t octets[LEN];
	struct record_sealer *a = record_sealer_new(cluster_key), *b = record_sealer_new(other_key);
	seal(a, 1, octets);
	assert_int_equal(open_one(b, octets, LEN), RECORD_FOREIGN);
	seal(b, 1, octets);
	assert_int_equal(open_one(b, octets, LEN), RECORD_GOOD);
	record_sealer_free(a);
	record_sealer_free(b);
}

static void each_changed_bit_is_seen(void **state)
{
	(void)state;
	uint8_t octets[LEN];
	struct record_sealer *sealer = record_sealer_new(cluster_key);
	seal(sealer, 1, octets);
	for (size_t bit = 0; bit < 8 * (size_t)LEN; bit++) {
		octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_not_equal(open_one(sealer, octets, LEN), RECORD_GOOD);
		octets[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(open_one(sealer, octets, LEN), RECORD_GOOD);
	record_sealer_free(sealer);
}

static void each_cut_is_seen(void **state)
{
	(void)state;
	uint8_t octets[LEN + 1] = {0};
	struct record_sealer *sealer = record_sealer_new(cluster_key);
	seal(sealer, 1, octets);
	for (size_t len = 0; len < LEN; len++) {
		uint8_t *exact = malloc(len + 1);
		memcpy(exact, octets, len);
		assert_int_equal(open_one(sealer, exact, len), RECORD_CUT);
		free(exact);
	}
	assert_int_equal(open_one(sealer, octets, LEN + 1), RECORD_CUT);
	record_sealer_free(sealer);
}

static void bounds(void **state)
{
	(void)state;
	static char longest[RECORD_NAME_MAX + 2];
	uint8_t *octets = malloc(record_sealed_len(sizeof(longest), 0));
	struct record_sealer *sealer = record_sealer_new(cluster_key);
	struct record record;
	char *text;
	memset(longest, 'x', RECORD_NAME_MAX + 1);
	assert_false(record_seal(sealer, longest, 1, "", 0, octets));
	assert_false(record_seal(sealer, "", 1, "", 0, octets));
	assert_false(record_seal(sealer, "x", 1, "", RECORD_BODY_MAX + 1, octets));
	longest[RECORD_NAME_MAX] = '\0';
	assert_true(record_seal(sealer, longest, UINT64_MAX, "", 0, octets));
	assert_int_equal(
		record_open(sealer, octets, record_sealed_len(RECORD_NAME_MAX, 0), &record, &text),
		RECORD_GOOD);
	assert_true(record.version == UINT64_MAX && record.body_len == 0);
	assert_string_equal(text, "");
	secmem_free(text);
	record_sealer_free(sealer);
	record_sealer_free(NULL);
	free(octets);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_process_opens_it),
		cmocka_unit_test(records_of_several_processes_in_turn),
		cmocka_unit_test(nothing_is_sealed_alike),
		cmocka_unit_test(of_another_cluster_key),
		cmocka_unit_test(each_changed_bit_is_seen),
		cmocka_unit_test(each_cut_is_seen),
		cmocka_unit_test(bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
