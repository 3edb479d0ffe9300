// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/fanout.h"
#include "dataplane/key_table.h"

// What an audience is made of (audience.h). Control thread; workers read `fanout` alone.

struct map;

enum {
	AUDIENCE_BLOCK = 64, // receivers
	AUDIENCE_BIN = 32, // classes that a bin has room for; of one index space there may be more
};

#define SPACE_ALONE UINT64_MAX // of a class that shares no packets with others

struct audience_block {
	struct fanout_dest
		*dests; // room for AUDIENCE_BLOCK, of the only block of a class maybe less
	bool fresh;     // no fan-out has it yet
};

struct audience_class {
	struct fanout_variant variant; // only what is said of all receivers: up to ctx, and others
	struct fanout_key *others;     // of variant
	uint64_t space;                // index space of variant, see audience_bin.h; or SPACE_ALONE
	struct audience_block *blocks; // full but for the last
	uint32_t n;                    // receivers
	uint32_t blocks_size;          // of the array
	uint32_t last_room;            // receivers that the last block has room for
	uint32_t last_shown;           // receivers of the last block that fan-outs have or had
	uint32_t position;             // in classes
	uint32_t bin;                  // in which it is
	uint16_t rule_len;             // octets
	uint8_t rule[];                // that all its receivers follow, as the owner states it
};

// Classes whose variants stand next to each other: all of an index space are in one bin.
struct audience_bin {
	struct audience_class **classes;
	uint32_t n, size;
	uint32_t n_shown;
	bool protects; // has a variant of mode LEG_SRTP
	struct fanout_variant
		*shown; // as fan-outs have them; NULL: it has changed, or is the first
};

// Where a receiver is.
struct audience_place {
	struct audience_class *class; // NULL: nowhere
	uint32_t at;
};

struct audience {
	struct fanout *_Atomic fanout;   // never NULL. control: rw, worker: ro
	const struct key_table *keys;    // in which the contexts of the variants are
	struct audience_class **classes; // each with one receiver at least
	struct map *by_rule;             // classes; NULL: there are few
	struct audience_bin *bins;
	struct map *by_space; // one of the classes of an index space; NULL: there is one bin
	void **old;           // what only fanout refers to
	uint32_t n_classes, classes_size;
	uint32_t n_bins, bins_size;
	uint32_t n_old, old_size;
	uint32_t n_receivers;
	bool changed; // since fanout was made
};

static inline uint32_t class_n_blocks(const struct audience_class *class)
{
	return (class->n + AUDIENCE_BLOCK - 1) / AUDIENCE_BLOCK;
}

// Receivers in one of its blocks.
static inline uint32_t block_n(const struct audience_class *class, uint32_t block)
{
	uint32_t before = block * AUDIENCE_BLOCK;
	return class->n - before < AUDIENCE_BLOCK ? class->n - before : AUDIENCE_BLOCK;
}
