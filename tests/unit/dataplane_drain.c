// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/pipeline.h"
#include "dataplane/worker_state.h"

// Packets with a crypto device end within their burst, as without one, for tests that look at what became of them.
// Linked in place of pipeline_take().

void __real_pipeline_take(struct worker *worker, struct packet *packets[], uint16_t n);
void __wrap_pipeline_take(struct worker *worker, struct packet *packets[], uint16_t n);

void __wrap_pipeline_take(struct worker *worker, struct packet *packets[], uint16_t n)
{
	__real_pipeline_take(worker, packets, n);
	while (pipeline_in_flight(worker->pipeline) > 0)
		pipeline_turn(worker);
}
