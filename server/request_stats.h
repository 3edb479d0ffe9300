// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include "server/rpc.h"

// How many control requests there were, by method and outcome, and how long they took. Control
// thread.

enum { REQUEST_N_OUTCOMES = 12, REQUEST_N_BUCKETS = 14 };

// Label of an outcome.
const char *request_stats_outcome_name(unsigned outcome);

// By the code of an answer.
unsigned request_stats_outcome(int code);

// Upper bounds of the buckets of durations in nanoseconds; the last bucket has none.
extern const uint64_t request_stats_bucket_ns[REQUEST_N_BUCKETS - 1];

struct method_stats {
	const char *name; // NULL: of no method that is known, among them what is no request
	uint64_t outcomes[REQUEST_N_OUTCOMES];
	uint64_t buckets[REQUEST_N_BUCKETS]; // requests of that duration, each in one bucket
	uint64_t total_ns;
};

struct request_stats {
	const struct rpc_method *methods;
	struct method_stats *by_method; // as methods, and behind them one more for the rest
	unsigned n_methods;             // of them, without that one
};

void request_stats_init(struct request_stats *stats, const struct rpc_method *methods);
void request_stats_fini(struct request_stats *stats);

// Counts a request of one of the methods, or NULL, that was answered with code (enum rpc_code).
void request_stats_count(struct request_stats *stats, const struct rpc_method *method, int code,
	uint64_t duration_ns);
