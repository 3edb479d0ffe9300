// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

#include "tests/unit/dataplane_lab.h"

// First words towards receivers under another GMK: packets wait twice, for the context under which they came and for the
// one under which they leave.

enum { SSRC = 0x11223344, GUK_ID = 0x0abc0001, GUK_ID_OUT = 0x0abc0002, USER = 5 };
enum { ALICE, BOB, CAROL };

static struct lab lab;
static struct lab_copy copies[LAB_COPIES];
static const struct lab_key *gmk, *bob_gmk;
static uint32_t ctx[SRTP_N_PROTOCOLS], bob_ctx[SRTP_N_PROTOCOLS];

static struct worker *worker(void)
{
	return lab.relay.workers[0];
}

// Alice under a GMK, Bob under another, Carol in clear. The relay has no context of Alice's yet.
static int setup(void **state)
{
	(void)state;
	lab_open(&lab, 1);
	gmk = lab_key_add(&lab, 8, 0, true);
	bob_gmk = lab_key_add(&lab, 8, 0, true);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = gmk});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = bob_gmk});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN, .port = 1});
	lab_connect(&lab);
	worker()->tsc_hz = UINT64_C(1) << 62; // no token comes back while the test runs
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lab_close(&lab);
	return 0;
}

static struct lab_packet from_alice(uint32_t ctx_index, uint64_t index)
{
	return (struct lab_packet){
		.len = 160, .ssrc = SSRC, .ctx = ctx_index, .index = index, .mki_len = 8};
}

// So many packets of Alice's from an index on, one burst after another, whether or not there is a context of hers.
static void push_run(uint64_t first, unsigned n, bool known)
{
	struct rte_mbuf *mbufs[WORKER_BURST];
	for (unsigned at = 0; at < n; at += WORKER_BURST) {
		uint16_t burst = (uint16_t)RTE_MIN(n - at, (unsigned)WORKER_BURST);
		if (!known)
			lab_talker_add(&lab, gmk, GUK_ID, USER, ctx);
		for (uint16_t i = 0; i < burst; i++) {
			struct lab_packet packet = from_alice(ctx[SRTP_RTP], first + at + i);
			mbufs[i] = lab_packet_frame(&lab, ALICE, &packet);
		}
		if (!known)
			lab_talker_remove(&lab, ctx);
		loop_process_burst(worker(), mbufs, burst);
	}
}

// Control publishes the context that is asked for next; its answer.
static struct worker_mail publish(const struct lab_key *key, enum drop_reason refused)
{
	struct control_mail mail;
	do
		assert_true(control_mail_take(&worker()->mailbox, &mail));
	while (mail.type != MAIL_DERIVE);
	if (key == gmk)
		lab_talker_add(&lab, gmk, GUK_ID, USER, ctx);
	else if (refused == DROP_NONE)
		lab_talker_add(&lab, bob_gmk, GUK_ID_OUT, USER, bob_ctx);
	return (struct worker_mail){
		.type = MAIL_RESUME, .value = mail.derive.slot, .refused = refused};
}

static void answer(const struct lab_key *key, enum drop_reason refused)
{
	struct worker_mail resume = publish(key, refused);
	loop_resume(worker(), &resume);
}

// What Bob and Carol got: each index once, in order, those of [gap, end) not.
static void expect_copies(bool bob, uint64_t n, uint64_t gap, uint64_t end)
{
	uint64_t next[LAB_LEGS] = {0};
	unsigned n_copies = lab_take(&lab, 0, copies);
	for (unsigned i = 0; i < n_copies; i++) {
		uint32_t leg = copies[i].leg;
		if (next[leg] == gap)
			next[leg] = end;
		struct lab_packet packet = leg == BOB ? from_alice(bob_ctx[SRTP_RTP], next[leg])
						      : from_alice(KEY_NONE, next[leg]);
		assert_true(lab_copy_is(&lab, &copies[i], &packet));
		next[leg]++;
	}
	assert_int_equal(next[CAROL], n);
	assert_int_equal(next[BOB], bob ? n : 0);
	assert_int_equal(next[ALICE], 0);
}

static void whole_key_frame_in_order(unsigned n)
{
	push_run(0, n, false);
	answer(gmk, DROP_NONE);
	push_run(n, 10, true); // behind those that wait for the second context
	answer(bob_gmk, DROP_NONE);
	push_run(n + 10, 10, true);
	expect_copies(true, n + 20, n + 20, n + 20);
	assert_int_equal(lab_drops(&lab, 0), 0);
	assert_int_equal(worker()->legs[ALICE].shares[SIDE_OWN].packets, 0);
	assert_int_equal(worker()->legs[ALICE].shares[SIDE_OWN].slots, 0);
	assert_int_equal(worker()->n_held, 0);
}

static void some_packets(void **state)
{
	(void)state;
	whole_key_frame_in_order(130);
}

static void key_frame(void **state)
{
	(void)state;
	whole_key_frame_in_order(400);
}

// A context is there before the answer that it is: what comes in between finds it, and waits all the same.
static void packets_between_context_and_answer(void **state)
{
	(void)state;
	push_run(0, 3, false);
	struct worker_mail resume = publish(gmk, DROP_NONE);
	push_run(3, 5, true);
	loop_resume(worker(), &resume);
	resume = publish(bob_gmk, DROP_NONE);
	push_run(8, 5, true);
	assert_int_equal(lab_take(&lab, 0, copies), 0);
	loop_resume(worker(), &resume);
	push_run(13, 5, true);
	expect_copies(true, 18, 18, 18);
	assert_int_equal(lab_drops(&lab, 0), 0);
}

// Beyond what is held packets are lost, and say so; none overtakes.
static void more_than_is_held(void **state)
{
	enum { MORE = 100 };
	(void)state;
	push_run(0, HOLD_PACKETS + MORE / 2, false);
	answer(gmk, DROP_NONE);
	push_run(HOLD_PACKETS + MORE / 2, MORE / 2, true);
	assert_int_equal(lab_take(&lab, 0, copies), 0);
	answer(bob_gmk, DROP_NONE);
	push_run(HOLD_PACKETS + MORE, 10, true);
	expect_copies(true, HOLD_PACKETS + MORE + 10, HOLD_PACKETS, HOLD_PACKETS + MORE);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_HOLD_FULL), MORE);
	assert_int_equal(lab_drops(&lab, 0), MORE);
}

// Other talkers of the leg have the same room, not each their own.
static void room_is_the_legs(void **state)
{
	(void)state;
	push_run(0, HOLD_PACKETS, false);
	uint32_t other[SRTP_N_PROTOCOLS];
	lab_talker_add(&lab, gmk, GUK_ID + 100, USER + 1, other);
	struct lab_packet packet = from_alice(other[SRTP_RTP], 7);
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, ALICE, &packet);
	lab_talker_remove(&lab, other);
	loop_process_burst(worker(), &mbuf, 1);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_HOLD_FULL), 1);
	answer(gmk, DROP_NONE);
	answer(bob_gmk, DROP_NONE);
	expect_copies(true, HOLD_PACKETS, HOLD_PACKETS, HOLD_PACKETS);
}

// Nobody else waits for them, and the copies have the reason that control gave.
static void refused_for_some_receivers(void **state)
{
	(void)state;
	push_run(0, 3, false);
	answer(gmk, DROP_NONE);
	answer(bob_gmk, DROP_UNKNOWN_USER);
	expect_copies(false, 3, 3, 3);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_UNKNOWN_USER), 3);
	assert_int_equal(lab_drops(&lab, 0), 3);
}

static void not_asked_for_want_of_tokens(void **state)
{
	(void)state;
	push_run(0, 1, false);
	lab_tokens_set(&lab, 0, ALICE, TOKEN_WORK, 0);
	answer(gmk, DROP_NONE);
	expect_copies(false, 1, 1, 1);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_DERIVE_LIMIT), 1);
	assert_int_equal(lab_drops(&lab, 0), 1);
}

#define in_lab(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_lab(some_packets),
		in_lab(key_frame),
		in_lab(packets_between_context_and_answer),
		in_lab(more_than_is_held),
		in_lab(room_is_the_legs),
		in_lab(refused_for_some_receivers),
		in_lab(not_asked_for_want_of_tokens),
	};
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
