// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/leg_remote.h"

#include <rte_common.h>

enum {
	LEARN_MS = 100,  // between two moves of a leg's remote address
	LEARN_BURST = 5, // moves without waiting
	LATE_MS = 2000,  // that packets from the address before are late ones
};

// Whether verified packets move the leg: those of media, or SRTCP on a control leg.
static bool spec_learns(const struct leg_spec *spec)
{
	return spec->learn && spec->protection[spec->control ? SRTP_RTCP : SRTP_RTP].has_key;
}

void leg_remote_state(struct session_leg *leg, const struct leg_spec *before, uint64_t now_ms)
{
	const struct leg_spec *spec = &leg->spec;
	bool same = before && before->port == spec->port &&
		    before->local.family == spec->local.family &&
		    endpoint_equal(&before->remote, &spec->remote);
	if (same && spec_learns(spec))
		return;
	// What was sent before the other address was stated may still be on its way.
	if (spec->remote.family != AF_UNSPEC && !endpoint_equal(&leg->remote, &spec->remote)) {
		leg->left = leg->remote;
		leg->left_ms = now_ms;
	}
	leg->remote = spec->remote;
	leg->learnt_of_rtcp = false;
}

// RTCP beside media moves the leg if nothing better is known: the address before was that of RTCP,
// too, or is no address of the host that it comes from. Another port of one host is where a client
// has its RTCP that does not mux it; one that had it where the leg is was moved by its NAT.
static bool rtcp_tells(const struct session_leg *leg, const struct endpoint *addr, bool muxed)
{
	return leg->learnt_of_rtcp || muxed || !endpoint_same_addr(&leg->remote, addr);
}

static bool addr_is_late(
	const struct session_leg *leg, const struct endpoint *addr, uint64_t now_ms)
{
	return endpoint_equal(&leg->left, addr) && now_ms - leg->left_ms < LATE_MS;
}

bool leg_remote_follows(const struct session_leg *leg, uint8_t protocol,
	const struct endpoint *addr, bool muxed, uint64_t now_ms)
{
	return spec_learns(&leg->spec) && !endpoint_equal(&leg->remote, addr) &&
	       (protocol == SRTP_RTP || leg->spec.control || rtcp_tells(leg, addr, muxed)) &&
	       !addr_is_late(leg, addr, now_ms) &&
	       leg->learn_due_ms < now_ms + (uint64_t)LEARN_BURST * LEARN_MS;
}

void leg_remote_learn(
	struct session_leg *leg, uint8_t protocol, const struct endpoint *addr, uint64_t now_ms)
{
	leg->learnt_of_rtcp = protocol == SRTP_RTCP;
	leg->remote = *addr;
	leg->learn_due_ms = RTE_MAX(leg->learn_due_ms, now_ms) + LEARN_MS;
}
