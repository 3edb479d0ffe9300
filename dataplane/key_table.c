// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/key_table.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/secmem.h"
#include "dataplane/stream_table.h"

int key_table_init(struct key_table *table, uint32_t size)
{
	// Two names a context, about half of the slots used when all contexts are.
	uint64_t n_buckets = 1;
	while (n_buckets * KEY_BUCKET_SLOTS < UINT64_C(4) * size)
		n_buckets *= 2;
	*table = (struct key_table){.bucket_mask = n_buckets - 1, .size = size};
	if (getrandom(table->seed, sizeof(table->seed), 0) != sizeof(table->seed))
		return -EIO;
	table->buckets = secmem_map(n_buckets * sizeof(struct key_bucket));
	table->ctxs = secmem_map(size * sizeof(struct key_ctx));
	table->streams = secmem_map(size * sizeof(*table->streams));
	table->srtcp_next = secmem_map(size * sizeof(*table->srtcp_next));
	table->guk_sets = secmem_map(size * sizeof(*table->guk_sets));
	table->free = malloc(size * sizeof(uint32_t));
	if (!table->buckets || !table->ctxs || !table->streams || !table->srtcp_next ||
		!table->guk_sets || !table->free) {
		key_table_fini(table);
		return -ENOMEM;
	}
	return 0;
}

void key_table_fini(struct key_table *table)
{
	if (table->ctxs)
		secmem_wipe(table->ctxs, table->n_touched * sizeof(struct key_ctx));
	secmem_unmap(table->ctxs, table->size * sizeof(struct key_ctx));
	secmem_unmap(table->buckets, (table->bucket_mask + 1) * sizeof(struct key_bucket));
	secmem_unmap(table->streams, table->size * sizeof(*table->streams));
	secmem_unmap(table->srtcp_next, table->size * sizeof(*table->srtcp_next));
	secmem_unmap(table->guk_sets, table->size * sizeof(*table->guk_sets));
	free(table->free);
	*table = (struct key_table){};
}

uint32_t key_table_find(const struct key_table *table, const struct key_name *name, uint64_t hash)
{
	for (uint64_t b = hash & table->bucket_mask;; b = (b + 1) & table->bucket_mask) {
		const struct key_bucket *bucket = &table->buckets[b];
		unsigned match = key_bucket_match(bucket, hash);
		for (; match != 0; match &= match - 1) {
			uint32_t ctx = key_bucket_ctx(bucket, (unsigned)__builtin_ctz(match));
			if (ctx != KEY_NONE && key_ctx_has_name(&table->ctxs[ctx], name))
				return ctx;
		}
		if (atomic_load_explicit(&bucket->overflow, memory_order_acquire) == 0)
			return KEY_NONE;
	}
}

uint32_t key_table_alloc(struct key_table *table)
{
	uint32_t ctx;
	if (table->n_free > 0)
		ctx = table->free[--table->n_free];
	else if (table->n_touched < table->size)
		ctx = table->n_touched++;
	else
		return KEY_NONE;
	table->n_used++;
	return ctx;
}

static void name_insert(struct key_table *table, const struct key_name *name, uint32_t ctx)
{
	uint64_t hash = key_name_hash(table, name);
	uint64_t entry = hash >> 32 << 32 | (ctx + 1);
	for (uint64_t b = hash & table->bucket_mask;; b = (b + 1) & table->bucket_mask) {
		struct key_bucket *bucket = &table->buckets[b];
		for (unsigned i = 0; i < KEY_BUCKET_SLOTS; i++) {
			if (atomic_load_explicit(&bucket->slots[i], memory_order_relaxed) != 0)
				continue;
			atomic_store_explicit(&bucket->slots[i], entry, memory_order_release);
			return;
		}
		atomic_fetch_add_explicit(&bucket->overflow, 1, memory_order_release);
	}
}

static void name_remove(struct key_table *table, const struct key_name *name, uint32_t ctx)
{
	uint64_t hash = key_name_hash(table, name);
	uint64_t entry = hash >> 32 << 32 | (ctx + 1);
	uint64_t home = hash & table->bucket_mask, found = home;
	for (;; found = (found + 1) & table->bucket_mask) {
		struct key_bucket *bucket = &table->buckets[found];
		unsigned i = 0;
		while (i < KEY_BUCKET_SLOTS &&
			atomic_load_explicit(&bucket->slots[i], memory_order_relaxed) != entry)
			i++;
		if (i < KEY_BUCKET_SLOTS) {
			atomic_store_explicit(&bucket->slots[i], 0, memory_order_release);
			break;
		}
	}
	for (uint64_t b = home; b != found; b = (b + 1) & table->bucket_mask)
		atomic_fetch_sub_explicit(&table->buckets[b].overflow, 1, memory_order_release);
}

void key_table_publish(struct key_table *table, uint32_t ctx)
{
	name_insert(table, &table->ctxs[ctx].by_mki, ctx);
	if (table->ctxs[ctx].by_talker.kind == KEY_BY_TALKER)
		name_insert(table, &table->ctxs[ctx].by_talker, ctx);
}

void key_table_name_talker(struct key_table *table, uint32_t ctx, const struct key_name *by_talker)
{
	table->ctxs[ctx].by_talker = *by_talker;
	name_insert(table, by_talker, ctx);
}

void key_table_unpublish(struct key_table *table, uint32_t ctx)
{
	name_remove(table, &table->ctxs[ctx].by_mki, ctx);
	if (table->ctxs[ctx].by_talker.kind == KEY_BY_TALKER)
		name_remove(table, &table->ctxs[ctx].by_talker, ctx);
}

void key_table_free(struct key_table *table, uint32_t ctx)
{
	secmem_wipe(&table->ctxs[ctx], sizeof(struct key_ctx));
	table->free[table->n_free++] = ctx;
	table->n_used--;
}
