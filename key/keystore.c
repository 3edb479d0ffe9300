// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/keystore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"
#include "base/secmem.h"
#include "dataplane/relay_tables.h"
#include "dataplane/retire.h"
#include "key/key_context.h"
#include "key/key_domain.h"
#include "key/key_record.h"
#include "key/key_ring.h"
#include "key/key_slot.h"
#include "key/key_user.h"

int keystore_init(struct keystore *store, struct relay *relay, struct retire *retire,
	struct users *users, struct notices *notices, uint32_t max)
{
	*store = (struct keystore){
		.relay = relay,
		.retire = retire,
		.users = users,
		.notices = notices,
		.slots = map_new(),
		.domains = map_new(),
		.scopes = map_new(),
		.groups = map_new(),
		.owner_uses = map_new(),
		.max = max,
		.next_scope = 1,
	};
	store->roots = secmem_map(max * sizeof(*store->roots));
	store->secrets = secmem_map(max * sizeof(*store->secrets));
	store->free_roots = secmem_map(max * sizeof(*store->free_roots));
	if (index_spaces_init(&store->spaces, relay->keys.size) == 0 && store->slots &&
		store->domains && store->scopes && store->groups && store->owner_uses &&
		store->roots && store->secrets && store->free_roots)
		return 0;
	return -ENOMEM;
}

static bool secret_equal(const struct key_secret *a, const struct key_secret *b)
{
	return a->value_len == b->value_len && a->rand_len == b->rand_len &&
	       secmem_equal(a->value, b->value, a->value_len) &&
	       secmem_equal(a->rand, b->rand, a->rand_len);
}

static bool profile_equal(const struct key_profile *a, const struct key_profile *b)
{
	return a->suite == b->suite && a->mki_len == b->mki_len && a->roc_rate == b->roc_rate;
}

bool key_admit(struct keystore *store, uint32_t scope, const struct key_spec *spec, bool replace,
	const char *path, struct rpc_error *error)
{
	const struct key_slot *slot = scope == 0 ? NULL : keystore_find(store, scope, spec->id);
	const char *group;
	const struct key_slot *other = key_groups_collide(store, scope, spec, &group);
	if (slot && slot->installed) {
		bool free = replace || slot->state == KEY_EXPIRED;
		if (!free && !secret_equal(&store->secrets[slot->index], &spec->secret))
			rpc_fail(error, RPC_CONFLICT, path,
				"key %08x is installed with other bytes; accepted: the same, or "
				"replace",
				spec->id);
		else if (!free && spec->has_profile &&
			 !profile_equal(&slot->profile, &spec->profile))
			rpc_fail(error, RPC_CONFLICT, path,
				"key %08x is installed with another profile; accepted: the same, "
				"none, or replace",
				spec->id);
	} else if (store->n_roots + store->n_promised >= store->max) {
		rpc_fail(error, RPC_LIMIT, path,
			"is one key too many; accepted: %u, by limits.keys", store->max);
	}
	if (other)
		rpc_fail(error, RPC_CONFLICT, path,
			"is from another GMS than key %08x; accepted: keys from one GMS in a "
			"domain for the group %s",
			other->id, group);
	return error->code == RPC_OK;
}

void keystore_promise(struct keystore *store, int n)
{
	store->n_promised += (uint32_t)n;
}

static enum key_state state_at(const struct key_slot *slot, time_t now)
{
	if (slot->expiry != 0 && now >= slot->expiry)
		return KEY_EXPIRED;
	return now < slot->activation ? KEY_PENDING : KEY_ACTIVE;
}

// To be called with -1 before, and +1 after, the type or state of an installed key changes.
static void store_count(struct keystore *store, const struct key_slot *slot, int change)
{
	store->n_by_state[slot->type][slot->state] += (uint32_t)change;
}

static void store_note_due(struct keystore *store, const struct key_slot *slot)
{
	time_t due = slot->state == KEY_PENDING ? slot->activation : slot->expiry;
	if (slot->state != KEY_EXPIRED && due != 0 && (store->due == 0 || due < store->due))
		store->due = due;
}

static void slot_take_root(struct keystore *store, struct key_slot *slot)
{
	// Indices of removed keys are reused once no worker can reach them any more.
	if (store->n_free == 0 && store->n_touched == store->max) {
		if (store->finish)
			store->finish(store->finish_arg);
		retire_all(store->retire);
	}
	slot->index = store->n_free > 0 ? store->free_roots[--store->n_free] : store->n_touched++;
	store->roots[slot->index] = slot;
	store->n_roots++;
	slot->installed = true;
}

// No worker looks up talkers under that root key any more: its index can be reused.
static void root_release(void *arg, uint32_t index)
{
	struct keystore *store = arg;
	store->free_roots[store->n_free++] = index;
}

// What owners made of the key may name its root index until they have followed.
static void root_leave(struct keystore *store, uint32_t index)
{
	if (!store->finish) {
		retire_later(store->retire, root_release, store, index);
		return;
	}
	if (store->n_left == store->left_size) {
		store->left_size = store->left_size ? store->left_size * 2 : 16;
		store->left = alloc_resize(store->left, store->left_size, sizeof(*store->left));
	}
	store->left[store->n_left++] = index;
}

// The key's octets become others while owners still name its root index.
static void slot_change_root(struct keystore *store, struct key_slot *slot)
{
	uint32_t before = slot->index;
	secmem_wipe(&store->secrets[before], sizeof(struct key_secret));
	key_slot_clear_users(store, slot);
	store->roots[before] = NULL;
	store->n_roots--;
	root_leave(store, before);
	slot_take_root(store, slot);
}

// Of a key that is stated again, not by a message, the GMS stays what it was.
static void slot_source_set(struct key_slot *slot, bool same, const char *source)
{
	if (same && !source)
		return;
	free(slot->source);
	slot->source = source ? alloc_string(source) : NULL;
}

static void slot_session_set(struct key_slot *slot, const char *session)
{
	free(slot->session);
	slot->session = session ? alloc_string(session) : NULL;
}

void keystore_watch_installed(
	struct keystore *store, void (*watch)(void *arg, struct key_slot *slot), void *arg)
{
	store->watch = watch;
	store->watch_arg = arg;
}

// Contexts that wait for owners to follow go at once, if there is not room for as many new ones beside them.
static void store_make_room(struct keystore *store)
{
	const struct key_table *table = &store->relay->keys;
	if (store->finish && table->size - table->n_used < store->n_left_ctxs)
		store->finish(store->finish_arg);
}

void key_install(struct keystore *store, uint32_t scope, const struct key_spec *spec)
{
	struct key_slot *slot = key_slot_take(store, scope, spec->id);
	bool same = slot->installed && slot->state != KEY_EXPIRED &&
		    secret_equal(&store->secrets[slot->index], &spec->secret);
	bool replaced = slot->installed && !same;
	if (slot->installed)
		store_count(store, slot, -1);
	else
		slot_take_root(store, slot);
	if (!same) {
		// The old key's contexts have the same names: they are retired first, and before
		// them every reference to them.
		slot->state = KEY_PENDING;
		key_slot_changed(store, slot);
		key_slot_retire_ctxs(store, slot);
		store_make_room(store);
		if (replaced && store->finish)
			slot_change_root(store, slot);
		store->secrets[slot->index] = spec->secret;
	}
	// Never back, even if the clock is set back.
	bool stays_active =
		same && slot->state == KEY_ACTIVE && slot->activation == spec->activation;
	if (!same || slot->activation != spec->activation)
		slot->activated = spec->activation != 0 ? spec->activation : time(NULL);
	if (!same) {
		slot->serial = ++store->install_serial;
		memset(slot->n_protected, 0, sizeof(slot->n_protected));
	}
	slot_source_set(slot, same, spec->source);
	slot_session_set(slot, spec->session);
	if (!same)
		key_record_drop(store, slot);
	slot->type = spec->type;
	slot->activation = spec->activation;
	slot->expiry = spec->expiry;
	// Members that were not stated are kept: media continues in its profile, and in its ring.
	if (!same || spec->has_profile)
		slot->profile = spec->profile;
	struct key_groups before = {.n = 0};
	if (!same || spec->groups)
		before = key_groups_change(store, slot, spec->groups);
	key_slot_set_users(store, slot, spec);
	slot->state = state_at(slot, time(NULL));
	if (stays_active && slot->state == KEY_PENDING)
		slot->state = KEY_ACTIVE;
	if (store->watch)
		store->watch(store->watch_arg, slot);
	store_count(store, slot, +1);
	key_slot_prederive(store, slot);
	key_slot_changed(store, slot);
	key_groups_changed(store, &before);
	key_groups_leave(store, slot, &before);
	if (slot->state != KEY_ACTIVE)
		key_slot_retire_ctxs(store, slot);
	else if (slot->type == KEY_GMK)
		key_slot_revalidate(store, slot);
	store_note_due(store, slot);
	key_record(store, slot);
}

// Takes a key's octets and contexts out of use.
static void slot_wipe(struct keystore *store, struct key_slot *slot)
{
	key_slot_changed(store, slot);
	key_slot_retire_ctxs(store, slot);
	secmem_wipe(&store->secrets[slot->index], sizeof(struct key_secret));
}

void keystore_owners_follow(struct keystore *store, void (*finish)(void *arg), void *arg)
{
	store->finish = finish;
	store->finish_arg = arg;
}

void keystore_owners_followed(struct keystore *store)
{
	store->finish = NULL;
	for (uint32_t i = 0; i < store->n_left; i++)
		retire_later(store->retire, root_release, store, store->left[i]);
	store->n_left = 0;
	key_ctxs_retire_left(store);
}

bool key_remove(struct keystore *store, uint32_t scope, uint32_t id)
{
	struct key_slot *slot = keystore_find(store, scope, id);
	if (!slot || !slot->installed)
		return false;
	store_count(store, slot, -1);
	slot->installed = false;
	slot_wipe(store, slot);
	key_slot_clear_users(store, slot);
	store->roots[slot->index] = NULL;
	store->n_roots--;
	root_leave(store, slot->index);
	key_record(store, slot);
	key_slot_release(store, slot);
	return true;
}

struct notice_key key_notice_of(const struct keystore *store, const struct key_slot *slot)
{
	const char *domain = keystore_domain_name(store, slot->scope);
	return (struct notice_key){
		.scope = slot->scope,
		.id = slot->id,
		.type = slot->installed ? key_type_names[slot->type] : NULL,
		.domain = domain,
		.session = !domain && slot->owners ? slot->owners->owner->id : NULL,
	};
}

static void slot_advance(struct keystore *store, struct key_slot *slot, time_t now)
{
	enum key_state state = state_at(slot, now);
	// Never back, even if the clock is set back.
	if (!slot->installed || state <= slot->state)
		return;
	store_count(store, slot, -1);
	slot->state = state;
	store_count(store, slot, +1);
	struct notice_key key = key_notice_of(store, slot);
	struct notice advanced = {
		.type = state == KEY_ACTIVE ? NOTICE_KEY_ACTIVATED : NOTICE_KEY_EXPIRED,
		.key = &key};
	notice(store->notices, &advanced);
	if (state == KEY_EXPIRED) {
		slot_wipe(store, slot);
		key_record(store, slot);
	} else {
		key_slot_prederive(store, slot);
		key_slot_changed(store, slot);
		key_record(store, slot);
	}
}

static void keystore_advance(struct keystore *store, time_t now)
{
	store->due = 0;
	for (uint32_t i = 0; i < store->n_touched; i++) {
		if (!store->roots[i])
			continue;
		slot_advance(store, store->roots[i], now);
		store_note_due(store, store->roots[i]);
	}
}

void keystore_tick(struct keystore *store)
{
	time_t now = time(NULL);
	if (store->due != 0 && now >= store->due)
		keystore_advance(store, now);
	keystore_review_provisional(store);
}

void keystore_fini(struct keystore *store)
{
	for (uint32_t i = 0; i < store->n_touched; i++)
		if (store->roots[i])
			key_remove(store, store->roots[i]->scope, store->roots[i]->id);
	retire_all(store->retire);
	key_domains_free(store);
	index_spaces_fini(&store->spaces);
	free(store->provisional);
	key_streams_fini(store);
	free(store->left);
	free(store->left_ctxs);
	map_free(store->slots);
	map_free(store->groups);
	map_free(store->owner_uses);
	secmem_unmap(store->roots, store->max * sizeof(*store->roots));
	secmem_unmap(store->secrets, store->max * sizeof(*store->secrets));
	secmem_unmap(store->free_roots, store->max * sizeof(*store->free_roots));
}
