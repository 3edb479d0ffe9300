// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include <rte_ether.h>

#include "base/endpoint.h"

// What the network says that whoever runs the relay should know. Control thread.

struct relay;

enum news_type {
	NEWS_CONFLICT, // somebody has an address of the port: port, addr, mac
};

struct news {
	uint8_t type; // enum news_type
	uint8_t port;
	struct endpoint addr; // port unused
	struct rte_ether_addr mac;
};

enum { NEWS_MAX = 64 };

// In the order in which they came; what finds it full is lost: strangers cannot make more of it.
struct news_list {
	uint32_t n;
	struct news news[NEWS_MAX];
};

void news_add(struct relay *relay, const struct news *news);
