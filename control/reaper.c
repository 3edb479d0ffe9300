// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/reaper.h"

#include <rte_cycles.h>

#include "base/counter.h"
#include "dataplane/relay_tables.h"
#include "dataplane/retire.h"

static void stream_release(void *table, uint32_t index)
{
	struct stream_table *streams = table;
	stream_free(streams, &streams->streams[index]);
}

static _Atomic uint32_t *stream_siblings(struct relay *relay, const struct stream *stream)
{
	if (stream_scope_is_leg(stream->scope))
		return &relay->legs.streams[stream_scope_leg(stream->scope)];
	return &relay->keys.streams[stream->scope];
}

static bool stream_is_idle(const struct stream *stream, bool crowded)
{
	uint64_t last = counter_read(&stream->last_tsc);
	bool plain = stream_scope_is_leg(stream->scope) || counter_read(&stream->fresh);
	if (last == 0 || (!plain && !crowded))
		return false; // unused, or being born; or there is room
	int64_t idle = (int64_t)(rte_rdtsc() - last);
	return idle >
	       (int64_t)(rte_get_tsc_hz() * (plain ? REAPER_PLAIN_SECONDS : REAPER_KEY_SECONDS));
}

static void stream_reap(struct relay *relay, struct retire *retire, struct stream *stream)
{
	struct stream_table *streams = &relay->streams;
	if (!stream_leave_siblings(streams, stream_siblings(relay, stream), stream))
		return; // its key or leg is going, and takes it along
	stream_unlink(streams, stream);
	counter_set(&stream->last_tsc, 0); // once is enough
	retire_later(retire, stream_release, streams, stream_index(streams, stream));
}

void reaper_tick(struct reaper *reaper, struct relay *relay, struct retire *retire)
{
	struct stream_table *streams = &relay->streams;
	uint32_t n = stream_table_touched(streams);
	bool crowded = stream_table_used(streams) > streams->size / 4 * 3;
	for (uint32_t i = 0; i < n && i < REAPER_STREAMS; i++) {
		reaper->cursor = (reaper->cursor + 1) % n;
		struct stream *stream = &streams->streams[reaper->cursor];
		if (stream_is_idle(stream, crowded))
			stream_reap(relay, retire, stream);
	}
}
