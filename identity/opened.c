// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "identity/opened.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/sha.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/map.h"

static const char magic[16] = "mcxrelay-open-1\n";

enum {
	FEW_ENTRIES = 65536, // for which a file is not made anew
	PIECE = 512,         // entries read or written at once
	WALKS = 512,         // through the map, in a tick
	DUE_MAX = 2 * WALKS, // that are forgotten in a tick
};

static_assert(sizeof(struct opened_entry) == 56, "as on disk");

static bool entry_is_due(const struct opened_entry *entry, uint64_t now)
{
	return entry->until != 0 && entry->until <= now;
}

static void entry_add(struct opened *opened, const struct opened_entry *entry)
{
	struct opened_entry *known =
		map_get(opened->by_digest, entry->digest, sizeof(entry->digest));
	if (known) {
		*known = *entry;
		return;
	}
	known = alloc_zero(1, sizeof(*known));
	*known = *entry;
	map_add(opened->by_digest, known->digest, sizeof(known->digest), known);
}

// --- the file

static bool all_written(int fd, const void *octets, size_t len)
{
	errno = ENOSPC; // what a short write means
	return write(fd, octets, len) == (ssize_t)len;
}

static int directory_sync(const char *path)
{
	char directory[4096];
	snprintf(directory, sizeof(directory), "%s", path);
	*strrchr(directory, '/') = '\0';
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int rc = fsync(fd) == 0 ? 0 : -errno;
	close(fd);
	return rc;
}

// Calls visit with each whole entry of a file that is open at its beginning. -EBADMSG if it is not
// such a file; what a write that was cut off left at its end is no entry.
static int entries_visit(
	int fd, bool (*visit)(void *arg, const struct opened_entry *entry), void *arg)
{
	char begin[sizeof(magic)];
	struct opened_entry entries[PIECE];
	// The lock is the file's, and no thread that must not wait takes it.
	// NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection)
	ssize_t n = read(fd, begin, sizeof(begin));
	if (n < 0)
		return -errno;
	if (n != sizeof(begin) || memcmp(begin, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	// NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection)
	while ((n = read(fd, entries, sizeof(entries))) > 0)
		for (size_t i = 0; i < (size_t)n / sizeof(*entries); i++)
			if (!visit(arg, &entries[i]))
				return -errno;
	return n < 0 ? -errno : 0;
}

struct copy {
	int fd;
	uint64_t now, n;
};

static bool entry_copy(void *arg, const struct opened_entry *entry)
{
	struct copy *copy = arg;
	if (entry_is_due(entry, copy->now))
		return true;
	copy->n++;
	return all_written(copy->fd, entry, sizeof(*entry));
}

// Makes the file anew with the entries of from (-1: none) that are not due, and opens it. With the
// mutex held, or before anybody else knows of it.
static int file_make(struct opened *opened, int from, uint64_t now)
{
	char path[sizeof(opened->path) + 4];
	snprintf(path, sizeof(path), "%s.new", opened->path);
	struct copy copy = {.now = now,
		.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600)};
	if (copy.fd < 0)
		return -errno;
	int rc = all_written(copy.fd, magic, sizeof(magic)) ? 0 : -errno;
	if (rc == 0 && from >= 0)
		rc = entries_visit(from, entry_copy, &copy);
	if (rc == 0 && (fsync(copy.fd) != 0 || rename(path, opened->path) != 0))
		rc = -errno;
	if (rc == 0)
		rc = directory_sync(opened->path);
	if (rc != 0) {
		close(copy.fd);
		return rc;
	}
	if (opened->fd >= 0)
		close(opened->fd);
	opened->fd = copy.fd;
	opened->n_written = 0;
	opened->n_kept = copy.n;
	return 0;
}

static bool entry_load(void *arg, const struct opened_entry *entry)
{
	entry_add(arg, entry);
	return true;
}

static int file_load(struct opened *opened, uint64_t now, char why[OPENED_WHY_SIZE])
{
	int fd = open(opened->path, O_RDONLY | O_CLOEXEC);
	int rc = fd >= 0 ? entries_visit(fd, entry_load, opened) : -errno;
	if (fd < 0 && rc != -ENOENT) {
		snprintf(why, OPENED_WHY_SIZE, "opened: %s", strerror(-rc));
		return rc;
	}
	if (fd >= 0 && rc != 0) {
		opened->not_before = now;
		log_warning(
			"opened_unreadable reason=\"%s\" consequence=\"messages made before now "
			"are refused\"",
			strerror(-rc));
	}
	bool good = fd >= 0 && rc == 0 && lseek(fd, 0, SEEK_SET) == 0;
	rc = file_make(opened, good ? fd : -1, now);
	if (rc != 0)
		snprintf(why, OPENED_WHY_SIZE, "opened: %s", strerror(-rc));
	if (fd >= 0)
		close(fd);
	return rc;
}

// --- what is known

int opened_open(
	struct opened *opened, const char *directory, uint64_t now, char why[OPENED_WHY_SIZE])
{
	*opened = (struct opened){.by_digest = map_make(), .fd = -1};
	pthread_mutex_init(&opened->mutex, NULL);
	if (snprintf(opened->path, sizeof(opened->path), "%s/opened", directory) >=
		(int)sizeof(opened->path)) {
		snprintf(why, OPENED_WHY_SIZE, "opened: %s", strerror(ENAMETOOLONG));
		return -ENAMETOOLONG;
	}
	return file_load(opened, now, why);
}

void opened_close(struct opened *opened)
{
	struct map_cursor cursor = {0};
	struct opened_entry *entry;
	if (!opened->by_digest)
		return;
	while ((entry = map_next(opened->by_digest, &cursor)) != NULL)
		free(entry);
	map_free(opened->by_digest);
	if (opened->fd >= 0)
		close(opened->fd);
	pthread_mutex_destroy(&opened->mutex);
}

const struct opened_entry *opened_find(
	const struct opened *opened, const uint8_t digest[MIKEY_DIGEST_LEN])
{
	return map_get(opened->by_digest, digest, MIKEY_DIGEST_LEN);
}

// What a walk through some entries found to be due: they are taken out behind it.
struct due {
	uint64_t now;
	size_t n;
	struct opened_entry *entries[DUE_MAX];
};

static void due_note(void *value, void *arg)
{
	struct due *due = arg;
	if (entry_is_due(value, due->now) && due->n < DUE_MAX)
		due->entries[due->n++] = value;
}

void opened_tick(struct opened *opened, uint64_t now)
{
	struct due due = {.now = now};
	if (!opened->by_digest)
		return; // it was not opened
	for (unsigned i = 0; i < WALKS; i++)
		if (!map_walk(opened->by_digest, &opened->walked, due_note, &due)) {
			opened->walked = 0;
			break;
		}
	for (size_t i = 0; i < due.n; i++)
		opened_release(opened, due.entries[i]->digest);
}

bool opened_has_room(const struct opened *opened)
{
	return map_count(opened->by_digest) < OPENED_MAX;
}

void opened_reserve(struct opened *opened, const uint8_t digest[MIKEY_DIGEST_LEN])
{
	struct opened_entry entry = {};
	memcpy(entry.digest, digest, MIKEY_DIGEST_LEN);
	entry_add(opened, &entry);
}

void opened_release(struct opened *opened, const uint8_t digest[MIKEY_DIGEST_LEN])
{
	free(map_remove(opened->by_digest, digest, MIKEY_DIGEST_LEN));
}

int opened_write(struct opened *opened, const struct opened_entry *entries, size_t n, uint64_t now)
{
	pthread_mutex_lock(&opened->mutex);
	const off_t before = lseek(opened->fd, 0, SEEK_END);
	int rc = 0;
	if (before < 0 || !all_written(opened->fd, entries, n * sizeof(*entries)) ||
		fdatasync(opened->fd) != 0)
		rc = -errno;
	// What was written of them must not become the beginning of others.
	if (rc != 0 && before >= 0 && ftruncate(opened->fd, before) != 0)
		log_error("opened_not_cut reason=\"%s\"", strerror(errno));
	opened->n_written += n;
	if (rc == 0 && opened->n_written > FEW_ENTRIES + opened->n_kept) {
		int fd = open(opened->path, O_RDONLY | O_CLOEXEC);
		// If it cannot be made anew, it grows.
		if (fd < 0 || file_make(opened, fd, now) != 0)
			opened->n_written = 0;
		if (fd >= 0)
			close(fd);
	}
	pthread_mutex_unlock(&opened->mutex);
	return rc;
}

void opened_commit(struct opened *opened, const struct opened_entry *entry)
{
	entry_add(opened, entry);
}

void opened_tombstone(const char *domain, uint32_t key_id, uint8_t digest[MIKEY_DIGEST_LEN])
{
	char text[256];
	int len = snprintf(text, sizeof(text), "revoked %08x %s", key_id, domain);
	SHA256((const uint8_t *)text, (size_t)len, digest);
}
