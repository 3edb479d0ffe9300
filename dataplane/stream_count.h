// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "dataplane/worker.h"

// The numbers of a stream: what was accepted of it, since it began or began anew. Its owner writes
// them.

// Counts a packet whose index was accepted.
static inline void stream_count(struct worker *worker, struct stream *s, const struct packet *p)
{
	if (s->packets == 0)
		s->first_index = p->index;
	s->packets++;
	s->octets += p->len;
	s->last_tsc = worker->now;
	s->leg = p->leg->index;
	// A packet that was held came earlier than it is looked at now.
	if (p->protocol == SRTP_RTP && !p->held)
		jitter_add(&s->jitter, jitter_arrival(worker->now, p->leg->clock_factor),
			rtp_timestamp(p->data));
}

// The sender began anew under its SSRC: what comes now is counted from 0.
static inline void stream_count_anew(struct stream *s)
{
	s->packets = 0;
	s->octets = 0;
	s->jitter = (struct jitter){};
}
