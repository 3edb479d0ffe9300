// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/health.h"

#include <stdio.h>

#include "base/counter.h"
#include "dataplane/worker.h"

bool health_is_alive(const struct relay *relay, uint64_t tsc, char *why, size_t size)
{
	for (unsigned w = 0; w < relay->n_workers; w++) {
		const struct worker *worker = relay->workers[w];
		// The worker may have looked at the TSC after the caller did.
		int64_t still = (int64_t)(tsc - counter_read(&worker->turn_tsc));
		if (still <= (int64_t)(HEALTH_STILL_S * worker->tsc_hz))
			continue;
		snprintf(why, size, "worker %u stands still", w);
		return false;
	}
	return true;
}

bool health_is_ready(const struct relay *relay, uint64_t tsc, char *why, size_t size)
{
	if (!health_is_alive(relay, tsc, why, size))
		return false;
	for (unsigned p = 0; p < relay->n_ports; p++) {
		const struct port *port = &relay->ports[p];
		if (!atomic_load_explicit(&port->down, memory_order_relaxed))
			continue;
		snprintf(why, size, "port %s is down", port->name);
		return false;
	}
	return true;
}
