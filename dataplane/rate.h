// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

#include "dataplane/packet.h"
#include "dataplane/worker_state.h"

// How much a leg may send: of what its packets cost, each a part of a second of the leg's rate (the generic cell rate
// algorithm: one time stamp in a line of counters that stage_commit writes anyway). Only authentic packets cost, so that
// no stranger uses up what a leg has. A packet with many receivers costs more: FANOUT_RATE_RECEIVERS of them cost as much as receiving it.
//
// A worker that has no time left, because of what legs send, squeezes: packets cost twice as much with each step, so
// that those who send most of their rate lose first, and nobody who sends less than his floor. Functions of the worker.

enum {
	RATE_BURST_MS = 500,          // of its rate that a leg may send at once
	RATE_SQUEEZED_BURST_MS = 100, // while the worker squeezes
	RATE_FLOOR_MCPTT = 200,       // packets a second that are never squeezed away:
	RATE_FLOOR_MCVIDEO = 2000,    // of voice four streams, of video a good one
	RATE_WINDOW_MS = 10,          // at least, between two looks at what the worker had to do
	RATE_WINDOW_TURNS = 3,        // at least
	RATE_CALM_MS = 1000,          // without overload until it squeezes one step less
	RATE_SQUEEZE_STEP = 2,        // steps more with each look at an overloaded worker
	RATE_SQUEEZE_MAX = 12,
};

// What a leg's packets cost, from packets and octets a second, 0: any number; floor: packets a second.
struct leg_rate rate_make(uint64_t packets, uint64_t octets, uint32_t floor, uint64_t tsc_hz);

// Before the worker runs.
void rate_init(struct worker *worker);

// What a packet of that cost costs while the worker squeezes.
uint64_t rate_squeezed(const struct worker *worker, const struct leg_rate *rate, uint64_t cost);

// Looks at what the worker had to do since the last look.
void rate_look(struct worker *worker);

// Whether the leg of an authentic packet may send it; takes what it costs.
static inline bool rate_take(struct worker *worker, const struct packet *p)
{
	const struct leg_rate *rate = &p->leg->rate;
	struct leg_counters *counters = &worker->legs[p->leg->index];
	uint64_t octets = (uint64_t)rate->octet_cost * p->len >> RATE_OCTET_SHIFT;
	uint64_t cost = RTE_MAX(rate->packet_cost, octets) * (1U + p->fanout->rate_more);
	// No more than a second, so that a leg may soon speak whose rate was raised.
	cost = RTE_MIN(cost, worker->tsc_hz);
	if (unlikely(worker->squeeze > 0))
		cost = rate_squeezed(worker, rate, cost);
	uint64_t at = RTE_MAX(counters->rate_tsc, worker->now);
	if (unlikely(at - worker->now > worker->rate_burst))
		return cost == 0; // what it sent before was limited
	counters->rate_tsc = at + cost;
	return true;
}

// A port gave as many frames as it may.
static inline void rate_full_burst(struct worker *worker)
{
	uint64_t turn = worker->counters.loops + 1;
	worker->load.full_turns += worker->load.full_loop != turn;
	worker->load.full_loop = turn;
}

// At the end of a turn that had something to do.
static inline void rate_turn(struct worker *worker)
{
	if (worker->now - worker->load.since_tsc >= worker->rate_window)
		rate_look(worker);
}
