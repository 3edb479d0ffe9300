// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/srtcp_floor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/alloc.h"
#include "control/log.h"
#include "control/state_file.h"
#include "crypto/srtp.h"
#include "dataplane/relay.h"

static const char srtcp_magic[8] = {'m', 'c', 'x', 's', 'r', 't', 'c', 'p'};

struct srtcp_file {
	char magic[8];
	uint8_t limit[4]; // big-endian
};

static int floor_reserve(struct srtcp_floor *floor, uint32_t limit)
{
	struct srtcp_file file;
	memcpy(file.magic, srtcp_magic, sizeof(file.magic));
	srtp_write32(file.limit, limit);
	int rc = state_file_write(floor->path, &file, sizeof(file));
	if (rc == 0)
		floor->limit = limit;
	return rc;
}

int srtcp_floor_open(struct srtcp_floor *floor, struct relay *relay, const char *directory,
	char *why, size_t why_size)
{
	struct srtcp_file file;
	uint32_t begin = 1;
	*floor = (struct srtcp_floor){.path = alloc_zero(strlen(directory) + sizeof("/srtcp"), 1)};
	sprintf(floor->path, "%s/srtcp", directory);
	int rc = state_file_read(floor->path, &file, sizeof(file));
	if (rc == 0 && memcmp(file.magic, srtcp_magic, sizeof(file.magic)) != 0)
		rc = -EBADMSG;
	if (rc == 0)
		begin = srtp_read32(file.limit);
	if (rc == -ENOENT)
		rc = 0;
	if (rc == 0)
		rc = begin > SRTCP_INDEX_MAX - SRTCP_BLOCK
			     ? -EOVERFLOW
			     : floor_reserve(floor, begin + SRTCP_BLOCK);
	if (rc != 0) {
		snprintf(why, why_size, "%s: %s; accepted: mcxrelay's own file, writable, or none",
			floor->path, strerror(-rc));
		srtcp_floor_close(floor);
		return rc;
	}
	atomic_store(&relay->srtcp_floor, begin);
	atomic_store(&relay->srtcp_limit, floor->limit);
	return 0;
}

void srtcp_floor_close(struct srtcp_floor *floor)
{
	free(floor->path);
	floor->path = NULL;
}

void srtcp_floor_tick(struct srtcp_floor *floor, struct relay *relay)
{
	if (!atomic_load_explicit(&relay->srtcp_low, memory_order_relaxed) ||
		relay_now_ms() < floor->retry_ms)
		return;
	int rc = floor->limit > SRTCP_INDEX_MAX - SRTCP_BLOCK
			 ? -EOVERFLOW
			 : floor_reserve(floor, floor->limit + SRTCP_BLOCK);
	if (rc != 0) {
		log_error("srtcp_index_not_reserved path=%s: %s", floor->path, strerror(-rc));
		floor->retry_ms = relay_now_ms() + 10000;
		return;
	}
	atomic_store(&relay->srtcp_limit, floor->limit);
	atomic_store(&relay->srtcp_low, false);
}
