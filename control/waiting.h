// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "identity/pool.h"
#include "server/rpc.h"

// Methods that wait for a job of the pool. Control thread.

// One job that a request waits for.
struct waiting {
	struct pool_job job;
	struct rpc_work *work; // whose request it is
	bool ended;
	// When it has ended, before the method knows; or NULL. It may hand the job in again and say that it
	// has not ended.
	void (*then)(struct waiting *waiting);
};

// Hands a job to the pool: all but then is set here. False with *error set if its queue is full.
bool waiting_begin(struct waiting *waiting, struct pool *pool, void (*run)(struct pool_job *job),
	const struct rpc_slice *slice, struct rpc_error *error);

// What is wrong when its queue is full.
void waiting_refuse(struct rpc_error *error);

// True if the job has ended; else the method returns NULL and is called again.
bool waiting_ended(const struct waiting *waiting, struct pool *pool, struct rpc_slice *slice);

// Waits for nothing in particular: the method returns NULL if this is false.
bool waiting_try_again(struct pool *pool, struct rpc_slice *slice);
