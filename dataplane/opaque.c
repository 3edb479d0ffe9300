// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/opaque.h"

#include <assert.h>
#include <rte_prefetch.h>

#include "dataplane/sequence.h"
#include "dataplane/stream_count.h"
#include "dataplane/tokens.h"
#include "dataplane/worker_state.h"

static_assert(RELAY_WORKERS_MAX <= (STREAM_OPAQUE >> STREAM_LEG_BITS), "a scope has room for both");

static uint32_t opaque_scope(const struct worker *worker, const struct packet *p)
{
	return stream_opaque_scope(p->leg->index, worker->id);
}

void opaque_prefetch(const struct worker *worker, struct packet *packets[], uint16_t n)
{
	const struct stream_table *table = &worker->relay->streams;
	const _Atomic uint32_t *buckets[WORKER_BURST];
	uint16_t n_buckets = 0;
	for (uint16_t i = 0; i < n; i++) {
		if (!packet_is_opaque(packets[i]))
			continue;
		buckets[n_buckets] =
			stream_bucket(table, opaque_scope(worker, packets[i]), packets[i]->ssrc);
		rte_prefetch0((const void *)(uintptr_t)buckets[n_buckets++]);
	}
	for (uint16_t i = 0; i < n_buckets; i++) {
		uint32_t head = atomic_load_explicit(buckets[i], memory_order_acquire);
		if (head == 0)
			continue;
		// 128 octets: all but the replay list's later words
		const uint8_t *stream = (const uint8_t *)&table->streams[head - 1];
		rte_prefetch0(stream);
		rte_prefetch0(stream + 64);
	}
}

// Streams that serve statistics alone leave the last quarter of the table to those that media needs.
static struct stream *opaque_bear(struct worker *worker, const struct packet *p)
{
	struct stream_table *table = &worker->relay->streams;
	if (stream_table_used(table) >= table->size - table->size / 4 ||
		!leg_token_take(worker, p->leg->index))
		return NULL;
	return stream_create(table, &worker->relay->legs.streams[p->leg->index],
		opaque_scope(worker, p), p->ssrc, worker->id, SRTP_RTP, STREAM_NONE);
}

// Finds the packet's index and notes it; false if it came before, or is a jump not confirmed yet.
static bool opaque_commit(const struct worker *worker, struct stream *s, struct packet *p)
{
	enum sequence_verdict verdict = sequence_check(worker, s, p);
	if (verdict == SEQUENCE_RESTART) {
		s->replay = (struct replay_list){};
		stream_count_anew(s);
		p->index = sequence_first_index(p);
	} else if (verdict != SEQUENCE_NEW) {
		return false;
	}
	sequence_commit(worker, s, p);
	return true;
}

void opaque_count(struct worker *worker, struct packet *p)
{
	struct stream *s = stream_find(&worker->relay->streams, opaque_scope(worker, p), p->ssrc);
	if (!s)
		s = opaque_bear(worker, p);
	if (s && opaque_commit(worker, s, p))
		stream_count(worker, s, p);
}
