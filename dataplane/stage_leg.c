// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <rte_prefetch.h>

#include "dataplane/keepalive.h"
#include "dataplane/stages.h"
#include "dataplane/worker_state.h"

static inline const struct leg *leg_of_packet(const struct relay *relay, const struct packet *p)
{
	uint32_t leg = atomic_load_explicit(p->leg_slot, memory_order_acquire);
	return leg == 0 ? NULL : leg_get(&relay->legs, leg - 1);
}

// Dependent look-ups: each is prefetched, for the whole burst, before the next; the first in
// stage_parse.
static inline void burst_find_legs(const struct relay *relay, struct packet *packets[], uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		uint32_t leg = atomic_load_explicit(packets[i]->leg_slot, memory_order_relaxed);
		if (leg != 0)
			rte_prefetch0((const void *)&relay->legs.legs[leg - 1]);
	}
	for (uint16_t i = 0; i < n; i++) {
		const struct leg *leg = leg_of_packet(relay, packets[i]);
		packets[i]->leg = leg;
		for (size_t at = 0; leg && at < sizeof(struct leg); at += 64)
			rte_prefetch0((const uint8_t *)leg + at);
	}
}

enum { PT_SR = 200, PT_APP = 204 };

enum { SRTCP_TRAILER_MIN = SRTCP_INDEX_LEN + SRTP_SHA1_80_TAG_LEN }; // octets

// Whether a packet whose second octet is one of RTCP's packet types (RFC 5761 4) is RTCP on a leg that carries none.
// There only RTP is expected, of any payload type; with the marker 72 to 76 look like the types of RFC 3550, for which
// profiles reserve them (RFC 3551 6), so that who sends RTCP all the same is not taken for media.
static bool packet_is_stray_rtcp(const struct leg *leg, const struct packet *p)
{
	if (p->data[1] < PT_SR || p->data[1] > PT_APP)
		return false;
	if (rtcp_compound_ok(p->data, p->len))
		return true;
	// Of what may be protected, the length of the first packet is in clear.
	return leg->in[SRTP_RTCP].mode != LEG_PLAIN && rtcp_header_ok(p->data, p->len) &&
	       rtcp_first_len(p->data) + SRTCP_TRAILER_MIN <= p->len;
}

static inline bool packet_is_rtcp(const struct leg *leg, const struct packet *p)
{
	if (likely(!rtcp_is(p->data)))
		return false;
	return leg->rtcp_mux || leg->control || packet_is_stray_rtcp(leg, p);
}

// RTP or RTCP, and what it needs of its header.
static enum drop_reason packet_classify(const struct leg *leg, struct packet *p)
{
	if (p->len < RTCP_HEADER_LEN)
		return DROP_NOT_RTP;
	if (packet_is_rtcp(leg, p)) {
		if (!rtcp_header_ok(p->data, p->len))
			return DROP_NOT_RTP;
		p->protocol = SRTP_RTCP;
		p->head_len = RTCP_HEADER_LEN;
		p->ssrc = rtcp_ssrc(p->data);
		return DROP_NONE;
	}
	p->protocol = SRTP_RTP;
	p->head_len = rtp_header_len(p->data, p->len);
	if (p->head_len == 0)
		return DROP_NOT_RTP;
	p->ssrc = rtp_ssrc(p->data);
	return DROP_NONE;
}

// A multicast leg accepts what was sent to its group, any other one what was sent to its local
// address. While a leg changes from one to the other both may still lead to it.
static bool leg_is_addressed(const struct leg *leg, const struct packet *p)
{
	if (likely(!p->to_group))
		return !endpoint_is_multicast(&leg->remote);
	return endpoint_same_addr(&leg->remote, &p->address->addr) &&
	       ntohs(leg->remote.port) == p->udp_dst;
}

static enum drop_reason leg_admit(const struct leg *leg, struct packet *p)
{
	if (!leg_is_addressed(leg, p))
		return DROP_NO_LEG;
	// Muting is about speech, not reachability: a leg that learns is followed by what it may not say.
	if (!leg->receive && !leg->learn)
		return DROP_LEG_MUTED;
	enum drop_reason reason = packet_classify(leg, p);
	if (reason != DROP_NONE)
		return reason;
	if (p->protocol == SRTP_RTP && leg->control)
		return DROP_MEDIA_ON_CONTROL;
	if (p->protocol == SRTP_RTCP && !leg->control && !leg->rtcp_mux)
		return DROP_RTCP_OFF;
	// Where no tag says who sent it the address must: nobody else may speak into the call. A group
	// has none, unless it is stated.
	const struct leg_protection *in = &leg->in[p->protocol];
	p->in = in;
	p->fanout = atomic_load_explicit(leg->fanout[p->protocol], memory_order_acquire);
	bool authenticated = in->named_key && in->verify;
	if (!authenticated && !leg->receive)
		return DROP_LEG_MUTED;
	if (!authenticated && !leg->any_source && !endpoint_equal(&leg->source, &p->source))
		return DROP_SOURCE;
	if (p->protocol == SRTP_RTCP && in->mode == LEG_PLAIN && !rtcp_compound_ok(p->data, p->len))
		return DROP_NOT_RTP;
	return DROP_NONE;
}

// What no leg admits ends here. A keepalive is expected on any leg, and proves nothing: it counts as one, for no timeout,
// from any address.
static __rte_noinline void packet_refuse(
	struct worker *worker, struct packet *p, enum drop_reason reason)
{
	if (reason == DROP_NO_LEG || !keepalive_is(p->data, p->len)) {
		worker_drop(worker, p, reason);
		return;
	}
	counter_add(&worker->counters.keepalives, 1);
	counter_add(&worker->legs[p->leg->index].keepalives, 1);
	packet_free(p);
}

uint16_t stage_leg(struct worker *worker, struct packet *packets[], uint16_t n)
{
	burst_find_legs(worker->relay, packets, n);
	uint16_t out = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packets[i];
		enum drop_reason reason = p->leg ? leg_admit(p->leg, p) : DROP_NO_LEG;
		if (reason == DROP_NONE)
			packets[out++] = p;
		else
			packet_refuse(worker, p, reason);
	}
	return out;
}
