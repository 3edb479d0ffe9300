// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>

#include "base/endpoint.h"

// The relay's own addresses: announced when they come, so that nobody keeps the link-layer address of whoever had
// them before, and defended (RFC 5227 2.3 and 2.4, RFC 4861 7.2.6). Whether anybody else has them is asked at the same
// time, but nothing waits for the answer (RFC 5227 2.1 and RFC 4862 5.4 would, for seconds): the relay may have been
// restarted in the middle of calls. Control thread.

struct relay;

enum {
	OWN_ADDRESS_ANNOUNCEMENTS = 2,  // of each address (RFC 5227 1.1: ANNOUNCE_NUM)
	OWN_ADDRESS_INTERVAL_MS = 2000, // between them (ANNOUNCE_INTERVAL)
	OWN_ADDRESS_DEFEND_MS = 10000,  // between two defences of one port (DEFEND_INTERVAL)
};

// Has all addresses of a port asked for and announced from the next tick on.
void own_address_announce(struct relay *relay, uint8_t port);

// Somebody says that addr is his. If it is the port's that is told, and contradicted once in a while; true then.
bool own_address_claimed(struct relay *relay, uint8_t port, const struct endpoint *addr,
	const struct rte_ether_addr *mac);

// Asks and announces what is due. About once a millisecond.
void own_address_tick(struct relay *relay, uint64_t now_ms);
