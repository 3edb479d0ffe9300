// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/message_stats.h"

#include <string.h>

const uint64_t message_bucket_ns[MESSAGE_N_BUCKETS - 1] = {1000000, 2000000, 5000000, 10000000,
	20000000, 50000000, 100000000, 500000000, 1000000000, 5000000000};

const char *message_reason_name(unsigned reason)
{
	static const char *const names[MESSAGE_N_REASONS] = {
#define _(name, slug) slug,
		MIKEY_REASONS(_) MESSAGE_REASONS(_)
#undef _
	};
	return names[reason];
}

unsigned message_reason_of(const struct rpc_error *error)
{
	if (error->code == RPC_CONFLICT)
		return MESSAGE_CONFLICT;
	if (error->code == RPC_LIMIT)
		return MESSAGE_LIMIT;
	if (error->code == RPC_BUSY)
		return MESSAGE_BUSY;
	for (unsigned i = 0; error->reason && i < MESSAGE_OTHER; i++)
		if (strcmp(error->reason, message_reason_name(i)) == 0)
			return i;
	return MESSAGE_OTHER;
}

void message_stats_time(struct message_stats *stats, uint64_t duration_ns)
{
	unsigned bucket = 0;
	while (bucket < MESSAGE_N_BUCKETS - 1 && duration_ns > message_bucket_ns[bucket])
		bucket++;
	stats->buckets[bucket]++;
	stats->total_ns += duration_ns;
}
