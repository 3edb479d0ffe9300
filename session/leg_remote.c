// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/leg_remote.h"

#include <rte_common.h>

enum {
	LEARN_MS = 100, // between two moves of a leg's remote address
	LEARN_BURST = 5 // moves without waiting
};

// Whether a tag tells who sends what moves the leg: media, or SRTCP where there is only that.
static bool spec_learns(const struct leg_spec *spec)
{
	return spec->learn && spec->protection[spec->control ? SRTP_RTCP : SRTP_RTP].has_key;
}

void leg_remote_state(struct session_leg *leg, const struct leg_spec *before)
{
	const struct leg_spec *spec = &leg->spec;
	bool same = before && before->port == spec->port &&
		    before->local.family == spec->local.family &&
		    endpoint_equal(&before->remote, &spec->remote);
	if (same && spec_learns(spec))
		return;
	leg->remote = spec->remote;
}

bool leg_remote_follows(const struct session_leg *leg, const struct endpoint *addr, uint64_t now_ms)
{
	return spec_learns(&leg->spec) && !endpoint_equal(&leg->remote, addr) &&
	       leg->learn_due_ms < now_ms + LEARN_BURST * LEARN_MS;
}

void leg_remote_learn(struct session_leg *leg, const struct endpoint *addr, uint64_t now_ms)
{
	leg->remote = *addr;
	leg->learn_due_ms = RTE_MAX(leg->learn_due_ms, now_ms) + LEARN_MS;
}
