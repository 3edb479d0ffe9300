// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/prefetch.h"

#include <rte_prefetch.h>

#include "dataplane/relay_tables.h"

// All goes into the second-level cache. On their way to the first lines wait in one of a dozen buffers of the core, and what
// eight packets read is a hundred lines: a prefetch that finds none free waits, and what comes behind it, too.

enum {
	LINE = 64,            // octets of a cache line
	READS_MAX = 4 * LINE, // octets at either end of a key that are worth it
};

static inline void key_prefetch(
	const struct cipher_reads *reads, const struct key_ctx *ctx, uint16_t len)
{
	const uint8_t *end = ctx->key + reads->end;
	unsigned last = len < reads->short_len ? reads->last : reads->last_of_long;
	// Unrolled: a loop costs as much again as its prefetches do.
#pragma GCC unroll 4
	for (unsigned at = 0; at < READS_MAX; at += LINE)
		if (at < reads->first)
			rte_prefetch1(ctx->key + at);
#pragma GCC unroll 4
	for (unsigned at = 0; at < READS_MAX; at += LINE)
		if (at < last)
			rte_prefetch1(end - 1 - at);
}

// The stream at the head of a chain: its first line, the highest index, and the word of the replay
// list where the packet's index is.
static inline void stream_prefetch(
	const struct stream_table *table, const _Atomic uint32_t *bucket, uint64_t index)
{
	uint32_t head = atomic_load_explicit(bucket, memory_order_relaxed);
	if (head == 0)
		return;
	const struct stream *stream = &table->streams[head - 1];
	rte_prefetch1(stream);
	rte_prefetch1(&stream->replay.next);
	rte_prefetch1(&stream->replay.seen[index / 64 % (REPLAY_LIST_LEN / 64)]);
}

void prefetch_inbound_keys(const struct relay *relay, struct packet *packets[], uint16_t n)
{
	const struct cipher_reads reads = relay->cipher->reads;
	for (uint16_t i = 0; i < n; i++) {
		const struct packet *p = packets[i];
		if (!p->ctx)
			continue;
		rte_prefetch1((const void *)p->bucket);
		key_prefetch(&reads, p->ctx, p->len);
	}
}

void prefetch_inbound_streams(const struct relay *relay, struct packet *packets[], uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		const struct packet *p = packets[i];
		if (p->ctx)
			stream_prefetch(&relay->streams, p->bucket, rtp_seq(p->data));
	}
}

void prefetch_outbound_keys(const struct relay *relay, struct packet *packets[], uint16_t n)
{
	const struct cipher_reads reads = relay->cipher->reads;
	for (uint16_t i = 0; i < n; i++) {
		const struct packet *p = packets[i];
		if (p->first_out == KEY_NONE)
			continue;
		rte_prefetch1((const void *)p->out_bucket);
		key_prefetch(&reads, &relay->keys.ctxs[p->first_out], p->len);
	}
}

void prefetch_outbound_streams(const struct relay *relay, struct packet *packets[], uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		const struct packet *p = packets[i];
		if (p->first_out != KEY_NONE)
			stream_prefetch(&relay->streams, p->out_bucket, p->index);
	}
}
