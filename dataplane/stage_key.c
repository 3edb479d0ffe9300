// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/burst.h"
#include "dataplane/hold.h"
#include "dataplane/stages.h"
#include "dataplane/worker_state.h"

// Reads the trailer in one layout; true if its MKI is one of the key. There is no length of
// the MKI on the wire, nor a mark that a ROC follows (RFC 3711 3.1, RFC 4771 2).
static inline bool trailer_matches(
	struct packet *p, const struct leg_key *key, uint8_t mki_len, bool has_roc)
{
	if (!srtp_trailer_read(p->data, p->len, key->suite, p->protocol, p->head_len, mki_len,
		    has_roc, &p->trailer))
		return false;
	return mki_len > 0 ? p->trailer.mki >> 32 == key->id : key->own_mki != 0;
}

// What a peer with another idea of the profile's layout would send: the ROC there or not (RFC 4771
// 2.1), a GMK's MKI of 8 or of 4 octets (TS 33.180 7.5.1).
static __attribute__((noinline)) bool trailer_matches_another(
	struct packet *p, const struct leg_key *key, bool roc)
{
	if (key->mki_len == 0)
		return false;
	bool other_roc = p->protocol == SRTP_RTP && !roc;
	if (other_roc != roc && trailer_matches(p, key, key->mki_len, other_roc))
		return true;
	if (!key->is_gmk)
		return false;
	uint8_t other_len = key->mki_len == 8 ? 4 : 8;
	return trailer_matches(p, key, other_len, roc) ||
	       (other_roc != roc && trailer_matches(p, key, other_len, other_roc));
}

// The layout of the profile first.
static inline bool trailer_find(struct packet *p, const struct leg_key *key)
{
	bool roc = p->protocol == SRTP_RTP && srtp_carries_roc(key->roc_rate, rtp_seq(p->data));
	return trailer_matches(p, key, key->mki_len, roc) || trailer_matches_another(p, key, roc);
}

// Which of the leg's keys the packet's MKI names. NULL: none.
static inline const struct leg_key *packet_find_key(
	struct packet *p, const struct leg_protection *in)
{
	for (unsigned i = 0; i < in->n_keys; i++)
		if (trailer_find(p, &in->keys[i]))
			return &in->keys[i];
	return NULL;
}

// Shorter than any packet under that key.
static bool packet_is_short(const struct packet *p, const struct leg_key *key)
{
	return p->len < p->head_len + srtp_overhead_min(key->suite, p->protocol) + key->mki_len;
}

static inline bool packet_needs_key(const struct packet *p)
{
	return p->in->named_key && (p->in->mode == LEG_SRTP || p->in->verify);
}

static inline void packet_has_no_key(struct packet *p)
{
	p->key = NULL;
	p->ctx = NULL;
	p->ctx_index = KEY_NONE;
	p->trailer = (struct srtp_trailer){.body = p->len};
}

// Under which name its key context is to be found.
static inline enum drop_reason packet_name_key(struct packet *p, struct key_name *name)
{
	const struct leg_protection *in = p->in;
	if (!in->keys)
		return DROP_NO_KEY;
	const struct leg_key *key = packet_find_key(p, in);
	if (!key)
		return packet_is_short(p, &in->keys[0]) ? DROP_SRTP_SHORT : DROP_UNKNOWN_MKI;
	uint64_t mki = p->trailer.mki;
	if (p->trailer.mki_len == 0 || (p->trailer.mki_len == 4 && key->is_gmk))
		mki = key->own_mki; // the packet does not tell the talker, the leg may
	if (mki == 0)
		return DROP_UNKNOWN_USER;
	p->key = key;
	*name = key_name_make(KEY_BY_MKI, mki, key->scope, key->cs_id, p->protocol, key->suite);
	return DROP_NONE;
}

// A name without context: that of a GMK's user is derived now, if it was not refused just before.
static enum drop_reason packet_miss_key(struct worker *worker, const struct burst_origin *origin,
	struct packet *p, const struct key_name *name)
{
	if (!p->key->is_gmk)
		return DROP_UNKNOWN_MKI;
	if (origin->refused != DROP_NONE)
		return origin->refused;
	return hold_packet(worker, p, name);
}

// Whether the context was found; otherwise the packet is held, or dropped.
static inline bool packet_find_ctx(struct worker *worker, const struct burst_origin *origin,
	struct packet *p, const struct key_lookup *lookup)
{
	const struct key_table *keys = &worker->relay->keys;
	uint32_t ctx = key_lookup_find(keys, lookup);
	if (ctx == KEY_NONE ||
		(origin->source != BURST_HELD && hold_waits(worker, &lookup->name))) {
		enum drop_reason reason = packet_miss_key(worker, origin, p, &lookup->name);
		if (reason != DROP_NONE)
			worker_drop(worker, p, reason);
		return false;
	}
	p->ctx_index = ctx;
	p->ctx = &keys->ctxs[ctx];
	p->bucket = stream_bucket(&worker->relay->streams, p->ctx->space, p->ssrc);
	return true;
}

// Names the contexts of those packets that need one. Returns how many packets go on, with or without.
static uint16_t burst_name_keys(
	struct worker *worker, struct packet *packets[], uint16_t n, struct key_lookup lookups[])
{
	uint16_t named = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packets[i];
		struct key_lookup *lookup = &lookups[named];
		if (!packet_needs_key(p)) {
			packet_has_no_key(p);
			packets[named++] = p;
			continue;
		}
		enum drop_reason reason = packet_name_key(p, &lookup->name);
		if (reason != DROP_NONE) {
			worker_drop(worker, p, reason);
			continue;
		}
		key_lookup_hash(&worker->relay->keys, lookup);
		packets[named++] = p;
	}
	return named;
}

uint16_t stage_key(struct worker *worker, const struct burst_origin *origin,
	struct packet *packets[], uint16_t n)
{
	struct key_lookup lookups[WORKER_BURST];
	n = burst_name_keys(worker, packets, n, lookups);
	for (uint16_t i = 0; i < n; i++)
		if (packets[i]->key)
			key_lookup_prefetch(&worker->relay->keys, &lookups[i]);
	uint16_t out = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packets[i];
		if (!p->key || packet_find_ctx(worker, origin, p, &lookups[i]))
			packets[out++] = p;
	}
	return out;
}
