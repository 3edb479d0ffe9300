// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A hash map from octet strings to pointers, for the tables of the control thread. Keys are copied,
// values stay the caller's. The hash is SipHash-2-4 under a random key of each map, because the
// keys come from clients, who could otherwise choose them to fall into one bucket. Keys are not
// secret: they are not wiped.
struct map;

// An empty map, or NULL with errno set. The caller frees with map_free().
struct map *map_new(void);

// Takes all keys out of n buckets more of a map that is only to be freed. True when no bucket is left.
bool map_drain(struct map *map, size_t n);

// Frees the map and its keys. The values are not touched. NULL is ignored.
void map_free(struct map *map);

// The value of a key, or NULL if the map does not have it.
void *map_get(const struct map *map, const void *key, size_t len);

// Sets the value (not NULL) of a key. The value it replaces, or NULL, goes to *old unless old is
// NULL. Returns 0, or -ENOMEM with the map unchanged; replacing a value never fails.
int map_put(struct map *map, const void *key, size_t len, void *value, void **old);

// map_put() where a failure can no longer be refused: it ends the process (base/alloc.h).
#define map_make()                    map_make_in(__func__)
#define map_add(map, key, len, value) map_add_in(__func__, map, key, len, value)
struct map *map_make_in(const char *function);
void map_add_in(const char *function, struct map *map, const void *key, size_t len, void *value);

// Takes a key out and returns its value, or NULL if the map does not have it.
void *map_remove(struct map *map, const void *key, size_t len);

// How many keys the map has.
size_t map_count(const struct map *map);

// Where an iteration stands. Starts zeroed:
//
//   struct map_cursor cursor = {0};
//   void *value;
//   while ((value = map_next(map, &cursor)) != NULL)
//           ...
//
// Meanwhile the current entry may be removed, and values of keys that exist may be replaced; other
// removals and new keys are not allowed. The order means nothing.
struct map_cursor {
	const void *key; // of the value that was returned last; valid until it is removed
	size_t key_len;
	size_t bucket;          // the next one to look into
	struct map_entry *next; // map.c's own
};

// The next value, or NULL at the end.
void *map_next(const struct map *map, struct map_cursor *cursor);

// Called with the value of each entry.
typedef void (*map_visit_fn)(void *value, void *arg);

// Visits some entries, one at least if there is one. *place is 0 at first; false at the end of the
// walk. The map may change between two calls, not in one: what was in it all the time is visited
// once, what came or went meanwhile once or not at all.
bool map_walk(const struct map *map, uint64_t *place, map_visit_fn visit, void *arg);
