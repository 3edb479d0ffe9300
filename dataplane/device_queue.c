// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/device_queue.h"

#include <string.h>

#include <rte_crypto.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "base/counter.h"
#include "dataplane/cryptodev.h"

enum {
	DEVICE_BURST = 64,
	TIMEOUT_TURNS = 1000,
};

void device_queue_init(
	struct device_queue *queue, struct cryptodev *device, uint16_t queue_pair, uint64_t tsc_hz)
{
	queue->device = device;
	queue->queue_pair = queue_pair;
	queue->timeout = tsc_hz / 1000 * CRYPTODEV_TIMEOUT_MS;
}

int flight_init(
	struct device_queue *queue, struct flight *flight, struct srtp_op *srtp, bool is_job)
{
	*flight = (struct flight){.srtp = srtp, .is_job = is_job};
	if (cryptodev_ops_take(queue->device, &flight->op, 1) != 0)
		return -1;
	cryptodev_area_of(flight->op)->user = flight;
	return 0;
}

static bool device_is_idle(const struct device_queue *queue)
{
	return queue->at_device == 0 && queue->offered == queue->queued;
}

// The device has its time from here on.
static void timeout_renew(struct device_queue *queue, uint64_t now)
{
	queue->progress_tsc = now;
	queue->turns = 0;
}

bool device_queue_timed_out(struct device_queue *queue, uint64_t now)
{
	return !device_is_idle(queue) && ++queue->turns > TIMEOUT_TURNS &&
	       now - queue->progress_tsc > queue->timeout;
}

bool device_queue_suits(
	const struct device_queue *queue, const struct flight *flight, const struct rte_mbuf *mbuf)
{
	const struct srtp_op *op = flight->srtp;
	return srtp_suite_is_aead((enum srtp_suite)op->suite) &&
	       op->cipher.aad_len == CRYPTODEV_AAD_LEN && op->cipher.len > 0 &&
	       !RTE_MBUF_HAS_EXTBUF(mbuf) && !device_queue_has_stalled(queue);
}

void device_queue_put(struct device_queue *queue, struct flight *flight, void *session,
	struct rte_mbuf *from, struct rte_mbuf *to)
{
	const struct cipher_op *cipher = &flight->srtp->cipher;
	struct rte_crypto_op *op = flight->op;
	struct cryptodev_area *area = cryptodev_area_of(op);
	memcpy(area->iv, cipher->iv, CIPHER_IV_LEN);
	memcpy(area->aad, cipher->aad, CRYPTODEV_AAD_LEN);
	op->status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
	op->sym->session = session;
	op->sym->m_src = from;
	op->sym->m_dst = to;
	op->sym->aead.data.offset = (uint32_t)(cipher->src - flight->srtp->src);
	op->sym->aead.data.length = cipher->len;
	flight->state = FLIGHT_QUEUED;
	if (device_is_idle(queue))
		timeout_renew(queue, rte_rdtsc());
	queue->flights[queue->queued++ % DEVICE_QUEUE_SIZE] = flight;
}

unsigned device_queue_offer(struct device_queue *queue)
{
	struct rte_crypto_op *ops[DEVICE_BURST];
	unsigned n = 0, all = 0;
	do {
		n = RTE_MIN(queue->queued - queue->offered, (uint32_t)DEVICE_BURST);
		for (unsigned i = 0; i < n; i++)
			ops[i] = queue->flights[(queue->offered + i) % DEVICE_QUEUE_SIZE]->op;
		uint16_t taken = n == 0 ? 0
					: cryptodev_enqueue(queue->device, queue->queue_pair, ops,
						  (uint16_t)n);
		for (unsigned i = 0; i < taken; i++)
			queue->flights[queue->offered++ % DEVICE_QUEUE_SIZE]->state = FLIGHT_DEVICE;
		queue->at_device += taken;
		counter_add(&queue->counters.waits, taken < n);
		all += taken;
		if (taken < n)
			break;
	} while (n == DEVICE_BURST);
	return all;
}

uint16_t device_queue_take(
	struct device_queue *queue, struct flight *flights[], uint16_t n, uint64_t now)
{
	struct rte_crypto_op *ops[DEVICE_BURST];
	n = cryptodev_dequeue(
		queue->device, queue->queue_pair, ops, n < DEVICE_BURST ? n : DEVICE_BURST);
	for (uint16_t i = 0; i < n; i++)
		flights[i] = cryptodev_area_of(ops[i])->user;
	queue->at_device -= n;
	counter_add(&queue->counters.device_ops, n);
	if (n > 0)
		timeout_renew(queue, now);
	return n;
}

void device_queue_abandon(struct device_queue *queue)
{
	queue->offered = queue->queued;
	queue->at_device = 0;
	atomic_store_explicit(&queue->stalled, true, memory_order_relaxed);
}

void flight_abandon(struct flight *flight)
{
	if (flight->state == FLIGHT_QUEUED) {
		flight->state = FLIGHT_DIRECT;
	} else if (flight->state == FLIGHT_DEVICE) {
		flight->srtp->cipher.failed = true;
		flight->state = FLIGHT_READY;
	}
}
