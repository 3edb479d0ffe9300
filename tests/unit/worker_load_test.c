// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// How busy a worker says that it is, where the test knows. The worker's clock is the test's.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/overload.h"
#include "dataplane/loop.h"
#include "dataplane/turn.h"
#include "tests/unit/dataplane_lab.h"

enum {
	IDLE_CYCLES = 50, // of a turn that finds nothing
	SECOND = 1000000, // of the test's clock
	TURNS_MAX = SECOND / IDLE_CYCLES,
};

static struct lab lab;

static int lab_up(void **state)
{
	(void)state;
	lab_open(&lab, 1);
	return 0;
}

static int lab_down(void **state)
{
	(void)state;
	lab_close(&lab);
	return 0;
}

static struct worker *worker_of(void)
{
	return lab.relay.workers[0];
}

static bool look(struct overload_load *load)
{
	return overload_load_look(
		load, worker_cycles(worker_of()), worker_of()->counters.busy_cycles);
}

// A second of so many busy turns of so many cycles each, idle ones between them and for the rest of it.
static void second_pass(uint64_t *now, unsigned busy_turns, uint64_t busy_cycles)
{
	uint64_t end = *now + SECOND;
	for (unsigned i = 0; i < busy_turns; i++) {
		turn_count(worker_of(), *now += busy_cycles, true);
		if (end - *now >= IDLE_CYCLES + (busy_turns - i - 1) * busy_cycles)
			turn_count(worker_of(), *now += IDLE_CYCLES, false);
	}
	for (unsigned i = 0; i < TURNS_MAX && *now < end; i++)
		turn_count(worker_of(), *now += RTE_MIN((uint64_t)IDLE_CYCLES, end - *now), false);
}

static void busy_is_a_share_of_time(void **state)
{
	static const struct {
		unsigned busy_turns;
		uint64_t cycles; // of each
		uint32_t permille;
		bool overloaded;
	} cases[] = {
		{0, 0, 0, false},
		{1, 1000, 1, false},
		{31, 10000, 310, false}, // 0.2 % of its turns
		{1000, 100, 100, false},
		{500, 1000, 500, false},
		{9490, 100, 949, false},
		{950, 1000, 950, true},
		{19, 50000, 950, true}, // of few packets with many receivers each
		{1000, 1000, 1000, true},
		{1, SECOND, 1000, true},
		{0, 0, 0, false},
	};
	struct overload_load load = {};
	uint64_t now = UINT64_C(1) << 62, began = now, busy = 0;
	(void)state;
	turns_begin(worker_of(), now);
	assert_int_equal(worker_cycles(worker_of()), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		second_pass(&now, cases[i].busy_turns, cases[i].cycles);
		busy += cases[i].busy_turns * cases[i].cycles;
		assert_int_equal(look(&load), cases[i].overloaded);
		assert_int_equal(load.permille, cases[i].permille);
		assert_int_equal(worker_cycles(worker_of()), now - began);
		assert_int_equal(worker_of()->counters.busy_cycles, busy);
	}
}

// It hangs in a turn, or its core is another's: nothing is known of that time yet.
static void no_turn_ends_between_two_looks(void **state)
{
	struct overload_load load = {};
	uint64_t now = 7;
	(void)state;
	turns_begin(worker_of(), now);
	assert_false(look(&load));
	assert_int_equal(load.permille, 0);
	second_pass(&now, 960, 1000);
	assert_true(look(&load));
	assert_false(look(&load));
	assert_int_equal(load.permille, 960);
	turn_count(worker_of(), now += SECOND, true);
	assert_true(look(&load));
	assert_int_equal(load.permille, 1000);
}

// The turn that follows finds what came meanwhile.
static void sleep_is_not_busy(void **state)
{
	struct overload_load load = {};
	uint64_t now = 7;
	(void)state;
	turns_begin(worker_of(), now);
	turn_slept(worker_of(), now += 900);
	turn_count(worker_of(), now += 100, true);
	assert_false(look(&load));
	assert_int_equal(load.permille, 100);
	assert_int_equal(worker_cycles(worker_of()), 1000);
}

// Control reads one counter after the other while the worker counts.
static void never_more_than_all(void **state)
{
	struct overload_load load = {};
	(void)state;
	assert_true(overload_load_look(&load, 1000, 1001));
	assert_int_equal(load.permille, 1000);
}

static void turns_of_the_loop_count(void **state)
{
	struct worker *worker = worker_of();
	struct worker_mail mail = {.type = MAIL_SSRC, .value = 1};
	(void)state;
	worker_online(worker);
	assert_int_equal(loop_turn(worker), 0);
	assert_int_equal(worker->counters.loops, 1);
	assert_int_equal(worker->counters.busy_cycles, 0);
	const uint64_t before = worker_cycles(worker); // 0 where the counter is slow
	assert_true(worker_mail_put(&worker->mailbox, &mail));
	assert_int_equal(loop_turn(worker), 1);
	assert_int_equal(worker->counters.loops, 2);
	assert_int_equal(worker->counters.busy_loops, 1);
	assert_int_equal(worker->counters.busy_cycles, worker_cycles(worker) - before);
	worker_offline(worker);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, lab_up, lab_down)
	static const struct CMUnitTest tests[] = {
		test(busy_is_a_share_of_time),
		test(no_turn_ends_between_two_looks),
		test(sleep_is_not_busy),
		test(never_more_than_all),
		test(turns_of_the_loop_count),
	};
#undef test
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
