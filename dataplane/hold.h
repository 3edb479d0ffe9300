// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/drop.h"
#include "dataplane/key_table.h"
#include "dataplane/worker_state.h"

// Packets whose key context does not exist yet wait here while the control thread derives it; none
// is lost for being the first. Bounded for each context, each leg and each worker.

// Holds a packet until the context of that name exists, requesting it from control if that was not
// done yet. Returns DROP_NONE if the packet is held, or why it cannot be: the packet is the
// caller's then.
enum drop_reason hold_packet(
	struct worker *worker, struct packet *packet, const struct key_name *name);

bool hold_has(struct worker *worker, const struct key_name *name);

// Whether packets are held for the context of that name, though it may exist by now: later packets
// must not overtake them. Costs one comparison while nothing is held.
static inline bool hold_waits(struct worker *worker, const struct key_name *name)
{
	return unlikely(worker->n_held > 0) && hold_has(worker, name);
}

// Gives back what waits in a slot, in the order in which it came, and the name of the context for which it
// did. Returns how many; 0: nothing waits there any more.
uint16_t hold_resume(struct worker *worker, uint32_t slot, struct rte_mbuf *mbufs[HOLD_PACKETS],
	struct key_name *name);

// Frees all that waits. After the worker's loop ended.
void hold_clear(struct worker *worker);
