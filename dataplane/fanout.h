// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"

// Destinations of packets of one protocol: immutable, shared by the legs of a session, made by the
// control thread (dataplane/audience.h). The sending leg is among them and left out.

// One copy: a receiving leg with its headers ready but for lengths and checksums. One cache line.
struct fanout_dest {
	alignas(64) uint32_t leg;
	uint32_t neighbour; // index in neighbour_table
	uint16_t l3_sum;    // ones' complement sum of the IPv4 header's constant fields
	uint16_t l4_sum;    // ones' complement sum of pseudo header and UDP ports
	uint8_t port;
	uint8_t header_len; // octets of header: 28 (IPv4), 48 (IPv6) or 0 (not known where to send)
	uint16_t payload_max; // octets behind the headers of what the path takes
	uint8_t header[48];   // IP and UDP
};

static_assert(sizeof(struct fanout_dest) == 64, "a cache line a copy");

enum {
	FANOUT_RING_MAX = 8,       // active keys of one group
	FANOUT_ACCEPT_MAX = 8,     // keys that a leg accepts besides
	FANOUT_RATE_RECEIVERS = 8, // copies to these cost a sender what one packet costs
};

// Some receivers of a variant, next to each other.
struct fanout_part {
	const struct fanout_dest *dests;
	uint32_t n;
};

// A root key of receivers, and the layout in which they get what is under it: that of its own profile.
struct fanout_key {
	uint32_t root;     // index
	uint16_t roc_rate; // 0: no ROC
	uint8_t mki_len;   // octets
	uint8_t suite;     // enum srtp_suite
};

static_assert(sizeof(struct fanout_key) == 8, "compared as octets");

enum { FANOUT_OTHERS_MAX = FANOUT_RING_MAX - 1 + FANOUT_ACCEPT_MAX };

// Receivers that get the same octets: protected once, copied n_dests times. One cache line.
struct fanout_variant {
	uint8_t mode;   // enum leg_mode
	bool by_talker; // GMK: one key context per talker, found by name
	uint8_t cs_id;
	uint8_t n_others;      // active keys that the receivers have, but key
	bool encrypt;          // SRTCP that the relay sends to them has E = 1
	struct fanout_key key; // to protect under: the one activated last
	uint32_t ctx;          // key context; KEY_NONE if by_talker, or if the key is not active
	uint32_t n_dests;      // in all parts, 1 at least
	uint32_t only_leg;     // the only receiver; LEG_NONE: there are several
	uint32_t n_more;
	struct fanout_part first;
	const struct fanout_part *more; // behind the first
	// What came under one of these, which the receivers have, too, leaves under it.
	const struct fanout_key *others;
};

static_assert(sizeof(struct fanout_variant) == 64, "a cache line a variant");

enum { FANOUT_TALKER_VARIANTS_MAX = 8 }; // variants with by_talker, the first in the list

// Some variants, next to each other.
struct fanout_run {
	const struct fanout_variant *variants;
	uint32_t n;
};

// What is read of every packet comes first: of one with a single variant, one cache line.
struct fanout {
	alignas(64) uint32_t n_variants; // of those that are here: the first
	uint8_t n_talker_variants;       // these come first
	bool protects;                   // has a variant of mode LEG_SRTP
	uint16_t rate_more; // what a packet costs its sender more than one for a few: see rate.h
	const struct fanout_run
		*runs; // of the other variants, up to one of n 0; NULL: there are none
	struct fanout_variant variants[]; // those of one index space stand together, in all runs
};

static_assert(offsetof(struct fanout, variants) + offsetof(struct fanout_variant, more) <= 64,
	"what one copy needs of a variant is in the first cache line");

// Where a walk over all variants of a fan-out is.
struct fanout_walk {
	const struct fanout_variant *next, *end;
	const struct fanout_run *run;
};

static inline struct fanout_walk fanout_walk_begin(const struct fanout *fanout)
{
	return (struct fanout_walk){
		fanout->variants, fanout->variants + fanout->n_variants, fanout->runs};
}

// The next variant; NULL: that was the last one.
static inline const struct fanout_variant *fanout_walk_next(struct fanout_walk *walk)
{
	if (walk->next == walk->end) {
		if (!walk->run || walk->run->n == 0)
			return NULL;
		walk->next = walk->run->variants;
		walk->end = walk->next + walk->run->n;
		walk->run++;
	}
	return walk->next++;
}

// Orders variants by how they are protected, whoever receives them. 0: the same octets.
int variant_compare(const struct fanout_variant *a, const struct fanout_variant *b);

// A receiver, as the control thread keeps it.
struct fanout_receiver {
	uint32_t leg;
	uint32_t neighbour; // next hop to remote, in neighbour_table
	uint8_t port, dscp;
	uint16_t mtu; // octets of an IP packet, of the path to remote
	const struct endpoint *local, *remote;
};

// The headers of a copy, and the sums of all in them that is constant.
void fanout_dest_fill(struct fanout_dest *dest, const struct fanout_receiver *receiver);
