// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/stream_table.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include <rte_common.h>
#include <rte_ring_elem.h>

#include "base/counter.h"
#include "base/secmem.h"

// The head of a chain is prefetched, what is behind it is not: chains are to have no more than their head. With one bucket
// for each stream of a full table every third look-up would go on.
enum { BUCKETS_PER_STREAM = 4 };

int stream_table_init(struct stream_table *table, uint32_t size)
{
	uint64_t n_buckets = rte_align64pow2((uint64_t)size * BUCKETS_PER_STREAM);
	*table = (struct stream_table){.bucket_mask = n_buckets - 1,
		.size = size,
		.of_client = {.source = STREAM_NONE},
		.of_relay = {.source = STREAM_LOST}};
	if (getrandom(&table->seed, sizeof(table->seed), 0) != sizeof(table->seed))
		return -EIO;
	table->buckets = secmem_map(n_buckets * sizeof(uint32_t));
	table->streams = secmem_map(size * sizeof(struct stream));
	table->unused = rte_ring_create_elem(
		"streams_unused", sizeof(uint32_t), rte_align32pow2(size + 1), SOCKET_ID_ANY, 0);
	if (!table->buckets || !table->streams || !table->unused) {
		stream_table_fini(table);
		return -ENOMEM;
	}
	uint64_t n_rests = (uint64_t)size * STREAM_RESTS_PER_STREAM;
	int rc = stream_rests_init(&table->rests, (uint32_t)n_rests);
	if (rc != 0)
		stream_table_fini(table);
	return rc;
}

void stream_table_fini(struct stream_table *table)
{
	secmem_unmap(table->streams, table->size * sizeof(struct stream));
	secmem_unmap(table->buckets, (table->bucket_mask + 1) * sizeof(uint32_t));
	rte_ring_free(table->unused);
	stream_rests_fini(&table->rests);
	*table = (struct stream_table){};
}

static struct stream *stream_take(struct stream_table *table)
{
	uint32_t i;
	if (rte_ring_dequeue_elem(table->unused, &i, sizeof(i)) == 0)
		return &table->streams[i];
	if (atomic_load_explicit(&table->n_touched, memory_order_relaxed) >= table->size)
		return NULL;
	i = atomic_fetch_add_explicit(&table->n_touched, 1, memory_order_relaxed);
	if (i < table->size)
		return &table->streams[i];
	atomic_fetch_sub_explicit(&table->n_touched, 1, memory_order_relaxed);
	return NULL;
}

static void stream_put_back(struct stream_table *table, struct stream *stream)
{
	uint32_t i = stream_index(table, stream);
	rte_ring_enqueue_elem(table->unused, &i, sizeof(i)); // as large as the table: never full
}

static _Atomic uint32_t *stream_counted(struct stream_list *list, const struct stream *stream)
{
	return counter_read(&stream->source) == STREAM_NONE ? &list->n : &list->n_outbound;
}

static void stream_join(struct stream_table *table, struct stream_list *list, struct stream *born)
{
	uint32_t head = atomic_load_explicit(&list->newest, memory_order_relaxed);
	atomic_fetch_add_explicit(stream_counted(list, born), 1, memory_order_relaxed);
	do
		atomic_store_explicit(&born->sibling, head, memory_order_relaxed);
	while (!atomic_compare_exchange_weak_explicit(&list->newest, &head,
		stream_index(table, born) + 1, memory_order_release, memory_order_relaxed));
}

uint64_t stream_next_at_rest(const struct stream_table *table, uint32_t scope, uint32_t ssrc)
{
	uint64_t state = stream_rest_state(&table->rests, scope, ssrc);
	return state & (STREAM_REST_CLOSING | STREAM_REST_OUTBOUND) ? 0 : state;
}

struct stream *stream_create(struct stream_table *table, struct stream_list *list, uint32_t scope,
	uint32_t ssrc, uint8_t worker, uint8_t protocol, uint32_t source)
{
	struct stream *stream = stream_find(table, scope, ssrc);
	if (stream)
		return stream;
	// After the look into its chain: what left that was put to rest before.
	const uint64_t rest = stream_rest_state(&table->rests, scope, ssrc);
	const bool of_relay = (rest & STREAM_REST_OUTBOUND) != 0;
	if (rest & STREAM_REST_CLOSING)
		return NULL;
	if (rest != 0 && of_relay != (source != STREAM_NONE))
		return of_relay ? &table->of_relay : &table->of_client;
	struct stream *born = stream_take(table);
	if (!born)
		return NULL;
	*born = (struct stream){
		.scope = scope,
		.ssrc = ssrc,
		.source = source,
		.worker = worker,
		.protocol = protocol,
	};
	replay_begin(&born->replay, rest & STREAM_REST_INDEX);
	_Atomic uint32_t *bucket = stream_bucket(table, scope, ssrc);
	uint32_t head = atomic_load_explicit(bucket, memory_order_acquire);
	do {
		// Another worker may have added it since: it must not be there twice.
		stream = stream_find(table, scope, ssrc);
		if (stream) {
			stream_put_back(table, born);
			return stream;
		}
		atomic_store_explicit(&born->next, head, memory_order_relaxed);
		// release: a reader that finds the stream finds it filled
	} while (!atomic_compare_exchange_weak_explicit(bucket, &head,
		stream_index(table, born) + 1, memory_order_acq_rel, memory_order_acquire));
	stream_join(table, list, born);
	return born;
}

void stream_unlink(struct stream_table *table, struct stream *stream)
{
	_Atomic uint32_t *bucket = stream_bucket(table, stream->scope, stream->ssrc);
	uint32_t head = stream_index(table, stream) + 1, self = head;
	uint32_t next = atomic_load_explicit(&stream->next, memory_order_relaxed);
	if (atomic_compare_exchange_strong_explicit(
		    bucket, &head, next, memory_order_acq_rel, memory_order_acquire))
		return;
	// Workers change nothing but the head: the stream is behind it, or was taken out before.
	while (head != 0) {
		_Atomic uint32_t *link = &table->streams[head - 1].next;
		head = atomic_load_explicit(link, memory_order_acquire);
		if (head == self) {
			atomic_store_explicit(link, next, memory_order_release);
			return;
		}
	}
}

void stream_free(struct stream_table *table, struct stream *stream)
{
	secmem_wipe(stream, sizeof(*stream));
	stream_put_back(table, stream);
}

bool stream_leave(struct stream_table *table, struct stream_list *list, struct stream *before,
	struct stream *stream)
{
	uint32_t self = stream_index(table, stream) + 1, next = stream_sibling(stream);
	if (before) // release: a worker that continues there finds that stream filled
		atomic_store_explicit(&before->sibling, next, memory_order_release);
	else if (!atomic_compare_exchange_strong_explicit(
			 &list->newest, &self, next, memory_order_acq_rel, memory_order_acquire))
		return false;
	atomic_fetch_sub_explicit(stream_counted(list, stream), 1, memory_order_relaxed);
	return true;
}

uint32_t stream_table_touched(const struct stream_table *table)
{
	uint32_t n = atomic_load_explicit(&table->n_touched, memory_order_relaxed);
	return n < table->size ? n : table->size;
}

uint32_t stream_table_used(const struct stream_table *table)
{
	return stream_table_touched(table) - rte_ring_count(table->unused);
}

void stream_list_unlink(struct stream_table *table, struct stream_list *list)
{
	list->leaving = true;
	uint32_t i = atomic_load_explicit(&list->newest, memory_order_acquire);
	for (; i != 0; i = stream_sibling(&table->streams[i - 1]))
		stream_unlink(table, &table->streams[i - 1]);
	stream_rests_unlink(&table->rests, &list->rests);
}

void stream_list_free(struct stream_table *table, struct stream_list *list)
{
	uint32_t i = atomic_load_explicit(&list->newest, memory_order_acquire);
	while (i != 0) {
		struct stream *stream = &table->streams[i - 1];
		i = stream_sibling(stream);
		stream_free(table, stream);
	}
	stream_rests_free(&table->rests, &list->rests);
	bool noted = list->noted; // whoever noted it has yet to look
	memset(list, 0, sizeof(*list));
	list->noted = noted;
}
