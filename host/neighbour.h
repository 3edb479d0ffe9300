// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>

#include "base/endpoint.h"

// Link-layer addresses of next hops: ARP (RFC 826) and Neighbour Discovery (RFC 4861). Resolved by
// the control thread before media needs them; workers only read them.

struct relay;

#define NEIGHBOUR_NONE     UINT32_MAX
#define NEIGHBOUR_RESOLVED (UINT64_C(1) << 48)

struct neighbour {
	_Atomic uint64_t mac; // low 48 bits, NEIGHBOUR_RESOLVED; control: rw, worker: ro
	struct endpoint addr; // port is not used. Control only, as all that follows
	uint8_t port;
	uint8_t probes;     // solicitations sent since the last answer
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
	uint32_t cursor;    // where the next tick goes on
	uint64_t tick_ms;   // when it is
};

enum {
	NEIGHBOUR_RETRY_MS = 1000,      // between solicitations of one that does not answer
	NEIGHBOUR_REACHABLE_MS = 30000, // between checks of one that answered
	NEIGHBOUR_PROBES = 3,           // unanswered checks before its address is forgotten
};

int neighbour_table_init(struct neighbour_table *table, uint32_t size);
void neighbour_table_fini(struct neighbour_table *table);

// The neighbour with that address on that port, solicited at once if it is new. Multicast addresses
// need no resolution (RFC 1112 6.4, RFC 2464 7). NEIGHBOUR_NONE if the table is full. Control
// thread.
uint32_t neighbour_take(struct relay *relay, uint8_t port, const struct endpoint *addr);

// Gives back one use. Workers must not reach a destination with it any more. Control thread.
void neighbour_release(struct relay *relay, uint32_t neighbour);

// Notes what an ARP or ND packet from the network says of an address that is in use; others are
// ignored.
void neighbour_learn(struct relay *relay, uint8_t port, const struct endpoint *addr,
	const struct rte_ether_addr *mac);

// Solicits those whose time has come. Control thread, several times a second.
void neighbour_tick(struct relay *relay, uint64_t now_ms);

// The neighbour's address, in memory the first octets of the word; with NEIGHBOUR_RESOLVED, or it is not known. Any
// thread.
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
