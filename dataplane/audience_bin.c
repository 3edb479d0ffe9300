// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/audience_bin.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/map.h"
#include "crypto/suite.h"
#include "dataplane/leg.h"

void audience_discard(struct audience *audience, void *memory)
{
	if (audience->n_old == audience->old_size) {
		audience->old_size = audience->old_size ? audience->old_size * 2 : 4;
		audience->old = alloc_resize(audience->old, audience->old_size, sizeof(void *));
	}
	audience->old[audience->n_old++] = memory;
}

// Variants share packets if they have the same session key: that of one talker under one GMK, whose
// key both AES-CM suites share, or one that was derived for both. Where there is no key nothing is sent.
static uint64_t variant_space(const struct fanout_variant *variant, const struct key_table *keys)
{
	if (variant->ctx != KEY_NONE)
		return keys->ctxs[variant->ctx].space;
	if (variant->mode == LEG_SRTP && !variant->by_talker)
		return SPACE_ALONE;
	return UINT64_C(1) << 63 | (uint64_t)variant->mode << 48 |
	       (uint64_t)srtp_suite_is_aead(variant->key.suite) << 40 |
	       (uint64_t)variant->cs_id << 32 | variant->key.root;
}

void bin_touch(struct audience *audience, const struct audience_class *class)
{
	struct audience_bin *bin = &audience->bins[class->bin];
	audience->changed = true;
	if (bin->shown)
		audience_discard(audience, bin->shown);
	bin->shown = NULL;
}

static void bin_add(struct audience *audience, uint32_t at, struct audience_class *class)
{
	struct audience_bin *bin = &audience->bins[at];
	if (bin->n == bin->size) {
		bin->size = bin->size ? bin->size * 2 : 2;
		bin->classes =
			alloc_resize(bin->classes, bin->size, sizeof(struct audience_class *));
	}
	bin->classes[bin->n++] = class;
	class->bin = at;
	bin_touch(audience, class);
}

static void bin_drop(struct audience *audience, struct audience_class *class)
{
	struct audience_bin *bin = &audience->bins[class->bin];
	uint32_t i = 0;
	bin_touch(audience, class);
	while (bin->classes[i] != class)
		i++;
	bin->classes[i] = bin->classes[--bin->n];
}

// --- index spaces

static struct audience_class *space_find(const struct audience *audience, uint64_t space)
{
	return audience->by_space && space != SPACE_ALONE
		       ? map_get(audience->by_space, &space, sizeof(space))
		       : NULL;
}

// The class is in a bin.
static void space_note(struct audience *audience, struct audience_class *class)
{
	if (audience->by_space && class->space != SPACE_ALONE)
		map_add(audience->by_space, &class->space, sizeof(class->space), class);
}

// The class has left the bin: another one of its space stands for that, if there is one.
static void space_forget(struct audience *audience, const struct audience_class *class)
{
	if (space_find(audience, class->space) != class)
		return;
	map_remove(audience->by_space, &class->space, sizeof(class->space));
	const struct audience_bin *bin = &audience->bins[class->bin];
	for (uint32_t i = 0; i < bin->n; i++)
		if (bin->classes[i]->space == class->space) {
			space_note(audience, bin->classes[i]);
			break;
		}
}

static void spaces_open(struct audience *audience)
{
	audience->by_space = map_make();
	for (uint32_t i = 0; i < audience->bins[0].n; i++)
		space_note(audience, audience->bins[0].classes[i]);
}

// --- bins

static uint32_t bin_open(struct audience *audience)
{
	if (audience->n_bins == audience->bins_size) {
		audience->bins_size = audience->bins_size ? audience->bins_size * 2 : 1;
		audience->bins =
			alloc_resize(audience->bins, audience->bins_size, sizeof(*audience->bins));
	}
	audience->bins[audience->n_bins] = (struct audience_bin){.n = 0};
	if (audience->n_bins == 1)
		spaces_open(audience);
	return audience->n_bins++;
}

// The last bin is empty. What was shown of it is discarded.
static void bin_close(struct audience *audience)
{
	free(audience->bins[--audience->n_bins].classes);
	if (audience->n_bins > 1)
		return;
	map_free(audience->by_space);
	audience->by_space = NULL;
}

static uint32_t bin_of_new(struct audience *audience, const struct audience_class *class)
{
	const struct audience_class *other = space_find(audience, class->space);
	if (audience->n_bins > 0 && class->variant.by_talker)
		return 0;
	if (other)
		return other->bin;
	if (audience->n_bins > 0 && audience->bins[audience->n_bins - 1].n < AUDIENCE_BIN)
		return audience->n_bins - 1;
	// With one bin its own space may be there.
	for (uint32_t i = 0; audience->n_bins == 1 && i < audience->bins[0].n; i++)
		if (class->space != SPACE_ALONE &&
			audience->bins[0].classes[i]->space == class->space)
			return 0;
	return bin_open(audience);
}

void bin_join(struct audience *audience, struct audience_class *class)
{
	class->space = variant_space(&class->variant, audience->keys);
	bin_add(audience, bin_of_new(audience, class), class);
	space_note(audience, class);
}

// Fills a bin that has room for an index space with one of the last bin, so that few have room.
static void bin_fill(struct audience *audience, uint32_t at)
{
	uint32_t last = audience->n_bins - 1;
	if (at == last || audience->bins[at].n >= AUDIENCE_BIN)
		return;
	uint64_t space = audience->bins[last].classes[0]->space;
	for (uint32_t i = 0; i < audience->bins[last].n;) {
		struct audience_class *class = audience->bins[last].classes[i];
		if (class->space != space) {
			i++;
			continue;
		}
		bin_drop(audience, class);
		bin_add(audience, at, class);
		if (space == SPACE_ALONE)
			break;
	}
}

void bin_leave(struct audience *audience, struct audience_class *class)
{
	bin_drop(audience, class);
	space_forget(audience, class);
	bin_fill(audience, class->bin);
	if (audience->bins[audience->n_bins - 1].n == 0)
		bin_close(audience);
}
