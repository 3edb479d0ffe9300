// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/worker_state.h"

#include <rte_ring.h>

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
