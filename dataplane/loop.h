// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

struct burst_origin;
struct rte_mbuf;
struct worker;
struct worker_mail;

// The loop of a poll-mode worker on its core: no lock, no allocation, no system call.

// The loop, on its lcore (lcore_function_t). Returns 0 after worker->quit, -1 if the cipher has no
// memory.
int worker_run(void *worker);

// One turn of that loop: mail, handed over packets, one burst of each port, transmission, quiescent
// state. Returns how many messages and frames it took. The worker's thread, online in relay->rcu.
unsigned worker_turn(struct worker *worker);

// Takes n <= WORKER_BURST frames that a port gave through all stages; with a crypto device, which has room
// for them in the pipeline, through those before it. Takes the mbufs in any case.
void worker_process_burst(struct worker *worker, struct rte_mbuf *mbufs[], uint16_t n);

// A part of a burst, WORKER_GROUP frames at most, at worker->now.
void worker_process_vector(struct worker *worker, const struct burst_origin *origin,
	struct rte_mbuf *mbufs[], uint16_t n);

// Does the same with the packets that wait for what a MAIL_RESUME is about.
void worker_resume(struct worker *worker, const struct worker_mail *mail);

// And with a burst of what other workers handed over. Returns how many.
unsigned worker_take_handed_over(struct worker *worker);
