// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "bench/gen/options.h"

// A DPDK port that leads to one of the relay's, as a host with one IPv4 address. It answers ARP.

enum { LINK_BURST = 32 };

struct link {
	const struct gen_side *side;
	struct rte_mempool *pool;
	uint16_t ethdev;
	struct rte_ether_addr mac, relay_mac;
	bool open, relay_known;
};

// Opens the device with one queue each way. False with a message printed.
bool link_open(struct link *link, const struct gen_side *side, struct rte_mempool *pool);
void link_close(struct link *link);

// Waits until the link is up and the relay's MAC is known, 10 seconds at most.
bool link_ready(struct link *link);

// Takes up to LINK_BURST frames; those of ARP are dealt with and not among them. The caller frees.
uint16_t link_receive(struct link *link, struct rte_mbuf *frames[LINK_BURST]);
