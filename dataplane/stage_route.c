// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/burst.h"
#include "dataplane/hold.h"
#include "dataplane/prefetch.h"
#include "dataplane/stages.h"
#include "dataplane/worker_state.h"

// The talker: the user whose GUK-ID is in the packet's MKI, or the one stated for the leg. A leg's
// user does not stand for another user whose media comes over it.
static uint32_t packet_talker(const struct packet *p)
{
	if (p->ctx && p->key->is_gmk && p->key->own_mki != p->ctx->by_mki.mki)
		return (uint32_t)p->ctx->by_talker.mki;
	return p->in->user;
}

#define TALKER_VARIANT_NONE UINT32_MAX

// The first variant from i on whose context has to be looked up, and its name; those before it have
// none, or the packet stays under its own key. TALKER_VARIANT_NONE: no further one.
static inline uint32_t talker_variant_next(struct packet *p, unsigned i, struct key_name *name)
{
	const struct fanout *fanout = p->fanout;
	bool known = p->talker != 0 && p->in->mode != LEG_OPAQUE;
	for (; i < fanout->n_talker_variants; i++) {
		const struct fanout_variant *variant = &fanout->variants[i];
		p->out_ctx[i] = KEY_NONE;
		p->refused[i] = DROP_UNKNOWN_TALKER;
		if (variant->only_leg == p->leg->index)
			continue;
		if (packet_keeps_key(p, variant)) {
			p->out_ctx[i] = p->ctx_index;
		} else if (known) {
			*name = key_name_make(KEY_BY_TALKER,
				key_name_mki(variant->key.root, p->talker), 0, variant->cs_id,
				p->protocol, variant->key.suite);
			return i;
		}
	}
	return TALKER_VARIANT_NONE;
}

// A context of a packet's talker to look up.
struct talker_lookup {
	struct key_lookup key;
	uint32_t variant; // or TALKER_VARIANT_NONE
};

// Where the packet ends if a context of its talker has to be derived first: it is held, and dropped if it cannot be though
// others wait for the same, which it must not overtake. DROP_NONE if it ended, else why the variant gets no copy.
static enum drop_reason packet_wait(
	struct worker *worker, struct packet *p, const struct key_name *name)
{
	enum drop_reason reason = hold_packet(worker, p, name);
	if (reason == DROP_NONE || !hold_has(worker, name))
		return reason;
	worker_drop(worker, p, reason);
	return DROP_NONE;
}

// Finds all contexts of the talker, from that of the first variant on. False if the packet ended because one has to be
// derived first. A variant whose context cannot be had gets no copy, and keeps the others from nothing.
static inline bool packet_find_contexts(struct worker *worker, const struct burst_origin *origin,
	struct packet *p, struct talker_lookup *lookup)
{
	const struct key_table *keys = &worker->relay->keys;
	const struct key_name *name = &lookup->key.name;
	// Variants are requested in order: all up to the one that was refused just now have been.
	enum drop_reason refused = origin->refused;
	while (lookup->variant != TALKER_VARIANT_NONE) {
		uint32_t ctx = key_lookup_find(keys, &lookup->key);
		if (ctx == KEY_NONE || (origin->source != BURST_HELD && hold_waits(worker, name))) {
			enum drop_reason reason =
				refused != DROP_NONE ? refused : packet_wait(worker, p, name);
			if (reason == DROP_NONE)
				return false;
			p->refused[lookup->variant] = (uint8_t)reason;
			if (key_name_equal(name, &origin->name))
				refused = DROP_NONE;
		}
		p->out_ctx[lookup->variant] = ctx;
		lookup->variant = talker_variant_next(p, lookup->variant + 1, &lookup->key.name);
		if (lookup->variant == TALKER_VARIANT_NONE)
			break;
		lookup->key.hash = key_name_hash(keys, name);
		lookup->key.likely = KEY_NONE;
	}
	return true;
}

// What the receivers need of the packet: the octets as they came, the plaintext, or both; and the
// context that prefetch.c prefetches.
static inline void packet_plan(struct packet *p)
{
	struct fanout_walk walk = fanout_walk_begin(p->fanout);
	const struct fanout_variant *variant;
	const uint32_t self = p->leg->index;
	unsigned n_plaintext_users = 0;
	uint32_t first_out = KEY_NONE;
	bool keep_original = false;
	while ((variant = fanout_walk_next(&walk)) != NULL) {
		if (variant->only_leg == self)
			continue;
		uint32_t out = packet_out_ctx(p, variant);
		if (packet_forwards_verbatim(p, variant, out)) {
			keep_original = true;
			continue;
		}
		n_plaintext_users++;
		if (first_out == KEY_NONE && variant->mode == LEG_SRTP)
			first_out = out;
	}
	p->keep_original = keep_original;
	p->n_plaintext_users = (uint8_t)RTE_MIN(n_plaintext_users, (unsigned)UINT8_MAX);
	p->first_out = first_out;
	p->decrypt = p->ctx && (p->in->verify || n_plaintext_users > 0);
}

// Prefetches what the look-ups of a burst read: the buckets of the talkers' names, then the
// contexts. Of the first variant that has to be looked up; few legs have more.
static inline void burst_prefetch_contexts(const struct key_table *keys, struct packet *packets[],
	uint16_t n, struct talker_lookup lookups[])
{
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packets[i];
		p->talker = packet_talker(p);
		lookups[i].variant = talker_variant_next(p, 0, &lookups[i].key.name);
		if (lookups[i].variant != TALKER_VARIANT_NONE)
			key_lookup_hash(keys, &lookups[i].key);
	}
	for (uint16_t i = 0; i < n; i++)
		if (lookups[i].variant != TALKER_VARIANT_NONE)
			key_lookup_prefetch(keys, &lookups[i].key);
}

uint16_t stage_route(struct worker *worker, const struct burst_origin *origin,
	struct packet *packets[], uint16_t n)
{
	struct talker_lookup lookups[WORKER_BURST];
	burst_prefetch_contexts(&worker->relay->keys, packets, n, lookups);
	prefetch_inbound_streams(worker->relay, packets, n);
	uint16_t out = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packets[i];
		if (!packet_find_contexts(worker, origin, p, &lookups[i]))
			continue;
		packet_plan(p);
		if (p->first_out != KEY_NONE)
			p->out_bucket = stream_bucket(&worker->relay->streams,
				worker->relay->keys.ctxs[p->first_out].space, p->ssrc);
		packets[out++] = p;
	}
	return out;
}
