// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

// Where packets of one protocol go: immutable, shared by the legs of a session, built by the
// control thread. A leg finds itself in it and is left out.

// One copy: a receiving leg with its headers ready but for lengths and checksums. One cache line.
struct fanout_dest {
	alignas(64) uint32_t leg;
	uint32_t neighbour; // index in neighbour_table
	uint16_t l3_sum;    // ones' complement sum of the IPv4 header's constant fields
	uint16_t l4_sum;    // ones' complement sum of pseudo header and UDP ports
	uint8_t port;
	uint8_t header_len; // octets of header: 28 (IPv4) or 48 (IPv6)
	uint8_t reserved[2];
	uint8_t header[48]; // IP and UDP
};

static_assert(sizeof(struct fanout_dest) == 64, "a cache line a copy");

enum {
	FANOUT_RING_MAX = 8,   // active keys of one group
	FANOUT_ACCEPT_MAX = 8, // keys that a leg accepts besides
};

// Receivers that get the same octets: protected once, copied n_dests times.
struct fanout_variant {
	uint8_t mode;    // enum leg_mode
	bool by_talker;  // GMK: one key context per talker, found by name
	uint8_t mki_len; // octets
	uint8_t cs_id;
	uint8_t suite;     // enum srtp_suite
	uint8_t n_others;  // active keys that the receivers have, but root
	uint16_t roc_rate; // 0: no ROC
	uint32_t root;     // index of the root key to protect under: the one activated last
	uint32_t ctx;      // key context; KEY_NONE if by_talker, or if the key is not active
	uint32_t first_dest;
	uint32_t n_dests;
	uint32_t only_leg; // the only receiver; LEG_NONE: there are several
	// Root keys that these receivers know, too: what came under one leaves under it.
	uint32_t others[FANOUT_RING_MAX - 1 + FANOUT_ACCEPT_MAX];
};

enum { FANOUT_TALKER_VARIANTS_MAX = 8 }; // variants with by_talker, the first in the list

// What is read of every packet comes first: of one with a single variant, one cache line.
struct fanout {
	alignas(64) uint32_t n_dests;
	uint32_t n_variants;
	uint8_t n_talker_variants;        // these come first
	struct fanout_dest *dests;        // behind the variants, in the same allocation
	struct fanout_variant variants[]; // those of one key stand together
};

// Room for that many; all but dests is the caller's to fill, and the whole to free(). NULL if there is no memory.
// Control thread.
static inline struct fanout *fanout_alloc(uint32_t n_dests, uint32_t n_variants)
{
	const size_t line = alignof(struct fanout);
	size_t head = sizeof(struct fanout) + n_variants * sizeof(struct fanout_variant);
	head = (head + line - 1) / line * line;
	struct fanout *fanout =
		(struct fanout *)aligned_alloc(line, head + n_dests * sizeof(struct fanout_dest));
	if (fanout)
		fanout->dests = (struct fanout_dest *)((uint8_t *)fanout + head);
	return fanout;
}
