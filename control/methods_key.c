// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/methods_key.h"

#include <string.h>

#include "base/secmem.h"
#include "control/api.h"
#include "control/install_list.h"
#include "control/message_order.h"
#include "control/params.h"
#include "control/waiting.h"
#include "dataplane/worker.h"
#include "key/key_domain.h"
#include "key/key_read.h"
#include "key/key_show.h"
#include "server/reader.h"
#include "session/session_follow.h"

static void key_install_one(struct keystore *keys, const json_t *value, const char *path,
	bool replace, struct rpc_error *error)
{
	struct key_spec *spec = secmem_malloc(sizeof(*spec));
	if (!spec) {
		rpc_fail_memory(error, path);
		return;
	}
	if (key_read(value, path, spec, error)) {
		uint32_t scope = keystore_domain_find(keys, spec->domain);
		if (key_admit(keys, scope, spec, replace, path, error)) {
			scope = keystore_domain_scope(keys, spec->domain);
			if (scope == 0)
				rpc_fail(error, RPC_LIMIT, path,
					"is of the %dth domain; accepted: %d", KEY_DOMAINS_MAX + 1,
					KEY_DOMAINS_MAX);
			else
				key_install(keys, scope, spec);
		}
	}
	secmem_free(spec);
}

static bool install_one(const struct api *api, const json_t *value, const char *path, bool replace,
	struct rpc_slice *slice, struct rpc_error *error)
{
	(void)slice; // of one piece
	key_install_one(api->keys, value, path, replace, error);
	api->poll(api->poll_arg); // keys of new talkers do not wait for a bulk install
	return true;
}

json_t *key_install_method(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	const struct api *api = arg;
	static const struct install_kind kind = {.list = "keys", .install = install_one};
	json_t *result = install_list(api, params, &kind, slice, error);
	if (result)
		retire_poll(api->retire);
	return result;
}

static bool key_name_read(const json_t *value, const char *path, uint32_t *id, const char **domain,
	struct rpc_error *error)
{
	*domain = "home";
	struct reader r;
	reader_open(&r, value, path, error);
	key_id_read(&r, "id", READER_REQUIRED, id);
	key_domain_read(&r, domain);
	return reader_close(&r);
}

// Whether the pool makes messages of one of them that was begun before it was taken away.
static bool keys_are_made_of(const struct api *api, const json_t *keys)
{
	const struct message_order *order;
	LIST_FOREACH (order, api->orders, next) {
		if (!order->withdrawn)
			continue;
		for (size_t i = 0; i < json_array_size(keys); i++) {
			struct rpc_error none = {};
			uint32_t id;
			const char *domain;
			if (key_name_read(json_array_get(keys, i), "", &id, &domain, &none) &&
				id == order->spec.id && strcmp(domain, order->spec.domain) == 0)
				return true;
		}
	}
	return false;
}

// Whether no worker has a way to a key that was revoked any more, or a slice expired before.
static bool revoked_keys_leave(const struct api *api, struct rpc_slice *slice, size_t first)
{
	enum { PATIENCE = 1000 }; // slices in which others may change keys again
	size_t i = slice->next > first ? slice->next : first;
	for (; api->keys->n_left_ctxs > 0; i++) {
		if (rpc_slice_expired(slice, i))
			return false;
		sessions_follow(api->sessions, i - first < PATIENCE ? slice->until_ns : UINT64_MAX);
	}
	for (; api->retire->n > RETIRE_AT_A_TIME; i++) {
		if (rpc_slice_expired(slice, i))
			return false;
		retire_poll(api->retire);
	}
	retire_all(api->retire);
	return true;
}

// The first round only reads names: if one is wrong, nothing has been revoked.
json_t *key_revoke(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	const struct api *api = arg;
	struct reader r;
	const json_t *keys = NULL;
	reader_open(&r, params, "params", error);
	reader_array(&r, "keys", READER_REQUIRED, &keys);
	if (!reader_close(&r))
		return NULL;
	size_t n = json_array_size(keys);
	for (size_t i = slice->next; i < 2 * n; i++) {
		char path[128];
		uint32_t id;
		const char *domain;
		if (rpc_slice_expired(slice, i))
			return NULL;
		reader_element_path(&r, "keys", i % n, path);
		if (!key_name_read(json_array_get(keys, i % n), path, &id, &domain, error))
			return NULL;
		uint32_t scope = keystore_domain_find(api->keys, domain);
		if (i >= n && scope != 0) {
			slice->count += key_remove(api->keys, scope, id);
			message_orders_withdraw(api, domain, id);
		}
	}
	// The answer guarantees that nobody uses the keys and that their octets are wiped.
	if (slice->next < 2 * n)
		slice->next = 2 * n;
	while (keys_are_made_of(api, keys))
		if (!waiting_try_again(api->pool, slice))
			return NULL;
	if (!revoked_keys_leave(api, slice, 2 * n))
		return NULL;
	return json_pack("{s:I}", "revoked", (json_int_t)slice->count);
}

json_t *key_list(void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	const struct api *api = arg;
	struct reader r;
	const char *domain = NULL;
	unsigned type = KEY_N_TYPES;
	reader_open(&r, params, "params", error);
	key_domain_read(&r, &domain);
	reader_choice(&r, "type", READER_OPTIONAL, key_type_names, &type);
	if (!reader_close(&r))
		return NULL;
	uint32_t only = domain ? keystore_domain_find(api->keys, domain) : 0;
	for (size_t i = slice->next; i < api->keys->n_touched; i++) {
		const struct key_slot *slot = api->keys->roots[i];
		if (rpc_slice_expired(slice, i))
			return NULL;
		// Keys of a session are shown by session.get.
		if (slot && keystore_domain_name(api->keys, slot->scope) &&
			(!domain || slot->scope == only) &&
			(type == KEY_N_TYPES || slot->type == type))
			rpc_emit(slice, "keys", key_show(api->keys, slot));
	}
	return json_pack("{s:[]}", "keys");
}
