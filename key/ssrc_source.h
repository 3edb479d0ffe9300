// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

// Fresh SSRCs for media that the relay is the first to protect (plain to SRTP): each is given out
// once in the life of a state directory, over crashes too, so that no (session key, SSRC, index)
// ever repeats (invariant 1 of docs/security.md, TS 33.180 7.5.2, RFC 7714 8.4).
//
// A counter is encrypted by a random permutation of 32 bits, so that SSRCs look random (RFC
// 3550 8.1) and never repeat before all 2^32 were used. The record of the state directory holds the
// permutation's key and a counter above all that may be in use: it is advanced, and synced to disk,
// a block ahead.

struct state_store;

enum { SSRC_BLOCK = 4096 };

struct ssrc_source {
	struct state_store *state;
	uint32_t next; // counter of the next SSRC
	time_t retry;  // Unix seconds: not before, after the state could not be written
	bool used_up;  // no more
};

// Begins above all that the state says may be in use, and reserves a block. state stays the caller's. 0, or
// -errno of state_store_cover().
int ssrc_source_open(struct ssrc_source *source, struct state_store *state);

// A fresh SSRC, never 0; 0 if none is to be had: the state cannot be written, or all were used.
uint32_t ssrc_source_take(struct ssrc_source *source);
