// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// Nothing is released that a worker may still use.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dataplane/retire.h"

enum { WORKERS = 2, MANY = 200 };

static struct rte_rcu_qsbr *rcu;
static struct retire retire;
static unsigned n_released;

static int setup(void **state)
{
	(void)state;
	size_t size = rte_rcu_qsbr_get_memsize(WORKERS);
	rcu = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN(size, RTE_CACHE_LINE_SIZE));
	if (!rcu || rte_rcu_qsbr_init(rcu, WORKERS) != 0)
		return -1;
	for (unsigned i = 0; i < WORKERS; i++) {
		rte_rcu_qsbr_thread_register(rcu, i);
		rte_rcu_qsbr_thread_online(rcu, i);
	}
	retire_init(&retire, rcu);
	n_released = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	retire_fini(&retire);
	free(rcu);
	return 0;
}

static void workers_go_on(void)
{
	for (unsigned i = 0; i < WORKERS; i++)
		rte_rcu_qsbr_quiescent(rcu, i);
}

// In the order in which they were retired.
static void release(void *what, uint32_t index)
{
	assert_ptr_equal(what, &n_released);
	assert_int_equal(index, n_released);
	n_released++;
}

static void release_and_retire(void *what, uint32_t index)
{
	release(what, index);
	retire_later(&retire, release, what, index + 1);
}

static void waits_for_every_worker(void **state)
{
	(void)state;
	retire_later(&retire, release, &n_released, 0);
	retire_poll(&retire);
	assert_int_equal(n_released, 0);
	for (unsigned i = 0; i < 3; i++)
		rte_rcu_qsbr_quiescent(rcu, 0);
	retire_poll(&retire);
	assert_int_equal(n_released, 0);
	rte_rcu_qsbr_quiescent(rcu, 1);
	retire_poll(&retire);
	assert_int_equal(n_released, 1);
}

static void what_comes_later_waits_longer(void **state)
{
	(void)state;
	retire_later(&retire, release, &n_released, 0);
	rte_rcu_qsbr_quiescent(rcu, 0);
	retire_later(&retire, release, &n_released, 1);
	rte_rcu_qsbr_quiescent(rcu, 1);
	retire_poll(&retire);
	assert_int_equal(n_released, 1);
	rte_rcu_qsbr_quiescent(rcu, 0);
	retire_poll(&retire);
	assert_int_equal(n_released, 2);
}

static void what_a_release_retires_waits_again(void **state)
{
	(void)state;
	retire_later(&retire, release_and_retire, &n_released, 0);
	workers_go_on();
	retire_poll(&retire);
	assert_int_equal(n_released, 1);
	workers_go_on();
	retire_poll(&retire);
	assert_int_equal(n_released, 2);
}

static void keeps_many_in_order(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < MANY; i++) {
		retire_later(&retire, release, &n_released, i);
		if (i == MANY / 4) {
			workers_go_on();
			retire_poll(&retire);
			assert_int_equal(n_released, i + 1);
		}
	}
	workers_go_on();
	retire_all(&retire);
	assert_int_equal(n_released, MANY);
}

static void releases_so_many_at_a_time(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < RETIRE_AT_A_TIME + 10; i++)
		retire_later(&retire, release, &n_released, i);
	workers_go_on();
	retire_poll(&retire);
	assert_int_equal(n_released, RETIRE_AT_A_TIME);
	retire_poll(&retire);
	assert_int_equal(n_released, RETIRE_AT_A_TIME + 10);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(waits_for_every_worker),
		test(what_comes_later_waits_longer),
		test(what_a_release_retires_waits_again),
		test(keeps_many_in_order),
		test(releases_so_many_at_a_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
