// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/drop.h"
#include "dataplane/stream_table.h"

// How many streams one session key may have, so that nobody who has a key takes those of others: with a new SSRC in each
// packet, say. A session key is one user's for a GMK, and a client's own for a CSK or PCK; where many share one, they are
// told apart by their legs.

struct packet;
struct worker;

enum {
	STREAMS_OF_ONE =
		1024, // streams of a session key at most, its own and those that the relay sends under it
	STREAMS_OF_MANY =
		65536, // of one that several clients share, while each leg has tokens to spare
	STREAM_SHARE_OF_FREE =
		4, // and this part of what is left, so that the next one has some, too
};

// How many streams a session key may have now.
static inline uint32_t stream_share(const struct stream_table *table, uint32_t most)
{
	uint32_t left = (table->size - stream_table_used(table)) / STREAM_SHARE_OF_FREE + 1;
	return left < most ? left : most;
}

// From how many on the control thread takes those back that have been silent longest, and down to how many.
static inline uint32_t stream_share_high(uint32_t share)
{
	return share - share / 8;
}

static inline uint32_t stream_share_low(uint32_t share)
{
	return share - share / 4;
}

// Whether so many are in use that those that have been silent are taken back, whosever they are.
static inline bool stream_table_crowded(const struct stream_table *table)
{
	return stream_table_used(table) > table->size - table->size / 4;
}

// Whether a client's stream may be born of an authentic packet whose SSRC is new; DROP_STREAM_SHARE if not. Has the
// control thread look after those that the key has before they are too many.
enum drop_reason stream_admit(struct worker *worker, const struct packet *p);

// Whether a stream may be born under which the relay sends what came as p. While there is room it may.
bool stream_admit_outbound(struct worker *worker, const struct packet *p, uint32_t scope);
