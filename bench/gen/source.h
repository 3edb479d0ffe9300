// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include "bench/gen/calls.h"

// Makes the packets of all streams, in random order or one after the other.
struct source {
	struct gen_calls *calls;
	uint64_t random;
	uint32_t weights; // sum of the sizes'
	struct rte_ether_addr own_mac, relay_mac;
};

enum { SOURCE_FRAME_MAX = 2048 }; // octets, room for any frame

void source_init(struct source *source, struct gen_calls *calls, const struct rte_ether_addr *own,
	const struct rte_ether_addr *relay);

// Any stream.
uint32_t source_draw(struct source *source);

// Writes the next packet of a stream, stamped with the time; its octets, 0 if the cipher failed.
uint16_t source_frame(struct source *source, uint32_t stream, uint8_t frame[SOURCE_FRAME_MAX]);

// Octets of a frame in the mean, from Ethernet header to the end of the packet.
double source_mean_octets(const struct source *source);
