// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "base/map.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"

enum { MAP_BUCKETS_MIN = 16 };

struct map_entry {
	struct map_entry *next; // of the same bucket
	uint64_t hash;
	void *value;
	size_t key_len;
	unsigned char key[];
};

struct map {
	struct map_entry **buckets;
	size_t n_buckets; // a power of two
	size_t n_entries;
	size_t n_drained; // buckets, the first
	uint64_t seed[2];
};

struct siphash {
	uint64_t v0, v1, v2, v3;
};

static uint64_t rotate_left(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

// Aumasson and Bernstein, "SipHash: a fast short-input PRF", section 2: one SipRound, n times.
static void siphash_rounds(struct siphash *s, unsigned n)
{
	while (n-- > 0) {
		s->v0 += s->v1;
		s->v2 += s->v3;
		s->v1 = rotate_left(s->v1, 13) ^ s->v0;
		s->v3 = rotate_left(s->v3, 16) ^ s->v2;
		s->v0 = rotate_left(s->v0, 32);
		s->v2 += s->v1;
		s->v0 += s->v3;
		s->v1 = rotate_left(s->v1, 17) ^ s->v2;
		s->v3 = rotate_left(s->v3, 21) ^ s->v0;
		s->v2 = rotate_left(s->v2, 32);
	}
}

static void siphash_absorb(struct siphash *s, uint64_t word)
{
	s->v3 ^= word;
	siphash_rounds(s, 2);
	s->v0 ^= word;
}

static uint64_t siphash_word(const unsigned char *octets, size_t len)
{
	uint64_t word = 0;
	for (size_t i = 0; i < len; i++)
		word |= (uint64_t)octets[i] << (8 * i);
	return word;
}

// SipHash-2-4 with a 64-bit output.
static uint64_t map_hash(const uint64_t seed[2], const void *key, size_t len)
{
	struct siphash s = {
		.v0 = seed[0] ^ 0x736f6d6570736575,
		.v1 = seed[1] ^ 0x646f72616e646f6d,
		.v2 = seed[0] ^ 0x6c7967656e657261,
		.v3 = seed[1] ^ 0x7465646279746573,
	};
	const unsigned char *octets = key;
	size_t whole = len - len % 8;
	for (size_t i = 0; i < whole; i += 8)
		siphash_absorb(&s, siphash_word(octets + i, 8));
	// The last word holds what is left over and, at its top, the length modulo 256.
	siphash_absorb(&s, siphash_word(octets + whole, len % 8) | (uint64_t)len << 56);
	s.v2 ^= 0xff;
	siphash_rounds(&s, 4);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

struct map *map_new(void)
{
	struct map *map = calloc(1, sizeof(*map));
	if (!map)
		return NULL;
	if (getrandom(map->seed, sizeof(map->seed), 0) != sizeof(map->seed))
		goto no_seed;
	map->buckets = calloc(MAP_BUCKETS_MIN, sizeof(struct map_entry *));
	if (!map->buckets)
		goto no_buckets;
	map->n_buckets = MAP_BUCKETS_MIN;
	return map;

no_buckets:
no_seed:
	free(map);
	return NULL;
}

bool map_drain(struct map *map, size_t n)
{
	for (; n > 0 && map->n_drained < map->n_buckets; n--) {
		struct map_entry **bucket = &map->buckets[map->n_drained++];
		while (*bucket) {
			struct map_entry *entry = *bucket;
			*bucket = entry->next;
			free(entry);
			map->n_entries--;
		}
	}
	return map->n_drained == map->n_buckets;
}

void map_free(struct map *map)
{
	if (!map)
		return;
	map_drain(map, SIZE_MAX);
	free(map->buckets);
	free(map);
}

// The place that points to the entry of the key, or to NULL at the end of the key's bucket.
static struct map_entry **map_find(
	const struct map *map, uint64_t hash, const void *key, size_t len)
{
	struct map_entry **place = &map->buckets[hash & (map->n_buckets - 1)];
	while (*place) {
		const struct map_entry *entry = *place;
		if (entry->hash == hash && entry->key_len == len &&
			memcmp(entry->key, key, len) == 0)
			break;
		place = &(*place)->next;
	}
	return place;
}

void *map_get(const struct map *map, const void *key, size_t len)
{
	const struct map_entry *entry = *map_find(map, map_hash(map->seed, key, len), key, len);
	return entry ? entry->value : NULL;
}

// Doubles the buckets. Without memory the map stays as it is: right, only slower.
static void map_grow(struct map *map)
{
	size_t n_buckets = map->n_buckets * 2;
	struct map_entry **buckets = calloc(n_buckets, sizeof(struct map_entry *));
	if (!buckets)
		return;
	for (size_t i = 0; i < map->n_buckets; i++) {
		while (map->buckets[i]) {
			struct map_entry *entry = map->buckets[i];
			struct map_entry **head = &buckets[entry->hash & (n_buckets - 1)];
			map->buckets[i] = entry->next;
			entry->next = *head;
			*head = entry;
		}
	}
	free(map->buckets);
	map->buckets = buckets;
	map->n_buckets = n_buckets;
}

static struct map_entry *entry_new(uint64_t hash, const void *key, size_t len, void *value)
{
	struct map_entry *entry;
	if (len > SIZE_MAX - sizeof(*entry))
		return NULL;
	entry = malloc(sizeof(*entry) + len);
	if (!entry)
		return NULL;
	entry->next = NULL;
	entry->hash = hash;
	entry->value = value;
	entry->key_len = len;
	memcpy(entry->key, key, len);
	return entry;
}

int map_put(struct map *map, const void *key, size_t len, void *value, void **old)
{
	uint64_t hash = map_hash(map->seed, key, len);
	struct map_entry **place = map_find(map, hash, key, len);
	void *replaced = NULL;
	if (*place) {
		replaced = (*place)->value;
		(*place)->value = value;
	} else {
		*place = entry_new(hash, key, len, value);
		if (!*place)
			return -ENOMEM;
		map->n_entries++;
		if (map->n_entries > map->n_buckets)
			map_grow(map);
	}
	if (old)
		*old = replaced;
	return 0;
}

struct map *map_make_in(const char *function)
{
	struct map *map = map_new();
	if (!map)
		alloc_failed(function, sizeof(*map) + MAP_BUCKETS_MIN * sizeof(*map->buckets));
	return map;
}

void map_add_in(const char *function, struct map *map, const void *key, size_t len, void *value)
{
	if (map_put(map, key, len, value, NULL) != 0)
		alloc_failed(function, sizeof(struct map_entry) + len);
}

void *map_remove(struct map *map, const void *key, size_t len)
{
	struct map_entry **place = map_find(map, map_hash(map->seed, key, len), key, len);
	struct map_entry *entry = *place;
	if (!entry)
		return NULL;
	*place = entry->next;
	void *value = entry->value;
	free(entry);
	map->n_entries--;
	return value;
}

size_t map_count(const struct map *map)
{
	return map->n_entries;
}

void *map_next(const struct map *map, struct map_cursor *cursor)
{
	struct map_entry *entry = cursor->next;
	while (!entry && cursor->bucket < map->n_buckets)
		entry = map->buckets[cursor->bucket++];
	if (!entry)
		return NULL;
	// Read now: the caller may remove the entry before the next call.
	cursor->next = entry->next;
	cursor->key = entry->key;
	cursor->key_len = entry->key_len;
	return entry->value;
}

static uint64_t bits_reversed(uint64_t x)
{
	uint64_t reversed = 0;
	for (unsigned i = 0; i < 64; i++)
		reversed |= (x >> i & 1) << (63 - i);
	return reversed;
}

// Buckets in the order of their reversed numbers: when their number doubles, the two that one falls
// apart into come in its place, so what was visited stays behind the walk.
static uint64_t bucket_after(uint64_t bucket, uint64_t mask)
{
	return bits_reversed(bits_reversed(bucket | ~mask) + 1);
}

bool map_walk(const struct map *map, uint64_t *place, map_visit_fn visit, void *arg)
{
	bool visited = false;
	do {
		uint64_t mask = map->n_buckets - 1;
		for (struct map_entry *entry = map->buckets[*place & mask]; entry;
			entry = entry->next, visited = true)
			visit(entry->value, arg);
		*place = bucket_after(*place, mask);
	} while (!visited && *place != 0);
	return *place != 0;
}
