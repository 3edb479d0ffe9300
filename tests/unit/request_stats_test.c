// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/request_stats.h"

static const struct rpc_method methods[] = {{"first", NULL}, {"second", NULL}, {NULL, NULL}};
static struct request_stats stats;

static int stats_start(void **state)
{
	(void)state;
	request_stats_init(&stats, methods);
	return 0;
}

static int stats_end(void **state)
{
	(void)state;
	request_stats_fini(&stats);
	return 0;
}

static uint64_t outcomes_of(unsigned method, const char *name)
{
	for (unsigned i = 0; i < REQUEST_N_OUTCOMES; i++)
		if (strcmp(request_stats_outcome_name(i), name) == 0)
			return stats.by_method[method].outcomes[i];
	fail_msg("no outcome is called %s", name);
	return 0;
}

static void requests_count_for_their_method(void **state)
{
	(void)state;
	assert_int_equal(stats.n_methods, 2);
	request_stats_count(&stats, &methods[0], RPC_OK, 10);
	request_stats_count(&stats, &methods[1], RPC_OK, 20);
	request_stats_count(&stats, &methods[1], RPC_OK, 30);
	request_stats_count(&stats, NULL, RPC_PARSE_ERROR, 0);
	assert_string_equal(stats.by_method[0].name, "first");
	assert_string_equal(stats.by_method[1].name, "second");
	assert_null(stats.by_method[2].name);
	assert_int_equal(outcomes_of(0, "ok"), 1);
	assert_int_equal(outcomes_of(1, "ok"), 2);
	assert_int_equal(stats.by_method[1].total_ns, 50);
	assert_int_equal(outcomes_of(2, "parse_error"), 1);
	assert_int_equal(outcomes_of(2, "ok"), 0);
}

static void every_code_has_its_outcome(void **state)
{
	static const struct {
		int code;
		const char *name;
	} cases[] = {
		{RPC_OK, "ok"},
		{RPC_PARSE_ERROR, "parse_error"},
		{RPC_INVALID_REQUEST, "invalid_request"},
		{RPC_METHOD_NOT_FOUND, "method_not_found"},
		{RPC_INVALID_PARAMS, "invalid_params"},
		{RPC_INTERNAL_ERROR, "internal_error"},
		{RPC_NOT_FOUND, "not_found"},
		{RPC_CONFLICT, "conflict"},
		{RPC_LIMIT, "limit"},
		{RPC_KEY_REFUSED, "key_refused"},
		{RPC_BUSY, "busy"},
		{RPC_MESSAGE_REFUSED, "message_refused"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		request_stats_count(&stats, &methods[0], cases[i].code, 0);
		assert_int_equal(outcomes_of(0, cases[i].name), 1);
	}
	request_stats_count(&stats, &methods[0], 12345, 0);
	assert_int_equal(outcomes_of(0, "internal_error"), 2);
}

// A bucket holds what is at most its bound and above the one before.
static void durations_go_to_their_bucket(void **state)
{
	(void)state;
	for (unsigned b = 0; b < REQUEST_N_BUCKETS - 1; b++) {
		if (b > 0)
			assert_true(request_stats_bucket_ns[b] > request_stats_bucket_ns[b - 1]);
		request_stats_count(&stats, &methods[0], RPC_OK, request_stats_bucket_ns[b]);
		assert_int_equal(stats.by_method[0].buckets[b], b == 0 ? 1 : 2);
		request_stats_count(&stats, &methods[0], RPC_OK, request_stats_bucket_ns[b] + 1);
		assert_int_equal(stats.by_method[0].buckets[b + 1], 1);
	}
	request_stats_count(&stats, &methods[0], RPC_OK, UINT64_MAX);
	assert_int_equal(stats.by_method[0].buckets[REQUEST_N_BUCKETS - 1], 2);
}

int main(void)
{
#define STATS_TEST(name) cmocka_unit_test_setup_teardown(name, stats_start, stats_end)
	const struct CMUnitTest tests[] = {
		STATS_TEST(requests_count_for_their_method),
		STATS_TEST(every_code_has_its_outcome),
		STATS_TEST(durations_go_to_their_bucket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
