// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/prefetch.h"

#include <rte_prefetch.h>

#include "dataplane/relay.h"

enum {
	LINE = 64, // octets of a cache line
	BLOCK = 16,
	ROUND_KEYS_LEN = 11 * BLOCK, // AES-128; the last four of AES-256 come when they are used
	POWERS_MAX = 16, // of the hash key, asked for ahead: packets up to 200 octets need no more
};

// IPsec-MB keeps the round keys at the front of an expanded key and the powers of the hash key at its
// end, the lowest last; a packet needs as many as it has blocks.
static void key_prefetch(const struct key_ctx *ctx, uint16_t len)
{
	unsigned blocks = len / BLOCK + 2U;
	unsigned tail = (blocks < POWERS_MAX ? blocks : POWERS_MAX) * BLOCK;
	for (unsigned at = 0; at < ROUND_KEYS_LEN; at += LINE)
		rte_prefetch0(ctx->key + at);
	for (unsigned at = 0; at < tail; at += LINE)
		rte_prefetch0(ctx->key + CIPHER_KEY_SIZE - 1 - at);
	rte_prefetch0(ctx->key + CIPHER_KEY_SIZE - tail);
}

// The stream at the head of the chain: its first line, the highest index, and the word of the replay
// list where the packet's index is.
static void stream_prefetch(
	const struct stream_table *table, uint32_t scope, uint32_t ssrc, uint64_t index)
{
	uint32_t head =
		atomic_load_explicit(stream_bucket(table, scope, ssrc), memory_order_relaxed);
	if (head == 0)
		return;
	const struct stream *stream = &table->streams[head - 1];
	rte_prefetch0(stream);
	rte_prefetch0(&stream->replay.next);
	rte_prefetch0(&stream->replay.seen[index / 64 % (REPLAY_LIST_LEN / 64)]);
}

void prefetch_inbound_keys(const struct relay *relay, struct packet *packets[], uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		const struct packet *p = packets[i];
		if (!p->ctx)
			continue;
		rte_prefetch0(stream_bucket(&relay->streams, p->ctx->space, p->ssrc));
		key_prefetch(p->ctx, p->len);
	}
}

void prefetch_inbound_streams(const struct relay *relay, struct packet *packets[], uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		const struct packet *p = packets[i];
		if (p->ctx)
			stream_prefetch(&relay->streams, p->ctx->space, p->ssrc, rtp_seq(p->data));
	}
}

void prefetch_outbound_keys(const struct relay *relay, struct packet *packets[], uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		const struct packet *p = packets[i];
		if (p->first_out == KEY_NONE)
			continue;
		const struct key_ctx *ctx = &relay->keys.ctxs[p->first_out];
		rte_prefetch0(stream_bucket(&relay->streams, ctx->space, p->ssrc));
		key_prefetch(ctx, p->len);
	}
}

void prefetch_outbound_streams(const struct relay *relay, struct packet *packets[], uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		const struct packet *p = packets[i];
		if (p->first_out != KEY_NONE)
			stream_prefetch(&relay->streams, relay->keys.ctxs[p->first_out].space,
				p->ssrc, p->index);
	}
}
