// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <sys/queue.h>

// Threads that do what takes milliseconds, so that the control thread does not: pairings, and writes
// that wait for a disk. Control thread, but for what it says of jobs.

struct pool;

// A piece of work, the caller's until done() was called.
struct pool_job {
	void (*run)(struct pool_job *job);  // in one of the pool's threads
	void (*done)(struct pool_job *job); // in the control thread, from pool_poll()
	STAILQ_ENTRY(pool_job) next;        // the pool's own
};

// Threads that have the CPUs of the calling one, and less of them than it has when both want to run.
// The queue takes that many jobs beside those that run. NULL with errno set if there are no threads.
struct pool *pool_open(unsigned n_threads, unsigned queue_max);

// Jobs that have not begun never do, nor is done() called any more. NULL is ignored.
void pool_close(struct pool *pool);

// False, with nothing done, if the queue is full.
bool pool_submit(struct pool *pool, struct pool_job *job);

// How many jobs wait. Control thread.
unsigned pool_waiting(struct pool *pool);

// Calls done() of the jobs that were run, in the order in which they ended.
void pool_poll(struct pool *pool);

// Waits until a job was run; not if there is none.
void pool_await(struct pool *pool);
