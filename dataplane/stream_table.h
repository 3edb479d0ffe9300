// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_ring.h>

#include "crypto/replay.h"
#include "dataplane/jitter.h"
#include "dataplane/stream_rest.h"

// Streams: the state of one SSRC under one key context. An inbound stream is created when its first
// tag verified; an outbound stream when the relay first sends under that key and SSRC. Both share
// one name space, so that the index of another sender can never be used to encrypt (RFC 3711 9.1).
//
// Each stream belongs to the worker that created it: only that one writes it, others hand packets
// over. Workers add to the table by compare-and-swap at the head of a chain; only the control
// thread removes, and reuses a stream after every worker passed a quiescent state.

#define STREAM_NONE UINT32_MAX
#define STREAM_LOST                                                                                \
	(UINT32_MAX - 1) // source of an outbound stream of which it is not known any more

// Scope of a stream whose leg is plain: the place of a key context's index.
#define STREAM_PLAIN UINT32_C(0x80000000)

static inline uint32_t stream_plain_scope(uint32_t leg, uint8_t protocol)
{
	return STREAM_PLAIN | leg << 1 | protocol;
}

// Scope of a stream that opaque media of a leg makes for one worker: it serves statistics alone, so
// workers that see packets of one SSRC each count theirs, and none waits for another.
#define STREAM_OPAQUE UINT32_C(0x40000000)

enum { STREAM_LEG_BITS = 24 }; // limits.legs has no more

static inline uint32_t stream_opaque_scope(uint32_t leg, uint8_t worker)
{
	return STREAM_OPAQUE | (uint32_t)worker << STREAM_LEG_BITS | leg;
}

// Whether a scope is a leg's, not a key's; and which leg's it is then.
static inline bool stream_scope_is_leg(uint32_t scope)
{
	return (scope & (STREAM_PLAIN | STREAM_OPAQUE)) != 0;
}

static inline uint32_t stream_scope_leg(uint32_t scope)
{
	if (scope & STREAM_PLAIN)
		return (scope & ~STREAM_PLAIN) >> 1;
	return scope & ((UINT32_C(1) << STREAM_LEG_BITS) - 1);
}

struct stream {
	// its identity; written before publication
	alignas(64) uint32_t scope; // index space of a key, or a leg's
	uint32_t ssrc;
	_Atomic uint32_t next; // next in the bucket + 1
	uint32_t source;       // outbound: the inbound stream that may use it; STREAM_NONE: inbound
	uint8_t worker;        // that owns it
	uint8_t protocol;      // enum srtp_protocol
	// owner: rw, control: relaxed reads
	bool reported; // to control
	uint32_t leg;  // on which the last packet was accepted
	// inbound: the fresh SSRC that its protected copies have, 0: none yet, or of what came protected the
	// same. Any worker sets it once, the owner may take it away; all relaxed.
	_Atomic uint32_t out_ssrc;
	uint16_t bad_seq; // no key: the SEQ that would confirm a restarted sender (RFC 3550 A.1)
	bool bad_seq_set;
	union {
		uint64_t first_index; // inbound: lowest of the packets accepted
		uint32_t key_serial;  // outbound: of the newest leg_key of its sender, 0: none
	};
	uint64_t packets;    // accepted
	uint64_t octets;     // of them as received, from the RTP header on
	uint64_t last_tsc;   // when the last packet was accepted
	uint32_t talker;     // outbound: user who sent the last packet
	bool fresh;          // outbound: of what entered in plain
	_Atomic bool in_use; // outbound: a worker is at it
	// Next stream of its key context, or plain leg, + 1. Control: rw once it is born, workers: ro
	_Atomic uint32_t sibling;
	uint32_t timestamp;   // no key: the newest one
	uint32_t leg_serial;  // under a key: of leg
	struct jitter jitter; // of inbound RTP
	struct replay_list replay;
};

// The streams of one session key, or of one leg without key.
struct stream_list {
	_Atomic uint32_t newest; // stream + 1; the next is its sibling. worker: adds, control: rw
	// Of clients, and those under which the relay sends. worker: adds, control: rw
	_Atomic uint32_t n, n_outbound;
	_Atomic bool crowded;          // worker: sets when it tells control so, control: clears
	bool noted;                    // for stream_list_sweep(). control
	bool leaving;                  // its key goes, and takes them along. control
	struct stream_rest_list rests; // control
	uint64_t packets;              // of streams that are not in it any more. control
};

struct stream_table {
	_Atomic uint32_t *buckets; // head of each chain: stream + 1
	uint64_t bucket_mask;
	struct stream *streams;
	uint32_t size;
	_Atomic uint32_t n_touched; // streams ever used
	struct rte_ring *unused;    // indices to use again
	uint64_t seed;
	struct stream_rests rests;
	struct stream of_client, of_relay; // stand for streams at rest that are another's
};

// Room for size streams; memory is reserved, and used as they are added. 0, -ENOMEM or -EIO.
int stream_table_init(struct stream_table *table, uint32_t size);
void stream_table_fini(struct stream_table *table);

static inline _Atomic uint32_t *stream_bucket(
	const struct stream_table *table, uint32_t scope, uint32_t ssrc)
{
	uint64_t name = (uint64_t)scope << 32 | ssrc;
	unsigned __int128 m =
		(unsigned __int128)(name ^ table->seed) * UINT64_C(0x9e3779b97f4a7c15);
	return &table->buckets[((uint64_t)m ^ (uint64_t)(m >> 64)) & table->bucket_mask];
}

// The stream of that scope and SSRC in their bucket, or NULL. Any worker.
static inline struct stream *stream_find_in(const struct stream_table *table,
	const _Atomic uint32_t *bucket, uint32_t scope, uint32_t ssrc)
{
	// acquire: pairs with the release in stream_create(), which filled the stream before
	uint32_t i = atomic_load_explicit(bucket, memory_order_acquire);
	while (i != 0) {
		struct stream *stream = &table->streams[i - 1];
		if (stream->scope == scope && stream->ssrc == ssrc)
			return stream;
		i = atomic_load_explicit(&stream->next, memory_order_acquire);
	}
	return NULL;
}

static inline struct stream *stream_find(
	const struct stream_table *table, uint32_t scope, uint32_t ssrc)
{
	return stream_find_in(table, stream_bucket(table, scope, ssrc), scope, ssrc);
}

static inline uint32_t stream_index(const struct stream_table *table, const struct stream *stream)
{
	return (uint32_t)(stream - table->streams);
}

// The next in the stream's list of siblings + 1; 0: it is the last. Any worker.
static inline uint32_t stream_sibling(const struct stream *stream)
{
	return atomic_load_explicit(&stream->sibling, memory_order_acquire);
}

// The stream of that scope and SSRC; if there is none a new one, owned by worker, whose source is
// as given, which is also put into the list. Its worker and source tell the caller
// whether it is its own. What was at rest goes on from there; if that was of a client and is to be the relay's, or the
// other way round, a stream is returned that only tells so by its source. NULL if the table is full, or the stream is
// just going to rest (stream_is_closing). Any worker.
struct stream *stream_create(struct stream_table *table, struct stream_list *list, uint32_t scope,
	uint32_t ssrc, uint8_t worker, uint8_t protocol, uint32_t source);

static inline bool stream_is_closing(
	const struct stream_table *table, uint32_t scope, uint32_t ssrc)
{
	return (stream_rest_state(&table->rests, scope, ssrc) & STREAM_REST_CLOSING) != 0;
}

// A stream that only tells that a client had that SSRC and is silent; NULL: none had. Any worker.
static inline struct stream *stream_of_client_at_rest(
	struct stream_table *table, uint32_t scope, uint32_t ssrc)
{
	uint64_t rest = stream_rest_state(&table->rests, scope, ssrc);
	return rest != 0 && !(rest & STREAM_REST_OUTBOUND) ? &table->of_client : NULL;
}

// The highest index + 1 of a client's stream at rest, 0: there is none. Any worker.
uint64_t stream_next_at_rest(const struct stream_table *table, uint32_t scope, uint32_t ssrc);

// Takes a stream out of its chain. Control thread; workers may use it until their next quiescent
// state.
void stream_unlink(struct stream_table *table, struct stream *stream);

// Takes a stream out of its list, in which it stands behind before (NULL: it is the newest). False: a worker has just put
// another in front. Control thread.
bool stream_leave(struct stream_table *table, struct stream_list *list, struct stream *before,
	struct stream *stream);

// Streams ever used, and in use. Control thread.
uint32_t stream_table_touched(const struct stream_table *table);
uint32_t stream_table_used(const struct stream_table *table);

// Gives back a stream that no worker can reach. Control thread.
void stream_free(struct stream_table *table, struct stream *stream);

// The two steps of the end of a list to which no worker adds any more; the second empties it.
void stream_list_unlink(struct stream_table *table, struct stream_list *list);
void stream_list_free(struct stream_table *table, struct stream_list *list);
