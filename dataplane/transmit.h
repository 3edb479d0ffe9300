// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

struct rte_mbuf;
struct worker;

// Queues an Ethernet frame for a port; sends when a burst is full. Takes mbuf.
void worker_send(struct worker *worker, uint8_t port, struct rte_mbuf *mbuf);
// The same of a copy for a leg, which has counted it as sent: if the port refuses it, the leg takes that back.
void worker_send_copy(struct worker *worker, uint8_t port, struct rte_mbuf *mbuf, uint32_t leg);

// Has a port send what is queued for it.
void tx_flush(struct worker *worker, uint8_t port);
