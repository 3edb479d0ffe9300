// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/loop.h"

#include <sys/prctl.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_ring.h>

#include "crypto/cipher.h"
#include "dataplane/burst.h"
#include "dataplane/hold.h"
#include "dataplane/hop_hold.h"
#include "dataplane/pipeline.h"
#include "dataplane/prefetch.h"
#include "dataplane/rate.h"
#include "dataplane/stages.h"
#include "dataplane/transmit.h"
#include "dataplane/turn.h"
#include "dataplane/worker.h"

enum {
	OUTPUT_JOBS = 64, // that are protected together
	IDLE_TURNS = 64   // without work, before a worker sleeps if it may
};

// All stages before the ciphers: parsing, routing, keys.
static inline uint16_t vector_look_up(struct worker *worker, const struct burst_origin *origin,
	struct rte_mbuf *mbufs[], uint16_t n, struct packet *packets[])
{
	n = stage_parse(worker, origin, mbufs, n, packets);
	n = stage_leg(worker, packets, n);
	n = stage_key(worker, origin, packets, n);
	prefetch_inbound_keys(worker->relay, packets, n);
	n = stage_route(worker, origin, packets, n);
	prefetch_outbound_keys(worker->relay, packets, n);
	return stage_stream(worker, packets, n);
}

// Protects what is to be protected, and sends all.
static void output_process(struct worker *worker, const struct output_list *list)
{
	struct srtp_op *ops[OUTPUT_JOBS];
	uint16_t n_ops = 0;
	for (uint16_t i = 0; i < list->n; i++)
		if (list->jobs[i].ctx != KEY_NONE)
			ops[n_ops++] = &list->jobs[i].op;
	srtp_protect_burst(worker->relay->cipher, ops, n_ops);
	for (uint16_t i = 0; i < list->n; i++)
		stage_output(worker, &list->jobs[i]);
}

static void packets_output(struct worker *worker, struct packet *packets[], uint16_t n)
{
	struct output_job jobs[OUTPUT_JOBS];
	struct protect_state state = protect_state_none;
	uint16_t ended = 0;
	while (ended < n) {
		struct output_list list = {.jobs = jobs, .room = OUTPUT_JOBS};
		ended += stage_protect(worker, packets + ended, n - ended, &state, &list);
		output_process(worker, &list);
	}
}

// Without a crypto device.
static void vector_end(struct worker *worker, struct packet *packets[], uint16_t n)
{
	struct srtp_op *ops[WORKER_VECTOR];
	uint16_t n_ops = 0;
	n = stage_unprotect(worker, packets, n, ops, &n_ops);
	srtp_unprotect_burst(worker->relay->cipher, ops, n_ops);
	n = stage_verify(worker, packets, n);
	prefetch_outbound_streams(worker->relay, packets, n);
	n = stage_commit(worker, packets, n);
	packets_output(worker, packets, n);
}

void loop_process_vector(struct worker *worker, const struct burst_origin *origin,
	struct rte_mbuf *mbufs[], uint16_t n)
{
	struct packet *packets[WORKER_VECTOR];
	n = vector_look_up(worker, origin, mbufs, n, packets);
	// With a crypto device pipeline_turn() ends them.
	if (worker->pipeline)
		pipeline_take(worker, packets, n);
	else
		vector_end(worker, packets, n);
}

static void burst_process(struct worker *worker, const struct burst_origin *origin,
	struct rte_mbuf *mbufs[], uint16_t n)
{
	worker->now = rte_rdtsc();
	for (uint16_t at = 0; at < n; at += WORKER_VECTOR)
		loop_process_vector(
			worker, origin, mbufs + at, (uint16_t)RTE_MIN(n - at, WORKER_VECTOR));
}

void loop_process_burst(struct worker *worker, struct rte_mbuf *mbufs[], uint16_t n)
{
	const struct burst_origin received = {.source = BURST_RECEIVED};
	burst_process(worker, &received, mbufs, n);
}

void loop_resume(struct worker *worker, const struct worker_mail *mail)
{
	struct rte_mbuf *mbufs[HOLD_PACKETS];
	struct burst_origin origin = {
		.source = BURST_HELD, .refused = (enum drop_reason)mail->refused};
	uint16_t n = hold_resume(worker, mail->value, mbufs, &origin.name);
	for (uint16_t at = 0; at < n; at += WORKER_BURST)
		burst_process(worker, &origin, mbufs + at, (uint16_t)RTE_MIN(n - at, WORKER_BURST));
}

unsigned loop_take_handed_over(struct worker *worker)
{
	const struct burst_origin handed_over = {.source = BURST_HANDED_OVER};
	struct rte_mbuf *mbufs[WORKER_BURST];
	unsigned n = rte_ring_dequeue_burst(worker->handoff, (void **)mbufs, WORKER_BURST, NULL);
	if (n > 0)
		burst_process(worker, &handed_over, mbufs, (uint16_t)n);
	return n;
}

static unsigned mail_process(struct worker *worker, unsigned most)
{
	struct worker_mail mail;
	unsigned n = 0;
	while (n < most && worker_mail_take(&worker->mailbox, &mail)) {
		n++;
		switch (mail.type) {
		case MAIL_RESUME:
			loop_resume(worker, &mail);
			break;
		case MAIL_SEND:
			transmit_frame(worker, (uint8_t)mail.value, mail.mbuf);
			break;
		case MAIL_SSRC:
			if (worker->n_ssrcs < SSRC_POOL_SIZE)
				worker->ssrcs[worker->n_ssrcs++] = mail.value;
			break;
		}
	}
	return n;
}

static unsigned port_process(struct worker *worker, const struct port *port)
{
	struct rte_mbuf *mbufs[WORKER_BURST];
	if (worker->id >= port->n_rx_queues)
		return 0;
	uint16_t n = rte_eth_rx_burst(port->ethdev, worker->id, mbufs, WORKER_BURST);
	if (n == 0)
		return 0;
	uint64_t octets = 0;
	for (uint16_t i = 0; i < n; i++) {
		mbufs[i]->port = port->ethdev; // not set by all drivers (net_ring)
		octets += mbufs[i]->pkt_len;
	}
	counter_add(&worker->counters.rx_octets, octets);
	counter_add(&worker->counters.rx_packets, n);
	counter_add(&worker->counters.rx_bursts, 1);
	if (unlikely(n == WORKER_BURST))
		rate_full_burst(worker);
	loop_process_burst(worker, mbufs, n);
	return n;
}

static void turn_end(struct worker *worker, unsigned work)
{
	if (unlikely(worker->hops.n > 0))
		hop_hold_turn(worker);
	for (unsigned i = 0; i < worker->relay->n_ports; i++)
		if (worker->tx[i].n > 0)
			transmit_flush(worker, (uint8_t)i);
	if (work > 0)
		rate_turn(worker);
	turn_count(worker, rte_rdtsc(), work > 0);
}

// With a crypto device: takes what the pipeline has room for and leaves the rest where it is. Each source
// keeps room for those before it, or it would have all of it to itself while the device is behind; ports
// take turns.
static unsigned turn_with_pipeline(struct worker *worker)
{
	enum {
		HANDOFF_ROOM = HOLD_PACKETS + WORKER_BURST,
		PORT_ROOM = HANDOFF_ROOM + WORKER_BURST
	};
	struct relay *relay = worker->relay;
	struct pipeline *pipeline = worker->pipeline;
	// One mail resumes HOLD_PACKETS at most.
	unsigned mails = pipeline_room(pipeline) / HOLD_PACKETS;
	unsigned work = mail_process(worker, RTE_MIN(mails, (unsigned)WORKER_BURST));
	if (pipeline_room(pipeline) >= HANDOFF_ROOM)
		work += loop_take_handed_over(worker);
	for (unsigned i = 0; i < relay->n_ports; i++) {
		unsigned port = (unsigned)((worker->counters.loops + i) % relay->n_ports);
		if (pipeline_room(pipeline) >= PORT_ROOM)
			work += port_process(worker, &relay->ports[port]);
	}
	work += pipeline_turn(worker);
	turn_end(worker, work);
	pipeline_quiesce(worker);
	return work;
}

unsigned loop_turn(struct worker *worker)
{
	if (worker->pipeline)
		return turn_with_pipeline(worker);
	struct relay *relay = worker->relay;
	unsigned work = mail_process(worker, WORKER_BURST) + loop_take_handed_over(worker);
	for (unsigned i = 0; i < relay->n_ports; i++)
		work += port_process(worker, &relay->ports[i]);
	turn_end(worker, work);
	rte_rcu_qsbr_quiescent(relay->rcu, worker->id);
	return work;
}

// What the crypto device still has; not for longer than it is given to answer at all.
static void worker_drain(struct worker *worker)
{
	while (worker->pipeline && pipeline_in_flight(worker->pipeline) > 0)
		turn_end(worker, pipeline_turn(worker));
}

// Leaves a shared CPU to others for so long.
static void idle_sleep(struct worker *worker, uint32_t us)
{
	const struct timespec time = {.tv_nsec = us * 1000L};
	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
	turn_slept(worker, rte_rdtsc());
}

static void turns_run(struct worker *worker)
{
	const uint32_t sleep_us = worker->relay->idle_sleep_us;
	unsigned idle = 0;
	while (!atomic_load_explicit(&worker->quit, memory_order_relaxed)) {
		idle = loop_turn(worker) > 0 ? 0 : idle + 1;
		if (unlikely(idle > IDLE_TURNS) && sleep_us > 0)
			idle_sleep(worker, sleep_us);
	}
}

int loop_run(void *arg)
{
	struct worker *worker = arg;
	struct relay *relay = worker->relay;
	if (cipher_thread_init(relay->cipher) != 0) {
		atomic_store(&worker->started, -1);
		return -1;
	}
	if (relay->idle_sleep_us > 0)
		prctl(PR_SET_TIMERSLACK, 1000UL); // ns; 50 us otherwise
	worker_online(worker);
	atomic_store(&worker->started, 1);
	turns_run(worker);
	worker_drain(worker);
	worker_offline(worker);
	cipher_thread_fini(relay->cipher);
	return 0;
}
