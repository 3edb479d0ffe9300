// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/audience.h"

#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "base/alloc.h"
#include "crypto/suite.h"
#include "dataplane/leg.h"

// Shared by all that have no receivers; never freed.
static struct fanout fanout_empty = {.n_variants = 0};

struct audience *audience_new(void)
{
	struct audience *audience = alloc_zero(1, sizeof(*audience));
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
	free(class);
}

// --- variants

#define DIFFER(member)                                                                             \
	if (a->member != b->member)                                                                \
	return a->member < b->member ? -1 : 1

static int variant_compare(const struct fanout_variant *a, const struct fanout_variant *b)
{
	DIFFER(mode);
	DIFFER(key.root);
	DIFFER(key.suite);
	DIFFER(cs_id);
	DIFFER(ctx);
	DIFFER(by_talker);
	DIFFER(encrypt);
	DIFFER(key.mki_len);
	DIFFER(key.roc_rate);
	DIFFER(n_others);
	return memcmp(a->others, b->others, sizeof(a->others));
}

// --- blocks

static uint32_t class_n_blocks(const struct audience_class *class)
{
	return (class->n + AUDIENCE_BLOCK - 1) / AUDIENCE_BLOCK;
}

static uint32_t block_n(const struct audience_class *class, uint32_t block)
{
	uint32_t before = block * AUDIENCE_BLOCK;
	return class->n - before < AUDIENCE_BLOCK ? class->n - before : AUDIENCE_BLOCK;
}

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
	if (audience->n_old == audience->old_size) {
		audience->old_size = audience->old_size ? audience->old_size * 2 : 4;
		audience->old = alloc_resize(
			audience->old, audience->old_size, sizeof(struct fanout_dest *));
	}
	audience->old[audience->n_old++] = block->dests;
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
	audience->changed = true;
	if (!class->blocks[b].fresh && !(last && slot >= class->last_shown)) {
		block_renew(audience, class, b, block_n(class, b),
			last ? class->last_room : AUDIENCE_BLOCK);
		if (last)
			class->last_shown = 0;
	}
	return &class->blocks[b].dests[slot];
}

// --- receivers

struct audience_class *audience_find_class(
	const struct audience *audience, const uint8_t rule[], size_t len)
{
	for (uint32_t c = 0; c < audience->n_classes; c++) {
		struct audience_class *class = audience->classes[c];
		if (class->rule_len == len && memcmp(class->rule, rule, len) == 0)
			return class;
	}
	return NULL;
}

struct audience_class *audience_open_class(struct audience *audience, const uint8_t rule[],
	size_t len, const struct fanout_variant *variant)
{
	struct audience_class *class = alloc_zero(1, sizeof(*class) + len);
	class->rule_len = (uint16_t)len;
	memcpy(class->rule, rule, len);
	if (audience->n_classes == audience->classes_size) {
		audience->classes_size = audience->classes_size ? audience->classes_size * 2 : 2;
		audience->classes = alloc_resize(
			audience->classes, audience->classes_size, sizeof(struct audience_class *));
	}
	class->position = audience->n_classes;
	class->variant = *variant;
	audience->classes[audience->n_classes++] = class;
	return class;
}

void audience_set_variant(struct audience *audience, struct audience_class *class,
	const struct fanout_variant *variant)
{
	if (variant_compare(&class->variant, variant) == 0)
		return;
	class->variant = *variant;
	audience->changed = true;
}

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

static void audience_drop_class(struct audience *audience, struct audience_class *class)
{
	struct audience_class *last = audience->classes[--audience->n_classes];
	audience->classes[class->position] = last;
	last->position = class->position;
	class_free(class);
}

uint32_t audience_take(struct audience *audience, struct audience_place place)
{
	struct audience_class *class = place.class;
	uint32_t last = class->n - 1, moved = LEG_NONE;
	audience->changed = true;
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
		audience_drop_class(audience, class);
	return moved;
}

// --- fan-out

// A class among others: those by talker first, then by index space, those of the same variant next
// to each other.
struct class_order {
	bool fixed;
	uint64_t space;
	const struct audience_class *class;
};

// Variants share packets if they have the same session key: that of one talker under one GMK, whose
// key both AES-CM suites share, or one that was derived for both.
static uint64_t variant_space(const struct fanout_variant *variant, const struct key_table *keys)
{
	if (variant->ctx != KEY_NONE)
		return keys->ctxs[variant->ctx].space;
	return UINT64_C(1) << 63 | (uint64_t)variant->mode << 48 |
	       (uint64_t)srtp_suite_is_aead(variant->key.suite) << 40 |
	       (uint64_t)variant->cs_id << 32 | variant->key.root;
}

static int class_order_compare(const void *x, const void *y)
{
	const struct class_order *a = x, *b = y;
	DIFFER(fixed);
	DIFFER(space);
	return variant_compare(&a->class->variant, &b->class->variant);
}

#undef DIFFER

static bool class_begins_variant(const struct class_order order[], uint32_t at)
{
	return at == 0 || class_order_compare(&order[at - 1], &order[at]) != 0;
}

static struct fanout *fanout_alloc(uint32_t n_variants, uint32_t n_more)
{
	const size_t line = alignof(struct fanout);
	size_t octets = sizeof(struct fanout) + n_variants * sizeof(struct fanout_variant) +
			n_more * sizeof(struct fanout_part);
	struct fanout *fanout = aligned_alloc(line, (octets + line - 1) / line * line);
	if (!fanout)
		alloc_failed(__func__, octets);
	*fanout = (struct fanout){.n_variants = 0};
	return fanout;
}

// The blocks of a class as parts of a variant; *more is where the next part goes that is not the
// first.
static void variant_add_class(
	struct fanout_variant *variant, struct audience_class *class, struct fanout_part **more)
{
	uint32_t n_blocks = class_n_blocks(class);
	for (uint32_t b = 0; b < n_blocks; b++) {
		struct fanout_part part = {class->blocks[b].dests, block_n(class, b)};
		class->blocks[b].fresh = false;
		if (variant->n_dests == 0) {
			variant->first = part;
			variant->more = *more;
		} else {
			*(*more)++ = part;
			variant->n_more++;
		}
		variant->n_dests += part.n;
	}
	uint32_t last_n = block_n(class, n_blocks - 1);
	if (class->last_shown < last_n)
		class->last_shown = last_n;
	variant->only_leg = variant->n_dests == 1 ? variant->first.dests[0].leg : LEG_NONE;
}

static uint16_t fanout_rate_more(const struct fanout *fanout)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < fanout->n_variants; i++)
		n += fanout->variants[i].n_dests;
	return (uint16_t)RTE_MIN(n / FANOUT_RATE_RECEIVERS, (uint32_t)UINT16_MAX);
}

static struct fanout *fanout_make(
	const struct audience *audience, const struct class_order order[], uint32_t n)
{
	uint32_t n_variants = 0, n_blocks = 0;
	for (uint32_t i = 0; i < n; i++) {
		n_variants += class_begins_variant(order, i);
		n_blocks += class_n_blocks(order[i].class);
	}
	struct fanout *fanout = fanout_alloc(n_variants, n_blocks - n_variants);
	struct fanout_part *more = (struct fanout_part *)&fanout->variants[n_variants];
	for (uint32_t i = 0; i < n; i++) {
		struct audience_class *class = audience->classes[order[i].class->position];
		if (class_begins_variant(order, i)) {
			fanout->variants[fanout->n_variants++] = class->variant;
			fanout->n_talker_variants += class->variant.by_talker;
		}
		variant_add_class(&fanout->variants[fanout->n_variants - 1], class, &more);
	}
	fanout->rate_more = fanout_rate_more(fanout);
	return fanout;
}

static struct fanout *audience_make_fanout(
	const struct audience *audience, const struct key_table *keys)
{
	uint32_t n = audience->n_classes;
	if (n == 0)
		return &fanout_empty;
	struct class_order *order = alloc_zero(n, sizeof(*order));
	for (uint32_t i = 0; i < n; i++) {
		const struct audience_class *class = audience->classes[i];
		order[i] = (struct class_order){.fixed = !class->variant.by_talker,
			.space = variant_space(&class->variant, keys),
			.class = class};
	}
	qsort(order, n, sizeof(*order), class_order_compare);
	struct fanout *fanout = fanout_make(audience, order, n);
	free(order);
	return fanout;
}

static void release_fanout(void *fanout, uint32_t unused)
{
	(void)unused;
	fanout_free(fanout);
}

static void release_block(void *dests, uint32_t unused)
{
	(void)unused;
	free(dests);
}

void audience_publish(
	struct audience *audience, const struct key_table *keys, struct retire *retire)
{
	if (!audience->changed)
		return;
	audience->changed = false;
	struct fanout *before = atomic_exchange_explicit(
		&audience->fanout, audience_make_fanout(audience, keys), memory_order_acq_rel);
	if (before != &fanout_empty)
		retire_later(retire, release_fanout, before, 0);
	for (uint32_t i = 0; i < audience->n_old; i++)
		retire_later(retire, release_block, audience->old[i], 0);
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
	for (uint32_t i = 0; i < audience->n_old; i++)
		free(audience->old[i]);
	fanout_free(atomic_load(&audience->fanout));
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
