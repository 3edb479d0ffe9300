// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>
#include <stdint.h>

// SRTCP indices of packets that the relay sends: it is their sender, hop by hop (TS 33.180 9.4.1),
// and chooses the index. Within a run each session key has a counter (key_table); over restarts no
// counter begins below the floor, which is above all that any earlier run may have used (invariant
// 1 of docs/security.md). The file in the state directory holds that number, a block ahead.

struct relay;

enum { SRTCP_BLOCK = 65536 };

struct srtcp_floor {
	char *path;
	uint32_t limit;    // first index that the file does not cover
	uint64_t retry_ms; // not before, after the file could not be written
};

// Whether directory/srtcp is good, or not there: 0, or -errno with a sentence in why. Changes nothing.
int srtcp_floor_check(const char *directory, char *why, size_t why_size);

// Opens or creates directory/srtcp and sets the relay's floor and limit. 0, or -errno with a
// sentence in why.
int srtcp_floor_open(struct srtcp_floor *floor, struct relay *relay, const char *directory,
	char *why, size_t why_size);
void srtcp_floor_close(struct srtcp_floor *floor);

// Covers another block if workers are getting near the limit. About ten times a second.
void srtcp_floor_tick(struct srtcp_floor *floor, struct relay *relay);
