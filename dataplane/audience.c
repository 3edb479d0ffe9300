// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/audience.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"
#include "dataplane/audience_bin.h"
#include "dataplane/fanout_make.h"
#include "dataplane/leg.h"

enum { CLASSES_FEW = 16 }; // with more they are looked for in a map

struct audience *audience_new(const struct key_table *keys)
{
	struct audience *audience = alloc_zero(1, sizeof(*audience));
	audience->keys = keys;
	atomic_init(&audience->fanout, &fanout_empty);
	return audience;
}

static void fanout_free(struct fanout *fanout)
{
	if (fanout != &fanout_empty)
		free(fanout);
}

static void class_free(struct audience_class *class)
{
	free(class->blocks);
	free(class->others);
	free(class);
}

// --- blocks

static struct fanout_dest *block_alloc(uint32_t room)
{
	size_t octets = room * sizeof(struct fanout_dest);
	struct fanout_dest *dests = aligned_alloc(alignof(struct fanout_dest), octets);
	if (!dests)
		alloc_failed(__func__, octets);
	return dests;
}

// No class has the block any more.
static void block_leave(struct audience *audience, struct audience_block *block)
{
	if (block->fresh) {
		free(block->dests);
		return;
	}
	audience_discard(audience, block->dests);
}

// Puts a copy with room for that many in place of a block, of which n are kept.
static void block_renew(struct audience *audience, struct audience_class *class, uint32_t at,
	uint32_t n, uint32_t room)
{
	struct audience_block *block = &class->blocks[at];
	struct fanout_dest *dests = block_alloc(room);
	memcpy(dests, block->dests, n * sizeof(*dests));
	block_leave(audience, block);
	*block = (struct audience_block){.dests = dests, .fresh = true};
}

// What the last block has room for when it has to hold n.
static uint32_t last_room(const struct audience_class *class, uint32_t n)
{
	if (class->n >= AUDIENCE_BLOCK)
		return AUDIENCE_BLOCK;
	uint32_t room = 1;
	while (room < n)
		room *= 2;
	return room;
}

// The receiver at a place, to be written: no fan-out has it.
static struct fanout_dest *class_write(
	struct audience *audience, struct audience_class *class, uint32_t at)
{
	uint32_t b = at / AUDIENCE_BLOCK, slot = at % AUDIENCE_BLOCK;
	bool last = b + 1 == class_n_blocks(class);
	bin_touch(audience, class);
	if (!class->blocks[b].fresh && !(last && slot >= class->last_shown)) {
		block_renew(audience, class, b, block_n(class, b),
			last ? class->last_room : AUDIENCE_BLOCK);
		if (last)
			class->last_shown = 0;
	}
	return &class->blocks[b].dests[slot];
}

// --- classes

static void map_add_class(struct map *map, struct audience_class *class)
{
	map_add(map, class->rule, class->rule_len, class);
}

struct audience_class *audience_find_class(
	const struct audience *audience, const uint8_t rule[], size_t len)
{
	if (audience->by_rule)
		return map_get(audience->by_rule, rule, len);
	for (uint32_t c = 0; c < audience->n_classes; c++) {
		struct audience_class *class = audience->classes[c];
		if (class->rule_len == len && memcmp(class->rule, rule, len) == 0)
			return class;
	}
	return NULL;
}

static void class_add(struct audience *audience, struct audience_class *class)
{
	if (audience->n_classes == audience->classes_size) {
		audience->classes_size = audience->classes_size ? audience->classes_size * 2 : 2;
		audience->classes = alloc_resize(
			audience->classes, audience->classes_size, sizeof(struct audience_class *));
	}
	class->position = audience->n_classes;
	audience->classes[audience->n_classes++] = class;
	if (audience->by_rule) {
		map_add_class(audience->by_rule, class);
	} else if (audience->n_classes > CLASSES_FEW) {
		audience->by_rule = map_make();
		for (uint32_t c = 0; c < audience->n_classes; c++)
			map_add_class(audience->by_rule, audience->classes[c]);
	}
}

static void class_drop(struct audience *audience, struct audience_class *class)
{
	struct audience_class *last = audience->classes[--audience->n_classes];
	audience->classes[class->position] = last;
	last->position = class->position;
	if (audience->by_rule)
		map_remove(audience->by_rule, class->rule, class->rule_len);
	if (audience->n_classes <= CLASSES_FEW / 2) {
		map_free(audience->by_rule);
		audience->by_rule = NULL;
	}
	bin_leave(audience, class);
	class_free(class);
}

static void class_set_variant(struct audience_class *class, const struct fanout_variant *variant)
{
	size_t octets = variant->n_others * sizeof(*class->others);
	free(class->others);
	class->others = alloc_zero(variant->n_others, sizeof(*class->others));
	if (octets > 0)
		memcpy(class->others, variant->others, octets);
	class->variant = *variant;
	class->variant.others = class->others;
}

struct audience_class *audience_open_class(struct audience *audience, const uint8_t rule[],
	size_t len, const struct fanout_variant *variant)
{
	struct audience_class *class = alloc_zero(1, sizeof(*class) + len);
	class->rule_len = (uint16_t)len;
	memcpy(class->rule, rule, len);
	class_set_variant(class, variant);
	class_add(audience, class);
	bin_join(audience, class);
	return class;
}

void audience_set_variant(struct audience *audience, struct audience_class *class,
	const struct fanout_variant *variant)
{
	if (variant_compare(&class->variant, variant) == 0)
		return;
	bin_leave(audience, class);
	class_set_variant(class, variant);
	bin_join(audience, class);
}

// --- receivers

static void class_add_block(struct audience_class *class)
{
	uint32_t b = class_n_blocks(class);
	if (b == class->blocks_size) {
		class->blocks_size = b ? b * 2 : 1;
		class->blocks =
			alloc_resize(class->blocks, class->blocks_size, sizeof(*class->blocks));
	}
	class->last_room = last_room(class, 1);
	class->last_shown = 0;
	class->blocks[b] =
		(struct audience_block){.dests = block_alloc(class->last_room), .fresh = true};
}

struct audience_place audience_put(
	struct audience *audience, struct audience_class *class, const struct fanout_dest *dest)
{
	uint32_t at = class->n, slot = at % AUDIENCE_BLOCK;
	if (slot == 0) {
		class_add_block(class);
	} else if (slot == class->last_room) {
		class->last_room = last_room(class, slot + 1);
		class->last_shown = 0;
		block_renew(audience, class, at / AUDIENCE_BLOCK, slot, class->last_room);
	}
	class->n++;
	audience->n_receivers++;
	*class_write(audience, class, at) = *dest;
	return (struct audience_place){.class = class, .at = at};
}

static const struct fanout_dest *class_dest(const struct audience_class *class, uint32_t at)
{
	return &class->blocks[at / AUDIENCE_BLOCK].dests[at % AUDIENCE_BLOCK];
}

void audience_replace(
	struct audience *audience, struct audience_place place, const struct fanout_dest *dest)
{
	if (memcmp(class_dest(place.class, place.at), dest, sizeof(*dest)) != 0)
		*class_write(audience, place.class, place.at) = *dest;
}

uint32_t audience_take(struct audience *audience, struct audience_place place)
{
	struct audience_class *class = place.class;
	uint32_t last = class->n - 1, moved = LEG_NONE;
	bin_touch(audience, class);
	audience->n_receivers--;
	if (place.at != last) {
		moved = class_dest(class, last)->leg;
		*class_write(audience, class, place.at) = *class_dest(class, last);
	}
	class->n--;
	if (last % AUDIENCE_BLOCK == 0) {
		block_leave(audience, &class->blocks[last / AUDIENCE_BLOCK]);
		class->last_room = class->last_shown = AUDIENCE_BLOCK;
	}
	if (class->n == 0)
		class_drop(audience, class);
	return moved;
}

// --- fan-out

static void release_fanout(void *fanout, uint32_t unused)
{
	(void)unused;
	fanout_free(fanout);
}

static void release_memory(void *memory, uint32_t unused)
{
	(void)unused;
	free(memory);
}

void audience_publish(struct audience *audience, struct retire *retire)
{
	if (!audience->changed)
		return;
	audience->changed = false;
	struct fanout *before = atomic_exchange_explicit(
		&audience->fanout, fanout_make(audience), memory_order_acq_rel);
	if (before != &fanout_empty)
		retire_later(retire, release_fanout, before, 0);
	for (uint32_t i = 0; i < audience->n_old; i++)
		retire_later(retire, release_memory, audience->old[i], 0);
	free(audience->old);
	audience->old = NULL;
	audience->n_old = audience->old_size = 0;
}

void audience_free(struct audience *audience)
{
	for (uint32_t c = 0; c < audience->n_classes; c++) {
		struct audience_class *class = audience->classes[c];
		for (uint32_t b = 0; b < class_n_blocks(class); b++)
			free(class->blocks[b].dests);
		class_free(class);
	}
	for (uint32_t b = 0; b < audience->n_bins; b++) {
		free(audience->bins[b].classes);
		free(audience->bins[b].shown);
	}
	for (uint32_t i = 0; i < audience->n_old; i++)
		free(audience->old[i]);
	fanout_free(atomic_load(&audience->fanout));
	map_free(audience->by_rule);
	map_free(audience->by_space);
	free(audience->bins);
	free(audience->classes);
	free(audience->old);
	free(audience);
}

static void release_audience(void *audience, uint32_t unused)
{
	(void)unused;
	audience_free(audience);
}

void audience_end(struct audience *audience, struct retire *retire)
{
	if (audience)
		retire_later(retire, release_audience, audience, 0);
}
