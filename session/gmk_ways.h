// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "session/session_types.h"

// In how many ways the legs of a session use GMKs. Each is a variant that needs a key context for
// each talker, and a packet carries a fixed number of them: FANOUT_TALKER_VARIANTS_MAX. Control
// thread.

struct gmk_ways *gmk_ways_new(void);
struct gmk_ways *gmk_ways_copy(const struct gmk_ways *ways); // of NULL: a new one
void gmk_ways_free(struct gmk_ways *ways);

// A leg with that protection comes or goes.
void gmk_ways_add(struct gmk_ways *ways, const struct protection_spec protections[]);
void gmk_ways_drop(struct gmk_ways *ways, const struct protection_spec protections[]);

// Whether there are no more than a packet has contexts for.
bool gmk_ways_fit(const struct gmk_ways *ways);
