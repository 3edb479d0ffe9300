// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "crypto/srtp.h"

// A worker's queue to a crypto device: operations that wait until the device takes them, those it has, and how
// long it is given to answer. The worker's own.

struct cryptodev;
struct rte_crypto_op;
struct rte_mbuf;

enum { DEVICE_QUEUE_SIZE = 2048 }; // a power of two; each flight is in it once at most

enum flight_state {
	FLIGHT_READY,  // needs the device no more: ends when it is its turn
	FLIGHT_DIRECT, // the worker's own cipher does it when it is its turn
	FLIGHT_QUEUED, // waits to be taken by the device
	FLIGHT_DEVICE, // the device has it
};

// What a packet and a job have in common.
struct flight {
	struct rte_crypto_op *op; // its own for good, but for one that the device never gave back
	struct srtp_op *srtp;
	uint8_t state; // enum flight_state
	uint8_t phase; // see pipeline_quiesce()
	bool is_job;
	bool again; // a packet that was decrypted, and is encrypted again to learn its tag
};

// Written by the worker; any thread may read relaxed.
struct device_counters {
	uint64_t device_ops; // that the device has finished
	uint64_t direct_ops; // that went to the worker's own cipher: AES-CM, AAD of another length
	uint64_t waits;      // offers of which the device did not take all
};

struct device_queue {
	struct cryptodev *device;
	uint16_t queue_pair;
	_Atomic bool stalled; // worker: rw, any thread: ro
	uint32_t at_device;   // operations it has
	uint32_t offered,
		queued; // operations that it has taken of those queued. They count on without end
	uint64_t progress_tsc; // when it last finished something, or first got something
	uint32_t turns;        // since then
	uint64_t timeout;      // cycles
	struct device_counters counters;
	struct flight *flights[DEVICE_QUEUE_SIZE];
};

// queue is zero. Main thread.
void device_queue_init(
	struct device_queue *queue, struct cryptodev *device, uint16_t queue_pair, uint64_t tsc_hz);

// Gives a flight its operation. 0 or -1. Main thread.
int flight_init(
	struct device_queue *queue, struct flight *flight, struct srtp_op *srtp, bool is_job);

// Whether the device can do what flight->srtp was prepared for. A session of a device has one length of AAD,
// and not every device knows what to do with a text of no octets, or with a buffer that is not of the pool.
bool device_queue_suits(
	const struct device_queue *queue, const struct flight *flight, const struct rte_mbuf *mbuf);

// Has the device encrypt or decrypt, in that session, what flight->srtp was prepared for. Its src begins where
// the data of from does. to NULL: in place.
void device_queue_put(struct device_queue *queue, struct flight *flight, void *session,
	struct rte_mbuf *from, struct rte_mbuf *to);

// Offers the device what waits. Returns how many it took.
unsigned device_queue_offer(struct device_queue *queue);

// Takes at most n flights that the device has finished. Returns how many.
uint16_t device_queue_take(
	struct device_queue *queue, struct flight *flights[], uint16_t n, uint64_t now);

// Whether the device fails to finish an operation in time. To be called once a turn: turns count as
// well, so that the device is not blamed when the worker itself did not run.
bool device_queue_timed_out(struct device_queue *queue, uint64_t now);

// Stops using the device for good. What is enqueued is left to it: it may still write there.
void device_queue_abandon(struct device_queue *queue);

// The result of each flight then: what is enqueued has failed, the rest continues without the
// device.
void flight_abandon(struct flight *flight);

static inline bool device_queue_has_stalled(const struct device_queue *queue)
{
	return atomic_load_explicit(&queue->stalled, memory_order_relaxed);
}
