// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mikey/open.h"

// Which messages were opened, so that none is opened twice (RFC 3830 5.4): SHA-256 of what is signed,
// in memory and on disk; and which keys were revoked by a message, so that an older one does not bring
// them back. Hashes only, nothing secret. Control thread, but for opened_write().

struct map;

enum {
	OPENED_MAX =
		1000000, // entries that are remembered; more are refused, none is forgotten early
	OPENED_WHY_SIZE = 160,
};

// As in the file, integers little-endian.
struct opened_entry {
	uint8_t digest[MIKEY_DIGEST_LEN];
	uint64_t until;     // forgotten then, Unix seconds; 0: never
	uint64_t opened_at; // Unix seconds
	uint32_t key_id;
	uint32_t zero;
};

struct opened {
	struct map *by_digest; // struct opened_entry
	uint64_t walked;       // of opened_tick()
	uint64_t not_before;   // T of older messages: their entries could not be read; 0: all were
	pthread_mutex_t mutex; // of the file
	char path[4096];
	int fd;
	uint64_t n_written, n_kept; // entries written since the file was made anew, and then
};

// Reads the file in the directory, or makes it. 0, or -errno with a sentence in why. Of a file that
// cannot be understood messages from before now are refused.
int opened_open(
	struct opened *opened, const char *directory, uint64_t now, char why[OPENED_WHY_SIZE]);
void opened_close(struct opened *opened);

// What is known of a message; NULL: nothing. Its opened_at is 0 while it is being opened.
const struct opened_entry *opened_find(
	const struct opened *opened, const uint8_t digest[MIKEY_DIGEST_LEN]);

// Whether there is room for another one.
bool opened_has_room(const struct opened *opened);

// Forgets some of those that are due. About ten times a second.
void opened_tick(struct opened *opened, uint64_t now);

// A message is being opened: until opened_commit() or opened_release() another one with this digest is
// known. There is room, and it is not known.
void opened_reserve(struct opened *opened, const uint8_t digest[MIKEY_DIGEST_LEN]);
void opened_release(struct opened *opened, const uint8_t digest[MIKEY_DIGEST_LEN]);

// Writes entries and returns when they are on disk: 0 or -errno, and then none of them counts. Any
// thread.
int opened_write(struct opened *opened, const struct opened_entry *entries, size_t n, uint64_t now);

// Remembers an entry that was written.
void opened_commit(struct opened *opened, const struct opened_entry *entry);

// The digest under which a revoked key is remembered.
void opened_tombstone(const char *domain, uint32_t key_id, uint8_t digest[MIKEY_DIGEST_LEN]);
