// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "base/counter.h"
#include "dataplane/opaque.h"
#include "dataplane/rate.h"
#include "dataplane/sequence.h"
#include "dataplane/stages.h"
#include "dataplane/stream_count.h"
#include "dataplane/stream_share.h"
#include "dataplane/tokens.h"
#include "dataplane/worker_state.h"

// The stream of an authentic packet whose SSRC was new when the burst began. Another packet of the
// burst, or another worker, may have created it since.
static enum drop_reason stream_create_verified(struct worker *worker, struct packet *p)
{
	struct stream_table *streams = &worker->relay->streams;
	const uint32_t scope = p->ctx->space;
	p->stream = stream_find_in(streams, p->bucket, scope, p->ssrc);
	if (!p->stream) {
		uint64_t next = stream_next_at_rest(streams, scope, p->ssrc);
		if (p->index < next)
			return next - p->index > REPLAY_LIST_LEN ? DROP_TOO_OLD : DROP_REPLAYED;
		enum drop_reason reason = stream_admit(worker, p);
		if (reason != DROP_NONE)
			return reason;
		p->stream = stream_create(streams, &worker->relay->keys.streams[scope], scope,
			p->ssrc, worker->id, p->protocol, STREAM_NONE);
	}
	if (!p->stream)
		return stream_is_closing(streams, scope, p->ssrc) ? DROP_STREAM_BUSY
								  : DROP_STREAM_LIMIT;
	if (p->stream->source != STREAM_NONE)
		return DROP_SSRC_COLLISION;
	return DROP_NONE;
}

// Another worker owns the stream after all: it gets the packet as it came.
static void packet_give_up(struct worker *worker, struct packet *p)
{
	rte_pktmbuf_free(p->plaintext);
	p->plaintext = NULL;
	worker_handoff(worker, p);
}

// What came before a restart, and is not sent yet, leaves under the SSRC that its stream had; in clear only if it had none.
static void packets_part(
	struct packet *const before[], uint16_t n, const struct stream *s, uint32_t ssrc)
{
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = before[i];
		if (p->stream != s || p->ctx || p->protocol != SRTP_RTP || p->ssrc_before != 0)
			continue;
		p->ssrc_before = ssrc;
		if (ssrc == 0)
			p->index = NO_INDEX;
	}
}

// A plain sender that began anew under its old SSRC becomes a new stream with a fresh SSRC, so that no packet index is
// used twice. That is worth a token: no sender may use up the SSRCs.
static bool plain_stream_restart(struct worker *worker, struct packet *p, struct stream *s,
	struct packet *const before[], uint16_t n)
{
	s->bad_seq_set = !leg_token_take(worker, p->leg->index);
	if (s->bad_seq_set)
		return false;
	s->replay = (struct replay_list){};
	packets_part(before, n, s, atomic_load_explicit(&s->out_ssrc, memory_order_relaxed));
	atomic_store_explicit(&s->out_ssrc, 0, memory_order_relaxed);
	stream_count_anew(s);
	p->index = sequence_first_index(p);
	return true;
}

static void stream_report(struct worker *worker, const struct leg *leg, struct stream *s)
{
	struct control_mail mail = {
		.type = MAIL_STREAM,
		.leg = leg->index,
		.serial = leg->serial,
		.stream = stream_index(&worker->relay->streams, s),
	};
	s->reported = control_mail_put(&worker->mailbox, &mail);
}

static void stream_note(struct worker *worker, struct packet *p)
{
	struct stream *s = p->stream;
	if (s->leg_serial != p->leg->serial) {
		s->reported = false;
		counter_set(&s->leg_serial, p->leg->serial);
	}
	stream_count(worker, s, p);
	if (unlikely(!s->reported) && p->ctx) // plain ones are found by their leg
		stream_report(worker, p->leg, s);
}

// The remote address follows the newest authentic packet (control decides and publishes). Where RTCP comes from the
// leg's own address its sender muxes it with media.
static void leg_learn(struct worker *worker, const struct packet *p)
{
	if (endpoint_equal(&p->leg->remote, &p->source)) {
		if (p->protocol == SRTP_RTCP)
			counter_set(&worker->legs[p->leg->index].rtcp_port, p->source.port);
		return;
	}
	if (p->index + 1 != p->stream->replay.next)
		return;
	struct control_mail mail = {
		.type = MAIL_LEARN,
		.leg = p->leg->index,
		.serial = p->leg->serial,
		.learn = {.addr = p->source, .protocol = p->protocol},
	};
	control_mail_put(
		&worker->mailbox, &mail); // if the mailbox is full the next packet tries again
}

// Plain RTCP has no index. Beside media it is none of the packets that its stream counts.
static void plain_rtcp_count(struct packet *p)
{
	if (p->stream->protocol != SRTP_RTCP)
		return;
	counter_add(&p->stream->packets, 1);
	counter_add(&p->stream->octets, p->len);
	counter_set(&p->stream->leg, p->leg->index);
}

// Plain media leaves with the index that receivers take it for who know no more than that the first one had ROC 0. What
// came before the first has none.
static uint64_t plain_index(const struct packet *p)
{
	const uint64_t first = (uint64_t)SEQUENCE_FIRST_ROC << 16;
	return p->index >= first ? p->index - first : INDEX_BEFORE_FIRST;
}

// Plain media has the index that its stream gives it now: other packets of the burst may have moved that on.
static enum drop_reason packet_commit_plain(
	struct worker *worker, struct packet *p, struct packet *const before[], uint16_t n)
{
	struct stream *s = p->stream;
	enum sequence_verdict verdict = sequence_check(worker, s, p);
	if (verdict == SEQUENCE_DUPLICATE)
		return replay_reason(replay_check(&s->replay, p->index));
	if (verdict == SEQUENCE_STRAY ||
		(verdict == SEQUENCE_RESTART && !plain_stream_restart(worker, p, s, before, n))) {
		p->index = NO_INDEX; // forwarded in clear only
		return DROP_NONE;
	}
	if (verdict == SEQUENCE_AHEAD)
		stream_count_anew(s);
	sequence_commit(worker, s, p);
	stream_note(worker, p);
	p->index = plain_index(p);
	return DROP_NONE;
}

static enum drop_reason packet_commit_protected(struct worker *worker, struct packet *p)
{
	enum drop_reason reason = replay_reason(replay_commit(&p->stream->replay, p->index));
	if (reason != DROP_NONE)
		return reason;
	if (!atomic_load_explicit(&p->ctx->proven, memory_order_relaxed))
		atomic_store_explicit(&p->ctx->proven, 1, memory_order_relaxed);
	stream_note(worker, p);
	if (!p->leg->learn)
		return DROP_NONE;
	leg_learn(worker, p);
	return p->leg->receive ? DROP_NONE : DROP_LEG_MUTED;
}

// Before it, in its vector, came n others.
static enum drop_reason packet_commit_stream(
	struct worker *worker, struct packet *p, struct packet *const before[], uint16_t n)
{
	if (p->ctx)
		return packet_commit_protected(worker, p);
	if (p->protocol == SRTP_RTP)
		return packet_commit_plain(worker, p, before, n);
	plain_rtcp_count(p);
	return DROP_NONE;
}

uint16_t stage_commit(struct worker *worker, struct packet *packets[], uint16_t n)
{
	uint16_t out = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packets[i];
		enum drop_reason reason = DROP_NONE;
		if (p->decrypt && !p->stream)
			reason = stream_create_verified(worker, p);
		if (reason == DROP_NONE && p->stream && p->stream->worker != worker->id) {
			packet_give_up(worker, p);
			continue;
		}
		if (reason == DROP_NONE && p->stream)
			reason = packet_commit_stream(worker, p, packets, out);
		if (reason == DROP_NONE && !rate_take(worker, p))
			reason = DROP_RATE_LIMITED;
		if (reason != DROP_NONE) {
			worker_drop(worker, p, reason);
			continue;
		}
		if (packet_is_opaque(p))
			opaque_count(worker, p);
		struct leg_counters *counters = &worker->legs[p->leg->index];
		counter_add(&counters->rx_packets, 1);
		counter_add(&counters->rx_octets, p->len);
		counter_set(&counters->last_rx_tsc, worker->now);
		if (p->protocol == SRTP_RTCP && p->decrypt && !p->op.e_flag)
			counter_add(&counters->rx_unencrypted, 1);
		packets[out++] = p;
	}
	return out;
}
