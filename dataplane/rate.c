// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/rate.h"

#include "base/counter.h"

static uint32_t cost_of(uint64_t cycles, uint64_t per_second)
{
	uint64_t cost = per_second == 0 ? 0 : RTE_MAX(cycles / per_second, UINT64_C(1));
	return (uint32_t)RTE_MIN(cost, (uint64_t)UINT32_MAX);
}

struct leg_rate rate_make(uint64_t packets, uint64_t octets, uint32_t floor, uint64_t tsc_hz)
{
	return (struct leg_rate){
		.packet_cost = cost_of(tsc_hz, packets),
		.octet_cost = cost_of(tsc_hz << RATE_OCTET_SHIFT, octets),
		.floor_cost = cost_of(tsc_hz, floor),
	};
}

static void squeeze_set(struct worker *worker, uint32_t squeeze)
{
	uint64_t ms = worker->tsc_hz / 1000;
	counter_set(&worker->squeeze, squeeze);
	worker->rate_burst = ms * (squeeze > 0 ? RATE_SQUEEZED_BURST_MS : RATE_BURST_MS);
}

void rate_init(struct worker *worker)
{
	worker->rate_window = worker->tsc_hz / 1000 * RATE_WINDOW_MS;
	squeeze_set(worker, 0);
}

uint64_t rate_squeezed(const struct worker *worker, const struct leg_rate *rate, uint64_t cost)
{
	uint64_t most = RTE_MAX(cost, (uint64_t)rate->floor_cost);
	return RTE_MIN(cost << worker->squeeze, most);
}

// Bursts were full in nearly every turn, or the ports took an eighth less than they were given. Where less is sent than
// received, most of it is no leg's doing.
static bool worker_is_overloaded(const struct worker *worker, uint64_t turns)
{
	const struct worker_counters *c = &worker->counters;
	const struct worker_load *load = &worker->load;
	uint64_t tx = c->tx_packets - load->tx_packets, rx = c->rx_packets - load->rx_packets;
	uint64_t refused = c->drops[DROP_TX_FULL] - load->refused;
	return (load->full_turns * 8 >= turns * 7 && tx * 2 >= rx) || refused * 8 > tx;
}

void rate_look(struct worker *worker)
{
	const struct worker_counters *c = &worker->counters;
	struct worker_load *load = &worker->load;
	uint64_t turns = c->loops - load->loops;
	uint64_t calm = worker->tsc_hz / 1000 * RATE_CALM_MS;
	if (turns < RATE_WINDOW_TURNS)
		return;
	if (worker_is_overloaded(worker, turns)) {
		squeeze_set(worker,
			RTE_MIN(worker->squeeze + RATE_SQUEEZE_STEP, (uint32_t)RATE_SQUEEZE_MAX));
		load->calm_tsc = worker->now;
	} else if (worker->squeeze > 0 && worker->now - load->calm_tsc >= calm) {
		uint64_t steps = (worker->now - load->calm_tsc) / calm;
		squeeze_set(worker, worker->squeeze - (uint32_t)RTE_MIN(steps, worker->squeeze));
		load->calm_tsc += steps * calm;
	}
	load->since_tsc = worker->now;
	load->loops = c->loops;
	load->rx_packets = c->rx_packets;
	load->tx_packets = c->tx_packets;
	load->refused = c->drops[DROP_TX_FULL];
	load->full_turns = 0;
}
