// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/ssrc_source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/secmem.h"
#include "crypto/mcx_kdf.h"
#include "crypto/srtp.h"
#include "key/state_file.h"

// The file: magic, key, counter, all in one write of a new file that then takes the old one's
// place.
struct ssrc_file {
	char magic[8];
	uint8_t key[32];
	uint8_t reserved[4]; // big-endian
};

static const char ssrc_magic[8] = {'m', 'c', 'x', 's', 's', 'r', 'c', '1'};

// Makes the file cover counters up to reserved before any of them is used.
static int ssrc_source_reserve(struct ssrc_source *source, uint32_t reserved)
{
	struct ssrc_file file;
	memcpy(file.magic, ssrc_magic, sizeof(file.magic));
	memcpy(file.key, source->key, sizeof(file.key));
	srtp_write32(file.reserved, reserved);
	int rc = state_file_write(source->path, &file, sizeof(file));
	secmem_wipe(&file, sizeof(file));
	if (rc == 0)
		source->reserved = reserved;
	return rc;
}

static int ssrc_source_load(struct ssrc_source *source)
{
	struct ssrc_file file;
	int rc = state_file_read(source->path, &file, sizeof(file));
	if (rc == 0 && memcmp(file.magic, ssrc_magic, sizeof(file.magic)) != 0)
		rc = -EBADMSG;
	if (rc == 0) {
		memcpy(source->key, file.key, sizeof(source->key));
		source->next = source->reserved = srtp_read32(file.reserved);
	}
	secmem_wipe(&file, sizeof(file));
	return rc;
}

int ssrc_source_open(struct ssrc_source *source, const char *directory, char *why, size_t why_size)
{
	*source = (struct ssrc_source){.lock = -1};
	if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
		int rc = -errno;
		snprintf(why, why_size, "state_directory %s cannot be made: %s", directory,
			strerror(-rc));
		return rc;
	}
	source->lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (source->lock < 0 || flock(source->lock, LOCK_EX | LOCK_NB) != 0) {
		int rc = -errno;
		snprintf(why, why_size, "state_directory %s %s: %s", directory,
			rc == -EWOULDBLOCK ? "is in use by another process" : "cannot be used",
			strerror(-rc));
		ssrc_source_close(source);
		return rc;
	}
	source->path = alloc_zero(strlen(directory) + sizeof("/ssrc"), 1);
	sprintf(source->path, "%s/ssrc", directory);
	int rc = ssrc_source_load(source);
	if (rc == -ENOENT)
		rc = getrandom(source->key, sizeof(source->key), 0) == sizeof(source->key) ? 0
											   : -EIO;
	if (rc == -EBADMSG) {
		snprintf(why, why_size,
			"%s is no SSRC state of mcxrelay; accepted: its own file, or none",
			source->path);
	} else if (rc == 0) {
		rc = ssrc_source_reserve(source, source->reserved + SSRC_BLOCK);
		if (rc != 0)
			snprintf(why, why_size, "%s cannot be written: %s", source->path,
				strerror(-rc));
	} else {
		snprintf(why, why_size, "%s cannot be read: %s", source->path, strerror(-rc));
	}
	if (rc != 0)
		ssrc_source_close(source);
	return rc;
}

void ssrc_source_close(struct ssrc_source *source)
{
	free(source->path);
	if (source->lock >= 0)
		close(source->lock);
	secmem_wipe(source, sizeof(*source));
}

// A Feistel network of four rounds on two halves of 16 bits (Luby and Rackoff): a permutation
// whatever the round function.
static uint32_t ssrc_permute(const struct ssrc_source *source, uint32_t counter)
{
	uint16_t left = (uint16_t)(counter >> 16), right = (uint16_t)counter;
	for (uint8_t round = 0; round < 4; round++) {
		uint8_t half[2] = {(uint8_t)(right >> 8), (uint8_t)right}, mac[32];
		struct kdf_param param = {.octets = half, .len = sizeof(half)};
		if (mcx_kdf(source->key, sizeof(source->key), round, &param, 1, mac) != 0)
			return 0;
		uint16_t next = left ^ (uint16_t)(mac[0] << 8 | mac[1]);
		left = right;
		right = next;
	}
	return (uint32_t)left << 16 | right;
}

uint32_t ssrc_source_take(struct ssrc_source *source)
{
	uint32_t ssrc = 0;
	while (ssrc == 0 && !source->used_up) {
		if (source->next == source->reserved) {
			char path[LOG_QUOTED_SIZE];
			if (source->reserved > UINT32_MAX - SSRC_BLOCK) {
				source->used_up = 1;
				log_error("ssrc_used_up path=%s reason=\"remove the file and "
					  "replace all root keys\"",
					log_quoted(path, source->path));
				return 0;
			}
			if (time(NULL) < source->retry)
				return 0;
			int rc = ssrc_source_reserve(source, source->reserved + SSRC_BLOCK);
			source->retry = rc == 0 ? 0 : time(NULL) + 1;
			if (rc != 0) {
				log_limited(LOG_LEVEL_ERROR,
					"ssrc_not_reserved path=%s reason=\"%s\"",
					log_quoted(path, source->path), strerror(-rc));
				return 0;
			}
		}
		ssrc = ssrc_permute(source, source->next++);
	}
	return ssrc;
}
