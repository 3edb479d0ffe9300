// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <string.h>

#include "base/counter.h"
#include "dataplane/plain_stream.h"
#include "dataplane/ssrc_map.h"
#include "dataplane/stages.h"
#include "dataplane/stream_share.h"
#include "dataplane/tokens.h"
#include "dataplane/worker_state.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

enum { SSRC_IDLE_SECONDS = 2 }; // after which another sender may have an SSRC

static bool stream_is_of_sender(const struct stream *out, const struct packet *p)
{
	return out->leg == p->leg->index && out->talker == p->talker;
}

// Whether a packet may continue an outbound stream that another inbound stream began: the sender
// continues under a new key with its SSRC, or the previous one has been silent for long.
static bool stream_may_take_over(
	const struct worker *worker, const struct packet *p, const struct stream *out)
{
	return stream_is_of_sender(out, p) ||
	       worker->now - counter_read(&out->last_tsc) > SSRC_IDLE_SECONDS * worker->tsc_hz;
}

// Whether a packet comes late under a key before that of others of its sender: one of the leg that was activated later.
static bool packet_is_late(const struct packet *p, const struct stream *out)
{
	if (!p->key || !stream_is_of_sender(out, p))
		return false;
	for (const struct leg_key *key = p->in->keys; key != p->key; key++)
		if (key->serial == out->key_serial)
			return true;
	return false;
}

// SRTP keeps the packet index that it came with. What is lost if two senders have one SSRC is only theirs. A packet is
// new among those of its own key: if its index was used, that was by the sender's count under another.
static enum drop_reason rtp_index_claim(const struct worker *worker, const struct packet *p,
	struct protect_state *state, struct stream *out)
{
	uint32_t source = stream_index(&worker->relay->streams, p->stream);
	if (out->source != source && !stream_may_take_over(worker, p, out))
		return DROP_SSRC_COLLISION;
	bool late = packet_is_late(p, out);
	if (replay_commit(&out->replay, p->index) != REPLAY_NEW)
		return late || !p->ctx ? DROP_REPLAYED : DROP_INDEX_USED;
	counter_set(&out->source, source);
	if (!late)
		out->key_serial = p->key ? p->key->serial : 0;
	out->talker = p->talker;
	state->claimed_index = p->index;
	return DROP_NONE;
}

// A sender who roamed and then got a new key may arrive at another worker than before: the outbound
// stream is used by the worker that holds its lock. None waits for it.
static bool stream_trylock(struct stream *out)
{
	return !atomic_exchange_explicit(&out->in_use, true, memory_order_acquire);
}

static void stream_unlock(struct stream *out)
{
	atomic_store_explicit(&out->in_use, false, memory_order_release);
}

// SRTCP is sent by the relay, for whichever sender: its index counts what was sent under the key.
static enum drop_reason rtcp_index_claim(
	struct worker *worker, struct protect_state *state, uint32_t space)
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
	if (index >= atomic_load_explicit(&relay->srtcp_near, memory_order_relaxed))
		atomic_store_explicit(&relay->srtcp_low, true, memory_order_relaxed);
	if (index >= limit)
		return DROP_INDEX_LIMIT;
	state->claimed_index = index;
	return DROP_NONE;
}

// The outbound stream of an SSRC under a key. RTCP does without if its leg has no spare token: its index needs no
// stream, only the detection of a client with that SSRC does, and one sender under the keys of a thousand clients must
// not take a thousand streams at once.
static ALWAYS_INLINE struct stream *outbound_stream(
	struct worker *worker, const struct packet *p, uint32_t ctx, uint32_t ssrc, const bool rtp)
{
	struct stream_table *streams = &worker->relay->streams;
	uint32_t space = worker->relay->keys.ctxs[ctx].space;
	// stage_route has found that of the first variant.
	const _Atomic uint32_t *bucket = ctx == p->first_out && ssrc == p->ssrc
						 ? p->out_bucket
						 : stream_bucket(streams, space, ssrc);
	struct stream *found = stream_find_in(streams, bucket, space, ssrc);
	if (likely(found))
		return found;
	if (!rtp && !(p->ctx ? packet_token_take_spare(worker, p, TOKEN_BIRTH)
			     : leg_token_take_spare(worker, p->leg->index)))
		return stream_of_client_at_rest(streams, space, ssrc);
	if (rtp && !stream_admit_outbound(worker, p, space))
		return NULL;
	struct stream *born = stream_create(streams, &worker->relay->keys.streams[space], space,
		ssrc, worker->id, p->protocol, stream_index(streams, p->stream));
	return born || rtp ? born : stream_of_client_at_rest(streams, space, ssrc);
}

// Invariant 1 is kept here, for all that the relay encrypts: each index of an SSRC under a session
// key once. Compiled once for each protocol.
static ALWAYS_INLINE enum drop_reason index_claim(struct worker *worker, const struct packet *p,
	struct protect_state *state, uint32_t ctx, uint32_t ssrc, const bool rtp)
{
	struct stream *out = outbound_stream(worker, p, ctx, ssrc, rtp);
	if (!out && rtp)
		return stream_is_closing(
			       &worker->relay->streams, worker->relay->keys.ctxs[ctx].space, ssrc)
			       ? DROP_STREAM_BUSY
			       : DROP_STREAM_LIMIT;
	if (out && out->source == STREAM_NONE)
		return DROP_SSRC_COLLISION; // a client has that SSRC under this key
	bool have = out && stream_trylock(out);
	if (!have && rtp)
		return DROP_STREAM_BUSY;
	enum drop_reason reason =
		rtp ? rtp_index_claim(worker, p, state, out)
		    : rtcp_index_claim(worker, state, worker->relay->keys.ctxs[ctx].space);
	if (!have)
		return reason; // SRTCP of one sender by two workers: the counter is for all
	counter_set(&out->fresh, !p->ctx);
	if (reason == DROP_NONE) {
		counter_set(&out->leg, p->leg->index);
		counter_set(&out->leg_serial, p->leg->serial);
	}
	if (reason == DROP_NONE || counter_read(&out->last_tsc) == 0)
		counter_set(&out->last_tsc, worker->now); // 0: being created
	stream_unlock(out);
	return reason;
}

static __rte_noinline enum drop_reason index_claim_rtcp(struct worker *worker,
	const struct packet *p, struct protect_state *state, uint32_t ctx, uint32_t ssrc)
{
	return index_claim(worker, p, state, ctx, ssrc, false);
}

// Takes the packet's own plaintext buffer. Nothing else needs it.
static struct rte_mbuf *packet_take_plaintext_buffer(struct packet *p)
{
	struct rte_mbuf *plaintext = p->plaintext;
	if (rte_pktmbuf_tailroom(plaintext) < SRTP_OVERHEAD_MAX)
		return NULL;
	mbuf_cut(plaintext, (uint16_t)(plaintext->data_len + SRTP_OVERHEAD_MAX));
	if (plaintext == p->mbuf)
		p->mbuf = NULL;
	p->plaintext = p->mbuf;
	return plaintext;
}

// A buffer with the packet to protect in place: the plaintext, or what was made of it.
static struct rte_mbuf *job_buffer(
	struct worker *worker, struct packet *p, const struct rte_mbuf *translated)
{
	const struct rte_mbuf *source = translated ? translated : p->plaintext;
	uint16_t len = translated ? translated->data_len : p->plaintext_len;
	if (!translated && p->n_plaintext_users == 1 &&
		(p->plaintext != p->mbuf || !p->keep_original))
		return packet_take_plaintext_buffer(p);
	// Only the one user of a plaintext takes its buffer away, so there is a source.
	struct rte_mbuf *mbuf = source ? rte_pktmbuf_alloc(worker->relay->pool) : NULL;
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

// What differs from one variant of a packet to the next.
struct protect_how {
	uint64_t index;
	uint32_t ssrc;
	bool encrypt; // SRTCP
};

static void job_fill_op(struct worker *worker, struct output_job *job, const struct packet *p,
	const struct protect_state *state, const struct protect_how *how)
{
	struct key_ctx *ctx = &worker->relay->keys.ctxs[job->ctx];
	const struct fanout_key *layout = packet_layout(p, job->variant, job->ctx);
	uint8_t *data = rte_pktmbuf_mtod(job->mbuf, uint8_t *);
	if (p->protocol == SRTP_RTP)
		srtp_write32(data + 8, how->ssrc);
	// Member by member: see packet_fill_op().
	struct srtp_op *op = &job->op;
	op->key = ctx->key;
	op->salt = ctx->salt;
	op->src = data;
	op->dst = data;
	op->index = how->index;
	op->mki = ctx->by_mki.mki;
	op->len = state->translated ? state->translated->data_len : p->plaintext_len;
	op->head_len = p->head_len;
	op->suite = layout->suite;
	op->protocol = p->protocol;
	op->mki_len = layout->mki_len;
	op->append_roc =
		p->protocol == SRTP_RTP && srtp_carries_roc(layout->roc_rate, rtp_seq(data));
	op->e_flag = p->protocol == SRTP_RTCP && how->encrypt;
	if (!atomic_load_explicit(&ctx->proven, memory_order_relaxed))
		atomic_store_explicit(&ctx->proven, 1, memory_order_relaxed);
}

// What names others in a plain packet is translated once, for the first variant that gets it protected: all that
// encrypt it under one index must have the same octets.
static enum drop_reason packet_translate(
	struct worker *worker, const struct packet *p, struct protect_state *state)
{
	if (!state->translated && state->untranslated == DROP_NONE)
		state->translated = ssrc_map_to_fresh(worker, p, &state->untranslated);
	return state->untranslated;
}

// The SSRC under which a packet that entered in plain leaves protected: it has no index to go with its
// own. RTCP has, because its index is the relay's in any case.
static __rte_noinline enum drop_reason plain_find_out_ssrc(
	struct worker *worker, const struct packet *p, struct protect_state *state, uint32_t *ssrc)
{
	if (p->protocol == SRTP_RTP) {
		if (p->index >= INDEX_BEFORE_FIRST)
			return p->index == NO_INDEX ? DROP_TOO_OLD : DROP_MISORDERED;
		*ssrc = p->ssrc_before ? p->ssrc_before
				       : plain_stream_fresh_ssrc(worker, p->stream);
		if (*ssrc == 0)
			return DROP_SSRC_POOL;
		return packet_names_others(p) ? packet_translate(worker, p, state) : DROP_NONE;
	}
	if (!leg_is_plain_media(p->leg))
		return DROP_NONE;
	enum drop_reason reason = packet_translate(worker, p, state);
	if (reason == DROP_NONE)
		*ssrc = rtcp_ssrc(rte_pktmbuf_mtod(state->translated, const uint8_t *));
	return reason;
}

// Whether the variant's key is another one that is accepted from the sender's leg: that client
// protects under it itself, with the same SSRC and its own indices.
static bool variant_has_senders_key(const struct packet *p, const struct fanout_variant *variant)
{
	const struct leg_protection *in = p->in;
	for (unsigned i = 0; p->ctx && i < in->n_keys; i++)
		if (&in->keys[i] != p->key && in->keys[i].root == variant->key.root &&
			in->keys[i].cs_id == variant->cs_id &&
			in->keys[i].suite == variant->key.suite)
			return true;
	return false;
}

// The SSRC under which a sender's packets leave: their own, or a fresh one since they met indices that the sender had used
// under the receivers' key.
static inline uint32_t protected_out_ssrc(const struct packet *p)
{
	uint32_t fresh = p->protocol == SRTP_RTP
				 ? atomic_load_explicit(&p->stream->out_ssrc, memory_order_relaxed)
				 : 0;
	return unlikely(fresh != 0) ? fresh : p->ssrc;
}

// A sender that counts anew with a new key goes on under a fresh SSRC. That is worth a token: no sender may use up the
// SSRCs.
static __rte_noinline enum drop_reason index_claim_fresh(struct worker *worker,
	const struct packet *p, struct protect_state *state, uint32_t ctx, uint32_t *ssrc)
{
	if (!leg_token_take(worker, p->leg->index))
		return DROP_INDEX_USED;
	*ssrc = plain_stream_fresh_ssrc(worker, p->stream);
	return *ssrc == 0 ? DROP_SSRC_POOL : index_claim(worker, p, state, ctx, *ssrc, true);
}

// What is known of a job before its octets are.
static inline void job_begin(
	struct output_job *job, const struct packet *p, const struct fanout_variant *variant)
{
	job->leg = p->leg;
	job->variant = variant;
	job->ctx = KEY_NONE;
	job->shared = false;
}

// Makes the job to protect the packet under the key context job->ctx.
static enum drop_reason packet_protect(struct worker *worker, struct packet *p,
	struct protect_state *state, struct output_job *job)
{
	bool rtp = p->protocol == SRTP_RTP;
	uint32_t ctx = job->ctx, ssrc = p->ssrc;
	enum drop_reason reason = DROP_NONE;
	if (ctx == KEY_NONE)
		return job->variant->by_talker
			       ? (enum drop_reason)p->refused[job->variant - p->fanout->variants]
			       : DROP_NO_KEY;
	if (ctx != p->ctx_index && variant_has_senders_key(p, job->variant))
		return DROP_SENDERS_KEY;
	if (p->in->mode == LEG_PLAIN)
		reason = plain_find_out_ssrc(worker, p, state, &ssrc);
	else
		ssrc = protected_out_ssrc(p);
	if (reason != DROP_NONE)
		return reason;
	// Under its own key the packet claimed its index when it came, with the E bit that it has. Under another one in
	// another layout it is the same octets again: claimed once.
	uint32_t space = worker->relay->keys.ctxs[ctx].space;
	bool own = p->ctx && space == p->ctx->space;
	bool encrypt = own ? p->op.e_flag : job->variant->encrypt;
	if (own)
		ssrc = p->ssrc;
	else if (space != state->claimed_space || (!rtp && encrypt != state->claimed_encrypt))
		reason = rtp ? index_claim(worker, p, state, ctx, ssrc, true)
			     : index_claim_rtcp(worker, p, state, ctx, ssrc);
	if (reason == DROP_INDEX_USED)
		reason = index_claim_fresh(worker, p, state, ctx, &ssrc);
	// The next packet draws another. RTCP does not: media continues under the present one.
	if (reason == DROP_SSRC_COLLISION && rtp && ssrc != p->ssrc)
		atomic_store_explicit(&p->stream->out_ssrc, 0, memory_order_relaxed);
	if (reason != DROP_NONE)
		return reason;
	if (!own) {
		state->claimed_space = space;
		state->claimed_encrypt = encrypt;
	}
	job->mbuf = job_buffer(worker, p, state->translated);
	if (!job->mbuf)
		return DROP_NO_BUFFER;
	struct protect_how how = {own ? p->index : state->claimed_index, ssrc, encrypt};
	job_fill_op(worker, job, p, state, &how);
	return DROP_NONE;
}

// RTCP beside media, and contributing sources, for plain legs: under the SSRCs of their side.
static enum drop_reason packet_output_original(
	struct worker *worker, const struct packet *p, struct output_job *job)
{
	enum drop_reason reason = DROP_NONE;
	job->mbuf = ssrc_map_to_original(worker, p, job->variant, &reason);
	return reason;
}

// Whether no receiver follows. Self is not counted.
static bool walk_is_at_end(const struct packet *p, struct fanout_walk walk)
{
	const struct fanout_variant *variant;
	while ((variant = fanout_walk_next(&walk)) != NULL)
		if (variant->only_leg != p->leg->index)
			return false;
	return true;
}

// Sends a buffer of the packet unchanged: itself if it is not needed any more, else copies of it.
static enum drop_reason packet_output_own(struct packet *p, struct rte_mbuf *mbuf,
	struct output_job *job, const struct fanout_walk *walk)
{
	job->mbuf = mbuf;
	if (!walk_is_at_end(p, *walk)) {
		job->shared = true;
		rte_mbuf_refcnt_update(mbuf, 1);
		return DROP_NONE;
	}
	if (p->plaintext == mbuf)
		p->plaintext = NULL;
	if (p->mbuf == mbuf)
		p->mbuf = NULL;
	return DROP_NONE;
}

// Makes a job of the packet for the variant that was given to job_begin(). walk: behind it.
static inline enum drop_reason packet_serve_variant(struct worker *worker, struct packet *p,
	struct protect_state *state, struct output_job *job, const struct fanout_walk *walk)
{
	const struct fanout_variant *variant = job->variant;
	const uint8_t mode = p->in->mode;
	uint32_t ctx = packet_out_ctx(p, variant);
	if (packet_forwards_verbatim(p, variant, ctx))
		return mode == LEG_PLAIN ? DROP_NO_CONVERSION
					 : packet_output_own(p, p->mbuf, job, walk);
	if (mode == LEG_OPAQUE)
		return DROP_NO_CONVERSION;
	if (variant->mode == LEG_SRTP) {
		job->ctx = ctx;
		return packet_protect(worker, p, state, job);
	}
	if (mode == LEG_SRTP && packet_names_others(p) && !p->leg->control)
		return packet_output_original(worker, p, job);
	return packet_output_own(p, p->plaintext, job, walk);
}

static inline void packet_end(
	struct worker *worker, struct packet *p, struct protect_state *state, uint32_t n_served)
{
	if (n_served == 0)
		worker_count_drop(worker, p->leg, DROP_NO_RECEIVER);
	buffer_free(state->translated);
	packet_free(p);
	*state = protect_state_none;
}

// Serves the variants of receivers until one has no room. True if the packet has ended. n: jobs in the list.
static inline bool packet_serve(struct worker *worker, struct packet *p,
	struct protect_state *state, const struct output_list *list, uint16_t *n)
{
	struct fanout_walk walk = state->walk.next ? state->walk : fanout_walk_begin(p->fanout);
	const struct fanout_variant *variant;
	uint32_t n_served = state->n_served;
	while ((variant = fanout_walk_next(&walk)) != NULL) {
		if (variant->only_leg == p->leg->index)
			continue;
		if (*n == list->room) {
			walk.next--;
			state->walk = walk;
			state->n_served = n_served;
			return false;
		}
		struct output_job *job = &list->jobs[*n];
		job_begin(job, p, variant);
		enum drop_reason reason = packet_serve_variant(worker, p, state, job, &walk);
		if (reason == DROP_NONE)
			(*n)++;
		else
			worker_count_drop(worker, p->leg, reason);
		n_served++;
	}
	packet_end(worker, p, state, n_served);
	return true;
}

uint16_t stage_protect(struct worker *worker, struct packet *packets[], uint16_t n,
	struct protect_state *state, struct output_list *list)
{
	uint16_t ended = 0, n_jobs = list->n;
	while (ended < n && packet_serve(worker, packets[ended], state, list, &n_jobs))
		ended++;
	list->n = n_jobs;
	return ended;
}

void protect_state_free(struct protect_state *state)
{
	buffer_free(state->translated);
	*state = protect_state_none;
}
