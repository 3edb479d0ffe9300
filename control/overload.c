// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/overload.h"

#include <rte_ethdev.h>

#include "base/counter.h"
#include "dataplane/turn.h"
#include "dataplane/worker.h"
#include "event/notice.h"

enum { OVERLOAD_LOOK_MS = 1000 };

static const struct {
	enum drop_reason reason;
	uint32_t n;
} reasons[OVERLOAD_N_REASONS] = {
#define _(reason, n) {DROP_##reason, n},
	OVERLOAD_REASONS(_)
#undef _
};

// n more were counted in this second. It is told at once, again as often as notices may be, and when
// it is over: never sooner after the last time than the limit on notices allows.
static void state_take(struct notices *notices, struct overload_state *state, uint64_t n,
	uint64_t threshold, struct notice *what)
{
	what->type = NOTICE_OVERLOAD;
	if (n >= threshold) {
		state->quiet = 0;
		state->untold += n;
		what->state = "on";
		what->count = state->untold;
		if (!notice(notices, what))
			return;
		state->on = true;
		state->untold = 0;
	} else if (++state->quiet >= OVERLOAD_QUIET_SECONDS && state->on) {
		what->state = "off";
		what->count = state->untold;
		state->on = !notice(notices, what);
		if (!state->on)
			state->untold = 0;
	}
}

static void look_at_drops(
	struct overload *overload, const struct relay *relay, struct notices *notices)
{
	for (unsigned i = 0; i < OVERLOAD_N_REASONS; i++) {
		struct overload_state *state = &overload->reasons[i];
		struct notice what = {.reason = drop_label(reasons[i].reason)};
		uint64_t n = 0, before = state->seen;
		for (unsigned w = 0; w < relay->n_workers; w++)
			n += counter_read(&relay->workers[w]->counters.drops[reasons[i].reason]);
		state->seen = n;
		state_take(notices, state, n - before, reasons[i].n, &what);
	}
}

static void look_at_ports(
	struct overload *overload, const struct relay *relay, struct notices *notices)
{
	for (unsigned p = 0; p < relay->n_ports; p++) {
		struct overload_state *state = &overload->missed[p];
		struct notice what = {.reason = "rx_missed", .port = relay->ports[p].name};
		struct rte_eth_stats stats;
		uint64_t before = state->seen;
		if (port_statistics(&relay->ports[p], &stats) != 0 || stats.imissed < before)
			continue;
		state->seen = stats.imissed;
		state_take(notices, state, stats.imissed - before, OVERLOAD_MISSED, &what);
	}
}

// None of its turns may have ended in between: it is as busy as it was, and no overload that can be told.
bool overload_load_look(struct overload_load *load, uint64_t cycles, uint64_t busy_cycles)
{
	uint64_t all = cycles - load->cycles, busy = busy_cycles - load->busy_cycles;
	if (all == 0)
		return false;
	// The worker counts on between two reads of control's.
	busy = RTE_MIN(busy, all);
	*load = (struct overload_load){.cycles = cycles,
		.busy_cycles = busy_cycles,
		.permille = (uint32_t)(1000 * (double)busy / (double)all)};
	return load->permille >= OVERLOAD_BUSY_PERMILLE;
}

static void look_at_workers(
	struct overload *overload, const struct relay *relay, struct notices *notices)
{
	for (uint32_t w = 0; w < relay->n_workers; w++) {
		struct notice what = {.reason = "worker_busy", .worker = &w};
		const struct worker *worker = relay->workers[w];
		bool busy = overload_load_look(&overload->loads[w], worker_cycles(worker),
			counter_read(&worker->counters.busy_cycles));
		state_take(notices, &overload->busy[w], busy, 1, &what);
	}
}

void overload_tick(struct overload *overload, const struct relay *relay, struct notices *notices)
{
	if (notices->now_ms - overload->looked_ms < OVERLOAD_LOOK_MS)
		return;
	overload->looked_ms = notices->now_ms;
	look_at_drops(overload, relay, notices);
	look_at_ports(overload, relay, notices);
	look_at_workers(overload, relay, notices);
}
