// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "base/counter.h"
#include "base/secmem.h"
#include "dataplane/relay_tables.h"
#include "key/key_context.h"
#include "key/key_record.h"
#include "store/store.h"

// Streams of a key for the next life: where each is, written down as if it had gone to rest (dataplane/stream_rest.h).
// So a ROC that no packet carries is known again, no packet is accepted a second time, and nobody sends under an SSRC
// that is another's.

enum {
	EVERY_MS = 1000,
	STREAMS_AT_A_TIME = 512, // that are looked at in one tick, or more if one key has them
	KEYS_AT_A_TIME = 4096,
	OF_ONE_KEY = 4096, // streams that are recorded
};

// One stream in a record, in the octet order of this machine, whose memory has the record.
struct key_stream_entry {
	uint64_t mki;   // of its key context
	uint64_t state; // as in struct stream_rest
	uint32_t ssrc;
	uint8_t cs_id, protocol, suite, reserved;
};

_Static_assert(sizeof(struct key_stream_entry) == 24, "no octet of it is left out");

struct entries {
	struct key_stream_entry *all; // secret memory, OF_ONE_KEY
	uint32_t n, seen;
	uint64_t sum;
};

static void entry_add(
	struct entries *entries, const struct key_ctx *ctx, uint32_t ssrc, uint64_t state)
{
	entries->seen++;
	// What the relay sent counts without an index too: nobody else may have its SSRC.
	if (state == 0)
		return;
	entries->all[entries->n++] = (struct key_stream_entry){.mki = ctx->by_mki.mki,
		.state = state,
		.ssrc = ssrc,
		.cs_id = ctx->by_mki.cs_id,
		.protocol = ctx->by_mki.protocol,
		.suite = ctx->by_mki.suite};
	entries->sum = (entries->sum ^ state ^ (uint64_t)ssrc << 32) * UINT64_C(0x100000001b3) + 1;
}

// Another life draws other SSRCs for what enters in plain, but its RTCP may leave under the sender's own: that of a
// floor control server is nobody else's then.
static bool stream_is_of_this_life(const struct stream *stream)
{
	return stream->protocol == SRTP_RTP && counter_read(&stream->fresh);
}

// Up to where a context may fill them. Workers may have added streams since its share was counted.
static uint32_t entries_end(const struct entries *entries, uint32_t most)
{
	return entries->n + RTE_MIN(most, OF_ONE_KEY - entries->n);
}

static void heard_collect(
	struct entries *entries, const struct keystore *store, uint32_t index, uint32_t most)
{
	const struct relay *relay = store->relay;
	const struct key_ctx *ctx = &relay->keys.ctxs[index];
	const struct stream_list *list = &relay->keys.streams[ctx->space];
	const uint32_t end = entries_end(entries, most);
	uint32_t i = atomic_load_explicit(&list->newest, memory_order_acquire);
	while (i != 0 && entries->n < end) {
		const struct stream *stream = &relay->streams.streams[i - 1];
		uint64_t of_relay =
			counter_read(&stream->source) != STREAM_NONE ? STREAM_REST_OUTBOUND : 0;
		if (!stream_is_of_this_life(stream))
			entry_add(entries, ctx, stream->ssrc,
				of_relay | counter_read(&stream->replay.next));
		i = stream_sibling(stream);
	}
}

// Those at rest that were not heard since.
static void rests_collect(
	struct entries *entries, const struct keystore *store, uint32_t index, uint32_t most)
{
	const struct relay *relay = store->relay;
	const struct key_ctx *ctx = &relay->keys.ctxs[index];
	const struct stream_rests *rests = &relay->streams.rests;
	const uint32_t end = entries_end(entries, most);
	uint32_t i = relay->keys.streams[ctx->space].rests.newest;
	while (i != 0 && entries->n < end) {
		const struct stream_rest *rest = &rests->items[i - 1];
		uint64_t state = atomic_load_explicit(&rest->state, memory_order_relaxed);
		if (!(state & STREAM_REST_CLOSING) &&
			!stream_find(&relay->streams, rest->scope, rest->ssrc))
			entry_add(entries, ctx, rest->ssrc, state);
		i = rest->sibling;
	}
}

static uint32_t n_heard(const struct stream_list *list)
{
	return atomic_load_explicit(&list->n, memory_order_relaxed) +
	       atomic_load_explicit(&list->n_outbound, memory_order_relaxed);
}

static uint32_t n_at_rest(const struct stream_list *list)
{
	return list->rests.n;
}

// How many entries it takes if no context has more than most.
static uint64_t room_for(const struct keystore *store, const struct key_slot *slot,
	uint32_t (*n_of)(const struct stream_list *list), uint32_t most)
{
	const struct key_table *keys = &store->relay->keys;
	uint64_t n = 0;
	for (uint32_t i = 0; i < slot->n_ctxs; i++)
		n += RTE_MIN(n_of(&keys->streams[keys->ctxs[slot->ctxs[i]].space]), most);
	return n;
}

// What each context may have at most, so that none takes the room of others.
static uint32_t share_of(const struct keystore *store, const struct key_slot *slot,
	uint32_t (*n_of)(const struct stream_list *list), uint32_t room)
{
	uint32_t share = 0;
	if (room_for(store, slot, n_of, room) <= room)
		return room;
	for (uint32_t step = OF_ONE_KEY / 2; step > 0; step /= 2)
		if (room_for(store, slot, n_of, share + step) <= room)
			share += step;
	return RTE_MAX(share, 1U); // more contexts than room: the first ones
}

// How many streams were looked at. What is heard has its room before what is at rest.
static uint32_t slot_record(struct keystore *store, struct key_slot *slot)
{
	struct entries entries = {.all = store->entries};
	if (!key_usable(slot))
		return 0;
	uint32_t share = share_of(store, slot, n_heard, OF_ONE_KEY);
	for (uint32_t i = 0; i < slot->n_ctxs; i++)
		heard_collect(&entries, store, slot->ctxs[i], share);
	share = share_of(store, slot, n_at_rest, OF_ONE_KEY - entries.n);
	for (uint32_t i = 0; i < slot->n_ctxs; i++)
		rests_collect(&entries, store, slot->ctxs[i], share);
	if (entries.sum == slot->streams_sum)
		return entries.seen;
	char *name = key_streams_name(store, slot);
	store_put(store->records, &slot->streams_record, name, entries.all,
		entries.n * sizeof(struct key_stream_entry));
	slot->streams_sum = entries.sum;
	free(name);
	return entries.seen;
}

static bool entries_ready(struct keystore *store)
{
	if (store->records && !store->entries)
		store->entries = secmem_map(OF_ONE_KEY * sizeof(struct key_stream_entry));
	return store->records && store->entries;
}

void key_streams_tick(struct keystore *store, uint64_t now_ms)
{
	uint32_t seen = 0;
	if (!entries_ready(store))
		return;
	if (store->streams_cursor == 0) {
		if (now_ms < store->streams_due_ms)
			return;
		store->streams_due_ms = now_ms + EVERY_MS;
	}
	for (uint32_t n = 0; n < KEYS_AT_A_TIME && seen < STREAMS_AT_A_TIME &&
			     store->streams_cursor < store->n_touched;
		n++) {
		struct key_slot *slot = store->roots[store->streams_cursor++];
		seen += slot ? slot_record(store, slot) : 0;
	}
	if (store->streams_cursor >= store->n_touched)
		store->streams_cursor = 0;
}

void key_streams_fini(struct keystore *store)
{
	secmem_unmap(store->entries, OF_ONE_KEY * sizeof(struct key_stream_entry));
	store->entries = NULL;
}

void key_streams_record_all(struct keystore *store)
{
	for (uint32_t i = 0; entries_ready(store) && i < store->n_touched; i++)
		if (store->roots[i])
			slot_record(store, store->roots[i]);
}

// --- coming back

static bool entry_is_good(const struct key_slot *slot, const struct key_stream_entry *entry)
{
	return entry->mki >> 32 == slot->id && entry->protocol < SRTP_N_PROTOCOLS &&
	       entry->suite < SRTP_N_SUITES && !(entry->state & STREAM_REST_CLOSING);
}

static uint64_t state_of_both(uint64_t a, uint64_t b)
{
	return ((a | b) & STREAM_REST_OUTBOUND) |
	       RTE_MAX(a & STREAM_REST_INDEX, b & STREAM_REST_INDEX);
}

static enum drop_reason entry_ctx(struct keystore *store, struct key_slot *slot,
	const struct key_stream_entry *entry, uint32_t *ctx)
{
	const struct key_name name = key_name_make(
		KEY_BY_MKI, entry->mki, slot->scope, entry->cs_id, entry->protocol, entry->suite);
	return key_ctx_restore(store, slot, &name, ctx);
}

// False if there is no room for it.
static bool entry_restore(
	struct keystore *store, struct key_slot *slot, const struct key_stream_entry *entry)
{
	struct relay *relay = store->relay;
	uint32_t ctx;
	enum drop_reason reason = entry_ctx(store, slot, entry, &ctx);
	if (reason != DROP_NONE)
		return reason == DROP_UNKNOWN_USER;
	uint32_t space = relay->keys.ctxs[ctx].space;
	if (stream_find(&relay->streams, space, entry->ssrc))
		return true;
	// Two keys of one index space were recorded one after the other.
	uint64_t state = state_of_both(
		stream_rest_state(&relay->streams.rests, space, entry->ssrc), entry->state);
	struct stream_rest *rest =
		stream_rest_close(&relay->streams.rests, &relay->keys.streams[space].rests, space,
			entry->ssrc, state & STREAM_REST_OUTBOUND);
	if (rest)
		stream_rest_set(rest, state);
	return rest;
}

static struct key_stream_entry entry_at(const char *body, size_t i)
{
	struct key_stream_entry entry;
	memcpy(&entry, body + i * sizeof(entry), sizeof(entry));
	return entry;
}

bool key_streams_restore(struct keystore *store, struct key_slot *slot, const char *body,
	size_t len, uint32_t *n_lost)
{
	const size_t n = len / sizeof(struct key_stream_entry);
	*n_lost = 0;
	if (len % sizeof(struct key_stream_entry) != 0)
		return false;
	// The first ones were heard last: where there is not room for all contexts theirs are made, but their streams
	// are put to rest last, and are the newest ones.
	for (size_t i = 0; key_usable(slot) && i < n; i++) {
		struct key_stream_entry entry = entry_at(body, i);
		uint32_t ctx;
		if (!entry_is_good(slot, &entry))
			return false;
		entry_ctx(store, slot, &entry, &ctx);
	}
	for (size_t i = n; key_usable(slot) && i-- > 0;) {
		struct key_stream_entry entry = entry_at(body, i);
		*n_lost += !entry_restore(store, slot, &entry);
	}
	return true;
}
