// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/hop_hold.h"

#include <string.h>

#include "dataplane/pool_share.h"
#include "dataplane/transmit.h"

static struct hop_queue *hop_find(struct worker *worker, uint32_t neighbour)
{
	for (uint32_t i = 0; i < worker->hops.n; i++)
		if (worker->hops.neighbours[i] == neighbour)
			return &worker->hops.queues[i];
	return NULL;
}

static struct rte_mbuf *queue_take(struct hop_queue *queue)
{
	struct rte_mbuf *mbuf = queue->first;
	queue->first = mbuf->next;
	mbuf->next = NULL;
	queue->n--;
	return mbuf;
}

// The leg to which a copy goes, LEG_NONE if its index is another leg's by now.
static uint32_t copy_leg(const struct worker *worker, const struct rte_mbuf *mbuf)
{
	const struct leg *leg = leg_get(&worker->relay->legs, mbuf->hash.fdir.lo);
	return leg && leg->serial == mbuf->hash.fdir.hi ? leg->index : LEG_NONE;
}

static void copy_drop(struct worker *worker, struct rte_mbuf *mbuf)
{
	uint32_t leg = copy_leg(worker, mbuf);
	if (leg != LEG_NONE)
		worker_count_copy_drop(worker, leg, DROP_NEXT_HOP);
	else
		worker_count_drop(worker, NULL, DROP_NEXT_HOP);
	rte_pktmbuf_free(mbuf);
}

static void copy_send(struct worker *worker, struct rte_mbuf *mbuf, uint64_t word)
{
	uint8_t port = (uint8_t)mbuf->port;
	uint32_t leg = copy_leg(worker, mbuf);
	memcpy(rte_pktmbuf_mtod(mbuf, void *), &word, RTE_ETHER_ADDR_LEN);
	if (leg != LEG_NONE)
		transmit_count(
			worker, leg, transmit_payload_len(&worker->relay->ports[port], mbuf));
	transmit_copy(worker, port, mbuf, leg);
}

// Ends a queue whose neighbour needs no waiting any more; false if it does.
static bool queue_end(struct worker *worker, uint32_t neighbour, struct hop_queue *queue)
{
	uint64_t word = neighbour_word(&worker->relay->neighbours, neighbour);
	bool same = word >> NEIGHBOUR_SERIAL_SHIFT == queue->serial;
	if (same && !(word & NEIGHBOUR_RESOLVED) && (word & NEIGHBOUR_PENDING))
		return false;
	worker->hops.n_copies -= queue->n;
	while (queue->n > 0) {
		struct rte_mbuf *mbuf = queue_take(queue);
		if (same && (word & NEIGHBOUR_RESOLVED))
			copy_send(worker, mbuf, word);
		else
			copy_drop(worker, mbuf);
	}
	return true;
}

void hop_hold_turn(struct worker *worker)
{
	struct hop_holds *hops = &worker->hops;
	for (uint32_t i = 0; i < hops->n;) {
		if (!queue_end(worker, hops->neighbours[i], &hops->queues[i])) {
			i++;
			continue;
		}
		hops->n--;
		hops->neighbours[i] = hops->neighbours[hops->n];
		hops->queues[i] = hops->queues[hops->n];
	}
}

static struct hop_queue *queue_new(struct worker *worker, uint32_t neighbour, uint64_t word)
{
	struct hop_holds *hops = &worker->hops;
	if (hops->n == HOP_NEIGHBOURS)
		return NULL;
	struct hop_queue *queue = &hops->queues[hops->n];
	*queue = (struct hop_queue){.serial = (uint16_t)(word >> NEIGHBOUR_SERIAL_SHIFT)};
	hops->neighbours[hops->n++] = neighbour;
	return queue;
}

static bool queue_put(struct worker *worker, struct hop_queue *queue, struct rte_mbuf *mbuf)
{
	if (!queue || queue->n >= pool_share(HOP_COPIES_TOTAL, worker->hops.n_copies, HOP_COPIES))
		return false;
	if (queue->n > 0)
		queue->last->next = mbuf;
	else
		queue->first = mbuf;
	queue->last = mbuf;
	queue->n++;
	worker->hops.n_copies++;
	return true;
}

enum drop_reason hop_hold_copy(
	struct worker *worker, const struct fanout_dest *dest, uint64_t word, struct rte_mbuf *mbuf)
{
	const struct leg *leg = leg_get(&worker->relay->legs, dest->leg);
	struct hop_queue *queue = hop_find(worker, dest->neighbour);
	mbuf->hash.fdir.lo = dest->leg;
	mbuf->hash.fdir.hi = leg ? leg->serial : 0;
	mbuf->port = dest->port;
	if (word & NEIGHBOUR_RESOLVED) {
		if (queue)
			hop_hold_turn(worker); // those that came before
		copy_send(worker, mbuf, word);
		return DROP_NONE;
	}
	if (queue && queue->serial != word >> NEIGHBOUR_SERIAL_SHIFT) {
		hop_hold_turn(worker);
		queue = NULL;
	}
	if (!queue)
		queue = queue_new(worker, dest->neighbour, word);
	if (queue_put(worker, queue, mbuf))
		return DROP_NONE;
	rte_pktmbuf_free(mbuf);
	return DROP_NEXT_HOP;
}

void hop_hold_clear(struct worker *worker)
{
	for (uint32_t i = 0; i < worker->hops.n; i++)
		while (worker->hops.queues[i].n > 0)
			rte_pktmbuf_free(queue_take(&worker->hops.queues[i]));
	worker->hops.n = 0;
	worker->hops.n_copies = 0;
}
