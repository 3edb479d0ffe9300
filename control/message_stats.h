// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include "mikey/fault.h"
#include "mikey/profile.h"
#include "server/rpc_error.h"

// What became of messages that were to be opened. Control thread.

// Reasons that are not of enum mikey_reason.
#define MESSAGE_REASONS(_)                                                                         \
	_(REPLAYED, "replayed")                                                                    \
	_(KEY_REVOKED, "key-revoked")                                                              \
	_(CONFLICT, "conflict") /* codes 2, 3 and 5 */                                             \
	_(LIMIT, "limit")                                                                          \
	_(BUSY, "busy")                                                                            \
	_(OTHER, "other")

enum {
#define _(name, slug) MESSAGE_MIKEY_##name,
	MIKEY_REASONS(_)
#undef _
#define _(name, slug) MESSAGE_##name,
		MESSAGE_REASONS(_)
#undef _
			MESSAGE_N_REASONS
};

enum { MESSAGE_N_TYPES = MIKEY_MUSIK + 1, MESSAGE_N_BUCKETS = 11 };

struct message_stats {
	uint64_t opened[MESSAGE_N_TYPES]; // that gave or revoked a key, by enum mikey_type
	uint64_t refused[MESSAGE_N_REASONS];
	uint64_t untold[MESSAGE_N_REASONS];  // of them, since the last event
	uint64_t buckets[MESSAGE_N_BUCKETS]; // messages of that duration, each in one bucket
	uint64_t total_ns;
};

// Label of a reason.
const char *message_reason_name(unsigned reason);

// Upper bounds of the buckets of durations in nanoseconds; the last bucket has none.
extern const uint64_t message_bucket_ns[MESSAGE_N_BUCKETS - 1];

// Which reason an error is.
unsigned message_reason_of(const struct rpc_error *error);

// Counts a message whose signature was looked at, from the request to its answer.
void message_stats_time(struct message_stats *stats, uint64_t duration_ns);
