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
#include "dataplane/relay_tables.h"
#include "key/key_domain.h"
#include "key/key_read.h"
#include "key/keystore.h"
#include "session/gmk_ways.h"
#include "session/leg_audience.h"
#include "session/leg_change.h"
#include "session/leg_claims.h"
#include "session/session_check.h"
#include "session/session_follow.h"
#include "session/session_legs.h"
#include "session/session_read.h"
#include "session/session_record.h"
#include "session/session_remove.h"
#include "session/session_show.h"
#include "session/session_spec.h"
#include "session/session_store.h"
#include "store/store.h"

enum {
	LEGS_SEEN_AT_A_TIME = 1024, // while those are looked for that leave
	CLAIMS_AT_A_TIME = 256,     // buckets of them, at the end
};

struct session_apply {
	struct sessions *sessions;
	struct session *session;
	bool fresh;         // it is in no table yet
	bool whole;         // session.apply: legs that are not stated leave
	bool revises;       // what is sent depends on what changed of its description
	const json_t *keys; // of the request
	json_t *legs;       // the same; each is released when it was read
	uint32_t n_keys, n_legs;
	struct session_spec spec; // of leg.apply: its texts are the session's
	char path[128];
	struct leg_claims claims;
	struct session_check check;
	uint64_t begun; // store_version() then
	unsigned stage;
	uint32_t at;              // of the stage
	struct rpc_error refused; // the first fault
	void (*fault)(void *arg, const struct rpc_error *error);
	void *fault_arg;
	uint32_t n_promised;            // keys
	uint32_t *old_keys, n_old_keys; // ids of those that the session had
	struct session_leg **stated;    // legs of the specs
	struct session_leg *seen;       // leg that is looked at next: whether it leaves
	bool created;
	json_t *picked;
};

// --- reading and checking, one key or leg at a time

static uint32_t key_read_step(struct session_apply *apply, struct rpc_error *error)
{
	char path[160];
	snprintf(path, sizeof(path), "%s.keys[%u]", apply->path, apply->at);
	key_read(json_array_get(apply->keys, apply->at), path, &apply->spec.keys[apply->at], error);
	return 1;
}

static uint32_t leg_read_step(struct session_apply *apply, struct rpc_error *error)
{
	json_t *leg = json_array_get(apply->legs, apply->at), *id = json_object_get(leg, "id");
	leg_read(apply->sessions->relay, leg, apply->path, apply->at, &apply->spec.legs[apply->at],
		error);
	// Freed while it is in the cache, and not all at the end. The log tells the id.
	json_array_set_new(apply->legs, apply->at, id ? json_incref(id) : json_null());
	return 1;
}

static uint32_t key_check_step(struct session_apply *apply, struct rpc_error *error)
{
	session_check_key(&apply->check, apply->at, error);
	if (error->code == RPC_OK) {
		keystore_promise(apply->sessions->keys, +1);
		apply->n_promised++;
	}
	return 1;
}

static uint32_t id_step(struct session_apply *apply, struct rpc_error *error)
{
	session_check_id(&apply->check, apply->at, error);
	return 1;
}

static uint32_t stated_local_step(struct session_apply *apply, struct rpc_error *error)
{
	session_check_stated_local(&apply->check, apply->at, error);
	return 1;
}

static uint32_t open_local_step(struct session_apply *apply, struct rpc_error *error)
{
	session_check_open_local(&apply->check, apply->at, error);
	return 1;
}

static uint32_t received_step(struct session_apply *apply, struct rpc_error *error)
{
	session_check_received(&apply->check, apply->at, error);
	return 1;
}

static uint32_t limits_step(struct session_apply *apply, struct rpc_error *error)
{
	session_check_limits(&apply->check, error);
	return 1;
}

static uint32_t leg_check_step(struct session_apply *apply, struct rpc_error *error)
{
	session_check_leg(&apply->check, apply->at, error);
	return 1;
}

static uint32_t way_step(struct session_apply *apply, struct rpc_error *error)
{
	session_check_way(&apply->check, apply->at, error);
	return 1;
}

// --- changing: no step can fail but the first

static bool texts_equal(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

// The session gets its new description, all but keys and legs.
static void describe(struct session *session, struct session_spec *spec)
{
	free(session->spec.id);
	free(session->spec.domain);
	free(session->spec.group);
	session->spec = *spec;
	session->spec.keys = NULL;
	session->spec.n_keys = 0;
	session->spec.legs = NULL;
	session->spec.n_legs = 0;
	session->owner.id = session->spec.id;
	spec->id = NULL;
	spec->domain = NULL;
	spec->group = NULL;
}

static uint32_t describe_step(struct session_apply *apply, struct rpc_error *error)
{
	struct sessions *sessions = apply->sessions;
	struct session *session = apply->session;
	const struct session_spec *is = &session->spec, *becomes = &apply->spec;
	if (apply->fresh &&
		map_put(sessions->by_id, becomes->id, strlen(becomes->id), session, NULL) != 0) {
		rpc_fail_memory(error, apply->path);
		return 1;
	}
	if (!apply->fresh)
		sessions_count(sessions, session, -1);
	apply->revises = !apply->fresh && (is->service != becomes->service ||
						  !texts_equal(is->group, becomes->group));
	apply->created = apply->fresh;
	apply->fresh = false;
	describe(session, &apply->spec);
	apply->claims.id = session->spec.id;
	sessions_count(sessions, session, +1);
	session_record(session);
	if (apply->revises)
		session_audiences_revise(sessions, session, true);
	apply->old_keys = session->key_ids;
	apply->n_old_keys = session->n_keys;
	session->n_keys = 0;
	session->key_ids = alloc_zero(apply->spec.n_keys, sizeof(uint32_t));
	apply->seen = TAILQ_FIRST(&session->legs);
	return 1;
}

static uint32_t key_install_step(struct session_apply *apply, struct rpc_error *error)
{
	struct session *session = apply->session;
	struct key_spec *key = &apply->spec.keys[apply->at];
	(void)error;
	key->session = session->spec.id;
	session->key_ids[session->n_keys++] = key->id;
	keystore_promise(apply->sessions->keys, -1);
	apply->n_promised--;
	key_install(apply->sessions->keys, session->scope, key);
	return 1;
}

// Those that are not stated leave first: their addresses may be those of others.
static uint32_t leave_step(struct session_apply *apply, struct rpc_error *error)
{
	struct session_leg *leavers[LEGS_AT_A_TIME];
	uint32_t n = 0;
	(void)error;
	for (uint32_t i = 0; apply->seen && n < LEGS_AT_A_TIME && i < LEGS_SEEN_AT_A_TIME; i++) {
		if (!leg_claims_find(&apply->claims, apply->seen->spec.id))
			leavers[n++] = apply->seen;
		apply->seen = TAILQ_NEXT(apply->seen, entry);
	}
	if (n > 0)
		legs_remove(apply->sessions, apply->session, leavers, n, NULL);
	return apply->seen ? 0 : 1;
}

// Legs that are there before any is changed that names them.
static uint32_t join_step(struct session_apply *apply, struct rpc_error *error)
{
	struct leg_spec *spec = &apply->spec.legs[apply->at];
	struct session_leg *leg = session_leg_find(apply->session, spec->id);
	(void)error;
	if (!leg) {
		apply->claims.n_legs--;
		apply->claims.n_ctxs -= leg_spec_n_ctxs(spec);
		leg = leg_join(apply->sessions, apply->session, spec);
		leg->born = apply->begun;
		leg_claims_settle_group(&apply->claims, &leg->spec);
	}
	apply->stated[apply->at] = leg;
	return 1;
}

// The leg was changed.
static void leg_settle(struct session_apply *apply, struct session_leg *leg)
{
	leg_claims_settle_group(&apply->claims, &leg->spec);
	if (apply->whole)
		session_leg_to_end(apply->session, leg); // in the order of the request
	leg_record(leg);
	if (leg->spec.local_form == LOCAL_STATED)
		return;
	apply->picked = apply->picked ? apply->picked : json_array();
	json_array_append_new(apply->picked, leg_local_show(leg));
}

static uint32_t change_step(struct session_apply *apply, struct rpc_error *error)
{
	struct session_leg **legs = &apply->stated[apply->at];
	uint32_t n = apply->spec.n_legs - apply->at;
	(void)error;
	n = n < LEGS_AT_A_TIME ? n : LEGS_AT_A_TIME;
	legs_change(apply->sessions, apply->session, legs, &apply->spec.legs[apply->at], n);
	for (uint32_t i = 0; i < n; i++)
		leg_settle(apply, legs[i]);
	return n;
}

static bool key_stays(const struct session_apply *apply, uint32_t id)
{
	for (uint32_t k = 0; k < apply->spec.n_keys; k++)
		if (apply->spec.keys[k].id == id)
			return true;
	return false;
}

// Keys that are not stated any more go when no leg names them.
static uint32_t key_remove_step(struct session_apply *apply, struct rpc_error *error)
{
	uint32_t id = apply->old_keys[apply->at];
	(void)error;
	if (!key_stays(apply, id))
		key_remove(apply->sessions->keys, apply->session->scope, id);
	return 1;
}

static uint32_t revise_step(struct session_apply *apply, struct rpc_error *error)
{
	(void)error;
	if (apply->revises)
		session_audiences_revise(apply->sessions, apply->session, false);
	return 1;
}

// --- at the end, whether it was refused or not

static uint32_t spec_release_step(struct session_apply *apply, struct rpc_error *error)
{
	(void)error;
	leg_spec_free(&apply->spec.legs[apply->at]);
	return 1;
}

static uint32_t claims_release_step(struct session_apply *apply, struct rpc_error *error)
{
	(void)error;
	apply->spec.n_legs = 0; // all are freed
	return map_drain(apply->claims.taken, CLAIMS_AT_A_TIME);
}

// --- stages

static uint32_t count_once(const struct session_apply *apply)
{
	(void)apply;
	return 1;
}

static uint32_t count_keys(const struct session_apply *apply)
{
	return apply->spec.n_keys;
}

static uint32_t count_legs(const struct session_apply *apply)
{
	return apply->spec.n_legs;
}

static uint32_t count_old_keys(const struct session_apply *apply)
{
	return apply->n_old_keys;
}

static uint32_t count_whole(const struct session_apply *apply)
{
	return apply->whole;
}

// Each is run until it has done all that it counts; run() returns how many it did.
static const struct stage {
	uint32_t (*count)(const struct session_apply *apply);
	uint32_t (*run)(struct session_apply *apply, struct rpc_error *error);
	bool each; // a fault of one says nothing of the next
} stages[] = {
	{count_keys, key_read_step, true},
	{count_legs, leg_read_step, true},
	{count_keys, key_check_step, true},
	{count_legs, id_step, true},
	{count_legs, stated_local_step, true},
	{count_legs, open_local_step, true},
	{count_legs, received_step, true},
	{count_once, limits_step},
	{count_legs, leg_check_step, true},
	{count_legs, way_step},
	{count_whole, describe_step},
	{count_keys, key_install_step},
	{count_whole, leave_step},
	{count_legs, join_step},
	{count_legs, change_step},
	{count_old_keys, key_remove_step},
	{count_whole, revise_step},
	{count_legs, spec_release_step},
	{count_once, claims_release_step},
};

enum { N_STAGES = sizeof(stages) / sizeof(stages[0]), RELEASE_STAGE = N_STAGES - 2 };

void session_apply_watch_faults(struct session_apply *apply,
	void (*fault)(void *arg, const struct rpc_error *error), void *arg)
{
	apply->fault = fault;
	apply->fault_arg = arg;
}

static void stage_enter(struct session_apply *apply, unsigned stage)
{
	apply->stage = stage;
	apply->at = 0;
}

static void fault_take(struct session_apply *apply, struct rpc_error *error)
{
	const bool goes_on = apply->fault && stages[apply->stage].each;
	if (apply->fault)
		apply->fault(apply->fault_arg, error);
	if (apply->refused.code == RPC_OK)
		apply->refused = *error;
	*error = (struct rpc_error){.code = RPC_OK};
	if (!goes_on)
		stage_enter(apply, RELEASE_STAGE);
}

bool session_apply_step(struct session_apply *apply, struct rpc_error *error)
{
	if (apply->stage == N_STAGES)
		return true;
	const struct stage *stage = &stages[apply->stage];
	if (apply->at < stage->count(apply))
		apply->at += stage->run(apply, error);
	else if (apply->refused.code != RPC_OK && apply->stage < RELEASE_STAGE)
		stage_enter(apply, RELEASE_STAGE);
	else
		stage_enter(apply, apply->stage + 1);
	if (error->code != RPC_OK)
		fault_take(apply, error);
	if (apply->stage < N_STAGES)
		return false;
	*error = apply->refused;
	return true;
}

// --- begin and end

static struct session *session_new(struct sessions *sessions)
{
	struct session *session = alloc_zero(1, sizeof(*session));
	session->sessions = sessions;
	session->owner.touched = session_touch;
	session->owner.changed = session_follow_key;
	session->heard_tsc = rte_rdtsc();
	session->scope = keystore_session_scope(sessions->keys);
	session->gmk_ways = gmk_ways_new();
	for (unsigned kind = 0; kind < AUDIENCE_N; kind++)
		session->audiences[kind] = audience_new(&sessions->relay->keys);
	TAILQ_INIT(&session->legs);
	return session;
}

// What an apply needs besides what is stated, which is in its spec.
static bool apply_begin(struct session_apply *apply, struct rpc_error *error)
{
	struct session_spec *spec = &apply->spec;
	spec->n_legs = apply->n_legs;
	spec->legs = alloc_zero(spec->n_legs, sizeof(*spec->legs));
	spec->n_keys = apply->n_keys;
	spec->keys = secmem_malloc(spec->n_keys * sizeof(*spec->keys) + 1);
	if (!spec->keys) {
		rpc_fail_memory(error, apply->path);
		return false;
	}
	apply->stated = alloc_zero(spec->n_legs, sizeof(struct session_leg *));
	apply->claims.id = spec->id;
	apply->claims.session = apply->session;
	apply->check = (struct session_check){.sessions = apply->sessions,
		.session = apply->session,
		.spec = spec,
		.others_stay = !apply->whole,
		.claims = &apply->claims,
		.ways = gmk_ways_copy(apply->whole ? NULL : apply->session->gmk_ways),
		.path = apply->path};
	if (!leg_claims_open(&apply->claims, apply->path, error))
		return false;
	if (!session_apply_is_short(apply))
		apply->sessions->claims = &apply->claims;
	return true;
}

// Whether it has to wait for the one that is worked on in steps: it is about the same session, or has
// to be worked on in steps as well.
static bool must_wait(const struct session_apply *apply)
{
	const struct sessions *sessions = apply->sessions;
	return sessions->claims &&
	       (!session_apply_is_short(apply) || session_is_applied(sessions, apply->spec.id));
}

static struct session_apply *apply_new(
	struct sessions *sessions, json_t *legs, const char *path, bool whole)
{
	struct session_apply *apply = alloc_zero(1, sizeof(*apply));
	apply->sessions = sessions;
	apply->legs = legs;
	apply->n_legs = (uint32_t)json_array_size(legs);
	apply->whole = whole;
	apply->begun = store_version(sessions->keys->records);
	snprintf(apply->path, sizeof(apply->path), "%s", path);
	return apply;
}

struct session_apply *session_apply_open(
	struct sessions *sessions, json_t *value, const char *path, struct rpc_error *error)
{
	struct session_apply *apply =
		apply_new(sessions, json_object_get(value, "legs"), path, true);
	if (!session_read(value, path, &apply->spec, error))
		goto end;
	apply->keys = json_object_get(value, "keys");
	apply->n_keys = (uint32_t)json_array_size(apply->keys);
	apply->session = session_find(sessions, apply->spec.id);
	if (must_wait(apply))
		goto end;
	apply->fresh = !apply->session;
	if (apply->fresh)
		apply->session = session_new(sessions);
	if (apply_begin(apply, error))
		return apply;

end:
	session_apply_close(apply);
	return NULL;
}

struct session_apply *session_apply_open_legs(struct sessions *sessions, struct session *session,
	json_t *legs, const char *path, struct rpc_error *error)
{
	struct session_apply *apply = apply_new(sessions, legs, path, false);
	apply->session = session;
	apply->spec = session->spec;
	apply->spec.keeps_keys = true;
	if (must_wait(apply) || !apply_begin(apply, error)) {
		session_apply_close(apply);
		return NULL;
	}
	return apply;
}

void session_apply_close(struct session_apply *apply)
{
	if (!apply)
		return;
	if (apply->sessions->claims == &apply->claims)
		apply->sessions->claims = NULL;
	if (apply->n_promised > 0)
		keystore_promise(apply->sessions->keys, -(int)apply->n_promised);
	if (apply->fresh)
		session_free(apply->session);
	if (!apply->whole)
		apply->spec.id = apply->spec.domain = apply->spec.group = NULL;
	session_spec_free(&apply->spec);
	leg_claims_close(&apply->claims);
	gmk_ways_free(apply->check.ways);
	free(apply->old_keys);
	free(apply->stated);
	json_decref(apply->picked);
	free(apply);
}

bool session_apply_is_short(const struct session_apply *apply)
{
	const struct session *before = apply->whole ? apply->session : NULL;
	return apply->n_legs <= LEGS_AT_A_TIME && apply->n_keys <= LEGS_AT_A_TIME &&
	       (!before || (before->n_legs <= LEGS_AT_A_TIME && before->n_keys <= LEGS_AT_A_TIME));
}

bool session_apply_created(const struct session_apply *apply)
{
	return apply->created;
}

uint32_t session_apply_n_legs(const struct session_apply *apply)
{
	return apply->n_legs;
}

json_t *session_apply_picked(const struct session_apply *apply)
{
	return json_incref(apply->picked);
}

bool session_is_applied(const struct sessions *sessions, const char *id)
{
	return sessions->claims && strcmp(sessions->claims->id, id) == 0;
}
