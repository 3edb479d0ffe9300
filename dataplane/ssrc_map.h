// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>

#include "dataplane/drop.h"
#include "dataplane/packet.h"

struct worker;

// What entered in plain leaves protected under fresh SSRCs, so contributing sources and reports must name
// these, and what comes from the protected side the original ones. Each translation is a buffer of its
// own, the caller's, with room for SRTP_OVERHEAD_MAX octets more.

// Whether media from the leg is plain: its RTCP names SSRCs that the protected side does not use.
static inline bool leg_is_plain_media(const struct leg *leg)
{
	return !leg->control && leg->in[SRTP_RTP].mode == LEG_PLAIN;
}

// Whether there is more to translate in a packet than its SSRC: RTCP, or RTP with contributing sources.
static inline bool packet_names_others(const struct packet *p)
{
	return p->protocol == SRTP_RTCP || rtp_csrc_count(p->data) > 0;
}

// Such a plain packet with the fresh SSRCs of the leg's streams. A new sender or contributor
// gets its stream now. NULL: dropped for *reason.
struct rte_mbuf *ssrc_map_to_fresh(
	struct worker *worker, const struct packet *p, enum drop_reason *reason);

// Such a decrypted packet for a variant of plain legs, with the original SSRCs of their streams. NULL:
// dropped for *reason.
struct rte_mbuf *ssrc_map_to_original(struct worker *worker, const struct packet *p,
	const struct fanout_variant *variant, enum drop_reason *reason);
