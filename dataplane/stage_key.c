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

// Octets of MKI and ROC.
static inline unsigned trailer_depth(const struct srtp_trailer *trailer)
{
	return trailer->mki_len + (trailer->has_roc ? (unsigned)SRTP_ROC_LEN : 0);
}

// Whether the key's id also stands further from the end than the trailer says. Then the longer layout is meant: a ROC
// may have the value of an id, while four octets of a tag have it once in 2^32.
static inline bool trailer_goes_on(const struct packet *p, const struct leg_key *key)
{
	const uint8_t *mki = p->data + p->trailer.body;
	unsigned depth = trailer_depth(&p->trailer);
	if (depth == SRTP_MKI_MAX + SRTP_ROC_LEN)
		return false;
	return srtp_read32(mki - 4) == key->id ||
	       (depth == 4 && key->is_gmk && srtp_read32(mki - 8) == key->id);
}

// What a peer with another idea of the profile's layout would send: the ROC there or not (RFC 4771 2.1), a GMK's MKI
// of 8 or of 4 octets (TS 33.180 7.4.2), an MKI where the profile has none. The longest first.
static __attribute__((noinline)) bool trailer_matches_another(
	struct packet *p, const struct leg_key *key)
{
	bool gmk = key->is_gmk;
	return (gmk && trailer_matches(p, key, 8, true)) || trailer_matches(p, key, 4, true) ||
	       (gmk && trailer_matches(p, key, 8, false)) || trailer_matches(p, key, 4, false);
}

// The layout of the profile first, if it has an MKI.
static inline bool trailer_find(struct packet *p, const struct leg_key *key)
{
	bool roc = p->protocol == SRTP_RTP && srtp_carries_roc(key->roc_rate, rtp_seq(p->data));
	if (key->mki_len > 0 && trailer_matches(p, key, key->mki_len, roc) &&
		!trailer_goes_on(p, key))
		return true;
	return trailer_matches_another(p, key) ||
	       (key->mki_len == 0 && trailer_matches(p, key, 0, roc));
}

// Which of the leg's keys the packet's MKI names, by the longest layout. NULL: none.
static inline const struct leg_key *packet_find_key(
	struct packet *p, const struct leg_protection *in)
{
	const struct leg_key *found = NULL;
	struct srtp_trailer trailer = {.mki_len = 0};
	for (unsigned i = 0; i < in->n_keys; i++) {
		if (!trailer_find(p, &in->keys[i]) ||
			(found && trailer_depth(&p->trailer) <= trailer_depth(&trailer)))
			continue;
		found = &in->keys[i];
		trailer = p->trailer;
	}
	p->trailer = trailer;
	return found;
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
	p->other_mki = 0;
	p->trailer = (struct srtp_trailer){.body = p->len};
}

// Behind a GMK-ID eight octets before the end there is the talker's GUK-ID or, where the leg tells the talker, a ROC
// (TS 33.180 7.4.2). What the tag covers ends in front of both, so it tells, under the key of one or the other. The more
// likely reading comes first; if its tag does not match, stage_verify has the packet wait for the context of the other.

enum { ROC_LIKELY_MAX = 0xffff }; // of 2^28 GUK-IDs one in 4,096 is less

static inline uint32_t packet_guk_id_or_roc(const struct packet *p)
{
	return srtp_read32(p->data + p->trailer.body + 4);
}

static void packet_read_guk_id(struct packet *p, bool or_roc)
{
	p->trailer.mki = key_name_mki(p->key->id, packet_guk_id_or_roc(p));
	p->trailer.mki_len = 8;
	p->trailer.has_roc = false;
	p->other_mki = or_roc ? p->key->own_mki : 0;
}

static void packet_read_roc(struct packet *p, bool or_guk_id)
{
	p->trailer.roc = packet_guk_id_or_roc(p);
	p->trailer.mki = key_name_mki(p->key->id, 0);
	p->trailer.mki_len = 4;
	p->trailer.has_roc = true;
	p->other_mki = or_guk_id ? key_name_mki(p->key->id, p->trailer.roc) : 0;
}

// Whether the key's profile has a ROC there, and it is one.
static bool packet_has_likely_roc(const struct packet *p)
{
	return p->key->mki_len == 4 && srtp_carries_roc(p->key->roc_rate, rtp_seq(p->data)) &&
	       packet_guk_id_or_roc(p) <= ROC_LIKELY_MAX;
}

static __attribute__((noinline)) void packet_read_either(
	const struct burst_origin *origin, struct packet *p)
{
	const struct leg_key *key = p->key;
	const uint32_t word = packet_guk_id_or_roc(p);
	const uint64_t guk_mki = key_name_mki(key->id, word);
	const uint64_t waited = origin->source == BURST_HELD ? origin->name.mki : 0;
	bool likely = packet_has_likely_roc(p);
	// A GUK-ID has the purpose tag of its GMK; what is likely a ROC may be of nobody knows whom.
	if ((word ^ key->id) >> 28 != 0 || (key->own_mki == 0 && likely))
		packet_read_roc(p, false);
	else if (key->own_mki == 0 || key->own_mki == guk_mki || waited == guk_mki)
		packet_read_guk_id(p, false);
	else if (likely || waited == key->own_mki)
		packet_read_roc(p, true);
	else
		packet_read_guk_id(p, true); // if such a talker is known: packet_find_either()
}

// Of the two readings that whose context is there. Only one that proved itself, or is of a user who was told, makes four
// octets a GUK-ID: of an open GMK a context is derived for whatever they are.
static __attribute__((noinline)) uint32_t packet_find_either(struct worker *worker,
	const struct burst_origin *origin, struct packet *p, struct key_name *name, uint32_t ctx)
{
	const struct key_table *keys = &worker->relay->keys;
	if (p->trailer.mki_len == 8) {
		const struct key_ctx *of = &keys->ctxs[ctx];
		if (ctx != KEY_NONE &&
			(of->by_talker.kind == KEY_BY_TALKER ||
				atomic_load_explicit(&of->proven, memory_order_relaxed)))
			return ctx;
		packet_read_roc(p, true);
		name->mki = p->key->own_mki;
		ctx = key_table_find(keys, name, key_name_hash(keys, name));
	}
	if (ctx != KEY_NONE || packet_has_likely_roc(p) || origin->refused == DROP_NONE ||
		!key_name_equal(&origin->name, name))
		return ctx;
	packet_read_guk_id(p, false); // the leg's user has no key
	name->mki = p->trailer.mki;
	return key_table_find(keys, name, key_name_hash(keys, name));
}

// Under which name its key context is to be found.
static inline enum drop_reason packet_name_key(
	const struct burst_origin *origin, struct packet *p, struct key_name *name)
{
	const struct leg_protection *in = p->in;
	p->other_mki = 0;
	if (!in->keys)
		return DROP_NO_KEY;
	const struct leg_key *key = packet_find_key(p, in);
	if (!key)
		return packet_is_short(p, &in->keys[0]) ? DROP_SRTP_SHORT : DROP_UNKNOWN_MKI;
	p->key = key;
	if (key->is_gmk && p->protocol == SRTP_RTP && srtp_suite_is_aead(key->suite) &&
		trailer_depth(&p->trailer) == 8)
		packet_read_either(origin, p);
	uint64_t mki = p->trailer.mki;
	if (p->trailer.mki_len == 0 || (p->trailer.mki_len == 4 && key->is_gmk))
		mki = key->own_mki; // the packet does not identify the talker, the leg may
	if (mki == 0)
		return DROP_UNKNOWN_USER;
	*name = packet_key_name(p, key, mki);
	return DROP_NONE;
}

// A name without context: that of a GMK's user is derived now, if it was not refused just before.
static enum drop_reason packet_miss_key(struct worker *worker, const struct burst_origin *origin,
	struct packet *p, const struct key_name *name)
{
	if (!p->key->is_gmk)
		return DROP_UNKNOWN_MKI;
	enum drop_reason reason =
		origin->refused != DROP_NONE && (origin->name.kind != KEY_BY_MKI ||
							key_name_equal(&origin->name, name))
			? origin->refused
			: hold_packet(worker, p, name);
	return reason == DROP_UNKNOWN_USER && p->trailer.mki_len == 8 && packet_has_likely_roc(p)
		       ? DROP_AUTH_FAIL
		       : reason;
}

// Whether the context was found; otherwise the packet is held, or dropped.
static inline bool packet_find_ctx(struct worker *worker, const struct burst_origin *origin,
	struct packet *p, struct key_lookup *lookup)
{
	const struct key_table *keys = &worker->relay->keys;
	uint32_t ctx = key_lookup_find(keys, lookup);
	if (unlikely(p->other_mki != 0))
		ctx = packet_find_either(worker, origin, p, &lookup->name, ctx);
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
static uint16_t burst_name_keys(struct worker *worker, const struct burst_origin *origin,
	struct packet *packets[], uint16_t n, struct key_lookup lookups[])
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
		enum drop_reason reason = packet_name_key(origin, p, &lookup->name);
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
	n = burst_name_keys(worker, origin, packets, n, lookups);
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
