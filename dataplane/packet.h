// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_mbuf.h>

#include "base/endpoint.h"
#include "crypto/replay.h"
#include "crypto/srtp.h"
#include "dataplane/drop.h"
#include "dataplane/fanout.h"
#include "dataplane/key_table.h"
#include "dataplane/leg.h"

struct port_address;
struct stream;

#define NO_INDEX           UINT64_MAX
#define INDEX_BEFORE_FIRST (UINT64_MAX - 1) // of plain media: it would be below 0

// One packet on its way through the stages, in the worker's own memory. Each member has the stages that write it
// as a heading, and behind it those that read it; "all" are all that come later. With a crypto device the packet is
// copied, up to op, between stage_stream and stage_unprotect.
struct packet {
	// stage_parse
	struct rte_mbuf *mbuf; // as received, data begins at the RTP header; NULL: given away. all
	const uint8_t *data;   // RTP or RTCP header in mbuf. all
	uint16_t len;          // octets at data. all
	uint16_t headers_len;  // octets in front of data. packet_unparse()
	uint16_t udp_dst;      // host byte order. leg
	bool to_group;         // address is a multicast group. leg
	bool held; // it waited for a key context: later than it came. commit, worker_handoff()
	const struct port_address *address; // local, or of a joined group, that it came to. leg
	const _Atomic uint32_t *leg_slot;   // leg + 1 behind address and udp_dst; 0: none. leg
	struct endpoint source;             // leg, commit

	// stage_leg
	const struct leg *leg;           // all
	const struct leg_protection *in; // of leg, for protocol. all
	const struct fanout *fanout;     // of leg, for protocol. route, stream, protect
	uint8_t protocol;                // enum srtp_protocol. all
	uint16_t head_len; // octets of the header that is not encrypted. key, unprotect, protect
	uint32_t ssrc;     // key, route, stream, commit, protect

	// stage_key
	// Of leg, whose MKI the packet has; NULL: none. route, stream, protect
	const struct leg_key *key;
	struct key_ctx *ctx;            // under which it came; NULL: none. all
	uint32_t ctx_index;             // of ctx; KEY_NONE: none. route, protect, crypto device
	const _Atomic uint32_t *bucket; // of its stream, if it has a ctx. route, stream
	struct srtp_trailer trailer;    // route, stream, unprotect, protect
	// Name of the context if the trailer is read the other way, 0: it has one reading; stage_stream may clear it.
	// verify
	uint64_t other_mki;

	// stage_route
	uint32_t talker; // index of the sending user, 0: unknown. protect
	// Context under which each talker variant gets it, its own if it stays under its key; KEY_NONE: cannot be
	// had. protect
	uint32_t out_ctx[FANOUT_TALKER_VARIANTS_MAX];
	uint8_t refused[FANOUT_TALKER_VARIANTS_MAX]; // enum drop_reason: why it cannot. protect
	// Context of the first variant that is protected anew; KEY_NONE: none. protect
	uint32_t first_out;
	const _Atomic uint32_t *out_bucket; // of the outbound stream with its SSRC. protect
	bool decrypt;              // its tag is to be verified. stream, unprotect, verify, commit
	uint8_t n_plaintext_users; // variants that need the plaintext, at most 255 counted. protect

	// stage_route, stage_stream
	bool keep_original; // mbuf is needed after decryption. unprotect, protect

	// stage_stream
	bool unsettled; // one of worker->n_unsettled. unprotect, verify

	// stage_stream; stage_commit if its plain stream began anew behind it: under which it leaves then. protect
	uint32_t ssrc_before; // 0: the stream's
	// stage_stream, stage_commit
	struct stream *stream; // NULL: none, or not created yet. commit, protect

	// stage_stream; stage_verify if it is tried again; stage_commit if there was no tag
	// packet index or SRTCP index; NO_INDEX: plain, and in no order; INDEX_BEFORE_FIRST. unprotect, commit, protect
	uint64_t index;

	// stage_stream
	// The other index that it may have: by the ROC that it carries, or of a stream that is not born; NO_INDEX: none. verify
	uint64_t second_index;
	uint64_t next; // of its stream's replay list at that time, 0: none. verify

	// stage_unprotect (NULL since stage_parse); lengths and status: stage_verify and the cipher
	// mbuf itself or a second buffer; NULL: none, or given away. verify, protect
	struct rte_mbuf *plaintext;
	uint16_t plaintext_len; // octets there. protect
	struct srtp_op op;      // verify; e_flag: protect
};

// A packet as it is before stage_unprotect, which makes its op.
static inline void packet_copy(struct packet *to, const struct packet *from)
{
	memcpy(to, from, offsetof(struct packet, op));
}

// The name of a context under a key of the packet's leg; mki as key_name_mki() has it.
static inline struct key_name packet_key_name(
	const struct packet *p, const struct leg_key *key, uint64_t mki)
{
	return key_name_make(KEY_BY_MKI, mki, key->scope, key->cs_id, p->protocol, key->suite);
}

// The key under which the packet came, as a variant has it: the packet stays under it. NULL: the variant does not have it.
static inline const struct fanout_key *packet_kept_key(
	const struct packet *p, const struct fanout_variant *variant)
{
	if (variant->mode != LEG_SRTP || !p->ctx || p->ctx->by_mki.cs_id != variant->cs_id)
		return NULL;
	const uint32_t root = p->ctx->root;
	const uint8_t suite = p->ctx->by_mki.suite;
	if (variant->key.root == root && variant->key.suite == suite)
		return &variant->key;
	for (unsigned i = 0; i < variant->n_others; i++)
		if (variant->others[i].root == root && variant->others[i].suite == suite)
			return &variant->others[i];
	return NULL;
}

static inline bool packet_keeps_key(const struct packet *p, const struct fanout_variant *variant)
{
	return packet_kept_key(p, variant) != NULL;
}

// The layout in which a variant gets the packet under the context out.
static inline const struct fanout_key *packet_layout(
	const struct packet *p, const struct fanout_variant *variant, uint32_t out)
{
	const struct fanout_key *kept = out == p->ctx_index ? packet_kept_key(p, variant) : NULL;
	return kept ? kept : &variant->key;
}

// The key context under which a variant gets this packet, KEY_NONE if none. After stage_route has looked up out_ctx.
static inline uint32_t packet_out_ctx(const struct packet *p, const struct fanout_variant *variant)
{
	if (variant->by_talker)
		return p->out_ctx[variant - p->fanout->variants];
	return packet_keeps_key(p, variant) ? p->ctx_index : variant->ctx;
}

// Whether a variant that gets the packet under the context out gets the very octets that came: opaque, or the same key
// in the same layout.
static inline bool packet_forwards_verbatim(
	const struct packet *p, const struct fanout_variant *variant, uint32_t out)
{
	if (variant->mode != LEG_SRTP || p->ctx_index == KEY_NONE)
		return variant->mode == LEG_OPAQUE;
	const struct fanout_key *layout = packet_layout(p, variant, out);
	if (out != p->ctx_index || layout->mki_len != p->trailer.mki_len)
		return false;
	bool roc = p->protocol == SRTP_RTP && srtp_carries_roc(layout->roc_rate, rtp_seq(p->data));
	return roc == p->trailer.has_roc;
}

// Why a packet is dropped of which the replay list says this; DROP_NONE if it is new.
static inline enum drop_reason replay_reason(enum replay_verdict verdict)
{
	if (verdict == REPLAY_NEW)
		return DROP_NONE;
	return verdict == REPLAY_SEEN ? DROP_REPLAYED : DROP_TOO_OLD;
}

// Shortens a buffer of one segment to len octets, no more than it has.
static inline void mbuf_cut(struct rte_mbuf *mbuf, uint16_t len)
{
	mbuf->data_len = len;
	mbuf->pkt_len = len;
}

// Most packets have no buffer left when they end: not worth a call.
static inline void buffer_free(struct rte_mbuf *mbuf)
{
	if (unlikely(mbuf))
		rte_pktmbuf_free(mbuf);
}

// Frees the buffers that the packet still has.
static inline void packet_free(struct packet *packet)
{
	if (packet->plaintext != packet->mbuf)
		buffer_free(packet->plaintext);
	buffer_free(packet->mbuf);
}

// The frame again as it was received, to start anew: puts back the headers that stage_parse took
// off.
static inline struct rte_mbuf *packet_unparse(struct packet *packet)
{
	rte_pktmbuf_prepend(packet->mbuf, packet->headers_len);
	return packet->mbuf;
}
