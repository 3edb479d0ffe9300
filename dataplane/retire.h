// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

struct relay;

// What was unpublished and may be freed once every worker passed a quiescent state. Control thread.

typedef void (*retire_fn)(void *app, void *what, uint32_t index);

struct retired {
	uint64_t token; // of rte_rcu_qsbr_start()
	retire_fn release;
	void *what;
	uint32_t index;
};

struct retire {
	struct relay *relay;
	void *app;
	struct retired *items; // ring of size items, a power of two
	uint32_t head, n, size;
};

void retire_init(struct retire *retire, struct relay *relay, void *app);
void retire_fini(struct retire *retire);

// Has release(app, what, index) called when no worker can reach what was unpublished before this
// call. release may retire more.
void retire_later(struct retire *retire, retire_fn release, void *what, uint32_t index);

// Releases what is due; never waits.
void retire_poll(struct retire *retire);

// Waits for the workers until nothing is left, nor what was retired meanwhile.
void retire_all(struct retire *retire);
