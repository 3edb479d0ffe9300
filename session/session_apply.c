// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_apply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "base/alloc.h"
#include "base/map.h"
#include "base/secmem.h"
#include "dataplane/audience.h"
#include "dataplane/retire.h"
#include "key/key_domain.h"
#include "key/keystore.h"
#include "session/leg_bind.h"
#include "session/leg_remote.h"
#include "session/session_check.h"
#include "session/session_publish.h"
#include "session/session_spec.h"
#include "session/session_store.h"

// Legs by id. Values are the legs' own.
static struct map *legs_by_id(struct session_leg *legs, uint32_t n)
{
	struct map *by_id = map_make();
	for (uint32_t i = 0; i < n; i++)
		map_add(by_id, legs[i].spec.id, strlen(legs[i].spec.id), &legs[i]);
	return by_id;
}

static void leg_leave(struct sessions *sessions, struct session_leg *leg)
{
	session_retire_memory(sessions, leg->published);
	retire_later(sessions->retire, leg_release, sessions, leg->index);
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
		audience_end(leg->own[protocol], sessions->retire);
	leg_unbind(sessions, leg);
	free(leg->streams);
	leg_spec_free(&leg->spec);
}

// Gives back what a leg used before it was bound anew.
static void leg_replaced(
	struct sessions *sessions, struct session_leg *before, const struct session_leg *now)
{
	leg_unpublish_replaced(before, now);
	leg_unbind(sessions, before);
	leg_spec_free(&before->spec);
}

// Replaces the session's legs by those of specs, which are taken. Legs of the same id keep their
// index, and with it their streams and counters.
static void session_set_legs(
	struct sessions *sessions, struct session *session, struct leg_spec *specs, uint32_t n)
{
	struct session_leg *before = session->legs, *legs = alloc_zero(n, sizeof(*legs));
	struct session_leg **same = alloc_zero(n, sizeof(struct session_leg *));
	struct map *gone = legs_by_id(before, session->n_legs);
	for (uint32_t i = 0; i < n; i++) {
		same[i] = map_remove(gone, specs[i].id, strlen(specs[i].id));
		if (same[i])
			legs[i] = *same[i];
		else {
			legs[i].index = leg_index_take(sessions, session);
			legs[i].serial = ++sessions->next_serial;
		}
		legs[i].spec = specs[i];
		specs[i] = (struct leg_spec){};
		sessions->positions[legs[i].index] = i;
		leg_remote_state(&legs[i], same[i] ? &same[i]->spec : NULL);
		leg_bind(sessions, session, &legs[i]);
	}
	session->legs = legs;
	session->n_legs = n;
	struct map_cursor cursor = {0};
	struct session_leg *leg;
	while ((leg = map_next(gone, &cursor)) != NULL)
		leg_unpublish(sessions, leg);
	session_rebuild(sessions, session);
	for (uint32_t i = 0; i < n; i++)
		if (same[i])
			leg_replaced(sessions, same[i], &legs[i]);
	cursor = (struct map_cursor){0};
	while ((leg = map_next(gone, &cursor)) != NULL)
		leg_leave(sessions, leg);
	groups_publish(sessions);
	map_free(gone);
	free(same);
	free(before);
}

static bool key_ids_have(const struct session_spec *spec, uint32_t id)
{
	for (uint32_t k = 0; k < spec->n_keys; k++)
		if (spec->keys[k].id == id)
			return true;
	return false;
}

// Installs the session's own keys, and removes those it had before and no longer has.
static void session_set_keys(
	struct sessions *sessions, struct session *session, struct session_spec *spec)
{
	uint32_t *before = session->key_ids, n_before = session->n_keys;
	session->key_ids = alloc_zero(spec->n_keys, sizeof(uint32_t));
	session->n_keys = spec->n_keys;
	for (uint32_t i = 0; i < spec->n_keys; i++) {
		session->key_ids[i] = spec->keys[i].id;
		key_install(sessions->keys, session->scope, &spec->keys[i]);
	}
	for (uint32_t i = 0; i < n_before; i++)
		if (!key_ids_have(spec, before[i]))
			key_remove(sessions->keys, session->scope, before[i]);
	free(before);
}

static void session_free(struct session *session)
{
	session_spec_free(&session->spec);
	free(session->key_ids);
	free(session->legs);
	free(session->rate);
	free(session);
}

bool session_apply(struct sessions *sessions, struct session_spec *spec, const char *path,
	bool *created, struct rpc_error *error)
{
	struct session *session = session_find(sessions, spec->id);
	struct session *fresh = NULL;
	*created = !session;
	if (!session) {
		fresh = alloc_zero(1, sizeof(*fresh));
		fresh->owner.changed = session_follow_key;
		fresh->sessions = sessions;
		fresh->heard_tsc = rte_rdtsc();
		fresh->scope = keystore_session_scope(sessions->keys);
	}
	struct session *target = session ? session : fresh;
	bool good = session_check_keys(sessions, target, spec, path, error) &&
		    session_check(sessions, target, spec, path, error);
	if (good && fresh &&
		map_put(sessions->by_id, spec->id, strlen(spec->id), fresh, NULL) != 0) {
		rpc_fail_memory(error, path);
		good = false;
	}
	if (!good) {
		if (fresh)
			keystore_session_scope_release(sessions->keys, fresh->scope);
		free(fresh);
		return false;
	}
	if (session)
		sessions_count(sessions, session, -1);
	// The description changes first: legs and keys are rebuilt under it.
	free(target->spec.id);
	free(target->spec.domain);
	free(target->spec.group);
	target->spec = (struct session_spec){
		.id = spec->id,
		.domain = spec->domain,
		.group = spec->group,
		.service = spec->service,
		.type = spec->type,
		.timeout = spec->timeout,
	};
	target->owner.id = spec->id;
	spec->id = NULL;
	spec->domain = NULL;
	spec->group = NULL;
	sessions_count(sessions, target, +1);
	session_set_keys(sessions, target, spec);
	session_set_legs(sessions, target, spec->legs, spec->n_legs);
	return true;
}

// A spec with all legs of the session as they are. False with *error set if there is no memory.
static bool session_copy_legs(const struct session *session, uint32_t n_more,
	struct session_spec *copy, const char *path, struct rpc_error *error)
{
	struct session_spec spec = session->spec;
	spec.keys = secmem_malloc(session->n_keys * sizeof(*spec.keys) + 1);
	if (!spec.keys) {
		rpc_fail_memory(error, path);
		return false;
	}
	spec.n_keys = session->n_keys;
	for (uint32_t i = 0; i < session->n_keys; i++)
		spec.keys[i] = (struct key_spec){.id = session->key_ids[i]};
	spec.legs = alloc_zero(session->n_legs + n_more, sizeof(*spec.legs));
	spec.n_legs = session->n_legs;
	for (uint32_t i = 0; i < session->n_legs; i++) {
		spec.legs[i] = leg_spec_copy(&session->legs[i].spec);
		spec.legs[i].stays = true;
	}
	*copy = spec;
	return true;
}

static void session_copy_free(struct session_spec *spec)
{
	spec->id = spec->domain = spec->group = NULL;
	session_spec_free(spec);
}

// In place of the leg of the same id, or behind the others. by_id has the legs that were there
// before.
static void copy_put_leg(struct session_spec *spec, const struct map *by_id, struct leg_spec *leg)
{
	struct leg_spec *place = map_get(by_id, leg->id, strlen(leg->id));
	if (place)
		leg_spec_free(place);
	else
		place = &spec->legs[spec->n_legs++];
	*place = *leg;
	*leg = (struct leg_spec){};
}

bool session_apply_legs(struct sessions *sessions, struct session *session, struct leg_spec *legs,
	uint32_t n, const char *path, struct rpc_error *error)
{
	if (!leg_specs_check_ids(legs, n, path, error))
		return false;
	struct session_spec spec;
	if (!session_copy_legs(session, n, &spec, path, error))
		return false;
	struct map *by_id = leg_specs_by_id(spec.legs, spec.n_legs, path, error);
	for (uint32_t i = 0; by_id && i < n; i++)
		copy_put_leg(&spec, by_id, &legs[i]);
	map_free(by_id);
	bool ok = by_id && session_check(sessions, session, &spec, path, error);
	if (ok)
		session_set_legs(sessions, session, spec.legs, spec.n_legs);
	session_copy_free(&spec);
	return ok;
}

// Who named the leg in `to` sends to the others it named; to nobody if there are none.
static void copy_drop_leg(struct session_spec *spec, uint32_t leg)
{
	struct leg_spec gone = spec->legs[leg];
	memmove(&spec->legs[leg], &spec->legs[leg + 1], (--spec->n_legs - leg) * sizeof(gone));
	for (uint32_t i = 0; i < spec->n_legs; i++) {
		struct leg_spec *other = &spec->legs[i];
		for (uint32_t t = other->n_to; t-- > 0;) {
			if (strcmp(other->to[t], gone.id) != 0)
				continue;
			free(other->to[t]);
			other->to[t] = other->to[--other->n_to];
		}
	}
	leg_spec_free(&gone);
}

bool session_remove_legs(struct sessions *sessions, struct session *session, const json_t *ids,
	const char *path, uint32_t *removed, struct rpc_error *error)
{
	*removed = 0;
	struct session_spec spec;
	if (!session_copy_legs(session, 0, &spec, path, error))
		return false;
	size_t i;
	json_t *item;
	json_array_foreach ((json_t *)(uintptr_t)ids, i, item) {
		const char *id = json_string_value(item);
		char full[128];
		snprintf(full, sizeof(full), "%s[%zu]", path, i);
		if (!id) {
			rpc_fail(error, RPC_INVALID_PARAMS, full,
				"is no leg id; accepted: a string");
			break;
		}
		uint32_t l = 0;
		while (l < spec.n_legs && strcmp(spec.legs[l].id, id) != 0)
			l++;
		if (l == spec.n_legs) {
			rpc_fail(error, RPC_NOT_FOUND, full,
				"is no leg of the session; accepted: ids that session.get shows");
			break;
		}
		copy_drop_leg(&spec, l);
		++*removed;
	}
	bool ok = error->code == RPC_OK;
	if (ok)
		session_set_legs(sessions, session, spec.legs, spec.n_legs);
	session_copy_free(&spec);
	return ok;
}

void session_remove(struct sessions *sessions, struct session *session)
{
	session_set_legs(sessions, session, NULL, 0);
	for (uint32_t i = 0; i < session->n_keys; i++)
		key_remove(sessions->keys, session->scope, session->key_ids[i]);
	keystore_session_scope_release(sessions->keys, session->scope);
	for (unsigned kind = 0; kind < AUDIENCE_N; kind++)
		audience_end(session->audiences[kind], sessions->retire);
	map_remove(sessions->by_id, session->spec.id, strlen(session->spec.id));
	sessions_count(sessions, session, -1);
	session_free(session);
}

void sessions_fini(struct sessions *sessions)
{
	struct map_cursor cursor = {0};
	struct session *session;
	while ((session = map_next(sessions->by_id, &cursor)) != NULL)
		session_remove(sessions, session);
	retire_all(sessions->retire);
	map_free(sessions->by_id);
	secmem_unmap(sessions->by_leg, sessions->max_legs * sizeof(*sessions->by_leg));
	secmem_unmap(sessions->positions, sessions->max_legs * sizeof(*sessions->positions));
	secmem_unmap(sessions->free_legs, sessions->max_legs * sizeof(*sessions->free_legs));
	secmem_unmap(sessions->watches, sessions->max_legs * sizeof(*sessions->watches));
}
