// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include "base/counter.h"
#include "dataplane/worker_state.h"

struct rte_mbuf;
struct worker;

// Packets of a worker are queued for their port and sent in bursts.

// Queues an Ethernet frame; flushes when a burst is full. Takes mbuf.
void transmit_frame(struct worker *worker, uint8_t port, struct rte_mbuf *mbuf);

// Counts a copy to a leg of so many octets from the RTP header on, before it is sent: if the port refuses it at once
// that is taken back.
static inline void transmit_count(struct worker *worker, uint32_t leg, uint16_t len)
{
	struct leg_counters *counters = &worker->legs[leg];
	counter_add(&counters->tx_packets, 1);
	counter_add(&counters->tx_octets, len);
	counter_set(&counters->last_tx_tsc, worker->now);
}

// Octets behind the headers of a frame of the relay's own: Ethernet, IP without options, UDP.
uint16_t transmit_payload_len(const struct port *port, const struct rte_mbuf *mbuf);

// Queues a copy for a leg, which has counted it as sent: if the port refuses it, that is taken back.
void transmit_copy(struct worker *worker, uint8_t port, struct rte_mbuf *mbuf, uint32_t leg);

// Hands what is queued to the port, and drops what it refuses.
void transmit_flush(struct worker *worker, uint8_t port);
