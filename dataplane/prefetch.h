// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include "dataplane/packet.h"

// Prefetches between the stages of a burst: what the next stages read at random in tables larger
// than any cache, for the whole burst at once, while other work is done. They change nothing and
// decide nothing. docs/performance.md has the gain of each. The worker's thread.

struct relay;

// After stage_key: session keys to decrypt with, and the buckets of streams.
void prefetch_inbound_keys(const struct relay *relay, struct packet *packets[], uint16_t n);

// In stage_route, whose first half gave the stream's buckets time to come: the streams.
void prefetch_inbound_streams(const struct relay *relay, struct packet *packets[], uint16_t n);

// After stage_route: the session keys to encrypt with, and the buckets of outbound streams.
void prefetch_outbound_keys(const struct relay *relay, struct packet *packets[], uint16_t n);

// After stage_unprotect: the outbound streams.
void prefetch_outbound_streams(const struct relay *relay, struct packet *packets[], uint16_t n);
