// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/key_user.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "crypto/mcx_kdf.h"
#include "dataplane/relay_tables.h"
#include "dataplane/retire.h"
#include "key/users.h"

bool key_guk_id(
	struct keystore *store, const struct key_slot *slot, const char *user, uint32_t *guk_id)
{
	const struct key_secret *secret = &store->secrets[slot->index];
	bool made = mcx_guk_id(secret->value, secret->value_len, slot->id, user, guk_id) == 0;
	if (!made)
		log_limited(LOG_LEVEL_ERROR,
			"guk_id_not_made key=%08x reason=\"OpenSSL gives no HMAC-SHA-256, or no "
			"memory\"",
			slot->id);
	return made;
}

struct key_user *key_slot_find_user(const struct key_slot *slot, uint32_t guk_id)
{
	uint32_t low = 0, high = slot->n_users;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (slot->users[middle].guk_id == guk_id)
			return &slot->users[middle];
		if (slot->users[middle].guk_id < guk_id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

uint32_t key_slot_user_named(const struct key_slot *slot, uint32_t guk_id)
{
	const struct key_user *user = key_slot_find_user(slot, guk_id);
	return user && !user->ambiguous ? user->user : USER_NONE;
}

static int key_user_compare(const void *a, const void *b)
{
	const struct key_user *x = a, *y = b;
	return (x->guk_id > y->guk_id) - (x->guk_id < y->guk_id);
}

static void guk_set_release(void *set, uint32_t index)
{
	(void)index;
	free(set);
}

// Tells workers who may send. NULL: whoever has the key.
static void guk_set_publish(
	struct keystore *store, const struct key_slot *slot, struct guk_set *set)
{
	struct guk_set *before = atomic_exchange_explicit(
		&store->relay->keys.guk_sets[slot->index], set, memory_order_acq_rel);
	if (before)
		retire_later(store->retire, guk_set_release, before, 0);
}

static struct guk_set *guk_set_of(const struct key_slot *slot)
{
	if (!slot->closed)
		return NULL;
	struct guk_set *set = guk_set_new(slot->n_users);
	for (uint32_t i = 0; i < slot->n_users; i++)
		guk_set_add(set, slot->users[i].guk_id);
	return set;
}

static void users_free(struct keystore *store, struct key_slot *slot)
{
	for (uint32_t i = 0; i < slot->n_users; i++)
		user_release(store->users, slot->users[i].user);
	free(slot->users);
	slot->users = NULL;
	slot->n_users = 0;
}

void key_slot_clear_users(struct keystore *store, struct key_slot *slot)
{
	users_free(store, slot);
	guk_set_publish(store, slot, NULL);
}

void key_slot_set_users(struct keystore *store, struct key_slot *slot, const struct key_spec *spec)
{
	users_free(store, slot);
	slot->closed = spec->closed;
	size_t n = spec->users ? json_array_size(spec->users) : 0, i;
	json_t *item;
	slot->users = alloc_zero(n, sizeof(*slot->users));
	json_array_foreach ((json_t *)(uintptr_t)spec->users, i, item) {
		struct key_user *user = &slot->users[slot->n_users];
		if (!key_guk_id(store, slot, json_string_value(item), &user->guk_id))
			continue;
		user->user = user_take(store->users, json_string_value(item));
		slot->n_users++;
	}
	qsort(slot->users, slot->n_users, sizeof(*slot->users), key_user_compare);
	for (uint32_t u = 1; u < slot->n_users; u++) {
		struct key_user *a = &slot->users[u - 1], *b = &slot->users[u];
		if (a->guk_id == b->guk_id && a->user != b->user) {
			log_limited(LOG_LEVEL_WARNING, "guk_id_collision key=%08x guk_id=%08x",
				slot->id, a->guk_id);
			a->ambiguous = b->ambiguous = true;
		}
	}
	guk_set_publish(store, slot, guk_set_of(slot));
}
