// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/packet_index.h"
#include "dataplane/opaque.h"
#include "dataplane/plain_stream.h"
#include "dataplane/rtcp_map.h"
#include "dataplane/stages.h"
#include "dataplane/worker_state.h"

// The name of the context that the packet's talker has under another key of the leg; false if it is
// not known who that is.
static bool talker_key_name(
	const struct packet *p, const struct leg_key *key, struct key_name *name)
{
	if (p->ctx->by_mki.mki == p->key->own_mki) {
		*name = key_name_make(
			KEY_BY_MKI, key->own_mki, key->scope, key->cs_id, p->protocol, key->suite);
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
		if (!stream || stream->source != STREAM_NONE)
			continue;
		// Another worker may own it.
		uint64_t of_key = __atomic_load_n(&stream->replay.next, __ATOMIC_RELAXED);
		next = of_key > next ? of_key : next;
	}
	return next;
}

// The packet index, from what is known of the stream and what the packet carries. A carried ROC is
// a hint: who is in sync ignores it (RFC 4771 2.1), unless the tag says otherwise
// (stage_unprotect).
static void packet_find_index(const struct worker *worker, struct packet *p)
{
	uint16_t seq = rtp_seq(p->data);
	p->carried_index = NO_INDEX;
	if (p->protocol == SRTP_RTCP) {
		p->index = srtcp_index_word(p->data, p->trailer.body) & SRTCP_INDEX_MAX;
		return;
	}
	uint64_t next = p->stream ? p->stream->replay.next : 0;
	if (!p->stream && !p->trailer.has_roc)
		next = packet_next_under_other_keys(worker, p);
	p->index = packet_index_estimate(next, seq);
	if (!p->trailer.has_roc) {
		if (!p->stream && p->index != seq)
			p->carried_index = seq; // or it began anew with the key
		return;
	}
	uint64_t carried = (uint64_t)p->trailer.roc << 16 | seq;
	if (!p->stream)
		p->index = carried;
	else if (carried != p->index)
		p->carried_index = carried;
}

static enum drop_reason replay_reason(enum replay_verdict verdict)
{
	switch (verdict) {
	case REPLAY_SEEN:
		return DROP_REPLAYED;
	case REPLAY_OLD:
		return DROP_TOO_OLD;
	default:
		return DROP_NONE;
	}
}

static enum drop_reason packet_check_protected(const struct worker *worker, struct packet *p)
{
	packet_find_index(worker, p);
	if (!p->stream) {
		// Until its tag verified nobody owns the stream; another worker may get there
		// first.
		p->keep_original = true;
		return DROP_NONE;
	}
	if (p->carried_index != NO_INDEX) {
		if (replay_check(&p->stream->replay, p->carried_index) != REPLAY_NEW)
			p->carried_index = NO_INDEX;
		p->keep_original = true; // for a second try
	}
	enum replay_verdict verdict = replay_check(&p->stream->replay, p->index);
	if (verdict != REPLAY_NEW && p->carried_index != NO_INDEX) {
		// Old by the estimate, ahead by the ROC that it carries: the tag decides, in one
		// pass.
		p->index = p->carried_index;
		p->carried_index = NO_INDEX;
		return DROP_NONE;
	}
	return replay_reason(verdict);
}

static bool packet_is_to_protect(const struct packet *p)
{
	const struct fanout *fanout = p->fanout;
	for (unsigned i = 0; i < fanout->n_variants; i++)
		if (fanout->variants[i].mode == LEG_SRTP)
			return true;
	return false;
}

static inline bool packet_has_plain_stream(const struct packet *p)
{
	return p->in->mode == LEG_PLAIN && (p->protocol == SRTP_RTP || packet_is_to_protect(p));
}

static inline bool stream_is_others(const struct worker *worker, const struct stream *stream)
{
	return stream && stream->worker != worker->id;
}

// Plain media needs a stream to get its packet index, and plain RTCP one that stands for its sender
// where it is protected. Nothing verifies it, so it is born here.
static enum drop_reason packet_find_plain(struct worker *worker, struct packet *p)
{
	// RTCP of plain media belongs to the stream of its sender's RTP.
	uint8_t protocol = leg_is_plain_media(p->leg) ? (uint8_t)SRTP_RTP : p->protocol;
	p->stream = stream_find(
		&worker->relay->streams, stream_plain_scope(p->leg->index, protocol), p->ssrc);
	if (stream_is_others(worker, p->stream))
		return DROP_NONE;
	p->stream = plain_stream_get(worker, p->leg, protocol, p->ssrc);
	p->carried_index = NO_INDEX;
	return p->stream ? DROP_NONE : DROP_STREAM_LIMIT; // its index is found when it is committed
}

static inline enum drop_reason packet_find_protected(struct worker *worker, struct packet *p)
{
	p->stream = stream_find_in(&worker->relay->streams, p->bucket, p->ctx->space, p->ssrc);
	// The relay's own SSRC: what it sends under this key, a client must not (RFC 7714 8.4). Whether
	// it is one, the tag tells: stage_commit drops it.
	if (p->stream && p->stream->source != STREAM_NONE)
		p->stream = NULL;
	return stream_is_others(worker, p->stream) ? DROP_NONE : packet_check_protected(worker, p);
}

uint16_t stage_stream(struct worker *worker, struct packet *packets[], uint16_t n)
{
	uint16_t out = 0;
	opaque_prefetch(worker, packets, n);
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packets[i];
		enum drop_reason reason = DROP_NONE;
		p->stream = NULL;
		if (packet_has_plain_stream(p))
			reason = packet_find_plain(worker, p);
		else if (p->decrypt)
			reason = packet_find_protected(worker, p);
		if (reason != DROP_NONE)
			worker_drop(worker, p, reason);
		else if (stream_is_others(worker, p->stream))
			worker_handoff(worker, p);
		else
			packets[out++] = p;
	}
	return out;
}
