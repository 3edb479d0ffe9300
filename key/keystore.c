// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/keystore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/map.h"
#include "base/secmem.h"
#include "crypto/mcx_kdf.h"
#include "dataplane/cryptodev.h"
#include "dataplane/retire.h"
#include "event/notice.h"
#include "key/users.h"

enum { PROVISIONAL_MS = 2000 }; // for a derived context to prove itself

struct key_domain {
	char *name;
	uint32_t scope;
};

const char *key_state_name(enum key_state state)
{
	static const char *const names[] = {"pending", "active", "expired"};
	return names[state];
}

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
		.groups = map_new(),
		.max = max,
		.next_scope = 1,
	};
	store->roots = secmem_map(max * sizeof(*store->roots));
	store->secrets = secmem_map(max * sizeof(*store->secrets));
	store->free_roots = secmem_map(max * sizeof(*store->free_roots));
	if (index_spaces_init(&store->spaces, relay->keys.size) == 0 && store->slots &&
		store->domains && store->groups && store->roots && store->secrets &&
		store->free_roots)
		return 0;
	return -ENOMEM;
}

// --- scopes
// ---------------------------------------------------------------------------------------------------

uint32_t keystore_domain_scope(struct keystore *store, const char *name)
{
	struct key_domain *domain = map_get(store->domains, name, strlen(name));
	if (domain)
		return domain->scope;
	if (store->n_domains == KEY_DOMAINS_MAX)
		return 0;
	domain = alloc_zero(1, sizeof(*domain));
	*domain = (struct key_domain){alloc_string(name), store->next_scope++};
	if (map_put(store->domains, name, strlen(name), domain, NULL) != 0)
		abort();
	store->by_scope =
		alloc_resize(store->by_scope, store->n_domains + 1, sizeof(*store->by_scope));
	store->by_scope[store->n_domains++] = domain;
	return domain->scope;
}

uint32_t keystore_domain_find(const struct keystore *store, const char *name)
{
	const struct key_domain *domain = map_get(store->domains, name, strlen(name));
	return domain ? domain->scope : 0;
}

const char *keystore_domain_name(const struct keystore *store, uint32_t scope)
{
	for (uint32_t i = 0; i < store->n_domains; i++)
		if (store->by_scope[i]->scope == scope)
			return store->by_scope[i]->name;
	return NULL;
}

uint32_t keystore_session_scope(struct keystore *store)
{
	return store->next_scope++;
}

// --- slots
// ----------------------------------------------------------------------------------------------------

struct key_slot *keystore_find(const struct keystore *store, uint32_t scope, uint32_t id)
{
	uint32_t name[2] = {scope, id};
	return map_get(store->slots, name, sizeof(name));
}

static struct key_slot *slot_take(struct keystore *store, uint32_t scope, uint32_t id)
{
	struct key_slot *slot = keystore_find(store, scope, id);
	if (slot)
		return slot;
	uint32_t name[2] = {scope, id};
	slot = alloc_zero(1, sizeof(*slot));
	slot->scope = scope;
	slot->id = id;
	if (map_put(store->slots, name, sizeof(name), slot, NULL) != 0)
		abort();
	return slot;
}

static void slot_release(struct keystore *store, struct key_slot *slot)
{
	if (slot->installed || slot->uses)
		return;
	uint32_t name[2] = {slot->scope, slot->id};
	struct key_groups groups = key_groups_change(store, slot, NULL);
	key_groups_leave(store, slot, &groups);
	free(slot->groups.groups);
	map_remove(store->slots, name, sizeof(name));
	free(slot->ctxs);
	free(slot);
}

struct key_use *key_use(
	struct keystore *store, uint32_t scope, uint32_t id, struct key_owner *owner)
{
	struct key_use *use = alloc_zero(1, sizeof(*use));
	use->slot = slot_take(store, scope, id);
	use->owner = owner;
	use->next = use->slot->uses;
	if (use->next)
		use->next->previous = use;
	use->slot->uses = use;
	return use;
}

void key_unuse(struct keystore *store, struct key_use *use)
{
	if (use->next)
		use->next->previous = use->previous;
	if (use->previous)
		use->previous->next = use->next;
	else
		use->slot->uses = use->next;
	slot_release(store, use->slot);
	free(use);
}

// Each owner once in a round of changes.
static void slot_tell_owners(struct keystore *store, struct key_slot *slot, void *arg)
{
	(void)arg;
	uint64_t round = store->change_round;
	for (struct key_use *use = slot->uses; use; use = use->next) {
		if (use->owner->round != round)
			use->owner->changed(use->owner);
		use->owner->round = round;
	}
}

// Tells those who name the key, and those who name another one of its groups.
static void slot_changed(struct keystore *store, struct key_slot *slot)
{
	store->change_round++;
	slot_tell_owners(store, slot, NULL);
	key_groups_visit(store, &slot->groups, slot_tell_owners, NULL);
}

// --- contexts
// -------------------------------------------------------------------------------------------------

// Last step: no worker can reach the streams of the index space any more.
static void space_release_streams(void *arg, uint32_t space)
{
	struct keystore *store = arg;
	stream_free_siblings(&store->relay->streams, &store->relay->keys.streams[space]);
	index_space_free(&store->spaces, space);
}

// Should the key come back, its SRTCP indices go on above those it had.
static void srtcp_floor_raise(struct relay *relay, uint32_t space)
{
	uint32_t next = atomic_exchange(&relay->keys.srtcp_next[space], 0);
	if (next > atomic_load(&relay->srtcp_floor))
		atomic_store(&relay->srtcp_floor, next);
}

// Wipes a context that no worker can reach, with what a crypto device has of it.
static void ctx_free(struct keystore *store, uint32_t index)
{
	if (store->relay->cryptodev)
		cryptodev_key_close(store->relay->cryptodev, index);
	key_table_free(&store->relay->keys, index);
}

// No worker can use the context any more: its octets go at once, its streams with the last one of
// its kind.
static void ctx_release(void *arg, uint32_t index)
{
	struct keystore *store = arg;
	struct key_ctx *ctx = &store->relay->keys.ctxs[index];
	if (index_space_release(&store->spaces, ctx->space)) {
		srtcp_floor_raise(store->relay, ctx->space);
		stream_unlink_siblings(
			&store->relay->streams, &store->relay->keys.streams[ctx->space]);
		retire_later(store->retire, space_release_streams, store, ctx->space);
	}
	user_release(store->users, (uint32_t)ctx->by_talker.mki);
	ctx_free(store, index);
}

static void ctx_retire(struct keystore *store, uint32_t ctx)
{
	key_table_unpublish(&store->relay->keys, ctx);
	retire_later(store->retire, ctx_release, store, ctx);
}

static void slot_retire_ctxs(struct keystore *store, struct key_slot *slot)
{
	for (uint32_t i = 0; i < slot->n_ctxs; i++)
		ctx_retire(store, slot->ctxs[i]);
	slot->n_ctxs = 0;
}

static void slot_add_ctx(struct key_slot *slot, uint32_t ctx)
{
	if (slot->n_ctxs == slot->ctxs_size) {
		slot->ctxs_size = slot->ctxs_size ? slot->ctxs_size * 2 : 2;
		slot->ctxs = alloc_resize(slot->ctxs, slot->ctxs_size, sizeof(*slot->ctxs));
	}
	slot->ctxs[slot->n_ctxs++] = ctx;
}

// False if the key no longer has it: it is on its way already.
static bool slot_remove_ctx(struct key_slot *slot, uint32_t ctx)
{
	for (uint32_t i = slot->n_ctxs; i-- > 0;) {
		if (slot->ctxs[i] != ctx)
			continue;
		slot->ctxs[i] = slot->ctxs[--slot->n_ctxs];
		return true;
	}
	return false;
}

// TGK to expanded session key: RFC 3830 4.1.3, RFC 3711 4.3.
static int ctx_derive_key(struct keystore *store, const struct key_slot *slot,
	const struct key_name *name, uint32_t csb_id, struct key_ctx *ctx)
{
	const struct key_secret *secret = &store->secrets[slot->index];
	struct srtp_master master;
	struct srtp_session session;
	int rc = mikey_derive_master(secret->value, secret->value_len, name->cs_id, csb_id,
		secret->rand, secret->rand_len, name->suite, &master);
	if (rc == 0)
		rc = srtp_kdf(&master, name->suite, name->protocol, &session);
	if (rc == 0)
		rc = cipher_of_suite(store->relay->cipher, name->suite)
			     ->expand(name->suite, session.key, ctx->key);
	if (rc == 0 && store->relay->cryptodev && srtp_suite_is_aead(name->suite))
		rc = cryptodev_key_open(store->relay->cryptodev,
			(uint32_t)(ctx - store->relay->keys.ctxs), name->suite, session.key);
	if (rc == 0) {
		memcpy(ctx->salt, session.salt, sizeof(ctx->salt));
		ctx->space = index_space_take(&store->spaces, &session);
		rc = ctx->space == UINT32_MAX ? -EIO : 0;
	}
	secmem_wipe(&master, sizeof(master));
	secmem_wipe(&session, sizeof(session));
	return rc;
}

static struct key_name name_by_talker(
	const struct key_slot *slot, const struct key_name *by_mki, uint32_t user)
{
	return (struct key_name){
		.mki = (uint64_t)slot->index << 32 | user,
		.cs_id = by_mki->cs_id,
		.protocol = by_mki->protocol,
		.suite = by_mki->suite,
		.kind = KEY_BY_TALKER,
	};
}

// Derives and publishes the context of that name. KEY_NONE if there is no room.
static uint32_t ctx_make(
	struct keystore *store, struct key_slot *slot, const struct key_name *by_mki, uint32_t user)
{
	struct key_table *table = &store->relay->keys;
	if (table->n_used == table->size || index_spaces_full(&store->spaces))
		retire_all(store->retire);
	uint32_t index = key_table_alloc(table);
	if (index == KEY_NONE) {
		log_limited(LOG_LEVEL_WARNING, "key_contexts_full limit=%u key=%08x", table->size,
			slot->id);
		return KEY_NONE;
	}
	struct key_ctx *ctx = &table->ctxs[index];
	uint32_t csb_id = slot->type == KEY_GMK ? (uint32_t)by_mki->mki : slot->id;
	int rc = ctx_derive_key(store, slot, by_mki, csb_id, ctx);
	if (rc == -ENOMEM && store->relay->cryptodev) {
		// Sessions of contexts that nobody can reach any more may wait for their grace period.
		retire_all(store->retire);
		rc = ctx_derive_key(store, slot, by_mki, csb_id, ctx);
	}
	if (rc != 0) {
		log_limited(LOG_LEVEL_ERROR, "key_not_derived id=%08x reason=\"%s\"", slot->id,
			rc == -ENOMEM ? "no memory; sessions of a crypto device need more by the "
					"eal setting (-m, --socket-mem)"
				      : strerror(-rc));
		ctx_free(store, index);
		return KEY_NONE;
	}
	ctx->by_mki = *by_mki;
	ctx->root = slot->index;
	ctx->serial = ++store->next_serial;
	if (user != USER_NONE)
		ctx->by_talker = name_by_talker(slot, by_mki, user_take_again(store->users, user));
	key_table_publish(table, index);
	slot_add_ctx(slot, index);
	return index;
}

uint32_t key_ctx_fixed(struct keystore *store, struct key_slot *slot, uint8_t cs_id,
	uint8_t protocol, uint8_t suite)
{
	struct key_name name = {
		.mki = (uint64_t)slot->id << 32,
		.scope = slot->scope,
		.cs_id = cs_id,
		.protocol = protocol,
		.suite = suite,
	};
	struct key_table *table = &store->relay->keys;
	uint32_t ctx = key_table_find(table, &name, key_name_hash(table, &name));
	return ctx != KEY_NONE ? ctx : ctx_make(store, slot, &name, USER_NONE);
}

static struct key_user *slot_find_user(const struct key_slot *slot, uint32_t guk_id)
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

static uint32_t slot_user_named(const struct key_slot *slot, uint32_t guk_id)
{
	const struct key_user *user = slot_find_user(slot, guk_id);
	return user && !user->ambiguous ? user->user : USER_NONE;
}

static void provisional_add(struct keystore *store, uint32_t ctx)
{
	if (store->n_provisional == store->provisional_size) {
		store->provisional_size =
			store->provisional_size ? store->provisional_size * 2 : 64;
		store->provisional = alloc_resize(
			store->provisional, store->provisional_size, sizeof(*store->provisional));
	}
	store->provisional[store->n_provisional++] = (struct key_provisional){
		.ctx = ctx,
		.serial = store->relay->keys.ctxs[ctx].serial,
		.until_ms = relay_now_ms() + PROVISIONAL_MS,
	};
}

// The context of a GMK's user, made or given its talker's name. It is kept only if a tag verifies
// under it.
static enum drop_reason ctx_derive_gmk(
	struct keystore *store, struct key_slot *slot, struct key_name name, uint32_t user)
{
	struct key_table *table = &store->relay->keys;
	name.kind = KEY_BY_MKI;
	uint32_t ctx = key_table_find(table, &name, key_name_hash(table, &name));
	if (ctx == KEY_NONE) {
		// Whoever forges GUK-IDs must leave room for others.
		if (store->n_provisional > table->size / 4)
			return DROP_DERIVE_LIMIT;
		ctx = ctx_make(store, slot, &name, user);
		if (ctx == KEY_NONE)
			return DROP_DERIVE_LIMIT;
		provisional_add(store, ctx);
	} else if (user != USER_NONE && table->ctxs[ctx].by_talker.kind != KEY_BY_TALKER) {
		struct key_name talker =
			name_by_talker(slot, &name, user_take_again(store->users, user));
		key_table_name_talker(table, ctx, &talker);
	} else if (user != USER_NONE && (uint32_t)table->ctxs[ctx].by_talker.mki != user) {
		return DROP_UNKNOWN_TALKER; // two users with one GUK-ID
	}
	return DROP_NONE;
}

static enum drop_reason ctx_derive_by_mki(struct keystore *store, const struct key_name *name)
{
	struct key_slot *slot = keystore_find(store, name->scope, (uint32_t)(name->mki >> 32));
	uint32_t guk_id = (uint32_t)name->mki;
	if (!slot || !key_usable(slot) || slot->type != KEY_GMK)
		return DROP_UNKNOWN_MKI;
	if (guk_id >> 28 != KEY_GMK || (slot->closed && !slot_find_user(slot, guk_id)))
		return DROP_UNKNOWN_USER;
	return ctx_derive_gmk(store, slot, *name, slot_user_named(slot, guk_id));
}

static enum drop_reason ctx_derive_by_talker(struct keystore *store, const struct key_name *name)
{
	uint32_t root = (uint32_t)(name->mki >> 32), user = (uint32_t)name->mki, guk_id;
	struct key_slot *slot = root < store->n_touched ? store->roots[root] : NULL;
	const char *uri = user < store->users->n ? user_uri(store->users, user) : NULL;
	if (!slot || !key_usable(slot) || slot->type != KEY_GMK)
		return DROP_NO_KEY;
	if (!uri || !key_guk_id(store, slot, uri, &guk_id))
		return DROP_UNKNOWN_TALKER;
	struct key_name by_mki = *name;
	by_mki.mki = (uint64_t)slot->id << 32 | guk_id;
	by_mki.scope = slot->scope;
	return ctx_derive_gmk(store, slot, by_mki, user);
}

// What a key that has become usable needs for those who speak under another one of its groups is
// derived before anything leads to it: at a roll-over nobody's media has to wait.
static void slot_derive_talkers(struct keystore *store, struct key_slot *other, void *arg)
{
	const struct key_table *table = &store->relay->keys;
	struct key_slot *slot = arg;
	for (uint32_t i = 0; other != slot && i < other->n_ctxs; i++) {
		const struct key_ctx *ctx = &table->ctxs[other->ctxs[i]];
		uint32_t user = (uint32_t)ctx->by_talker.mki, guk_id;
		if (ctx->by_talker.kind != KEY_BY_TALKER ||
			!key_guk_id(store, slot, user_uri(store->users, user), &guk_id) ||
			(slot->closed && !slot_find_user(slot, guk_id)))
			continue;
		struct key_name name = ctx->by_mki;
		name.mki = (uint64_t)slot->id << 32 | guk_id;
		ctx_derive_gmk(store, slot, name, user);
	}
}

static void slot_follow_talkers(struct keystore *store, struct key_slot *slot)
{
	if (slot->type == KEY_GMK && key_usable(slot))
		key_groups_visit(store, &slot->groups, slot_derive_talkers, slot);
}

enum drop_reason key_ctx_derive(struct keystore *store, const struct key_name *name)
{
	return name->kind == KEY_BY_MKI ? ctx_derive_by_mki(store, name)
					: ctx_derive_by_talker(store, name);
}

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

// --- install, remove
// ------------------------------------------------------------------------------------------

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
	uint32_t n_more, const char *path, struct rpc_error *error)
{
	const struct key_slot *slot = scope == 0 ? NULL : keystore_find(store, scope, spec->id);
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
	} else if (store->n_roots + n_more >= store->max) {
		rpc_fail(error, RPC_LIMIT, path,
			"is one key too many; accepted: %u, by limits.keys", store->max);
	}
	return error->code == RPC_OK;
}

static int key_user_compare(const void *a, const void *b)
{
	const struct key_user *x = a, *y = b;
	return (x->guk_id > y->guk_id) - (x->guk_id < y->guk_id);
}

static void slot_clear_users(struct keystore *store, struct key_slot *slot)
{
	for (uint32_t i = 0; i < slot->n_users; i++)
		user_release(store->users, slot->users[i].user);
	free(slot->users);
	slot->users = NULL;
	slot->n_users = 0;
}

static void slot_set_users(
	struct keystore *store, struct key_slot *slot, const struct key_spec *spec)
{
	slot_clear_users(store, slot);
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
}

// After the users changed: contexts of users who may no longer speak go, others learn their talker.
static void slot_review_ctxs(struct keystore *store, struct key_slot *slot)
{
	struct key_table *table = &store->relay->keys;
	for (uint32_t i = slot->n_ctxs; i-- > 0;) {
		uint32_t ctx = slot->ctxs[i];
		struct key_name by_mki = table->ctxs[ctx].by_mki;
		uint32_t guk_id = (uint32_t)by_mki.mki;
		uint32_t user = slot_user_named(slot, guk_id);
		if (slot->closed && !slot_find_user(slot, guk_id)) {
			slot->ctxs[i] = slot->ctxs[--slot->n_ctxs];
			ctx_retire(store, ctx);
		} else if (user != USER_NONE && table->ctxs[ctx].by_talker.kind != KEY_BY_TALKER) {
			struct key_name talker =
				name_by_talker(slot, &by_mki, user_take_again(store->users, user));
			key_table_name_talker(table, ctx, &talker);
		}
	}
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
	// Indices of keys that are gone come back when no worker can meet them any more.
	if (store->n_free == 0 && store->n_touched == store->max)
		retire_all(store->retire);
	slot->index = store->n_free > 0 ? store->free_roots[--store->n_free] : store->n_touched++;
	store->roots[slot->index] = slot;
	store->n_roots++;
	slot->installed = true;
}

void key_install(struct keystore *store, uint32_t scope, const struct key_spec *spec)
{
	struct key_slot *slot = slot_take(store, scope, spec->id);
	bool same = slot->installed && slot->state != KEY_EXPIRED &&
		    secret_equal(&store->secrets[slot->index], &spec->secret);
	if (slot->installed)
		store_count(store, slot, -1);
	else
		slot_take_root(store, slot);
	if (!same) {
		// The old key's contexts are found under the same names: they go first, and before
		// them all that leads to them.
		slot->state = KEY_PENDING;
		slot_changed(store, slot);
		slot_retire_ctxs(store, slot);
		store->secrets[slot->index] = spec->secret;
	}
	if (!same || slot->activation != spec->activation)
		slot->activated = spec->activation != 0 ? spec->activation : time(NULL);
	if (!same)
		slot->serial = ++store->install_serial;
	slot->type = spec->type;
	slot->activation = spec->activation;
	slot->expiry = spec->expiry;
	// What was not said stays: media goes on in its profile, and in its ring.
	if (!same || spec->has_profile)
		slot->profile = spec->profile;
	struct key_groups before = {.n = 0};
	if (!same || spec->groups)
		before = key_groups_change(store, slot, spec->groups);
	slot_set_users(store, slot, spec);
	slot->state = state_at(slot, time(NULL));
	store_count(store, slot, +1);
	slot_follow_talkers(store, slot);
	slot_changed(store, slot);
	key_groups_visit(store, &before, slot_tell_owners, NULL);
	key_groups_leave(store, slot, &before);
	if (slot->state != KEY_ACTIVE)
		slot_retire_ctxs(store, slot);
	else if (slot->type == KEY_GMK)
		slot_review_ctxs(store, slot);
	store_note_due(store, slot);
}

// Takes a key's octets and contexts out of use.
static void slot_disarm(struct keystore *store, struct key_slot *slot)
{
	slot_changed(store, slot);
	slot_retire_ctxs(store, slot);
	secmem_wipe(&store->secrets[slot->index], sizeof(struct key_secret));
}

// No worker looks for talkers under that root key any more: its index can be another's.
static void root_release(void *arg, uint32_t index)
{
	struct keystore *store = arg;
	store->free_roots[store->n_free++] = index;
}

bool key_remove(struct keystore *store, uint32_t scope, uint32_t id)
{
	struct key_slot *slot = keystore_find(store, scope, id);
	if (!slot || !slot->installed)
		return false;
	store_count(store, slot, -1);
	slot->installed = false;
	slot_disarm(store, slot);
	slot_clear_users(store, slot);
	store->roots[slot->index] = NULL;
	store->n_roots--;
	retire_later(store->retire, root_release, store, slot->index);
	slot_release(store, slot);
	return true;
}

// --- time
// -----------------------------------------------------------------------------------------------------

struct notice_key key_notice_of(const struct keystore *store, const struct key_slot *slot)
{
	const char *domain = keystore_domain_name(store, slot->scope);
	return (struct notice_key){
		.scope = slot->scope,
		.id = slot->id,
		.type = slot->installed ? key_type_names[slot->type] : NULL,
		.domain = domain,
		.session = !domain && slot->uses ? slot->uses->owner->id : NULL,
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
	if (state == KEY_EXPIRED)
		slot_disarm(store, slot);
	else {
		slot_follow_talkers(store, slot);
		slot_changed(store, slot);
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

// Contexts that no tag verified under were asked for by nobody who has the key.
static void provisional_review(struct keystore *store)
{
	struct key_table *table = &store->relay->keys;
	uint64_t now_ms = relay_now_ms();
	uint32_t n = 0;
	while (n < store->n_provisional && store->provisional[n].until_ms <= now_ms) {
		struct key_provisional *p = &store->provisional[n++];
		struct key_ctx *ctx = &table->ctxs[p->ctx];
		if (ctx->serial != p->serial ||
			atomic_load_explicit(&ctx->proven, memory_order_relaxed))
			continue;
		struct key_slot *slot = store->roots[ctx->root];
		if (slot && slot_remove_ctx(slot, p->ctx))
			ctx_retire(store, p->ctx);
	}
	store->n_provisional -= n;
	if (n > 0)
		memmove(store->provisional, store->provisional + n,
			store->n_provisional * sizeof(*store->provisional));
}

void keystore_tick(struct keystore *store)
{
	time_t now = time(NULL);
	if (store->due != 0 && now >= store->due)
		keystore_advance(store, now);
	provisional_review(store);
}

void keystore_fini(struct keystore *store)
{
	for (uint32_t i = 0; i < store->n_touched; i++)
		if (store->roots[i])
			key_remove(store, store->roots[i]->scope, store->roots[i]->id);
	retire_all(store->retire);
	for (uint32_t i = 0; i < store->n_domains; i++) {
		free(store->by_scope[i]->name);
		free(store->by_scope[i]);
	}
	index_spaces_fini(&store->spaces);
	free(store->by_scope);
	free(store->provisional);
	map_free(store->slots);
	map_free(store->domains);
	map_free(store->groups);
	secmem_unmap(store->roots, store->max * sizeof(*store->roots));
	secmem_unmap(store->secrets, store->max * sizeof(*store->secrets));
	secmem_unmap(store->free_roots, store->max * sizeof(*store->free_roots));
}
