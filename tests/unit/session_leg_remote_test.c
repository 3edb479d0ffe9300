// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// What authentic packets from another address do to where a leg's packets go. The clock is the test's.

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "session/leg_remote.h"

enum { LATE_MS = 2000, LEARN_MS = 100, LEARN_BURST = 5, START_MS = 1000000 };

static struct session_leg leg;
static uint64_t now_ms;

static struct endpoint endpoint_at(uint8_t host, uint16_t port)
{
	return (struct endpoint){.family = AF_INET, .port = htons(port), .addr = {10, 0, 0, host}};
}

// The operator states another remote address than that of before.
static void remote_state(const struct endpoint *remote)
{
	const struct leg_spec before = leg.spec;
	leg.spec.remote = *remote;
	leg_remote_state(&leg, &before, now_ms);
}

static int leg_begin(void **state)
{
	(void)state;
	const struct endpoint first = endpoint_at(8, 5000);
	now_ms = START_MS;
	leg = (struct session_leg){.spec = {.learn = true}};
	leg.spec.local.family = AF_INET;
	leg.spec.protection[SRTP_RTP].has_key = true;
	leg.spec.remote = first;
	leg_remote_state(&leg, NULL, now_ms);
	assert_true(endpoint_equal(&leg.remote, &first));
	return 0;
}

// Whether the leg is moved by a packet from there.
static bool hears(uint8_t protocol, const struct endpoint *from, bool muxed)
{
	if (!leg_remote_follows(&leg, protocol, from, muxed, now_ms))
		return false;
	leg_remote_learn(&leg, protocol, from, now_ms);
	return true;
}

static void packets_of_the_address_before_are_late_for_a_while(void **state)
{
	const struct endpoint before = endpoint_at(8, 5000), after = endpoint_at(9, 5000),
			      third = endpoint_at(10, 5000);
	(void)state;
	remote_state(&after);
	for (; now_ms < START_MS + LATE_MS; now_ms++)
		assert_false(hears(SRTP_RTP, &before, false));
	assert_true(endpoint_equal(&leg.remote, &after));
	assert_true(hears(SRTP_RTP, &before, false)); // it has not moved after all
	assert_true(hears(SRTP_RTP, &third, false));
}

static void another_address_is_not_late(void **state)
{
	const struct endpoint after = endpoint_at(9, 5000), third = endpoint_at(10, 5000);
	(void)state;
	remote_state(&after);
	assert_true(hears(SRTP_RTP, &third, false));
}

static void a_leg_moves_so_often(void **state)
{
	const struct endpoint ends[] = {endpoint_at(9, 5000), endpoint_at(10, 5000)};
	unsigned moves = 0;
	(void)state;
	while (moves < 2 * LEARN_BURST && hears(SRTP_RTP, &ends[moves % 2], false))
		moves++;
	assert_int_equal(moves, LEARN_BURST);
	now_ms += LEARN_MS;
	assert_true(hears(SRTP_RTP, &ends[moves % 2], false));
	assert_false(hears(SRTP_RTP, &ends[(moves + 1) % 2], false));
}

// Beside media on another port of its host it tells nothing; from another host, or the port of media, it does.
static void rtcp_moves_a_leg_if_nothing_better_is_known(void **state)
{
	const struct endpoint beside = endpoint_at(8, 5001), other = endpoint_at(9, 5001),
			      next = endpoint_at(9, 5003), muxed_port = endpoint_at(8, 5003);
	(void)state;
	assert_false(hears(SRTP_RTCP, &beside, false));
	assert_true(hears(SRTP_RTCP, &other, false));
	assert_true(hears(SRTP_RTCP, &next, false)); // the address before was that of RTCP, too
	assert_true(hears(SRTP_RTP, &beside, false));
	assert_false(hears(SRTP_RTCP, &muxed_port, false));
	assert_true(hears(SRTP_RTCP, &muxed_port, true));
}

static void who_does_not_learn_stays(void **state)
{
	const struct endpoint other = endpoint_at(9, 5000), same = leg.remote;
	(void)state;
	assert_false(hears(SRTP_RTP, &same, false));
	leg.spec.protection[SRTP_RTP].has_key = false;
	assert_false(hears(SRTP_RTP, &other, false));
	leg.spec.protection[SRTP_RTP].has_key = true;
	leg.spec.learn = false;
	assert_false(hears(SRTP_RTP, &other, false));
}

// What was learnt stays as long as the same remote is stated.
static void the_same_statement_changes_nothing(void **state)
{
	const struct endpoint stated = endpoint_at(8, 5000), learnt = endpoint_at(9, 5000);
	(void)state;
	assert_true(hears(SRTP_RTP, &learnt, false));
	remote_state(&stated);
	assert_true(endpoint_equal(&leg.remote, &learnt));
	leg.spec.learn = false;
	remote_state(&stated);
	assert_true(endpoint_equal(&leg.remote, &stated));
}

int main(void)
{
#define test(name) cmocka_unit_test_setup(name, leg_begin)
	const struct CMUnitTest tests[] = {
		test(packets_of_the_address_before_are_late_for_a_while),
		test(another_address_is_not_late),
		test(a_leg_moves_so_often),
		test(rtcp_moves_a_leg_if_nothing_better_is_known),
		test(who_does_not_learn_stays),
		test(the_same_statement_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
