// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include <rte_ether.h>

#include "base/endpoint.h"

// What the network says that whoever runs the relay should know. Control thread.

struct relay;

enum news_type {
	NEWS_CONFLICT,        // somebody has an address of the port: port, addr, mac
	NEWS_NEIGHBOUR_MOVED, // a next hop has another link-layer address: port, addr, mac
	NEWS_PORT_DOWN,       // nothing can be sent or received: port, reason
	NEWS_PORT_UP,         // it can again: port, reason
	NEWS_PATH_MTU, // a packet to a leg was larger than its path takes: addr, leg, serial, mtu
	NEWS_UNREACHABLE, // a packet to a leg did not arrive: addr, leg, serial, unreachable
};

// Why a packet did not arrive, and the name of that in the control API.
#define UNREACHABLE_REASONS(_)                                                                     \
	_(NET, "net")               /* no route to the remote address */                           \
	_(HOST, "host")             /* a route, but nobody there */                                \
	_(PORT, "port")             /* the host is there, and has nothing that listens */          \
	_(PROHIBITED, "prohibited") /* a filter refuses it */                                      \
	_(HOPS, "hops")             /* too many hops on the way: a loop */

enum unreachable_reason {
#define _(name, label) UNREACHABLE_##name,
	UNREACHABLE_REASONS(_)
#undef _
		UNREACHABLE_N,
};

struct news {
	uint8_t type; // enum news_type
	uint8_t port;
	uint8_t unreachable;  // enum unreachable_reason
	uint16_t mtu;         // octets of an IP packet
	uint32_t leg, serial; // of the leg's index
	struct endpoint addr; // the port's address, or of whoever says it; port unused
	struct rte_ether_addr mac;
	const char *reason; // constant; NULL: none
};

enum {
	NEWS_STRANGERS_MAX = 64, // of what others say
	NEWS_MAX = 128,
};

// In the order in which they came; what finds it full is lost: strangers cannot make more of it, and leave room for
// the rest.
struct news_list {
	uint32_t n;
	struct news news[NEWS_MAX];
	// Of host/icmp_error.c: what was quoted in the second that began then, in ms of clock_now_ms()
	uint64_t quotes_ms;
	uint32_t quotes_right, quotes_wrong;
};

void news_add(struct relay *relay, const struct news *news);

const char *unreachable_label(enum unreachable_reason reason);
