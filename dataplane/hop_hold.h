// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/neighbour_table.h"
#include "dataplane/worker_state.h"

// Copies whose next hop is being resolved wait here, whole but for the destination's link-layer address, until
// it is known or the control thread gives it up (NEIGHBOUR_PENDING). Bounded for each next hop and each worker.
// Functions of the worker.

struct fanout_dest;

// Whether a copy towards a next hop, as word says of it, may not be sent now: it is being resolved, or others
// wait for it. Costs one comparison while nothing waits.
static inline bool hop_hold_needed(const struct worker *worker, uint64_t word)
{
	return unlikely(!(word & NEIGHBOUR_RESOLVED)) || unlikely(worker->hops.n > 0);
}

// Holds a copy for dest, or sends it behind those that wait if its next hop is resolved meanwhile, and counts it as
// soon as it is sent. Takes mbuf. DROP_NONE, or why it was dropped.
enum drop_reason hop_hold_copy(struct worker *worker, const struct fanout_dest *dest, uint64_t word,
	struct rte_mbuf *mbuf);

// Sends what waits for a next hop that is resolved now, and drops what waited in vain. Each turn in which something
// waits.
void hop_hold_turn(struct worker *worker);

// Frees all that waits. After the worker's loop ended.
void hop_hold_clear(struct worker *worker);
