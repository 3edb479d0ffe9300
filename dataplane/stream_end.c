// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/stream_end.h"

#include "base/counter.h"
#include "dataplane/relay_tables.h"
#include "dataplane/retire.h"

struct stream_list *stream_list_of(struct relay *relay, uint32_t scope)
{
	if (stream_scope_is_leg(scope))
		return &relay->legs.streams[stream_scope_leg(scope)];
	return &relay->keys.streams[scope];
}

static void stream_forgotten(void *arg, uint32_t index)
{
	struct relay *relay = arg;
	stream_free(&relay->streams, &relay->streams.streams[index]);
}

static uint64_t rest_outbound(const struct stream *stream)
{
	return counter_read(&stream->source) != STREAM_NONE ? STREAM_REST_OUTBOUND : 0;
}

// No worker is at it any more: what it was is final. There is no record if its key began to go in the meantime.
static void stream_rested(void *arg, uint32_t index)
{
	struct relay *relay = arg;
	struct stream_table *table = &relay->streams;
	struct stream *stream = &table->streams[index];
	struct stream_rest *rest = stream_rest_find(&table->rests, stream->scope, stream->ssrc);
	if (rest)
		stream_rest_set(rest, rest_outbound(stream) | stream->replay.next);
	stream_list_of(relay, stream->scope)->packets += stream->packets;
	stream_free(table, stream);
}

// A fresh SSRC is never drawn again, and who has no key gets another: nothing has to be remembered.
static bool stream_is_forgettable(const struct stream *stream)
{
	return stream_scope_is_leg(stream->scope) || counter_read(&stream->fresh);
}

// Whether the stream left the list. Its record is there before it goes, or another could be born in between that knows
// nothing of it.
static bool stream_end(struct relay *relay, struct retire *retire, struct stream_list *list,
	struct stream *before, struct stream *stream)
{
	struct stream_table *table = &relay->streams;
	bool forget = stream_is_forgettable(stream);
	struct stream_rest *rest = NULL;
	uint64_t was = 0;
	if (!forget) {
		was = stream_rest_state(&table->rests, stream->scope, stream->ssrc);
		rest = stream_rest_close(&table->rests, &list->rests, stream->scope, stream->ssrc,
			rest_outbound(stream));
		if (!rest)
			return false;
	}
	if (!stream_leave(table, list, before, stream)) {
		if (rest)
			stream_rest_set(rest, was);
		return false;
	}
	stream_unlink(table, stream);
	counter_set(&stream->last_tsc, 0); // once is enough
	retire_later(retire, forget ? stream_forgotten : stream_rested, relay,
		stream_index(table, stream));
	return true;
}

uint32_t stream_list_sweep(struct relay *relay, struct retire *retire, struct stream_list *list,
	stream_ends *ends, void *arg)
{
	struct stream_table *table = &relay->streams;
	struct stream *before = NULL;
	uint32_t n = 0;
	uint32_t i = atomic_load_explicit(&list->newest, memory_order_acquire);
	for (; i != 0 && !list->leaving; n++) {
		struct stream *stream = &table->streams[i - 1];
		i = stream_sibling(stream);
		if (!ends(stream, arg) || !stream_end(relay, retire, list, before, stream))
			before = stream;
	}
	return n;
}
