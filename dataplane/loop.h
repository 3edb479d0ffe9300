// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

struct burst_origin;
struct rte_mbuf;
struct worker;
struct worker_mail;

// The loop of a poll-mode worker on its core: no lock, no allocation, no system call.

// Runs on the worker's lcore (lcore_function_t). Returns 0 after worker->quit, -1 if the cipher has no memory.
int loop_run(void *worker);

// One turn: mail, handed over packets, one burst of each port, transmission, quiescent
// state. Returns how many messages and frames it took. The worker's thread, online in relay->rcu.
unsigned loop_turn(struct worker *worker);

// Takes n <= WORKER_BURST frames that a port gave through all stages; with a crypto device, which has room
// for them in the pipeline, through those before it. Takes the mbufs in any case.
void loop_process_burst(struct worker *worker, struct rte_mbuf *mbufs[], uint16_t n);

// Runs the stages for a part of a burst from origin, WORKER_VECTOR frames at most, received at worker->now.
void loop_process_vector(struct worker *worker, const struct burst_origin *origin,
	struct rte_mbuf *mbufs[], uint16_t n);

// Processes the packets that wait in the hold slot which a MAIL_RESUME names.
void loop_resume(struct worker *worker, const struct worker_mail *mail);

// Processes one burst of what other workers handed over. Returns how many frames.
unsigned loop_take_handed_over(struct worker *worker);
