// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

// The packets that a worker has in flight through a crypto device. They wait in the inbound FIFO
// until their tags are verified, and the jobs made of them in the outbound FIFO until they are
// protected. Each FIFO is emptied in the order in which it was filled, whatever order the device
// finishes in and whatever needs no device. The worker's own.

struct device_counters;
struct packet;
struct pipeline;
struct worker;

enum {
	PIPELINE_PACKETS = 1024, // in the inbound FIFO: twice what one key context's answer resumes
	PIPELINE_JOBS = 1024,    // in the outbound FIFO
	PIPELINE_OPS = PIPELINE_PACKETS + PIPELINE_JOBS,
	// mbufs that a full pipeline holds: two of a packet, one of a job
	PIPELINE_MBUFS = 2 * PIPELINE_PACKETS + PIPELINE_JOBS,
};

// For a worker of a relay with a crypto device. NULL if memory is short. Main thread.
struct pipeline *pipeline_new(struct worker *worker);

// Frees what no device still has. After the worker's loop ended. NULL is ignored.
void pipeline_free(struct pipeline *pipeline);

// How many packets pipeline_take() has room for.
unsigned pipeline_room(const struct pipeline *pipeline);

// Takes packets that passed stage_stream, as many as there is room for at most.
void pipeline_take(struct worker *worker, struct packet *packets[], uint16_t n);

// Takes what the device has finished, moves both FIFOs on, and offers the device what waits for it. Never
// waits itself. Returns how many packets and jobs moved.
unsigned pipeline_turn(struct worker *worker);

// Packets and jobs that have not ended.
unsigned pipeline_in_flight(const struct pipeline *pipeline);

// Reports quiescent states as far as nothing in flight refers to tables: at the end of a turn, when the
// worker holds no pointer of its own. A worker is two readers, whose numbers these are; what is taken in goes
// on account of one until the other has nothing left.
void pipeline_quiesce(struct worker *worker);
unsigned pipeline_reader(const struct worker *worker, unsigned phase);

// Whether the device stopped answering, for good: it is not used any more, and its operations are
// lost. Any thread.
bool pipeline_has_stalled(const struct pipeline *pipeline);

// Of the worker; any thread may read relaxed.
const struct device_counters *pipeline_counters(const struct pipeline *pipeline);
