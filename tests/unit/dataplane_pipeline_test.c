// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>
#include <rte_crypto.h>
#include <rte_ethdev.h>
#include <rte_rcu_qsbr.h>

#include "dataplane/cryptodev.h"
#include "dataplane/device_queue.h"
#include "tests/unit/dataplane_lab.h"

// A worker with a crypto device that does the work and keeps the results for as long as a test wants: in front
// of the real one stands one that takes so many operations and gives back so many, in their order or not.

uint16_t __real_cryptodev_enqueue(
	struct cryptodev *device, uint16_t queue_pair, struct rte_crypto_op *ops[], uint16_t n);
uint16_t __real_cryptodev_dequeue(
	struct cryptodev *device, uint16_t queue_pair, struct rte_crypto_op *ops[], uint16_t n);
void __real_transmit_copy(struct worker *worker, uint8_t port, struct rte_mbuf *mbuf, uint32_t leg);
uint16_t __wrap_cryptodev_enqueue(
	struct cryptodev *device, uint16_t queue_pair, struct rte_crypto_op *ops[], uint16_t n);
uint16_t __wrap_cryptodev_dequeue(
	struct cryptodev *device, uint16_t queue_pair, struct rte_crypto_op *ops[], uint16_t n);
void __wrap_transmit_copy(struct worker *worker, uint8_t port, struct rte_mbuf *mbuf, uint32_t leg);

enum {
	SSRC = 0x11223344,
	ALL = UINT16_MAX,
	HELD_MAX = 2048,
	SENT_MAX = 8192,
	RING_MAX = 512, // frames that lab_take() gets back at once
};

static struct {
	uint16_t takes, gives; // operations a call
	bool backwards;        // gives the newest first
	uint8_t status;        // with which it gives all, if that is not success
	struct rte_crypto_op *held[HELD_MAX];
	unsigned n_held;
} device;

static struct lab lab;
static struct lab_copy copies[LAB_COPIES];

// What the worker sent, in its order.
static struct {
	struct rte_mbuf *mbufs[SENT_MAX];
	uint8_t ports[SENT_MAX];
	unsigned n, taken;
} sent;

uint16_t __wrap_cryptodev_enqueue(
	struct cryptodev *dev, uint16_t queue_pair, struct rte_crypto_op *ops[], uint16_t n)
{
	if (n > device.takes)
		n = device.takes;
	assert_true(device.n_held + n <= HELD_MAX);
	for (uint16_t i = 0; i < n; i++) {
		assert_int_equal(__real_cryptodev_enqueue(dev, queue_pair, &ops[i], 1), 1);
		while (__real_cryptodev_dequeue(dev, queue_pair, &device.held[device.n_held], 1) ==
			0)
			continue;
		device.n_held++;
	}
	return n;
}

uint16_t __wrap_cryptodev_dequeue(
	struct cryptodev *dev, uint16_t queue_pair, struct rte_crypto_op *ops[], uint16_t n)
{
	(void)dev;
	(void)queue_pair;
	if (n > device.gives)
		n = device.gives;
	if (n > device.n_held)
		n = (uint16_t)device.n_held;
	for (uint16_t i = 0; i < n; i++) {
		ops[i] = device.held[device.backwards ? device.n_held - 1U - i : i];
		if (device.status != RTE_CRYPTO_OP_STATUS_SUCCESS)
			ops[i]->status = device.status;
	}
	device.n_held -= n;
	if (!device.backwards)
		memmove(device.held, device.held + n, device.n_held * sizeof(device.held[0]));
	return n;
}

void __wrap_transmit_copy(struct worker *worker, uint8_t port, struct rte_mbuf *mbuf, uint32_t leg)
{
	(void)worker;
	(void)leg;
	assert_true(sent.n < SENT_MAX);
	sent.ports[sent.n] = port;
	sent.mbufs[sent.n++] = mbuf;
}

static struct worker *worker(void)
{
	return lab.relay.workers[0];
}

static int setup(void **state)
{
	(void)state;
	device.takes = device.gives = ALL;
	device.backwards = false;
	device.status = RTE_CRYPTO_OP_STATUS_SUCCESS;
	device.n_held = 0;
	sent.n = sent.taken = 0;
	lab_open(&lab, 1);
	assert_non_null(lab.relay.cryptodev);
	worker_online(worker());
	return 0;
}

// lab_close() checks that all buffers came back.
static int teardown_in_flight(void **state)
{
	(void)state;
	assert_int_equal(sent.taken, sent.n);
	worker_offline(worker());
	pipeline_free(worker()->pipeline);
	worker()->pipeline = NULL;
	lab_close(&lab);
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(pipeline_in_flight(worker()->pipeline), 0);
	return teardown_in_flight(state);
}

// --- a call

enum { ALICE, BOB };

static const struct lab_key *keys[LAB_KEYS];

// Alice, and so many others each with a key of their own.
static void call_open(unsigned others)
{
	for (unsigned i = 0; i <= others; i++) {
		keys[i] = lab_key_add(&lab, 4, 0, false);
		lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = keys[i]});
	}
	lab_connect(&lab);
}

// Every fourth has no payload: the device is not for it.
static struct lab_packet rtp_of(unsigned leg, uint64_t index)
{
	return (struct lab_packet){
		.len = index % 4 == 3 ? 0 : 160,
		.ssrc = SSRC,
		.ctx = keys[leg]->ctx[SRTP_RTP],
		.index = index,
		.mki_len = 4,
	};
}

static struct rte_mbuf *frame_of(uint64_t index)
{
	struct lab_packet packet = rtp_of(ALICE, index);
	return lab_packet_frame(&lab, ALICE, &packet);
}

static void push(uint64_t index)
{
	struct rte_mbuf *mbuf = frame_of(index);
	loop_process_burst(worker(), &mbuf, 1);
}

// Does what a worker does from burst to burst, but for its ports.
static void turn(void)
{
	pipeline_turn(worker());
	pipeline_quiesce(worker());
}

static void finish(void)
{
	while (pipeline_in_flight(worker()->pipeline) > 0)
		turn();
}

// The next copies sent, RING_MAX at most, as lab_take() reads them.
static unsigned sent_take(void)
{
	unsigned n = RTE_MIN(sent.n - sent.taken, (unsigned)RING_MAX);
	for (unsigned i = 0; i < n; i++, sent.taken++)
		__real_transmit_copy(
			worker(), sent.ports[sent.taken], sent.mbufs[sent.taken], LEG_NONE);
	assert_int_equal(lab_take(&lab, 0, copies), n);
	return n;
}

// That all others got the indices from 1 on in their order, and nothing else.
static void expect_in_order(unsigned others, uint64_t last)
{
	uint64_t next[LAB_LEGS] = {};
	unsigned n;
	while ((n = sent_take()) > 0)
		for (unsigned i = 0; i < n; i++) {
			struct lab_packet packet = rtp_of(copies[i].leg, ++next[copies[i].leg]);
			assert_true(lab_copy_is(&lab, &copies[i], &packet));
		}
	for (unsigned leg = 1; leg <= others; leg++)
		assert_int_equal(next[leg], last);
	assert_int_equal(next[ALICE], 0);
	assert_int_equal(lab_drops(&lab, 0), 0);
}

// --- order

static void keeps_order_whatever_the_device_takes(void **state)
{
	enum { N = 400 };
	(void)state;
	call_open(1);
	device.takes = 1;
	device.gives = 0;
	for (uint64_t i = 1; i <= N; i++) {
		push(i);
		if (i % 3 == 0)
			device.gives = (uint16_t)(i % 7);
		turn();
	}
	assert_true(pipeline_counters(worker()->pipeline)->waits > 0);
	device.gives = 1;
	finish();
	assert_int_equal(pipeline_counters(worker()->pipeline)->direct_ops, 2 * (N / 4));
	expect_in_order(1, N);
}

static void keeps_order_whatever_the_device_gives_first(void **state)
{
	enum { N = 300 };
	(void)state;
	call_open(1);
	device.gives = 0;
	device.backwards = true;
	for (uint64_t i = 1; i <= N; i++)
		push(i);
	turn();
	assert_int_equal(sent.n, 0);
	device.gives = 5;
	finish();
	expect_in_order(1, N);
}

// More is made of the packets than the outbound FIFO has room for.
static void serves_many_groups_with_a_small_queue(void **state)
{
	enum { N = 400, OTHERS = 7 };
	(void)state;
	static_assert((int)N * OTHERS > (int)PIPELINE_JOBS, "the FIFO becomes full");
	static_assert((int)PIPELINE_JOBS % OTHERS != 0, "in the middle of a packet");
	call_open(OTHERS);
	device.takes = 3;
	for (uint64_t i = 1; i <= N; i++)
		push(i);
	device.gives = ALL;
	while (pipeline_room(worker()->pipeline) < PIPELINE_PACKETS - 32) {
		device.takes = 64;
		device.gives = sent.n == 0 ? 48 : 3;
		turn();
	}
	finish();
	expect_in_order(OTHERS, N);
}

// --- back-pressure

// The port's receive ring, which net_ring shares with its transmit side.
static void receive(uint64_t first, uint64_t last)
{
	for (uint64_t i = first; i <= last; i++) {
		struct rte_mbuf *mbuf = frame_of(i);
		assert_int_equal(rte_eth_tx_burst(lab.relay.ports[0].ethdev, 0, &mbuf, 1), 1);
	}
}

static void takes_no_more_than_there_is_room_for(void **state)
{
	enum { N = 1000 };
	uint64_t before;
	(void)state;
	call_open(1);
	device.takes = 8;
	device.gives = 0;
	receive(1, N);
	do {
		before = worker()->counters.rx_packets;
		loop_turn(worker());
	} while (worker()->counters.rx_packets > before);
	assert_true(before < PIPELINE_PACKETS && before >= PIPELINE_PACKETS / 3);
	// Mail is read all the same.
	struct worker_mail mail = {.type = MAIL_SSRC, .value = 1};
	assert_true(worker_mail_put(&worker()->mailbox, &mail));
	loop_turn(worker());
	assert_int_equal(worker()->n_ssrcs, 1);
	device.gives = 8;
	while (worker()->counters.rx_packets < N)
		loop_turn(worker());
	finish();
	expect_in_order(1, N);
}

// --- packets that waited for their key

static void held_packets_count_in_no_jitter(void **state)
{
	enum { GUK_ID = 0x0abc0001, USER = 5 };
	struct control_mail mail;
	uint32_t ctx[SRTP_N_PROTOCOLS];
	(void)state;
	const struct lab_key *gmk = lab_key_add(&lab, 8, 0, true);
	keys[BOB] = lab_key_add(&lab, 4, 0, false);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = gmk});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = keys[BOB]});
	lab_connect(&lab);
	lab_talker_add(&lab, gmk, GUK_ID, 0, ctx); // so that the packet can be written
	struct lab_packet packet = {
		.len = 160, .ssrc = SSRC, .ctx = ctx[SRTP_RTP], .index = 1, .mki_len = 8};
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, ALICE, &packet);
	lab_talker_remove(&lab, ctx);
	loop_process_burst(worker(), &mbuf, 1);
	assert_true(control_mail_take(&worker()->mailbox, &mail));
	lab_talker_add(&lab, gmk, GUK_ID, USER, ctx);
	struct worker_mail answer = {.type = MAIL_RESUME, .value = mail.derive.slot};
	loop_resume(worker(), &answer);
	finish();
	const struct stream *s = stream_find(&lab.relay.streams, ctx[SRTP_RTP], SSRC);
	assert_non_null(s);
	assert_int_equal(s->packets, 1);
	assert_false(s->jitter.known);
	packet.ctx = ctx[SRTP_RTP];
	packet.index = 2;
	lab_push(&lab, 0, ALICE, &packet);
	finish();
	assert_true(s->jitter.known);
	assert_int_equal(sent_take(), 2);
}

// --- what is checked before and after

static void drops_second_copy_in_flight(void **state)
{
	(void)state;
	call_open(1);
	push(1);
	finish(); // the stream is born
	device.gives = 0;
	push(2);
	push(2);
	assert_int_equal(lab_drops(&lab, 0), 0); // neither was seen before
	device.gives = ALL;
	finish();
	assert_int_equal(lab_drops_of(&lab, 0, DROP_REPLAYED), 1);
	assert_int_equal(lab_drops(&lab, 0), 1);
	assert_int_equal(worker()->legs[ALICE].rx_packets, 2); // not only kept from leaving twice
	assert_int_equal(sent_take(), 2);
}

static void drops_second_copy_of_first_packet_in_flight(void **state)
{
	(void)state;
	call_open(1);
	device.gives = 0;
	push(1);
	push(1);
	device.gives = ALL;
	finish();
	assert_int_equal(lab_drops_of(&lab, 0, DROP_REPLAYED), 1);
	assert_int_equal(worker()->legs[ALICE].rx_packets, 1);
	assert_int_equal(sent_take(), 1);
}

// All that is in flight is told its index by what comes back before it.
static void wraps_while_first_packets_are_in_flight(void **state)
{
	enum { N = 100, FIRST = 65500 };
	(void)state;
	call_open(1);
	device.gives = 0;
	for (uint64_t i = FIRST; i < FIRST + N; i++)
		push(i);
	device.gives = 3;
	finish();
	assert_int_equal(lab_drops(&lab, 0), 0);
	assert_int_equal(sent_take(), N);
	for (uint64_t i = 0; i < N; i++) {
		struct lab_packet packet = rtp_of(BOB, FIRST + i);
		assert_true(lab_copy_is(&lab, &copies[i], &packet));
	}
}

// Octet at of the packet with that index has another bit.
static void push_forged(uint64_t index, uint16_t at)
{
	struct rte_mbuf *mbuf = frame_of(index);
	uint16_t headers = mbuf->data_len - (RTP_HEADER_MIN + 160 + SRTP_GCM_TAG_LEN + 4);
	rte_pktmbuf_mtod(mbuf, uint8_t *)[headers + at] ^= 1;
	loop_process_burst(worker(), &mbuf, 1);
}

static void drops_forged_among_others(void **state)
{
	static const uint16_t places[] = {1, RTP_HEADER_MIN, RTP_HEADER_MIN + 159,
		RTP_HEADER_MIN + 160, RTP_HEADER_MIN + 160 + SRTP_GCM_TAG_LEN - 1};
	(void)state;
	call_open(1);
	device.gives = 0;
	for (unsigned i = 0; i < RTE_DIM(places); i++) {
		push_forged(4 * i + 2, places[i]);
		push(4 * i + 1);
	}
	device.gives = ALL;
	finish();
	assert_int_equal(lab_drops_of(&lab, 0, DROP_AUTH_FAIL), RTE_DIM(places));
	assert_int_equal(lab_drops(&lab, 0), RTE_DIM(places));
	assert_int_equal(sent_take(), RTE_DIM(places));
	for (unsigned i = 0; i < RTE_DIM(places); i++) {
		struct lab_packet packet = rtp_of(BOB, 4 * i + 1);
		assert_true(lab_copy_is(&lab, &copies[i], &packet));
	}
}

// --- a device that fails

// Operations until the tag of a packet is verified.
static unsigned passes(void)
{
	return lab.relay.cryptodev->compares ? 1 : 2;
}

// Takes packets with a payload to where the device has done what it does with them first, or with their copies.
static void device_fails_at(unsigned operations)
{
	device.gives = 0;
	for (uint64_t i = 0; i < 3; i++)
		push(4 * i + 1);
	turn();
	device.gives = ALL;
	for (unsigned n = 0; n < operations; n++)
		pipeline_turn(worker());
	device.status = RTE_CRYPTO_OP_STATUS_ERROR;
	pipeline_turn(worker());
	device.status = RTE_CRYPTO_OP_STATUS_SUCCESS;
	finish();
	assert_int_equal(lab_drops_of(&lab, 0, DROP_CIPHER_FAIL), 3);
	assert_int_equal(lab_drops(&lab, 0), 3);
	assert_int_equal(sent.n, 0);
	push(14);
	finish();
	assert_int_equal(sent_take(), 1);
	struct lab_packet packet = rtp_of(BOB, 14);
	assert_true(lab_copy_is(&lab, &copies[0], &packet));
}

static void drops_what_the_device_fails_to_decrypt(void **state)
{
	(void)state;
	call_open(1);
	device_fails_at(0);
	assert_int_equal(worker()->legs[ALICE].rx_packets, 1); // nothing of the others was believed
}

static void drops_what_the_device_fails_to_compute_the_tag_of(void **state)
{
	(void)state;
	if (lab.relay.cryptodev->compares)
		skip();
	call_open(1);
	device_fails_at(1);
	assert_int_equal(worker()->legs[ALICE].rx_packets, 1);
}

static void drops_what_the_device_fails_to_encrypt(void **state)
{
	(void)state;
	call_open(1);
	device_fails_at(passes());
	assert_int_equal(worker()->legs[ALICE].rx_packets, 4);
}

// --- the end

// In slots in which dropped and served packets were before, too.
static void frees_what_is_in_flight(void **state)
{
	uint64_t index = 1;
	(void)state;
	call_open(2);
	for (; index <= PIPELINE_PACKETS; index++) {
		push(index);
		finish();
		while (sent_take() > 0)
			continue;
	}
	device.takes = 0;
	for (; index <= PIPELINE_PACKETS + 20; index++)
		push(index);
	turn();
	assert_int_equal(pipeline_in_flight(worker()->pipeline), 20);
}

// The packet has left the inbound FIFO, its copies are in the outbound one.
static void frees_copies_in_flight(void **state)
{
	(void)state;
	call_open(2);
	push(1);
	for (unsigned n = 0; n < passes(); n++)
		turn();
	device.takes = 0;
	turn();
	assert_int_equal(worker()->legs[ALICE].rx_packets, 1);
	assert_int_equal(pipeline_in_flight(worker()->pipeline), 2);
}

// --- grace periods

static bool grace_period_ended(uint64_t token)
{
	return rte_rcu_qsbr_check(lab.relay.rcu, token, false) == 1;
}

// With a device that always has something grace periods end, and none before what was in flight has left.
static void grace_period_lasts_as_long_as_what_was_in_flight(void **state)
{
	uint64_t index = 1;
	(void)state;
	call_open(1);
	device.gives = 0;
	push(index);
	turn();
	uint64_t token = rte_rcu_qsbr_start(lab.relay.rcu);
	for (; index < 50; index++) {
		turn();
		push(4 * index);
		assert_false(grace_period_ended(token));
	}
	device.gives = 3;
	while (!grace_period_ended(token)) {
		for (; pipeline_in_flight(worker()->pipeline) < 50; index++)
			push(4 * index);
		turn();
		assert_true(index < 500);
	}
	assert_true(sent.n > 0);
	assert_true(pipeline_in_flight(worker()->pipeline) > 0);
	device.gives = ALL;
	finish();
	while (sent_take() > 0)
		continue;
}

// A packet that has become a copy to protect refers to its leg and fan-out still.
static void grace_period_lasts_until_copies_have_left(void **state)
{
	(void)state;
	call_open(1);
	push(1);
	while (worker()->counters.drops[0] == 0 && worker()->legs[ALICE].rx_packets == 0)
		turn();
	device.gives = 0; // the packet is verified, its copy at the device
	turn();
	assert_int_equal(sent.n, 0);
	uint64_t token = rte_rcu_qsbr_start(lab.relay.rcu);
	for (unsigned i = 0; i < 10; i++)
		turn();
	assert_false(grace_period_ended(token));
	device.gives = ALL;
	finish();
	assert_true(grace_period_ended(token));
	assert_int_equal(sent_take(), 1);
}

static void grace_period_ends_with_an_idle_device(void **state)
{
	(void)state;
	call_open(1);
	uint64_t token = rte_rcu_qsbr_start(lab.relay.rcu);
	assert_false(grace_period_ended(token));
	turn();
	assert_true(grace_period_ended(token));
}

// --- a device that does not answer

static void buffers_return(void)
{
	for (unsigned i = 0; i < device.n_held; i++) {
		rte_pktmbuf_free(device.held[i]->sym->m_src);
		rte_pktmbuf_free(device.held[i]->sym->m_dst);
	}
	device.n_held = 0;
}

static void goes_on_without_a_device_that_stalls(void **state)
{
	(void)state;
	call_open(1);
	device.takes = 5;
	device.gives = 0;
	for (uint64_t i = 1; i <= 20; i++)
		push(4 * i);
	uint64_t token = rte_rcu_qsbr_start(lab.relay.rcu);
	while (!pipeline_has_stalled(worker()->pipeline)) {
		assert_false(grace_period_ended(token));
		device.takes = device.n_held == 0 ? 5 : 0;
		turn();
	}
	device.takes = 0;
	finish();
	assert_true(grace_period_ended(token));
	assert_int_equal(lab_drops_of(&lab, 0, DROP_CIPHER_FAIL), 5); // that it had
	push(4 * 21);
	finish();
	assert_int_equal(lab_drops(&lab, 0), 5);
	assert_int_equal(sent_take(), 16);
	for (unsigned i = 0; i < 16; i++) {
		struct lab_packet packet = rtp_of(BOB, 4 * (i + 6));
		assert_true(lab_copy_is(&lab, &copies[i], &packet));
	}
	buffers_return();
}

static void notices_a_device_that_takes_nothing(void **state)
{
	(void)state;
	call_open(1);
	device.takes = 0;
	push(1);
	push(2);
	while (!pipeline_has_stalled(worker()->pipeline))
		turn();
	finish();
	expect_in_order(1, 2);
}

#define in_lab(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_lab(keeps_order_whatever_the_device_takes),
		in_lab(keeps_order_whatever_the_device_gives_first),
		in_lab(serves_many_groups_with_a_small_queue),
		in_lab(takes_no_more_than_there_is_room_for),
		in_lab(held_packets_count_in_no_jitter),
		in_lab(drops_second_copy_in_flight),
		in_lab(drops_second_copy_of_first_packet_in_flight),
		in_lab(wraps_while_first_packets_are_in_flight),
		in_lab(drops_forged_among_others),
		in_lab(drops_what_the_device_fails_to_decrypt),
		in_lab(drops_what_the_device_fails_to_compute_the_tag_of),
		in_lab(drops_what_the_device_fails_to_encrypt),
		cmocka_unit_test_setup_teardown(frees_what_is_in_flight, setup, teardown_in_flight),
		cmocka_unit_test_setup_teardown(frees_copies_in_flight, setup, teardown_in_flight),
		in_lab(grace_period_lasts_as_long_as_what_was_in_flight),
		in_lab(grace_period_lasts_until_copies_have_left),
		in_lab(grace_period_ends_with_an_idle_device),
		in_lab(goes_on_without_a_device_that_stalls),
		in_lab(notices_a_device_that_takes_nothing),
	};
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
