// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <assert.h>

#include "dataplane/worker.h"
#include "session/session_types.h"

// Upper limits of the memory for each object (docs/performance.md), checked by the compiler; no code.

#define OCTETS_AT_MOST(type, octets)                                                               \
	static_assert(sizeof(type) <= (octets), #type " has more than " #octets " octets")

OCTETS_AT_MOST(struct key_ctx, 64 + (CIPHER_KEY_SIZE + 63) / 64 * 64);
OCTETS_AT_MOST(struct stream, 320);
OCTETS_AT_MOST(struct leg, 192);
OCTETS_AT_MOST(struct leg_counters, 512); // for each worker
OCTETS_AT_MOST(struct fanout_dest, 64);
OCTETS_AT_MOST(struct session, 256);
OCTETS_AT_MOST(struct session_leg, 512);

// A key context with one stream: both, two slots in buckets half full, and what is kept by number of
// context, stream and index space.
enum {
	MILLION = 1000000,
	SLOTS_OCTETS = 2 * sizeof(struct key_bucket), // rounded up to a power of two, at worst
	BY_NUMBER_OCTETS = 160,
	KEY_WITH_STREAM_OCTETS =
		sizeof(struct key_ctx) + sizeof(struct stream) + SLOTS_OCTETS + BY_NUMBER_OCTETS,
};

static_assert((uint64_t)MILLION * KEY_WITH_STREAM_OCTETS <= UINT64_C(5) << 29,
	"a million key contexts with one stream each in 2.5 GiB");
