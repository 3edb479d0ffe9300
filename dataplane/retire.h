// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include <rte_config.h>
#include <rte_rcu_qsbr.h>

// What was unpublished and may be freed once every worker passed a quiescent state. Control thread.

typedef void (*retire_fn)(void *what, uint32_t index);

struct retired {
	uint64_t token; // of rte_rcu_qsbr_start()
	retire_fn release;
	void *what;
	uint32_t index;
};

struct retire {
	struct rte_rcu_qsbr *rcu;
	struct retired *items; // ring of size items, a power of two
	uint32_t head, n, size;
};

// rcu: of the workers.
void retire_init(struct retire *retire, struct rte_rcu_qsbr *rcu);
void retire_fini(struct retire *retire);

// Has release(what, index) called when no worker can reach what was unpublished before this call:
// what is the memory to free, or the table in which index is. release may retire more.
void retire_later(struct retire *retire, retire_fn release, void *what, uint32_t index);

enum { RETIRE_AT_A_TIME = 1024 };

// Releases what is due, RETIRE_AT_A_TIME at most; never waits.
void retire_poll(struct retire *retire);

// Waits for the workers until nothing is left, nor what was retired meanwhile.
void retire_all(struct retire *retire);
