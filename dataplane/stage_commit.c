// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "base/counter.h"
#include "crypto/packet_index.h"
#include "dataplane/opaque.h"
#include "dataplane/stages.h"
#include "dataplane/stream_count.h"
#include "dataplane/tokens.h"
#include "dataplane/worker_state.h"

// The stream of an authentic packet whose SSRC was new when the burst began. Another packet of the
// burst, or another worker, may have given birth to it since.
static enum drop_reason stream_create_verified(struct worker *worker, struct packet *p)
{
	p->stream =
		stream_create(&worker->relay->streams, &worker->relay->keys.streams[p->ctx->space],
			p->ctx->space, p->ssrc, worker->id, p->protocol, STREAM_NONE);
	if (!p->stream)
		return DROP_STREAM_LIMIT;
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

// A plain sender that began anew under its old SSRC: two packets in sequence, far behind the last
// one (RFC 3550 A.1). It becomes a new stream with a fresh SSRC, so that no packet index is used
// twice.
static bool plain_sender_restarted(
	struct worker *worker, const struct leg *leg, struct stream *s, uint16_t seq)
{
	// A fresh SSRC is worth a token: no sender may use them up.
	if (s->bad_seq_set && s->bad_seq == seq && leg_token_take(worker, leg->index)) {
		s->replay = (struct replay_list){};
		atomic_store_explicit(&s->out_ssrc, 0, memory_order_relaxed);
		s->bad_seq_set = false;
		stream_count_anew(s);
		return true;
	}
	s->bad_seq = (uint16_t)(seq + 1);
	s->bad_seq_set = true;
	return false;
}

static enum drop_reason packet_commit_replay(struct worker *worker, struct packet *p)
{
	struct stream *s = p->stream;
	// Nothing hangs on a plain packet's index yet: other packets of the burst may have moved
	// the stream on.
	if (!p->ctx)
		p->index = packet_index_estimate(s->replay.next, rtp_seq(p->data));
	enum replay_verdict verdict = replay_commit(&s->replay, p->index);
	if (verdict == REPLAY_OLD && !p->ctx &&
		plain_sender_restarted(worker, p->leg, s, rtp_seq(p->data))) {
		p->index = rtp_seq(p->data);
		verdict = replay_commit(&s->replay, p->index);
	}
	if (verdict == REPLAY_NEW)
		return DROP_NONE;
	return verdict == REPLAY_SEEN ? DROP_REPLAYED : DROP_TOO_OLD;
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
	if (s->leg != p->leg->index)
		s->reported = false;
	stream_count(worker, s, p);
	if (unlikely(!s->reported) && p->ctx) // plain ones are found by their leg
		stream_report(worker, p->leg, s);
}

// The remote address follows the newest authentic packet (control decides and publishes).
static void leg_learn(struct worker *worker, const struct packet *p)
{
	if (!p->leg->learn || endpoint_equal(&p->leg->remote, &p->source) ||
		p->index + 1 != p->stream->replay.next)
		return;
	struct control_mail mail = {
		.type = MAIL_LEARN,
		.leg = p->leg->index,
		.serial = p->leg->serial,
		.addr = p->source,
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

static enum drop_reason packet_commit_stream(struct worker *worker, struct packet *p)
{
	if (!p->ctx && p->protocol == SRTP_RTCP) {
		plain_rtcp_count(p);
		return DROP_NONE;
	}
	enum drop_reason reason = packet_commit_replay(worker, p);
	if (reason != DROP_NONE)
		return reason;
	if (p->ctx && !atomic_load_explicit(&p->ctx->proven, memory_order_relaxed))
		atomic_store_explicit(&p->ctx->proven, 1, memory_order_relaxed);
	stream_note(worker, p);
	if (p->decrypt)
		leg_learn(worker, p);
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
			reason = packet_commit_stream(worker, p);
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
		packets[out++] = p;
	}
	return out;
}
