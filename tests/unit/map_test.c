// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static bool memory_is_out;

static void *scarce_malloc(size_t size)
{
	return memory_is_out ? NULL : malloc(size);
}

static void *scarce_calloc(size_t n, size_t size)
{
	return memory_is_out ? NULL : calloc(n, size);
}

// The file itself: the hash is static, and has a known answer.
#define malloc scarce_malloc
#define calloc scarce_calloc
#include "base/map.c"

enum { MANY = 5000 };

// Aumasson and Bernstein, "SipHash: a fast short-input PRF", appendix A: key 00..0f, input 00..0e.
static void hash_gives_the_known_answer(void **state)
{
	const uint64_t seed[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
	unsigned char input[15];
	(void)state;
	for (unsigned char i = 0; i < sizeof(input); i++)
		input[i] = i;
	assert_true(map_hash(seed, input, sizeof(input)) == UINT64_C(0xa129ca6149be45e5));
}

static void two_maps_hash_differently(void **state)
{
	struct map *a = map_new(), *b = map_new();
	(void)state;
	assert_true(map_hash(a->seed, "key", 3) != map_hash(b->seed, "key", 3));
	map_free(a);
	map_free(b);
}

static void put_get_replace_remove(void **state)
{
	struct map *map = map_new();
	char key[] = "alpha";
	int one, two;
	void *old = &two;
	(void)state;
	assert_null(map_get(map, "alpha", 5));
	assert_int_equal(map_put(map, key, 5, &one, &old), 0);
	assert_null(old);
	key[0] = 'x'; // the map has its own copy
	assert_ptr_equal(map_get(map, "alpha", 5), &one);
	assert_int_equal(map_put(map, "alpha", 5, &two, &old), 0);
	assert_ptr_equal(old, &one);
	assert_int_equal(map_count(map), 1);
	assert_ptr_equal(map_remove(map, "alpha", 5), &two);
	assert_null(map_remove(map, "alpha", 5));
	assert_null(map_get(map, "alpha", 5));
	assert_int_equal(map_count(map), 0);
	map_free(map);
}

static void keys_are_octets_of_any_length(void **state)
{
	static const char zeros[8];
	struct map *map = map_new();
	int values[9];
	(void)state;
	for (size_t len = 0; len <= 8; len++)
		assert_int_equal(map_put(map, zeros, len, &values[len], NULL), 0);
	assert_int_equal(map_count(map), 9);
	for (size_t len = 0; len <= 8; len++)
		assert_ptr_equal(map_get(map, zeros, len), &values[len]);
	assert_ptr_equal(map_get(map, "", 0), &values[0]);
	map_free(map);
}

static struct map *map_with_many(uint32_t *keys)
{
	struct map *map = map_new();
	for (uint32_t i = 0; i < MANY; i++) {
		keys[i] = i;
		assert_int_equal(map_put(map, &keys[i], sizeof(keys[i]), &keys[i], NULL), 0);
	}
	return map;
}

static void growth_keeps_every_entry(void **state)
{
	static uint32_t keys[MANY];
	struct map *map = map_with_many(keys);
	(void)state;
	assert_true(map->n_buckets >= MANY);
	assert_int_equal(map_count(map), MANY);
	for (uint32_t i = 0; i < MANY; i++)
		assert_ptr_equal(map_get(map, &i, sizeof(i)), &keys[i]);
	map_free(map);
}

static void iteration_sees_each_entry_once(void **state)
{
	static uint32_t keys[MANY];
	static bool seen[MANY];
	struct map *map = map_with_many(keys);
	struct map_cursor cursor = {0};
	const uint32_t *value;
	size_t n = 0;
	(void)state;
	while ((value = map_next(map, &cursor)) != NULL) {
		assert_int_equal(cursor.key_len, sizeof(*value));
		assert_memory_equal(cursor.key, value, sizeof(*value));
		assert_false(seen[*value]);
		seen[*value] = true;
		n++;
	}
	assert_int_equal(n, MANY);
	map_free(map);
}

static void iteration_may_remove_the_current_entry(void **state)
{
	static uint32_t keys[MANY];
	struct map *map = map_with_many(keys);
	struct map_cursor cursor = {0};
	const uint32_t *value;
	size_t n = 0;
	(void)state;
	while ((value = map_next(map, &cursor)) != NULL) {
		n++;
		if (*value % 3 != 0)
			assert_ptr_equal(map_remove(map, value, sizeof(*value)), value);
	}
	assert_int_equal(n, MANY);
	assert_int_equal(map_count(map), (MANY + 2) / 3);
	for (uint32_t i = 0; i < MANY; i++)
		assert_true((map_get(map, &i, sizeof(i)) != NULL) == (i % 3 == 0));
	map_free(map);
}

static void count_visit(void *value, void *visits)
{
	((unsigned *)visits)[*(const uint32_t *)value]++;
}

static void walk_visits_what_stays_once(void **state)
{
	static uint32_t keys[MANY];
	static unsigned visits[MANY];
	struct map *map = map_new();
	uint64_t place = 0;
	uint32_t n = 0, steps = 0;
	(void)state;
	for (uint32_t i = 0; i < MANY; i++)
		keys[i] = i;
	for (; n < MANY / 8; n++)
		assert_int_equal(map_put(map, &keys[n], sizeof(keys[n]), &keys[n], NULL), 0);
	// While it goes on the buckets double three times, and each third one of the first goes.
	while (map_walk(map, &place, count_visit, visits)) {
		for (int i = 0; i < 10 && n < MANY; i++, n++)
			assert_int_equal(
				map_put(map, &keys[n], sizeof(keys[n]), &keys[n], NULL), 0);
		if (steps < MANY / 8)
			map_remove(map, &keys[steps - steps % 3], sizeof(keys[0]));
		steps++;
	}
	assert_int_equal(n, MANY);
	for (uint32_t i = 0; i < MANY; i++) {
		assert_true(visits[i] <= 1);
		if (i < MANY / 8 && i % 3 != 0)
			assert_int_equal(visits[i], 1);
	}
	map_free(map);
}

static void walk_through_an_empty_map_ends(void **state)
{
	struct map *map = map_new();
	uint64_t place = 0;
	(void)state;
	assert_false(map_walk(map, &place, count_visit, NULL));
	map_free(map);
}

static void put_without_memory_changes_nothing(void **state)
{
	struct map *map = map_new();
	int one, two;
	void *old = &two;
	(void)state;
	assert_int_equal(map_put(map, "a", 1, &one, NULL), 0);
	memory_is_out = true;
	assert_null(map_new());
	assert_int_equal(map_put(map, "b", 1, &two, &old), -ENOMEM);
	assert_ptr_equal(old, &two);
	assert_int_equal(map_put(map, "a", 1, &two, &old), 0); // replacing needs none
	memory_is_out = false;
	assert_ptr_equal(old, &one);
	assert_null(entry_new(0, "a", SIZE_MAX, &one));
	assert_int_equal(map_count(map), 1);
	assert_null(map_get(map, "b", 1));
	assert_ptr_equal(map_get(map, "a", 1), &two);
	map_free(map);
	map_free(NULL);
}

// Without memory for more buckets the map is slower, and right.
static void growth_without_memory_changes_nothing(void **state)
{
	static uint32_t keys[MANY];
	struct map *map = map_with_many(keys);
	size_t n_buckets = map->n_buckets;
	(void)state;
	memory_is_out = true;
	map_grow(map);
	memory_is_out = false;
	assert_int_equal(map->n_buckets, n_buckets);
	for (uint32_t i = 0; i < MANY; i++)
		assert_ptr_equal(map_get(map, &i, sizeof(i)), &keys[i]);
	map_free(map);
}

static void drains_some_buckets_at_a_time(void **state)
{
	(void)state;
	struct map *map = map_new();
	assert_non_null(map);
	for (uint32_t i = 0; i < 1000; i++)
		map_add(map, &i, sizeof(i), map);
	unsigned n = 1;
	for (; !map_drain(map, 16); n++)
		assert_in_range(map_count(map), 1, 999);
	assert_true(n >= 1000 / 16);
	assert_int_equal(map_count(map), 0);
	map_free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hash_gives_the_known_answer),
		cmocka_unit_test(two_maps_hash_differently),
		cmocka_unit_test(put_get_replace_remove),
		cmocka_unit_test(keys_are_octets_of_any_length),
		cmocka_unit_test(growth_keeps_every_entry),
		cmocka_unit_test(iteration_sees_each_entry_once),
		cmocka_unit_test(iteration_may_remove_the_current_entry),
		cmocka_unit_test(walk_visits_what_stays_once),
		cmocka_unit_test(walk_through_an_empty_map_ends),
		cmocka_unit_test(drains_some_buckets_at_a_time),
		cmocka_unit_test(put_without_memory_changes_nothing),
		cmocka_unit_test(growth_without_memory_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
