// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_config.h>
#include <rte_rcu_qsbr.h>

#include "base/secmem.h"
#include "dataplane/key_table.h"

enum {
	MODEL_SIZE = 64,
	MODEL_NAMES = 4 * MODEL_SIZE, // more than fit, so that many are asked for in vain
	MODEL_STEPS = 200000,
};

// What the table should know: a context for each name, or KEY_NONE.
struct model {
	uint32_t by_mki[MODEL_NAMES], by_talker[MODEL_NAMES];
	uint32_t n_used;
};

static struct key_name mki_name(uint32_t i)
{
	return (struct key_name){
		.mki = (uint64_t)(i / 3) << 32 | 7, .scope = 1 + i % 3, .kind = KEY_BY_MKI};
}

static struct key_name talker_name(uint32_t i)
{
	return (struct key_name){.mki = (uint64_t)(i / 3) << 32 | 7,
		.cs_id = (uint8_t)(i % 3),
		.kind = KEY_BY_TALKER};
}

static uint32_t find(const struct key_table *table, struct key_name name)
{
	uint64_t hash = key_name_hash(table, &name);
	uint32_t found = key_table_find(table, &name, hash);
	uint32_t likely = key_table_prefetch(table, hash);
	assert_int_equal(key_table_find_likely(table, &name, hash, likely), found);
	return found;
}

static bool is_zero(const void *p, size_t size)
{
	const uint8_t *octets = p;
	for (size_t i = 0; i < size; i++)
		if (octets[i] != 0)
			return false;
	return true;
}

// A context under name i, with a talker if named.
static uint32_t add(struct key_table *table, uint32_t i, bool named)
{
	uint32_t ctx = key_table_alloc(table);
	if (ctx == KEY_NONE)
		return KEY_NONE;
	table->ctxs[ctx].by_mki = mki_name(i);
	if (named)
		table->ctxs[ctx].by_talker = talker_name(i);
	memset(table->ctxs[ctx].key, 0xa5, sizeof(table->ctxs[ctx].key));
	memset(table->ctxs[ctx].salt, 0x5a, sizeof(table->ctxs[ctx].salt));
	key_table_publish(table, ctx);
	return ctx;
}

// Leaves as few buckets as all names just fit in, before there is any: chains of full buckets form.
// Returns the mask to put back for key_table_fini().
static uint64_t crowd(struct key_table *table)
{
	uint64_t mask = table->bucket_mask, n_buckets = 1;
	while (n_buckets * KEY_BUCKET_SLOTS < 2 * table->size)
		n_buckets *= 2;
	assert_true(n_buckets <= mask);
	table->bucket_mask = n_buckets - 1;
	return mask;
}

static void model_check(const struct key_table *table, const struct model *model)
{
	for (uint32_t i = 0; i < MODEL_NAMES; i++) {
		assert_int_equal(find(table, mki_name(i)), model->by_mki[i]);
		assert_int_equal(find(table, talker_name(i)), model->by_talker[i]);
	}
	assert_int_equal(table->n_used, model->n_used);
}

static void model_add(struct key_table *table, struct model *model, uint32_t i, bool named)
{
	uint32_t ctx = add(table, i, named);
	assert_int_equal(ctx == KEY_NONE, model->n_used == MODEL_SIZE);
	if (ctx == KEY_NONE)
		return;
	model->by_mki[i] = ctx;
	if (named)
		model->by_talker[i] = ctx;
	model->n_used++;
}

static void model_remove(struct key_table *table, struct model *model, uint32_t i)
{
	uint32_t ctx = model->by_mki[i];
	key_table_unpublish(table, ctx);
	assert_int_equal(find(table, mki_name(i)), KEY_NONE);
	assert_int_equal(find(table, talker_name(i)), KEY_NONE);
	assert_false(is_zero(table->ctxs[ctx].key, sizeof(table->ctxs[ctx].key)));
	key_table_free(table, ctx);
	assert_true(is_zero(&table->ctxs[ctx], sizeof(table->ctxs[ctx])));
	model->by_mki[i] = model->by_talker[i] = KEY_NONE;
	model->n_used--;
}

// Random operations on a table that is nearly full. In the end no trace of a chain may be left.
static void agrees_with_model(void **state)
{
	struct key_table table;
	static struct model model;
	unsigned seed = 1;
	(void)state;

	assert_int_equal(key_table_init(&table, MODEL_SIZE), 0);
	uint64_t mask = crowd(&table);
	memset(&model, 0xff, sizeof(model));
	model.n_used = 0;
	uint64_t longest = 0;
	for (unsigned step = 0; step < MODEL_STEPS; step++) {
		uint32_t i = (uint32_t)rand_r(&seed) % MODEL_NAMES;
		unsigned choice = (unsigned)rand_r(&seed) % 8;
		if (model.by_mki[i] == KEY_NONE) {
			model_add(&table, &model, i, choice % 2);
		} else if (choice < 4) {
			model_remove(&table, &model, i);
		} else if (model.by_talker[i] == KEY_NONE) {
			struct key_name name = talker_name(i);
			key_table_name_talker(&table, model.by_mki[i], &name);
			model.by_talker[i] = model.by_mki[i];
		}
		for (uint64_t b = 0; b <= table.bucket_mask; b++)
			longest = RTE_MAX(longest, atomic_load(&table.buckets[b].overflow));
		if (step % 512 == 0)
			model_check(&table, &model);
	}
	model_check(&table, &model);
	assert_true(longest >= 4); // or this test showed nothing about chains
	for (uint32_t i = 0; i < MODEL_NAMES; i++)
		if (model.by_mki[i] != KEY_NONE)
			model_remove(&table, &model, i);
	assert_true(is_zero(table.buckets, (table.bucket_mask + 1) * sizeof(*table.buckets)));
	table.bucket_mask = mask;
	key_table_fini(&table);
}

static void tells_names_apart(void **state)
{
	struct key_table table;
	(void)state;

	assert_int_equal(key_table_init(&table, 4), 0);
	uint32_t ctx = add(&table, 5, false);
	struct key_name name = mki_name(5), other = name;
	assert_int_equal(find(&table, name), ctx);
	other.mki++;
	assert_int_equal(find(&table, other), KEY_NONE);
	other = name;
	other.scope++;
	assert_int_equal(find(&table, other), KEY_NONE);
	other = name;
	other.cs_id++;
	assert_int_equal(find(&table, other), KEY_NONE);
	other = name;
	other.protocol++;
	assert_int_equal(find(&table, other), KEY_NONE);
	other = name;
	other.suite++;
	assert_int_equal(find(&table, other), KEY_NONE);
	other = name;
	other.kind = KEY_BY_TALKER;
	assert_int_equal(find(&table, other), KEY_NONE);
	key_table_fini(&table);
}

// Same home bucket, same tag even: the name itself decides.
static void tells_equal_hashes_apart(void **state)
{
	struct key_table table;
	(void)state;

	assert_int_equal(key_table_init(&table, 4), 0);
	uint32_t ctx = add(&table, 5, false);
	struct key_name name = mki_name(5), other = mki_name(6);
	assert_int_equal(key_table_find(&table, &other, key_name_hash(&table, &name)), KEY_NONE);
	assert_int_equal(key_table_find(&table, &name, key_name_hash(&table, &name)), ctx);
	uint64_t hash = key_name_hash(&table, &name);
	assert_int_equal(key_table_prefetch(&table, hash), ctx);
	assert_int_equal(key_table_find_likely(&table, &other, hash, ctx), KEY_NONE);
	assert_int_equal(key_table_find_likely(&table, &name, hash, KEY_NONE), ctx);
	key_table_fini(&table);
}

// Each slot by itself, and the count of names that passed by is none of them.
static void matches_the_slots_of_a_bucket(void **state)
{
	const uint64_t hash = UINT64_C(0x1234567800000000), other = UINT64_C(0x1234567900000000);
	(void)state;

	for (unsigned i = 0; i < KEY_BUCKET_SLOTS; i++) {
		struct key_bucket bucket = {};
		bucket.slots[i] = hash | (i + 1);
		bucket.slots[(i + 1) % KEY_BUCKET_SLOTS] = other | (i + 1);
		bucket.overflow = hash;
		assert_int_equal(key_bucket_match(&bucket, hash), 1U << i);
		assert_int_equal(key_bucket_ctx(&bucket, i), i);
	}
	struct key_bucket empty = {};
	assert_int_equal(key_bucket_match(&empty, hash), 0);
	assert_int_equal(key_bucket_match(&empty, 0), (1U << KEY_BUCKET_SLOTS) - 1);
	assert_int_equal(key_bucket_ctx(&empty, 0), KEY_NONE);
}

static void gives_out_each_context_once(void **state)
{
	enum { SIZE = 10 };
	struct key_table table;
	bool taken[SIZE] = {false};
	(void)state;

	assert_int_equal(key_table_init(&table, SIZE), 0);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < SIZE; i++) {
			uint32_t ctx = key_table_alloc(&table);
			assert_in_range(ctx, 0, SIZE - 1);
			assert_false(taken[ctx]);
			taken[ctx] = true;
		}
		assert_int_equal(key_table_alloc(&table), KEY_NONE);
		for (uint32_t i = 0; i < SIZE; i++)
			key_table_free(&table, i);
		memset(taken, 0, sizeof(taken));
		assert_int_equal(table.n_used, 0);
	}
	key_table_fini(&table);
}

// --- one writer, several readers

enum { READERS = 3, SIZE = 128, KEPT = SIZE / 2, CHURN_ROUNDS = 4000, NEVER = 100000 };

struct readers {
	struct key_table table;
	struct rte_rcu_qsbr *rcu;
	uint32_t kept[KEPT]; // contexts of names 0 to KEPT - 1, there all the time
	_Atomic unsigned ready;
	_Atomic bool quit;
	_Atomic uint64_t lost, ghosts, torn, found;
};

struct reader {
	struct readers *all;
	unsigned id;
};

// As a worker looks it up. The name may come or go meanwhile, so the two look-ups of find() need not agree.
static uint32_t find_churned(const struct key_table *table, struct key_name name)
{
	uint64_t hash = key_name_hash(table, &name);
	return key_table_find_likely(table, &name, hash, key_table_prefetch(table, hash));
}

// A context that is found is filled, and stays so until the reader says it has passed.
static void read_churned(struct readers *all, uint32_t i)
{
	uint32_t ctx = find_churned(&all->table, mki_name(i));
	if (ctx == KEY_NONE)
		return;
	all->found++;
	const uint8_t *key = all->table.ctxs[ctx].key;
	if (key[0] != 0xa5 || key[CIPHER_KEY_SIZE - 1] != 0xa5)
		all->torn++;
}

static void *reader_run(void *arg)
{
	const struct reader *reader = arg;
	struct readers *all = reader->all;
	unsigned seed = reader->id;
	rte_rcu_qsbr_thread_online(all->rcu, reader->id);
	all->ready++;
	while (!atomic_load_explicit(&all->quit, memory_order_relaxed)) {
		uint32_t i = (uint32_t)rand_r(&seed) % KEPT;
		if (find(&all->table, mki_name(i)) != all->kept[i] ||
			find(&all->table, talker_name(i)) != all->kept[i])
			all->lost++;
		if (find(&all->table, mki_name(NEVER + i)) != KEY_NONE)
			all->ghosts++;
		read_churned(all, KEPT + i);
		rte_rcu_qsbr_quiescent(all->rcu, reader->id);
		if (rand_r(&seed) % 16 == 0)
			sched_yield();
	}
	rte_rcu_qsbr_thread_offline(all->rcu, reader->id);
	return NULL;
}

static uint64_t readers_open(struct readers *all)
{
	size_t size = rte_rcu_qsbr_get_memsize(READERS);
	all->rcu = aligned_alloc(RTE_CACHE_LINE_SIZE, size);
	assert_non_null(all->rcu);
	assert_int_equal(rte_rcu_qsbr_init(all->rcu, READERS), 0);
	assert_int_equal(key_table_init(&all->table, SIZE), 0);
	uint64_t mask = crowd(&all->table);
	for (uint32_t i = 0; i < KEPT; i++)
		all->kept[i] = add(&all->table, i, true);
	return mask;
}

// rte_rcu_qsbr_synchronize() for more threads than cores: lets them run instead of spinning.
static void wait_readers(struct rte_rcu_qsbr *rcu)
{
	uint64_t token = rte_rcu_qsbr_start(rcu);
	while (rte_rcu_qsbr_check(rcu, token, false) == 0)
		sched_yield();
}

// Publishes and takes back names among those that stay, in the same crowded buckets.
static void writer_churn(struct readers *all)
{
	uint32_t ctx[KEPT];
	unsigned seed = 7;
	memset(ctx, 0xff, sizeof(ctx));
	for (unsigned round = 0; round < CHURN_ROUNDS; round++) {
		uint32_t i = (uint32_t)rand_r(&seed) % KEPT;
		if (ctx[i] == KEY_NONE) {
			ctx[i] = add(&all->table, KEPT + i, true);
			assert_int_not_equal(ctx[i], KEY_NONE);
			continue;
		}
		key_table_unpublish(&all->table, ctx[i]);
		wait_readers(all->rcu);
		key_table_free(&all->table, ctx[i]);
		ctx[i] = KEY_NONE;
	}
}

static void readers_find_while_writer_changes(void **state)
{
	static struct readers all;
	struct reader readers[READERS];
	pthread_t threads[READERS];
	(void)state;

	uint64_t mask = readers_open(&all);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i] = (struct reader){.all = &all, .id = i};
		assert_int_equal(rte_rcu_qsbr_thread_register(all.rcu, i), 0);
		assert_int_equal(pthread_create(&threads[i], NULL, reader_run, &readers[i]), 0);
	}
	while (all.ready < READERS)
		sched_yield();
	writer_churn(&all);
	all.quit = true;
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(all.lost, 0);
	assert_int_equal(all.ghosts, 0);
	assert_int_equal(all.torn, 0);
	assert_true(all.found > 0);
	all.table.bucket_mask = mask;
	key_table_fini(&all.table);
	free(all.rcu);
}

// Made of two words, a name is what it is member by member.
static void makes_names(void **state)
{
	(void)state;
	struct key_name made =
		key_name_make(KEY_BY_TALKER, UINT64_C(0x0102030405060708), 0xa1b2c3d4, 5, 1, 0xfe);
	struct key_name stated = {
		.mki = UINT64_C(0x0102030405060708),
		.scope = 0xa1b2c3d4,
		.cs_id = 5,
		.protocol = 1,
		.suite = 0xfe,
		.kind = KEY_BY_TALKER,
	};
	assert_true(key_name_equal(&made, &stated));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_names),
		cmocka_unit_test(agrees_with_model),
		cmocka_unit_test(tells_names_apart),
		cmocka_unit_test(tells_equal_hashes_apart),
		cmocka_unit_test(matches_the_slots_of_a_bucket),
		cmocka_unit_test(gives_out_each_context_once),
		cmocka_unit_test(readers_find_while_writer_changes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
