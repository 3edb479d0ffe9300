// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "base/counter.h"
#include "dataplane/worker_state.h"

// How much of its time a worker is busy. A turn lasts from the end of the one before to its own, so that one look at
// the TSC for each is enough; all of a turn that had anything to do is busy time, also what it took to find nothing at
// the other ports. A turn that finds nothing is short, so shares of turns say nothing of time.

// The first turn begins now (TSC). Worker.
static inline void turns_begin(struct worker *worker, uint64_t now)
{
	counter_set(&worker->began_tsc, now);
	counter_set(&worker->turn_tsc, now);
}

// A turn ends now (TSC). Worker.
static inline void turn_count(struct worker *worker, uint64_t now, bool busy)
{
	counter_add(&worker->counters.loops, 1);
	if (busy) {
		counter_add(&worker->counters.busy_loops, 1);
		counter_add(&worker->counters.busy_cycles, now - worker->turn_tsc);
	}
	counter_set(&worker->turn_tsc, now);
}

// The worker slept until now (TSC): that belongs to no turn, and is no busy time whatever the next one finds. Worker.
static inline void turn_slept(struct worker *worker, uint64_t now)
{
	counter_set(&worker->turn_tsc, now);
}

// TSC cycles of all turns that ended, and of sleep between them. Any thread.
static inline uint64_t worker_cycles(const struct worker *worker)
{
	return counter_read(&worker->turn_tsc) - counter_read(&worker->began_tsc);
}
