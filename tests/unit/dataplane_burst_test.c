// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "dataplane/burst.h"
#include "dataplane/cryptodev.h"
#include "tests/unit/dataplane_lab.h"

// Bursts through all stages. lab_close(), after each test, finds any mbuf that was lost or freed
// twice, and lab_take() any frame with a wrong length or checksum.

enum { SSRC = 0x11223344 };

static struct lab lab;
static struct lab_copy copies[LAB_COPIES];

static int setup(void **state)
{
	(void)state;
	lab_open(&lab, 2);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lab_close(&lab);
	return 0;
}

static struct worker *worker(uint8_t id)
{
	return lab.relay.workers[id];
}

// --- two legs, each with a key of its own: what most tests need

enum { ALICE, BOB };

static const struct lab_key *alice_key, *bob_key;

static void call_open(uint8_t mki_len, uint16_t roc_rate)
{
	alice_key = lab_key_add(&lab, mki_len, roc_rate, false);
	bob_key = lab_key_add(&lab, 4, 0, false);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = alice_key});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = bob_key});
	lab_connect(&lab);
}

static struct lab_packet rtp_under(const struct lab_key *key, uint64_t index)
{
	return (struct lab_packet){
		.len = 160,
		.ssrc = SSRC,
		.ctx = key ? key->ctx[SRTP_RTP] : KEY_NONE,
		.index = index,
		.mki_len = key ? key->mki_len : 0,
		.roc = key && srtp_carries_roc(key->roc_rate, (uint16_t)index),
	};
}

static struct lab_packet from_alice(uint64_t index)
{
	return rtp_under(alice_key, index);
}

static struct lab_packet to_bob(uint64_t index)
{
	return rtp_under(bob_key, index);
}

static void push_from_alice(uint64_t index)
{
	struct lab_packet packet = from_alice(index);
	lab_push(&lab, 0, ALICE, &packet);
}

// One burst of what Alice sends, by index.
static void push_burst(const uint64_t *indices, uint16_t n)
{
	struct rte_mbuf *mbufs[WORKER_BURST];
	for (uint16_t i = 0; i < n; i++) {
		struct lab_packet packet = from_alice(indices[i]);
		mbufs[i] = lab_packet_frame(&lab, ALICE, &packet);
	}
	loop_process_burst(worker(0), mbufs, n);
}

// That Bob got these, in this order, and nobody anything else.
static void expect_bob(const uint64_t *indices, unsigned n)
{
	assert_int_equal(lab_take(&lab, 0, copies), n);
	for (unsigned i = 0; i < n; i++) {
		struct lab_packet packet = to_bob(indices[i]);
		assert_int_equal(copies[i].leg, BOB);
		assert_true(lab_copy_is(&lab, &copies[i], &packet));
	}
}

static void expect_one_drop(enum drop_reason reason)
{
	if (lab_drops_of(&lab, 0, reason) != 1)
		for (unsigned i = 0; i < DROP_N_REASONS; i++)
			if (lab_drops_of(&lab, 0, (enum drop_reason)i) != 0)
				print_message("dropped: %s\n", drop_label((enum drop_reason)i));
	assert_int_equal(lab_drops_of(&lab, 0, reason), 1);
	assert_int_equal(lab_drops(&lab, 0), 1);
}

// --- replay and order

static void drops_second_copy_in_one_burst(void **state)
{
	(void)state;
	call_open(4, 0);
	push_burst((uint64_t[]){7, 7}, 2);
	expect_bob((uint64_t[]){7}, 1);
	expect_one_drop(DROP_REPLAYED);
}

static void drops_replay_in_later_burst(void **state)
{
	(void)state;
	call_open(4, 0);
	push_burst((uint64_t[]){7, 8}, 2);
	push_burst((uint64_t[]){7}, 1);
	expect_bob((uint64_t[]){7, 8}, 2);
	expect_one_drop(DROP_REPLAYED);
}

static void drops_what_is_behind_replay_list(void **state)
{
	(void)state;
	call_open(4, 0);
	push_burst((uint64_t[]){2000, 2000 - REPLAY_LIST_LEN + 1}, 2);
	push_burst((uint64_t[]){2000 - REPLAY_LIST_LEN}, 1);
	expect_bob((uint64_t[]){2000, 2000 - REPLAY_LIST_LEN + 1}, 2);
	expect_one_drop(DROP_TOO_OLD);
}

static void wraps_seq_within_burst(void **state)
{
	uint64_t burst[8];
	(void)state;
	call_open(4, 0);
	push_from_alice(65530);
	for (unsigned i = 0; i < 8; i++)
		burst[i] = 65532 + i;
	push_burst(burst, 8);
	assert_int_equal(lab_drops(&lab, 0), 0);
	lab_take(&lab, 0, copies);
	// The receiver's index is 48 bits too: the copies past the wrap are under ROC 1.
	for (unsigned i = 0; i < 8; i++) {
		struct lab_packet packet = to_bob(burst[i]);
		assert_true(lab_copy_is(&lab, &copies[i + 1], &packet));
	}
}

static void keeps_order_among_forged(void **state)
{
	struct rte_mbuf *mbufs[WORKER_BURST];
	uint64_t good[WORKER_BURST];
	unsigned n_good = 0;
	(void)state;
	call_open(4, 0);
	for (unsigned i = 0; i < WORKER_BURST; i++) {
		struct lab_packet packet = from_alice(100 + i);
		mbufs[i] = lab_packet_frame(&lab, ALICE, &packet);
		bool forged = i % 3 == 1 || i >= WORKER_BURST - 2;
		if (forged)
			rte_pktmbuf_mtod(mbufs[i], uint8_t *)[14 + 28 + 20] ^= 1;
		else
			good[n_good++] = 100 + i;
	}
	loop_process_burst(worker(0), mbufs, WORKER_BURST);
	expect_bob(good, n_good);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_AUTH_FAIL), WORKER_BURST - n_good);
	// A forged packet changed nothing: the one it stood for is still welcome.
	push_from_alice(101);
	expect_bob((uint64_t[]){101}, 1);
}

static void bears_stream_of_whole_burst(void **state)
{
	uint64_t burst[WORKER_BURST];
	(void)state;
	call_open(4, 0);
	for (unsigned i = 0; i < WORKER_BURST; i++)
		burst[i] = 500 + i;
	push_burst(burst, WORKER_BURST);
	expect_bob(burst, WORKER_BURST);
	assert_int_equal(lab_drops(&lab, 0), 0);
	const struct stream *stream =
		stream_find(&lab.relay.streams, alice_key->ctx[SRTP_RTP], SSRC);
	assert_non_null(stream);
	assert_int_equal(stream->packets, WORKER_BURST);
	assert_int_equal(stream->first_index, 500);
	struct control_mail mail;
	assert_true(control_mail_take(&worker(0)->mailbox, &mail));
	assert_int_equal(mail.type, MAIL_STREAM);
	assert_false(control_mail_take(&worker(0)->mailbox, &mail));
}

static void forged_first_packet_bears_nothing(void **state)
{
	struct control_mail mail;
	(void)state;
	call_open(4, 0);
	struct lab_packet packet = from_alice(1);
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, ALICE, &packet);
	rte_pktmbuf_mtod(mbuf, uint8_t *)[14 + 28 + 20] ^= 1;
	loop_process_burst(worker(0), &mbuf, 1);
	expect_one_drop(DROP_AUTH_FAIL);
	assert_null(stream_find(&lab.relay.streams, alice_key->ctx[SRTP_RTP], SSRC));
	assert_false(control_mail_take(&worker(0)->mailbox, &mail));
	assert_int_equal(worker(0)->legs[ALICE].rx_packets, 0);
	assert_int_equal(lab.relay.keys.ctxs[alice_key->ctx[SRTP_RTP]].proven, 0);
}

// --- two workers

static void hands_over_whole(void **state)
{
	struct rte_mbuf *handed;
	uint8_t before[LAB_PAYLOAD_MAX];
	(void)state;
	call_open(8, 0);
	push_from_alice(1);
	expect_bob((uint64_t[]){1}, 1);
	struct lab_packet packet = from_alice(2);
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, ALICE, &packet);
	uint16_t len = mbuf->data_len;
	memcpy(before, rte_pktmbuf_mtod(mbuf, void *), len);
	loop_process_burst(worker(1), &mbuf, 1);
	assert_int_equal(worker(1)->counters.handoffs, 1);
	assert_int_equal(lab_drops(&lab, 1), 0);
	assert_int_equal(worker(1)->legs[ALICE].rx_packets, 0);
	assert_int_equal(rte_ring_dequeue(worker(0)->handoff, (void **)&handed), 0);
	assert_ptr_equal(handed, mbuf);
	assert_int_equal(handed->data_len, len);
	assert_memory_equal(rte_pktmbuf_mtod(handed, void *), before, len);
	loop_process_burst(worker(0), &handed, 1);
	expect_bob((uint64_t[]){2}, 1);
	assert_int_equal(worker(0)->legs[ALICE].rx_packets, 2);
}

// The stages up to the decrypted packet, as loop_process_burst() has them.
static uint16_t stages_before_commit(
	struct worker *w, struct rte_mbuf **mbufs, uint16_t n, struct packet **packets)
{
	const struct burst_origin received = {.source = BURST_RECEIVED};
	w->now = 1;
	n = stage_parse(w, &received, mbufs, n, packets);
	n = stage_leg(w, packets, n);
	n = stage_key(w, &received, packets, n);
	n = stage_route(w, &received, packets, n);
	n = stage_stream(w, packets, n);
	struct srtp_op *ops[WORKER_BURST];
	uint16_t n_ops = 0;
	n = stage_unprotect(w, packets, n, ops, &n_ops);
	srtp_unprotect_burst(lab.relay.cipher, ops, n_ops);
	return stage_verify(w, packets, n);
}

static void hands_over_after_lost_race(void **state)
{
	struct packet *packets[WORKER_BURST];
	struct rte_mbuf *mbufs[2];
	(void)state;
	call_open(4, 0);
	for (unsigned i = 0; i < 2; i++) {
		struct lab_packet packet = from_alice(2 + i);
		mbufs[i] = lab_packet_frame(&lab, ALICE, &packet);
	}
	// The stream is not there when worker 1 looks for it; then worker 0 bears it.
	uint16_t n = stages_before_commit(worker(1), mbufs, 2, packets);
	assert_int_equal(n, 2);
	push_from_alice(1);
	expect_bob((uint64_t[]){1}, 1);
	n = stage_commit(worker(1), packets, n);
	assert_int_equal(n, 0);
	assert_int_equal(lab_drops(&lab, 1), 0);
	assert_int_equal(lab_take(&lab, 1, copies), 0);
	assert_int_equal(lab_push_handed_over(&lab, 0), 2);
	expect_bob((uint64_t[]){2, 3}, 2);
	assert_int_equal(lab_drops(&lab, 0), 0);
}

static void drops_when_owner_takes_no_more(void **state)
{
	(void)state;
	call_open(4, 0);
	push_from_alice(1);
	for (unsigned i = 0; i < HANDOFF_SIZE; i++) {
		struct lab_packet packet = from_alice(2 + i);
		lab_push(&lab, 1, ALICE, &packet);
	}
	assert_int_equal(worker(1)->counters.handoffs, HANDOFF_SIZE - 1);
	assert_int_equal(lab_drops_of(&lab, 1, DROP_HANDOFF_FULL), 1);
	assert_int_equal(lab_drops(&lab, 1), 1);
}

// --- ROC transport, RFC 4771

enum { ROC_1 = 0x10000 };

static void joins_by_carried_roc(void **state)
{
	(void)state;
	call_open(4, 1);
	push_burst((uint64_t[]){5 * ROC_1 + 9, 5 * ROC_1 + 10}, 2);
	assert_int_equal(lab_take(&lab, 0, copies), 2);
	struct lab_packet packet = to_bob(5 * ROC_1 + 10);
	assert_true(lab_copy_is(&lab, &copies[1], &packet));
	assert_int_equal(lab_drops(&lab, 0), 0);
}

// In sync the ROC on the wire is ignored, it is not covered by the tag (RFC 4771 2.1).
static void ignores_corrupted_roc_in_sync(void **state)
{
	(void)state;
	call_open(4, 1);
	push_from_alice(1);
	struct lab_packet packet = from_alice(2);
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, ALICE, &packet);
	for (unsigned i = 1; i <= SRTP_ROC_LEN; i++)
		rte_pktmbuf_mtod(mbuf, uint8_t *)[mbuf->data_len - i] ^= 0xa5;
	loop_process_burst(worker(0), &mbuf, 1);
	expect_bob((uint64_t[]){1, 2}, 2);
	assert_int_equal(lab_drops(&lab, 0), 0);
	push_from_alice(3);
	expect_bob((uint64_t[]){3}, 1);
}

// Out of sync the second try takes the carried ROC. So many a second get it: here a forged packet.
static void tries_carried_roc_once_in_a_while(void **state)
{
	(void)state;
	call_open(4, 1);
	push_from_alice(1);
	expect_bob((uint64_t[]){1}, 1);
	worker(0)->tsc_hz = UINT64_C(1) << 62; // no token comes back while the test runs
	lab_tokens_set(&lab, 0, ALICE, TOKEN_ROC, 1);
	struct rte_mbuf *mbufs[2];
	for (unsigned i = 0; i < 2; i++) {
		struct lab_packet packet = from_alice(3 * ROC_1 + 2 + i);
		mbufs[i] = lab_packet_frame(&lab, ALICE, &packet);
	}
	rte_pktmbuf_mtod(mbufs[0], uint8_t *)[14 + 28 + 20] ^= 1;
	loop_process_burst(worker(0), mbufs, 2);
	expect_bob(NULL, 0);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_AUTH_FAIL), 2);
	// Later the first of these gets it, and tells what the second is.
	lab_tokens_set(&lab, 0, ALICE, TOKEN_ROC, 1);
	push_burst((uint64_t[]){3 * ROC_1 + 4, 3 * ROC_1 + 5}, 2);
	expect_bob((uint64_t[]){3 * ROC_1 + 4, 3 * ROC_1 + 5}, 2);
	assert_int_equal(lab_drops(&lab, 0), 2);
}

static void no_second_try_for_forged_roc(void **state)
{
	(void)state;
	call_open(4, 1);
	push_from_alice(1);
	expect_bob((uint64_t[]){1}, 1);
	struct lab_packet packet = from_alice(3 * ROC_1 + 2);
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, ALICE, &packet);
	rte_pktmbuf_mtod(mbuf, uint8_t *)[mbuf->data_len - 1] ^= 1;
	loop_process_burst(worker(0), &mbuf, 1);
	expect_one_drop(DROP_AUTH_FAIL);
	push_from_alice(2);
	expect_bob((uint64_t[]){2}, 1);
}

// --- packets that wait for a key context

enum { GUK_ID = 0x0abc0001, USER = 5 };

static const struct lab_key *gmk;

// Alice speaks under a GMK whose context for her is not derived; Bob has a key of his own.
static void group_call_open(void)
{
	gmk = lab_key_add(&lab, 8, 0, true);
	bob_key = lab_key_add(&lab, 4, 0, false);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = gmk});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = bob_key});
	lab_connect(&lab);
	worker(0)->tsc_hz = UINT64_C(1) << 62; // no token comes back while the test runs
}

// A packet of a talker, whose context is made for the purpose and is none that the relay can find.
static struct rte_mbuf *talker_frame(uint32_t guk_id, uint32_t ssrc, uint64_t index)
{
	uint32_t ctx[SRTP_N_PROTOCOLS];
	lab_talker_add(&lab, gmk, guk_id, 0, ctx);
	struct lab_packet packet = {
		.len = 160, .ssrc = ssrc, .ctx = ctx[SRTP_RTP], .index = index, .mki_len = 8};
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, ALICE, &packet);
	lab_talker_remove(&lab, ctx);
	return mbuf;
}

static void push_talker(uint32_t guk_id, uint64_t index)
{
	struct rte_mbuf *mbuf = talker_frame(guk_id, SSRC, index);
	loop_process_burst(worker(0), &mbuf, 1);
}

static void resume(uint32_t slot, enum drop_reason refused)
{
	struct worker_mail mail = {.type = MAIL_RESUME, .value = slot, .refused = refused};
	loop_resume(worker(0), &mail);
}

static void holds_until_context_is_there(void **state)
{
	struct control_mail mail;
	uint32_t ctx[SRTP_N_PROTOCOLS];
	(void)state;
	group_call_open();
	for (unsigned i = 1; i <= 3; i++)
		push_talker(GUK_ID, i);
	assert_int_equal(lab_drops(&lab, 0), 0);
	assert_int_equal(lab_take(&lab, 0, copies), 0);
	assert_int_equal(worker(0)->counters.held, 3);
	assert_true(control_mail_take(&worker(0)->mailbox, &mail));
	assert_int_equal(mail.type, MAIL_DERIVE);
	assert_int_equal(mail.derive.name.mki, (uint64_t)gmk->id << 32 | GUK_ID);
	uint32_t slot = mail.derive.slot;
	assert_false(control_mail_take(&worker(0)->mailbox, &mail)); // asked once for all three
	lab_talker_add(&lab, gmk, GUK_ID, USER, ctx);
	resume(slot, DROP_NONE);
	expect_bob((uint64_t[]){1, 2, 3}, 3);
	assert_int_equal(worker(0)->legs[ALICE].shares[SIDE_OWN].slots, 0);
	assert_int_equal(lab_drops(&lab, 0), 0);
}

// The packet waits at worker 1, while worker 0 gets to hear of the sender.
static void held_and_handed_over_counts_in_no_jitter(void **state)
{
	struct control_mail mail;
	uint32_t ctx[SRTP_N_PROTOCOLS];
	(void)state;
	group_call_open();
	struct rte_mbuf *mbuf = talker_frame(GUK_ID, SSRC, 2);
	loop_process_burst(worker(1), &mbuf, 1);
	assert_true(control_mail_take(&worker(1)->mailbox, &mail));
	lab_talker_add(&lab, gmk, GUK_ID, USER, ctx);
	struct lab_packet packet = {
		.len = 160, .ssrc = SSRC, .ctx = ctx[SRTP_RTP], .index = 1, .mki_len = 8};
	lab_push(&lab, 0, ALICE, &packet);
	const struct stream *s = stream_find(&lab.relay.streams, ctx[SRTP_RTP], SSRC);
	assert_non_null(s);
	struct jitter before = s->jitter;
	assert_true(before.known);
	struct worker_mail answer = {.type = MAIL_RESUME, .value = mail.derive.slot};
	loop_resume(worker(1), &answer);
	assert_int_equal(lab_push_handed_over(&lab, 0), 1);
	assert_int_equal(s->packets, 2);
	assert_int_equal(s->jitter.transit, before.transit);
	assert_int_equal(s->jitter.scaled, before.scaled);
	packet.index = 3; // what is handed over otherwise counts
	lab_push(&lab, 1, ALICE, &packet);
	assert_int_equal(lab_push_handed_over(&lab, 0), 1);
	assert_int_not_equal(s->jitter.transit, before.transit);
	expect_bob((uint64_t[]){1, 2, 3}, 3);
}

static void drops_what_control_refused(void **state)
{
	struct control_mail mail;
	(void)state;
	group_call_open();
	push_talker(GUK_ID, 1);
	push_talker(GUK_ID, 2);
	assert_true(control_mail_take(&worker(0)->mailbox, &mail));
	resume(mail.derive.slot, DROP_UNKNOWN_USER);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_UNKNOWN_USER), 2);
	assert_int_equal(lab_drops(&lab, 0), 2);
	assert_int_equal(worker(0)->legs[ALICE].shares[SIDE_OWN].slots, 0);
	assert_false(control_mail_take(&worker(0)->mailbox, &mail)); // not asked for again by those
	push_talker(GUK_ID, 3);                                      // but by a new one
	assert_true(control_mail_take(&worker(0)->mailbox, &mail));
}

static void holds_so_many_for_one_context(void **state)
{
	(void)state;
	group_call_open();
	for (unsigned i = 0; i < HOLD_PACKETS; i++)
		push_talker(GUK_ID, i);
	assert_int_equal(lab_drops(&lab, 0), 0);
	push_talker(GUK_ID, HOLD_PACKETS);
	expect_one_drop(DROP_HOLD_FULL);
}

static void holds_for_so_many_contexts_of_leg(void **state)
{
	struct control_mail mail;
	(void)state;
	group_call_open();
	for (unsigned i = 0; i < HOLD_SLOTS_PER_LEG; i++)
		push_talker(GUK_ID + i, 1);
	assert_int_equal(lab_drops(&lab, 0), 0);
	push_talker(GUK_ID + HOLD_SLOTS_PER_LEG, 1);
	expect_one_drop(DROP_DERIVE_LIMIT);
	// Those that wait already still take packets; an answer makes room for another.
	push_talker(GUK_ID, 2);
	assert_int_equal(lab_drops(&lab, 0), 1);
	assert_true(control_mail_take(&worker(0)->mailbox, &mail));
	resume(mail.derive.slot, DROP_UNKNOWN_USER);
	push_talker(GUK_ID + HOLD_SLOTS_PER_LEG, 1);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_DERIVE_LIMIT), 1);
}

// As if each context were asked for by a leg of its own, which has never asked before.
static void push_new_talker(unsigned i)
{
	worker(0)->legs[ALICE].shares[SIDE_OWN] = (struct hold_share){.slots = 0};
	push_talker(GUK_ID + i, 1);
}

static void holds_for_so_many_contexts(void **state)
{
	struct control_mail mail;
	bool taken[HOLD_SLOTS] = {};
	(void)state;
	group_call_open();
	for (unsigned i = 0; i < HOLD_SLOTS; i++) {
		push_new_talker(i);
		assert_true(control_mail_take(&worker(0)->mailbox, &mail));
		assert_false(taken[mail.derive.slot]);
		taken[mail.derive.slot] = true;
	}
	push_new_talker(HOLD_SLOTS);
	expect_one_drop(DROP_HOLD_FULL);
	for (unsigned i = 0; i < HOLD_SLOTS; i++)
		push_talker(GUK_ID + i, 2);
	assert_false(control_mail_take(&worker(0)->mailbox, &mail)); // each was found waiting
	assert_int_equal(worker(0)->n_held, 2 * HOLD_SLOTS);
	for (unsigned slot = 0; slot < HOLD_SLOTS; slot += 2) {
		resume(slot, DROP_UNKNOWN_USER);
		push_new_talker(HOLD_SLOTS + slot);
		assert_true(control_mail_take(&worker(0)->mailbox, &mail));
		assert_int_equal(mail.derive.slot, slot);
	}
	assert_int_equal(lab_drops_of(&lab, 0, DROP_HOLD_FULL), 1);
}

static void asks_for_so_many_contexts_at_once(void **state)
{
	struct control_mail mail;
	(void)state;
	group_call_open();
	for (unsigned i = 0; i < LEG_TOKENS; i++) {
		push_talker(GUK_ID + i, 1);
		assert_true(control_mail_take(&worker(0)->mailbox, &mail));
		resume(mail.derive.slot, DROP_UNKNOWN_USER);
	}
	assert_int_equal(lab_drops_of(&lab, 0, DROP_DERIVE_LIMIT), 0);
	push_talker(GUK_ID + LEG_TOKENS, 1);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_DERIVE_LIMIT), 1);
	assert_false(control_mail_take(&worker(0)->mailbox, &mail));
}

// Bob hears a GMK: the context is that of the user whom Alice's leg names.
static void holds_for_talker_of_receivers(void **state)
{
	struct control_mail mail;
	uint32_t ctx[SRTP_N_PROTOCOLS];
	(void)state;
	alice_key = lab_key_add(&lab, 4, 0, false);
	gmk = lab_key_add(&lab, 8, 0, true);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = alice_key, .user = USER});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = gmk});
	lab_connect(&lab);
	push_from_alice(1);
	assert_true(control_mail_take(&worker(0)->mailbox, &mail));
	assert_int_equal(mail.type, MAIL_DERIVE);
	assert_int_equal(mail.derive.name.kind, KEY_BY_TALKER);
	assert_int_equal(mail.derive.name.mki, (uint64_t)gmk->root << 32 | USER);
	lab_talker_add(&lab, gmk, GUK_ID, USER, ctx);
	resume(mail.derive.slot, DROP_NONE);
	assert_int_equal(lab_take(&lab, 0, copies), 1);
	struct lab_packet packet = from_alice(1);
	packet.ctx = ctx[SRTP_RTP];
	packet.mki_len = 8;
	assert_true(lab_copy_is(&lab, &copies[0], &packet));
}

// --- frames

static void changes_nothing_for_receivers_of_same_key(void **state)
{
	(void)state;
	alice_key = lab_key_add(&lab, 4, 4, false);
	for (unsigned i = 0; i < 3; i++)
		lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = alice_key});
	lab_connect(&lab);
	for (unsigned i = 0; i < 8; i++)
		push_from_alice(i);
	assert_int_equal(lab_take(&lab, 0, copies), 16);
	for (unsigned i = 0; i < 16; i++) {
		struct lab_packet packet = from_alice(i / 2);
		assert_int_equal(copies[i].leg, 1 + i % 2);
		assert_true(lab_copy_is(&lab, &copies[i], &packet));
	}
}

// Every kind of header and every way of protection, many payload lengths; lab_take() verifies all
// fields and checksums.
static void fans_out_to_all_kinds_of_legs(void **state)
{
	(void)state;
	call_open(4, 0);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = alice_key, .ipv6 = true});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = bob_key, .ipv6 = true});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = bob_key, .port = 1});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN, .port = 1, .ipv6 = true});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_OPAQUE, .port = 1});
	lab_connect(&lab);
	for (uint16_t len = 0; len < 300; len++) {
		struct lab_packet packet = from_alice(len);
		packet.len = len;
		lab_push(&lab, 0, ALICE, &packet);
		assert_int_equal(lab_take(&lab, 0, copies), 7);
		for (unsigned i = 0; i < 7; i++) {
			const struct lab_leg *spec = &lab.specs[copies[i].leg];
			bool same = spec->key == alice_key || spec->mode == LEG_OPAQUE;
			packet.ctx = spec->key ? spec->key->ctx[SRTP_RTP] : KEY_NONE;
			if (same)
				packet.ctx = alice_key->ctx[SRTP_RTP];
			assert_true(lab_copy_is(&lab, &copies[i], &packet));
		}
	}
	assert_int_equal(lab_drops(&lab, 0), 0);
	assert_int_equal(worker(0)->legs[ALICE].tx_packets, 0);
	assert_int_equal(worker(0)->legs[BOB].tx_packets, 300);
}

// Makes the sum of the octets and twice the UDP length 0x1ffff, which carries again when its carry is added. Each
// length whose lower octet is 128 or more has one such sum; two octets of the timestamp bring it about.
static void sum_carry_twice(uint8_t *octets, uint16_t len)
{
	uint16_t udp_len = rte_cpu_to_be_16((uint16_t)(len + sizeof(struct rte_udp_hdr)));
	uint32_t wanted = 0x1ffff - 2U * udp_len;
	memset(octets + 4, 0, 2);
	uint32_t sum = rte_raw_cksum(octets, len);
	uint16_t word = (uint16_t)((wanted + 0xffff - sum) % 0xffff);
	memcpy(octets + 4, &word, sizeof(word));
}

static void carries_of_checksum_end_around(void **state)
{
	(void)state;
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN, .ipv6 = true, .port = 1});
	lab_connect(&lab);
	for (uint16_t len = 0; len < 600; len++) {
		struct lab_packet packet = rtp_under(NULL, len);
		uint8_t octets[LAB_PAYLOAD_MAX];
		packet.len = len;
		uint16_t octets_len = lab_packet_write(&lab, &packet, octets);
		sum_carry_twice(octets, octets_len);
		struct rte_mbuf *mbuf = lab_frame(&lab, ALICE, octets, octets_len);
		loop_process_burst(worker(0), &mbuf, 1);
		assert_int_equal(lab_take(&lab, 0, copies), 2);
		assert_memory_equal(copies[0].payload, octets, octets_len);
	}
}

static void relays_rtcp(void **state)
{
	(void)state;
	call_open(4, 1);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = alice_key, .ipv6 = true});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN, .port = 1});
	lab_connect(&lab);
	struct lab_packet packet = {.protocol = SRTP_RTCP,
		.ssrc = SSRC,
		.ctx = alice_key->ctx[SRTP_RTCP],
		.index = 77,
		.mki_len = 4};
	lab_push(&lab, 0, ALICE, &packet);
	lab_push(&lab, 0, ALICE, &packet);
	expect_one_drop(DROP_REPLAYED);
	assert_int_equal(lab_take(&lab, 0, copies), 3);
	for (unsigned i = 0; i < 3; i++) {
		const struct lab_leg *spec = &lab.specs[copies[i].leg];
		packet.ctx = spec->key ? spec->key->ctx[SRTP_RTCP] : KEY_NONE;
		// Under another key the relay is the sender, and the index its own.
		packet.own_index = spec->key == alice_key ? 0 : LAB_SRTCP_FLOOR;
		assert_true(lab_copy_is(&lab, &copies[i], &packet));
	}
}

// Bob's copy is the same whether the clear packet lies over the protected one or beside it.
// Of SRTCP indices workers use those that are on disk, and say in time that there are few.
static void srtcp_ends_with_the_indices_that_are_covered(void **state)
{
	(void)state;
	call_open(4, 0);
	atomic_store(&lab.relay.srtcp_near, LAB_SRTCP_FLOOR + 1);
	atomic_store(&lab.relay.srtcp_limit, LAB_SRTCP_FLOOR + 2);
	for (unsigned i = 0; i < 3; i++) {
		struct lab_packet packet = {.protocol = SRTP_RTCP,
			.ssrc = SSRC,
			.ctx = alice_key->ctx[SRTP_RTCP],
			.index = 7 + i,
			.mki_len = 4};
		lab_push(&lab, 0, ALICE, &packet);
		assert_int_equal(atomic_load(&lab.relay.srtcp_low), i > 0);
	}
	assert_int_equal(lab_take(&lab, 0, copies), 2);
	expect_one_drop(DROP_INDEX_LIMIT);
}

static void protects_in_place_as_beside(void **state)
{
	uint8_t in_place[LAB_PAYLOAD_MAX];
	(void)state;
	call_open(4, 0);
	push_from_alice(1); // a stream that is known is decrypted in place
	push_from_alice(2);
	assert_int_equal(lab_take(&lab, 0, copies), 2);
	uint16_t len = copies[1].len;
	memcpy(in_place, copies[1].payload, len);
	struct stream *in = stream_find(&lab.relay.streams, alice_key->ctx[SRTP_RTP], SSRC);
	struct stream *out = stream_find(&lab.relay.streams, bob_key->ctx[SRTP_RTP], SSRC);
	assert_non_null(in);
	assert_non_null(out);
	in->replay = out->replay = (struct replay_list){};
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_OPAQUE}); // wants the original
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN});  // and the clear packet, too
	lab_connect(&lab);
	push_from_alice(2);
	assert_int_equal(lab_take(&lab, 0, copies), 3);
	for (unsigned i = 0; i < 3; i++) {
		if (copies[i].leg != BOB)
			continue;
		assert_int_equal(copies[i].len, len);
		assert_memory_equal(copies[i].payload, in_place, len);
	}
}

static void sends_no_more_than_mtu(void **state)
{
	enum { FIT = LAB_MTU - 28 - RTP_HEADER_MIN - SRTP_GCM_TAG_LEN - 4 };
	(void)state;
	call_open(4, 0);
	struct lab_packet packet = from_alice(1);
	packet.len = FIT;
	lab_push(&lab, 0, ALICE, &packet);
	assert_int_equal(lab_take(&lab, 0, copies), 1);
	packet.index = 2;
	packet.len = FIT + 1;
	lab_push(&lab, 0, ALICE, &packet);
	assert_int_equal(lab_take(&lab, 0, copies), 0);
	expect_one_drop(DROP_TOO_BIG);
	assert_int_equal(worker(0)->legs[BOB].tx_drops[DROP_TOO_BIG - DROP_COPY_FIRST], 1);
}

static void sends_nothing_to_unresolved_next_hop(void **state)
{
	(void)state;
	call_open(4, 0);
	uint64_t mac = atomic_exchange(&lab.relay.neighbours.entries[BOB].mac, 0);
	push_from_alice(1);
	expect_bob(NULL, 0);
	expect_one_drop(DROP_NEXT_HOP);
	atomic_store(&lab.relay.neighbours.entries[BOB].mac, mac);
	push_from_alice(2);
	expect_bob((uint64_t[]){2}, 1);
}

static void counts_copies_without_buffers(void **state)
{
	static struct rte_mbuf *taken[32768];
	unsigned n = 0;
	(void)state;
	call_open(4, 0);
	uint32_t carol = lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN});
	lab_connect(&lab);
	push_from_alice(1);
	lab_take(&lab, 0, copies);
	struct lab_packet packet = from_alice(2);
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, ALICE, &packet);
	while (n < RTE_DIM(taken) && (taken[n] = rte_pktmbuf_alloc(lab.relay.pool)) != NULL)
		n++;
	loop_process_burst(worker(0), &mbuf, 1);
	rte_pktmbuf_free_bulk(taken, n);
	// A crypto device that does not compare tags needs one before there are copies; else the last one gets the
	// packet's own.
	bool beside = lab.relay.cryptodev && !lab.relay.cryptodev->compares;
	assert_int_equal(lab_take(&lab, 0, copies), beside ? 0 : 1);
	if (!beside)
		assert_int_equal(copies[0].leg, carol);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_NO_BUFFER), 1);
}

static void counts_what_the_port_refuses(void **state)
{
	(void)state;
	call_open(4, 0);
	unsigned n = 0;
	for (; n < 1536; n++)
		push_from_alice(n);
	unsigned sent = lab_take(&lab, 0, copies);
	assert_true(sent < n);
	assert_int_equal(sent + lab_drops_of(&lab, 0, DROP_TX_FULL), n);
	assert_int_equal(lab_drops(&lab, 0), lab_drops_of(&lab, 0, DROP_TX_FULL));
}

// Pushes each beginning of a frame that ends somewhere in it, in a buffer of just that length: one
// drop each, and nothing sent.
static void push_beginnings(uint32_t leg, const struct lab_packet *packet)
{
	uint8_t frame[LAB_PAYLOAD_MAX];
	struct rte_mbuf *whole = lab_packet_frame(&lab, leg, packet);
	uint16_t len = whole->data_len;
	memcpy(frame, rte_pktmbuf_mtod(whole, void *), len);
	rte_pktmbuf_free(whole);
	uint64_t before = lab_drops(&lab, 0);
	for (uint16_t i = 0; i < len; i++) {
		struct rte_mbuf *mbuf = lab_raw_frame(&lab, lab.specs[leg].port, frame, i);
		loop_process_burst(worker(0), &mbuf, 1);
		assert_int_equal(lab_drops(&lab, 0), before + i + 1);
	}
	assert_int_equal(lab_drops_of(&lab, 0, DROP_FRAME_SHORT) + lab_drops_of(&lab, 0, DROP_VLAN),
		lab_drops(&lab, 0));
}

// The same with lengths in the headers that agree: the end comes within SRTP.
static void push_short_payloads(uint32_t leg, const struct lab_packet *packet)
{
	uint8_t octets[LAB_PAYLOAD_MAX];
	uint16_t len = lab_packet_write(&lab, packet, octets);
	uint64_t before = lab_drops(&lab, 0);
	for (uint16_t i = 1; i < len; i++) { // an empty one is a keepalive
		struct rte_mbuf *mbuf = lab_frame(&lab, leg, octets, i);
		loop_process_burst(worker(0), &mbuf, 1);
		assert_int_equal(lab_drops(&lab, 0), before + i);
	}
}

static void drops_every_truncation_once(void **state)
{
	(void)state;
	call_open(4, 0);
	for (unsigned i = 0; i < 3; i++)
		lab_leg_add(&lab,
			(struct lab_leg){
				.mode = LEG_SRTP, .key = alice_key, .port = i % 2, .ipv6 = i > 0});
	lab_connect(&lab);
	struct lab_packet rtp = from_alice(1);
	rtp.len = 40;
	struct lab_packet rtcp = {.protocol = SRTP_RTCP,
		.ssrc = SSRC,
		.ctx = alice_key->ctx[SRTP_RTCP],
		.index = 1,
		.mki_len = 4};
	for (uint32_t leg = 0; leg < lab.n_legs; leg++) {
		if (leg == BOB)
			continue;
		push_beginnings(leg, &rtp);
		push_beginnings(leg, &rtcp);
	}
	for (uint32_t leg = 0; leg < lab.n_legs; leg++) {
		if (leg == BOB)
			continue;
		push_short_payloads(leg, &rtp);
		push_short_payloads(leg, &rtcp);
	}
	assert_int_equal(lab_take(&lab, 0, copies), 0);
	// Nothing of that changed any state: the whole packet is new.
	lab_push(&lab, 0, ALICE, &rtp);
	assert_int_equal(lab_take(&lab, 0, copies), 4);
}

// Changes one octet of the frame's headers, with the header checksum made right again or not.
struct header_change {
	const char *what;
	uint16_t at; // from the IP header on
	uint8_t bits;
	bool checksum;
	enum drop_reason reason;
};

static void drops_malformed_headers(void **state)
{
	static const struct header_change changes[] = {
		{"header checksum", 10, 1, false, DROP_IP_HEADER},
		{"version", 0, 0x10, true, DROP_IP_HEADER},
		{"header length 16", 0, 1, false, DROP_IP_HEADER},
		{"more fragments", 6, 0x20, true, DROP_IP_FRAGMENT},
		{"fragment offset, high", 6, 0x01, true, DROP_IP_FRAGMENT},
		{"fragment offset, low", 7, 0x01, true, DROP_IP_FRAGMENT},
		{"protocol", 9, 0x01, true, DROP_IP_PROTOCOL},
		{"destination", 19, 0x08, true, DROP_NOT_LOCAL},
		{"total length", 2, 0x40, true, DROP_FRAME_SHORT},
		{"UDP length beyond the packet", 24, 0x80, false, DROP_UDP_LENGTH},
		{"UDP port", 23, 0x80, false, DROP_NO_LEG},
		{"RTP version", 28, 0x40, false, DROP_NOT_RTP},
	};
	(void)state;
	call_open(4, 0);
	for (unsigned i = 0; i < RTE_DIM(changes); i++) {
		const struct header_change *change = &changes[i];
		struct lab_packet packet = from_alice(1);
		struct rte_mbuf *mbuf = lab_packet_frame(&lab, ALICE, &packet);
		uint8_t *ip = rte_pktmbuf_mtod_offset(mbuf, uint8_t *, 14);
		ip[change->at] ^= change->bits;
		if (change->checksum) {
			memset(ip + 10, 0, 2);
			uint16_t sum = (uint16_t)~rte_raw_cksum(ip, 20);
			memcpy(ip + 10, &sum, 2);
		}
		uint64_t before = lab_drops_of(&lab, 0, change->reason);
		loop_process_burst(worker(0), &mbuf, 1);
		if (lab_drops_of(&lab, 0, change->reason) != before + 1)
			print_error("%s\n", change->what);
		assert_int_equal(lab_drops_of(&lab, 0, change->reason), before + 1);
		assert_int_equal(lab_drops(&lab, 0), i + 1);
	}
	assert_int_equal(lab_take(&lab, 0, copies), 0);
}

// A frame whose IPv4 header has four octets of options more, and its checksum right.
static struct rte_mbuf *frame_with_options(uint16_t seq)
{
	enum { ETHERNET_LEN = 14, HEADER_LEN = 20, OPTIONS_LEN = 4, NO_OPERATION = 1 };
	struct lab_packet packet = from_alice(seq);
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, ALICE, &packet);
	assert_non_null(rte_pktmbuf_prepend(mbuf, OPTIONS_LEN));
	uint8_t *frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
	memmove(frame, frame + OPTIONS_LEN, ETHERNET_LEN + HEADER_LEN);
	uint8_t *ip = frame + ETHERNET_LEN;
	memset(ip + HEADER_LEN, NO_OPERATION, OPTIONS_LEN);
	ip[0] = 4 << 4 | (HEADER_LEN + OPTIONS_LEN) / 4;
	uint16_t total = (uint16_t)((ip[2] << 8 | ip[3]) + OPTIONS_LEN);
	ip[2] = (uint8_t)(total >> 8);
	ip[3] = (uint8_t)total;
	memset(ip + 10, 0, 2);
	uint16_t sum = (uint16_t)~rte_raw_cksum(ip, HEADER_LEN + OPTIONS_LEN);
	memcpy(ip + 10, &sum, 2);
	return mbuf;
}

static void skips_ipv4_options(void **state)
{
	(void)state;
	call_open(4, 0);
	struct rte_mbuf *mbuf = frame_with_options(1);
	loop_process_burst(worker(0), &mbuf, 1);
	expect_bob((uint64_t[]){1}, 1);
	mbuf = frame_with_options(2);
	rte_pktmbuf_mtod(mbuf, uint8_t *)[34] ^= 1; // an option: the sum is over all of the header
	loop_process_burst(worker(0), &mbuf, 1);
	expect_one_drop(DROP_IP_HEADER);
	assert_int_equal(lab_take(&lab, 0, copies), 0);
}

static void drops_other_vlan_and_other_types(void **state)
{
	(void)state;
	call_open(4, 0);
	struct lab_packet packet = from_alice(1);
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, ALICE, &packet);
	mbuf->port = lab.relay.ports[1].ethdev; // untagged on a port with a VLAN
	loop_process_burst(worker(0), &mbuf, 1);
	expect_one_drop(DROP_VLAN);
	mbuf = lab_packet_frame(&lab, ALICE, &packet);
	rte_pktmbuf_mtod(mbuf, uint8_t *)[13] = 0x01;
	loop_process_burst(worker(0), &mbuf, 1);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_ETHERTYPE), 1);
}

// One change of a frame's first octets, and why it is dropped then. Others belong to the kind: lengths and header
// checksums (drops_malformed_headers), fragments, priority tags, which are taken.
static void drops_frames_of_other_networks_and_hosts(void **state)
{
	static const struct {
		const char *what;
		uint32_t leg; // 0 untagged, 2 behind a VLAN
		uint16_t at, len;
		uint8_t octets[6];
		enum drop_reason reason;
	} frames[] = {
		{"802.1ad, the port's number", 2, 12, 2, {0x88, 0xa8}, DROP_VLAN},
		{"802.1ad, number 0", 0, 12, 4, {0x88, 0xa8, 0, 0}, DROP_VLAN},
		{"another VLAN", 2, 15, 1, {LAB_VLAN + 1}, DROP_VLAN},
		{"no VLAN", 2, 15, 1, {0}, DROP_VLAN},
		{"another host", 0, 5, 1, {0x55}, DROP_NOT_LOCAL},
		{"another host, tagged", 2, 5, 1, {0x55}, DROP_NOT_LOCAL},
	};
	(void)state;
	call_open(4, 0);
	uint32_t tagged =
		lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = alice_key, .port = 1});
	assert_int_equal(tagged, 2);
	lab_connect(&lab);
	for (unsigned i = 0; i < RTE_DIM(frames); i++) {
		struct lab_packet packet = from_alice(1);
		struct rte_mbuf *mbuf = lab_packet_frame(&lab, frames[i].leg, &packet);
		memcpy(rte_pktmbuf_mtod_offset(mbuf, uint8_t *, frames[i].at), frames[i].octets,
			frames[i].len);
		uint64_t before = lab_drops_of(&lab, 0, frames[i].reason);
		loop_process_burst(worker(0), &mbuf, 1);
		if (lab_drops_of(&lab, 0, frames[i].reason) != before + 1)
			print_error("%s\n", frames[i].what);
		assert_int_equal(lab_drops_of(&lab, 0, frames[i].reason), before + 1);
	}
	assert_int_equal(lab_take(&lab, 0, copies), 0);
}

// A frame as the filter of interface.c leaves it.
static void drops_frame_that_ends_behind_its_tag(void **state)
{
	static const uint8_t frame[18] = {[12] = 0x81, 0x00, 0, LAB_VLAN, 0x08, 0x00};
	(void)state;
	call_open(4, 0);
	struct rte_mbuf *mbuf = lab_raw_frame(&lab, 1, frame, sizeof(frame));
	loop_process_burst(worker(0), &mbuf, 1);
	expect_one_drop(DROP_VLAN);
}

// RFC 8200 8.1; with IPv4 there need be none (RFC 768).
static void demands_a_checksum_over_ipv6(void **state)
{
	(void)state;
	call_open(4, 0);
	uint32_t carol = lab_leg_add(
		&lab, (struct lab_leg){.mode = LEG_SRTP, .key = alice_key, .ipv6 = true});
	lab_connect(&lab);
	struct lab_packet packet = from_alice(1);
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, carol, &packet);
	memset(rte_pktmbuf_mtod_offset(mbuf, uint8_t *, 14 + 40 + 6), 0, 2);
	loop_process_burst(worker(0), &mbuf, 1);
	expect_one_drop(DROP_UDP_CHECKSUM);
	assert_int_equal(lab_take(&lab, 0, copies), 0);
	push_from_alice(1);
	assert_int_equal(lab_take(&lab, 0, copies), 2);
}

// A host reads as much as the UDP length says and skips the rest of the packet.
static void skips_what_follows_the_datagram(void **state)
{
	(void)state;
	call_open(4, 0);
	struct lab_packet packet = from_alice(1);
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, ALICE, &packet);
	memset(rte_pktmbuf_append(mbuf, 4), 0xee, 4);
	struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod_offset(mbuf, struct rte_ipv4_hdr *, 14);
	ip->total_length = rte_cpu_to_be_16((uint16_t)(rte_be_to_cpu_16(ip->total_length) + 4));
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	loop_process_burst(worker(0), &mbuf, 1);
	expect_bob((uint64_t[]){1}, 1);
}

static void takes_frame_with_padding(void **state)
{
	(void)state;
	call_open(4, 0);
	struct lab_packet packet = from_alice(1);
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, ALICE, &packet);
	memset(rte_pktmbuf_append(mbuf, 18), 0xee, 18);
	loop_process_burst(worker(0), &mbuf, 1);
	expect_bob((uint64_t[]){1}, 1);
}

static void takes_tag_that_the_device_stripped(void **state)
{
	uint8_t octets[LAB_PAYLOAD_MAX];
	(void)state;
	call_open(4, 0);
	uint32_t carol =
		lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = alice_key, .port = 1});
	lab_connect(&lab);
	struct lab_packet packet = from_alice(1);
	struct rte_mbuf *mbuf =
		lab_frame(&lab, carol, octets, lab_packet_write(&lab, &packet, octets));
	uint8_t *frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
	memmove(frame + 4, frame, 12);
	rte_pktmbuf_adj(mbuf, 4);
	mbuf->ol_flags = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
	mbuf->vlan_tci = 0xe000 | LAB_VLAN; // with a priority
	loop_process_burst(worker(0), &mbuf, 1);
	assert_int_equal(lab_take(&lab, 0, copies), 2);
}

static void external_buffer_free(void *addr, void *freed)
{
	(void)addr;
	++*(unsigned *)freed;
}

// Devices may receive into buffers of their own, of which they want to know when they are free.
static void returns_external_buffer(void **state)
{
	static uint8_t room[2048];
	unsigned freed = 0;
	(void)state;
	call_open(4, 0);
	push_from_alice(1);
	struct lab_packet packet = from_alice(2);
	struct rte_mbuf *whole = lab_packet_frame(&lab, ALICE, &packet);
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(lab.relay.pool);
	assert_non_null(mbuf);
	uint16_t size = sizeof(room);
	struct rte_mbuf_ext_shared_info *shared =
		rte_pktmbuf_ext_shinfo_init_helper(room, &size, external_buffer_free, &freed);
	rte_pktmbuf_attach_extbuf(mbuf, room, RTE_BAD_IOVA, size, shared);
	rte_pktmbuf_reset_headroom(mbuf);
	memcpy(rte_pktmbuf_append(mbuf, whole->data_len), rte_pktmbuf_mtod(whole, void *),
		whole->data_len);
	mbuf->port = whole->port;
	rte_pktmbuf_free(whole);
	loop_process_burst(worker(0), &mbuf, 1);
	expect_bob((uint64_t[]){1, 2}, 2);
	assert_int_equal(freed, 1);
}

static void passes_arp_to_control(void **state)
{
	uint8_t frame[42] = {[12] = 0x08, [13] = 0x06};
	const unsigned part = (PUNT_SIZE - 1) / LAB_PORTS; // of the ring is a port's
	(void)state;
	call_open(4, 0);
	for (unsigned i = 0; i < PUNT_SIZE; i++) {
		struct rte_mbuf *mbuf = lab_raw_frame(&lab, 0, frame, sizeof(frame));
		loop_process_burst(worker(0), &mbuf, 1);
	}
	assert_int_equal(rte_ring_count(lab.relay.punt), part);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_PUNT_FULL), PUNT_SIZE - part);
	assert_int_equal(lab_drops(&lab, 0), PUNT_SIZE - part);
}

// --- who may send what

static void opaque_never_carries_plain(void **state)
{
	(void)state;
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_OPAQUE});
	lab_connect(&lab);
	struct lab_packet packet = rtp_under(NULL, 1);
	lab_push(&lab, 0, 0, &packet);
	packet.protocol = SRTP_RTCP;
	lab_push(&lab, 0, 0, &packet);
	packet.protocol = SRTP_RTP;
	lab_push(&lab, 0, 1, &packet);
	assert_int_equal(lab_take(&lab, 0, copies), 0);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_NO_CONVERSION), 3);
	assert_int_equal(lab_drops(&lab, 0), 3);
}

static void client_may_not_use_relays_ssrc(void **state)
{
	(void)state;
	call_open(4, 0);
	push_from_alice(1); // the relay sends SSRC under Bob's key from now on
	expect_bob((uint64_t[]){1}, 1);
	struct lab_packet packet = to_bob(2);
	lab_push(&lab, 0, BOB, &packet);
	expect_one_drop(DROP_SSRC_COLLISION);
	assert_int_equal(worker(0)->legs[BOB].rx_packets, 0);
	assert_int_equal(lab_take(&lab, 0, copies), 0);
}

static void relay_does_not_use_clients_ssrc(void **state)
{
	(void)state;
	call_open(4, 0);
	struct lab_packet packet = to_bob(1);
	lab_push(&lab, 0, BOB, &packet); // Bob sends SSRC under his key
	assert_int_equal(lab_take(&lab, 0, copies), 1);
	push_from_alice(2);
	expect_one_drop(DROP_SSRC_COLLISION);
	assert_int_equal(lab_take(&lab, 0, copies), 0);
}

static void two_senders_do_not_share_ssrc_towards_third(void **state)
{
	(void)state;
	call_open(4, 0);
	const struct lab_key *carol = lab_key_add(&lab, 4, 0, false);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = carol, .deaf = true});
	lab_connect(&lab);
	push_from_alice(1);
	expect_bob((uint64_t[]){1}, 1);
	struct lab_packet packet = rtp_under(carol, 1);
	lab_push(&lab, 0, 2, &packet);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_SSRC_COLLISION), 2); // towards Alice: hers
	packet.index = 2;
	lab_push(&lab, 0, 2, &packet);
	assert_int_equal(lab_take(&lab, 0, copies), 0);
}

// The second may go on where the first was, once that one is silent: with what it had not.
static void silent_senders_indices_are_not_used_again(void **state)
{
	(void)state;
	call_open(4, 0);
	const struct lab_key *carol = lab_key_add(&lab, 4, 0, false);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = carol, .deaf = true});
	lab.specs[ALICE].deaf = true;
	lab_connect(&lab);
	push_from_alice(7);
	expect_bob((uint64_t[]){7}, 1);
	worker(0)->tsc_hz = 64; // a packet ago is long ago
	struct lab_packet packet = rtp_under(carol, 7);
	lab_push(&lab, 0, 2, &packet);
	expect_one_drop(DROP_SSRC_POOL); // it would have had to leave under another SSRC
	assert_int_equal(lab_take(&lab, 0, copies), 0);
	packet.index = 8;
	lab_push(&lab, 0, 2, &packet);
	expect_bob((uint64_t[]){8}, 1);
}

// Bob's key is one under which Alice may send, too: the relay does not, under her SSRC.
static void does_not_send_under_a_key_of_its_sender(void **state)
{
	struct leg_key keys[2];
	(void)state;
	call_open(4, 0);
	struct leg_protection *in = &lab.legs[ALICE].in[SRTP_RTP];
	keys[0] = keys[1] = in->keys[0];
	keys[1].root = bob_key->root;
	keys[1].id = bob_key->id;
	keys[1].own_mki = key_name_mki(bob_key->id, 0);
	in->keys = keys;
	in->n_keys = 2;
	push_from_alice(1);
	expect_one_drop(DROP_SENDERS_KEY);
	assert_int_equal(lab_take(&lab, 0, copies), 0);
	in->n_keys = 1;
	push_from_alice(2);
	expect_bob((uint64_t[]){2}, 1);
}

static void drops_other_source_where_no_tag_tells(void **state)
{
	(void)state;
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN});
	lab_connect(&lab);
	struct lab_packet packet = rtp_under(NULL, 1);
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, 0, &packet);
	rte_pktmbuf_mtod(mbuf, uint8_t *)[14 + 20 + 1] ^= 1; // UDP source port
	loop_process_burst(worker(0), &mbuf, 1);
	expect_one_drop(DROP_SOURCE);
	lab_push(&lab, 0, 0, &packet);
	assert_int_equal(lab_take(&lab, 0, copies), 1);
}

static void drops_from_muted_leg(void **state)
{
	(void)state;
	call_open(4, 0);
	lab.specs[ALICE].muted = true;
	lab_connect(&lab);
	push_from_alice(1);
	expect_one_drop(DROP_LEG_MUTED);
}

static void push_octets(uint32_t leg, const uint8_t *octets, uint16_t len)
{
	struct rte_mbuf *mbuf = lab_frame(&lab, leg, octets, len);
	loop_process_burst(worker(0), &mbuf, 1);
}

// On a leg that speaks, a muted one, one for control traffic and one without RTCP.
static void keepalive_counts_as_nothing_else(void **state)
{
	static const struct lab_leg legs[] = {{.mode = LEG_PLAIN},
		{.mode = LEG_OPAQUE, .muted = true},
		{.mode = LEG_PLAIN, .control = true, .ipv6 = true},
		{.mode = LEG_OPAQUE, .no_rtcp = true}};
	static const struct {
		uint16_t len;
		bool keepalive;
		uint8_t octets[24];
	} datagrams[] = {
		{0, true, {0}},
		{2, true, {'\r', '\n'}},
		{4, true, {'\r', '\n', '\r', '\n'}},
		{12, true, {0, 96, 0, 1, [11] = 7}},
		{20, true, {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}},
		{24, true, {0, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42}},
		{20, true, {0, 0x11, 0, 0}},
		{20, false, {1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}},
		{24, false, {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42}},
		{12, false, {0}},
		{13, false, {0}},
		{1, false, {'\n'}},
		{3, false, {'\r', '\n', '\r'}},
	};
	(void)state;
	for (uint32_t i = 0; i < RTE_DIM(legs); i++)
		lab_leg_add(&lab, legs[i]);
	lab_connect(&lab);
	for (uint32_t leg = 0; leg < RTE_DIM(legs); leg++) {
		uint64_t drops = lab_drops(&lab, 0);
		uint32_t keepalives = 0;
		for (unsigned i = 0; i < RTE_DIM(datagrams); i++) {
			push_octets(leg, datagrams[i].octets, datagrams[i].len);
			keepalives += datagrams[i].keepalive;
			drops += !datagrams[i].keepalive;
			assert_int_equal(worker(0)->legs[leg].keepalives, keepalives);
			assert_int_equal(lab_drops(&lab, 0), drops);
		}
		assert_int_equal(worker(0)->legs[leg].rx_packets, 0);
		assert_int_equal(worker(0)->legs[leg].last_rx_tsc, 0);
	}
	assert_int_equal(lab_take(&lab, 0, copies), 0);
	assert_int_equal(stream_table_used(&lab.relay.streams), 0);
}

// What was said while the leg may not speak moves it, once, and goes nowhere.
static void muted_leg_is_followed(void **state)
{
	struct control_mail mail;
	unsigned learned = 0;
	(void)state;
	call_open(4, 0);
	lab.specs[ALICE].muted = lab.specs[ALICE].learn = true;
	lab_connect(&lab);
	struct lab_packet packet = from_alice(1);
	for (unsigned i = 0; i < 2; i++) { // the second is a replay from somewhere else
		struct rte_mbuf *mbuf = lab_packet_frame(&lab, ALICE, &packet);
		rte_pktmbuf_mtod(mbuf, uint8_t *)[14 + 20 + 1] = (uint8_t)i;
		loop_process_burst(worker(0), &mbuf, 1);
	}
	while (control_mail_take(&worker(0)->mailbox, &mail))
		if (mail.type == MAIL_LEARN) {
			learned++;
			assert_int_equal(ntohs(mail.learn.addr.port) & 0xff, 0);
		}
	assert_int_equal(learned, 1);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_LEG_MUTED), 1);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_REPLAYED), 1);
	assert_int_equal(worker(0)->legs[ALICE].rx_packets, 0);
	expect_bob(NULL, 0);
}

static void drops_other_mki(void **state)
{
	(void)state;
	call_open(4, 0);
	struct lab_packet packet = to_bob(1);
	lab_push(&lab, 0, ALICE, &packet);
	expect_one_drop(DROP_UNKNOWN_MKI);
}

static void learns_from_newest_packet_only(void **state)
{
	struct control_mail mail;
	unsigned learned = 0;
	(void)state;
	call_open(4, 0);
	lab.specs[ALICE].learn = true;
	lab_connect(&lab);
	for (unsigned i = 0; i < 2; i++) {
		struct lab_packet packet = from_alice(10 - i);
		struct rte_mbuf *mbuf = lab_packet_frame(&lab, ALICE, &packet);
		rte_pktmbuf_mtod(mbuf, uint8_t *)[14 + 20 + 1] = (uint8_t)i;
		loop_process_burst(worker(0), &mbuf, 1);
	}
	while (control_mail_take(&worker(0)->mailbox, &mail))
		if (mail.type == MAIL_LEARN) {
			learned++;
			assert_int_equal(mail.leg, ALICE);
			assert_int_equal(ntohs(mail.learn.addr.port) & 0xff, 0);
		}
	assert_int_equal(learned, 1);
}

// Another worker is at the outbound stream: that is nobody's collision.
static void does_not_wait_for_busy_stream(void **state)
{
	(void)state;
	call_open(4, 0);
	push_from_alice(1);
	struct stream *out = stream_find(&lab.relay.streams, bob_key->ctx[SRTP_RTP], SSRC);
	assert_non_null(out);
	atomic_store(&out->in_use, true);
	push_from_alice(2);
	expect_one_drop(DROP_STREAM_BUSY);
	atomic_store(&out->in_use, false);
	push_from_alice(3);
	expect_bob((uint64_t[]){1, 3}, 2);
}

// --- media that enters in plain

static void plain_call_open(void)
{
	bob_key = lab_key_add(&lab, 4, 0, false);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = bob_key});
	lab_connect(&lab);
}

static void give_ssrc(uint32_t ssrc)
{
	worker(0)->ssrcs[worker(0)->n_ssrcs++] = ssrc;
}

static void push_plain(uint64_t index)
{
	struct lab_packet packet = rtp_under(NULL, index);
	lab_push(&lab, 0, ALICE, &packet);
}

// That Bob got one packet, whose clear octets are those of index but for the SSRC.
static void expect_plain_copy(const struct lab_copy *copy, uint32_t ssrc, uint64_t index)
{
	struct lab_packet packet = to_bob(index);
	packet.ssrc = ssrc;
	assert_true(lab_copy_is(&lab, copy, &packet));
}

enum { FRESH = 0x55667788 };

static void plain_media_gets_fresh_ssrc(void **state)
{
	(void)state;
	plain_call_open();
	push_plain(1);
	expect_one_drop(DROP_SSRC_POOL);
	give_ssrc(FRESH);
	push_plain(2);
	push_plain(3);
	push_plain(3);
	assert_int_equal(lab_take(&lab, 0, copies), 2);
	expect_plain_copy(&copies[0], FRESH, 2);
	expect_plain_copy(&copies[1], FRESH, 3);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_REPLAYED), 1);
	assert_int_equal(worker(0)->ssrcs_taken, 1);
}

static void plain_media_keeps_ssrc_of_busy_stream(void **state)
{
	(void)state;
	plain_call_open();
	give_ssrc(FRESH);
	push_plain(1);
	struct stream *out = stream_find(&lab.relay.streams, bob_key->ctx[SRTP_RTP], FRESH);
	assert_non_null(out);
	atomic_store(&out->in_use, true); // by a worker that sends a report
	push_plain(2);
	expect_one_drop(DROP_STREAM_BUSY);
	atomic_store(&out->in_use, false);
	push_plain(3);
	assert_int_equal(lab_take(&lab, 0, copies), 2);
	expect_plain_copy(&copies[1], FRESH, 3);
	assert_int_equal(worker(0)->ssrcs_taken, 1);
}

// A sender report in plain, or under a key with an SRTCP index.
static struct lab_packet report(const struct lab_key *key, uint32_t ssrc, uint64_t index)
{
	return (struct lab_packet){
		.protocol = SRTP_RTCP,
		.ssrc = ssrc,
		.ctx = key ? key->ctx[SRTP_RTCP] : KEY_NONE,
		.index = 7,
		.own_index = index,
		.mki_len = key ? key->mki_len : 0,
	};
}

static void push_report(
	uint8_t worker_id, uint32_t leg, const struct lab_key *key, uint32_t ssrc, uint64_t index)
{
	struct lab_packet packet = report(key, ssrc, index);
	lab_push(&lab, worker_id, leg, &packet);
}

static void expect_report(const struct lab_copy *copy, uint32_t leg, const struct lab_key *key,
	uint32_t ssrc, uint64_t index)
{
	struct lab_packet packet = report(key, ssrc, index);
	assert_int_equal(copy->leg, leg);
	assert_true(lab_copy_is(&lab, copy, &packet));
}

// Whichever comes first draws the SSRC.
static void plain_rtcp_names_ssrc_of_its_media(void **state)
{
	(void)state;
	plain_call_open();
	push_report(0, ALICE, NULL, SSRC, 0);
	expect_one_drop(DROP_SSRC_POOL);
	give_ssrc(FRESH + 1);
	give_ssrc(FRESH);
	push_report(0, ALICE, NULL, SSRC, 0);
	push_plain(1);
	push_report(0, ALICE, NULL, SSRC, 0);
	struct lab_packet packet = rtp_under(NULL, 2);
	packet.ssrc = SSRC + 1;
	lab_push(&lab, 0, ALICE, &packet);
	push_report(0, ALICE, NULL, SSRC + 1, 0);
	assert_int_equal(lab_take(&lab, 0, copies), 5);
	expect_report(&copies[0], BOB, bob_key, FRESH, LAB_SRTCP_FLOOR);
	expect_plain_copy(&copies[1], FRESH, 1);
	expect_report(&copies[2], BOB, bob_key, FRESH, LAB_SRTCP_FLOOR + 1);
	expect_plain_copy(&copies[3], FRESH + 1, 2);
	expect_report(&copies[4], BOB, bob_key, FRESH + 1, LAB_SRTCP_FLOOR + 2);
	assert_int_equal(worker(0)->ssrcs_taken, 2);
	assert_int_equal(lab_drops(&lab, 0), 1);
}

// The owner of a stream draws its SSRC, so RTCP goes to it as media does; it is none of its packets.
static void plain_rtcp_is_handed_to_owner_of_its_media(void **state)
{
	(void)state;
	plain_call_open();
	give_ssrc(FRESH);
	push_plain(1);
	push_report(1, ALICE, NULL, SSRC, 0);
	assert_int_equal(lab_take(&lab, 1, copies), 0);
	assert_int_equal(lab_push_handed_over(&lab, 0), 1);
	assert_int_equal(lab_take(&lab, 0, copies), 2);
	expect_report(&copies[1], BOB, bob_key, FRESH, LAB_SRTCP_FLOOR);
	struct stream *stream =
		stream_find(&lab.relay.streams, stream_plain_scope(ALICE, SRTP_RTP), SSRC);
	assert_non_null(stream);
	assert_int_equal(stream->packets, 1);
}

// One report names the streams of two workers, of which neither has an SSRC yet.
static void plain_rtcp_draws_for_stream_of_another_worker(void **state)
{
	static const uint8_t goodbye[] = {0x82, 203, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2};
	(void)state;
	plain_call_open();
	worker(1)->ssrcs[worker(1)->n_ssrcs++] = FRESH + 1;
	struct stream *other = stream_create(&lab.relay.streams, &lab.relay.legs.streams[ALICE],
		stream_plain_scope(ALICE, SRTP_RTP), 2, 1, SRTP_RTP, STREAM_NONE);
	assert_non_null(other);
	give_ssrc(FRESH + 2);
	give_ssrc(FRESH);
	push_octets(ALICE, goodbye, sizeof(goodbye));
	assert_int_equal(lab_take(&lab, 0, copies), 1);
	assert_int_equal(srtp_read32(copies[0].payload + 4), FRESH);
	assert_int_equal(other->out_ssrc, FRESH + 2);
	struct lab_packet packet = rtp_under(NULL, 1);
	packet.ssrc = 2;
	lab_push(&lab, 1, ALICE, &packet);
	assert_int_equal(lab_take(&lab, 1, copies), 1);
	expect_plain_copy(&copies[0], FRESH + 2, 1);
	assert_int_equal(worker(1)->n_ssrcs, 1);
}

// A sender that is new costs a token, by RTCP as by media.
static void senders_of_plain_rtcp_cost_tokens(void **state)
{
	enum { SENDERS = 31, PACKETS = 3 };
	uint8_t goodbye[4 + 4 * SENDERS] = {0x80 | SENDERS, 203, 0, SENDERS};
	(void)state;
	plain_call_open();
	worker(0)->tsc_hz *= 10000; // a token takes minutes
	for (uint32_t i = 0; i < SSRC_POOL_SIZE; i++)
		give_ssrc(FRESH + i);
	for (uint32_t n = 0; n < PACKETS; n++) {
		for (uint32_t i = 0; i < SENDERS; i++)
			srtp_write32(goodbye + 4 + 4 * i, 1000 * n + i);
		push_octets(ALICE, goodbye, sizeof(goodbye));
	}
	expect_one_drop(DROP_STREAM_LIMIT);
	assert_int_equal(lab_take(&lab, 0, copies), 2);
	// One of the tokens went to the outbound stream of the first packet.
	assert_int_equal(worker(0)->ssrcs_taken, LEG_TOKENS - 1);
}

static bool is_relayed(const uint8_t *octets, uint16_t len)
{
	push_octets(ALICE, octets, len);
	unsigned n = lab_take(&lab, 0, copies);
	if (n == 0)
		return false;
	assert_int_equal(n, 1);
	assert_int_equal(copies[0].len, len);
	assert_memory_equal(copies[0].payload, octets, len);
	return true;
}

// Where RTCP is not muxed every payload type is RTP's, with the marker too, but for what is well-formed RTCP of a
// type that RFC 3550 has.
static void rtp_has_all_payload_types_without_mux(void **state)
{
	enum { LEN = 32, WORDS = LEN / 4 - 1 };
	static const uint8_t modes[] = {LEG_PLAIN, LEG_OPAQUE};
	(void)state;
	for (unsigned m = 0; m < RTE_DIM(modes); m++) {
		lab_close(&lab);
		lab_open(&lab, 2);
		lab_leg_add(&lab, (struct lab_leg){.mode = modes[m], .no_rtcp = true});
		lab_leg_add(&lab, (struct lab_leg){.mode = modes[m], .no_rtcp = true});
		lab_connect(&lab);
		uint8_t octets[LEN] = {0x80, 0, 0x12, 0x34, [11] = 7};
		unsigned n_off = 0;
		for (unsigned type = 0; type < 256; type++) {
			octets[1] = (uint8_t)type;
			octets[3]++;
			assert_true(is_relayed(octets, LEN));
		}
		for (unsigned type = 0; type < 256; type++) {
			bool rtcp = type >= 200 && type <= 204;
			uint8_t report[LEN] = {
				0x80, (uint8_t)type, 0, WORDS, [7] = 1, [11] = (uint8_t)type};
			lab_tokens_set(
				&lab, 0, ALICE, TOKEN_WORK, LEG_TOKENS); // each is another sender
			assert_int_equal(is_relayed(report, LEN), !rtcp);
			n_off += rtcp;
		}
		assert_int_equal(lab_drops_of(&lab, 0, DROP_RTCP_OFF), n_off);
		assert_int_equal(lab_drops(&lab, 0), n_off);
	}
}

static void malformed_plain_rtcp_is_dropped(void **state)
{
	static const uint8_t too_long[] = {0x80, 201, 0, 2, 0, 0, 0, 1};
	static const uint8_t no_block[] = {0x81, 201, 0, 1, 0, 0, 0, 1};
	(void)state;
	plain_call_open();
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN});
	lab_leg_add(
		&lab, (struct lab_leg){.mode = LEG_SRTP, .key = lab_key_add(&lab, 4, 0, false)});
	lab_connect(&lab);
	give_ssrc(FRESH);
	push_octets(ALICE, too_long, sizeof(too_long));
	expect_one_drop(DROP_NOT_RTP);
	assert_int_equal(stream_table_used(&lab.relay.streams), 0);
	push_octets(ALICE, no_block, sizeof(no_block));
	// One drop for each key that it would have left under; in plain it goes on.
	assert_int_equal(lab_drops_of(&lab, 0, DROP_RTCP_UNTRANSLATED), 2);
	assert_int_equal(lab_take(&lab, 0, copies), 1);
	assert_int_equal(copies[0].leg, 2);
	assert_memory_equal(copies[0].payload, no_block, sizeof(no_block));
}

// Towards plain legs reports name the SSRCs of their media; the same octets stay as they are for others.
static void reports_to_plain_name_original_ssrc(void **state)
{
	(void)state;
	plain_call_open();
	const struct lab_key *carol = lab_key_add(&lab, 4, 0, false);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = carol});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN, .port = 1});
	lab_connect(&lab);
	give_ssrc(FRESH);
	push_plain(1);
	assert_int_equal(lab_take(&lab, 0, copies), 3);
	push_report(0, BOB, bob_key, FRESH, 1);
	push_report(0, BOB, bob_key, FRESH + 1, 2);
	assert_int_equal(lab_take(&lab, 0, copies), 6);
	for (unsigned i = 0; i < 6; i++) {
		bool second = copies[i].payload[7] == (uint8_t)(FRESH + 1);
		if (copies[i].leg == 2)
			expect_report(&copies[i], 2, carol, second ? FRESH + 1 : FRESH,
				second ? LAB_SRTCP_FLOOR + 1 : LAB_SRTCP_FLOOR);
		else
			expect_report(
				&copies[i], copies[i].leg, NULL, second ? FRESH + 1 : SSRC, 0);
	}
}

// RTP with two contributing sources, of which one byte of payload.
static void write_mixed(uint8_t out[21], uint16_t seq, uint32_t ssrc, uint32_t one, uint32_t two)
{
	memset(out, 0, 21);
	out[0] = 0x82;
	out[1] = 96;
	out[3] = (uint8_t)seq;
	srtp_write32(out + 8, ssrc);
	srtp_write32(out + 12, one);
	srtp_write32(out + 16, two);
	out[20] = 0x55;
}

// A contributor has one name, in media as in the SDES and BYE that name it; whichever is first.
static void contributor_has_one_name(void **state)
{
	enum { CSRC = 0x0c0c0c0c, LEN = 21 };
	static const uint8_t goodbye[] = {0x82, 203, 0, 2, 0, 0, 0, 7, 0x0c, 0x0c, 0x0c, 0x0c};
	uint8_t mixed[LEN], original[LEN];
	(void)state;
	plain_call_open();
	lab_leg_add(&lab,
		(struct lab_leg){.mode = LEG_PLAIN, .port = 1}); // Bob's report comes here, too
	lab_connect(&lab);
	give_ssrc(FRESH + 2);
	give_ssrc(FRESH + 1);
	give_ssrc(FRESH);
	write_mixed(mixed, 1, SSRC, CSRC, SSRC + 9);
	push_octets(ALICE, mixed, LEN);
	assert_int_equal(lab_take(&lab, 0, copies), 2);
	unsigned clear = copies[1].leg == 2;
	assert_memory_equal(copies[clear].payload, mixed, LEN); // in clear as it came
	const uint8_t *out = copies[!clear].payload;
	assert_int_equal(copies[!clear].leg, BOB);
	assert_int_equal(srtp_read32(out + 8), FRESH);
	assert_int_equal(srtp_read32(out + 12), FRESH + 1);
	assert_int_equal(srtp_read32(out + 16), FRESH + 2);
	// The whole header is authenticated as Bob gets it.
	write_mixed(mixed, 1, FRESH, FRESH + 1, FRESH + 2);
	uint8_t expected[LAB_PAYLOAD_MAX];
	memcpy(expected, mixed, LEN);
	struct srtp_op op = {.key = lab.relay.keys.ctxs[bob_key->ctx[SRTP_RTP]].key,
		.salt = lab.relay.keys.ctxs[bob_key->ctx[SRTP_RTP]].salt,
		.src = expected,
		.dst = expected,
		.index = 1,
		.len = LEN,
		.head_len = LEN - 1,
		.mki = lab.relay.keys.ctxs[bob_key->ctx[SRTP_RTP]].by_mki.mki,
		.mki_len = 4};
	struct srtp_op *ops[] = {&op};
	assert_int_equal(srtp_protect_burst(lab.relay.cipher, ops, 1), 1);
	assert_int_equal(copies[!clear].len, op.len);
	assert_memory_equal(out, expected, op.len);

	give_ssrc(FRESH + 3);
	push_octets(ALICE, goodbye, sizeof(goodbye));
	assert_int_equal(lab_take(&lab, 0, copies), 2);
	out = copies[copies[0].leg != BOB].payload;
	assert_int_equal(srtp_read32(out + 4), FRESH + 3);

	// Back: a mixer on the protected side names the plain contributor.
	write_mixed(mixed, 1, SSRC + 77, FRESH + 1, SSRC + 78);
	write_mixed(original, 1, SSRC + 77, CSRC, SSRC + 78);
	memcpy(expected, mixed, LEN);
	op.len = LEN;
	op.src = op.dst = expected;
	assert_int_equal(srtp_protect_burst(lab.relay.cipher, ops, 1), 1);
	push_octets(BOB, expected, op.len);
	assert_int_equal(lab_take(&lab, 0, copies), 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(copies[i].len, LEN);
		assert_memory_equal(copies[i].payload, original, LEN);
	}
}

// A contributor that is new costs a token, as a sender does.
static void contributors_cost_tokens(void **state)
{
	enum { LEN = 21 };
	uint8_t mixed[LEN];
	(void)state;
	plain_call_open();
	worker(0)->tsc_hz *= 10000; // a token takes minutes
	for (uint32_t i = 0; i < SSRC_POOL_SIZE; i++)
		give_ssrc(FRESH + i);
	for (uint16_t seq = 0; seq < 100; seq++) {
		write_mixed(mixed, seq, SSRC, 2U * seq, 2U * seq + 1);
		push_octets(ALICE, mixed, LEN);
	}
	assert_true(lab_take(&lab, 0, copies) < 40);
	assert_true(worker(0)->ssrcs_taken <= LEG_TOKENS);
	assert_true(lab_drops_of(&lab, 0, DROP_STREAM_LIMIT) > 60);
	write_mixed(mixed, 100, SSRC, 0, 1); // those that are known
	push_octets(ALICE, mixed, LEN);
	assert_int_equal(lab_take(&lab, 0, copies), 1);
}

// The walk for originals has a bound: what is older stays as it is.
static void originals_of_newest_streams_only(void **state)
{
	enum { WALK = 64 };
	(void)state;
	plain_call_open();
	for (uint32_t i = 0; i <= WALK; i++) {
		struct stream *stream = stream_create(&lab.relay.streams,
			&lab.relay.legs.streams[ALICE], stream_plain_scope(ALICE, SRTP_RTP),
			SSRC + i, 0, SRTP_RTP, STREAM_NONE);
		assert_non_null(stream);
		stream->out_ssrc = FRESH + i;
	}
	push_report(0, BOB, bob_key, FRESH, 1);
	push_report(0, BOB, bob_key, FRESH + 1, 2);
	assert_int_equal(lab_take(&lab, 0, copies), 2);
	expect_report(&copies[0], ALICE, NULL, FRESH, 0);
	expect_report(&copies[1], ALICE, NULL, SSRC + 1, 0);
}

// --- control traffic

static void control_call_open(void)
{
	bob_key = lab_key_add(&lab, 4, 0, false);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN, .control = true});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = bob_key, .control = true});
	lab_connect(&lab);
}

static void plain_control_keeps_its_ssrc(void **state)
{
	(void)state;
	control_call_open();
	const struct lab_key *carol = lab_key_add(&lab, 4, 0, false);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = carol, .control = true});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN, .control = true});
	lab_connect(&lab);
	push_report(0, ALICE, NULL, SSRC, 0);
	push_report(0, ALICE, NULL, SSRC, 0);
	assert_int_equal(lab_take(&lab, 0, copies), 6);
	unsigned reports[LAB_LEGS] = {0};
	for (unsigned i = 0; i < 6; i++) {
		uint32_t leg = copies[i].leg;
		const struct lab_key *key = lab.specs[leg].key;
		expect_report(&copies[i], leg, key, SSRC,
			key ? LAB_SRTCP_FLOOR + (uint64_t)reports[leg] : 0);
		reports[leg]++;
	}
	assert_int_equal(lab_drops(&lab, 0), 0);
	push_report(0, BOB, bob_key, SSRC + 1, 1);
	assert_int_equal(lab_take(&lab, 0, copies), 3);
	for (unsigned i = 0; i < 3; i++) {
		const struct lab_key *key = lab.specs[copies[i].leg].key;
		expect_report(
			&copies[i], copies[i].leg, key, SSRC + 1, key ? LAB_SRTCP_FLOOR + 2 : 0);
	}
}

// The server's SSRC that a client has under its key is not used there, and the other way round.
static void plain_control_shares_no_ssrc_with_client(void **state)
{
	(void)state;
	control_call_open();
	push_report(0, BOB, bob_key, SSRC, 1);
	push_report(0, ALICE, NULL, SSRC, 0);
	expect_one_drop(DROP_SSRC_COLLISION);
	assert_int_equal(lab_take(&lab, 0, copies), 1);
	push_report(0, ALICE, NULL, SSRC + 1, 0);
	assert_int_equal(lab_take(&lab, 0, copies), 1);
	expect_report(&copies[0], BOB, bob_key, SSRC + 1, LAB_SRTCP_FLOOR);
	push_report(0, BOB, bob_key, SSRC + 1, 2);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_SSRC_COLLISION), 2);
	assert_int_equal(lab_take(&lab, 0, copies), 0);
}

// One sender under many keys takes no more streams than the leg has tokens to spare, and is heard all the same.
static void plain_control_does_without_outbound_stream(void **state)
{
	(void)state;
	control_call_open();
	worker(0)->tsc_hz *= 10000; // a token takes minutes
	lab_tokens_set(&lab, 0, ALICE, TOKEN_WORK, LEG_TOKENS / 2 + 1);
	for (unsigned i = 0; i < 2; i++) {
		uint32_t scope = bob_key->ctx[SRTP_RTCP];
		assert_null(stream_find(&lab.relay.streams, scope, SSRC));
		push_report(0, ALICE, NULL, SSRC, 0);
	}
	lab_tokens_set(&lab, 0, ALICE, TOKEN_WORK, LEG_TOKENS);
	push_report(0, ALICE, NULL, SSRC, 0);
	assert_non_null(stream_find(&lab.relay.streams, bob_key->ctx[SRTP_RTCP], SSRC));
	assert_int_equal(lab_take(&lab, 0, copies), 3);
	for (unsigned i = 0; i < 3; i++)
		expect_report(&copies[i], BOB, bob_key, SSRC, LAB_SRTCP_FLOOR + i);
}

// Two servers, or one in two sessions, may have one SSRC: the index counts for all.
static void plain_control_of_one_ssrc_shares_no_index(void **state)
{
	(void)state;
	control_call_open();
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN, .control = true, .deaf = true});
	lab_connect(&lab);
	push_report(0, ALICE, NULL, SSRC, 0);
	struct stream *out = stream_find(&lab.relay.streams, bob_key->ctx[SRTP_RTCP], SSRC);
	assert_non_null(out);
	out->in_use = true; // the other worker is about to send
	push_report(0, 2, NULL, SSRC, 0);
	out->in_use = false;
	push_report(0, ALICE, NULL, SSRC, 0);
	unsigned seen = 0, n = lab_take(&lab, 0, copies);
	for (unsigned i = 0; i < n; i++)
		if (copies[i].leg == BOB)
			expect_report(&copies[i], BOB, bob_key, SSRC, LAB_SRTCP_FLOOR + seen++);
	assert_int_equal(seen, 3);
}

static void restarted_plain_sender_gets_another_ssrc(void **state)
{
	(void)state;
	plain_call_open();
	give_ssrc(222);
	give_ssrc(111);
	push_plain(30000);
	push_plain(30001);
	push_plain(50); // far behind: not yet believed
	push_plain(51); // its successor: a sender that began anew
	push_plain(52);
	assert_int_equal(lab_take(&lab, 0, copies), 4);
	expect_plain_copy(&copies[1], 111, 30001);
	expect_plain_copy(&copies[2], 222, 51);
	expect_plain_copy(&copies[3], 222, 52);
	expect_one_drop(DROP_TOO_OLD);
}

// The packets before the restart, in one vector with it, are not those of the stream that begins.
static void restart_within_vector_after_wrap_is_heard(void **state)
{
	const uint64_t vector[] = {65538, 65539, 40000, 40001, 40002};
	struct rte_mbuf *mbufs[RTE_DIM(vector)];
	(void)state;
	plain_call_open();
	give_ssrc(222);
	give_ssrc(111);
	for (uint64_t i = 65534; i < 65538; i++)
		push_plain(i);
	assert_int_equal(lab_take(&lab, 0, copies), 4);
	for (unsigned i = 0; i < RTE_DIM(vector); i++) {
		struct lab_packet packet = rtp_under(NULL, vector[i]);
		mbufs[i] = lab_packet_frame(&lab, ALICE, &packet);
	}
	loop_process_burst(worker(0), mbufs, RTE_DIM(vector));
	push_plain(40003);
	assert_int_equal(lab_take(&lab, 0, copies), 5);
	expect_plain_copy(&copies[0], 111, 65538);
	expect_plain_copy(&copies[1], 111, 65539);
	expect_plain_copy(&copies[2], 222, 40001);
	expect_plain_copy(&copies[3], 222, 40002);
	expect_plain_copy(&copies[4], 222, 40003);
}

// Spurts with one row of SEQs and other timestamps, to a protected leg and a plain one: no index of an SSRC twice, not
// after the outbound stream was forgotten either.
static void spurts_of_one_plain_sender_share_no_index(void **state)
{
	enum { SPURT = 60, SPURTS = 6 };
	(void)state;
	plain_call_open();
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN, .port = 1});
	lab_connect(&lab);
	for (uint32_t i = SPURTS; i > 0; i--)
		give_ssrc(FRESH + i);
	for (unsigned n = 0; n < SPURTS; n++) {
		for (unsigned i = 0; i < SPURT; i++) {
			struct lab_packet packet = rtp_under(NULL, i);
			packet.later = n * 160000;
			lab_push(&lab, 0, ALICE, &packet);
		}
		unsigned clear = 0, protected = 0, n_copies = lab_take(&lab, 0, copies);
		for (unsigned i = 0; i < n_copies; i++) {
			struct lab_packet packet =
				copies[i].leg == BOB ? to_bob(0) : rtp_under(NULL, 0);
			packet.later = n * 160000;
			packet.index = copies[i].leg == BOB ? (n > 0) + protected ++ : clear++;
			if (copies[i].leg == BOB)
				packet.ssrc = FRESH + 1 + n;
			assert_true(lab_copy_is(&lab, &copies[i], &packet));
		}
		assert_int_equal(clear, SPURT);
		assert_int_equal(protected, n > 0 ? SPURT - 1 : SPURT);
		assert_int_equal(lab_drops_of(&lab, 0, DROP_TOO_OLD), n);
		struct stream *out =
			stream_find(&lab.relay.streams, bob_key->ctx[SRTP_RTP], FRESH + 1 + n);
		assert_non_null(out);
		stream_unlink(&lab.relay.streams, out);
	}
	assert_int_equal(worker(0)->ssrcs_taken, SPURTS);
}

// The indices of one burst are estimated before the restart is seen in it.
static void plain_sender_restarts_within_burst_after_wrap(void **state)
{
	struct rte_mbuf *mbufs[4];
	(void)state;
	plain_call_open();
	give_ssrc(222);
	give_ssrc(111);
	push_plain(65535);
	push_plain(ROC_1 + 20000);
	lab_take(&lab, 0, copies);
	for (unsigned i = 0; i < 4; i++) {
		struct lab_packet packet = rtp_under(NULL, 50 + i);
		mbufs[i] = lab_packet_frame(&lab, ALICE, &packet);
	}
	loop_process_burst(worker(0), mbufs, 4);
	assert_int_equal(lab_take(&lab, 0, copies), 3);
	for (unsigned i = 0; i < 3; i++)
		expect_plain_copy(&copies[i], 222, 51 + i);
}

static void plain_stream_wraps_within_its_first_burst(void **state)
{
	struct rte_mbuf *mbufs[4];
	(void)state;
	plain_call_open();
	give_ssrc(222);
	give_ssrc(111);
	for (unsigned i = 0; i < 4; i++) {
		struct lab_packet packet = rtp_under(NULL, 65534 + i);
		mbufs[i] = lab_packet_frame(&lab, ALICE, &packet);
	}
	loop_process_burst(worker(0), mbufs, 4);
	assert_int_equal(lab_take(&lab, 0, copies), 4);
	for (unsigned i = 0; i < 4; i++)
		expect_plain_copy(&copies[i], 111, 65534 + i);
}

#define in_lab(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_lab(drops_second_copy_in_one_burst),
		in_lab(drops_replay_in_later_burst),
		in_lab(drops_what_is_behind_replay_list),
		in_lab(wraps_seq_within_burst),
		in_lab(keeps_order_among_forged),
		in_lab(bears_stream_of_whole_burst),
		in_lab(forged_first_packet_bears_nothing),
		in_lab(hands_over_whole),
		in_lab(hands_over_after_lost_race),
		in_lab(drops_when_owner_takes_no_more),
		in_lab(joins_by_carried_roc),
		in_lab(ignores_corrupted_roc_in_sync),
		in_lab(tries_carried_roc_once_in_a_while),
		in_lab(no_second_try_for_forged_roc),
		in_lab(holds_until_context_is_there),
		in_lab(held_and_handed_over_counts_in_no_jitter),
		in_lab(drops_what_control_refused),
		in_lab(holds_so_many_for_one_context),
		in_lab(holds_for_so_many_contexts_of_leg),
		in_lab(holds_for_so_many_contexts),
		in_lab(asks_for_so_many_contexts_at_once),
		in_lab(holds_for_talker_of_receivers),
		in_lab(changes_nothing_for_receivers_of_same_key),
		in_lab(fans_out_to_all_kinds_of_legs),
		in_lab(carries_of_checksum_end_around),
		in_lab(relays_rtcp),
		in_lab(srtcp_ends_with_the_indices_that_are_covered),
		in_lab(protects_in_place_as_beside),
		in_lab(sends_no_more_than_mtu),
		in_lab(sends_nothing_to_unresolved_next_hop),
		in_lab(counts_copies_without_buffers),
		in_lab(counts_what_the_port_refuses),
		in_lab(drops_every_truncation_once),
		in_lab(drops_malformed_headers),
		in_lab(skips_ipv4_options),
		in_lab(drops_other_vlan_and_other_types),
		in_lab(drops_frames_of_other_networks_and_hosts),
		in_lab(drops_frame_that_ends_behind_its_tag),
		in_lab(demands_a_checksum_over_ipv6),
		in_lab(skips_what_follows_the_datagram),
		in_lab(takes_frame_with_padding),
		in_lab(takes_tag_that_the_device_stripped),
		in_lab(returns_external_buffer),
		in_lab(passes_arp_to_control),
		in_lab(opaque_never_carries_plain),
		in_lab(client_may_not_use_relays_ssrc),
		in_lab(relay_does_not_use_clients_ssrc),
		in_lab(two_senders_do_not_share_ssrc_towards_third),
		in_lab(silent_senders_indices_are_not_used_again),
		in_lab(does_not_send_under_a_key_of_its_sender),
		in_lab(drops_other_source_where_no_tag_tells),
		in_lab(drops_from_muted_leg),
		in_lab(keepalive_counts_as_nothing_else),
		in_lab(muted_leg_is_followed),
		in_lab(drops_other_mki),
		in_lab(learns_from_newest_packet_only),
		in_lab(does_not_wait_for_busy_stream),
		in_lab(plain_media_gets_fresh_ssrc),
		in_lab(plain_media_keeps_ssrc_of_busy_stream),
		in_lab(plain_rtcp_names_ssrc_of_its_media),
		in_lab(plain_rtcp_is_handed_to_owner_of_its_media),
		in_lab(plain_rtcp_draws_for_stream_of_another_worker),
		in_lab(senders_of_plain_rtcp_cost_tokens),
		in_lab(rtp_has_all_payload_types_without_mux),
		in_lab(malformed_plain_rtcp_is_dropped),
		in_lab(reports_to_plain_name_original_ssrc),
		in_lab(contributor_has_one_name),
		in_lab(contributors_cost_tokens),
		in_lab(originals_of_newest_streams_only),
		in_lab(plain_control_keeps_its_ssrc),
		in_lab(plain_control_shares_no_ssrc_with_client),
		in_lab(plain_control_does_without_outbound_stream),
		in_lab(plain_control_of_one_ssrc_shares_no_index),
		in_lab(restarted_plain_sender_gets_another_ssrc),
		in_lab(restart_within_vector_after_wrap_is_heard),
		in_lab(spurts_of_one_plain_sender_share_no_index),
		in_lab(plain_sender_restarts_within_burst_after_wrap),
		in_lab(plain_stream_wraps_within_its_first_burst),
	};
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
