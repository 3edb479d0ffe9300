// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/key_context.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secmem.h"
#include "dataplane/cryptodev.h"
#include "dataplane/relay_tables.h"
#include "dataplane/retire.h"
#include "key/key_ring.h"
#include "key/key_slot.h"
#include "key/key_user.h"
#include "key/users.h"

enum { PROVISIONAL_MS = 2000 }; // for a derived context to prove itself

// Last step: no worker can reach the streams of the index space any more.
static void space_release_streams(void *arg, uint32_t space)
{
	struct keystore *store = arg;
	stream_list_free(&store->relay->streams, &store->relay->keys.streams[space]);
	index_space_free(&store->spaces, space);
}

// If the key is installed again, its SRTCP indices continue above those already used.
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
		stream_list_unlink(&store->relay->streams, &store->relay->keys.streams[ctx->space]);
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

// What owners made of the key may lead to the context until they have followed. To those of a GMK only names lead.
static void ctx_leave(struct keystore *store, uint32_t ctx)
{
	key_table_unpublish(&store->relay->keys, ctx);
	if (store->n_left_ctxs == store->left_ctxs_size) {
		store->left_ctxs_size = store->left_ctxs_size ? store->left_ctxs_size * 2 : 16;
		store->left_ctxs = alloc_resize(
			store->left_ctxs, store->left_ctxs_size, sizeof(*store->left_ctxs));
	}
	store->left_ctxs[store->n_left_ctxs++] = ctx;
}

void key_ctxs_retire_left(struct keystore *store)
{
	for (uint32_t i = 0; i < store->n_left_ctxs; i++)
		retire_later(store->retire, ctx_release, store, store->left_ctxs[i]);
	store->n_left_ctxs = 0;
}

void key_slot_retire_ctxs(struct keystore *store, struct key_slot *slot)
{
	for (uint32_t i = 0; i < slot->n_ctxs; i++)
		if (store->finish && slot->type != KEY_GMK)
			ctx_leave(store, slot->ctxs[i]);
		else
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
		.mki = key_name_mki(slot->index, user),
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
		// Crypto sessions of contexts that are out of use may still be in their grace
		// period.
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
		.mki = key_name_mki(slot->id, 0),
		.scope = slot->scope,
		.cs_id = cs_id,
		.protocol = protocol,
		.suite = suite,
	};
	struct key_table *table = &store->relay->keys;
	uint32_t ctx = key_table_find(table, &name, key_name_hash(table, &name));
	return ctx != KEY_NONE ? ctx : ctx_make(store, slot, &name, USER_NONE);
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
		.until_ms = clock_now_ms() + PROVISIONAL_MS,
	};
}

// The context of a GMK's user, made or given its talker's name. It is kept only if a tag verifies
// under it.
static enum drop_reason ctx_derive_gmk(struct keystore *store, struct key_slot *slot,
	struct key_name name, uint32_t user, bool stranger)
{
	struct key_table *table = &store->relay->keys;
	name.kind = KEY_BY_MKI;
	uint32_t ctx = key_table_find(table, &name, key_name_hash(table, &name));
	if (ctx == KEY_NONE) {
		// Forged GUK-IDs must not use up the contexts of others, nor those of strangers the room of clients.
		if (store->n_provisional >= table->size / (stranger ? 8 : 4))
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

static bool guk_may_send(const struct key_slot *slot, uint32_t guk_id)
{
	return key_id_type(guk_id) == KEY_GMK &&
	       (!slot->closed || key_slot_find_user(slot, guk_id));
}

static enum drop_reason ctx_derive_by_mki(
	struct keystore *store, const struct key_name *name, bool stranger)
{
	struct key_slot *slot = keystore_find(store, name->scope, (uint32_t)(name->mki >> 32));
	uint32_t guk_id = (uint32_t)name->mki;
	if (!slot || !key_usable(slot) || slot->type != KEY_GMK)
		return DROP_UNKNOWN_MKI;
	if (!guk_may_send(slot, guk_id))
		return DROP_UNKNOWN_USER;
	return ctx_derive_gmk(store, slot, *name, key_slot_user_named(slot, guk_id), stranger);
}

static enum drop_reason ctx_derive_by_talker(struct keystore *store, const struct key_name *name)
{
	uint32_t root = (uint32_t)(name->mki >> 32), user = (uint32_t)name->mki;
	struct key_slot *slot = root < store->n_touched ? store->roots[root] : NULL;
	const char *uri = user < store->users->n ? user_uri(store->users, user) : NULL;
	if (!slot || !key_usable(slot) || slot->type != KEY_GMK)
		return DROP_NO_KEY;
	uint32_t guk_id;
	if (!uri || !key_guk_id(store, slot, uri, &guk_id))
		return DROP_UNKNOWN_TALKER;
	struct key_name by_mki = *name;
	by_mki.mki = key_name_mki(slot->id, guk_id);
	by_mki.scope = slot->scope;
	return ctx_derive_gmk(store, slot, by_mki, user, false);
}

enum drop_reason key_ctx_derive(struct keystore *store, const struct key_name *name, bool stranger)
{
	return name->kind == KEY_BY_MKI ? ctx_derive_by_mki(store, name, stranger)
					: ctx_derive_by_talker(store, name);
}

enum drop_reason key_ctx_restore(
	struct keystore *store, struct key_slot *slot, const struct key_name *by_mki, uint32_t *ctx)
{
	struct key_table *table = &store->relay->keys;
	uint32_t guk_id = (uint32_t)by_mki->mki;
	if (slot->type != KEY_GMK) {
		*ctx = key_ctx_fixed(store, slot, by_mki->cs_id, by_mki->protocol, by_mki->suite);
		return *ctx != KEY_NONE ? DROP_NONE : DROP_DERIVE_LIMIT;
	}
	if (!guk_may_send(slot, guk_id))
		return DROP_UNKNOWN_USER;
	*ctx = key_table_find(table, by_mki, key_name_hash(table, by_mki));
	if (*ctx == KEY_NONE)
		*ctx = ctx_make(store, slot, by_mki, key_slot_user_named(slot, guk_id));
	if (*ctx == KEY_NONE)
		return DROP_DERIVE_LIMIT;
	atomic_store_explicit(&table->ctxs[*ctx].proven, 1, memory_order_relaxed);
	return DROP_NONE;
}

// A key that has become usable gets its contexts for the talkers of the other keys of its group
// before anything refers to it: no media is delayed at a roll-over.
static void slot_prederive_from(struct keystore *store, struct key_slot *other, void *arg)
{
	const struct key_table *table = &store->relay->keys;
	struct key_slot *slot = arg;
	for (uint32_t i = 0; other != slot && i < other->n_ctxs; i++) {
		const struct key_ctx *ctx = &table->ctxs[other->ctxs[i]];
		uint32_t user = (uint32_t)ctx->by_talker.mki, guk_id;
		if (ctx->by_talker.kind != KEY_BY_TALKER ||
			!key_guk_id(store, slot, user_uri(store->users, user), &guk_id) ||
			(slot->closed && !key_slot_find_user(slot, guk_id)))
			continue;
		struct key_name name = ctx->by_mki;
		name.mki = key_name_mki(slot->id, guk_id);
		if (name.suite == other->profile.suite) // no leg has another one of its own
			name.suite = slot->profile.suite;
		ctx_derive_gmk(store, slot, name, user, false);
	}
}

void key_slot_prederive(struct keystore *store, struct key_slot *slot)
{
	if (slot->type == KEY_GMK && key_usable(slot))
		key_groups_visit(store, &slot->groups, slot_prederive_from, slot);
}

// After the users changed: contexts of users who may no longer send are retired, others get their
// talker.
void key_slot_revalidate(struct keystore *store, struct key_slot *slot)
{
	struct key_table *table = &store->relay->keys;
	for (uint32_t i = slot->n_ctxs; i-- > 0;) {
		uint32_t ctx = slot->ctxs[i];
		struct key_name by_mki = table->ctxs[ctx].by_mki;
		uint32_t guk_id = (uint32_t)by_mki.mki;
		uint32_t user = key_slot_user_named(slot, guk_id);
		if (slot->closed && !key_slot_find_user(slot, guk_id)) {
			slot->ctxs[i] = slot->ctxs[--slot->n_ctxs];
			ctx_retire(store, ctx);
		} else if (user != USER_NONE && table->ctxs[ctx].by_talker.kind != KEY_BY_TALKER) {
			struct key_name talker =
				name_by_talker(slot, &by_mki, user_take_again(store->users, user));
			key_table_name_talker(table, ctx, &talker);
		}
	}
}

// Retires provisional contexts under which no tag has verified: the sender did not have the key.
void keystore_review_provisional(struct keystore *store)
{
	struct key_table *table = &store->relay->keys;
	uint64_t now_ms = clock_now_ms();
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
