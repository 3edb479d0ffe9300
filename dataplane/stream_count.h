// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "base/counter.h"
#include "dataplane/worker_state.h"

// The numbers of a stream: what was accepted of it, since it began or began anew. Its owner writes
// them.

// Counts a packet whose index was accepted, for the first time. One that the first packet overtook was sent, too: so
// there are never more packets than indices from first_index on (RFC 3550 A.3).
static inline void stream_count(struct worker *worker, struct stream *s, const struct packet *p)
{
	if (s->packets == 0 || unlikely(p->index < s->first_index))
		counter_set(&s->first_index, p->index);
	counter_add(&s->packets, 1);
	counter_add(&s->octets, p->len);
	counter_set(&s->last_tsc, worker->now);
	counter_set(&s->leg, p->leg->index);
	// A packet that was held came earlier than it is looked at now.
	if (p->protocol == SRTP_RTP && !p->held)
		jitter_add(&s->jitter, (struct jitter_clock){worker->tsc_hz, p->leg->clock_factor},
			jitter_arrival(worker->now, p->leg->clock_factor), rtp_timestamp(p->data));
}

// The sender restarted under its SSRC: counts from 0 again.
static inline void stream_count_anew(struct stream *s)
{
	counter_set(&s->packets, 0);
	counter_set(&s->octets, 0);
	jitter_begin_anew(&s->jitter);
}
