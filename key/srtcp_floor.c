// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/srtcp_floor.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "crypto/srtp.h"
#include "dataplane/relay_tables.h"
#include "key/state_store.h"

enum { USED_SOON_MS = 10000, RETRY_MS = 10000 };

static void limit_publish(struct relay *relay, uint32_t limit, uint32_t block)
{
	atomic_store(&relay->srtcp_limit, limit);
	atomic_store(&relay->srtcp_near, limit - block / 2);
	atomic_store(&relay->srtcp_low, false);
}

// Covers block more than is covered, or as many as there are.
static int block_reserve(struct srtcp_floor *floor, struct relay *relay)
{
	const struct state_record *covered = &floor->state->record;
	uint32_t block = SRTCP_INDEX_MAX - covered->srtcp_next;
	if (covered->srtcp_next >= SRTCP_INDEX_MAX)
		return -EOVERFLOW;
	if (block > floor->block)
		block = floor->block;
	int rc = state_store_cover(floor->state, covered->ssrc_next, covered->srtcp_next + block);
	if (rc == 0)
		limit_publish(relay, covered->srtcp_next, block);
	return rc;
}

int srtcp_floor_open(struct srtcp_floor *floor, struct state_store *state, struct relay *relay)
{
	*floor = (struct srtcp_floor){
		.state = state,
		.block = SRTCP_BLOCK_MIN,
		.reserved_ms = clock_now_ms(),
	};
	uint32_t begin = state->record.srtcp_next;
	int rc = block_reserve(floor, relay);
	if (rc == 0)
		atomic_store(&relay->srtcp_floor, begin);
	return rc;
}

static void block_resize(struct srtcp_floor *floor, uint64_t now_ms)
{
	if (now_ms - floor->reserved_ms < USED_SOON_MS) {
		if (floor->block < SRTCP_BLOCK_MAX)
			floor->block *= 2;
	} else if (floor->block > SRTCP_BLOCK_MIN) {
		floor->block /= 2;
	}
}

void srtcp_floor_tick(struct srtcp_floor *floor, struct relay *relay)
{
	uint64_t now_ms = clock_now_ms();
	if (!atomic_load_explicit(&relay->srtcp_low, memory_order_relaxed) ||
		now_ms < floor->retry_ms)
		return;
	if (floor->retry_ms == 0)
		block_resize(floor, now_ms);
	int rc = block_reserve(floor, relay);
	floor->retry_ms = rc == 0 ? 0 : now_ms + RETRY_MS;
	if (rc == 0)
		floor->reserved_ms = now_ms;
	else
		log_error("srtcp_index_not_reserved reason=\"%s\"",
			rc == -EOVERFLOW ? "all SRTCP indices were used; replace all root keys, "
					   "then remove the files in state_directory"
					 : strerror(-rc));
}

uint32_t srtcp_floor_exact(const struct relay *relay)
{
	uint32_t exact = atomic_load(&relay->srtcp_floor);
	for (uint32_t space = 0; space < relay->keys.size; space++) {
		uint32_t next =
			atomic_load_explicit(&relay->keys.srtcp_next[space], memory_order_relaxed);
		if (next > exact)
			exact = next;
	}
	return exact;
}
