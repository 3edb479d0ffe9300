// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/worker_state.h"

#include <rte_ring_elem.h>

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
