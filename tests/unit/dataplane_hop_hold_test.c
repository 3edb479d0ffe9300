// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// Copies whose next hop is not known yet: all of them arrive, in order, or are counted.

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/dataplane_lab.h"

enum { ALICE, BOB, CAROL, SSRC = 7 };

#define MAC      (UINT64_C(0x630000000002) | NEIGHBOUR_RESOLVED)
#define SERIAL_1 (UINT64_C(1) << NEIGHBOUR_SERIAL_SHIFT)

static struct lab lab;
static struct lab_copy *copies;

static int lab_up(void **state)
{
	(void)state;
	lab_open(&lab, 1);
	for (unsigned leg = ALICE; leg <= CAROL; leg++)
		lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN, .ipv6 = leg == CAROL});
	lab_connect(&lab);
	copies = calloc(LAB_COPIES, sizeof(*copies));
	return copies ? 0 : -1;
}

static int lab_down(void **state)
{
	(void)state;
	free(copies);
	lab_close(&lab);
	return 0;
}

static void hop_set(uint32_t leg, uint64_t word)
{
	atomic_store(&lab.relay.neighbours.entries[leg].mac, word);
}

static void speak(uint64_t from, uint64_t to)
{
	for (uint64_t index = from; index <= to; index++)
		lab_push(&lab, 0, ALICE,
			&(struct lab_packet){
				.ssrc = SSRC, .ctx = KEY_NONE, .index = index, .len = 20});
}

// What was sent to a leg has these SEQs, one after the other.
static void expect_seqs(uint32_t leg, unsigned from, unsigned to)
{
	unsigned n = lab_take(&lab, 0, copies);
	unsigned next = from;
	for (unsigned i = 0; i < n; i++) {
		if (copies[i].leg != leg)
			continue;
		assert_int_equal(copies[i].payload[2] << 8 | copies[i].payload[3], next);
		next++;
	}
	assert_int_equal(next, to + 1);
}

static void turn(void)
{
	hop_hold_turn(lab.relay.workers[0]);
}

static const struct leg_counters *counters(uint32_t leg)
{
	return &lab.relay.workers[0]->legs[leg];
}

static void wait_and_arrive_in_order(void **state)
{
	(void)state;
	for (uint32_t leg = BOB; leg <= CAROL; leg++) {
		hop_set(leg, NEIGHBOUR_PENDING);
		unsigned first = leg == BOB ? 1 : 11;
		uint64_t before = counters(leg)->tx_packets;
		speak(first, first + 4);
		expect_seqs(leg, first, first - 1);
		turn();
		expect_seqs(leg, first, first - 1);
		assert_int_equal(counters(leg)->tx_packets, before);
		hop_set(leg, MAC);
		speak(first + 5, first + 6); // they do not overtake, and no turn is needed
		expect_seqs(leg, first, first + 6);
		assert_int_equal(counters(leg)->tx_packets, before + 7);
		assert_int_equal(counters(leg)->tx_octets, (before + 7) * 32);
	}
	assert_int_equal(lab_drops(&lab, 0), 0);
}

static void a_turn_is_enough(void **state)
{
	(void)state;
	hop_set(BOB, NEIGHBOUR_PENDING);
	hop_set(CAROL, NEIGHBOUR_PENDING);
	speak(1, 3);
	hop_set(CAROL, MAC);
	turn();
	expect_seqs(CAROL, 1, 3);
	hop_set(BOB, MAC);
	turn();
	expect_seqs(BOB, 1, 3);
	assert_int_equal(lab.relay.workers[0]->hops.n, 0);
	assert_int_equal(lab.relay.workers[0]->hops.n_copies, 0);
}

static void given_up_is_counted(void **state)
{
	(void)state;
	hop_set(BOB, NEIGHBOUR_PENDING);
	speak(1, 3);
	assert_int_equal(lab_drops(&lab, 0), 0);
	hop_set(BOB, 0);
	turn();
	expect_seqs(BOB, 1, 0);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_NEXT_HOP), 3);
	assert_int_equal(counters(BOB)->tx_drops[DROP_NEXT_HOP - DROP_COPY_FIRST], 3);
	assert_int_equal(counters(BOB)->tx_packets, 0);
	speak(4, 4); // nobody waits for it any more
	assert_int_equal(lab_drops_of(&lab, 0, DROP_NEXT_HOP), 4);
}

static void no_more_than_there_is_room_for(void **state)
{
	(void)state;
	hop_set(BOB, NEIGHBOUR_PENDING);
	speak(1, HOP_COPIES + 5);
	assert_int_equal(counters(BOB)->tx_drops[DROP_NEXT_HOP - DROP_COPY_FIRST], 5);
	hop_set(BOB, MAC);
	turn();
	expect_seqs(BOB, 1, HOP_COPIES);
}

// One after the other stops to answer while all is sent that may wait: each has some room, the last one, too.
static void silent_next_hops_leave_room(void **state)
{
	enum { HOPS = 7, LAST = 10 };
	(void)state;
	while (lab.n_legs < 1 + HOPS)
		lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN});
	lab_connect(&lab);
	uint64_t index = 1;
	for (uint32_t leg = BOB; leg < HOPS; leg++) {
		hop_set(leg, NEIGHBOUR_PENDING);
		for (unsigned i = 0; i < 2 * HOP_COPIES / 16; i++, index += 16) {
			speak(index, index + 15);
			lab_take(&lab, 0, copies);
		}
	}
	assert_true(lab.relay.workers[0]->hops.n_copies <= HOP_COPIES_TOTAL);
	hop_set(HOPS, NEIGHBOUR_PENDING);
	speak(index, index + LAST - 1);
	assert_int_equal(counters(HOPS)->tx_drops[DROP_NEXT_HOP - DROP_COPY_FIRST], 0);
	hop_set(HOPS, MAC);
	turn();
	expect_seqs(HOPS, (unsigned)index, (unsigned)index + LAST - 1);
}

// The entry of a next hop that nobody uses any more is another one's soon: nothing goes there that was meant for the
// first.
static void another_next_hop_in_its_place(void **state)
{
	(void)state;
	hop_set(BOB, NEIGHBOUR_PENDING);
	speak(1, 2);
	hop_set(BOB, SERIAL_1 | MAC);
	turn();
	expect_seqs(BOB, 1, 0);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_NEXT_HOP), 2);
	hop_set(BOB, NEIGHBOUR_PENDING);
	speak(3, 4);
	hop_set(BOB, SERIAL_1 | NEIGHBOUR_PENDING);
	speak(5, 6);
	hop_set(BOB, SERIAL_1 | MAC);
	turn();
	expect_seqs(BOB, 5, 6);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_NEXT_HOP), 4);
}

// What waits for a leg that has gone counts for no other in its place.
static void another_leg_in_its_place(void **state)
{
	(void)state;
	hop_set(BOB, NEIGHBOUR_PENDING);
	speak(1, 2);
	lab.legs[BOB].serial++;
	hop_set(BOB, 0);
	turn();
	assert_int_equal(counters(BOB)->tx_drops[DROP_NEXT_HOP - DROP_COPY_FIRST], 0);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_NEXT_HOP), 2);
}

static void freed_at_the_end(void **state)
{
	(void)state;
	hop_set(BOB, NEIGHBOUR_PENDING);
	speak(1, 9); // lab_down() counts the buffers
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, lab_up, lab_down)
	const struct CMUnitTest tests[] = {
		test(wait_and_arrive_in_order),
		test(a_turn_is_enough),
		test(given_up_is_counted),
		test(no_more_than_there_is_room_for),
		test(silent_next_hops_leave_room),
		test(another_next_hop_in_its_place),
		test(another_leg_in_its_place),
		test(freed_at_the_end),
	};
	alarm(60); // a test that failed half way may not be able to clean up
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
