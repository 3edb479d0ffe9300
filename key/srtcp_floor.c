// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/srtcp_floor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "crypto/srtp.h"
#include "dataplane/relay_tables.h"
#include "key/state_file.h"

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

// The first index that may be used, from the file.
static int floor_read(const char *path, uint32_t *begin)
{
	struct srtcp_file file;
	int rc = state_file_read(path, &file, sizeof(file));
	*begin = 1;
	if (rc == -ENOENT)
		return 0;
	if (rc == 0 && memcmp(file.magic, srtcp_magic, sizeof(file.magic)) != 0)
		return -EBADMSG;
	if (rc == 0)
		*begin = srtp_read32(file.limit);
	return rc == 0 && *begin > SRTCP_INDEX_MAX - SRTCP_BLOCK ? -EOVERFLOW : rc;
}

static char *floor_path(const char *directory)
{
	char *path = alloc_zero(strlen(directory) + sizeof("/srtcp"), 1);
	sprintf(path, "%s/srtcp", directory);
	return path;
}

static void floor_explain(const char *path, int rc, char *why, size_t why_size)
{
	snprintf(why, why_size, "%s: %s%s", path, strerror(-rc),
		rc == -EOVERFLOW
			? "; all SRTCP indices were used: replace all keys, then remove the file"
			: "; accepted: mcxrelay's own file, readable and writable");
}

int srtcp_floor_check(const char *directory, char *why, size_t why_size)
{
	uint32_t begin;
	char *path = floor_path(directory);
	int rc = floor_read(path, &begin);
	if (rc != 0)
		floor_explain(path, rc, why, why_size);
	free(path);
	return rc;
}

int srtcp_floor_open(struct srtcp_floor *floor, struct relay *relay, const char *directory,
	char *why, size_t why_size)
{
	*floor = (struct srtcp_floor){.path = floor_path(directory)};
	uint32_t begin;
	int rc = floor_read(floor->path, &begin);
	if (rc == 0)
		rc = floor_reserve(floor, begin + SRTCP_BLOCK);
	if (rc != 0) {
		floor_explain(floor->path, rc, why, why_size);
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
		clock_now_ms() < floor->retry_ms)
		return;
	int rc = floor->limit > SRTCP_INDEX_MAX - SRTCP_BLOCK
			 ? -EOVERFLOW
			 : floor_reserve(floor, floor->limit + SRTCP_BLOCK);
	if (rc != 0) {
		char path[LOG_QUOTED_SIZE];
		log_error("srtcp_index_not_reserved path=%s reason=\"%s\"",
			log_quoted(path, floor->path), strerror(-rc));
		floor->retry_ms = clock_now_ms() + 10000;
		return;
	}
	atomic_store(&relay->srtcp_limit, floor->limit);
	atomic_store(&relay->srtcp_low, false);
}
