// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_apply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/secmem.h"
#include "dataplane/audience.h"
#include "dataplane/retire.h"
#include "key/key_domain.h"
#include "key/keystore.h"
#include "session/gmk_ways.h"
#include "session/leg_audience.h"
#include "session/leg_bind.h"
#include "session/leg_remote.h"
#include "session/session_check.h"
#include "session/session_follow.h"
#include "session/session_legs.h"
#include "session/session_publish.h"
#include "session/session_spec.h"
#include "session/session_statistics.h"
#include "session/session_store.h"

// To tell what was counted of one takes some 50 us.
enum { LEGS_AT_A_TIME = 64 };

// --- legs

static struct session_leg *leg_new(struct sessions *sessions, struct session *session)
{
	struct session_leg *leg = alloc_zero(1, sizeof(*leg));
	leg->session = session;
	leg->index = leg_index_take(sessions, leg);
	leg->serial = ++sessions->next_serial;
	return leg;
}

// The leg of a spec, which is taken, bound to what it uses. One of that id keeps its index, and with
// it its streams and counters; what it was before goes to *before, of a new one what it is.
static struct session_leg *leg_state(struct sessions *sessions, struct session *session,
	struct leg_spec *spec, struct session_leg *before)
{
	struct session_leg *there = session_leg_find(session, spec->id);
	struct session_leg *leg = there ? there : leg_new(sessions, session);
	*before = *leg;
	leg->spec = *spec;
	*spec = (struct leg_spec){};
	leg_remote_state(leg, there ? &before->spec : NULL, clock_now_ms());
	leg_bind(sessions, session, leg);
	leg_audience_unname(leg);
	if (there) {
		gmk_ways_drop(session->gmk_ways, before->spec.protection);
	} else {
		session_leg_add(session, leg);
		*before = *leg;
	}
	gmk_ways_add(session->gmk_ways, leg->spec.protection);
	return leg;
}

// A leg that named it in `to` keeps sending to the others it named; to none if it named no other.
static void spec_forget(struct leg_spec *spec, const char *id)
{
	for (uint32_t t = spec->n_to; t-- > 0;) {
		if (strcmp(spec->to[t], id) != 0)
			continue;
		free(spec->to[t]);
		spec->to[t] = spec->to[--spec->n_to];
	}
}

// First step of removing a leg: nothing published refers to it afterwards.
static void leg_hide(struct sessions *sessions, struct session_leg *leg)
{
	struct session *session = leg->session;
	struct leg_naming *naming;
	LIST_FOREACH (naming, &leg->named_by, entry)
		spec_forget(&naming->from->spec, leg->spec.id);
	leg_audience_leave(sessions, leg);
	leg_unpublish(sessions, leg);
	session_leg_drop(session, leg);
	gmk_ways_drop(session->gmk_ways, leg->spec.protection);
}

// Second step, when its session's audiences are published.
static void leg_leave(struct sessions *sessions, struct session_leg *leg)
{
	retire_later(sessions->retire, leg_release, sessions, leg->index);
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
		audience_end(leg->own[protocol], sessions->retire);
	leg_audience_unname(leg);
	leg_unbind(sessions, leg);
	free(leg->streams);
	leg_spec_free(&leg->spec);
	free(leg);
}

// Gives back what a leg used before it was bound anew.
static void leg_replaced(
	struct sessions *sessions, struct session_leg *before, const struct session_leg *now)
{
	leg_unpublish_replaced(before, now);
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
		audience_end(before->own[protocol], sessions->retire);
	leg_unbind(sessions, before);
	leg_spec_free(&before->spec);
}

// Legs of a session that leave it.
struct leavers {
	struct session_leg **legs;
	uint32_t n;
	json_t *shown; // NULL: nobody wants to know what was counted of them
};

static void legs_hide(struct sessions *sessions, const struct leavers *leavers)
{
	for (uint32_t i = 0; i < leavers->n; i++)
		leg_hide(sessions, leavers->legs[i]);
}

// What was counted of the legs that saw any packet. They are unpublished: at most what a worker has
// in hand is not in it.
static void legs_tell(const struct sessions *sessions, const struct leavers *leavers)
{
	for (uint32_t i = 0; leavers->shown && i < leavers->n; i++) {
		const struct session_leg *leg = leavers->legs[i];
		if (leg_was_used(sessions->relay, leg->index))
			json_array_append_new(leavers->shown,
				json_pack("{s:s,s:o}", "id", leg->spec.id, "statistics",
					leg_statistics_show(sessions->relay, leg)));
	}
}

static void legs_leave(struct sessions *sessions, const struct leavers *leavers)
{
	for (uint32_t i = 0; i < leavers->n; i++)
		leg_leave(sessions, leavers->legs[i]);
}

// Changes the session to the legs of specs, which are taken; all others stay but the leavers.
static void session_change_legs(struct sessions *sessions, struct session *session,
	struct leg_spec *specs, uint32_t n, const struct leavers *leavers)
{
	struct session_leg *before = alloc_zero(n, sizeof(*before));
	struct session_leg **legs = alloc_zero(n, sizeof(struct session_leg *));
	for (uint32_t i = 0; i < n; i++)
		legs[i] = leg_state(sessions, session, &specs[i], &before[i]);
	legs_hide(sessions, leavers);
	for (uint32_t i = 0; i < n; i++)
		leg_audience_follow(sessions, &before[i], legs[i]);
	for (uint32_t i = 0; i < n; i++)
		leg_audience_name(sessions, legs[i]);
	session_audiences_publish(sessions, session);
	for (uint32_t i = 0; i < n; i++) {
		leg_audience_publish(sessions, legs[i]);
		leg_publish(sessions, legs[i]);
	}
	for (uint32_t i = 0; i < n; i++)
		if (before[i].spec.id != legs[i]->spec.id) // it was there before
			leg_replaced(sessions, &before[i], legs[i]);
	legs_tell(sessions, leavers);
	legs_leave(sessions, leavers);
	groups_publish(sessions);
	free(legs);
	free(before);
}

// Those that specs do not have. The caller frees the list.
static struct leavers legs_not_in(struct session *session, struct leg_spec *specs, uint32_t n)
{
	struct leavers leavers = {
		.legs = alloc_zero(session->n_legs, sizeof(struct session_leg *))};
	struct session_leg *leg;
	TAILQ_FOREACH (leg, &session->legs, entry)
		leg->leaving = true;
	for (uint32_t i = 0; i < n; i++) {
		leg = session_leg_find(session, specs[i].id);
		if (!leg)
			continue;
		leg->leaving = false;
		session_leg_to_end(session, leg); // in the order of the specs
	}
	TAILQ_FOREACH (leg, &session->legs, entry)
		if (leg->leaving)
			leavers.legs[leavers.n++] = leg;
	return leavers;
}

// Replaces the session's legs by those of specs, which are taken.
static void session_set_legs(
	struct sessions *sessions, struct session *session, struct leg_spec *specs, uint32_t n)
{
	struct leavers leavers = legs_not_in(session, specs, n);
	session_audiences_revise(sessions, session, false); // its group or service may be others
	session_change_legs(sessions, session, specs, n, &leavers);
	free(leavers.legs);
}

// --- session

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

static struct session *session_new(struct sessions *sessions)
{
	struct session *session = alloc_zero(1, sizeof(*session));
	session->sessions = sessions;
	session->owner.changed = session_follow_key;
	session->heard_tsc = rte_rdtsc();
	session->scope = keystore_session_scope(sessions->keys);
	session->gmk_ways = gmk_ways_new();
	for (unsigned kind = 0; kind < AUDIENCE_N; kind++)
		session->audiences[kind] = audience_new();
	TAILQ_INIT(&session->legs);
	return session;
}

// Nothing published refers to it any more.
static void session_free(struct session *session)
{
	struct sessions *sessions = session->sessions;
	keystore_session_scope_release(sessions->keys, session->scope);
	for (unsigned kind = 0; kind < AUDIENCE_N; kind++)
		audience_end(session->audiences[kind], sessions->retire);
	session_spec_free(&session->spec);
	free(session->key_ids);
	gmk_ways_free(session->gmk_ways);
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
		fresh = session_new(sessions);
	}
	struct session *target = session ? session : fresh;
	bool good = session_check_keys(sessions, target, spec, path, error) &&
		    session_check(sessions, target, spec, false, path, error);
	if (good && fresh &&
		map_put(sessions->by_id, spec->id, strlen(spec->id), fresh, NULL) != 0) {
		rpc_fail_memory(error, path);
		good = false;
	}
	if (!good) {
		if (fresh)
			session_free(fresh);
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

// What is checked of a session some of whose legs are stated: its own keys by id only, they are
// installed. False with *error set if there is no memory. The caller frees keys.
static bool session_describe(const struct session *session, struct leg_spec *legs, uint32_t n,
	struct session_spec *out, const char *path, struct rpc_error *error)
{
	*out = session->spec;
	out->legs = legs;
	out->n_legs = n;
	out->n_keys = session->n_keys;
	out->keys = secmem_malloc(session->n_keys * sizeof(*out->keys) + 1);
	if (!out->keys) {
		rpc_fail_memory(error, path);
		return false;
	}
	for (uint32_t i = 0; i < session->n_keys; i++)
		out->keys[i] = (struct key_spec){.id = session->key_ids[i]};
	return true;
}

bool session_apply_legs(struct sessions *sessions, struct session *session, struct leg_spec *legs,
	uint32_t n, const char *path, struct rpc_error *error)
{
	struct session_spec spec;
	if (!session_describe(session, legs, n, &spec, path, error))
		return false;
	bool ok = session_check(sessions, session, &spec, true, path, error);
	if (ok)
		session_change_legs(sessions, session, legs, n, &(struct leavers){});
	secmem_free(spec.keys);
	return ok;
}

// The legs of those ids, each once. False with *error set if one is not there. The caller frees the
// list.
static bool legs_named(const struct session *session, const json_t *ids, const char *path,
	struct leavers *leavers, struct rpc_error *error)
{
	size_t i;
	json_t *item;
	leavers->legs = alloc_zero(json_array_size(ids), sizeof(struct session_leg *));
	json_array_foreach ((json_t *)(uintptr_t)ids, i, item) {
		const char *id = json_string_value(item);
		char full[128];
		snprintf(full, sizeof(full), "%s[%zu]", path, i);
		if (!id) {
			rpc_fail(error, RPC_INVALID_PARAMS, full,
				"is no leg id; accepted: a string");
			break;
		}
		struct session_leg *leg = session_leg_find(session, id);
		if (!leg || leg->leaving) {
			rpc_fail(error, RPC_NOT_FOUND, full,
				"is no leg of the session; accepted: ids that session.get shows");
			break;
		}
		leg->leaving = true;
		leavers->legs[leavers->n++] = leg;
	}
	for (uint32_t l = 0; error->code != RPC_OK && l < leavers->n; l++)
		leavers->legs[l]->leaving = false;
	return error->code == RPC_OK;
}

bool session_remove_legs(struct sessions *sessions, struct session *session, const json_t *ids,
	const char *path, uint32_t *removed, json_t *shown, struct rpc_error *error)
{
	struct leavers leavers = {.shown = shown};
	bool ok = legs_named(session, ids, path, &leavers, error);
	if (leavers.n > LEGS_AT_A_TIME)
		leavers.shown = NULL;
	if (ok)
		session_change_legs(sessions, session, NULL, 0, &leavers);
	*removed = ok ? leavers.n : 0;
	free(leavers.legs);
	return ok;
}

// The first ones of a session leave it.
static void session_shrink(struct sessions *sessions, struct session *session, json_t *shown)
{
	struct session_leg *first[LEGS_AT_A_TIME], *leg;
	struct leavers leavers = {.legs = first, .shown = shown};
	TAILQ_FOREACH (leg, &session->legs, entry) {
		if (leavers.n == LEGS_AT_A_TIME)
			break;
		first[leavers.n++] = leg;
	}
	session_change_legs(sessions, session, NULL, 0, &leavers);
}

bool session_remove(struct sessions *sessions, struct session *session, json_t *shown)
{
	session_shrink(sessions, session, shown);
	if (session->n_legs > 0)
		return false;
	for (uint32_t i = 0; i < session->n_keys; i++)
		key_remove(sessions->keys, session->scope, session->key_ids[i]);
	session_follow_end(session);
	map_remove(sessions->by_id, session->spec.id, strlen(session->spec.id));
	sessions_count(sessions, session, -1);
	session_free(session);
	return true;
}

void sessions_fini(struct sessions *sessions)
{
	struct map_cursor cursor = {0};
	struct session *session;
	while ((session = map_next(sessions->by_id, &cursor)) != NULL)
		while (!session_remove(sessions, session, NULL))
			;
	retire_all(sessions->retire);
	map_free(sessions->by_id);
	secmem_unmap(sessions->by_leg, sessions->max_legs * sizeof(*sessions->by_leg));
	secmem_unmap(sessions->free_legs, sessions->max_legs * sizeof(*sessions->free_legs));
	secmem_unmap(sessions->watches, sessions->max_legs * sizeof(*sessions->watches));
}
