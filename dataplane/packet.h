// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_mbuf.h>

#include "base/endpoint.h"
#include "crypto/srtp.h"
#include "dataplane/fanout.h"
#include "dataplane/key_table.h"
#include "dataplane/leg.h"

struct port_address;
struct stream;

#define NO_INDEX UINT64_MAX

// One packet on its way through the stages of a burst, in the worker's own memory. Valid for one
// burst.
struct packet {
	struct rte_mbuf *mbuf;  // as received; data begins at the RTP header after stage_parse
	struct rte_mbuf *clear; // decrypted: mbuf itself, a second buffer, or NULL
	const uint8_t *data;    // RTP or RTCP header in mbuf
	uint16_t len;           // octets at data
	uint16_t headers_len;   // octets that stage_parse took off in front of data
	uint16_t head_len;      // octets of the header that stays in clear
	uint16_t clear_len;     // octets at clear's data
	uint8_t protocol;       // enum srtp_protocol
	uint8_t port;           // on which it came
	uint16_t udp_dst;       // host byte order
	bool keep_original;     // a receiver gets the octets as they came
	bool decrypt;           // its tag is to be verified, and was after stage_unprotect
	uint8_t clear_uses; // groups of receivers that need the clear packet, at most 255 counted
	bool to_group;      // address is a multicast group
	bool held;          // it waited for a key context: later than it came
	uint32_t ssrc;
	uint32_t ctx_index;     // KEY_NONE: none
	uint32_t talker;        // index of the user who speaks, 0: unknown
	uint64_t index;         // packet index or SRTCP index
	uint64_t carried_index; // by the packet's ROC, if it differs from index; NO_INDEX: none
	uint32_t first_out;     // context of the first group that is protected anew; KEY_NONE: none
	// The local address, or joined group, that it came to.
	const struct port_address *address;
	const _Atomic uint32_t *leg_slot; // leg + 1 behind that address and udp_dst; 0: none
	const struct leg *leg;
	const struct leg_protection *in; // of the leg, for its protocol
	const struct fanout *fanout;     // the same
	const struct leg_key *key;       // of the leg, whose MKI the packet has; NULL: none
	struct key_ctx *ctx;
	struct stream *stream; // NULL: not born yet
	// Where its stream is, if it has a ctx; and the outbound one, if it has a first_out and its own SSRC.
	const _Atomic uint32_t *bucket, *out_bucket;
	struct srtp_trailer trailer;
	struct endpoint source;
	// Context under which each talker group gets it, its own if it stays under its key; KEY_NONE: cannot be had.
	uint32_t out_ctx[FANOUT_TALKER_GROUPS_MAX];
	struct srtp_op op;
};

static inline bool fanout_group_knows(const struct fanout_group *group, uint32_t root)
{
	bool knows = group->root == root;
	for (unsigned i = 0; i < group->n_others; i++)
		knows |= group->others[i] == root;
	return knows;
}

// Whether a group knows the key under which the packet came: it stays under it.
static inline bool packet_keeps_key(const struct packet *p, const struct fanout_group *group)
{
	return group->mode == LEG_SRTP && p->ctx && fanout_group_knows(group, p->ctx->root) &&
	       p->ctx->by_mki.cs_id == group->cs_id && p->ctx->by_mki.suite == group->suite;
}

// The key context under which a group gets this packet, KEY_NONE if none. After stage_route has looked up out_ctx.
static inline uint32_t packet_out_ctx_at(
	const struct packet *p, const struct fanout *fanout, unsigned at)
{
	const struct fanout_group *group = &fanout->groups[at];
	if (group->by_talker)
		return p->out_ctx[at];
	return packet_keeps_key(p, group) ? p->ctx_index : group->ctx;
}

static inline uint32_t packet_out_ctx(
	const struct packet *p, const struct fanout *fanout, const struct fanout_group *group)
{
	return packet_out_ctx_at(p, fanout, (unsigned)(group - fanout->groups));
}

// Whether a group that gets the packet under the context out gets the very octets that came: opaque, or the same key
// in the same layout.
static inline bool packet_forwards_verbatim(
	const struct packet *p, const struct fanout_group *group, uint32_t out)
{
	if (group->mode != LEG_SRTP || p->ctx_index == KEY_NONE)
		return group->mode == LEG_OPAQUE;
	if (out != p->ctx_index || group->mki_len != p->trailer.mki_len)
		return false;
	bool roc = p->protocol == SRTP_RTP && srtp_carries_roc(group->roc_rate, rtp_seq(p->data));
	return roc == p->trailer.has_roc;
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
	if (unlikely(mbuf != NULL))
		rte_pktmbuf_free(mbuf);
}

// Frees the buffers that the packet still has.
static inline void packet_free(struct packet *packet)
{
	if (packet->clear != packet->mbuf)
		buffer_free(packet->clear);
	buffer_free(packet->mbuf);
}

// The frame again as it was received, to start anew: puts back the headers that stage_parse took
// off.
static inline struct rte_mbuf *packet_unparse(struct packet *packet)
{
	rte_pktmbuf_prepend(packet->mbuf, packet->headers_len);
	return packet->mbuf;
}
