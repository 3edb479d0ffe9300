// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

struct rte_mbuf;
struct worker;

// Packets of a worker are queued for their port and sent in bursts.

// Queues an Ethernet frame; flushes when a burst is full. Takes mbuf.
void transmit_frame(struct worker *worker, uint8_t port, struct rte_mbuf *mbuf);

// Queues a copy for a leg, which has counted it as sent: if the port refuses it, that is taken back.
void transmit_copy(struct worker *worker, uint8_t port, struct rte_mbuf *mbuf, uint32_t leg);

// Hands what is queued to the port, and drops what it refuses.
void transmit_flush(struct worker *worker, uint8_t port);
