// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/dataplane_lab.h"

// Who takes all that he can get of what legs share at a worker, and what others keep (docs/security.md).

enum { SSRC = 0x11223344, GUK_ID = 0x0abc0001, STRANGE = 0x0b000000, USER = 5 };
enum { ALICE, BOB, OTHERS, ROC_1 = 65536 };

static struct lab lab;
static struct lab_copy copies[LAB_COPIES];
static const struct lab_key *gmk, *bob_key;

static struct worker *worker(void)
{
	return lab.relay.workers[0];
}

// Alice, and so many others, under a GMK of which the relay knows no user yet; Bob under a key of his own.
static void group_open(unsigned others)
{
	gmk = lab_key_add(&lab, 8, 0, true);
	bob_key = lab_key_add(&lab, 4, 0, false);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = gmk});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = bob_key});
	for (unsigned i = 0; i < others; i++)
		lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = gmk, .ipv6 = i % 2});
	lab_connect(&lab);
	worker()->tsc_hz = UINT64_C(1) << 62; // no token comes back while the test runs
}

static int setup(void **state)
{
	(void)state;
	lab_open(&lab, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(lab.relay.keys.guk_sets[0]);
	lab.relay.keys.guk_sets[0] = NULL;
	lab_close(&lab);
	return 0;
}

enum from { REMOTE, ELSEWHERE };

// A packet of a talker for whom there is no context yet.
static void push_talker(uint32_t leg, enum from from, uint32_t guk_id, uint64_t index)
{
	uint32_t ctx[SRTP_N_PROTOCOLS];
	uint8_t octets[LAB_PAYLOAD_MAX];
	lab_talker_add(&lab, gmk, guk_id, 0, ctx);
	struct lab_packet packet = {
		.len = 160, .ssrc = SSRC, .ctx = ctx[SRTP_RTP], .index = index, .mki_len = 8};
	uint16_t len = lab_packet_write(&lab, &packet, octets);
	lab_talker_remove(&lab, ctx);
	struct rte_mbuf *mbuf = from == REMOTE ? lab_frame(&lab, leg, octets, len)
					       : lab_stranger_frame(&lab, leg, octets, len);
	loop_process_burst(worker(), &mbuf, 1);
}

// The next context that is asked for; false: none is.
static bool asked(struct control_mail *mail)
{
	while (control_mail_take(&worker()->mailbox, mail))
		if (mail->type == MAIL_DERIVE)
			return true;
	return false;
}

static void refuse(const struct control_mail *mail)
{
	struct worker_mail answer = {
		.type = MAIL_RESUME, .value = mail->derive.slot, .refused = DROP_DERIVE_LIMIT};
	loop_resume(worker(), &answer);
}

static void refuse_all(void)
{
	struct control_mail mail;
	while (asked(&mail))
		refuse(&mail);
}

static void expect_first_word(uint32_t leg, uint32_t guk_id)
{
	struct control_mail mail;
	uint64_t held = worker()->counters.held;
	push_talker(leg, REMOTE, guk_id, 1);
	assert_int_equal(worker()->counters.held, held + 1);
	assert_true(asked(&mail));
	assert_int_equal((uint32_t)mail.derive.name.mki, guk_id);
	assert_false(mail.derive.stranger);
	refuse(&mail);
}

// --- derivations

static void what_no_user_has_costs_nothing(void **state)
{
	enum { N = 300 };
	struct control_mail mail;
	(void)state;
	group_open(1);
	struct guk_set *set = guk_set_new(2);
	guk_set_add(set, GUK_ID);
	guk_set_add(set, GUK_ID + 1);
	atomic_store(&lab.relay.keys.guk_sets[gmk->root], set);
	for (uint32_t i = 0; i < N; i++)
		push_talker(i % 2 ? ALICE : OTHERS, i % 3 ? ELSEWHERE : REMOTE, STRANGE + i, 1);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_UNKNOWN_USER), N);
	assert_int_equal(lab_drops(&lab, 0), N);
	assert_false(asked(&mail));
	for (unsigned i = 0; i < LEG_TOKENS; i++)
		expect_first_word(i % 2 ? ALICE : OTHERS, GUK_ID + i % 2);
}

static void strangers_use_up_their_own_tokens(void **state)
{
	(void)state;
	group_open(1);
	for (uint32_t i = 0; i < 3 * LEG_TOKENS; i++) {
		push_talker(ALICE, ELSEWHERE, STRANGE + i, 1);
		refuse_all();
	}
	assert_int_equal(lab_drops_of(&lab, 0, DROP_DERIVE_LIMIT), 3 * LEG_TOKENS);
	assert_int_equal(worker()->counters.held, LEG_TOKENS);
	for (uint32_t i = 0; i < LEG_TOKENS; i++)
		expect_first_word(ALICE, GUK_ID + i);
	expect_first_word(OTHERS, GUK_ID);
}

// However many legs they come to.
static void strangers_have_so_many_tokens_of_a_worker(void **state)
{
	unsigned n = 0;
	(void)state;
	group_open(8);
	for (uint32_t round = 0; round < 2 * LEG_TOKENS; round++)
		for (uint32_t leg = ALICE; leg < lab.n_legs; leg++) {
			uint64_t before = worker()->counters.held;
			if (leg != BOB)
				push_talker(leg, ELSEWHERE, STRANGE + round, 1);
			refuse_all();
			n += (unsigned)(worker()->counters.held - before);
		}
	assert_int_equal(n, 256);
	for (uint32_t leg = OTHERS; leg < lab.n_legs; leg++)
		expect_first_word(leg, GUK_ID + leg);
}

// --- packets and slots that wait

// As if each slot were asked for by a leg of its own, which has never asked before.
static void leg_forget(uint32_t leg)
{
	memset(worker()->legs[leg].shares, 0, sizeof(worker()->legs[leg].shares));
	memset(worker()->strangers.tokens, 0, sizeof(worker()->strangers.tokens));
}

static void strangers_leave_half_of_the_slots(void **state)
{
	(void)state;
	group_open(1);
	for (uint32_t i = 0; i < 2 * HOLD_SLOTS; i++) {
		leg_forget(OTHERS);
		push_talker(OTHERS, ELSEWHERE, STRANGE + i, 1);
	}
	assert_int_equal(worker()->strangers.slots, HOLD_STRANGER_SLOTS);
	for (uint32_t i = 0; i < HOLD_SLOTS - HOLD_STRANGER_SLOTS; i++) {
		leg_forget(ALICE);
		push_talker(ALICE, REMOTE, GUK_ID + i, 1);
	}
	assert_int_equal(worker()->counters.held, HOLD_SLOTS);
	refuse_all();
	assert_int_equal(worker()->n_held, 0);
	assert_int_equal(worker()->strangers.slots, 0);
	assert_int_equal(worker()->strangers.packets, 0);
}

// Eight legs with a key frame and more each: the ninth has room.
static void room_is_left_for_the_next_leg(void **state)
{
	(void)state;
	group_open(9);
	for (uint32_t leg = OTHERS; leg < OTHERS + 8; leg++)
		for (unsigned i = 0; i < HOLD_PACKETS + 100; i++)
			push_talker(leg, REMOTE, GUK_ID + leg, i);
	uint64_t held = worker()->counters.held;
	assert_true(held > HOLD_TOTAL / 4 * 3);
	for (unsigned i = 0; i < 64; i++)
		push_talker(ALICE, REMOTE, GUK_ID, i);
	assert_int_equal(worker()->counters.held, held + 64);
	refuse_all();
	assert_int_equal(worker()->n_held, 0);
	for (uint32_t leg = ALICE; leg < lab.n_legs; leg++) {
		assert_int_equal(worker()->legs[leg].shares[SIDE_OWN].packets, 0);
		assert_int_equal(worker()->legs[leg].shares[SIDE_OWN].slots, 0);
	}
}

// Strangers leave room to clients: half of all, and half of what waits for the context of one.
static void strangers_leave_half_of_the_room(void **state)
{
	(void)state;
	group_open(9);
	for (uint32_t leg = OTHERS; leg < lab.n_legs; leg++)
		for (unsigned i = 0; i < HOLD_PACKETS + 10; i++)
			push_talker(leg, ELSEWHERE, GUK_ID + leg - OTHERS, i);
	assert_in_range(worker()->n_held, HOLD_STRANGER_TOTAL / 4 * 3, HOLD_STRANGER_TOTAL);
	uint64_t held = worker()->counters.held;
	for (unsigned i = 0; i < HOLD_PACKETS / 2; i++)
		push_talker(ALICE, REMOTE, GUK_ID, i);
	assert_int_equal(worker()->counters.held, held + HOLD_PACKETS / 2);
	refuse_all();
	assert_int_equal(worker()->n_held, 0);
	assert_int_equal(worker()->strangers.packets, 0);
}

// --- second tries

static const struct lab_key *roc_key;

static void call_open(void)
{
	roc_key = lab_key_add(&lab, 4, 1, false);
	bob_key = lab_key_add(&lab, 4, 0, false);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = roc_key});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = bob_key});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = roc_key, .ipv6 = true});
	lab_connect(&lab);
	worker()->tsc_hz = UINT64_C(1) << 62;
}

static struct rte_mbuf *roc_frame(
	uint32_t leg, enum from from, uint32_t ssrc, uint64_t index, bool forged)
{
	uint8_t octets[LAB_PAYLOAD_MAX];
	struct lab_packet packet = {.len = 160,
		.ssrc = ssrc,
		.ctx = roc_key->ctx[SRTP_RTP],
		.index = index,
		.mki_len = 4,
		.roc = true};
	uint16_t len = lab_packet_write(&lab, &packet, octets);
	octets[20] ^= forged;
	return from == REMOTE ? lab_frame(&lab, leg, octets, len)
			      : lab_stranger_frame(&lab, leg, octets, len);
}

static void push_roc(uint32_t leg, enum from from, uint32_t ssrc, uint64_t index, bool forged)
{
	struct rte_mbuf *mbuf = roc_frame(leg, from, ssrc, index, forged);
	loop_process_burst(worker(), &mbuf, 1);
}

// Forged packets of Alice's SSRC with another ROC: the second try of her own jump is left to her.
static void forgers_use_up_their_own_tries(void **state)
{
	enum { N = 200 };
	(void)state;
	call_open();
	push_roc(ALICE, REMOTE, SSRC, 1, false);
	push_roc(OTHERS, REMOTE, SSRC + 1, 1, false);
	for (uint64_t i = 0; i < N; i++)
		push_roc(ALICE, ELSEWHERE, SSRC, (7 + i) * ROC_1 + 2, true);
	lab_take(&lab, 0, copies);
	push_roc(ALICE, REMOTE, SSRC, 3 * ROC_1 + 2, false);
	push_roc(OTHERS, REMOTE, SSRC + 1, 3 * ROC_1 + 2, false);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_AUTH_FAIL), N);
	assert_int_equal(lab_drops(&lab, 0), N);
	assert_int_equal(worker()->legs[ALICE].shares[SIDE_STRANGER].tokens[TOKEN_ROC].n, 0);
}

// With the address of a leg's client: no other leg pays.
static void tries_of_one_leg_are_not_anothers(void **state)
{
	enum { N = 200 };
	(void)state;
	call_open();
	push_roc(ALICE, REMOTE, SSRC, 1, false);
	push_roc(OTHERS, REMOTE, SSRC + 1, 1, false);
	for (uint64_t i = 0; i < N; i++)
		push_roc(OTHERS, REMOTE, SSRC + 1, (7 + i) * ROC_1 + 2, true);
	lab_take(&lab, 0, copies);
	push_roc(ALICE, REMOTE, SSRC, 3 * ROC_1 + 2, false);
	assert_int_equal(lab_take(&lab, 0, copies) > 0, true);
	assert_int_equal(lab_drops(&lab, 0), N);
}

// --- the other reading of four octets: a ROC, or the GUK-ID of a talker

enum { READING = 0x0a123456 }; // more than is likely of a ROC

static uint32_t own[SRTP_N_PROTOCOLS];

// Alice's leg tells who she is, so that her packets need not.
static void talker_open(void)
{
	gmk = lab_key_add(&lab, 4, 1, true);
	bob_key = lab_key_add(&lab, 4, 0, false);
	lab_talker_add(&lab, gmk, GUK_ID, USER, own);
	lab_leg_add(&lab,
		(struct lab_leg){.mode = LEG_SRTP, .key = gmk, .guk_id = GUK_ID, .user = USER});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = bob_key});
	lab_connect(&lab);
	worker()->tsc_hz = UINT64_C(1) << 62;
}

static void push_reading(enum from from, bool forged)
{
	uint8_t octets[LAB_PAYLOAD_MAX];
	const struct lab_packet packet = {.len = 160,
		.ssrc = SSRC,
		.ctx = own[SRTP_RTP],
		.index = (uint64_t)READING << 16 | 1,
		.mki_len = 4,
		.roc = true};
	uint16_t len = lab_packet_write(&lab, &packet, octets);
	octets[20] ^= forged;
	struct rte_mbuf *mbuf = from == REMOTE ? lab_frame(&lab, ALICE, octets, len)
					       : lab_stranger_frame(&lab, ALICE, octets, len);
	loop_process_burst(worker(), &mbuf, 1);
}

// Forged packets wait for the context of the other reading, which costs another pass, as often as there are tokens.
static void forgers_are_read_the_other_way_so_often(void **state)
{
	enum { N = 200, TOKENS = 64 };
	(void)state;
	talker_open();
	for (unsigned i = 0; i < N; i++)
		push_reading(ELSEWHERE, true);
	assert_int_equal(worker()->counters.held, TOKENS);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_AUTH_FAIL), N - TOKENS);
	for (unsigned i = 0; i < N; i++)
		push_reading(REMOTE, true);
	assert_int_equal(worker()->counters.held, TOKENS + N);
	refuse_all();
}

// A stranger had a context derived for the GUK-ID that the ROC would be: it proved nothing.
static void a_made_up_talker_is_no_reading(void **state)
{
	uint32_t made_up[SRTP_N_PROTOCOLS];
	(void)state;
	talker_open();
	lab_talker_add(&lab, gmk, READING, 0, made_up);
	push_reading(REMOTE, false);
	assert_int_equal(worker()->counters.held, 0);
	assert_int_equal(worker()->legs[ALICE].rx_packets, 1);
	assert_true(lab_take(&lab, 0, copies) > 0);
}

// A ROC may have the value of the key's id: the longer layout is meant, whatever the profile says.
static void the_longer_layout_is_meant(void **state)
{
	(void)state;
	const struct lab_key *key = lab_key_add(&lab, 4, 0, false);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = key});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN});
	lab_connect(&lab);
	const struct lab_packet packet = {.len = 160,
		.ssrc = SSRC,
		.ctx = key->ctx[SRTP_RTP],
		.index = (uint64_t)key->id << 16 | 1,
		.mki_len = 4,
		.roc = true};
	lab_push(&lab, 0, 0, &packet);
	assert_int_equal(lab_drops(&lab, 0), 0);
	assert_int_equal(worker()->legs[0].rx_packets, 1);
	assert_int_equal(lab_take(&lab, 0, copies), 1);
}

#define in_lab(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_lab(what_no_user_has_costs_nothing),
		in_lab(strangers_use_up_their_own_tokens),
		in_lab(strangers_have_so_many_tokens_of_a_worker),
		in_lab(strangers_leave_half_of_the_slots),
		in_lab(room_is_left_for_the_next_leg),
		in_lab(strangers_leave_half_of_the_room),
		in_lab(forgers_use_up_their_own_tries),
		in_lab(tries_of_one_leg_are_not_anothers),
		in_lab(forgers_are_read_the_other_way_so_often),
		in_lab(a_made_up_talker_is_no_reading),
		in_lab(the_longer_layout_is_meant),
	};
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
