// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>

#include "base/endpoint.h"

// Link-layer addresses of next hops. host/neighbour.c resolves them before media needs them; workers
// only read them.

#define NEIGHBOUR_NONE     UINT32_MAX
#define NEIGHBOUR_NOBODY   0 // of copies that cannot be sent yet: is never resolved
#define NEIGHBOUR_RESOLVED (UINT64_C(1) << 48)
#define NEIGHBOUR_PENDING  (UINT64_C(1) << 49) // with its address unknown: packets may wait for it

enum {
	NEIGHBOUR_SERIAL_SHIFT = 50
}; // above, 14 bits that tell it from the last one in the same entry

// RFC 4861 7.3.2, of ARP as of Neighbour Discovery. A stale one is probed at once whether it is used or not.
enum neighbour_state {
	NEIGHBOUR_INCOMPLETE, // asked for by broadcast or multicast
	NEIGHBOUR_REACHABLE,  // it answered
	NEIGHBOUR_STALE,      // it was heard, or somebody claims another address for it
	NEIGHBOUR_PROBE, // asked whether it is there yet, then all hosts whether they have its address
};

struct neighbour {
	_Atomic uint64_t mac; // low 48 bits, then the flags and the serial; control: rw, worker: ro
	struct endpoint addr; // port is not used. Control only, as all that follows
	uint8_t port;
	uint8_t state;      // enum neighbour_state
	uint8_t probes;     // solicitations sent in that state
	uint32_t users;     // destinations that use it; 0: free
	uint64_t due_ms;    // when to solicit next
	uint32_t hash_next; // + 1
};

struct neighbour_table {
	struct neighbour *entries;
	uint32_t *buckets; // heads + 1
	uint32_t bucket_mask;
	uint32_t size;
	uint32_t n_touched;
	uint32_t free_head; // + 1, linked by hash_next
	uint32_t cursor;    // where the next tick continues
	uint64_t tick_ms;   // when it is
};

// The neighbour's address, in memory the first octets of the word; valid with NEIGHBOUR_RESOLVED
// only. Any thread.
static inline uint64_t neighbour_word(const struct neighbour_table *table, uint32_t neighbour)
{
	return atomic_load_explicit(&table->entries[neighbour].mac, memory_order_relaxed);
}

static inline bool neighbour_mac(
	const struct neighbour_table *table, uint32_t neighbour, struct rte_ether_addr *mac)
{
	uint64_t word = neighbour_word(table, neighbour);
	__builtin_memcpy(mac, &word, sizeof(*mac));
	return (word & NEIGHBOUR_RESOLVED) != 0;
}
