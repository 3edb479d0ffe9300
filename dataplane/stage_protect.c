// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <string.h>

#include "dataplane/pipeline.h"
#include "dataplane/plain_stream.h"
#include "dataplane/rtcp_map.h"
#include "dataplane/stages.h"
#include "dataplane/worker.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

enum {
	PROTECT_JOBS = 64,
	SSRC_IDLE_SECONDS = 2,      // after which another sender may have an SSRC
	SRTCP_INDEX_MARGIN = 32768, // indices left when control is asked for more
};

struct protect_batch {
	uint16_t n;
	struct srtp_op *ops[PROTECT_JOBS]; // of the jobs
	struct protect_job jobs[PROTECT_JOBS];
};

// Inline, for the loop of batch_flush().
static inline void job_end(struct worker *worker, const struct leg *leg,
	const struct fanout *fanout, const struct protect_job *job)
{
	if (job->op.status != SRTP_OK) {
		worker_count_drop(worker, leg,
			job->op.status == SRTP_INDEX_LIMIT ? DROP_INDEX_LIMIT : DROP_CIPHER_FAIL);
		rte_pktmbuf_free(job->mbuf);
		return;
	}
	mbuf_cut(job->mbuf, job->op.len); // it was as long as the result can be
	stage_output(worker, leg, fanout, job->group, job->mbuf, true);
}

static void batch_flush(struct worker *worker, struct protect_batch *batch)
{
	srtp_protect_burst(worker->relay->cipher, batch->ops, batch->n);
	for (uint16_t i = 0; i < batch->n; i++) {
		struct protect_job *job = &batch->jobs[i];
		const struct packet *p = job->packet;
		job_end(worker, p->leg, p->fanout, job);
	}
	batch->n = 0;
}

// Whether a packet may go on in an outbound stream that another inbound stream began: the sender
// goes on under a new key with the SSRC it had, or the one before has been silent for long.
static bool stream_passes_on(
	const struct worker *worker, const struct packet *p, const struct stream *out)
{
	return (out->leg == p->leg->index && out->talker == p->talker) ||
	       worker->now - out->last_tsc > SSRC_IDLE_SECONDS * worker->tsc_hz;
}

// SRTP keeps the packet index that it came with. What is lost if two senders have one SSRC is only theirs.
static enum drop_reason rtp_index_claim(
	const struct worker *worker, struct packet *p, struct stream *out)
{
	uint32_t source = stream_index(&worker->relay->streams, p->stream);
	if (out->source != source && !stream_passes_on(worker, p, out))
		return DROP_SSRC_COLLISION;
	if (replay_commit(&out->replay, p->index) != REPLAY_NEW)
		return DROP_REPLAYED;
	out->source = source;
	out->leg = p->leg->index;
	out->talker = p->talker;
	p->claimed_index = p->index;
	return DROP_NONE;
}

// A sender who roamed and then got a new key comes through another worker than before: an outbound stream is used by
// whoever has it at the moment. Nobody waits for it.
static bool stream_try(struct stream *out)
{
	return !atomic_exchange_explicit(&out->in_use, true, memory_order_acquire);
}

static void stream_leave(struct stream *out)
{
	atomic_store_explicit(&out->in_use, false, memory_order_release);
}

// SRTCP is sent by the relay, whoever spoke: its index counts what was sent under the key.
static enum drop_reason rtcp_index_claim(struct worker *worker, struct packet *p, uint32_t space)
{
	struct relay *relay = worker->relay;
	_Atomic uint32_t *counter = &relay->keys.srtcp_next[space];
	uint32_t floor = atomic_load_explicit(&relay->srtcp_floor, memory_order_relaxed);
	uint32_t limit = atomic_load_explicit(&relay->srtcp_limit, memory_order_relaxed);
	uint32_t next = atomic_load_explicit(counter, memory_order_relaxed), index;
	do {
		index = next > floor ? next : floor;
		if (index >= limit)
			break;
	} while (!atomic_compare_exchange_weak_explicit(
		counter, &next, index + 1, memory_order_relaxed, memory_order_relaxed));
	if (index + SRTCP_INDEX_MARGIN > limit)
		atomic_store_explicit(&relay->srtcp_low, true, memory_order_relaxed);
	if (index >= limit)
		return DROP_INDEX_LIMIT;
	p->claimed_index = index;
	return DROP_NONE;
}

// The outbound stream of an SSRC under a key. RTCP that entered in plain does without if the leg has no spare
// token: its index needs no stream, only the detection of a client with that SSRC does, and one
// sender under the keys of a thousand clients must not take a thousand streams at once.
static ALWAYS_INLINE struct stream *outbound_stream(
	struct worker *worker, const struct packet *p, uint32_t ctx, uint32_t ssrc, const bool rtp)
{
	struct stream_table *streams = &worker->relay->streams;
	uint32_t space = worker->relay->keys.ctxs[ctx].space;
	// stage_route knows where that of the first group is.
	const _Atomic uint32_t *bucket = ctx == p->first_out && ssrc == p->ssrc
						 ? p->out_bucket
						 : stream_bucket(streams, space, ssrc);
	struct stream *found = stream_find_in(streams, bucket, space, ssrc);
	if (likely(found != NULL))
		return found;
	if (!rtp && !p->ctx && !leg_token_take_spare(worker, p->leg->index))
		return NULL;
	return stream_create(streams, &worker->relay->keys.streams[space], space, ssrc, worker->id,
		p->protocol, stream_index(streams, p->stream));
}

// Invariant 1 is kept here, for all that the relay encrypts: each index of an SSRC under a session
// key once. Compiled once for each protocol.
static ALWAYS_INLINE enum drop_reason index_claim(
	struct worker *worker, struct packet *p, uint32_t ctx, uint32_t ssrc, const bool rtp)
{
	struct stream *out = outbound_stream(worker, p, ctx, ssrc, rtp);
	if (!out && (rtp || p->ctx))
		return DROP_STREAM_LIMIT;
	if (out && out->source == STREAM_NONE)
		return DROP_SSRC_COLLISION; // a client has that SSRC under this key
	bool have = out && stream_try(out);
	if (!have && rtp)
		return DROP_STREAM_BUSY;
	enum drop_reason reason =
		rtp ? rtp_index_claim(worker, p, out)
		    : rtcp_index_claim(worker, p, worker->relay->keys.ctxs[ctx].space);
	if (!have)
		return reason; // SRTCP of one sender by two workers: the counter is for all
	out->fresh = !p->ctx;
	if (reason == DROP_NONE || out->last_tsc == 0)
		out->last_tsc = worker->now; // 0 is being born
	stream_leave(out);
	return reason;
}

static __rte_noinline enum drop_reason index_claim_rtcp(
	struct worker *worker, struct packet *p, uint32_t ctx, uint32_t ssrc)
{
	return index_claim(worker, p, ctx, ssrc, false);
}

// The packet's own clear buffer, which is the packet's no more. Nobody else needs it.
static struct rte_mbuf *packet_take_clear_buffer(struct packet *p)
{
	struct rte_mbuf *clear = p->clear;
	if (rte_pktmbuf_tailroom(clear) < SRTP_OVERHEAD_MAX)
		return NULL;
	mbuf_cut(clear, (uint16_t)(clear->data_len + SRTP_OVERHEAD_MAX));
	if (clear == p->mbuf)
		p->mbuf = NULL;
	p->clear = p->mbuf;
	return clear;
}

// A buffer with the packet to protect in place: the clear one, or what was made of it.
static struct rte_mbuf *job_buffer(struct worker *worker, struct packet *p)
{
	const struct rte_mbuf *source = p->translated ? p->translated : p->clear;
	uint16_t len = p->translated ? p->translated->data_len : p->clear_len;
	if (!p->translated && p->clear_uses == 1 && (p->clear != p->mbuf || !p->keep_original))
		return packet_take_clear_buffer(p);
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(worker->relay->pool);
	if (!mbuf)
		return NULL;
	uint8_t *data = (uint8_t *)rte_pktmbuf_append(mbuf, (uint16_t)(len + SRTP_OVERHEAD_MAX));
	if (!data) {
		rte_pktmbuf_free(mbuf);
		return NULL;
	}
	memcpy(data, rte_pktmbuf_mtod(source, const void *), len);
	return mbuf;
}

static void job_fill(struct worker *worker, struct protect_job *job, struct packet *p,
	const struct fanout_group *group, uint32_t ctx_index, uint32_t ssrc)
{
	struct key_ctx *ctx = &worker->relay->keys.ctxs[ctx_index];
	uint8_t *data = rte_pktmbuf_mtod(job->mbuf, uint8_t *);
	if (p->protocol == SRTP_RTP)
		srtp_write32(data + 8, ssrc);
	job->packet = p;
	job->group = group;
	// Member by member: see packet_fill_op().
	struct srtp_op *op = &job->op;
	op->key = ctx->key;
	op->salt = ctx->salt;
	op->src = data;
	op->dst = data;
	op->index = p->claimed_index;
	op->mki = ctx->by_mki.mki;
	op->len = p->translated ? p->translated->data_len : p->clear_len;
	op->head_len = p->head_len;
	op->suite = group->suite;
	op->protocol = p->protocol;
	op->mki_len = group->mki_len;
	op->append_roc =
		p->protocol == SRTP_RTP && srtp_carries_roc(group->roc_rate, rtp_seq(data));
	op->e_flag = p->protocol == SRTP_RTCP && (!p->ctx || p->op.e_flag);
	if (!atomic_load_explicit(&ctx->proven, memory_order_relaxed))
		atomic_store_explicit(&ctx->proven, 1, memory_order_relaxed);
}

// RTCP beside plain media is translated for the first group that gets it protected.
static enum drop_reason packet_translate(struct worker *worker, struct packet *p)
{
	enum drop_reason reason = (enum drop_reason)p->refused;
	if (!p->translated && reason == DROP_NONE)
		p->translated = rtcp_map_to_fresh(worker, p, &reason);
	p->refused = reason;
	return reason;
}

// The SSRC under which a packet that entered in plain leaves protected: it has no index to go with its
// own. RTCP has, because its index is the relay's in any case.
static __rte_noinline enum drop_reason plain_find_out_ssrc(
	struct worker *worker, struct packet *p, uint32_t *ssrc)
{
	if (p->protocol == SRTP_RTP) {
		*ssrc = plain_stream_fresh_ssrc(worker, p->stream);
		return *ssrc == 0 ? DROP_SSRC_POOL : DROP_NONE;
	}
	if (!leg_is_plain_media(p->leg))
		return DROP_NONE;
	enum drop_reason reason = packet_translate(worker, p);
	if (reason == DROP_NONE)
		*ssrc = rtcp_ssrc(rte_pktmbuf_mtod(p->translated, const uint8_t *));
	return reason;
}

// Whether the group's key is another one that the sender's leg may come under: that client protects
// under it, with the same SSRC and indices of his own.
static bool group_has_senders_key(const struct packet *p, const struct fanout_group *group)
{
	const struct leg_protection *in = p->in;
	for (unsigned i = 0; p->ctx && i < in->n_keys; i++)
		if (&in->keys[i] != p->key && in->keys[i].root == group->root &&
			in->keys[i].cs_id == group->cs_id && in->keys[i].suite == group->suite)
			return true;
	return false;
}

// Under the key context ctx.
static enum drop_reason packet_protect(struct worker *worker, struct packet *p,
	const struct fanout_group *group, uint32_t ctx, struct protect_batch *batch)
{
	bool rtp = p->protocol == SRTP_RTP;
	uint32_t ssrc = p->ssrc;
	enum drop_reason reason = DROP_NONE;
	if (ctx == KEY_NONE)
		return group->by_talker && p->talker == 0 ? DROP_UNKNOWN_TALKER : DROP_NO_KEY;
	if (ctx != p->ctx_index && group_has_senders_key(p, group))
		return DROP_SENDERS_KEY;
	if (p->in->mode == LEG_PLAIN)
		reason = plain_find_out_ssrc(worker, p, &ssrc);
	if (reason != DROP_NONE)
		return reason;
	// Under one key in another layout it is the same octets again: claimed once. Under its own key the packet
	// claimed its index when it came.
	uint32_t space = worker->relay->keys.ctxs[ctx].space;
	if (p->ctx && space == p->ctx->space)
		p->claimed_index = p->index;
	else if (space != p->claimed_space)
		reason = rtp ? index_claim(worker, p, ctx, ssrc, true)
			     : index_claim_rtcp(worker, p, ctx, ssrc);
	// The next packet draws another. RTCP does not: media goes on under the one that it has.
	if (reason == DROP_SSRC_COLLISION && !p->ctx && rtp)
		atomic_store_explicit(&p->stream->out_ssrc, 0, memory_order_relaxed);
	if (reason != DROP_NONE)
		return reason;
	p->claimed_space = space;
	struct protect_job *job = &batch->jobs[batch->n];
	job->mbuf = job_buffer(worker, p);
	if (!job->mbuf)
		return DROP_NO_BUFFER;
	job_fill(worker, job, p, group, ctx, ssrc);
	batch->ops[batch->n] = &job->op;
	if (++batch->n == PROTECT_JOBS)
		batch_flush(worker, batch);
	return DROP_NONE;
}

// What needs no cipher goes out at once; with a crypto device it goes after what is there already (later).
static ALWAYS_INLINE void packet_output(struct worker *worker, const struct packet *p,
	const struct fanout_group *group, struct rte_mbuf *mbuf, bool with_ownership,
	const bool later)
{
	const struct fanout *fanout = p->fanout;
	if (later)
		pipeline_put_payload(worker->pipeline, p->leg, fanout, group, mbuf, with_ownership);
	else
		stage_output(worker, p->leg, fanout, group, mbuf, with_ownership);
}

// RTCP beside media for plain legs: about the SSRCs that they know.
static ALWAYS_INLINE enum drop_reason packet_output_original(
	struct worker *worker, struct packet *p, const struct fanout_group *group, const bool later)
{
	enum drop_reason reason = DROP_NONE;
	struct rte_mbuf *mbuf = rtcp_map_to_original(worker, p, group, &reason);
	if (mbuf)
		packet_output(worker, p, group, mbuf, true, later);
	return reason;
}

// Whether nobody comes after a group. Self is no receiver.
static bool group_is_last(const struct packet *p, const struct fanout_group *group)
{
	const struct fanout *fanout = p->fanout;
	while (++group < fanout->groups + fanout->n_groups)
		if (group->only_leg != p->leg->index)
			return false;
	return true;
}

// Sends a buffer of the packet as it is: itself if nobody needs it any more, else copies of it.
static ALWAYS_INLINE void packet_output_own(struct worker *worker, struct packet *p,
	const struct fanout_group *group, struct rte_mbuf *mbuf, const bool later)
{
	bool last = group_is_last(p, group);
	if (last && p->clear == mbuf)
		p->clear = NULL;
	if (last && p->mbuf == mbuf)
		p->mbuf = NULL;
	packet_output(worker, p, group, mbuf, last, later);
}

// Compiled twice, so that nothing is asked for each packet.
static ALWAYS_INLINE enum drop_reason packet_serve_group(struct worker *worker, struct packet *p,
	const struct fanout_group *group, struct protect_batch *batch, const bool later)
{
	const uint8_t mode = p->in->mode;
	uint32_t ctx = packet_out_ctx(p, p->fanout, group);
	if (packet_passes(p, group, ctx)) {
		if (mode == LEG_PLAIN)
			return DROP_NO_CONVERSION;
		packet_output_own(worker, p, group, p->mbuf, later);
		return DROP_NONE;
	}
	if (mode == LEG_OPAQUE)
		return DROP_NO_CONVERSION;
	if (group->mode == LEG_SRTP)
		return packet_protect(worker, p, group, ctx, batch);
	if (p->protocol == SRTP_RTCP && mode == LEG_SRTP && !p->leg->control)
		return packet_output_original(worker, p, group, later);
	packet_output_own(worker, p, group, p->clear, later);
	return DROP_NONE;
}

static ALWAYS_INLINE void packet_begin(struct packet *p)
{
	p->claimed_space = UINT32_MAX;
	p->translated = NULL;
	p->refused = DROP_NONE;
}

// Serves the groups of receivers from first up to end; returns how many of them are not the sender alone.
static ALWAYS_INLINE unsigned packet_serve_groups(struct worker *worker, struct packet *p,
	unsigned first, unsigned end, struct protect_batch *batch, const bool later)
{
	const struct fanout *fanout = p->fanout;
	unsigned served = 0;
	for (unsigned i = first; i < end; i++) {
		const struct fanout_group *group = &fanout->groups[i];
		if (group->only_leg == p->leg->index)
			continue;
		enum drop_reason reason = packet_serve_group(worker, p, group, batch, later);
		if (reason != DROP_NONE)
			worker_count_drop(worker, p->leg, reason);
		served++;
	}
	return served;
}

static ALWAYS_INLINE void packet_end(struct worker *worker, struct packet *p, unsigned served)
{
	if (served == 0)
		worker_count_drop(worker, p->leg, DROP_NO_RECEIVER);
	buffer_free(p->translated);
}

static void packet_serve(struct worker *worker, struct packet *p, struct protect_batch *batch)
{
	packet_begin(p);
	packet_end(worker, p, packet_serve_groups(worker, p, 0, p->fanout->n_groups, batch, false));
}

bool stage_protect_some(
	struct worker *worker, struct packet *p, struct protect_progress *progress, uint16_t room)
{
	struct protect_batch batch;
	unsigned n_groups = p->fanout->n_groups, first = progress->next_group;
	if (!progress->begun)
		packet_begin(p);
	progress->begun = true;
	// A group is at most one of either, and the batch must not become full: it would be flushed.
	unsigned end = first + RTE_MIN(room, PROTECT_JOBS - 1U);
	end = RTE_MIN(end, n_groups);
	batch.n = 0;
	progress->served += packet_serve_groups(worker, p, first, end, &batch, true);
	for (uint16_t i = 0; i < batch.n; i++)
		pipeline_put_job(worker->pipeline, &batch.jobs[i]);
	progress->next_group = end;
	if (end < n_groups)
		return false;
	packet_end(worker, p, progress->served);
	packet_free(p);
	return true;
}

void stage_protect_after(struct worker *worker, const struct leg *leg, const struct fanout *fanout,
	const struct protect_job *job)
{
	job_end(worker, leg, fanout, job);
}

void stage_protect(struct worker *worker, struct packet *packets[], uint16_t n)
{
	struct protect_batch batch;
	batch.n = 0;
	for (uint16_t i = 0; i < n; i++)
		packet_serve(worker, packets[i], &batch);
	batch_flush(worker, &batch);
	for (uint16_t i = 0; i < n; i++)
		packet_free(packets[i]);
}
