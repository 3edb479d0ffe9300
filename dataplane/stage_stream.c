// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/index_guess.h"
#include "dataplane/opaque.h"
#include "dataplane/plain_stream.h"
#include "dataplane/ssrc_map.h"
#include "dataplane/stages.h"
#include "dataplane/worker_state.h"

// Of a trailer with two readings, what the stream knows: its talker has that SSRC, and the ROC is the one expected. If
// it is another one, that is either a jump or a GUK-ID; one of them is tried.
static void packet_weigh_readings(struct packet *p)
{
	if (p->stream && (!p->trailer.has_roc || p->second_index == NO_INDEX ||
				 p->trailer.roc <= UINT16_MAX)) {
		p->other_mki = 0;
		return;
	}
	p->second_index = NO_INDEX;
	p->keep_original = true;
}

// Its tag will decide between two indices: its stream may move by more than SEQ indicates, and
// until then the packets behind it are not refused by the stream's present state.
static void packet_unsettle(struct worker *worker, struct packet *p)
{
	p->unsettled = true;
	worker->n_unsettled++;
}

static enum drop_reason packet_check_protected(struct worker *worker, struct packet *p)
{
	index_guess(worker, p);
	if (unlikely(p->other_mki != 0))
		packet_weigh_readings(p);
	if (!p->stream) {
		// Until its tag verified no worker owns the stream; another one may create it
		// first.
		p->keep_original = true;
		return DROP_NONE;
	}
	bool behind_unsettled = unlikely(worker->n_unsettled > 0);
	p->keep_original |= behind_unsettled; // for a second try
	enum replay_verdict verdict = replay_check(&p->stream->replay, p->index);
	if (p->second_index != NO_INDEX &&
		replay_check(&p->stream->replay, p->second_index) == REPLAY_NEW) {
		packet_unsettle(worker, p);
		p->keep_original = true;
		if (verdict == REPLAY_NEW)
			return DROP_NONE;
		// Old by the estimate, ahead by the ROC that it carries, or after a silence: the tag
		// decides, in one pass.
		p->index = p->second_index;
		return DROP_NONE;
	}
	p->second_index = NO_INDEX;
	return behind_unsettled ? DROP_NONE : replay_reason(verdict);
}

static inline bool packet_has_plain_stream(const struct packet *p)
{
	return p->in->mode == LEG_PLAIN && (p->protocol == SRTP_RTP || p->fanout->protects);
}

static inline bool stream_is_others(const struct worker *worker, const struct stream *stream)
{
	return stream && stream->worker != worker->id;
}

// Plain media needs a stream for its packet index, and plain RTCP one for its sender where it is
// protected. Nothing verifies it, so it is created here.
static enum drop_reason packet_find_plain(struct worker *worker, struct packet *p)
{
	// RTCP of plain media belongs to the stream of its sender's RTP.
	uint8_t protocol = leg_is_plain_media(p->leg) ? (uint8_t)SRTP_RTP : p->protocol;
	p->stream = stream_find(
		&worker->relay->streams, stream_plain_scope(p->leg->index, protocol), p->ssrc);
	if (stream_is_others(worker, p->stream))
		return DROP_NONE;
	p->stream = plain_stream_get(worker, p->leg, protocol, p->ssrc);
	p->second_index = NO_INDEX;
	return p->stream ? DROP_NONE : DROP_STREAM_LIMIT; // its index is found when it is committed
}

static inline enum drop_reason packet_find_protected(struct worker *worker, struct packet *p)
{
	p->stream = stream_find_in(&worker->relay->streams, p->bucket, p->ctx->space, p->ssrc);
	// The relay's own SSRC: a client must not send under it with this key (RFC 7714 8.4).
	// Whether it was the client the tag shows: stage_commit drops it.
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
		p->ssrc_before = 0;
		p->unsettled = false;
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
