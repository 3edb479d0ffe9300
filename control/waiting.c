// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/waiting.h"

#include <stddef.h>

static void on_done(struct pool_job *job)
{
	struct waiting *waiting = (struct waiting *)((char *)job - offsetof(struct waiting, job));
	waiting->ended = true;
	if (waiting->then)
		waiting->then(waiting);
	rpc_work_wake(waiting->work);
}

void waiting_refuse(struct rpc_error *error)
{
	rpc_fail(error, RPC_BUSY, "params",
		"comes when too many wait to be computed; accepted: later");
}

bool waiting_begin(struct waiting *waiting, struct pool *pool, void (*run)(struct pool_job *job),
	const struct rpc_slice *slice, struct rpc_error *error)
{
	waiting->job = (struct pool_job){.run = run, .done = on_done};
	waiting->work = slice->work;
	waiting->ended = false;
	if (pool_submit(pool, &waiting->job))
		return true;
	waiting_refuse(error);
	return false;
}

bool waiting_try_again(struct pool *pool, struct rpc_slice *slice)
{
	if (slice->until_ns != UINT64_MAX) {
		rpc_slice_sleep(slice);
		return false;
	}
	pool_await(pool);
	pool_poll(pool);
	return true;
}

bool waiting_ended(const struct waiting *waiting, struct pool *pool, struct rpc_slice *slice)
{
	while (!waiting->ended)
		if (!waiting_try_again(pool, slice))
			return false;
	return true;
}
