// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/worker.h"

#include <stdio.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_ring_elem.h>
#include <rte_udp.h>

#include "base/counter.h"
#include "base/secmem.h"
#include "dataplane/burst.h"
#include "dataplane/hold.h"
#include "dataplane/prefetch.h"
#include "dataplane/stages.h"

enum {
	TX_TRIES = 4,
	OUTPUT_JOBS = 64, // that are protected together
};

static size_t counters_size(const struct relay *relay)
{
	return relay->legs.size * sizeof(struct leg_counters);
}

static struct rte_ring *ring_new(
	const char *what, uint8_t id, unsigned element_size, unsigned size, unsigned flags)
{
	char name[RTE_RING_NAMESIZE];
	snprintf(name, sizeof(name), "%s_%u", what, id);
	return rte_ring_create_elem(name, element_size, size, SOCKET_ID_ANY, flags);
}

// Whether worker_new() got all that it asked for.
static bool worker_is_whole(const struct worker *worker)
{
	return worker->legs && worker->from_control && worker->to_control && worker->handoff &&
	       (worker->pipeline || !worker->relay->cryptodev);
}

struct worker *worker_new(struct relay *relay, uint8_t id, unsigned lcore)
{
	struct worker *worker = rte_zmalloc_socket(
		"worker", sizeof(*worker), RTE_CACHE_LINE_SIZE, (int)rte_lcore_to_socket_id(lcore));
	if (!worker)
		return NULL;
	unsigned one_to_one = RING_F_SP_ENQ | RING_F_SC_DEQ;
	worker->relay = relay;
	worker->id = id;
	worker->lcore = lcore;
	worker->tsc_hz = rte_get_tsc_hz();
	worker->legs = secmem_map(counters_size(relay));
	worker->from_control =
		ring_new("from_control", id, sizeof(struct worker_mail), MAILBOX_SIZE, one_to_one);
	worker->to_control =
		ring_new("to_control", id, sizeof(struct control_mail), MAILBOX_SIZE, one_to_one);
	worker->handoff = ring_new("handoff", id, sizeof(void *), HANDOFF_SIZE, RING_F_SC_DEQ);
	if (relay->cryptodev)
		worker->pipeline = pipeline_new(worker);
	if (!worker_is_whole(worker)) {
		worker_free(worker);
		return NULL;
	}
	return worker;
}

static void ring_free_mbufs(struct rte_ring *ring)
{
	void *mbuf;
	while (ring && rte_ring_dequeue(ring, &mbuf) == 0)
		rte_pktmbuf_free(mbuf);
}

void worker_free(struct worker *worker)
{
	if (!worker)
		return;
	struct worker_mail mail;
	while (worker->from_control &&
		rte_ring_dequeue_elem(worker->from_control, &mail, sizeof(mail)) == 0)
		if (mail.type == MAIL_SEND)
			rte_pktmbuf_free(mail.mbuf);
	ring_free_mbufs(worker->handoff);
	hold_clear(worker);
	pipeline_free(worker->pipeline);
	for (unsigned i = 0; i < PORT_MAX; i++)
		rte_pktmbuf_free_bulk(worker->tx[i].packets, worker->tx[i].n);
	secmem_unmap(worker->legs, counters_size(worker->relay));
	rte_ring_free(worker->from_control);
	rte_ring_free(worker->to_control);
	rte_ring_free(worker->handoff);
	rte_free(worker);
}

bool worker_post(struct worker *worker, const struct control_mail *mail)
{
	return rte_ring_enqueue_elem(worker->to_control, (void *)(uintptr_t)mail, sizeof(*mail)) ==
	       0;
}

bool worker_mail_put(struct worker *worker, const struct worker_mail *mail)
{
	// An answer to a held packet always finds room: there are HOLD_SLOTS of them at most.
	if (mail->type != MAIL_RESUME && rte_ring_free_count(worker->from_control) <= HOLD_SLOTS)
		return false;
	return rte_ring_enqueue_elem(
		       worker->from_control, (void *)(uintptr_t)mail, sizeof(*mail)) == 0;
}

bool worker_mail_take(struct worker *worker, struct control_mail *mail)
{
	return rte_ring_dequeue_elem(worker->to_control, mail, sizeof(*mail)) == 0;
}

void worker_drop(struct worker *worker, struct packet *packet, enum drop_reason reason)
{
	worker_count_drop(worker, packet->leg, reason);
	packet_free(packet);
}

void worker_handoff(struct worker *worker, struct packet *packet)
{
	struct rte_ring *owner = worker->relay->workers[packet->stream->worker]->handoff;
	packet->mbuf->hash.usr = packet->held ? HANDOFF_HELD : HANDOFF_FRESH;
	if (rte_ring_enqueue(owner, packet_unparse(packet)) == 0)
		counter_add(&worker->counters.handoffs, 1);
	else
		worker_drop(worker, packet, DROP_HANDOFF_FULL);
}

static bool token_take(struct worker *worker, uint32_t leg, uint32_t keep)
{
	struct leg_counters *counters = &worker->legs[leg];
	uint64_t per_token = worker->tsc_hz / LEG_TOKENS_PER_SECOND;
	if (counters->token_tsc == 0) {
		counters->token_tsc = worker->now;
		counters->tokens = LEG_TOKENS;
	}
	uint64_t earned = (worker->now - counters->token_tsc) / per_token;
	counters->token_tsc += earned * per_token;
	if (earned > LEG_TOKENS - counters->tokens)
		counters->tokens = LEG_TOKENS;
	else
		counters->tokens += (uint32_t)earned;
	if (counters->tokens <= keep)
		return false;
	counters->tokens--;
	return true;
}

bool leg_token_take(struct worker *worker, uint32_t leg)
{
	return token_take(worker, leg, 0);
}

bool leg_token_take_spare(struct worker *worker, uint32_t leg)
{
	return token_take(worker, leg, LEG_TOKENS / 2);
}

// A copy that was counted as sent to its leg and was not. The frame is the relay's own: Ethernet, IP without
// options, UDP.
static void tx_refuse(struct worker *worker, const struct port *port, const struct rte_mbuf *mbuf)
{
	counter_add(&worker->counters.drops[DROP_TX_FULL], 1);
	if (mbuf->hash.usr == LEG_NONE)
		return;
	uint16_t headers = port->l2_len;
	bool ipv4 = *rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, headers) >> 4 == 4;
	headers += (ipv4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr)) +
		   sizeof(struct rte_udp_hdr);
	struct leg_counters *counters = &worker->legs[mbuf->hash.usr];
	counter_add(&counters->tx_drops[DROP_TX_FULL - DROP_COPY_FIRST], 1);
	counter_add(&counters->tx_packets, -1);
	counter_set(&counters->tx_octets, counters->tx_octets - (mbuf->pkt_len - headers));
}

static void tx_flush(struct worker *worker, uint8_t port)
{
	struct tx_queue *queue = &worker->tx[port];
	uint64_t octets = 0;
	for (uint16_t i = 0; i < queue->n; i++)
		octets += queue->packets[i]->pkt_len;
	uint16_t ethdev = worker->relay->ports[port].ethdev, sent = 0;
	// A full ring empties at line rate: a few tries are worth it, waiting is not.
	for (unsigned tries = 0; tries < TX_TRIES && sent < queue->n; tries++)
		sent += rte_eth_tx_burst(
			ethdev, worker->id, queue->packets + sent, queue->n - sent);
	for (uint16_t i = sent; i < queue->n; i++) {
		octets -= queue->packets[i]->pkt_len;
		tx_refuse(worker, &worker->relay->ports[port], queue->packets[i]);
	}
	counter_add(&worker->counters.tx_packets, sent);
	counter_add(&worker->counters.tx_octets, octets);
	rte_pktmbuf_free_bulk(queue->packets + sent, queue->n - sent);
	queue->n = 0;
}

void worker_send(struct worker *worker, uint8_t port, struct rte_mbuf *mbuf)
{
	worker_send_copy(worker, port, mbuf, LEG_NONE);
}

void worker_send_copy(struct worker *worker, uint8_t port, struct rte_mbuf *mbuf, uint32_t leg)
{
	struct tx_queue *queue = &worker->tx[port];
	mbuf->hash.usr = leg;
	queue->packets[queue->n++] = mbuf;
	if (queue->n == WORKER_TX_BURST)
		tx_flush(worker, port);
}

// All that needs no cipher: what a packet is, where it goes, under which keys.
static inline uint16_t vector_look_up(struct worker *worker, const struct burst_origin *origin,
	struct rte_mbuf *mbufs[], uint16_t n, struct packet *packets[])
{
	n = stage_parse(worker, origin, mbufs, n, packets);
	n = stage_leg(worker, packets, n);
	n = stage_key(worker, origin, packets, n);
	prefetch_inbound_keys(packets, n);
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
	struct srtp_op *ops[WORKER_GROUP];
	uint16_t n_ops = 0;
	n = stage_unprotect(worker, packets, n, ops, &n_ops);
	srtp_unprotect_burst(worker->relay->cipher, ops, n_ops);
	n = stage_verify(worker, packets, n);
	prefetch_outbound_streams(worker->relay, packets, n);
	n = stage_commit(worker, packets, n);
	packets_output(worker, packets, n);
}

void worker_process_vector(struct worker *worker, const struct burst_origin *origin,
	struct rte_mbuf *mbufs[], uint16_t n)
{
	struct packet *packets[WORKER_GROUP];
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
	for (uint16_t at = 0; at < n; at += WORKER_GROUP)
		worker_process_vector(
			worker, origin, mbufs + at, (uint16_t)RTE_MIN(n - at, WORKER_GROUP));
}

void worker_process_burst(struct worker *worker, struct rte_mbuf *mbufs[], uint16_t n)
{
	const struct burst_origin received = {.source = BURST_RECEIVED};
	burst_process(worker, &received, mbufs, n);
}

void worker_resume(struct worker *worker, const struct worker_mail *mail)
{
	struct rte_mbuf *mbufs[HOLD_PACKETS];
	struct burst_origin origin = {
		.source = BURST_HELD, .refused = (enum drop_reason)mail->refused};
	uint16_t n = hold_resume(worker, mail->value, mbufs, &origin.name);
	for (uint16_t at = 0; at < n; at += WORKER_BURST)
		burst_process(worker, &origin, mbufs + at, (uint16_t)RTE_MIN(n - at, WORKER_BURST));
}

unsigned worker_take_handed_over(struct worker *worker)
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
	while (n < most && rte_ring_dequeue_elem(worker->from_control, &mail, sizeof(mail)) == 0) {
		n++;
		switch (mail.type) {
		case MAIL_RESUME:
			worker_resume(worker, &mail);
			break;
		case MAIL_SEND:
			worker_send(worker, (uint8_t)mail.value, mail.mbuf);
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
		mbufs[i]->port = port->ethdev; // not all drivers say it (net_ring)
		octets += mbufs[i]->pkt_len;
	}
	counter_add(&worker->counters.rx_octets, octets);
	counter_add(&worker->counters.rx_packets, n);
	counter_add(&worker->counters.rx_bursts, 1);
	worker_process_burst(worker, mbufs, n);
	return n;
}

static void turn_end(struct worker *worker, unsigned work)
{
	for (unsigned i = 0; i < worker->relay->n_ports; i++)
		if (worker->tx[i].n > 0)
			tx_flush(worker, (uint8_t)i);
	counter_add(&worker->counters.loops, 1);
	counter_add(&worker->counters.busy_loops, work > 0);
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
		work += worker_take_handed_over(worker);
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

unsigned worker_turn(struct worker *worker)
{
	if (worker->pipeline)
		return turn_with_pipeline(worker);
	struct relay *relay = worker->relay;
	unsigned work = mail_process(worker, WORKER_BURST) + worker_take_handed_over(worker);
	for (unsigned i = 0; i < relay->n_ports; i++)
		work += port_process(worker, &relay->ports[i]);
	turn_end(worker, work);
	rte_rcu_qsbr_quiescent(relay->rcu, worker->id);
	return work;
}

void worker_online(struct worker *worker)
{
	for (unsigned phase = 0; phase < (worker->pipeline ? 2U : 1U); phase++)
		rte_rcu_qsbr_thread_online(worker->relay->rcu, pipeline_reader(worker, phase));
}

void worker_offline(struct worker *worker)
{
	for (unsigned phase = 0; phase < (worker->pipeline ? 2U : 1U); phase++)
		rte_rcu_qsbr_thread_offline(worker->relay->rcu, pipeline_reader(worker, phase));
}

// What the crypto device still has; not for longer than it is given to answer at all.
static void worker_drain(struct worker *worker)
{
	while (worker->pipeline && pipeline_in_flight(worker->pipeline) > 0)
		turn_end(worker, pipeline_turn(worker));
}

int worker_run(void *arg)
{
	struct worker *worker = arg;
	struct relay *relay = worker->relay;
	if (cipher_thread_init(relay->cipher) != 0) {
		atomic_store(&worker->started, -1);
		return -1;
	}
	worker_online(worker);
	atomic_store(&worker->started, 1);
	while (!atomic_load_explicit(&worker->quit, memory_order_relaxed))
		worker_turn(worker);
	worker_drain(worker);
	worker_offline(worker);
	cipher_thread_fini(relay->cipher);
	return 0;
}
