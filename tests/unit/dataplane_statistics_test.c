// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <math.h>

#include <cmocka.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "dataplane/burst.h"
#include "dataplane/sequence.h"
#include "tests/unit/dataplane_lab.h"

// What workers count of streams and copies.

enum { SSRC = 0x11223344, ALICE = 0, BOB = 1, TICK = 160 };

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

static void call_open(struct lab_leg alice)
{
	lab_leg_add(&lab, alice);
	lab_leg_add(&lab, (struct lab_leg){.mode = alice.mode, .key = alice.key, .port = 1});
	lab_connect(&lab);
}

static void opaque_call_open(void)
{
	call_open((struct lab_leg){.mode = LEG_OPAQUE});
}

static struct lab_packet packet_of(uint32_t ssrc, uint64_t index)
{
	const struct lab_key *key = lab.specs[ALICE].mode == LEG_SRTP ? lab.specs[ALICE].key : NULL;
	return (struct lab_packet){
		.len = 40,
		.ssrc = ssrc,
		.ctx = key ? key->ctx[SRTP_RTP] : KEY_NONE,
		.index = index,
		.mki_len = key ? key->mki_len : 0,
	};
}

// One packet of Alice's that comes at a TSC of the test's choice.
static void push_at(uint8_t id, uint64_t tsc, uint32_t ssrc, uint64_t index)
{
	const struct burst_origin received = {.source = BURST_RECEIVED};
	struct worker *w = lab.relay.workers[id];
	struct lab_packet packet = packet_of(ssrc, index);
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, ALICE, &packet);
	w->now = tsc;
	loop_process_vector(w, &received, &mbuf, 1);
}

static void push(uint64_t index)
{
	struct lab_packet packet = packet_of(SSRC, index);
	lab_push(&lab, 0, ALICE, &packet);
}

// That Bob got so many since this was asked last.
static void expect_copies(uint8_t worker, unsigned n)
{
	assert_int_equal(lab_take(&lab, worker, copies), n);
	assert_int_equal(lab_drops(&lab, worker), 0);
}

static const struct stream *opaque_stream(uint8_t worker, uint32_t ssrc)
{
	return stream_find(&lab.relay.streams, stream_opaque_scope(ALICE, worker), ssrc);
}

static void expect_counted(uint8_t worker, uint64_t packets, int64_t lost)
{
	const struct stream *s = opaque_stream(worker, SSRC);
	assert_non_null(s);
	assert_int_equal(s->packets, packets);
	assert_int_equal(s->octets, packets * (RTP_HEADER_MIN + 40));
	assert_int_equal((int64_t)(s->replay.next - s->first_index) - (int64_t)packets, lost);
}

// --- jitter

// RFC 3550 A.8 word by word, in floating point.
struct reference {
	double transit, jitter;
	bool known;
};

static void reference_add(struct reference *r, double arrival, double timestamp)
{
	double d = fabs(arrival - timestamp - r->transit);
	r->transit = arrival - timestamp;
	if (r->known)
		r->jitter += (d - r->jitter) / 16;
	r->known = true;
}

static void expect_jitter(const struct jitter *jitter, const struct reference *r)
{
	assert_true(fabs(jitter_value(jitter) - r->jitter) < 2.5);
}

// Packets of 10 ms each, which are late by up to that many seconds.
static void jitter_of_late_packets(uint32_t scope, double late)
{
	struct reference r = {.known = false};
	double hz = (double)rte_get_tsc_hz();
	uint64_t begin = UINT64_C(123456789) << 20;
	srand(1);
	for (unsigned i = 1; i <= 500; i++) {
		double seconds = i * 0.01 + late * rand() / RAND_MAX;
		uint64_t tsc = begin + (uint64_t)(seconds * hz);
		push_at(0, tsc, SSRC, i);
		reference_add(&r, (double)(tsc - begin) / hz * LAB_CLOCK_RATE, i * TICK);
		const struct stream *s = stream_find(&lab.relay.streams, scope, SSRC);
		assert_non_null(s);
		expect_jitter(&s->jitter, &r);
	}
	expect_copies(0, 500);
	if (late > 0)
		assert_true(r.jitter > late * LAB_CLOCK_RATE / 8);
}

static void jitter_of_opaque_media(void **state)
{
	(void)state;
	opaque_call_open();
	jitter_of_late_packets(stream_opaque_scope(ALICE, 0), 0.03);
}

static void jitter_of_even_media(void **state)
{
	(void)state;
	opaque_call_open();
	jitter_of_late_packets(stream_opaque_scope(ALICE, 0), 0);
}

static void jitter_of_plain_media(void **state)
{
	(void)state;
	call_open((struct lab_leg){.mode = LEG_PLAIN});
	jitter_of_late_packets(stream_plain_scope(ALICE, SRTP_RTP), 0.03);
}

static void jitter_of_protected_media(void **state)
{
	(void)state;
	const struct lab_key *key = lab_key_add(&lab, 4, 0, false);
	call_open((struct lab_leg){.mode = LEG_SRTP, .key = key});
	jitter_of_late_packets(key->ctx[SRTP_RTP], 0.03);
}

// Both the arrival and the timestamp wrap, each in its own time; and the largest difference there is.
static void jitter_wraps(void **state)
{
	(void)state;
	const struct jitter_clock clock = {
		1000000000, jitter_clock_factor(LAB_CLOCK_RATE, 1000000000)};
	struct jitter jitter = {};
	struct reference r = {.known = false};
	uint32_t arrival = UINT32_MAX - 5000, timestamp = UINT32_MAX - 1000;
	for (unsigned i = 0; i < 200; i++) {
		unsigned late = i * 7919 % 300;
		jitter_add(&jitter, clock, arrival + i * TICK + late, timestamp + i * TICK);
		reference_add(&r, late, 0);
		expect_jitter(&jitter, &r);
	}
	for (unsigned i = 0; i < 1000; i++)
		jitter_add(&jitter, clock, i % 2 ? UINT32_C(1) << 31 : 0, 0);
	assert_true(jitter_value(&jitter) > UINT32_C(0x7ffffff0));
	assert_true(jitter_value(&jitter) <= UINT32_C(0x80000000));
}

// Timestamps that go on from elsewhere, or come back after one packet, are no jitter once the next packets show it.
static void jitter_recovers_from_jump(void **state)
{
	static const uint32_t jumps[] = {INT32_MAX, UINT32_C(1) << 31, (uint32_t)-INT32_MAX, 17000,
		(uint32_t)-17000, 160000};
	const struct jitter_clock clock = {
		1000000000, jitter_clock_factor(LAB_CLOCK_RATE, 1000000000)};
	(void)state;
	for (unsigned j = 0; j < RTE_DIM(jumps); j++)
		for (unsigned back = 0; back < 2; back++) {
			struct jitter jitter = {};
			uint32_t offset = 0;
			for (unsigned i = 0; i < 300; i++) {
				if (i == 100 || (back && i == 101))
					offset = i == 100 ? jumps[j] : 0;
				unsigned late = i * 7919 % 30;
				jitter_add(&jitter, clock, i * TICK + late, i * TICK + offset);
				if (i == 100 && offset + 16000 > 32000)
					assert_true(jitter_value(&jitter) > 16000 / 16);
				if (i > 101)
					assert_true(jitter_value(&jitter) < 30);
			}
		}
}

// What is late by seconds, again and again, is.
static void jitter_of_seconds(void **state)
{
	const struct jitter_clock clock = {
		1000000000, jitter_clock_factor(LAB_CLOCK_RATE, 1000000000)};
	struct jitter jitter = {};
	struct reference r = {.known = false};
	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		unsigned late = i % 2 * 3 * LAB_CLOCK_RATE;
		jitter_add(&jitter, clock, i * TICK + late, i * TICK);
		reference_add(&r, late, 0);
		expect_jitter(&jitter, &r);
	}
}

static void clock_factor_fits(void **state)
{
	(void)state;
	const uint64_t hz[] = {1000000, 999999937, 2400000000, 5000000000};
	const uint32_t rates[] = {1, 8000, 16000, 90000, 1000000};
	for (unsigned h = 0; h < RTE_DIM(hz); h++)
		for (unsigned r = 0; r < RTE_DIM(rates); r++) {
			uint64_t factor = jitter_clock_factor(rates[r], hz[h]);
			for (uint64_t hours = 1; hours < 1000000; hours *= 10) {
				uint32_t want = (uint32_t)(hours * 3600 * rates[r]);
				uint32_t got = jitter_arrival(hours * 3600 * hz[h], factor);
				assert_true(want - got <= 1 + hours * 3600 * hz[h] / UINT64_MAX);
			}
		}
}

// --- opaque streams

static void opaque_duplicate_is_forwarded_not_counted(void **state)
{
	(void)state;
	opaque_call_open();
	push(1);
	push(2);
	struct jitter before = opaque_stream(0, SSRC)->jitter;
	push(2);
	push(1);
	expect_copies(0, 4);
	expect_counted(0, 2, 0);
	assert_int_equal(opaque_stream(0, SSRC)->jitter.transit, before.transit);
	assert_int_equal(opaque_stream(0, SSRC)->jitter.scaled, before.scaled);
	assert_int_equal(lab.relay.workers[0]->legs[ALICE].rx_packets, 4);
}

static void opaque_loss_and_order(void **state)
{
	(void)state;
	opaque_call_open();
	const uint64_t indices[] = {65533, 65532, 65534, 65537, 65536, 65540};
	for (unsigned i = 0; i < RTE_DIM(indices); i++)
		push(indices[i]);
	expect_copies(0, RTE_DIM(indices));
	for (unsigned i = 0; i < RTE_DIM(indices); i++) {
		struct lab_packet packet = packet_of(SSRC, indices[i]);
		assert_true(lab_copy_is(&lab, &copies[i], &packet));
	}
	expect_counted(0, 6, 3); // 65535, 65538 and 65539 of nine from 65532 on
}

static void opaque_first_packet_overtaken_at_wrap(void **state)
{
	(void)state;
	opaque_call_open();
	push(65536);
	push(65535);
	push(65537);
	expect_copies(0, 3);
	expect_counted(0, 3, 0);
}

static void opaque_sender_restarts(void **state)
{
	(void)state;
	opaque_call_open();
	push(100);
	push(110);
	expect_counted(0, 2, 9);
	push(40000); // alone: nobody knows what it is
	push(111);
	expect_copies(0, 4);
	expect_counted(0, 3, 9);
	push(30000);
	push(30001);
	push(30003);
	expect_copies(0, 3);
	expect_counted(0, 2, 1);
	push(20000); // behind, too
	push(20001);
	expect_copies(0, 2);
	expect_counted(0, 1, 0);
}

// A gap that is no jump is loss.
static void opaque_gap_is_loss(void **state)
{
	(void)state;
	opaque_call_open();
	push(1);
	push(3001);
	expect_copies(0, 2);
	expect_counted(0, 2, 2999);
}

static void opaque_without_tokens_is_forwarded(void **state)
{
	enum { N = LEG_TOKENS + 30 };
	(void)state;
	opaque_call_open();
	for (uint32_t i = 0; i < N; i++)
		push_at(0, 1000, SSRC + i, 1);
	expect_copies(0, N);
	assert_int_equal(stream_table_used(&lab.relay.streams), LEG_TOKENS);
	assert_int_equal(lab.relay.workers[0]->legs[ALICE].rx_packets, N);
}

static void opaque_leaves_room_for_others(void **state)
{
	(void)state;
	opaque_call_open();
	struct stream_table *streams = &lab.relay.streams;
	struct stream_list others = {.newest = 0};
	for (uint32_t i = 0; i < streams->size / 4 * 3; i++)
		assert_non_null(stream_create(streams, &others, 1, i, 0, SRTP_RTP, STREAM_NONE));
	push(1);
	expect_copies(0, 1);
	assert_null(opaque_stream(0, SSRC));
	stream_unlink(streams, &streams->streams[0]);
	stream_free(streams, &streams->streams[0]);
	push(2);
	expect_copies(0, 1);
	expect_counted(0, 1, 0);
}

static void opaque_is_counted_by_who_sees_it(void **state)
{
	(void)state;
	opaque_call_open();
	struct lab_packet packet = packet_of(SSRC, 1);
	lab_push(&lab, 0, ALICE, &packet);
	for (packet.index = 2; packet.index <= 4; packet.index++)
		lab_push(&lab, 1, ALICE, &packet);
	expect_copies(0, 1);
	expect_copies(1, 3);
	expect_counted(0, 1, 0);
	expect_counted(1, 3, 0);
	assert_int_equal(lab_push_handed_over(&lab, 0), 0);
}

static void opaque_with_unverified_key_is_counted(void **state)
{
	(void)state;
	const struct lab_key *key = lab_key_add(&lab, 4, 0, false);
	call_open((struct lab_leg){.mode = LEG_OPAQUE, .key = key, .unverified = true});
	push(1);
	push(3);
	expect_copies(0, 2);
	expect_counted(0, 2, 1);
}

static void opaque_rtcp_makes_no_stream(void **state)
{
	(void)state;
	opaque_call_open();
	struct lab_packet packet = packet_of(SSRC, 1);
	packet.protocol = SRTP_RTCP;
	lab_push(&lab, 0, ALICE, &packet);
	expect_copies(0, 1);
	assert_int_equal(stream_table_used(&lab.relay.streams), 0);
}

// --- senders that begin anew ---

static const struct stream *alices_stream(void)
{
	uint32_t scope = lab.specs[ALICE].mode == LEG_PLAIN ? stream_plain_scope(ALICE, SRTP_RTP)
							    : stream_opaque_scope(ALICE, 0);
	return stream_find(&lab.relay.streams, scope, SSRC);
}

static uint64_t clock_of_packets; // TSC
static unsigned n_heard;          // by Bob, since this was asked last

// Packets from first on, of 10 ms each, whose timestamps are ahead of what their SEQ says.
static void spurt_push(uint64_t first, unsigned n, uint32_t later)
{
	const struct burst_origin received = {.source = BURST_RECEIVED};
	for (unsigned i = 0; i < n; i++) {
		struct lab_packet packet = packet_of(SSRC, first + i);
		packet.later = later;
		struct rte_mbuf *mbuf = lab_packet_frame(&lab, ALICE, &packet);
		lab.relay.workers[0]->now = clock_of_packets += rte_get_tsc_hz() / 100;
		loop_process_vector(lab.relay.workers[0], &received, &mbuf, 1);
		if (i % 512 == 511)
			n_heard += lab_take(&lab, 0, copies);
	}
	n_heard += lab_take(&lab, 0, copies);
}

static void expect_spurt(unsigned heard, uint64_t packets, int64_t lost)
{
	const struct stream *s = alices_stream();
	assert_int_equal(n_heard, heard);
	n_heard = 0;
	assert_int_equal(s->packets, packets);
	assert_int_equal((int64_t)(s->replay.next - s->first_index) - (int64_t)packets, lost);
}

static const uint8_t modes[] = {LEG_PLAIN, LEG_OPAQUE};

// Opens a call without keys, in each mode once.
static void in_each_mode(void (*test)(void))
{
	for (unsigned i = 0; i < RTE_DIM(modes); i++) {
		if (i > 0) {
			lab_close(&lab);
			lab_open(&lab, 2);
		}
		clock_of_packets = UINT64_C(1) << 40;
		n_heard = 0;
		call_open((struct lab_leg){.mode = modes[i]});
		test();
	}
}

// Each spurt has the SEQs of the one before, and whatever timestamps. All are heard; the first packet of each is
// counted in none.
static void spurts_of_same_seqs(void)
{
	static const unsigned lengths[] = {2, 3, 60, 99, 100, 101, 150, 1023, 1024, 1025, 1500};
	static const uint32_t later[] = {1501 * TICK, 320000, 0x7fffffff, 0xf0000000, 12345678};
	uint32_t timestamps = 0;
	spurt_push(0, 150, 0);
	spurt_push(0, 150, 160000);
	expect_spurt(300, 149, 0);
	spurt_push(7, 1500, timestamps = 320000);
	expect_spurt(1500, 1499, 0);
	for (unsigned i = 0; i < RTE_DIM(lengths); i++)
		for (unsigned k = 0; k < RTE_DIM(later); k++) {
			timestamps += later[k];
			spurt_push(1000, lengths[i] + 1, timestamps);
			expect_spurt(lengths[i] + 1, lengths[i], 0);
		}
}

static void spurt_of_same_seqs_is_heard(void **state)
{
	(void)state;
	in_each_mode(spurts_of_same_seqs);
}

// SEQs and timestamps of before, after a pause.
static void spurts_like_before(void)
{
	spurt_push(0, 60, 0);
	for (unsigned n = 0; n < 3; n++) {
		clock_of_packets += 3 * rte_get_tsc_hz();
		spurt_push(0, 60, 0);
	}
	expect_spurt(240, 59, 0);
}

static void spurt_like_the_one_before_is_heard(void **state)
{
	(void)state;
	in_each_mode(spurts_like_before);
}

// One that began before the SEQs that were heard, and one that began among them.
static void spurts_of_other_seqs(void)
{
	spurt_push(1000, 50, 0);
	spurt_push(400, 150, 150 * TICK);
	expect_spurt(50 + 150, 149, 0);
	spurt_push(300, 150, 600 * TICK);
	expect_spurt(150, 149, 0);
	spurt_push(380, 20, 1200 * TICK);
	expect_spurt(20, 19, 0);
}

static void spurt_of_other_seqs_is_heard(void **state)
{
	(void)state;
	in_each_mode(spurts_of_other_seqs);
}

// RFC 3550 A.1: two in sequence, 100 or more behind, whatever their timestamps say.
static void steps_back(void)
{
	spurt_push(1000, 50, 0);
	expect_spurt(50, 50, 0);
	spurt_push(1049 - 100, 2, 100 * TICK);
	spurt_push(951, 10, 100 * TICK);
	expect_spurt(12, 11, 0);
}

static void step_back_is_a_restart(void **state)
{
	(void)state;
	in_each_mode(steps_back);
}

// One stray, and another that is not next to it.
static void strays(void)
{
	spurt_push(5000, 10, 0);
	spurt_push(100, 1, 0x40000000);
	spurt_push(5010, 1, 0);
	spurt_push(101, 1, 0x40000000);
	spurt_push(5011, 1, 0);
	spurt_push(300, 1, 0x40000000);
	spurt_push(305, 1, 0x40000000);
	spurt_push(5012, 1, 0);
	expect_spurt(10 + 7, 13, 0);
}

static void stray_is_no_restart(void **state)
{
	(void)state;
	in_each_mode(strays);
}

// What a network does to one stream: duplicates in a row, and packets that were overtaken by some.
static void disorder(void)
{
	bool plain = lab.specs[ALICE].mode == LEG_PLAIN;
	spurt_push(1000, 60, 0);
	spurt_push(1000, 60, 0);
	expect_spurt(plain ? 60 : 120, 60, 0);
	spurt_push(1100, 59, 0);
	spurt_push(1060, 40, 0);
	expect_spurt(99, 159, 0);
	spurt_push(1060, 99, 0);
	expect_spurt(plain ? 0 : 99, 159, 0);
}

static void disorder_is_no_restart(void **state)
{
	(void)state;
	in_each_mode(disorder);
}

// Frames of 4 packets, sent in another order than shown: a frame's timestamp may be behind that of the one before. Each
// comes twice, and every second one after the next.
static void frames_out_of_order(void)
{
	static const int shown[] = {2, 0, 1, 5, 3, 4, 8, 6, 7, 11, 9, 10};
	enum { FRAME = 4, FRAME_TICKS = 600 };
	for (unsigned i = 0; i < RTE_DIM(shown); i++)
		for (unsigned twice = 0; twice < 2; twice++) {
			unsigned frame = i ^ 1;
			for (unsigned k = 0; k < FRAME; k++) {
				unsigned index = 500 + frame * FRAME + k;
				uint32_t time = (uint32_t)(shown[frame] + 20) * FRAME_TICKS;
				spurt_push(index, 1, time - index * TICK);
			}
		}
	const struct stream *s = alices_stream();
	assert_int_equal(s->packets, RTE_DIM(shown) * FRAME);
}

static void frames_out_of_order_are_no_restart(void **state)
{
	(void)state;
	in_each_mode(frames_out_of_order);
}

static void first_packets_swapped(void)
{
	spurt_push(2, 1, 0);
	spurt_push(1, 1, 0);
	expect_spurt(2, 2, 0);
	spurt_push(3, 10, 0);
	expect_spurt(10, 12, 0);
	spurt_push(20, 1, 0);
	expect_spurt(1, 13, 7);
}

static void first_packets_swapped_are_no_loss(void **state)
{
	(void)state;
	in_each_mode(first_packets_swapped);
}

static void gap_of_a_restart(void)
{
	spurt_push(1000, 50, 0);
	spurt_push(20000, 50, 0);
	expect_spurt(100, lab.specs[ALICE].mode == LEG_PLAIN ? 50 : 49, 0);
	spurt_push(20000 - 600, 50, 0);
	expect_spurt(50, 49, 0);
}

static void jump_of_seq_is_no_loss(void **state)
{
	(void)state;
	in_each_mode(gap_of_a_restart);
}

// The same where a tag tells the index.
static void first_protected_packets_swapped_are_no_loss(void **state)
{
	(void)state;
	const struct lab_key *key = lab_key_add(&lab, 4, 0, false);
	call_open((struct lab_leg){.mode = LEG_SRTP, .key = key});
	push(3);
	push(1);
	push(4);
	const struct stream *s = stream_find(&lab.relay.streams, key->ctx[SRTP_RTP], SSRC);
	assert_int_equal(lab_take(&lab, 0, copies), 3);
	assert_int_equal((int64_t)(s->replay.next - s->first_index) - (int64_t)s->packets, 1);
}

static void restarted_plain_sender_is_counted_anew(void **state)
{
	(void)state;
	call_open((struct lab_leg){.mode = LEG_PLAIN});
	push(20000);
	push(20007);
	push(50); // it may be a stray: heard, not counted
	push(51);
	push(52);
	expect_copies(0, 5);
	const struct stream *s = alices_stream();
	assert_int_equal(s->packets, 2);
	assert_int_equal(s->octets, 2 * (RTP_HEADER_MIN + 40));
	assert_int_equal(s->first_index, SEQUENCE_FIRST_ROC << 16 | 51);
}

static void scope_tells_its_leg(void **state)
{
	(void)state;
	const uint32_t legs[] = {0, 1, 77777, (UINT32_C(1) << STREAM_LEG_BITS) - 1};
	for (unsigned i = 0; i < RTE_DIM(legs); i++) {
		uint32_t scopes[] = {stream_plain_scope(legs[i], SRTP_RTP),
			stream_plain_scope(legs[i], SRTP_RTCP), stream_opaque_scope(legs[i], 0),
			stream_opaque_scope(legs[i], RELAY_WORKERS_MAX - 1)};
		for (unsigned s = 0; s < RTE_DIM(scopes); s++) {
			assert_true(stream_scope_is_leg(scopes[s]));
			assert_int_equal(stream_scope_leg(scopes[s]), legs[i]);
			for (unsigned t = 0; t < s; t++)
				assert_int_not_equal(scopes[s], scopes[t]);
		}
		assert_false(stream_scope_is_leg(legs[i]));
	}
}

// --- copies

// What the port does not take is no sent packet of the leg. Over both ports: one has a VLAN.
static void refused_copies_are_taken_back(uint32_t from, uint32_t to)
{
	struct lab_packet packet = packet_of(SSRC, 0);
	const struct leg_counters *counters = &lab.relay.workers[0]->legs[to];
	unsigned n = 0;
	for (; n < 1536; n++) {
		packet.index = n;
		lab_push(&lab, 0, from, &packet);
		assert_true(counters->tx_packets <= n + 1);
	}
	unsigned sent = lab_take(&lab, 0, copies);
	assert_true(sent < n);
	assert_int_equal(counters->tx_packets, sent);
	assert_int_equal(counters->tx_octets, sent * (RTP_HEADER_MIN + 40));
	assert_int_equal(counters->tx_drops[DROP_TX_FULL - DROP_COPY_FIRST], n - sent);
	assert_true(counters->last_tx_tsc != 0);
}

static void port_refuses_copies(void **state)
{
	(void)state;
	opaque_call_open();
	refused_copies_are_taken_back(ALICE, BOB);
	refused_copies_are_taken_back(BOB, ALICE);
}

static void port_refuses_copies_over_ipv6(void **state)
{
	(void)state;
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_OPAQUE, .ipv6 = true});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_OPAQUE, .ipv6 = true, .port = 1});
	lab_connect(&lab);
	refused_copies_are_taken_back(ALICE, BOB);
}

static void port_that_is_down_gets_nothing(void **state)
{
	(void)state;
	opaque_call_open();
	const struct leg_counters *counters = &lab.relay.workers[0]->legs[BOB];
	struct port *port = &lab.relay.ports[lab.specs[BOB].port];
	atomic_store(&port->down, true);
	for (uint16_t seq = 1; seq <= 5; seq++)
		lab_push(&lab, 0, ALICE,
			&(struct lab_packet){.ssrc = 7, .ctx = KEY_NONE, .index = seq, .len = 20});
	transmit_flush(lab.relay.workers[0], lab.specs[BOB].port);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_PORT_DOWN), 5);
	assert_int_equal(counters->tx_drops[DROP_PORT_DOWN - DROP_COPY_FIRST], 5);
	assert_int_equal(counters->tx_packets, 0);
	assert_int_equal(counters->tx_octets, 0);
	atomic_store(&port->down, false);
	assert_int_equal(lab_take(&lab, 0, copies), 0);
	lab_push(&lab, 0, ALICE,
		&(struct lab_packet){.ssrc = 7, .ctx = KEY_NONE, .index = 6, .len = 20});
	assert_int_equal(lab_take(&lab, 0, copies), 1);
	assert_int_equal(counters->tx_packets, 1);
}

// A frame of the control thread's is nobody's copy.
static void refused_frame_is_no_copy(void **state)
{
	(void)state;
	opaque_call_open();
	uint8_t frame[60] = {};
	for (unsigned i = 0; i < 1536; i++)
		transmit_frame(
			lab.relay.workers[0], 0, lab_raw_frame(&lab, 0, frame, sizeof(frame)));
	assert_true(lab_drops_of(&lab, 0, DROP_TX_FULL) > 0);
	for (uint32_t leg = 0; leg < lab.n_legs; leg++)
		assert_int_equal(
			lab.relay.workers[0]->legs[leg].tx_drops[DROP_TX_FULL - DROP_COPY_FIRST],
			0);
	struct rte_mbuf *mbufs[WORKER_BURST];
	uint16_t n;
	while ((n = rte_eth_rx_burst(lab.relay.ports[0].ethdev, 0, mbufs, WORKER_BURST)) > 0)
		rte_pktmbuf_free_bulk(mbufs, n);
}

#define in_lab(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_lab(jitter_of_opaque_media),
		in_lab(jitter_of_even_media),
		in_lab(jitter_of_plain_media),
		in_lab(jitter_of_protected_media),
		cmocka_unit_test(jitter_wraps),
		cmocka_unit_test(jitter_recovers_from_jump),
		cmocka_unit_test(jitter_of_seconds),
		cmocka_unit_test(clock_factor_fits),
		in_lab(opaque_duplicate_is_forwarded_not_counted),
		in_lab(opaque_loss_and_order),
		in_lab(opaque_first_packet_overtaken_at_wrap),
		in_lab(opaque_sender_restarts),
		in_lab(opaque_gap_is_loss),
		in_lab(opaque_without_tokens_is_forwarded),
		in_lab(opaque_leaves_room_for_others),
		in_lab(opaque_is_counted_by_who_sees_it),
		in_lab(opaque_with_unverified_key_is_counted),
		in_lab(opaque_rtcp_makes_no_stream),
		in_lab(spurt_of_same_seqs_is_heard),
		in_lab(spurt_like_the_one_before_is_heard),
		in_lab(spurt_of_other_seqs_is_heard),
		in_lab(step_back_is_a_restart),
		in_lab(stray_is_no_restart),
		in_lab(disorder_is_no_restart),
		in_lab(frames_out_of_order_are_no_restart),
		in_lab(first_packets_swapped_are_no_loss),
		in_lab(jump_of_seq_is_no_loss),
		in_lab(first_protected_packets_swapped_are_no_loss),
		in_lab(restarted_plain_sender_is_counted_anew),
		cmocka_unit_test(scope_tells_its_leg),
		in_lab(port_refuses_copies),
		in_lab(port_refuses_copies_over_ipv6),
		in_lab(port_that_is_down_gets_nothing),
		in_lab(refused_frame_is_no_copy),
	};
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
