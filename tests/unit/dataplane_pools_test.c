// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// The rings and buffers that legs and ports share: who takes all that he can, and what others keep (docs/security.md).

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <rte_ip.h>
#include <rte_mempool.h>

#include "tests/unit/dataplane_lab.h"

enum { SSRC = 0x11223344, GUK_ID = 0x0abc0001 };
enum { MINE, OTHERS_WORKER, WORKERS };
enum { ALICE, BOB, CAROL, OTHERS };
enum { PORT_PART = (PUNT_SIZE - 1) / LAB_PORTS };

static struct lab lab;
static struct lab_copy *copies;
static const struct lab_key *alice_key, *gmk;

static struct worker *worker(unsigned id)
{
	return lab.relay.workers[id];
}

static int setup(void **state)
{
	(void)state;
	lab_open(&lab, WORKERS);
	copies = calloc(LAB_COPIES, sizeof(*copies));
	return copies ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(copies);
	lab_close(&lab);
	return 0;
}

// Alice and Carol under a key, Bob in plain, and so many others under a GMK of which no user is known yet.
static void call_open(unsigned others)
{
	alice_key = lab_key_add(&lab, 4, 0, false);
	gmk = lab_key_add(&lab, 8, 0, true);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = alice_key, .learn = true});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = alice_key});
	for (unsigned i = 0; i < others; i++)
		lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = gmk, .ipv6 = i % 2});
	lab_connect(&lab);
	for (unsigned i = 0; i < WORKERS; i++)
		worker(i)->tsc_hz = UINT64_C(1) << 62; // no token comes back while the test runs
}

static void push(unsigned at, uint32_t leg, uint32_t ssrc, uint64_t index, uint16_t source_port)
{
	const struct lab_packet packet = {.len = 20,
		.ssrc = ssrc,
		.ctx = alice_key->ctx[SRTP_RTP],
		.index = index,
		.mki_len = 4,
		.source_port = source_port};
	lab_push(&lab, (uint8_t)at, leg, &packet);
}

// How many copies Bob got since the last look.
static unsigned bob_heard(unsigned at)
{
	unsigned n = lab_take(&lab, (uint8_t)at, copies), heard = 0;
	for (unsigned i = 0; i < n; i++)
		heard += copies[i].leg == BOB;
	return heard;
}

// The first word of somebody for whom there is no context yet.
static void push_talker(unsigned at, uint32_t leg, uint32_t guk_id, uint64_t index)
{
	uint32_t ctx[SRTP_N_PROTOCOLS];
	lab_talker_add(&lab, gmk, guk_id, 0, ctx);
	const struct lab_packet packet = {
		.len = 20, .ssrc = SSRC, .ctx = ctx[SRTP_RTP], .index = index, .mki_len = 8};
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, leg, &packet);
	lab_talker_remove(&lab, ctx);
	loop_process_burst(worker(at), &mbuf, 1);
}

// --- frames for the control thread

static void punt(uint8_t port, const uint8_t *frame, uint16_t len, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct rte_mbuf *mbuf = lab_raw_frame(&lab, port, frame, len);
		loop_process_burst(worker(i % WORKERS), &mbuf, 1);
	}
}

static void punt_arp(uint8_t port, unsigned n)
{
	uint8_t frame[60] = {[12] = 0x08, 0x06};
	const uint8_t tagged[60] = {[12] = 0x81, 0x00, 0x00, LAB_VLAN, 0x08, 0x06};
	punt(port, port == 0 ? frame : tagged, sizeof(frame), n);
}

// An echo request to the relay at port 0.
static void punt_echo(unsigned n)
{
	uint8_t frame[60] = {[12] = 0x08,
		0x00,
		0x45,
		0,
		0,
		46,
		0,
		0,
		0,
		0,
		64,
		IPPROTO_ICMP,
		0,
		0,
		10,
		0,
		0,
		9,
		10,
		0,
		0,
		1,
		8};
	struct rte_ipv4_hdr ip;
	memcpy(frame, &lab.relay.ports[0].mac, 6);
	memcpy(&ip, frame + 14, sizeof(ip));
	ip.hdr_checksum = rte_ipv4_cksum(&ip);
	memcpy(frame + 14, &ip, sizeof(ip));
	punt(0, frame, sizeof(frame), n);
}

// A general query for group members (RFC 3376 4.1), with Router Alert, at port 0.
static void punt_query(unsigned n)
{
	uint8_t frame[60] = {0x01, 0x00, 0x5e, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x08, 0x00, 0x46, 0xc0, 0,
		32, 0, 0, 0, 0, 1, IPPROTO_IGMP, 0, 0, 10, 0, 0, 9, 224, 0, 0, 1, 0x94, 4, 0, 0,
		0x11};
	const uint16_t sum = (uint16_t)~rte_raw_cksum(frame + 14, 24);
	memcpy(frame + 24, &sum, sizeof(sum));
	punt(0, frame, sizeof(frame), n);
}

static uint64_t refused(void)
{
	return lab_drops_of(&lab, MINE, DROP_PUNT_FULL) +
	       lab_drops_of(&lab, OTHERS_WORKER, DROP_PUNT_FULL);
}

static void a_flooded_port_leaves_others_their_part(void **state)
{
	(void)state;
	call_open(0);
	punt_arp(0, 2 * PUNT_SIZE);
	assert_int_equal(rte_ring_count(lab.relay.punt), PORT_PART);
	assert_int_equal(refused(), 2 * PUNT_SIZE - PORT_PART);
	punt_arp(1, PORT_PART);
	assert_int_equal(rte_ring_count(lab.relay.punt), 2 * PORT_PART);
	assert_int_equal(refused(), 2 * PUNT_SIZE - PORT_PART);
	while (rte_ring_count(lab.relay.punt) > 0)
		relay_poll_network(&lab.relay, 0);
	assert_int_equal(lab.relay.punted[0], 0);
	assert_int_equal(lab.relay.punted[1], 0);
	punt_arp(0, 1);
	assert_int_equal(rte_ring_count(lab.relay.punt), 1);
}

static void echo_requests_leave_half_of_a_ports_part(void **state)
{
	(void)state;
	call_open(0);
	punt_echo(2 * PUNT_SIZE);
	assert_int_equal(rte_ring_count(lab.relay.punt), PORT_PART / 2);
	punt_arp(0, PORT_PART - PORT_PART / 2);
	assert_int_equal(rte_ring_count(lab.relay.punt), PORT_PART);
	assert_int_equal(refused(), 2 * PUNT_SIZE - PORT_PART / 2);
}

static void queries_leave_a_quarter_of_a_ports_part(void **state)
{
	(void)state;
	call_open(0);
	punt_query(2 * PUNT_SIZE);
	assert_int_equal(rte_ring_count(lab.relay.punt), PORT_PART * 3 / 4);
	punt_arp(0, PORT_PART - PORT_PART * 3 / 4);
	assert_int_equal(rte_ring_count(lab.relay.punt), PORT_PART);
	assert_int_equal(refused(), 2 * PUNT_SIZE - PORT_PART * 3 / 4);
}

// --- mail

static unsigned asked(unsigned at)
{
	struct control_mail mail;
	unsigned n = 0;
	while (control_mail_take(&worker(at)->mailbox, &mail))
		n += mail.type == MAIL_DERIVE;
	return n;
}

// Each packet of an authentic sender comes from another port, while the control thread is busy: the contexts of first
// words are asked for all the same, as many as there may be at once.
static void who_moves_all_the_time_silences_nobody(void **state)
{
	uint64_t held;
	(void)state;
	call_open(4);
	for (unsigned i = 0; i < MAILBOX_SIZE + 100; i++) {
		push(MINE, ALICE, SSRC, 1 + i, (uint16_t)(20000 + i));
		if (i % 64 == 0)
			bob_heard(MINE);
	}
	assert_int_equal(worker(MINE)->legs[ALICE].rx_packets, MAILBOX_SIZE + 100);
	for (uint32_t leg = OTHERS; leg < lab.n_legs; leg++)
		for (unsigned i = 0; i < HOLD_SLOTS_PER_LEG; i++) {
			held = worker(MINE)->counters.held;
			push_talker(MINE, leg, GUK_ID + 16 * leg + i, 1);
			assert_int_equal(worker(MINE)->counters.held, held + 1);
		}
	assert_int_equal(lab_drops_of(&lab, MINE, DROP_DERIVE_LIMIT), 0);
	assert_int_equal(asked(MINE), 4 * HOLD_SLOTS_PER_LEG);
}

static void there_is_room_to_ask_for_each_slot(void **state)
{
	struct control_mail other = {.type = MAIL_LEARN}, ask = {.type = MAIL_DERIVE};
	struct mailbox *mailbox = &worker(MINE)->mailbox;
	unsigned n = 0;
	(void)state;
	call_open(0);
	while (control_mail_put(mailbox, &other))
		n++;
	assert_true(n > MAILBOX_SIZE / 2);
	for (unsigned i = 0; i < HOLD_SLOTS; i++)
		assert_true(control_mail_put(mailbox, &ask));
	assert_int_equal(asked(MINE), HOLD_SLOTS);
}

static void frames_leave_room_for_answers(void **state)
{
	struct worker_mail frame = {.type = MAIL_SSRC}, answer = {.type = MAIL_RESUME};
	struct mailbox *mailbox = &worker(MINE)->mailbox;
	unsigned n = 0;
	(void)state;
	call_open(0);
	while (worker_mail_put(mailbox, &frame))
		n++;
	assert_true(n > MAILBOX_SIZE / 2);
	for (unsigned i = 0; i < HOLD_SLOTS; i++)
		assert_true(worker_mail_put(mailbox, &answer));
	while (worker_mail_take(mailbox, &frame))
		;
}

// --- frames handed over, and the buffers of all that waits

// Who fills the ring to another worker takes it from others who need that ring, until it is taken; what comes to the
// worker that has the stream is not concerned.
static void a_full_handoff_ring_concerns_only_what_is_handed_over(void **state)
{
	enum { N = HANDOFF_SIZE + 100 };
	(void)state;
	call_open(0);
	push(MINE, ALICE, SSRC, 1, 0);
	push(MINE, CAROL, SSRC + 1, 1, 0);
	assert_int_equal(bob_heard(MINE), 2);
	for (unsigned i = 0; i < N; i++)
		push(OTHERS_WORKER, ALICE, SSRC, 2 + i, 0);
	assert_int_equal(
		lab_drops_of(&lab, OTHERS_WORKER, DROP_HANDOFF_FULL), N - (HANDOFF_SIZE - 1));
	push(OTHERS_WORKER, CAROL, SSRC + 1, 2, 0);
	assert_int_equal(worker(OTHERS_WORKER)->legs[CAROL].drops[DROP_HANDOFF_FULL], 1);
	push(MINE, CAROL, SSRC + 1, 3, 0);
	assert_int_equal(bob_heard(MINE), 1);
	lab_push_handed_over(&lab, MINE);
	assert_int_equal(bob_heard(MINE), WORKER_BURST);
	push(OTHERS_WORKER, CAROL, SSRC + 1, 4, 0);
	assert_int_equal(worker(OTHERS_WORKER)->legs[CAROL].drops[DROP_HANDOFF_FULL], 1);
}

// Next hops of which nothing is known but that they were asked for.
static void hops_silence(uint32_t first, uint32_t n)
{
	for (uint32_t leg = first; leg < first + n; leg++)
		atomic_store(&lab.relay.neighbours.entries[leg].mac, NEIGHBOUR_PENDING);
}

// At each worker as much waits as can for a key context, for next hops and for the worker that has the stream.
static void what_waits_leaves_buffers(void **state)
{
	enum { HOPS = 5, TALKERS = 4, LEFT = 3000 };
	unsigned rest = 0;
	(void)state;
	call_open(TALKERS);
	for (unsigned i = 0; i < HOPS; i++)
		lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN, .ipv6 = i % 2});
	lab_connect(&lab);
	hops_silence(OTHERS + TALKERS, HOPS);
	for (unsigned at = 0; at < WORKERS; at++)
		for (unsigned i = 0; i < HOP_COPIES_TOTAL; i++) {
			push(at, ALICE, SSRC + at, 1 + i, 0);
			if (i % 64 == 63)
				bob_heard(at);
		}
	for (unsigned at = 0; at < WORKERS; at++) {
		bob_heard(at);
		for (uint32_t leg = OTHERS; leg < OTHERS + TALKERS; leg++)
			for (unsigned i = 0; i < HOLD_PACKETS; i++)
				push_talker(at, leg, GUK_ID + leg, i);
		for (unsigned i = 0; i < HANDOFF_SIZE; i++)
			push(at, ALICE, SSRC + (1 - at), 5000 + i, 0);
	}
	for (unsigned at = 0; at < WORKERS; at++) {
		assert_int_equal(rte_ring_count(worker(at)->handoff), HANDOFF_SIZE - 1);
		// Of the legs that there are: more of them would have the rest.
		rest += HOP_COPIES_TOTAL - worker(at)->hops.n_copies;
		rest += HOLD_TOTAL - worker(at)->n_held;
	}
	assert_true(rest < WORKERS * (HOLD_TOTAL + HOP_COPIES_TOTAL) / 2);
	assert_true(rte_mempool_avail_count(lab.relay.pool) >= WORKERS * LEFT + rest);
	push(MINE, ALICE, SSRC, 2000, 0);
	assert_int_equal(bob_heard(MINE), 1);
	assert_int_equal(lab_drops_of(&lab, MINE, DROP_NO_BUFFER), 0);
}

#define in_lab(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_lab(a_flooded_port_leaves_others_their_part),
		in_lab(echo_requests_leave_half_of_a_ports_part),
		in_lab(queries_leave_a_quarter_of_a_ports_part),
		in_lab(who_moves_all_the_time_silences_nobody),
		in_lab(there_is_room_to_ask_for_each_slot),
		in_lab(frames_leave_room_for_answers),
		in_lab(a_full_handoff_ring_concerns_only_what_is_handed_over),
		in_lab(what_waits_leaves_buffers),
	};
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
