// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/guk_set.h"

#include "base/alloc.h"

static uint32_t guk_set_home(const struct guk_set *set, uint32_t guk_id)
{
	return guk_id * UINT32_C(0x9e3779b1) >> 4 & set->mask;
}

// The slot that has a GUK-ID, or the empty one where it would be.
static uint32_t guk_set_probe(const struct guk_set *set, uint32_t guk_id)
{
	uint32_t at = guk_set_home(set, guk_id);
	while (set->slots[at] != 0 && set->slots[at] != guk_id + 1)
		at = (at + 1) & set->mask;
	return at;
}

struct guk_set *guk_set_new(uint32_t n)
{
	uint32_t size = 2;
	while (size < 2 * n)
		size *= 2;
	struct guk_set *set = alloc_zero(1, sizeof(*set) + size * sizeof(set->slots[0]));
	set->mask = size - 1;
	return set;
}

void guk_set_add(struct guk_set *set, uint32_t guk_id)
{
	set->slots[guk_set_probe(set, guk_id)] = guk_id + 1;
}

bool guk_set_allows(struct guk_set *_Atomic const *published, uint32_t guk_id)
{
	const struct guk_set *set = atomic_load_explicit(published, memory_order_acquire);
	return !set || set->slots[guk_set_probe(set, guk_id)] != 0;
}
