// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include <rte_mbuf.h>

#include "bench/gen/calls.h"
#include "bench/gen/histogram.h"
#include "crypto/replay.h"

// Takes what the relay sends, verifies it and counts.

// A stream as one leg receives it.
struct sink_stream {
	struct replay_list list;
	uint64_t first;    // packet index from which on it is counted
	uint64_t received; // each packet once
};

struct sink_counts {
	uint64_t received; // authentic, each packet of each leg once
	uint64_t duplicates;
	uint64_t reordered;   // after one with a higher packet index
	uint64_t auth_failed; // the tag does not match
	uint64_t unknown;  // UDP for no leg, of no stream, under another MKI, with another content
	uint64_t stray;    // no UDP for mcxgen: the relay speaks MLD, IGMP and ND, too
	uint64_t octets;   // of frames received
	uint64_t last_tsc; // when the last one came
};

struct sink {
	struct gen_calls *calls;
	uint64_t tsc_hz;
	struct sink_stream *streams; // by leg's receiver number and stream
	uint32_t *ssrcs;             // fresh ones, hashed: stream + 1; 0: free
	uint32_t *ssrc_values;
	uint32_t ssrcs_mask;
	uint32_t heard; // pairs of leg and stream that were ever received
	struct sink_counts counts;
	struct histogram latency;
};

void sink_open(struct sink *sink, struct gen_calls *calls);
void sink_close(struct sink *sink);

// Counts anew, from the next packet that the source makes of each stream.
void sink_begin(struct sink *sink);

// Takes a frame; its payload is decrypted in place. The caller frees it.
void sink_take(struct sink *sink, struct rte_mbuf *frame);

// Whether every leg of the stream's group has heard it.
bool sink_stream_heard(const struct sink *sink, uint32_t stream);

// Gaps in the SEQ of each stream, up to the last packet that came (RFC 3550 A.3).
uint64_t sink_lost_by_seq(const struct sink *sink);
