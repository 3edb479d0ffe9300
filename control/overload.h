// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/port.h"
#include "dataplane/relay_tables.h"

// Detects overload: packets are dropped because a queue or table is
// full, frames are missed at a port, a worker has no time left. Control thread.
//
// Once a second each of these is looked at. It is overloaded from a second that has so many drops,
// until there were OVERLOAD_QUIET_SECONDS without.

struct notices;

// Drop reason, and how many of it in a second are overload. Some come one by one for other reasons
// than load: a port that was down for a moment, one talker whose key is late.
#define OVERLOAD_REASONS(_)                                                                        \
	_(PUNT_FULL, 32)                                                                           \
	_(HOLD_FULL, 32)                                                                           \
	_(STREAM_LIMIT, 1)                                                                         \
	_(HANDOFF_FULL, 1)                                                                         \
	_(NO_BUFFER, 1)                                                                            \
	_(TX_FULL, 32)

enum {
#define _(reason, n) OVERLOAD_##reason,
	OVERLOAD_REASONS(_)
#undef _
		OVERLOAD_N_REASONS,
};

enum {
	OVERLOAD_QUIET_SECONDS = 10,
	OVERLOAD_MISSED = 32,         // frames that a port missed in a second
	OVERLOAD_BUSY_PERMILLE = 950, // of its time, with which a worker has none left
};

// One of them. Zeroed memory is one that was never overloaded.
struct overload_state {
	uint64_t seen;   // the counter when it was last looked at
	uint64_t untold; // counted while overloaded, and not told
	uint32_t quiet;  // seconds
	bool on;         // it was told that it is overloaded
};

// How busy a worker is. Zeroed memory is one that has not begun.
struct overload_load {
	uint64_t cycles, busy_cycles; // when it was last looked at
	uint32_t permille;            // busy, of its time between the last two looks
};

struct overload {
	uint64_t looked_ms; // of notices->now_ms
	struct overload_state reasons[OVERLOAD_N_REASONS];
	struct overload_state missed[PORT_MAX];
	struct overload_state busy[RELAY_WORKERS_MAX];
	struct overload_load loads[RELAY_WORKERS_MAX];
};

// A worker has worked for so many cycles since it began, of which it was busy. Whether it has no time left.
bool overload_load_look(struct overload_load *load, uint64_t cycles, uint64_t busy_cycles);

// About ten times a second.
void overload_tick(struct overload *overload, const struct relay *relay, struct notices *notices);
