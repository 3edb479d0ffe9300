// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/fanout_make.h"

#include <stdlib.h>

#include <rte_common.h>

#include "base/alloc.h"
#include "dataplane/leg.h"

struct fanout fanout_empty = {.n_variants = 0};

// --- variants of a bin

// Those by talker first, then by index space, those of the same variant next to each other.
static int class_compare(const void *x, const void *y)
{
	const struct audience_class *a = *(struct audience_class *const *)x;
	const struct audience_class *b = *(struct audience_class *const *)y;
	if (a->variant.by_talker != b->variant.by_talker)
		return a->variant.by_talker ? -1 : 1;
	if (a->space != b->space)
		return a->space < b->space ? -1 : 1;
	return variant_compare(&a->variant, &b->variant);
}

// How many of all there are in the variants of a bin.
struct bin_size {
	uint32_t n_variants, n_more, n_others;
};

static bool bin_begins_variant(const struct audience_bin *bin, uint32_t at)
{
	return at == 0 || class_compare(&bin->classes[at - 1], &bin->classes[at]) != 0;
}

static struct bin_size bin_measure(const struct audience_bin *bin)
{
	struct bin_size size = {.n_variants = 0};
	for (uint32_t i = 0; i < bin->n; i++) {
		const struct audience_class *class = bin->classes[i];
		bool begins = bin_begins_variant(bin, i);
		size.n_variants += begins;
		size.n_more += class_n_blocks(class) - begins;
		size.n_others += begins ? class->variant.n_others : 0;
	}
	return size;
}

// Room behind variants for what they refer to.
struct bin_room {
	struct fanout_part *more;
	struct fanout_key *others;
};

static size_t bin_octets(const struct bin_size *size)
{
	return size->n_variants * sizeof(struct fanout_variant) +
	       size->n_more * sizeof(struct fanout_part) +
	       size->n_others * sizeof(struct fanout_key);
}

static struct bin_room bin_room_behind(
	const struct fanout_variant *variants, const struct bin_size *size)
{
	struct fanout_part *more = (struct fanout_part *)(uintptr_t)(variants + size->n_variants);
	return (struct bin_room){more, (struct fanout_key *)(more + size->n_more)};
}

static void variant_begin(
	struct fanout_variant *variant, const struct audience_class *class, struct bin_room *room)
{
	*variant = class->variant;
	variant->others = room->others;
	for (uint32_t i = 0; i < variant->n_others; i++)
		*room->others++ = class->others[i];
}

// The blocks of a class as parts of a variant.
static void variant_add_class(
	struct fanout_variant *variant, struct audience_class *class, struct bin_room *room)
{
	uint32_t n_blocks = class_n_blocks(class);
	for (uint32_t b = 0; b < n_blocks; b++) {
		struct fanout_part part = {class->blocks[b].dests, block_n(class, b)};
		class->blocks[b].fresh = false;
		if (variant->n_dests == 0) {
			variant->first = part;
			variant->more = room->more;
		} else {
			*room->more++ = part;
			variant->n_more++;
		}
		variant->n_dests += part.n;
	}
	uint32_t last_n = block_n(class, n_blocks - 1);
	if (class->last_shown < last_n)
		class->last_shown = last_n;
	variant->only_leg = variant->n_dests == 1 ? variant->first.dests[0].leg : LEG_NONE;
}

// Writes them; returns how many are by talker.
static uint8_t bin_write(
	struct audience_bin *bin, struct fanout_variant *variants, struct bin_room room)
{
	struct fanout_variant *variant = variants - 1;
	uint8_t n_by_talker = 0;
	bin->protects = false;
	for (uint32_t i = 0; i < bin->n; i++) {
		if (bin_begins_variant(bin, i)) {
			variant_begin(++variant, bin->classes[i], &room);
			// While legs change batch by batch there may be more than a packet has room for: those
			// have no key until the last batch.
			if (n_by_talker == FANOUT_TALKER_VARIANTS_MAX)
				variant->by_talker = false;
			n_by_talker += variant->by_talker;
			bin->protects |= variant->mode == LEG_SRTP;
		}
		variant_add_class(variant, bin->classes[i], &room);
	}
	return n_by_talker;
}

static void *lines_alloc(size_t octets)
{
	const size_t line = alignof(struct fanout);
	void *lines = aligned_alloc(line, (octets + line - 1) / line * line);
	if (!lines)
		alloc_failed(__func__, octets);
	return lines;
}

static void bin_show(struct audience_bin *bin)
{
	if (bin->shown)
		return;
	qsort(bin->classes, bin->n, sizeof(bin->classes[0]), class_compare);
	struct bin_size size = bin_measure(bin);
	bin->shown = lines_alloc(bin_octets(&size));
	bin->n_shown = size.n_variants;
	bin_write(bin, bin->shown, bin_room_behind(bin->shown, &size));
}

// --- the fan-out

static uint16_t fanout_rate_more(uint32_t n_receivers)
{
	return (uint16_t)RTE_MIN(n_receivers / FANOUT_RATE_RECEIVERS, (uint32_t)UINT16_MAX);
}

// The runs of bins behind the first stand behind all that is of the first.
static const struct fanout_run *fanout_add_runs(
	struct fanout *fanout, struct audience *audience, struct fanout_run *run)
{
	const struct fanout_run *first = run;
	for (uint32_t b = 1; b < audience->n_bins; b++) {
		const struct audience_bin *bin = &audience->bins[b];
		fanout->protects |= bin->protects;
		*run++ = (struct fanout_run){bin->shown, bin->n_shown};
	}
	*run = (struct fanout_run){.n = 0};
	return first;
}

struct fanout *fanout_make(struct audience *audience)
{
	if (audience->n_bins == 0)
		return &fanout_empty;
	struct audience_bin *first = &audience->bins[0];
	for (uint32_t b = 1; b < audience->n_bins; b++)
		bin_show(&audience->bins[b]);
	qsort(first->classes, first->n, sizeof(first->classes[0]), class_compare);
	struct bin_size size = bin_measure(first);
	size_t octets = sizeof(struct fanout) + bin_octets(&size);
	uint32_t n_runs = audience->n_bins > 1 ? audience->n_bins : 0;
	struct fanout *fanout = lines_alloc(octets + n_runs * sizeof(struct fanout_run));
	*fanout = (struct fanout){.n_variants = size.n_variants,
		.rate_more = fanout_rate_more(audience->n_receivers)};
	fanout->n_talker_variants =
		bin_write(first, fanout->variants, bin_room_behind(fanout->variants, &size));
	fanout->protects = first->protects;
	if (n_runs > 0)
		fanout->runs = fanout_add_runs(
			fanout, audience, (struct fanout_run *)((uint8_t *)fanout + octets));
	return fanout;
}
