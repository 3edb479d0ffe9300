// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/mcx_uid.h"
#include "tests/unit/vectors.h"

// A refusal leaves the output as it was.
#define assert_refused(input, expected)                                                            \
	do {                                                                                       \
		uint8_t out[MCX_UID_LEN], before[MCX_UID_LEN];                                     \
		memset(before, 0xa5, sizeof(before));                                              \
		memcpy(out, before, sizeof(out));                                                  \
		assert_int_equal(mcx_uid(&(input), out), expected);                                \
		assert_memory_equal(out, before, sizeof(out));                                     \
	} while (0)

static const struct mcx_uid_input some_input = {
	.identity = "sip:a@b",
	.identity_len = 7,
	.kms = "kms",
	.kms_len = 3,
	.period = 2592000,
	.period_no = 1533,
};

static void hashes_example_of_f_2_1_2(void **state)
{
	struct vectors *vectors = vectors_read("uid.txt");
	const struct vector *v = vectors_find(vectors, "ts33180_F212");
	uint8_t expected[MCX_UID_LEN], uid[MCX_UID_LEN];
	uint64_t period_no;
	(void)state;

	struct mcx_uid_input input = {
		.identity = vector_text(v, "identifier"),
		.identity_len = strlen(vector_text(v, "identifier")),
		.kms = vector_text(v, "kms"),
		.kms_len = strlen(vector_text(v, "kms")),
		.period = (uint32_t)vector_decimal(v, "period"),
		.offset = (uint32_t)vector_decimal(v, "offset"),
		.period_no = vector_decimal(v, "period_no"),
	};
	vector_octets(v, "uid", expected, sizeof(expected));
	assert_int_equal(mcx_uid(&input, uid), MCX_UID_OK);
	assert_memory_equal(uid, expected, sizeof(uid));
	// The time of F.2.1.2
	assert_int_equal(
		mcx_uid_period_no(input.period, input.offset, 3599719634, &period_no), MCX_UID_OK);
	assert_int_equal(period_no, input.period_no);
	vectors_free(vectors);
}

// The identities of a KMS, for which the messages of imessage.txt are made.
static void hashes_identities_of_messages(void **state)
{
	struct vectors *vectors = vectors_read("imessage.txt");
	const struct vector *v = vectors_find(vectors, "own_keys");
	static const char *const users[] = {"alice", "bob", "gms", "mdsi"};
	(void)state;

	struct mcx_uid_input input = {
		.kms = vector_text(v, "kms_uri"),
		.kms_len = strlen(vector_text(v, "kms_uri")),
		.period = (uint32_t)vector_decimal(v, "user_key_period"),
		.offset = (uint32_t)vector_decimal(v, "user_key_offset"),
	};
	assert_int_equal(mcx_uid_period_no(input.period, input.offset,
				 vector_decimal(v, "ntp_time"), &input.period_no),
		MCX_UID_OK);
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		uint8_t expected[MCX_UID_LEN], uid[MCX_UID_LEN];
		char key[16];
		snprintf(key, sizeof(key), "%s_uri", users[i]);
		input.identity = vector_text(v, key);
		input.identity_len = strlen(input.identity);
		snprintf(key, sizeof(key), "%s_uid", users[i]);
		vector_octets(v, key, expected, sizeof(expected));
		assert_int_equal(mcx_uid(&input, uid), MCX_UID_OK);
		assert_memory_equal(uid, expected, sizeof(uid));
	}
	vectors_free(vectors);
}

static void every_input_matters(void **state)
{
	struct mcx_uid_input changed[5];
	uint8_t uid[MCX_UID_LEN];
	(void)state;

	assert_int_equal(mcx_uid(&some_input, uid), MCX_UID_OK);
	for (size_t i = 0; i < 5; i++)
		changed[i] = some_input;
	changed[0].identity = "sip:a@c";
	changed[1].kms = "kmt";
	changed[2].period += 1;
	changed[3].offset += 1;
	changed[4].period_no += 1;
	for (size_t i = 0; i < 5; i++) {
		uint8_t other[MCX_UID_LEN];
		assert_int_equal(mcx_uid(&changed[i], other), MCX_UID_OK);
		assert_memory_not_equal(uid, other, sizeof(uid));
	}
}

static void refuses_bad_input(void **state)
{
	char longest[MCX_UID_URI_MAX + 1];
	uint8_t uid[MCX_UID_LEN];
	(void)state;

	memset(longest, 'x', sizeof(longest));
	struct mcx_uid_input input = some_input;
	input.identity = longest;
	input.identity_len = MCX_UID_URI_MAX;
	input.kms = longest;
	input.kms_len = MCX_UID_URI_MAX;
	input.period = UINT32_MAX;
	input.offset = UINT32_MAX - 1;
	input.period_no = UINT64_MAX;
	assert_int_equal(mcx_uid(&input, uid), MCX_UID_OK);
	input.identity_len++;
	assert_refused(input, MCX_UID_IDENTITY);
	input.identity_len = 0;
	assert_refused(input, MCX_UID_IDENTITY);
	input = some_input;
	input.identity = "sip:a\0b";
	assert_refused(input, MCX_UID_IDENTITY);
	input = some_input;
	input.kms_len = 0;
	assert_refused(input, MCX_UID_KMS);
	input.kms = longest;
	input.kms_len = MCX_UID_URI_MAX + 1;
	assert_refused(input, MCX_UID_KMS);
	input.kms = "k\0s";
	input.kms_len = 3;
	assert_refused(input, MCX_UID_KMS);
	input = some_input;
	input.period = MCX_UID_PERIOD_MIN - 1;
	assert_refused(input, MCX_UID_PERIOD);
	input = some_input;
	input.offset = input.period;
	assert_refused(input, MCX_UID_OFFSET);
}

static void numbers_key_periods(void **state)
{
	static const struct {
		uint32_t period, offset;
		uint64_t ntp_seconds;
		enum mcx_uid_status status;
		uint64_t period_no;
	} cases[] = {
		{3600, 0, 0, MCX_UID_OK, 0},
		{3600, 0, 3599, MCX_UID_OK, 0},
		{3600, 0, 3600, MCX_UID_OK, 1},
		{3600, 100, 3699, MCX_UID_OK, 0},
		{3600, 100, 3700, MCX_UID_OK, 1},
		{3600, 100, 100, MCX_UID_OK, 0},
		{3600, 100, 99, MCX_UID_TIME, 7},
		{3600, 0, UINT64_C(1) << 32, MCX_UID_OK, 1193046}, // the first second of era 1
		{3599, 0, 0, MCX_UID_PERIOD, 7},
		{0, 0, 0, MCX_UID_PERIOD, 7},
		{3600, 3600, 7200, MCX_UID_OFFSET, 7},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t period_no = 7;
		assert_int_equal(mcx_uid_period_no(cases[i].period, cases[i].offset,
					 cases[i].ntp_seconds, &period_no),
			cases[i].status);
		assert_int_equal(period_no, cases[i].period_no);
	}
}

static void tells_every_reason(void **state)
{
	(void)state;
	assert_string_equal(mcx_uid_status_text(MCX_UID_OK), "ok");
	assert_string_equal(mcx_uid_status_text(MCX_UID_LIBRARY), "SHA-256 failed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_example_of_f_2_1_2),
		cmocka_unit_test(hashes_identities_of_messages),
		cmocka_unit_test(every_input_matters),
		cmocka_unit_test(refuses_bad_input),
		cmocka_unit_test(numbers_key_periods),
		cmocka_unit_test(tells_every_reason),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
