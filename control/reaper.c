// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/reaper.h"

#include <stdlib.h>

#include <rte_common.h>
#include <rte_cycles.h>

#include "base/alloc.h"
#include "base/counter.h"
#include "dataplane/relay_tables.h"
#include "dataplane/stream_end.h"
#include "dataplane/stream_share.h"

// Which streams of a list end.
struct reaping {
	const struct leg_table *legs;
	uint64_t now;
	bool crowded; // the table is
	int64_t least; // ticks of the TSC for which it was silent: then it is one too many of its key. 0: none is
};

// For how long the stream has been silent; below 0: it is unused, or being born.
static int64_t stream_silence(const struct stream *stream, uint64_t now)
{
	uint64_t last = counter_read(&stream->last_tsc);
	int64_t silence = (int64_t)(now - last);
	return last == 0 || silence < 0 ? -1 : silence;
}

static int64_t seconds(unsigned n)
{
	return (int64_t)(rte_get_tsc_hz() * n);
}

static bool leg_is_gone(const struct leg_table *legs, uint32_t index, uint32_t serial)
{
	const struct leg *leg = leg_get(legs, index);
	return !leg || leg->serial != serial;
}

static bool stream_has_ended(const struct stream *stream, void *arg)
{
	const struct reaping *reaping = arg;
	int64_t silence = stream_silence(stream, reaping->now);
	if (silence < seconds(REAPER_REST_SECONDS))
		return false;
	if (stream_scope_is_leg(stream->scope) || counter_read(&stream->fresh))
		return silence > seconds(REAPER_PLAIN_SECONDS);
	return leg_is_gone(reaping->legs, counter_read(&stream->leg),
		       counter_read(&stream->leg_serial)) ||
	       (reaping->crowded && silence > seconds(REAPER_CROWDED_SECONDS)) ||
	       (reaping->least > 0 && silence >= reaping->least);
}

void reaper_note(struct reaper *reaper, struct relay *relay, uint32_t scope)
{
	struct stream_list *list = stream_list_of(relay, scope);
	if (list->noted)
		return;
	// The worker may ask again, the look around comes back.
	if (reaper->n_scopes == REAPER_LISTS) {
		atomic_store_explicit(&list->crowded, false, memory_order_relaxed);
		return;
	}
	list->noted = true;
	reaper->scopes[reaper->n_scopes++] = scope;
}

// Looks for lists in which a stream has ended.
static void reaper_look_around(struct reaper *reaper, struct relay *relay, struct reaping *reaping)
{
	const struct stream_table *streams = &relay->streams;
	uint32_t n = stream_table_touched(streams);
	for (uint32_t i = 0; i < n && i < REAPER_STREAMS; i++) {
		reaper->cursor = (reaper->cursor + 1) % n;
		const struct stream *stream = &streams->streams[reaper->cursor];
		if (stream_has_ended(stream, reaping))
			reaper_note(reaper, relay, stream->scope);
	}
}

static int silence_compare(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;
	return (*x < *y) - (*x > *y); // the longest first
}

// For how long those were silent that are too many in a list: the oldest go. 0: none is.
static int64_t list_least_silence(
	const struct stream_table *streams, const struct stream_list *list, uint64_t now)
{
	uint32_t share = stream_share(streams, STREAMS_OF_ONE), n = 0;
	uint32_t clients = atomic_load_explicit(&list->n, memory_order_relaxed);
	uint32_t relays = atomic_load_explicit(&list->n_outbound, memory_order_relaxed);
	uint32_t size = clients + relays, most = RTE_MAX(clients, relays);
	if (most < stream_share_high(share))
		return 0;
	int64_t *silences = alloc_zero(size, sizeof(*silences));
	uint32_t i = atomic_load_explicit(&list->newest, memory_order_acquire);
	for (; i != 0 && n < size; i = stream_sibling(&streams->streams[i - 1]))
		silences[n++] = stream_silence(&streams->streams[i - 1], now);
	qsort(silences, n, sizeof(*silences), silence_compare);
	uint32_t surplus = most - stream_share_low(share);
	int64_t least = surplus < n ? silences[surplus] : 0;
	free(silences);
	return RTE_MAX(least, seconds(REAPER_REST_SECONDS));
}

void reaper_tick(struct reaper *reaper, struct relay *relay, struct retire *retire)
{
	const struct stream_table *streams = &relay->streams;
	struct reaping reaping = {
		.legs = &relay->legs, .now = rte_rdtsc(), .crowded = stream_table_crowded(streams)};
	uint32_t looked = 0;
	reaper_look_around(reaper, relay, &reaping);
	while (reaper->n_scopes > 0 && looked < REAPER_STREAMS / 2) {
		uint32_t scope = reaper->scopes[--reaper->n_scopes];
		struct stream_list *list = stream_list_of(relay, scope);
		reaping.least = stream_scope_is_leg(scope)
					? 0
					: list_least_silence(streams, list, reaping.now);
		looked += stream_list_sweep(relay, retire, list, stream_has_ended, &reaping);
		list->noted = false;
		atomic_store_explicit(&list->crowded, false, memory_order_relaxed);
	}
}
