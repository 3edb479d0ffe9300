// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/plain_stream.h"

#include "base/counter.h"
#include "dataplane/stream_table.h"
#include "dataplane/tokens.h"
#include "dataplane/worker_state.h"

struct stream *plain_stream_get(
	struct worker *worker, const struct leg *leg, uint8_t protocol, uint32_t ssrc)
{
	struct stream_table *streams = &worker->relay->streams;
	uint32_t scope = stream_plain_scope(leg->index, protocol);
	struct stream *stream = stream_find(streams, scope, ssrc);
	if (!stream && leg_token_take(worker, leg->index))
		stream = stream_create(streams, &worker->relay->legs.streams[leg->index], scope,
			ssrc, worker->id, protocol, STREAM_NONE);
	if (stream && stream->worker == worker->id)
		counter_set(&stream->last_tsc, worker->now);
	return stream;
}

uint32_t plain_stream_fresh_ssrc(struct worker *worker, struct stream *stream)
{
	uint32_t drawn = atomic_load_explicit(&stream->out_ssrc, memory_order_relaxed);
	if (drawn != 0 || worker->n_ssrcs == 0)
		return drawn;
	// RTCP may name a stream that another worker owns, which may draw an SSRC at the same
	// moment.
	uint32_t fresh = worker->ssrcs[worker->n_ssrcs - 1];
	if (!atomic_compare_exchange_strong_explicit(
		    &stream->out_ssrc, &drawn, fresh, memory_order_relaxed, memory_order_relaxed))
		return drawn;
	worker->n_ssrcs--;
	atomic_fetch_add_explicit(&worker->ssrcs_taken, 1, memory_order_relaxed);
	return fresh;
}
