// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// Streams at rest: what is kept of a stream under a key that has been silent, in place of all that it is while it is
// heard. That is the packet index below which nothing is new: no packet that was accepted before is accepted again, no
// index that was used to encrypt is used again (RFC 3711 3.3.2, 9.1), and the SSRC stays whose it was. A packet wakes
// it: a stream is born that begins there. The record stays for the next rest, until the session key goes.
//
// The control thread writes; workers read between two quiescent states.

enum {
	// Streams may rest for each one that there is room for.
	STREAM_RESTS_PER_STREAM = 4,
	STREAM_RESTS_OF_ONE = 65536, // of one session key at most; and a quarter of what is left
};

struct stream_rest {
	uint32_t scope, ssrc;   // written before publication
	_Atomic uint64_t state; // control: rw, worker: ro
	_Atomic uint32_t next;  // in its bucket + 1. control: rw, worker: ro
	uint32_t sibling;       // of the same scope + 1. control
};

// In state: what follows is not known yet, because a worker may still be at it; it was the relay that sent.
#define STREAM_REST_CLOSING  (UINT64_C(1) << 63)
#define STREAM_REST_OUTBOUND (UINT64_C(1) << 62)
#define STREAM_REST_INDEX    (STREAM_REST_OUTBOUND - 1)

struct stream_rests {
	_Atomic uint32_t *buckets; // record + 1
	uint64_t bucket_mask;
	uint64_t seed;
	struct stream_rest *items;
	uint32_t size;
	uint32_t n_touched; // control
	uint32_t *unused;   // control: stack of records to use again
	uint32_t n_unused;  // control
	_Atomic uint32_t n; // in use. control: rw, worker: ro
};

// Those of one session key. Control.
struct stream_rest_list {
	uint32_t newest; // record + 1
	uint32_t n;
};

// Room for so many; memory is reserved, and used as they are added. 0, -ENOMEM or -EIO.
int stream_rests_init(struct stream_rests *rests, uint32_t size);
void stream_rests_fini(struct stream_rests *rests);

// The state of the record of that scope and SSRC; 0: there is none. Any worker, or control.
uint64_t stream_rest_state(const struct stream_rests *rests, uint32_t scope, uint32_t ssrc);

// The record of that scope and SSRC, made if there is none, in state CLOSING and what is in outbound. NULL: no room for
// it. Control.
struct stream_rest *stream_rest_close(struct stream_rests *rests, struct stream_rest_list *list,
	uint32_t scope, uint32_t ssrc, uint64_t outbound);

// Its final state. Control.
static inline void stream_rest_set(struct stream_rest *rest, uint64_t state)
{
	atomic_store_explicit(&rest->state, state, memory_order_release);
}

// The record that stream_rest_close() gave. Control.
struct stream_rest *stream_rest_find(
	const struct stream_rests *rests, uint32_t scope, uint32_t ssrc);

// The two steps of the end of a list that nobody looks up any more: workers may still pass by its records until the
// second. Control.
void stream_rests_unlink(struct stream_rests *rests, const struct stream_rest_list *list);
void stream_rests_free(struct stream_rests *rests, struct stream_rest_list *list);
