// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <sched.h>

#include <cmocka.h>

#include "base/counter.h"
#include "tests/unit/dataplane_lab.h"

// A worker in its own thread and the control thread at once: mailboxes both ways, and counters that
// are read while they are written. ThreadSanitizer sees what the assertions do not.

enum { ALICE = 0, SSRC = 0x11223344, PACKETS = 20000, PAYLOAD = 40 };

static struct lab lab;
static struct lab_copy copies[LAB_COPIES];
static const struct lab_key *key;
static _Atomic bool done;

static int setup(void **state)
{
	(void)state;
	lab_open(&lab, 1);
	key = lab_key_add(&lab, 4, 0, false);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = key});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = key, .port = 1});
	lab_connect(&lab);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	lab_close(&lab);
	return 0;
}

// A packet, a message to control whose serial is its number, and the messages from control.
static void *worker_main(void *arg)
{
	struct worker *worker = arg;
	lab_require(cipher_thread_init(lab.relay.cipher) == 0);
	for (uint32_t n = 1; n <= PACKETS; n++) {
		struct lab_packet packet = {
			.len = PAYLOAD,
			.ssrc = SSRC,
			.ctx = key->ctx[SRTP_RTP],
			.index = n,
			.mki_len = key->mki_len,
		};
		struct control_mail mail = {.type = MAIL_LEARN, .leg = ALICE, .serial = n};
		lab_push(&lab, 0, ALICE, &packet);
		lab_require(lab_take(&lab, 0, copies) == 1);
		worker_count_drop(worker, &lab.legs[ALICE], DROP_REPLAYED);
		while (!control_mail_put(&worker->mailbox, &mail))
			sched_yield();
		loop_turn(worker);
	}
	cipher_thread_fini(lab.relay.cipher);
	atomic_store(&done, true);
	return NULL;
}

// What control last read of numbers that only grow.
struct seen {
	uint64_t rx_packets, stream_packets, drops, loops;
};

static void grows(uint64_t *before, const uint64_t *counter)
{
	uint64_t now = counter_read(counter);
	assert_true(now >= *before);
	*before = now;
}

// The stream that the worker made, once it has.
static const struct stream *stream_of_alice(void)
{
	uint32_t space = lab.relay.keys.ctxs[key->ctx[SRTP_RTP]].space;
	uint32_t i =
		atomic_load_explicit(&lab.relay.keys.streams[space].newest, memory_order_acquire);
	return i != 0 ? &lab.relay.streams.streams[i - 1] : NULL;
}

static void counters_look(struct worker *worker, struct seen *seen)
{
	const struct stream *stream = stream_of_alice();
	grows(&seen->rx_packets, &worker->legs[ALICE].rx_packets);
	grows(&seen->drops, &worker->counters.drops[DROP_REPLAYED]);
	grows(&seen->loops, &worker->counters.loops);
	if (stream && stream->ssrc == SSRC && stream->source == STREAM_NONE)
		grows(&seen->stream_packets, &stream->packets);
}

// Messages come in order, each once.
static uint32_t mails_take(struct worker *worker, uint32_t serial)
{
	struct control_mail mail;
	while (control_mail_take(&worker->mailbox, &mail)) {
		if (mail.type != MAIL_LEARN)
			continue; // its stream was born
		assert_int_equal(mail.serial, ++serial);
	}
	return serial;
}

static void control_reads_while_worker_counts(void **state)
{
	struct worker *worker = lab.relay.workers[0];
	struct worker_mail ssrc = {.type = MAIL_SSRC, .value = 7};
	struct seen seen = {};
	uint32_t serial = 0, given = 0;
	pthread_t thread;
	(void)state;

	worker_online(worker);
	assert_int_equal(pthread_create(&thread, NULL, worker_main, worker), 0);
	while (!atomic_load(&done) || serial < PACKETS) {
		counters_look(worker, &seen);
		serial = mails_take(worker, serial);
		if (given < SSRC_POOL_SIZE)
			given += worker_mail_put(&worker->mailbox, &ssrc);
		sched_yield();
	}
	assert_int_equal(pthread_join(thread, NULL), 0);
	loop_turn(worker);
	worker_offline(worker);
	assert_int_equal(serial, PACKETS);
	assert_int_equal(worker->n_ssrcs, given);
	assert_int_equal(worker->legs[ALICE].rx_packets, PACKETS);
	assert_int_equal(worker->counters.drops[DROP_REPLAYED], PACKETS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(control_reads_while_worker_counts, setup, teardown),
	};
	lab_start();
	return cmocka_run_group_tests_name("dataplane_threads", tests, NULL, NULL);
}
