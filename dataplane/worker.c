// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/worker.h"

#include <stdio.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_ring.h>

#include "base/secmem.h"
#include "dataplane/hold.h"
#include "dataplane/hop_hold.h"
#include "dataplane/pipeline.h"
#include "dataplane/rate.h"
#include "dataplane/turn.h"

static size_t counters_size(const struct relay *relay)
{
	return relay->legs.size * sizeof(struct leg_counters);
}

static struct rte_ring *handoff_new(uint8_t id)
{
	char name[RTE_RING_NAMESIZE];
	snprintf(name, sizeof(name), "handoff_%u", id);
	return rte_ring_create(name, HANDOFF_SIZE, SOCKET_ID_ANY, RING_F_SC_DEQ);
}

struct worker *worker_new(struct relay *relay, uint8_t id, unsigned lcore)
{
	struct worker *worker = rte_zmalloc_socket(
		"worker", sizeof(*worker), RTE_CACHE_LINE_SIZE, (int)rte_lcore_to_socket_id(lcore));
	if (!worker)
		return NULL;
	worker->relay = relay;
	worker->id = id;
	worker->lcore = lcore;
	worker->tsc_hz = rte_get_tsc_hz();
	rate_init(worker);
	worker->legs = secmem_map(counters_size(relay));
	worker->handoff = handoff_new(id);
	bool whole = mailbox_init(&worker->mailbox, id) && worker->legs && worker->handoff;
	if (relay->cryptodev)
		worker->pipeline = pipeline_new(worker);
	if (!whole || (relay->cryptodev && !worker->pipeline)) {
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
	mailbox_fini(&worker->mailbox);
	ring_free_mbufs(worker->handoff);
	hold_clear(worker);
	hop_hold_clear(worker);
	pipeline_free(worker->pipeline);
	for (unsigned i = 0; i < PORT_MAX; i++)
		rte_pktmbuf_free_bulk(worker->tx[i].packets, worker->tx[i].n);
	secmem_unmap(worker->legs, counters_size(worker->relay));
	rte_ring_free(worker->handoff);
	rte_free(worker);
}

void worker_online(struct worker *worker)
{
	turns_begin(worker, rte_rdtsc());
	for (unsigned phase = 0; phase < (worker->pipeline ? 2U : 1U); phase++)
		rte_rcu_qsbr_thread_online(worker->relay->rcu, pipeline_reader(worker, phase));
}

void worker_offline(struct worker *worker)
{
	for (unsigned phase = 0; phase < (worker->pipeline ? 2U : 1U); phase++)
		rte_rcu_qsbr_thread_offline(worker->relay->rcu, pipeline_reader(worker, phase));
}
