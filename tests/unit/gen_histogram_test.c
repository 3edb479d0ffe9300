// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/gen/histogram.h"

static void test_empty(void **state)
{
	static const struct histogram empty;
	(void)state;
	assert_int_equal(histogram_quantile(&empty, 0.5), 0);
}

static void test_small_times_are_exact(void **state)
{
	struct histogram h = {};
	(void)state;
	for (uint64_t ns = 1; ns <= 50; ns++)
		histogram_add(&h, ns);
	assert_int_equal(h.n, 50);
	assert_int_equal(h.min, 1);
	assert_int_equal(h.max, 50);
	assert_int_equal(histogram_quantile(&h, 0.5), 25);
	assert_int_equal(histogram_quantile(&h, 1), 50);
}

// One time alone, and one that is larger, so that the quantile is not the largest time itself.
static void test_error_of_any_time(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 63; bit++) {
		uint64_t around[] = {
			(UINT64_C(1) << bit) - 1, UINT64_C(1) << bit, (UINT64_C(1) << bit) * 5 / 4};
		for (unsigned i = 0; i < 3; i++) {
			struct histogram h = {};
			histogram_add(&h, around[i]);
			histogram_add(&h, UINT64_MAX);
			uint64_t said = histogram_quantile(&h, 0.5);
			assert_true(said >= around[i]);
			assert_true(said - around[i] <= around[i] / 32);
			assert_int_equal(histogram_quantile(&h, 1), UINT64_MAX);
		}
	}
}

static void test_tail(void **state)
{
	struct histogram h = {};
	(void)state;
	for (unsigned i = 0; i < 990; i++)
		histogram_add(&h, 10);
	for (unsigned i = 0; i < 10; i++)
		histogram_add(&h, 20);
	assert_int_equal(histogram_quantile(&h, 0.99), 10);
	assert_int_equal(histogram_quantile(&h, 0.999), 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_small_times_are_exact),
		cmocka_unit_test(test_error_of_any_time),
		cmocka_unit_test(test_tail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
