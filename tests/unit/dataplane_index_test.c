// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

#include "crypto/packet_index.h"
#include "tests/unit/dataplane_lab.h"

// Which packet index a packet has, when it comes and when it leaves (RFC 3711 3.3.1). A burst is heard as the same
// packets are one by one: each test of a first burst has the packets of its stream in one.

enum { SSRC = 0x11223344, ROC_1 = 0x10000, ALICE = 0, BOB, CAROL, DAVE };

static struct lab lab;
static struct lab_copy copies[LAB_COPIES];
static const struct lab_key *alice_key, *bob_key;
static uint32_t alice_roc; // stated for her leg

static int setup(void **state)
{
	(void)state;
	alice_roc = 0;
	lab_open(&lab, 2);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lab_close(&lab);
	return 0;
}

static struct worker *worker(void)
{
	return lab.relay.workers[0];
}

// Each with a key; hers has that ROC rate, his no ROC on the wire.
static void call_open(uint16_t roc_rate)
{
	alice_key = lab_key_add(&lab, 4, roc_rate, false);
	bob_key = lab_key_add(&lab, 4, 0, false);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = alice_key, .roc = alice_roc});
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

static struct rte_mbuf *frame_from_alice(uint64_t index)
{
	struct lab_packet packet = rtp_under(alice_key, index);
	return lab_packet_frame(&lab, ALICE, &packet);
}

static struct rte_mbuf *forged_frame(uint64_t index)
{
	struct rte_mbuf *mbuf = frame_from_alice(index);
	rte_pktmbuf_mtod(mbuf, uint8_t *)[14 + 28 + 20] ^= 1; // in the ciphertext
	return mbuf;
}

// One burst of n packets, from an index on.
static void push_run(uint64_t first, uint16_t n)
{
	struct rte_mbuf *mbufs[WORKER_BURST];
	for (uint16_t i = 0; i < n; i++)
		mbufs[i] = frame_from_alice(first + i);
	loop_process_burst(worker(), mbufs, n);
}

static void expect_copy_of(const struct lab_copy *copy, uint32_t ssrc, uint64_t index)
{
	struct lab_packet packet = rtp_under(bob_key, index);
	packet.ssrc = ssrc;
	assert_int_equal(copy->leg, BOB);
	assert_true(lab_copy_is(&lab, copy, &packet));
}

static void expect_copy(const struct lab_copy *copy, uint64_t index)
{
	expect_copy_of(copy, SSRC, index);
}

static void expect_run_of(uint32_t ssrc, uint64_t first, unsigned n)
{
	assert_int_equal(lab_take(&lab, 0, copies), n);
	for (unsigned i = 0; i < n; i++)
		expect_copy_of(&copies[i], ssrc, first + i);
}

static void expect_run(uint64_t first, unsigned n)
{
	expect_run_of(SSRC, first, n);
}

static void expect_drops(enum drop_reason reason, uint64_t n)
{
	assert_int_equal(lab_drops_of(&lab, 0, reason), n);
	assert_int_equal(lab_drops(&lab, 0), n);
}

// --- cipher passes ---

static struct cipher counting;
static const struct cipher *real;
static unsigned passes;

static void decrypt_and_count(struct cipher_op *ops[], uint16_t n)
{
	passes += n;
	real->decrypt_burst(ops, n);
}

// Has those of decryption counted until the lab is closed.
static void passes_count(void)
{
	real = lab.relay.cipher;
	counting = *real;
	counting.decrypt_burst = decrypt_and_count;
	lab.relay.cipher = &counting;
	passes = 0;
}

// --- a burst whose first packets tell the index of those behind them ---

static void first_burst_wraps(void **state)
{
	(void)state;
	call_open(0);
	push_run(65533, 20);
	expect_run(65533, 20);
	expect_drops(DROP_AUTH_FAIL, 0);
}

static void first_burst_carries_roc_now_and_then(void **state)
{
	(void)state;
	call_open(10);
	push_run(5 * ROC_1 + 3010, 20);
	expect_run(5 * ROC_1 + 3010, 20);
	expect_drops(DROP_AUTH_FAIL, 0);
}

// The carried ROC counts within one burst of a known stream, too: a sender that is some rollovers ahead.
static void burst_of_known_stream_jumps_ahead(void **state)
{
	(void)state;
	call_open(10);
	push_run(10, 2);
	expect_run(10, 2);
	push_run(7 * ROC_1 + 3010, 20);
	expect_run(7 * ROC_1 + 3010, 20);
	expect_drops(DROP_AUTH_FAIL, 0);
}

static void packets_come_in_any_order(void **state)
{
	static const uint64_t order[] = {65534, ROC_1 + 1, 65535, ROC_1, ROC_1 + 3, ROC_1 + 2};
	struct rte_mbuf *mbufs[6];
	(void)state;
	call_open(0);
	for (unsigned i = 0; i < 6; i++)
		mbufs[i] = frame_from_alice(order[i]);
	loop_process_burst(worker(), mbufs, 6);
	assert_int_equal(lab_take(&lab, 0, copies), 6);
	for (unsigned i = 0; i < 6; i++)
		expect_copy(&copies[i], order[i]);
}

static void second_copy_behind_wrap_is_replayed(void **state)
{
	struct rte_mbuf *mbufs[4];
	(void)state;
	call_open(0);
	for (unsigned i = 0; i < 4; i++)
		mbufs[i] = frame_from_alice(i < 2 ? 65535 : ROC_1);
	loop_process_burst(worker(), mbufs, 4);
	expect_run(65535, 2);
	expect_drops(DROP_REPLAYED, 2);
}

// What a stranger puts between them tells nothing: its tag does not match.
static void forged_among_first_burst_tell_nothing(void **state)
{
	struct rte_mbuf *mbufs[8];
	(void)state;
	call_open(10);
	mbufs[0] = forged_frame(9 * ROC_1 + 3000);
	mbufs[1] = frame_from_alice(5 * ROC_1 + 3010);
	mbufs[2] = forged_frame(77 * ROC_1 + 3020);
	mbufs[3] = frame_from_alice(5 * ROC_1 + 3011);
	mbufs[4] = forged_frame(40000);
	mbufs[5] = frame_from_alice(5 * ROC_1 + 3012);
	mbufs[6] = forged_frame(5 * ROC_1 + 3013);
	mbufs[7] = frame_from_alice(5 * ROC_1 + 3013);
	loop_process_burst(worker(), mbufs, 8);
	expect_run(5 * ROC_1 + 3010, 4);
	expect_drops(DROP_AUTH_FAIL, 4);
}

// Two senders of one key in one burst: each has an index of its own.
static void senders_of_one_burst_are_told_apart(void **state)
{
	struct rte_mbuf *mbufs[8];
	(void)state;
	call_open(10);
	for (unsigned i = 0; i < 8; i++) {
		struct lab_packet packet = rtp_under(alice_key, (2 + i % 2) * ROC_1 + 500 + i / 2);
		packet.ssrc += i % 2;
		mbufs[i] = lab_packet_frame(&lab, ALICE, &packet);
	}
	loop_process_burst(worker(), mbufs, 8);
	assert_int_equal(lab_take(&lab, 0, copies), 8);
	for (unsigned i = 0; i < 8; i++) {
		struct lab_packet packet = rtp_under(bob_key, (2 + i % 2) * ROC_1 + 500 + i / 2);
		packet.ssrc += i % 2;
		assert_true(lab_copy_is(&lab, &copies[i], &packet));
	}
	expect_drops(DROP_AUTH_FAIL, 0);
}

// A jump whose SEQ are old ones where the stream was: not refused as replayed before the ROC's tag is verified.
static void burst_jumps_ahead_to_old_seq(void **state)
{
	(void)state;
	call_open(10);
	push_run(3000, 20);
	expect_run(3000, 20);
	push_run(2 * ROC_1 + 3000, 20);
	expect_run(2 * ROC_1 + 3000, 20);
	expect_drops(DROP_REPLAYED, 0);
}

// What a stranger's packets cost beside those of a sender: one cipher pass each.
static void forged_packets_cost_one_pass(void **state)
{
	struct rte_mbuf *mbufs[16];
	(void)state;
	call_open(1);
	if (lab.relay.cryptodev)
		return; // the passes are the device's
	passes_count();
	for (unsigned i = 0; i < 16; i++) // the stream is not born
		mbufs[i] = forged_frame(5 * ROC_1 + i);
	loop_process_burst(worker(), mbufs, 16);
	assert_int_equal(passes, 16);
	push_run(5 * ROC_1, 1);
	passes = 0;
	for (unsigned i = 0; i < 16; i++)
		mbufs[i] = i % 4 == 0 ? frame_from_alice(5 * ROC_1 + i + 1)
				      : forged_frame(5 * ROC_1 + i + 1);
	loop_process_burst(worker(), mbufs, 16);
	assert_int_equal(passes, 16);
	passes = 0;
	worker()->tsc_hz = UINT64_C(1) << 62; // no token comes back
	lab_tokens_set(&lab, 0, ALICE, TOKEN_ROC, 1);
	for (unsigned i = 0; i < 16; i++) // gets a second try with its ROC
		mbufs[i] = forged_frame(6 * ROC_1 + i + 20);
	loop_process_burst(worker(), mbufs, 16);
	assert_int_equal(passes, 17);
	expect_drops(DROP_AUTH_FAIL, 16 + 12 + 16);
	lab_take(&lab, 0, copies);
}

// --- a stream that begins with a ROC that nobody carries ---

static void expect_new_stream_heard(uint64_t first, uint16_t n)
{
	call_open(0);
	push_run(first, n);
	expect_run(first, n);
	push_run(first + n, 1);
	expect_run(first + n, 1);
	expect_drops(DROP_AUTH_FAIL, 0);
}

static void new_stream_has_wrapped(void **state)
{
	(void)state;
	expect_new_stream_heard(ROC_1 + 5, 20);
}

static void new_stream_is_about_to_wrap_again(void **state)
{
	(void)state;
	expect_new_stream_heard(2 * ROC_1 - 3, 20);
}

static void stream_has_roc_as_stated(void **state)
{
	(void)state;
	alice_roc = 5;
	expect_new_stream_heard(5 * ROC_1 + 40000, 20);
}

static void stream_has_wrapped_since_roc_was_stated(void **state)
{
	(void)state;
	alice_roc = UINT32_MAX - 1;
	expect_new_stream_heard((UINT64_C(1) << 48) - ROC_1 + 7, 20);
}

// Of what is not stated no more is tried.
static void other_rocs_must_be_stated(void **state)
{
	static const uint64_t others[] = {0, 1, 4, 7};
	(void)state;
	alice_roc = 5;
	call_open(0);
	for (unsigned i = 0; i < RTE_DIM(others); i++)
		push_run(others[i] * ROC_1 + 9, 1);
	expect_run(0, 0);
	expect_drops(DROP_AUTH_FAIL, RTE_DIM(others));
}

// A carried ROC decides.
static void stated_roc_yields_to_carried_one(void **state)
{
	(void)state;
	alice_roc = 5;
	call_open(1);
	push_run(9 * ROC_1 + 9, 4);
	expect_run(9 * ROC_1 + 9, 4);
}

// The second try is for so many a second, whoever sends.
static void forged_first_packets_are_bounded(void **state)
{
	struct rte_mbuf *mbufs[WORKER_BURST];
	(void)state;
	call_open(0);
	if (lab.relay.cryptodev)
		return; // the passes are the device's
	passes_count();
	worker()->tsc_hz = UINT64_C(1) << 62; // no token comes back
	lab_tokens_set(&lab, 0, ALICE, TOKEN_ROC, 1);
	for (unsigned i = 0; i < WORKER_BURST; i++)
		mbufs[i] = forged_frame(i);
	loop_process_burst(worker(), mbufs, WORKER_BURST);
	assert_int_equal(passes, WORKER_BURST + 1);
	expect_drops(DROP_AUTH_FAIL, WORKER_BURST);
}

// --- a known stream of which much was missed ---

static struct stream *alice_stream(void)
{
	uint32_t space = lab.relay.keys.ctxs[alice_key->ctx[SRTP_RTP]].space;
	struct stream *stream = stream_find(&lab.relay.streams, space, SSRC);
	assert_non_null(stream);
	return stream;
}

// Nothing was heard for three seconds.
static void alice_is_silent(void)
{
	alice_stream()->last_tsc -= 3 * worker()->tsc_hz;
}

// From first on, then, after a silence, from next on.
static void expect_found_again(uint64_t first, uint64_t next)
{
	call_open(0);
	push_run(first, 12);
	expect_run(first, 12);
	alice_is_silent();
	push_run(next, 12);
	expect_run(next, 12);
	push_run(next + 12, 12);
	expect_run(next + 12, 12);
	expect_drops(DROP_AUTH_FAIL, 0);
}

static void missed_more_than_half_a_rollover(void **state)
{
	(void)state;
	expect_found_again(ROC_1 - 6, ROC_1 + 40000);
}

static void missed_a_rollover(void **state)
{
	(void)state;
	expect_found_again(3000, ROC_1 + 2000);
}

// Its SEQs are those that were heard last.
static void missed_a_rollover_to_same_seqs(void **state)
{
	(void)state;
	expect_found_again(3000, ROC_1 + 3000);
}

static void missed_a_rollover_and_a_half(void **state)
{
	(void)state;
	expect_found_again(3000, 3000 + 98000);
}

static void missed_as_much_as_is_stated(void **state)
{
	(void)state;
	call_open(0);
	push_run(3000, 12);
	expect_run(3000, 12);
	lab.specs[ALICE].roc = 9;
	lab_connect(&lab);
	alice_is_silent();
	push_run(9 * ROC_1 + 2500, 12);
	expect_run(9 * ROC_1 + 2500, 12);
}

// Who is heard all the time has missed nothing.
static void no_second_try_while_heard(void **state)
{
	(void)state;
	call_open(0);
	push_run(3000, 12);
	expect_run(3000, 12);
	push_run(ROC_1 + 2000, 12);
	expect_run(0, 0);
	expect_drops(DROP_AUTH_FAIL, 12);
}

static void pause_costs_no_second_try(void **state)
{
	(void)state;
	call_open(0);
	push_run(3000, 12);
	if (lab.relay.cryptodev)
		return; // the passes are the device's
	passes_count();
	alice_is_silent();
	push_run(3012, 12);
	assert_int_equal(passes, 12);
	expect_run(3000, 24);
}

static void replayed_after_silence(void **state)
{
	(void)state;
	call_open(0);
	push_run(3000, 12);
	expect_run(3000, 12);
	alice_is_silent();
	push_run(3000, 12);
	expect_run(0, 0);
	expect_drops(DROP_REPLAYED, 12);
}

static void forged_packets_after_silence_are_bounded(void **state)
{
	struct rte_mbuf *mbufs[20];
	(void)state;
	call_open(0);
	push_run(3000, 12);
	expect_run(3000, 12);
	if (lab.relay.cryptodev)
		return; // the passes are the device's
	passes_count();
	worker()->tsc_hz = UINT64_C(1) << 62; // no token comes back
	lab_tokens_set(&lab, 0, ALICE, TOKEN_ROC, 1);
	alice_is_silent();
	for (unsigned burst = 0; burst < 10; burst++) {
		for (unsigned i = 0; i < 20; i++)
			mbufs[i] = forged_frame(3012 + burst * 20 + i);
		loop_process_burst(worker(), mbufs, 20);
	}
	assert_int_equal(passes, 201);
	expect_drops(DROP_AUTH_FAIL, 200);
	assert_int_equal(alice_stream()->replay.next, 3012);
}

// --- a sender that counts anew with a new key, towards a key that stays ---

enum { FRESH = 0x55667788 };

static void give_ssrc(uint32_t ssrc)
{
	worker()->ssrcs[worker()->n_ssrcs++] = ssrc;
}

static void alice_gets_new_key(void)
{
	alice_key = lab_key_add(&lab, 4, alice_key->roc_rate, false);
	lab.specs[ALICE].key = alice_key;
	lab_connect(&lab);
}

static void seqs_go_on_from_roc_0(void **state)
{
	(void)state;
	call_open(1);
	give_ssrc(FRESH);
	push_run(3 * ROC_1 + 5000, 12);
	expect_run(3 * ROC_1 + 5000, 12);
	alice_gets_new_key();
	push_run(5012, 12);
	expect_run_of(FRESH, 5012, 12);
	push_run(5024, 12);
	expect_run_of(FRESH, 5024, 12);
	expect_drops(DROP_REPLAYED, 0);
}

// With each of several keys.
static void seqs_begin_anew(void **state)
{
	(void)state;
	call_open(0);
	give_ssrc(FRESH + 1);
	give_ssrc(FRESH);
	push_run(0, 12);
	expect_run(0, 12);
	for (uint32_t i = 0; i < 2; i++) {
		alice_gets_new_key();
		push_run(0, 12);
		expect_run_of(FRESH + i, 0, 12);
	}
	expect_drops(DROP_REPLAYED, 0);
	assert_int_equal(worker()->ssrcs_taken, 2);
}

// The first of them were not used, because the sender began with a higher SEQ before.
static void seqs_begin_a_little_lower(void **state)
{
	(void)state;
	call_open(0);
	give_ssrc(FRESH);
	push_run(100, 12);
	expect_run(100, 12);
	alice_gets_new_key();
	push_run(96, 20);
	assert_int_equal(lab_take(&lab, 0, copies), 20);
	for (unsigned i = 0; i < 20; i++)
		expect_copy_of(&copies[i], i < 4 ? SSRC : FRESH, 96 + i);
}

// What is late under the key before comes too late for the receivers, also behind a late one that does not.
static void late_ones_do_not_begin_anew(void **state)
{
	(void)state;
	call_open(0);
	give_ssrc(FRESH);
	push_run(6000, 1);
	expect_run(6000, 1);
	const struct lab_key *before = alice_key;
	lab.specs[ALICE].before = before;
	alice_gets_new_key();
	const struct lab_key *after = alice_key;
	push_run(6400, 1);
	expect_run(6400, 1);
	alice_key = before;
	push_run(6290, 1);
	expect_run(6290, 1);
	push_run(5300, 1); // 990 behind under its key, 1,100 behind at Bob's
	expect_run(0, 0);
	expect_drops(DROP_REPLAYED, 1);
	push_run(6291, 1);
	expect_run(6291, 1);
	alice_key = after;
	push_run(6401, 1);
	expect_run(6401, 1);
	assert_int_equal(worker()->ssrcs_taken, 0);
}

// A fresh SSRC is worth a token, and there must be one.
static void no_fresh_ssrc_for_who_counts_anew(void **state)
{
	(void)state;
	call_open(0);
	push_run(0, 2);
	expect_run(0, 2);
	alice_gets_new_key();
	push_run(0, 1);
	expect_drops(DROP_SSRC_POOL, 1);
	give_ssrc(FRESH);
	worker()->tsc_hz = UINT64_C(1) << 62; // no token comes back
	lab_tokens_set(&lab, 0, ALICE, TOKEN_WORK, 0);
	push_run(1, 1);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_INDEX_USED), 1);
	push_run(2, 3); // these were not used
	expect_run(2, 3);
}

static void roc_goes_on_with_new_key(void **state)
{
	(void)state;
	call_open(1);
	give_ssrc(FRESH);
	push_run(3 * ROC_1 + 5000, 12);
	alice_gets_new_key();
	push_run(3 * ROC_1 + 5012, 12);
	expect_run(3 * ROC_1 + 5000, 24);
}

// SRTCP index under which the relay sent a copy to Bob.
static uint64_t srtcp_index_of(const struct lab_copy *copy)
{
	return srtp_read32(copy->payload + copy->len - bob_key->mki_len - SRTCP_INDEX_LEN) &
	       SRTCP_INDEX_MAX;
}

// Their SRTCP keeps its SSRC, because the index is the relay's: it counts on, whatever the senders do.
static void reports_of_who_counts_anew(void **state)
{
	(void)state;
	call_open(1);
	give_ssrc(FRESH);
	give_ssrc(FRESH + 1);
	for (uint64_t life = 0; life < 3; life++) {
		push_run(5000, 2); // the later ones under fresh SSRCs
		for (uint64_t index = 7; index < 9; index++) {
			struct lab_packet report = {.protocol = SRTP_RTCP,
				.ssrc = SSRC,
				.ctx = alice_key->ctx[SRTP_RTCP],
				.index = index,
				.mki_len = 4};
			lab_push(&lab, 0, ALICE, &report);
		}
		assert_int_equal(lab_take(&lab, 0, copies), 4);
		for (uint64_t i = 0; i < 2; i++) {
			struct lab_packet report = {.protocol = SRTP_RTCP,
				.ssrc = SSRC,
				.ctx = bob_key->ctx[SRTP_RTCP],
				.index = 7 + i,
				.own_index = LAB_SRTCP_FLOOR + 2 * life + i,
				.mki_len = 4};
			assert_int_equal(srtcp_index_of(&copies[2 + i]), report.own_index);
			assert_true(lab_copy_is(&lab, &copies[2 + i], &report));
		}
		alice_gets_new_key();
	}
	assert_int_equal(worker()->ssrcs_taken, 2);
	expect_drops(DROP_REPLAYED, 0);
}

// Which key is the older one is not told by when the relay had a use for it.
static void seqs_begin_anew_with_key_installed_before(void **state)
{
	(void)state;
	const struct lab_key *after = lab_key_add(&lab, 4, 0, false);
	call_open(0);
	give_ssrc(FRESH);
	lab.specs[ALICE].before = alice_key;
	lab.specs[ALICE].key = after;
	lab_connect(&lab);
	push_run(5000, 12);
	expect_run(5000, 12);
	struct rte_mbuf *late = frame_from_alice(5000 - 1), *again = frame_from_alice(5011);
	alice_key = after;
	push_run(5000, 12);
	expect_run_of(FRESH, 5000, 12);
	loop_process_burst(worker(), &late, 1);
	expect_run(4999, 1);
	loop_process_burst(worker(), &again, 1);
	push_run(5012, 2);
	expect_run_of(FRESH, 5012, 2);
	expect_drops(DROP_REPLAYED, 1);
}

// They leave as they would have, once.
static void late_packets_under_key_before(void **state)
{
	(void)state;
	call_open(1);
	give_ssrc(FRESH);
	const struct lab_key *before = alice_key;
	push_run(5000, 12);
	expect_run(5000, 12);
	struct rte_mbuf *late = frame_from_alice(4999);
	alice_gets_new_key();
	push_run(5000, 2);
	lab.specs[ALICE].key = before;
	lab_connect(&lab);
	loop_process_burst(worker(), &late, 1);
	lab.specs[ALICE].key = alice_key;
	lab_connect(&lab);
	push_run(5002, 2);
	assert_int_equal(lab_take(&lab, 0, copies), 5);
	static const uint64_t wanted[] = {5000, 5001, 4999, 5002, 5003};
	for (unsigned i = 0; i < 5; i++)
		expect_copy_of(&copies[i], i == 2 ? SSRC : FRESH, wanted[i]);
}

// Those of the new key have their indices already: no fresh SSRC for some packets that nobody waits for.
static void late_packets_met_by_new_key(void **state)
{
	struct rte_mbuf *late[4];
	(void)state;
	call_open(1);
	give_ssrc(FRESH);
	const struct lab_key *before = alice_key;
	push_run(5000, 12);
	expect_run(5000, 12);
	for (unsigned i = 0; i < 4; i++)
		late[i] = frame_from_alice(5012 + i);
	alice_gets_new_key();
	push_run(5012, 12); // counted anew from there
	expect_run(5012, 12);
	lab.specs[ALICE].before = before;
	lab_connect(&lab);
	loop_process_burst(worker(), late, 4);
	expect_run(0, 0);
	expect_drops(DROP_REPLAYED, 4);
	assert_int_equal(worker()->ssrcs_taken, 0);
}

// --- one packet under several keys ---

static struct lab_key key_with_mki(const struct lab_key *key, uint8_t mki_len)
{
	struct lab_key other = *key;
	other.mki_len = mki_len;
	return other;
}

// Carol has Alice's key besides, in another layout. What she gets under it stands between what others get under theirs,
// in two layouts: that is one claim of an index there.
static void index_is_claimed_once_beside_own_key(void **state)
{
	static const uint8_t mki_lens[] = {[BOB] = 0, [CAROL] = 0, [DAVE] = 8};
	static struct lab_key alice_bare, bob_bare, bob_long;
	(void)state;
	call_open(0);
	alice_bare = key_with_mki(alice_key, mki_lens[CAROL]);
	bob_bare = key_with_mki(bob_key, mki_lens[BOB]);
	bob_long = key_with_mki(bob_key, mki_lens[DAVE]);
	lab.specs[BOB].key = &bob_bare;
	lab_leg_add(
		&lab, (struct lab_leg){.mode = LEG_SRTP, .key = bob_key, .before = &alice_bare});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = &bob_long});
	lab_connect(&lab);
	for (uint8_t protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
		struct lab_packet packet = rtp_under(alice_key, 70);
		packet.protocol = protocol;
		packet.ctx = alice_key->ctx[protocol];
		packet.unencrypted = protocol == SRTP_RTCP;
		lab_push(&lab, 0, ALICE, &packet);
		assert_int_equal(lab_take(&lab, 0, copies), 3);
		for (uint32_t i = 0; i < 3; i++) {
			struct lab_packet wanted = packet;
			assert_int_equal(copies[i].leg, BOB + i);
			wanted.mki_len = mki_lens[BOB + i];
			if (copies[i].leg != CAROL) {
				wanted.ctx = bob_key->ctx[protocol];
				wanted.unencrypted = false;
				wanted.own_index = protocol == SRTP_RTCP ? LAB_SRTCP_FLOOR : 0;
			}
			assert_true(lab_copy_is(&lab, &copies[i], &wanted));
		}
	}
	assert_int_equal(lab_drops(&lab, 0), 0);
}

// --- plain media: the index is the relay's, and what receivers take it for who know only SEQs ---

static void plain_call_open(void)
{
	bob_key = lab_key_add(&lab, 4, 0, false);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = bob_key});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN, .port = 1});
	lab_connect(&lab);
	give_ssrc(FRESH);
}

// SEQs of the upper half are from before the wrap, by their timestamps.
static struct lab_packet plain_packet(uint16_t seq)
{
	struct lab_packet packet = rtp_under(NULL, seq);
	packet.later = seq >= 0x8000 ? 0U - 0x10000U * 160 : 0;
	return packet;
}

static struct rte_mbuf *plain_frame(uint16_t seq)
{
	struct lab_packet packet = plain_packet(seq);
	return lab_packet_frame(&lab, ALICE, &packet);
}

// Has a new sender's SEQs come in one burst: Bob gets so many of them, each under the index that he takes it for (RFC
// 3711 3.3.1), and Carol all.
static void hear_plain(const uint16_t *seqs, uint16_t n, unsigned heard)
{
	struct rte_mbuf *mbufs[WORKER_BURST];
	for (uint16_t i = 0; i < n; i++) {
		mbufs[i] = plain_frame(seqs[i]);
	}
	loop_process_burst(worker(), mbufs, n);
	uint64_t next = 0;
	unsigned n_bob = 0, n_carol = 0, n_copies = lab_take(&lab, 0, copies);
	for (unsigned i = 0; i < n_copies; i++) {
		uint16_t seq = rtp_seq(copies[i].payload);
		if (copies[i].leg == CAROL) {
			n_carol++;
			continue;
		}
		struct lab_packet packet = rtp_under(bob_key, packet_index_estimate(next, seq));
		packet.ssrc = FRESH;
		assert_true(lab_copy_is(&lab, &copies[i], &packet));
		next = RTE_MAX(next, packet.index + 1);
		n_bob++;
	}
	assert_int_equal(n_bob, heard);
	assert_int_equal(n_carol, n);
}

static void plain_packet_from_before_first(void **state)
{
	(void)state;
	plain_call_open();
	hear_plain((uint16_t[]){1, 65535, 2, 3, 65534, 4}, 6, 4);
	expect_drops(DROP_MISORDERED, 2);
}

static void plain_packet_from_before_first_twice(void **state)
{
	(void)state;
	plain_call_open();
	hear_plain((uint16_t[]){0, 65535, 1}, 3, 2);
	struct lab_packet packet = plain_packet(65535);
	lab_push(&lab, 0, ALICE, &packet);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_REPLAYED), 1);
	assert_int_equal(lab_take(&lab, 0, copies), 0);
}

// Not from before a wrap: there is an index below the first one's.
static void plain_packet_overtaken_by_first(void **state)
{
	(void)state;
	plain_call_open();
	hear_plain((uint16_t[]){100, 99, 101, 98}, 4, 4);
	expect_drops(DROP_MISORDERED, 0);
}

#define in_lab(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_lab(first_burst_wraps),
		in_lab(first_burst_carries_roc_now_and_then),
		in_lab(burst_of_known_stream_jumps_ahead),
		in_lab(packets_come_in_any_order),
		in_lab(second_copy_behind_wrap_is_replayed),
		in_lab(forged_among_first_burst_tell_nothing),
		in_lab(senders_of_one_burst_are_told_apart),
		in_lab(burst_jumps_ahead_to_old_seq),
		in_lab(forged_packets_cost_one_pass),
		in_lab(new_stream_has_wrapped),
		in_lab(new_stream_is_about_to_wrap_again),
		in_lab(stream_has_roc_as_stated),
		in_lab(stream_has_wrapped_since_roc_was_stated),
		in_lab(other_rocs_must_be_stated),
		in_lab(stated_roc_yields_to_carried_one),
		in_lab(forged_first_packets_are_bounded),
		in_lab(missed_more_than_half_a_rollover),
		in_lab(missed_a_rollover),
		in_lab(missed_a_rollover_to_same_seqs),
		in_lab(missed_a_rollover_and_a_half),
		in_lab(missed_as_much_as_is_stated),
		in_lab(no_second_try_while_heard),
		in_lab(pause_costs_no_second_try),
		in_lab(replayed_after_silence),
		in_lab(forged_packets_after_silence_are_bounded),
		in_lab(seqs_go_on_from_roc_0),
		in_lab(seqs_begin_anew),
		in_lab(seqs_begin_a_little_lower),
		in_lab(late_ones_do_not_begin_anew),
		in_lab(no_fresh_ssrc_for_who_counts_anew),
		in_lab(roc_goes_on_with_new_key),
		in_lab(reports_of_who_counts_anew),
		in_lab(late_packets_under_key_before),
		in_lab(seqs_begin_anew_with_key_installed_before),
		in_lab(late_packets_met_by_new_key),
		in_lab(index_is_claimed_once_beside_own_key),
		in_lab(plain_packet_from_before_first),
		in_lab(plain_packet_from_before_first_twice),
		in_lab(plain_packet_overtaken_by_first),
	};
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
