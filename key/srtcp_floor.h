// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

// SRTCP indices of packets that the relay sends: it is their sender, hop by hop (TS 33.180 9.4.1),
// and chooses the index. Within a run each session key has a counter (key_table); over restarts no
// counter begins below the floor, which is above all that any earlier run may have used (invariant
// 1 of docs/security.md). The record of the state directory holds that number: a block ahead while the
// relay runs, exactly when it has stopped. A block is larger the sooner the one before was used up.

struct relay;
struct state_store;

enum { SRTCP_BLOCK_MIN = 16384, SRTCP_BLOCK_MAX = 262144 };

struct srtcp_floor {
	struct state_store *state;
	uint32_t block;       // how many the next one has
	uint64_t reserved_ms; // when the last one was reserved
	uint64_t retry_ms;    // not before, after the state could not be written
};

// Begins above all that the state says may have been used, reserves a block, and sets the relay's
// floor and limit. 0, -EOVERFLOW if all indices were used, or -errno of state_store_cover().
int srtcp_floor_open(struct srtcp_floor *floor, struct state_store *state, struct relay *relay);

// Covers another block if workers are getting near the limit. About ten times a second.
void srtcp_floor_tick(struct srtcp_floor *floor, struct relay *relay);

// The first index that no packet had. Workers have stopped.
uint32_t srtcp_floor_exact(const struct relay *relay);
