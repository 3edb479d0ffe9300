// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/worker.h"

// A burst with a crypto device is a whole again for tests that look at what became of it: its packets have ended
// when the call returns. Linked in place of worker_process_burst().

void __real_worker_process_burst(struct worker *worker, struct rte_mbuf *mbufs[], uint16_t n);
void __wrap_worker_process_burst(struct worker *worker, struct rte_mbuf *mbufs[], uint16_t n);

void __wrap_worker_process_burst(struct worker *worker, struct rte_mbuf *mbufs[], uint16_t n)
{
	__real_worker_process_burst(worker, mbufs, n);
	while (worker->pipeline && pipeline_in_flight(worker->pipeline) > 0)
		pipeline_turn(worker);
}
