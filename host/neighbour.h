// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>

#include "base/endpoint.h"
#include "dataplane/neighbour_table.h"

// Link-layer addresses of next hops: ARP (RFC 826) and Neighbour Discovery (RFC 4861). Resolved by
// the control thread before media needs them; workers only read them.

struct relay;

enum {
	NEIGHBOUR_RETRY_MS = 1000, // between solicitations of one that does not answer
	// Between checks of one that answered. RFC 4861 10 has 30 s, and 5 s until a stale one is probed, for hosts
	// whose connections tell them that packets arrive (7.3.1). RTP tells nothing.
	NEIGHBOUR_CHECK_MS = 1000,
	NEIGHBOUR_PROBE_MS = 200,     // between the first NEIGHBOUR_QUICK_PROBES of a check
	NEIGHBOUR_UNICAST_PROBES = 2, // unanswered, then all hosts are asked who has the address
	NEIGHBOUR_QUICK_PROBES = 4,
	NEIGHBOUR_PROBES = 5,      // unanswered probes before its address is forgotten
	NEIGHBOUR_HOLD_PROBES = 2, // unanswered solicitations before packets no longer wait for it
	// At most so many solicitations are due in a tick: 10,000 a second, one for each of 10,000 neighbours. With
	// more each is checked less often.
	NEIGHBOUR_TICK_MS = 10,
	NEIGHBOUR_TICK_SOLICITS = 100,
	NEIGHBOUR_TICK_ENTRIES = 2000, // looked at in a tick
};

int neighbour_table_init(struct neighbour_table *table, uint32_t size);
void neighbour_table_fini(struct neighbour_table *table);

// The neighbour with that address on that port, solicited at once if it is new. Multicast addresses
// need no resolution (RFC 1112 6.4, RFC 2464 7). NEIGHBOUR_NONE if the table is full. Control
// thread.
uint32_t neighbour_take(struct relay *relay, uint8_t port, const struct endpoint *addr);

// Gives back one use. Workers must not reach a destination with it any more. Control thread.
void neighbour_release(struct relay *relay, uint32_t neighbour);

// What an ARP or ND packet says of an address.
struct neighbour_claim {
	struct endpoint addr;
	struct rte_ether_addr mac; // of all zeros: not said
	bool solicited;            // it answers the relay: the neighbour is reachable
	bool override;             // another address than the one that is known takes its place
};

// Notes a claim about an address that is in use (RFC 4861 7.2.5); others are ignored. Another link-layer address
// than the known one is told as news, and probed at once: if nobody answers there all hosts are asked. Control thread.
void neighbour_hear(struct relay *relay, uint8_t port, const struct neighbour_claim *claim);

// What is known of a port's neighbours may be wrong: has all of them asked anew, by broadcast or multicast. Packets
// go on to where they were. Control thread.
void neighbour_doubt(struct relay *relay, uint8_t port);

// Solicits the neighbours that are due. Control thread, about once a millisecond.
void neighbour_tick(struct relay *relay, uint64_t now_ms);
