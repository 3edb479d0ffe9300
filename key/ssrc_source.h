// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <time.h>

// Fresh SSRCs for media that the relay is the first to protect (plain to SRTP): each is given out
// once in the life of a state directory, over crashes too, so that no (session key, SSRC, index)
// ever repeats (invariant 1 of docs/security.md, TS 33.180 7.5.2, RFC 7714 8.4).
//
// A counter is encrypted by a random permutation of 32 bits, so that SSRCs look random (RFC
// 3550 8.1) and never repeat before all 2^32 were used. What the file in the state directory holds
// is the permutation's key and a counter above all that may be in use: it is advanced, and synced
// to disk, a block ahead.

enum { SSRC_BLOCK = 4096 };

struct ssrc_source {
	char *path;
	int lock; // on the directory: one process at a time
	uint8_t key[32];
	uint32_t next;     // counter of the next SSRC
	uint32_t reserved; // first counter that the file does not cover
	time_t retry;      // Unix seconds: not before, after the file could not be written
	uint32_t used_up;  // 1: no more
};

// Opens or creates directory/ssrc. 0, or -errno with a sentence in why[why_size].
int ssrc_source_open(struct ssrc_source *source, const char *directory, char *why, size_t why_size);
void ssrc_source_close(struct ssrc_source *source);

// A fresh SSRC, never 0; 0 if none is to be had: the file cannot be written, or all were used.
uint32_t ssrc_source_take(struct ssrc_source *source);
