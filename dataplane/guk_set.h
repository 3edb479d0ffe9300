// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

// The GUK-IDs of the users whom a GMK lists (TS 33.180 7.4.2), so that a worker need not ask for the context of one that
// nobody has. Immutable; the control thread publishes another and frees the one before after a grace period. Its
// members are outputs of a keyed hash (F.1.3), which nobody who sends packets chooses: a probe ends soon.

struct guk_set {
	uint32_t mask;    // slots - 1
	uint32_t slots[]; // GUK-ID + 1, 0: empty; half of them at most are used
};

// An empty set with room for n GUK-IDs. The caller frees it by free().
struct guk_set *guk_set_new(uint32_t n);
void guk_set_add(struct guk_set *set, uint32_t guk_id);

// Whether a GUK-ID is in the set, or there is none. Any worker.
bool guk_set_allows(struct guk_set *_Atomic const *set, uint32_t guk_id);
