// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/worker.h"

#include <stdio.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_ring_elem.h>

#include "base/secmem.h"
#include "dataplane/hold.h"
#include "dataplane/pipeline.h"

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
