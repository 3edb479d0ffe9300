// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/index_guess.h"

#include "base/counter.h"
#include "crypto/packet_index.h"
#include "dataplane/packet.h"
#include "dataplane/worker_state.h"

// The name of the context that the packet's talker has under another key of the leg; false if it is
// not known who that is.
static bool talker_key_name(
	const struct packet *p, const struct leg_key *key, struct key_name *name)
{
	if (p->ctx->by_mki.mki == p->key->own_mki) {
		*name = packet_key_name(p, key, key->own_mki);
		return key->own_mki != 0;
	}
	uint32_t user = (uint32_t)p->ctx->by_talker.mki;
	*name = key_name_make(KEY_BY_TALKER, key_name_mki(key->root, user), 0, key->cs_id,
		p->protocol, key->suite);
	return p->ctx->by_talker.kind == KEY_BY_TALKER;
}

// Where a sender that is new under its key is in its SSRC: the ROC goes on when it re-keys (RFC 3711
// 3.3.1). A guess, which the tag confirms. 0: nothing is known.
static uint64_t packet_next_under_other_keys(const struct worker *worker, const struct packet *p)
{
	const struct leg_protection *in = p->in;
	const struct relay *relay = worker->relay;
	uint64_t next = 0;
	for (unsigned i = 0; i < in->n_keys; i++) {
		struct key_name name;
		if (&in->keys[i] == p->key || !talker_key_name(p, &in->keys[i], &name))
			continue;
		uint32_t ctx =
			key_table_find(&relay->keys, &name, key_name_hash(&relay->keys, &name));
		if (ctx == KEY_NONE)
			continue;
		const struct stream *stream =
			stream_find(&relay->streams, relay->keys.ctxs[ctx].space, p->ssrc);
		if (stream && stream->source != STREAM_NONE)
			continue;
		// another worker may own it
		uint64_t of_key = stream ? counter_read(&stream->replay.next)
					 : stream_next_at_rest(&relay->streams,
						   relay->keys.ctxs[ctx].space, p->ssrc);
		next = of_key > next ? of_key : next;
	}
	return next;
}

// Nothing is known of the stream. Without a ROC on the wire it goes on from what the sender had under another key, or
// began anew with this one; else it has the ROC that the leg was told, or has wrapped since.
static void index_guess_first(const struct worker *worker, struct packet *p, uint16_t seq)
{
	if (p->trailer.has_roc) {
		p->index = (uint64_t)p->trailer.roc << 16 | seq;
		return;
	}
	const uint64_t next = packet_next_under_other_keys(worker, p);
	const uint64_t begin = (uint64_t)p->in->roc << 16 | seq;
	if (next != 0) {
		p->index = packet_index_estimate(next, seq);
		p->second_index = begin;
	} else {
		p->index = begin;
		p->second_index = begin + (UINT64_C(1) << 16);
	}
}

// Who is at rest, or was not heard for so long, may have sent more than the estimate bridges: 32,768 packets (RFC 3711 3.3.1).
enum { SILENCE_SECONDS = 2 };

static inline bool stream_was_silent(const struct worker *worker, const struct stream *stream)
{
	return worker->now - counter_read(&stream->last_tsc) > SILENCE_SECONDS * worker->tsc_hz;
}

// The index of a known stream without a ROC on the wire, if it is not the estimate: one ROC further, or as the leg was told.
static uint64_t index_after_silence(const struct packet *p, uint16_t seq)
{
	const uint64_t told = (uint64_t)p->in->roc << 16 | seq;
	return told > p->index ? told : p->index + (UINT64_C(1) << 16);
}

void index_guess(const struct worker *worker, struct packet *p)
{
	const uint16_t seq = p->protocol == SRTP_RTP ? rtp_seq(p->data) : 0;
	p->second_index = NO_INDEX;
	p->next = p->stream ? p->stream->replay.next
			    : stream_next_at_rest(&worker->relay->streams, p->ctx->space, p->ssrc);
	if (p->protocol == SRTP_RTCP) {
		p->index = srtcp_index_word(p->data, p->trailer.body) & SRTCP_INDEX_MAX;
	} else if (p->next == 0) {
		index_guess_first(worker, p, seq);
	} else {
		const uint64_t carried = (uint64_t)p->trailer.roc << 16 | seq;
		p->index = packet_index_estimate(p->next, seq);
		if (p->trailer.has_roc)
			p->second_index = carried != p->index ? carried : NO_INDEX;
		else if (unlikely(!p->stream || stream_was_silent(worker, p->stream)))
			p->second_index = index_after_silence(p, seq);
	}
}

// The highest index + 1 among the packets before of p's sender, under p's session key or under any of its leg; 0: there
// is none.
static uint64_t next_of_verified(
	const struct packet *p, struct packet *const before[], uint16_t n, bool any_key)
{
	uint64_t next = 0;
	for (uint16_t i = 0; i < n; i++) {
		const struct packet *q = before[i];
		if (!q->decrypt || q->protocol != p->protocol || q->ssrc != p->ssrc)
			continue;
		if (q->ctx->space == p->ctx->space || (any_key && q->leg == p->leg))
			next = RTE_MAX(next, q->index + 1);
	}
	return next;
}

bool index_guess_again(
	const struct worker *worker, struct packet *p, struct packet *const before[], uint16_t n)
{
	if (p->protocol != SRTP_RTP)
		return false;
	uint64_t next = next_of_verified(p, before, n, false);
	// It may have been born since.
	const struct stream *stream =
		stream_find_in(&worker->relay->streams, p->bucket, p->ctx->space, p->ssrc);
	if (stream && stream->source == STREAM_NONE)
		next = RTE_MAX(next, counter_read(&stream->replay.next));
	if (next == 0)
		next = next_of_verified(p, before, n, true);
	if (next <= p->next) // nothing is known that was not known before
		return false;
	uint64_t index = packet_index_estimate(next, rtp_seq(p->data));
	if (index == p->index)
		return false;
	p->index = index;
	return true;
}
