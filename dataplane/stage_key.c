// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <rte_prefetch.h>

#include "dataplane/hold.h"
#include "dataplane/stages.h"
#include "dataplane/worker.h"

// Reads the trailer in one layout; true if its MKI is one of the key. There is no length of
// the MKI on the wire, nor a mark that a ROC follows (RFC 3711 3.1, RFC 4771 2).
static bool trailer_matches(struct packet *p, const struct leg_key *key, uint8_t mki_len,
	bool has_roc, struct key_name *name)
{
	if (!srtp_trailer_read(p->data, p->len, key->suite, p->protocol, p->head_len, mki_len,
		    has_roc, &p->trailer))
		return false;
	name->mki = p->trailer.mki;
	if (mki_len > 0 && p->trailer.mki >> 32 != key->id)
		return false;
	if (mki_len == 0 || (mki_len == 4 && key->is_gmk))
		name->mki = key->own_mki; // the packet does not tell the talker, the leg may
	return mki_len != 0 || name->mki != 0;
}

// The layout of the profile first, then what a peer with another idea of it would send: the ROC
// there or not (RFC 4771 2.1), a GMK's MKI of 8 or of 4 octets (TS 33.180 7.5.1).
static bool trailer_find(struct packet *p, const struct leg_key *key, struct key_name *name)
{
	bool roc = p->protocol == SRTP_RTP && srtp_carries_roc(key->roc_rate, rtp_seq(p->data));
	if (trailer_matches(p, key, key->mki_len, roc, name))
		return true;
	if (key->mki_len == 0)
		return false;
	bool other_roc = p->protocol == SRTP_RTP && !roc;
	if (other_roc != roc && trailer_matches(p, key, key->mki_len, other_roc, name))
		return true;
	if (!key->is_gmk)
		return false;
	uint8_t other_len = key->mki_len == 8 ? 4 : 8;
	return trailer_matches(p, key, other_len, roc, name) ||
	       (other_roc != roc && trailer_matches(p, key, other_len, other_roc, name));
}

// Which of the leg's keys the packet's MKI names. NULL: none.
static const struct leg_key *packet_find_key(
	struct packet *p, const struct leg_protection *in, struct key_name *name)
{
	for (unsigned i = 0; i < in->n_keys; i++)
		if (trailer_find(p, &in->keys[i], name))
			return &in->keys[i];
	return NULL;
}

// Shorter than any packet under that key.
static bool packet_is_short(const struct packet *p, const struct leg_key *key)
{
	return p->len < p->head_len + srtp_overhead_min(key->suite, p->protocol) + key->mki_len;
}

// Whether a packet needs a key context, and under which name.
static enum drop_reason packet_name_key(struct packet *p, struct key_name *name, bool *needed)
{
	const struct leg_protection *in = &p->leg->in[p->protocol];
	p->key = NULL;
	p->ctx = NULL;
	p->ctx_index = KEY_NONE;
	p->authentic = false;
	p->trailer = (struct srtp_trailer){.body = p->len};
	*needed = in->named_key && (in->mode == LEG_SRTP || in->verify);
	if (!*needed)
		return DROP_NONE;
	if (!in->keys)
		return DROP_NO_KEY;
	p->key = packet_find_key(p, in, name);
	if (!p->key)
		return packet_is_short(p, &in->keys[0]) ? DROP_SRTP_SHORT : DROP_UNKNOWN_MKI;
	if (name->mki == 0)
		return DROP_UNKNOWN_USER;
	*name = key_name_make(
		KEY_BY_MKI, name->mki, p->key->scope, p->key->cs_id, p->protocol, p->key->suite);
	return DROP_NONE;
}

// A name without context: that of a GMK's user is derived now, if it was not refused just before.
static enum drop_reason packet_miss_key(
	struct worker *worker, struct packet *p, const struct key_name *name)
{
	if (!p->key->is_gmk)
		return DROP_UNKNOWN_MKI;
	if (worker->resumed && worker->refused != DROP_NONE)
		return worker->refused;
	return hold_packet(worker, p, name);
}

uint16_t stage_key(struct worker *worker, struct packet *packets[], uint16_t n)
{
	const struct key_table *keys = &worker->relay->keys;
	struct key_name names[WORKER_BURST];
	uint64_t hashes[WORKER_BURST];
	uint32_t likely[WORKER_BURST];
	bool needed[WORKER_BURST];
	uint16_t named = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packets[i];
		enum drop_reason reason = packet_name_key(p, &names[named], &needed[named]);
		if (reason != DROP_NONE) {
			worker_drop(worker, p, reason);
			continue;
		}
		if (needed[named]) {
			hashes[named] = key_name_hash(keys, &names[named]);
			rte_prefetch0(key_table_bucket(keys, hashes[named]));
		}
		packets[named++] = p;
	}
	for (uint16_t i = 0; i < named; i++)
		if (needed[i])
			likely[i] = key_table_prefetch(keys, hashes[i]);
	uint16_t out = 0;
	for (uint16_t i = 0; i < named; i++) {
		struct packet *p = packets[i];
		if (needed[i]) {
			p->ctx_index = key_table_find_likely(keys, &names[i], hashes[i], likely[i]);
			if (p->ctx_index == KEY_NONE ||
				(!worker->resumed && hold_waits(worker, &names[i]))) {
				enum drop_reason reason = packet_miss_key(worker, p, &names[i]);
				if (reason != DROP_NONE)
					worker_drop(worker, p, reason);
				continue;
			}
			p->ctx = &keys->ctxs[p->ctx_index];
		}
		packets[out++] = p;
	}
	return out;
}
