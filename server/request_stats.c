// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/request_stats.h"

#include <assert.h>
#include <stdlib.h>

#include "base/alloc.h"

static const struct {
	int code;
	const char *name;
} outcomes[] = {
	{RPC_OK, "ok"}, {RPC_PARSE_ERROR, "parse_error"}, {RPC_INVALID_REQUEST, "invalid_request"},
	{RPC_METHOD_NOT_FOUND, "method_not_found"}, {RPC_INVALID_PARAMS, "invalid_params"},
	{RPC_NOT_FOUND, "not_found"}, {RPC_CONFLICT, "conflict"}, {RPC_LIMIT, "limit"},
	{RPC_KEY_REFUSED, "key_refused"}, {RPC_BUSY, "busy"},
	{RPC_MESSAGE_REFUSED, "message_refused"},
	{RPC_INTERNAL_ERROR, "internal_error"}, // and any other code
};

static_assert(sizeof(outcomes) / sizeof(outcomes[0]) == REQUEST_N_OUTCOMES, "one for each code");

const char *request_stats_outcome_name(unsigned outcome)
{
	return outcomes[outcome].name;
}

#define MICROSECONDS(n) ((uint64_t)(n) * 1000)

const uint64_t request_stats_bucket_ns[REQUEST_N_BUCKETS - 1] = {
	MICROSECONDS(25),
	MICROSECONDS(50),
	MICROSECONDS(100),
	MICROSECONDS(250),
	MICROSECONDS(500),
	MICROSECONDS(1000),
	MICROSECONDS(2500),
	MICROSECONDS(5000),
	MICROSECONDS(10000),
	MICROSECONDS(50000),
	MICROSECONDS(100000),
	MICROSECONDS(500000),
	MICROSECONDS(1000000),
};

void request_stats_init(struct request_stats *stats, const struct rpc_method *methods)
{
	unsigned n = 0;
	while (methods[n].name)
		n++;
	*stats = (struct request_stats){.methods = methods, .n_methods = n};
	stats->by_method = alloc_zero(n + 1, sizeof(*stats->by_method));
	for (unsigned i = 0; i < n; i++)
		stats->by_method[i].name = methods[i].name;
}

void request_stats_fini(struct request_stats *stats)
{
	free(stats->by_method);
	stats->by_method = NULL;
}

unsigned request_stats_outcome(int code)
{
	unsigned outcome = 0;
	while (outcome < REQUEST_N_OUTCOMES - 1 && outcomes[outcome].code != code)
		outcome++;
	return outcome;
}

static unsigned bucket_of(uint64_t duration_ns)
{
	unsigned bucket = 0;
	while (bucket < REQUEST_N_BUCKETS - 1 && duration_ns > request_stats_bucket_ns[bucket])
		bucket++;
	return bucket;
}

void request_stats_count(struct request_stats *stats, const struct rpc_method *method, int code,
	uint64_t duration_ns)
{
	unsigned i = method ? (unsigned)(method - stats->methods) : stats->n_methods;
	struct method_stats *counted = &stats->by_method[i];
	counted->outcomes[request_stats_outcome(code)]++;
	counted->buckets[bucket_of(duration_ns)]++;
	counted->total_ns += duration_ns;
}
