// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// Receivers of which each has a key of its own: what a change of one costs does not grow with how many there are, counted
// in memory that is taken and retired; each is in the fan-out once, and what is under one session key stands together.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/audience.h"
#include "dataplane/leg.h"
#include "tests/unit/work_count.h"

enum {
	FEW = 100,
	MANY = 10000,
	CROWD = 400,
	SPACES = 150,
	// The list of runs, and what is rounded up: no fiftieth of what the variants take.
	MORE_OCTETS = MANY / AUDIENCE_BIN * sizeof(struct fanout_run) + 1024,
};

static struct key_ctx *ctxs;
static struct key_table keys;

// --- work

void __wrap_retire_later(struct retire *retire, retire_fn release, void *what, uint32_t index);

// There is no worker.
void __wrap_retire_later(struct retire *retire, retire_fn release, void *what, uint32_t index)
{
	(void)retire;
	work.retired++;
	release(what, index);
}

// --- receivers

// How a receiver is protected; its leg is its number.
struct stated {
	bool there, plain, no_key, by_talker;
	uint32_t ctx;
	uint8_t mki_len;
	uint8_t n_others;
	uint16_t zero; // its octets are a rule: no padding
};

static struct stated stated[MANY + 1];
static struct audience_place places[MANY + 1];

static struct fanout_variant variant_of(
	const struct stated *receiver, struct fanout_key others[FANOUT_OTHERS_MAX])
{
	struct fanout_variant variant = {
		.mode = LEG_SRTP, .key = {.root = KEY_NONE}, .ctx = KEY_NONE, .others = others};
	if (receiver->plain)
		variant.mode = LEG_PLAIN;
	if (receiver->plain || receiver->no_key)
		return variant;
	variant.by_talker = receiver->by_talker;
	variant.key = (struct fanout_key){.root = receiver->ctx, .mki_len = receiver->mki_len};
	variant.ctx = receiver->by_talker ? KEY_NONE : receiver->ctx;
	for (uint8_t i = 0; i < receiver->n_others; i++)
		others[variant.n_others++] = (struct fanout_key){.root = 1000000U + i};
	return variant;
}

static void receiver_join(struct audience *audience, uint32_t number, const struct stated *as)
{
	struct fanout_key others[FANOUT_OTHERS_MAX];
	struct fanout_variant variant = variant_of(as, others);
	struct fanout_dest dest = {.leg = number};
	uint8_t rule[sizeof(*as)];
	memcpy(rule, as, sizeof(rule));
	struct audience_class *class = audience_find_class(audience, rule, sizeof(rule));
	if (!class)
		class = audience_open_class(audience, rule, sizeof(rule), &variant);
	places[number] = audience_put(audience, class, &dest);
	stated[number] = *as;
	// What becomes of one in a class becomes of all.
	for (uint32_t i = 0; i < CROWD && class->n > 1; i++)
		if (i != number && stated[i].there && places[i].class == class)
			stated[number] = stated[i];
}

static void receiver_leave(struct audience *audience, uint32_t number)
{
	uint32_t moved = audience_take(audience, places[number]);
	if (moved != LEG_NONE)
		places[moved].at = places[number].at;
	memset(&stated[number], 0, sizeof(stated[number]));
}

static struct stated with_own_key(uint32_t number)
{
	struct stated own;
	memset(&own, 0, sizeof(own));
	own.there = true;
	own.ctx = number;
	return own;
}

static void receiver_join_with_own_key(struct audience *audience, uint32_t number)
{
	struct stated own = with_own_key(number);
	receiver_join(audience, number, &own);
	audience_publish(audience, NULL);
}

// --- cost

enum change { JOIN, CHANGE_KEY, MOVE, LEAVE, CHANGES };

static void change_make(struct audience *audience, enum change change, uint32_t n)
{
	struct stated other_key = with_own_key(n + 1);
	struct fanout_dest dest = {.leg = n / 2, .port = 1};
	switch (change) {
	case JOIN:
		receiver_join_with_own_key(audience, n);
		break;
	case CHANGE_KEY:
		receiver_leave(audience, n / 2);
		receiver_join(audience, n / 2, &other_key);
		break;
	case MOVE:
		audience_replace(audience, places[n / 2], &dest);
		break;
	default:
		receiver_leave(audience, n / 2);
		break;
	}
	audience_publish(audience, NULL);
}

static void costs_among(uint32_t n, struct work costs[CHANGES])
{
	struct audience *audience = audience_new(&keys);
	for (uint32_t i = 0; i < n; i++)
		receiver_join_with_own_key(audience, i);
	for (enum change change = JOIN; change < CHANGES; change++) {
		work = (struct work){};
		change_make(audience, change, n);
		costs[change] = work;
	}
	audience_free(audience);
	memset(stated, 0, sizeof(stated));
}

static void a_change_costs_the_same_among_many_keys(void **state)
{
	(void)state;
	struct work few[CHANGES], many[CHANGES];
	costs_among(FEW, few);
	costs_among(MANY, many);
	for (enum change change = JOIN; change < CHANGES; change++) {
		assert_true(many[change].allocs <= few[change].allocs + 4);
		assert_true(many[change].octets <= few[change].octets + MORE_OCTETS);
		assert_true(many[change].retired <= few[change].retired + 2);
	}
}

// --- what is in the fan-out

static uint32_t random_below(uint32_t n)
{
	static uint64_t seed = 1;
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(seed >> 33) % n;
}

static struct stated random_receiver(void)
{
	struct stated receiver;
	memset(&receiver, 0, sizeof(receiver));
	receiver.there = true;
	receiver.plain = random_below(20) == 0;
	receiver.no_key = random_below(10) == 0;
	receiver.by_talker = random_below(10) == 0;
	receiver.ctx = random_below(receiver.by_talker ? 1 : 2 * SPACES); // few enough for a packet
	receiver.mki_len = (uint8_t)(4 * random_below(2));
	receiver.n_others = (uint8_t)random_below(3);
	return receiver;
}

static void expect_variant_of(const struct fanout_variant *variant, uint32_t leg, bool seen[CROWD])
{
	struct fanout_key others[FANOUT_OTHERS_MAX];
	struct fanout_variant right = variant_of(&stated[leg], others);
	assert_true(stated[leg].there);
	assert_false(seen[leg]);
	seen[leg] = true;
	assert_int_equal(variant_compare(variant, &right), 0);
}

// Each receiver once, in a variant that is its own; each index space in one place, and each way in it once.
static void expect_all(const struct audience *audience)
{
	const struct fanout *fanout = atomic_load(&audience->fanout);
	struct fanout_walk walk = fanout_walk_begin(fanout);
	const struct fanout_variant *variant, *before = NULL;
	bool seen[CROWD] = {false}, left[SPACES] = {false}, protects = false;
	for (uint32_t v = 0; (variant = fanout_walk_next(&walk)) != NULL; v++) {
		uint32_t space =
			variant->ctx == KEY_NONE ? KEY_NONE : keys.ctxs[variant->ctx].space;
		uint32_t was = !before || before->ctx == KEY_NONE ? KEY_NONE
								  : keys.ctxs[before->ctx].space;
		if (was != KEY_NONE && was != space)
			left[was] = true;
		if (space != KEY_NONE)
			assert_false(left[space]);
		if (space != KEY_NONE && before)
			assert_true(variant_compare(before, variant) != 0);
		assert_int_equal(variant->by_talker, v < fanout->n_talker_variants);
		protects |= variant->mode == LEG_SRTP;
		for (uint32_t p = 0; p <= variant->n_more; p++) {
			const struct fanout_part *part =
				p == 0 ? &variant->first : &variant->more[p - 1];
			for (uint32_t i = 0; i < part->n; i++)
				expect_variant_of(variant, part->dests[i].leg, seen);
		}
		before = variant;
	}
	assert_int_equal(protects, fanout->protects);
	for (uint32_t i = 0; i < CROWD; i++)
		assert_int_equal(seen[i], stated[i].there);
}

// What becomes of a class when its key changes.
static void class_change_randomly(struct audience *audience)
{
	struct audience_class *class = audience->classes[random_below(audience->n_classes)];
	struct stated becomes = random_receiver();
	struct fanout_key others[FANOUT_OTHERS_MAX];
	becomes.by_talker = false;
	for (uint32_t i = 0; i < CROWD; i++)
		if (stated[i].there && places[i].class == class)
			stated[i] = becomes;
	struct fanout_variant variant = variant_of(&becomes, others);
	audience_set_variant(audience, class, &variant);
}

static void each_receiver_is_there_once(void **state)
{
	(void)state;
	struct audience *audience = audience_new(&keys);
	for (unsigned round = 0; round < 6000; round++) {
		uint32_t number = random_below(CROWD);
		// many come, then many go
		bool comes = random_below(100) < (round / 1000 % 2 == 0 ? 90 : 20);
		if (stated[number].there)
			receiver_leave(audience, number);
		if (comes) {
			struct stated receiver = random_receiver();
			receiver_join(audience, number, &receiver);
		}
		if (audience->n_classes > 0 && random_below(10) == 0)
			class_change_randomly(audience);
		if (random_below(5) == 0) {
			audience_publish(audience, NULL);
			expect_all(audience);
		}
	}
	for (uint32_t i = 0; i < CROWD; i++)
		if (stated[i].there)
			receiver_leave(audience, i);
	audience_publish(audience, NULL);
	expect_all(audience);
	assert_int_equal(audience->n_bins, 0);
	assert_int_equal(audience->n_receivers, 0);
	audience_free(audience);
}

// Legs that change batch by batch have more of them for a while than before and after.
static void no_more_by_talker_than_a_packet_has_room_for(void **state)
{
	(void)state;
	struct audience *audience = audience_new(&keys);
	for (uint32_t number = 0; number <= FANOUT_TALKER_VARIANTS_MAX; number++) {
		struct stated receiver = with_own_key(number);
		receiver.by_talker = true;
		receiver_join(audience, number, &receiver);
	}
	audience_publish(audience, NULL);
	const struct fanout *fanout = atomic_load(&audience->fanout);
	struct fanout_walk walk = fanout_walk_begin(fanout);
	const struct fanout_variant *variant;
	uint32_t n = 0;
	for (; (variant = fanout_walk_next(&walk)) != NULL; n++) {
		assert_int_equal(variant->by_talker, n < FANOUT_TALKER_VARIANTS_MAX);
		assert_int_equal(variant->ctx, KEY_NONE);
	}
	assert_int_equal(n, FANOUT_TALKER_VARIANTS_MAX + 1);
	assert_int_equal(fanout->n_talker_variants, FANOUT_TALKER_VARIANTS_MAX);
	receiver_leave(audience, 0);
	audience_publish(audience, NULL);
	fanout = atomic_load(&audience->fanout);
	assert_int_equal(fanout->n_talker_variants, FANOUT_TALKER_VARIANTS_MAX);
	for (uint32_t number = 1; number <= FANOUT_TALKER_VARIANTS_MAX; number++)
		receiver_leave(audience, number);
	audience_free(audience);
}

static int keys_open(void **state)
{
	(void)state;
	ctxs = aligned_alloc(alignof(struct key_ctx), (MANY + 2) * sizeof(*ctxs));
	if (!ctxs)
		return -1;
	for (uint32_t i = 0; i < MANY + 2; i++)
		ctxs[i].space = i < 2 * SPACES ? i / 2 : i;
	keys.ctxs = ctxs;
	return 0;
}

static int keys_close(void **state)
{
	(void)state;
	free(ctxs);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_costs_the_same_among_many_keys),
		cmocka_unit_test(each_receiver_is_there_once),
		cmocka_unit_test(no_more_by_talker_than_a_packet_has_room_for),
	};
	return cmocka_run_group_tests(tests, keys_open, keys_close);
}
