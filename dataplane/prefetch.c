// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/prefetch.h"

#include <rte_prefetch.h>

#include "dataplane/relay_tables.h"

enum {
	LINE = 64, // octets of a cache line
	BLOCK = 16,
	ROUND_KEYS_LEN = 11 * BLOCK, // AES-128; the last four of AES-256 come when they are used
	// Octets of a packet for whose blocks the last two lines of an expanded key have powers enough; up to 200 octets
	// need two lines more.
	SHORT_LEN = 96,
};

// IPsec-MB keeps the round keys at the front of an expanded key and the powers of the hash key at its
// end, the lowest last; a packet needs as many as it has blocks.
static inline void key_prefetch(const struct key_ctx *ctx, uint16_t len)
{
	const uint8_t *last = ctx->key + CIPHER_KEY_SIZE - 1;
	for (unsigned at = 0; at < ROUND_KEYS_LEN && at < CIPHER_KEY_SIZE; at += LINE)
		rte_prefetch0(ctx->key + at);
	if (!CRYPTO_IPSEC_MB)
		return;
	rte_prefetch0(last);
	rte_prefetch0(last - LINE);
	if (len < SHORT_LEN)
		return;
	rte_prefetch0(last - 2 * (size_t)LINE);
	rte_prefetch0(last - 3 * (size_t)LINE);
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
	rte_prefetch0(stream);
	rte_prefetch0(&stream->replay.next);
	rte_prefetch0(&stream->replay.seen[index / 64 % (REPLAY_LIST_LEN / 64)]);
}

void prefetch_inbound_keys(struct packet *packets[], uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		const struct packet *p = packets[i];
		if (!p->ctx)
			continue;
		rte_prefetch0((const void *)p->bucket);
		key_prefetch(p->ctx, p->len);
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
	for (uint16_t i = 0; i < n; i++) {
		const struct packet *p = packets[i];
		if (p->first_out == KEY_NONE)
			continue;
		rte_prefetch0((const void *)p->out_bucket);
		key_prefetch(&relay->keys.ctxs[p->first_out], p->len);
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
