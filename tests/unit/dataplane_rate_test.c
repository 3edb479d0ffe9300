// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// How much a leg may send: what its packets cost, who pays, and who loses first when a worker has no time left. The
// worker's clock is the test's.

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/rate.h"
#include "tests/unit/dataplane_lab.h"

enum { HEAVY, LIGHT, LEGS };

static struct lab lab;
static struct leg legs[LEGS];
static struct fanout fanout;

static int lab_up(void **state)
{
	(void)state;
	lab_open(&lab, 1);
	fanout = (struct fanout){.rate_more = 0};
	for (uint32_t i = 0; i < LEGS; i++)
		legs[i] = (struct leg){.index = i};
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

static void rate_set(uint32_t leg, uint64_t packets, uint64_t octets)
{
	legs[leg].rate = rate_make(packets, octets, RATE_FLOOR_MCPTT, worker_of()->tsc_hz);
}

static void pass_us(uint64_t us)
{
	worker_of()->now += worker_of()->tsc_hz / 1000000 * us;
}

static bool leg_sends(uint32_t leg, uint16_t len)
{
	const struct packet p = {.leg = &legs[leg], .fanout = &fanout, .len = len};
	return rate_take(worker_of(), &p);
}

// How many of a number of packets are accepted that a leg sends in one second, evenly.
static unsigned sends_in_a_second(uint32_t leg, unsigned packets, uint16_t len)
{
	unsigned accepted = 0;
	for (unsigned i = 0; i < packets; i++) {
		pass_us(1000000 / packets);
		accepted += leg_sends(leg, len);
	}
	return accepted;
}

// In the first second what half a second allows comes on top.
static void packets_and_octets_are_counted(void **state)
{
	static const struct {
		uint64_t packets, octets;
		uint16_t len, more;
		unsigned sent, first, later; // accepted in the first second, and in each later one
	} cases[] = {
		/* 1 */ {100, 0, 200, 0, 1000, 150, 100},
		/* 2 */ {0, 20000, 200, 0, 1000, 150, 100},
		/* 3 */ {100, 20000, 20, 0, 1000, 150, 100},     // packets are what is short
		/* 4 */ {1000, 20000, 400, 0, 1000, 75, 50},     // octets are
		/* 5 */ {1000, 0, 200, 9, 1000, 150, 100},       // 72 receivers
		/* 6 */ {0, 200000, 200, 9, 1000, 150, 100},     // and octets of copies
		/* 7 */ {0, 0, 1400, 1250, 10000, 10000, 10000}, // no limit
		/* 8 */ {100, 0, 200, 0, 100, 100, 100},         // just what is allowed
		/* 9 */ {1, 0, 200, 0, 10, 2, 1},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		worker_of()->legs[HEAVY] = (struct leg_counters){};
		rate_set(HEAVY, cases[i].packets, cases[i].octets);
		fanout.rate_more = cases[i].more;
		unsigned first = sends_in_a_second(HEAVY, cases[i].sent, cases[i].len);
		unsigned later = sends_in_a_second(HEAVY, cases[i].sent, cases[i].len);
		if (first < cases[i].first || first > cases[i].first + 2 ||
			later + 1 < cases[i].later || later > cases[i].later + 1)
			fail_msg("case %zu: %u, %u", i + 1, first, later);
	}
}

// However little was allowed: after half a second a leg may send one packet more, and what it sent under a low rate is
// soon forgotten under a higher one.
static void no_packet_costs_more_than_a_second(void **state)
{
	(void)state;
	rate_set(HEAVY, 0, 1);
	assert_true(leg_sends(HEAVY, 1400));
	assert_false(leg_sends(HEAVY, 12));
	pass_us(400000);
	assert_false(leg_sends(HEAVY, 12));
	pass_us(200000);
	assert_true(leg_sends(HEAVY, 1400));
	rate_set(HEAVY, 0, 0);
	assert_true(leg_sends(HEAVY, 200));
	rate_set(HEAVY, 1000, 0);
	assert_false(leg_sends(HEAVY, 200));
	pass_us(1000000);
	assert_true(leg_sends(HEAVY, 200));
}

// The defaults of the configuration, and those for whom they must be enough.
static void the_defaults_are_enough(void **state)
{
	static const struct {
		uint64_t packets, octets;
		unsigned receivers, sent;
		uint16_t len;
	} cases[] = {
		{200000, 100000000, 10000, 100, 250},      // voice, 10 ms a packet
		{200000, 100000000, 200, 64 * 50, 250},    // 64 streams of one user
		{200000, 100000000, 2, 2000 * 50, 250},    // 2,000 calls of a partner's gateway
		{3000000, 4000000000, 10000, 2000, 1400},  // video
		{3000000, 4000000000, 1, 50 * 2000, 1400}, // of 50 users from a mixer
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		worker_of()->legs[HEAVY] = (struct leg_counters){};
		rate_set(HEAVY, cases[i].packets, cases[i].octets);
		fanout.rate_more = (uint16_t)(cases[i].receivers / FANOUT_RATE_RECEIVERS);
		for (unsigned second = 0; second < 5; second++)
			assert_int_equal(sends_in_a_second(HEAVY, cases[i].sent, cases[i].len),
				cases[i].sent);
	}
}

// Turns of the worker's loop, each with a burst of packets that has copies made, all in ms milliseconds.
static void turns(unsigned n, unsigned burst, unsigned copies, unsigned ms)
{
	struct worker *worker = worker_of();
	for (unsigned i = 0; i < n; i++) {
		pass_us(1000 * ms / n);
		if (burst == WORKER_BURST)
			rate_full_burst(worker);
		worker->counters.rx_packets += burst;
		worker->counters.tx_packets += copies;
		worker->counters.loops++;
		if (burst > 0)
			rate_turn(worker);
	}
}

static void who_is_overloaded_squeezes(void **state)
{
	struct worker *worker = worker_of();
	(void)state;
	turns(10, 1, 200, 20); // busy, but not behind
	assert_int_equal(worker->squeeze, 0);
	turns(4, WORKER_BURST, 200 * WORKER_BURST, 20);
	assert_int_equal(worker->squeeze, RATE_SQUEEZE_STEP);
	for (unsigned i = 0; i < RATE_SQUEEZE_MAX; i++)
		turns(4, WORKER_BURST, 200 * WORKER_BURST, 20);
	assert_int_equal(worker->squeeze, RATE_SQUEEZE_MAX);
	turns(10000, 1, 1, RATE_CALM_MS + 20);
	assert_int_equal(worker->squeeze, RATE_SQUEEZE_MAX - 1);
	turns(1000, 0, 0, 100 * RATE_CALM_MS); // nothing comes
	turns(4, 1, 1, 20);
	assert_int_equal(worker->squeeze, 0);
}

// A key frame that comes at once into an idle loop is no overload.
static void one_burst_is_no_overload(void **state)
{
	(void)state;
	turns(16, WORKER_BURST, WORKER_BURST, 1);
	turns(10000, 0, 0, 20);
	turns(1, 1, 1, 1);
	assert_int_equal(worker_of()->squeeze, 0);
}

// Strangers' packets are no leg's doing: squeezing would harm those who send a lot, and help nobody.
static void a_flood_of_strangers_does_not_squeeze(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		turns(100, WORKER_BURST, WORKER_BURST / 4, 20);
	assert_int_equal(worker_of()->squeeze, 0);
}

// The port's queue is full of copies.
static void a_port_that_refuses_copies_squeezes(void **state)
{
	(void)state;
	turns(10, 1, 100, 20);
	worker_of()->counters.drops[DROP_TX_FULL] += 300;
	turns(10, 1, 100, 20);
	assert_int_equal(worker_of()->squeeze, RATE_SQUEEZE_STEP);
}

// A member of a group of 200 legs sends 8,000 packets a second, others 50, while the worker has time for 2,500.
static void who_sends_most_loses_first(void **state)
{
	unsigned heavy = 0, light = 0;
	(void)state;
	rate_set(HEAVY, 200000, 100000000);
	rate_set(LIGHT, 200000, 100000000);
	for (unsigned ms = 0; ms < 3000; ms++) {
		unsigned accepted = 0;
		for (unsigned i = 0; i < 8; i++) {
			fanout.rate_more = 200 / FANOUT_RATE_RECEIVERS;
			accepted += leg_sends(HEAVY, 200);
		}
		fanout.rate_more = 0;
		if (ms % 20 == 0)
			light += leg_sends(LIGHT, 200);
		heavy += ms >= 1000 ? accepted : 0;
		bool behind = accepted * 1000 > 2500;
		turns(1, behind ? WORKER_BURST : 1, behind ? 200 * WORKER_BURST : 200, 1);
	}
	assert_int_equal(light, 150);
	assert_true(heavy >= 2 * RATE_FLOOR_MCPTT);
	assert_true(heavy <= 2 * 2500);
}

// However much a worker squeezes.
static void nobody_is_squeezed_below_his_floor(void **state)
{
	static const uint16_t more[] = {0, 25, 800};
	(void)state;
	rate_set(HEAVY, 200000, 100000000);
	rate_set(LIGHT, 50, 0); // less than the floor was stated
	for (unsigned i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		fanout.rate_more = more[i];
		worker_of()->squeeze = RATE_SQUEEZE_MAX;
		pass_us(10000000);
		sends_in_a_second(HEAVY, 8000, 200);
		unsigned accepted = sends_in_a_second(HEAVY, 8000, 200);
		assert_in_range(accepted, RATE_FLOOR_MCPTT - 1, RATE_FLOOR_MCPTT + 1);
	}
	fanout.rate_more = 0;
	sends_in_a_second(LIGHT, 1000, 200);
	assert_in_range(sends_in_a_second(LIGHT, 1000, 200), 49, 51);
}

// A plain leg 1 hears what leg 0 says under a key.
static void strangers_use_up_nothing(void **state)
{
	(void)state;
	const struct lab_key *key = lab_key_add(&lab, 4, 1, false);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = key});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN, .port = 1, .user = 1});
	lab_connect(&lab);
	lab.legs[0].rate = rate_make(1, 0, RATE_FLOOR_MCPTT, worker_of()->tsc_hz);
	struct lab_packet packet = {.ssrc = 7,
		.ctx = key->ctx[SRTP_RTP],
		.index = 100,
		.len = 50,
		.mki_len = 4,
		.roc = true};
	for (unsigned i = 0; i < 5; i++) {
		uint8_t octets[LAB_PAYLOAD_MAX];
		uint16_t len = lab_packet_write(&lab, &packet, octets);
		octets[20] ^= 1;
		struct rte_mbuf *mbuf = lab_frame(&lab, 0, octets, len);
		loop_process_burst(worker_of(), &mbuf, 1);
	}
	assert_int_equal(lab_drops_of(&lab, 0, DROP_AUTH_FAIL), 5);
	assert_int_equal(worker_of()->legs[0].rate_tsc, 0);
	lab_push(&lab, 0, 0, &packet);
	assert_int_equal(worker_of()->legs[0].rx_packets, 1);
	worker_of()->legs[0].rate_tsc = UINT64_MAX; // what it sent lasts for ever
	packet.index++;
	lab_push(&lab, 0, 0, &packet);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_RATE_LIMITED), 1);
	assert_int_equal(worker_of()->legs[0].drops[DROP_RATE_LIMITED], 1);
	assert_int_equal(worker_of()->legs[0].rx_packets, 1);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, lab_up, lab_down)
	const struct CMUnitTest tests[] = {
		test(packets_and_octets_are_counted),
		test(no_packet_costs_more_than_a_second),
		test(the_defaults_are_enough),
		test(who_is_overloaded_squeezes),
		test(one_burst_is_no_overload),
		test(a_flood_of_strangers_does_not_squeeze),
		test(a_port_that_refuses_copies_squeezes),
		test(who_sends_most_loses_first),
		test(nobody_is_squeezed_below_his_floor),
		test(strangers_use_up_nothing),
	};
	alarm(60); // a test that failed half way may not be able to clean up
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
