// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/stream_rest.h"

#include <errno.h>
#include <sys/random.h>

#include <rte_bitops.h>
#include <rte_common.h>

#include "base/secmem.h"

int stream_rests_init(struct stream_rests *rests, uint32_t size)
{
	uint64_t n_buckets = rte_align64pow2(size);
	*rests = (struct stream_rests){.bucket_mask = n_buckets - 1, .size = size};
	if (getrandom(&rests->seed, sizeof(rests->seed), 0) != sizeof(rests->seed))
		return -EIO;
	rests->buckets = secmem_map(n_buckets * sizeof(uint32_t));
	rests->items = secmem_map(size * sizeof(struct stream_rest));
	rests->unused = secmem_map(size * sizeof(uint32_t));
	if (rests->buckets && rests->items && rests->unused)
		return 0;
	stream_rests_fini(rests);
	return -ENOMEM;
}

void stream_rests_fini(struct stream_rests *rests)
{
	secmem_unmap(rests->buckets, (rests->bucket_mask + 1) * sizeof(uint32_t));
	secmem_unmap(rests->items, rests->size * sizeof(struct stream_rest));
	secmem_unmap(rests->unused, rests->size * sizeof(uint32_t));
	*rests = (struct stream_rests){};
}

static _Atomic uint32_t *rest_bucket(
	const struct stream_rests *rests, uint32_t scope, uint32_t ssrc)
{
	uint64_t name = (uint64_t)scope << 32 | ssrc;
	unsigned __int128 m =
		(unsigned __int128)(name ^ rests->seed) * UINT64_C(0x9e3779b97f4a7c15);
	return &rests->buckets[((uint64_t)m ^ (uint64_t)(m >> 64)) & rests->bucket_mask];
}

struct stream_rest *stream_rest_find(
	const struct stream_rests *rests, uint32_t scope, uint32_t ssrc)
{
	// acquire: pairs with the release in stream_rest_close(), which filled the record before
	uint32_t i = atomic_load_explicit(rest_bucket(rests, scope, ssrc), memory_order_acquire);
	while (i != 0) {
		struct stream_rest *rest = &rests->items[i - 1];
		if (rest->scope == scope && rest->ssrc == ssrc)
			return rest;
		i = atomic_load_explicit(&rest->next, memory_order_acquire);
	}
	return NULL;
}

uint64_t stream_rest_state(const struct stream_rests *rests, uint32_t scope, uint32_t ssrc)
{
	if (atomic_load_explicit(&rests->n, memory_order_relaxed) == 0)
		return 0;
	const struct stream_rest *rest = stream_rest_find(rests, scope, ssrc);
	return rest ? atomic_load_explicit(&rest->state, memory_order_acquire) : 0;
}

static struct stream_rest *rest_take(struct stream_rests *rests)
{
	if (rests->n_unused > 0)
		return &rests->items[rests->unused[--rests->n_unused]];
	return rests->n_touched < rests->size ? &rests->items[rests->n_touched++] : NULL;
}

struct stream_rest *stream_rest_close(struct stream_rests *rests, struct stream_rest_list *list,
	uint32_t scope, uint32_t ssrc, uint64_t outbound)
{
	struct stream_rest *rest = stream_rest_find(rests, scope, ssrc);
	if (rest) {
		stream_rest_set(rest, STREAM_REST_CLOSING | outbound);
		return rest;
	}
	uint32_t n = atomic_load_explicit(&rests->n, memory_order_relaxed);
	uint32_t most = RTE_MIN((uint32_t)STREAM_RESTS_OF_ONE, (rests->size - n + 3) / 4);
	rest = list->n < most ? rest_take(rests) : NULL;
	if (!rest)
		return NULL;
	_Atomic uint32_t *bucket = rest_bucket(rests, scope, ssrc);
	*rest = (struct stream_rest){.scope = scope,
		.ssrc = ssrc,
		.state = STREAM_REST_CLOSING | outbound,
		.next = atomic_load_explicit(bucket, memory_order_relaxed),
		.sibling = list->newest};
	uint32_t self = (uint32_t)(rest - rests->items) + 1;
	atomic_store_explicit(&rests->n, n + 1, memory_order_relaxed);
	atomic_store_explicit(bucket, self, memory_order_release);
	list->newest = self;
	list->n++;
	return rest;
}

static void rest_unlink(struct stream_rests *rests, const struct stream_rest *rest)
{
	uint32_t self = (uint32_t)(rest - rests->items) + 1;
	_Atomic uint32_t *link = rest_bucket(rests, rest->scope, rest->ssrc);
	uint32_t at = atomic_load_explicit(link, memory_order_relaxed);
	while (at != self) {
		link = &rests->items[at - 1].next;
		at = atomic_load_explicit(link, memory_order_relaxed);
	}
	// release: a worker that continues there finds that record filled
	atomic_store_explicit(link, atomic_load_explicit(&rest->next, memory_order_relaxed),
		memory_order_release);
}

void stream_rests_unlink(struct stream_rests *rests, const struct stream_rest_list *list)
{
	for (uint32_t i = list->newest; i != 0; i = rests->items[i - 1].sibling)
		rest_unlink(rests, &rests->items[i - 1]);
}

void stream_rests_free(struct stream_rests *rests, struct stream_rest_list *list)
{
	for (uint32_t i = list->newest; i != 0; i = rests->items[i - 1].sibling)
		rests->unused[rests->n_unused++] = i - 1;
	atomic_fetch_sub_explicit(&rests->n, list->n, memory_order_relaxed);
	*list = (struct stream_rest_list){};
}
