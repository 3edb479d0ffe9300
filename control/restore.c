// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/restore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"
#include "base/secmem.h"
#include "control/restore_bodies.h"
#include "key/key_domain.h"
#include "key/key_read.h"
#include "key/key_record.h"
#include "key/key_restore.h"
#include "key/key_slot.h"
#include "key/keystore.h"
#include "session/session_apply.h"
#include "session/session_legs.h"
#include "session/session_record.h"
#include "session/session_restore.h"
#include "session/session_store.h"
#include "store/store_json.h"

// A session is tried as often at most: each try finds all that one stage of session.apply does not take.
enum { TRIES_MAX = 16 };

struct places {
	uint32_t *all;
	uint32_t n, size;
};

// What there is of one session.
struct found {
	uint32_t session; // place of its record, 0: none
	struct places keys, legs;
};

struct restore {
	struct app *app;
	struct store *store;
	struct bodies keys;   // of domains
	struct map *sessions; // id -> struct found
	struct map *more;     // name -> place: keys, their streams, what was learnt of legs
};

// --- finding

static void places_add(struct places *places, uint32_t place)
{
	if (places->n == places->size) {
		places->size = places->size ? places->size * 2 : 4;
		places->all = alloc_resize(places->all, places->size, sizeof(*places->all));
	}
	places->all[places->n++] = place;
}

static struct found *found_of(struct restore *restore, const char *id, size_t len)
{
	struct found *found = map_get(restore->sessions, id, len);
	if (!found) {
		found = alloc_zero(1, sizeof(*found));
		map_add(restore->sessions, id, len, found);
	}
	return found;
}

// What follows a prefix, or NULL.
static const char *after(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);
	return strncmp(name, prefix, len) == 0 ? name + len : NULL;
}

static void find_key(struct restore *restore, uint32_t place, const char *name)
{
	const char *owner = strchr(name, ':'), *session = owner ? after(owner, ":session:") : NULL;
	if (session)
		places_add(&found_of(restore, session, strlen(session))->keys, place);
	else
		bodies_add(&restore->keys, restore->store, place, "serial");
}

static void find_leg(struct restore *restore, uint32_t place, const char *name)
{
	char *session;
	unsigned long len = strtoul(name, &session, 10);
	if (*session == ':' && len < strlen(session + 1))
		places_add(&found_of(restore, session + 1, len)->legs, place);
}

static void find(void *arg, uint32_t place, const char *name)
{
	struct restore *restore = arg;
	const char *rest;
	if ((rest = after(name, "session:")) != NULL)
		found_of(restore, rest, strlen(rest))->session = place;
	else if ((rest = after(name, "leg:")) != NULL)
		find_leg(restore, place, rest);
	else if ((rest = after(name, "key:")) != NULL)
		find_key(restore, place, rest);
	if (after(name, "key:") || after(name, "streams:") || after(name, "learnt:"))
		map_add(restore->more, name, strlen(name), (void *)(uintptr_t)place);
}

// The place of one of those, 0: there is none. Frees the name.
static uint32_t more_of(struct restore *restore, char *name)
{
	uint32_t place = (uint32_t)(uintptr_t)map_get(restore->more, name, strlen(name));
	free(name);
	return place;
}

// --- keys

static void tell_loss(
	struct restore *restore, const char *what, const char *id, const struct rpc_error *error)
{
	char quoted[2][LOG_QUOTED_SIZE];
	restore->app->restored.losses++;
	log_error("not_restored what=%s id=%s reason=%s", what, log_quoted(quoted[0], id),
		log_quoted(quoted[1], error->message));
}

static void state_comes_back(struct restore *restore, struct key_slot *slot)
{
	uint32_t place = more_of(restore, key_record_name(&restore->app->keys, slot));
	json_t *body = place != 0 ? store_read_json(restore->store, place) : NULL;
	key_restore_state(slot, body);
	json_decref(body);
}

// Before anything refers to the key: whether it is active, and its streams.
static void on_installed(void *arg, struct key_slot *slot)
{
	struct restore *restore = arg;
	uint32_t n_lost = 0;
	size_t len;
	if (slot->state == KEY_PENDING)
		state_comes_back(restore, slot);
	uint32_t place = more_of(restore, key_streams_name(&restore->app->keys, slot));
	char *body = place != 0 ? store_read(restore->store, place, &len) : NULL;
	const char *why = NULL;
	if (body && !key_streams_restore(&restore->app->keys, slot, body, len, &n_lost))
		why = "another version of mcxrelay wrote the record";
	else if (n_lost > 0)
		why = "limits.keys or limits.streams has no room for their key contexts, or them";
	if (why) {
		restore->app->restored.losses++;
		log_error("streams_not_restored key=%08x streams=%u reason=\"%s\"", slot->id,
			n_lost, why);
	}
	secmem_free(body);
}

static bool has_expired(const json_t *body)
{
	json_int_t expiry =
		json_integer_value(json_object_get(json_object_get(body, "key"), "expiry"));
	return expiry != 0 && expiry <= (json_int_t)time(NULL);
}

static const char *id_of(const json_t *body, const char *member)
{
	const char *id = json_string_value(json_object_get(json_object_get(body, member), "id"));
	return id ? id : "";
}

static struct key_slot *slot_of(struct restore *restore, uint32_t scope, const json_t *body)
{
	uint32_t id;
	struct rpc_error error = {};
	if (!key_id_of_json(json_object_get(json_object_get(body, "key"), "id"), "", &id, &error))
		return NULL;
	struct key_slot *slot = keystore_find(&restore->app->keys, scope, id);
	return slot && slot->installed ? slot : NULL;
}

static void key_spec_install(
	struct restore *restore, struct key_spec *spec, const json_t *body, struct rpc_error *error)
{
	struct keystore *keys = &restore->app->keys;
	if (!key_read(json_object_get(body, "key"), "key", spec, error))
		return;
	spec->source = json_string_value(json_object_get(body, "source"));
	uint32_t scope = keystore_domain_scope(keys, spec->domain);
	if (scope == 0) {
		rpc_fail(error, RPC_LIMIT, "key", "is of the %dth domain; accepted: %d",
			KEY_DOMAINS_MAX + 1, KEY_DOMAINS_MAX);
		return;
	}
	if (!key_admit(keys, scope, spec, false, "key", error))
		return;
	key_install(keys, scope, spec);
	struct key_slot *slot = slot_of(restore, scope, body);
	if (slot)
		key_restore(keys, slot, body);
}

// The key of a record that is not to be installed: it is gone, or expired since. NULL: it is to be.
static json_t *gone_of(const json_t *body)
{
	json_t *gone = json_object_get(body, "gone");
	return gone || !has_expired(body) ? gone : json_object_get(body, "key");
}

static uint32_t gone_scope(struct restore *restore, const json_t *gone)
{
	const char *domain = json_string_value(json_object_get(gone, "domain"));
	return domain ? keystore_domain_scope(&restore->app->keys, domain) : 0;
}

static void gone_come_back(
	struct restore *restore, uint32_t scope, const json_t *gone, const char *session)
{
	uint32_t id;
	struct rpc_error error = {};
	if (scope != 0 && key_id_of_json(json_object_get(gone, "id"), "", &id, &error))
		key_restore_gone(&restore->app->keys, scope, id, gone, session);
}

// Legs that name the key are there by now, or none does. scope 0: a domain's.
static void gone_settle(struct restore *restore, uint32_t scope, const json_t *gone)
{
	uint32_t id;
	struct rpc_error error = {};
	struct keystore *keys = &restore->app->keys;
	if (!gone || !key_id_of_json(json_object_get(gone, "id"), "", &id, &error))
		return;
	struct key_slot *slot =
		keystore_find(keys, scope != 0 ? scope : gone_scope(restore, gone), id);
	if (!slot || slot->installed)
		return;
	key_record(keys, slot);
	key_slot_release(keys, slot);
}

static void key_come_back(struct restore *restore, const json_t *body)
{
	struct rpc_error error = {};
	const json_t *gone = gone_of(body);
	struct key_spec *spec = gone ? NULL : secmem_malloc(sizeof(*spec));
	if (gone)
		gone_come_back(restore, gone_scope(restore, gone), gone, NULL);
	if (!spec)
		return;
	key_spec_install(restore, spec, body, &error);
	if (error.code == RPC_OK)
		restore->app->restored.keys++;
	else
		tell_loss(restore, "key", id_of(body, "key"), &error);
	secmem_free(spec);
}

// --- sessions

// Whether a leg means that one, when it names it: not one that was born since, and NULL is none.
static bool names_it(const struct body *leg, const struct body *named)
{
	return named &&
	       (uint64_t)json_integer_value(json_object_get(named->json, "born")) < leg->version;
}

// The others of `to`, in their order.
static void to_keep(struct map *ids, const struct body *leg)
{
	json_t *stated = json_object_get(leg->json, "leg"), *to = json_object_get(stated, "to");
	json_t *stay = json_array(), *name;
	size_t t;
	if (!json_is_array(to)) {
		json_decref(stay);
		return;
	}
	json_array_foreach (to, t, name)
		if (names_it(leg, map_get(ids, json_string_value(name), json_string_length(name))))
			json_array_append(stay, name);
	json_object_set_new(stated, "to", stay);
}

// A leg names others by their ids: those that did not come back are no longer among them.
static void forget_missing(struct bodies *legs)
{
	struct map *ids = map_make();
	for (uint32_t i = 0; i < legs->n; i++) {
		const char *id = id_of(legs->all[i].json, "leg");
		if (*id)
			map_add(ids, id, strlen(id), &legs->all[i]);
	}
	for (uint32_t i = 0; i < legs->n; i++)
		to_keep(ids, &legs->all[i]);
	map_free(ids);
}

static json_t *members(const struct bodies *bodies, const char *name)
{
	json_t *array = json_array(), *member;
	for (uint32_t i = 0; i < bodies->n; i++) {
		member = json_object_get(bodies->all[i].json, name);
		json_array_append(array, member ? member : json_null());
	}
	return array;
}

// A session that is tried.
struct trial {
	struct restore *restore;
	struct bodies keys, legs;
	uint32_t n_faulty; // of them
};

static void body_fault(
	struct trial *trial, struct body *body, const char *what, const struct rpc_error *error)
{
	tell_loss(trial->restore, what, id_of(body->json, what), error);
	body->leaves = true;
	trial->n_faulty++;
}

static void on_fault(void *arg, const struct rpc_error *error)
{
	struct trial *trial = arg;
	unsigned at;
	if (sscanf(error->path, "session.legs[%u]", &at) == 1 && at < trial->legs.n)
		body_fault(trial, &trial->legs.all[at], "leg", error);
	else if (sscanf(error->path, "session.keys[%u]", &at) == 1 && at < trial->keys.n)
		body_fault(trial, &trial->keys.all[at], "key", error);
}

// One try: the session as session.apply takes it. Keys and legs that it does not take are not there any more.
static void session_try(struct trial *trial, json_t *session, struct rpc_error *error)
{
	struct app *app = trial->restore->app;
	trial->n_faulty = 0;
	forget_missing(&trial->legs);
	json_object_set_new(session, "keys", members(&trial->keys, "key"));
	json_object_set_new(session, "legs", members(&trial->legs, "leg"));
	struct session_apply *apply = session_apply_open(&app->sessions, session, "session", error);
	if (apply)
		session_apply_watch_faults(apply, on_fault, trial);
	while (apply && !session_apply_step(apply, error))
		app_poll(app);
	session_apply_close(apply);
	bodies_part(&trial->keys);
	bodies_part(&trial->legs);
}

static void leg_come_back(struct restore *restore, struct session_leg *leg, const json_t *body)
{
	uint32_t place = more_of(restore, leg_learnt_name(leg));
	json_t *learnt = place != 0 ? store_read_json(restore->store, place) : NULL;
	leg_restore(&restore->app->sessions, leg, body, learnt);
	json_decref(learnt);
}

static void session_settle(struct restore *restore, struct session *session,
	const struct bodies *keys, const struct bodies *legs, json_t *gone)
{
	struct app *app = restore->app;
	const char *id;
	json_t *key;
	json_object_foreach (gone, id, key) {
		gone_come_back(restore, session->scope, key, session->spec.id);
		gone_settle(restore, session->scope, key);
	}
	session_keys_gone(session, gone);
	for (uint32_t i = 0; i < keys->n; i++) {
		struct key_slot *slot = slot_of(restore, session->scope, keys->all[i].json);
		if (slot)
			key_restore(&app->keys, slot, keys->all[i].json);
	}
	for (uint32_t i = 0; i < legs->n; i++) {
		struct session_leg *leg =
			session_leg_find(session, id_of(legs->all[i].json, "leg"));
		if (leg)
			leg_come_back(restore, leg, legs->all[i].json);
	}
	app->restored.sessions++;
	app->restored.legs += legs->n;
	app->restored.keys += keys->n;
}

static void bodies_read(struct restore *restore, const struct places *places, const char *order,
	struct bodies *bodies)
{
	for (uint32_t i = 0; i < places->n; i++)
		bodies_add(bodies, restore->store, places->all[i], order);
	bodies_sort(bodies);
}

// Keys of a session that are not to be installed leave the bodies: they are members of gone, by their ids.
static void gone_take(struct bodies *keys, json_t *gone)
{
	for (uint32_t i = 0; i < keys->n; i++) {
		json_t *key = gone_of(keys->all[i].json);
		const char *id = json_string_value(json_object_get(key, "id"));
		keys->all[i].leaves = key;
		if (id)
			json_object_set(gone, id, key);
	}
	bodies_part(keys);
}

static void session_come_back(struct restore *restore, const struct found *found)
{
	struct trial trial = {.restore = restore};
	struct rpc_error error;
	json_t *gone = json_object();
	unsigned n = 0;
	// Legs without a session are what was left when it was just being removed.
	json_t *body = found->session != 0 ? store_read_json(restore->store, found->session) : NULL;
	json_t *session = json_object_get(body, "session");
	if (!session) {
		json_decref(body);
		json_decref(gone);
		return;
	}
	bodies_read(restore, &found->keys, "serial", &trial.keys);
	bodies_read(restore, &found->legs, "order", &trial.legs);
	gone_take(&trial.keys, gone);
	restore->app->sessions.gone_keys = gone;
	do {
		error = (struct rpc_error){};
		session_try(&trial, session, &error);
	} while (error.code != RPC_OK && trial.n_faulty > 0 && ++n < TRIES_MAX);
	struct session *back = session_find(&restore->app->sessions, id_of(body, "session"));
	restore->app->sessions.gone_keys = NULL;
	if (error.code == RPC_OK && back)
		session_settle(restore, back, &trial.keys, &trial.legs, gone);
	else
		tell_loss(restore, "session", id_of(body, "session"), &error);
	bodies_free(&trial.keys);
	bodies_free(&trial.legs);
	json_decref(gone);
	json_decref(body);
}

static void found_free(struct found *found)
{
	free(found->keys.all);
	free(found->legs.all);
	free(found);
}

static void sessions_come_back(struct restore *restore)
{
	struct map_cursor cursor = {0};
	struct found *found;
	while ((found = map_next(restore->sessions, &cursor)) != NULL) {
		session_come_back(restore, found);
		found_free(found);
		app_poll(restore->app);
	}
}

static void all_come_back(struct restore *restore)
{
	struct keystore *keys = &restore->app->keys;
	store_visit(restore->store, find, restore);
	bodies_sort(&restore->keys);
	keystore_watch_installed(keys, on_installed, restore);
	for (uint32_t i = 0; i < restore->keys.n; i++)
		key_come_back(restore, restore->keys.all[i].json);
	sessions_come_back(restore);
	keystore_watch_installed(keys, NULL, NULL);
	for (uint32_t i = 0; i < restore->keys.n; i++)
		gone_settle(restore, 0, gone_of(restore->keys.all[i].json));
}

void restore(struct app *app)
{
	struct restore restore = {
		.app = app,
		.store = app->keys.records,
		.sessions = map_make(),
		.more = map_make(),
	};
	struct restored *is = &app->restored;
	uint64_t begin_ms = clock_now_ms();
	if (store_restore_begin(restore.store))
		all_come_back(&restore);
	store_restore_end(restore.store);
	is->losses += (uint32_t)store_counts(restore.store).skipped;
	if (is->sessions + is->keys + is->losses > 0)
		log_info("restored sessions=%u legs=%u keys=%u losses=%u ms=%llu", is->sessions,
			is->legs, is->keys, is->losses,
			(unsigned long long)(clock_now_ms() - begin_ms));
	bodies_free(&restore.keys);
	map_free(restore.sessions);
	map_free(restore.more);
}
