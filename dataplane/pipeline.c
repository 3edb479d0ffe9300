// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/pipeline.h"

#include <assert.h>
#include <string.h>

#include <rte_crypto.h>
#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "base/counter.h"
#include "dataplane/cryptodev.h"
#include "dataplane/device_queue.h"
#include "dataplane/stages.h"
#include "dataplane/worker_state.h"

enum {
	FLIGHTS_AT_ONCE = 64, // taken back from the device
	JOBS_PER_TURN = 128,
	PHASES = 2,
};

static_assert((int)DEVICE_QUEUE_SIZE >= (int)PIPELINE_OPS, "all flights at once");

struct packet_flight {
	struct flight flight;
	bool ended; // dropped or handed over
	struct packet packet;
};

// Positions count on without end; a slot is the position modulo the size.
struct pipeline {
	const struct relay *relay;
	uint8_t phase; // of what is taken in now
	uint32_t in_flight[PHASES];
	// Inbound FIFO: [served, verified) have passed stage_commit, [verified, taken) wait for the cipher.
	uint32_t served, verified, taken;
	struct protect_state protecting; // of the packet at served
	uint32_t jobs_ended, jobs_taken; // outbound FIFO
	struct device_queue queue;
	struct packet_flight packets[PIPELINE_PACKETS];
	struct flight job_flights[PIPELINE_JOBS];
	struct output_job jobs[PIPELINE_JOBS];
};

static struct packet_flight *packet_at(struct pipeline *pipeline, uint32_t position)
{
	return &pipeline->packets[position % PIPELINE_PACKETS];
}

static struct output_job *job_at(struct pipeline *pipeline, uint32_t position)
{
	return &pipeline->jobs[position % PIPELINE_JOBS];
}

static struct flight *job_flight_at(struct pipeline *pipeline, uint32_t position)
{
	return &pipeline->job_flights[position % PIPELINE_JOBS];
}

struct pipeline *pipeline_new(struct worker *worker)
{
	struct pipeline *pipeline = rte_zmalloc_socket("pipeline", sizeof(*pipeline),
		RTE_CACHE_LINE_SIZE, (int)rte_lcore_to_socket_id(worker->lcore));
	if (!pipeline)
		return NULL;
	pipeline->relay = worker->relay;
	device_queue_init(&pipeline->queue, worker->relay->cryptodev, worker->id, worker->tsc_hz);
	pipeline->protecting = protect_state_none;
	int rc = 0;
	for (uint32_t i = 0; i < PIPELINE_PACKETS; i++)
		rc |= flight_init(&pipeline->queue, &pipeline->packets[i].flight,
			&pipeline->packets[i].packet.op, false);
	for (uint32_t i = 0; i < PIPELINE_JOBS; i++)
		rc |= flight_init(&pipeline->queue, job_flight_at(pipeline, i),
			&job_at(pipeline, i)->op, true);
	if (rc == 0)
		return pipeline;
	rte_free(pipeline);
	return NULL;
}

void pipeline_free(struct pipeline *pipeline)
{
	if (!pipeline)
		return;
	for (uint32_t i = pipeline->served; i != pipeline->taken; i++) {
		struct packet_flight *slot = packet_at(pipeline, i);
		if (slot->ended || slot->flight.state == FLIGHT_DEVICE)
			continue;
		packet_free(&slot->packet);
	}
	protect_state_free(&pipeline->protecting);
	for (uint32_t i = pipeline->jobs_ended; i != pipeline->jobs_taken; i++)
		if (job_flight_at(pipeline, i)->state != FLIGHT_DEVICE)
			rte_pktmbuf_free(job_at(pipeline, i)->mbuf);
	rte_free(pipeline);
}

unsigned pipeline_room(const struct pipeline *pipeline)
{
	return PIPELINE_PACKETS - (pipeline->taken - pipeline->served);
}

static unsigned jobs_room(const struct pipeline *pipeline)
{
	return PIPELINE_JOBS - (pipeline->jobs_taken - pipeline->jobs_ended);
}

unsigned pipeline_in_flight(const struct pipeline *pipeline)
{
	return pipeline->in_flight[0] + pipeline->in_flight[1];
}

bool pipeline_has_stalled(const struct pipeline *pipeline)
{
	return device_queue_has_stalled(&pipeline->queue);
}

const struct device_counters *pipeline_counters(const struct pipeline *pipeline)
{
	return &pipeline->queue.counters;
}

// --- to the device

// A packet is decrypted beside its original where the device's comparison of tags is not relied on: encrypted
// again, over the original, the plaintext becomes what it was and the tag what it should be.
static void packet_queue(struct pipeline *pipeline, struct packet_flight *slot)
{
	struct packet *p = &slot->packet;
	struct flight *flight = &slot->flight;
	const struct cryptodev_key *key = &pipeline->queue.device->keys[p->ctx_index];
	struct rte_mbuf *to = p->plaintext != p->mbuf ? p->plaintext : NULL;
	flight->again = false;
	if (pipeline->queue.device->compares) {
		memcpy(cryptodev_area_of(flight->op)->tag, p->op.tag, SRTP_GCM_TAG_LEN);
		device_queue_put(&pipeline->queue, flight, key->decrypt, p->mbuf, to);
	} else {
		device_queue_put(&pipeline->queue, flight, key->encrypt, p->mbuf, to);
	}
}

static void packet_prepare(struct pipeline *pipeline, struct packet_flight *slot)
{
	struct srtp_op *op = &slot->packet.op;
	if (srtp_unprotect_prepare_burst(&op, 1) == 0)
		slot->flight.state = FLIGHT_READY; // and failed
	else if (device_queue_suits(&pipeline->queue, &slot->flight, slot->packet.mbuf))
		packet_queue(pipeline, slot);
	else
		slot->flight.state = FLIGHT_DIRECT;
}

// False if the packet was dropped.
static bool packet_take(
	struct worker *worker, struct packet_flight *slot, const struct packet *packet)
{
	struct pipeline *pipeline = worker->pipeline;
	struct packet *p = &slot->packet;
	struct srtp_op *ops[1];
	uint16_t n_ops = 0;
	packet_copy(p, packet);
	if (p->decrypt && !pipeline->queue.device->compares)
		p->keep_original = true;
	if (stage_unprotect(worker, &p, 1, ops, &n_ops) == 0)
		return false;
	slot->flight.state = FLIGHT_READY;
	slot->flight.phase = pipeline->phase;
	slot->ended = false;
	if (n_ops > 0)
		packet_prepare(pipeline, slot);
	return true;
}

void pipeline_take(struct worker *worker, struct packet *packets[], uint16_t n)
{
	struct pipeline *pipeline = worker->pipeline;
	assert(n <= pipeline_room(pipeline));
	for (uint16_t i = 0; i < n; i++) {
		if (!packet_take(worker, packet_at(pipeline, pipeline->taken), packets[i]))
			continue;
		pipeline->taken++;
		pipeline->in_flight[pipeline->phase]++;
	}
}

// A job goes on account of the packet that it is made of.
static void job_begin(struct pipeline *pipeline, uint32_t position, uint8_t phase)
{
	struct output_job *job = job_at(pipeline, position);
	struct flight *flight = job_flight_at(pipeline, position);
	struct srtp_op *op = &job->op;
	flight->phase = phase;
	flight->state = FLIGHT_READY;
	pipeline->in_flight[phase]++;
	if (job->ctx == KEY_NONE || srtp_protect_prepare_burst(&op, 1) == 0)
		return; // needs no cipher, or failed
	if (device_queue_suits(&pipeline->queue, flight, job->mbuf))
		device_queue_put(&pipeline->queue, flight,
			pipeline->queue.device->keys[job->ctx].encrypt, job->mbuf, NULL);
	else
		flight->state = FLIGHT_DIRECT;
}

// --- from the device

static void packet_again(struct pipeline *pipeline, struct packet_flight *slot)
{
	struct packet *p = &slot->packet;
	slot->flight.again = true;
	device_queue_put(&pipeline->queue, &slot->flight,
		pipeline->queue.device->keys[p->ctx_index].encrypt, p->plaintext, p->mbuf);
}

// The device's own comparison of a tag, as a status of srtp_unprotect_finish_burst().
static void packet_take_verdict(struct packet *p, uint8_t status)
{
	memcpy(p->op.cipher.tag, p->op.tag, SRTP_GCM_TAG_LEN);
	if (status == RTE_CRYPTO_OP_STATUS_AUTH_FAILED)
		p->op.cipher.tag[0] ^= 1;
	else if (status != RTE_CRYPTO_OP_STATUS_SUCCESS)
		p->op.cipher.failed = true;
}

static void flight_back(struct pipeline *pipeline, struct flight *flight)
{
	uint8_t status = flight->op->status;
	bool good = status == RTE_CRYPTO_OP_STATUS_SUCCESS;
	struct packet_flight *slot = (struct packet_flight *)flight;
	flight->state = FLIGHT_READY;
	if (!flight->is_job && pipeline->queue.device->compares) {
		packet_take_verdict(&slot->packet, status);
	} else if (!good) {
		flight->srtp->cipher.failed = true;
	} else if (!flight->is_job && !flight->again) {
		packet_again(pipeline, slot);
	} else {
		memcpy(flight->srtp->cipher.tag, cryptodev_area_of(flight->op)->tag,
			SRTP_GCM_TAG_LEN);
	}
}

static unsigned flights_take_back(struct worker *worker)
{
	struct pipeline *pipeline = worker->pipeline;
	struct flight *flights[FLIGHTS_AT_ONCE];
	unsigned all = 0;
	uint16_t n;
	do {
		n = device_queue_take(&pipeline->queue, flights, FLIGHTS_AT_ONCE, worker->now);
		for (uint16_t i = 0; i < n; i++)
			flight_back(pipeline, flights[i]);
		all += n;
	} while (n == FLIGHTS_AT_ONCE && all < PIPELINE_OPS);
	return all;
}

// --- a device that does not answer

static void pipeline_abandon(struct pipeline *pipeline)
{
	for (uint32_t i = pipeline->verified; i != pipeline->taken; i++) {
		struct packet_flight *slot = packet_at(pipeline, i);
		if (slot->flight.state == FLIGHT_DEVICE)
			slot->packet.mbuf = slot->packet.plaintext = NULL;
		flight_abandon(&slot->flight);
	}
	for (uint32_t i = pipeline->jobs_ended; i != pipeline->jobs_taken; i++) {
		struct flight *flight = job_flight_at(pipeline, i);
		if (flight->state == FLIGHT_DEVICE)
			job_at(pipeline, i)->mbuf = NULL;
		flight_abandon(flight);
	}
	device_queue_abandon(&pipeline->queue);
}

// --- the outbound FIFO

// The cipher itself, for one that the device is not for.
static void flight_run_direct(struct pipeline *pipeline, struct flight *flight)
{
	struct srtp_op *op = flight->srtp;
	struct cipher_op *cipher_op = &op->cipher;
	const struct cipher *cipher =
		cipher_of_suite(pipeline->relay->cipher, (enum srtp_suite)op->suite);
	if (flight->is_job)
		cipher->encrypt_burst(&cipher_op, 1);
	else
		cipher->decrypt_burst(&cipher_op, 1);
	flight->state = FLIGHT_READY;
	counter_add(&pipeline->queue.counters.direct_ops, 1);
}

static void job_end(struct worker *worker, struct output_job *job, struct flight *flight)
{
	struct srtp_op *op = &job->op;
	if (flight->state == FLIGHT_DIRECT)
		flight_run_direct(worker->pipeline, flight);
	if (job->ctx != KEY_NONE && op->status == SRTP_OK)
		srtp_protect_finish_burst(&op, 1);
	stage_output(worker, job);
}

static unsigned jobs_go_on(struct worker *worker)
{
	struct pipeline *pipeline = worker->pipeline;
	unsigned n = 0;
	while (n < JOBS_PER_TURN && pipeline->jobs_ended != pipeline->jobs_taken) {
		struct flight *flight = job_flight_at(pipeline, pipeline->jobs_ended);
		if (flight->state > FLIGHT_DIRECT)
			break;
		job_end(worker, job_at(pipeline, pipeline->jobs_ended), flight);
		pipeline->in_flight[flight->phase]--;
		pipeline->jobs_ended++;
		n++;
	}
	return n;
}

// --- the inbound FIFO

static void packet_finish(struct pipeline *pipeline, struct packet_flight *slot)
{
	struct srtp_op *op = &slot->packet.op;
	if (slot->flight.state == FLIGHT_DIRECT)
		flight_run_direct(pipeline, &slot->flight);
	if (slot->packet.decrypt && op->status == SRTP_OK)
		srtp_unprotect_finish_burst(&op, 1);
}

// Takes the next packets whose ciphers are done through stage_commit. Returns how many.
static unsigned packets_verify(struct worker *worker)
{
	struct pipeline *pipeline = worker->pipeline;
	struct packet *packets[WORKER_VECTOR];
	uint16_t n = 0;
	while (n < WORKER_VECTOR && pipeline->verified != pipeline->taken) {
		struct packet_flight *slot = packet_at(pipeline, pipeline->verified);
		if (slot->flight.state > FLIGHT_DIRECT)
			break;
		packet_finish(pipeline, slot);
		slot->ended = true;
		packets[n++] = &slot->packet;
		pipeline->verified++;
	}
	uint16_t good = stage_verify(worker, packets, n);
	good = stage_commit(worker, packets, good);
	for (uint16_t i = 0; i < good; i++)
		container_of(packets[i], struct packet_flight, packet)->ended = false;
	return n;
}

// Contiguous room in the outbound FIFO.
static struct output_list jobs_list(struct pipeline *pipeline)
{
	unsigned at = pipeline->jobs_taken % PIPELINE_JOBS, room = jobs_room(pipeline);
	return (struct output_list){
		.jobs = job_at(pipeline, at),
		.room = (uint16_t)RTE_MIN(room, PIPELINE_JOBS - at),
	};
}

// False if the outbound FIFO is full: the next call continues with this packet.
static bool packet_serve(struct worker *worker, struct packet_flight *slot)
{
	struct pipeline *pipeline = worker->pipeline;
	struct packet *p = &slot->packet;
	while (!slot->ended) {
		struct output_list list = jobs_list(pipeline);
		if (list.room == 0)
			return false;
		slot->ended = stage_protect(worker, &p, 1, &pipeline->protecting, &list) == 1;
		for (uint16_t i = 0; i < list.n; i++)
			job_begin(pipeline, pipeline->jobs_taken++, slot->flight.phase);
	}
	pipeline->in_flight[slot->flight.phase]--;
	pipeline->served++;
	return true;
}

static unsigned packets_go_on(struct worker *worker)
{
	struct pipeline *pipeline = worker->pipeline;
	unsigned n = 0;
	while (n < WORKER_BURST) {
		if (pipeline->served == pipeline->verified && packets_verify(worker) == 0)
			break;
		if (!packet_serve(worker, packet_at(pipeline, pipeline->served)))
			break;
		n++;
	}
	return n;
}

unsigned pipeline_turn(struct worker *worker)
{
	struct pipeline *pipeline = worker->pipeline;
	bool asks = !pipeline_has_stalled(pipeline);
	unsigned work = 0;
	worker->now = rte_rdtsc();
	if (asks)
		work += flights_take_back(worker);
	work += packets_go_on(worker);
	work += jobs_go_on(worker);
	if (asks) {
		work += device_queue_offer(&pipeline->queue);
		if (device_queue_timed_out(&pipeline->queue, worker->now))
			pipeline_abandon(pipeline);
	}
	return work;
}

// --- quiescent states

unsigned pipeline_reader(const struct worker *worker, unsigned phase)
{
	return worker->id + phase * worker->relay->n_workers;
}

// A reader reports only while nothing on its account is in flight. What began later went on the other one's
// account, so each of them comes to it as soon as the device has finished what it had.
void pipeline_quiesce(struct worker *worker)
{
	struct pipeline *pipeline = worker->pipeline;
	struct rte_rcu_qsbr *rcu = worker->relay->rcu;
	uint8_t other = pipeline->phase ^ 1;
	bool full = pipeline->in_flight[pipeline->phase] > 0;
	if (!full)
		rte_rcu_qsbr_quiescent(rcu, pipeline_reader(worker, pipeline->phase));
	if (pipeline->in_flight[other] > 0)
		return;
	rte_rcu_qsbr_quiescent(rcu, pipeline_reader(worker, other));
	if (full)
		pipeline->phase = other;
}
