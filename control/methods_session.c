// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/methods_session.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/map.h"
#include "control/api.h"
#include "control/params.h"
#include "server/reader.h"
#include "session/leg_change.h"
#include "session/session_apply.h"
#include "session/session_remove.h"
#include "session/session_show.h"
#include "session/session_store.h"
#include "session/session_top.h"

static void apply_free(void *apply)
{
	session_apply_close(apply);
}

// The slice has begun it, or not: *error is set then, or it has to wait and is begun by another slice.
static bool apply_begin(
	struct session_apply *apply, struct rpc_slice *slice, const struct rpc_error *error)
{
	if (!apply && error->code == RPC_OK)
		rpc_slice_wait(slice, 0);
	slice->state = apply;
	slice->state_free = apply_free;
	return apply;
}

// Goes on until the end of the slice, or of a short request. True if all was done.
static bool apply_go_on(struct rpc_slice *slice, struct rpc_error *error)
{
	struct session_apply *apply = slice->state;
	while (!session_apply_step(apply, error))
		if (!session_apply_is_short(apply) && rpc_slice_expired(slice, slice->next + 1))
			return false;
	return error->code == RPC_OK;
}

// What was picked follows the members, leg by leg. NULL: not yet all of it. Takes over the reference.
static json_t *apply_answer(struct rpc_slice *slice, json_t *members)
{
	json_t *picked = session_apply_picked(slice->state);
	size_t n = json_array_size(picked);
	bool more = false;
	if (n == 0)
		return members;
	if (slice->count == 0)
		rpc_emit_members(slice, members, "legs");
	else
		json_decref(members);
	while (!more && (size_t)slice->count < n) {
		size_t i = (size_t)slice->count++;
		json_t *leg = json_incref(json_array_get(picked, i));
		json_array_set_new(picked, i, json_null()); // freed by itself
		rpc_emit(slice, "legs", leg);
		more = !session_apply_is_short(slice->state) &&
		       rpc_slice_expired(slice, slice->next + 1);
	}
	json_decref(picked);
	return more ? NULL : json_object();
}

json_t *session_apply_method(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	const struct api *api = arg;
	if (!slice->state) {
		struct reader r, session;
		reader_open(&r, params, "params", error);
		if (!reader_object(&r, "session", READER_REQUIRED, &session) || !reader_close(&r) ||
			!apply_begin(session_apply_open(api->sessions,
					     json_object_get(params, "session"), "params.session",
					     error),
				slice, error))
			return NULL;
	}
	if (!apply_go_on(slice, error))
		return NULL;
	return apply_answer(
		slice, json_pack("{s:b}", "created", (int)session_apply_created(slice->state)));
}

// The session of that id, if params were good so far.
static struct session *session_named(
	const struct api *api, struct reader *r, const char *member, const char *id)
{
	struct session *session = reader_close(r) ? session_find(api->sessions, id) : NULL;
	if (!session)
		reader_fail(r, RPC_NOT_FOUND, member,
			"is no session; accepted: an id that session.list shows");
	return session;
}

// A leg that is to be shown in a later slice, if it is still there then.
static json_t *leg_ticket(const struct session_leg *leg)
{
	return json_integer((json_int_t)((uint64_t)leg->serial << 32 | leg->index));
}

static struct session_leg *leg_of_ticket(const struct sessions *sessions, const json_t *ticket)
{
	uint64_t value = (uint64_t)json_integer_value(ticket);
	struct session_leg *leg = session_leg_at(sessions, (uint32_t)value);
	return leg && leg->serial == value >> 32 ? leg : NULL;
}

// The first slice: false if it is over before all legs were shown. The others are in slice->list then,
// of which the first is leg number slice->count.
static bool session_get_begin(
	const struct api *api, const struct session *session, struct rpc_slice *slice)
{
	const struct session_leg *leg;
	size_t i = 0;
	rpc_emit_members(slice, session_show(api->sessions, session), "legs");
	TAILQ_FOREACH (leg, &session->legs, entry) {
		if (slice->list || rpc_slice_expired(slice, i)) {
			slice->list = slice->list ? slice->list : json_array();
			slice->count = (int64_t)slice->next;
			json_array_append_new(slice->list, leg_ticket(leg));
			continue;
		}
		rpc_emit(slice, "legs", leg_show(api->sessions, leg));
		i++;
	}
	return !slice->list;
}

json_t *session_get(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	const struct api *api = arg;
	struct reader r;
	const char *id = "";
	if (!slice->list) {
		reader_open(&r, params, "params", error);
		reader_string(&r, "id", READER_REQUIRED, &id);
		const struct session *session = session_named(api, &r, "id", id);
		api->read_mail(api->poll_arg); // the answer covers what workers reported before
		return session && session_get_begin(api, session, slice) ? json_object() : NULL;
	}
	for (size_t i = slice->next; i - (size_t)slice->count < json_array_size(slice->list); i++) {
		if (rpc_slice_expired(slice, i))
			return NULL;
		const struct session_leg *leg = leg_of_ticket(
			api->sessions, json_array_get(slice->list, i - (size_t)slice->count));
		if (leg)
			rpc_emit(slice, "legs", leg_show(api->sessions, leg));
	}
	return json_object();
}

static void session_emit(void *session, void *slice)
{
	rpc_emit(slice, "sessions", session_summary(session));
}

json_t *session_list(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	const struct api *api = arg;
	uint64_t place = slice->next;
	if (!read_nothing(params, error))
		return NULL;
	while (map_walk(api->sessions->by_id, &place, session_emit, slice))
		if (rpc_slice_expired(slice, place))
			return NULL;
	return json_pack("{s:[]}", "sessions");
}

json_t *session_top_method(void *arg, const json_t *params, struct rpc_error *error)
{
	const struct api *api = arg;
	struct reader r;
	uint64_t limit = SESSION_TOP_DEFAULT;
	reader_open(&r, params, "params", error);
	reader_uint(&r, "limit", 1, SESSION_TOP_MAX, &limit);
	return reader_close(&r)
		       ? session_top(api->sessions, (uint32_t)limit, api->poll, api->poll_arg)
		       : NULL;
}

static bool session_ids_check(const struct reader *r, const json_t *ids, struct rpc_error *error)
{
	for (size_t i = 0; i < json_array_size(ids); i++) {
		char path[128];
		if (json_is_string(json_array_get(ids, i)))
			continue;
		reader_element_path(r, "ids", i, path);
		rpc_fail(error, RPC_INVALID_PARAMS, path, "is no session id; accepted: a string");
		return false;
	}
	return true;
}

// Another request about the session is worked on in steps: this one goes on at element i behind it.
static bool request_waits(
	const struct api *api, struct rpc_slice *slice, size_t i, const char *session)
{
	bool waits = session_is_applied(api->sessions, session);
	if (waits)
		rpc_slice_wait(slice, i);
	return waits;
}

// The answer of a method that has emitted what was counted of legs, if anything was.
static json_t *removed_answer(struct rpc_slice *slice)
{
	json_t *removed = json_pack("{s:I}", "removed", (json_int_t)slice->count);
	if (!slice->emitted)
		return removed;
	rpc_emit_end(slice, removed);
	return json_object();
}

// What was counted of legs that left; session: whose, if the answer says so. Takes over the reference.
static void legs_emit(struct rpc_slice *slice, json_t *legs, const char *session)
{
	size_t i;
	json_t *leg;
	json_array_foreach (legs, i, leg) {
		if (session)
			json_object_set_new(leg, "session", json_string(session));
		rpc_emit(slice, "legs", json_incref(leg));
	}
	json_decref(legs);
}

// Removes it or some of its legs. True if it is gone.
static bool session_remove_some(
	struct sessions *sessions, struct session *session, const char *id, struct rpc_slice *slice)
{
	json_t *legs = json_array();
	bool gone = session_remove(sessions, session, legs);
	legs_emit(slice, legs, id);
	return gone;
}

json_t *session_remove_method(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	const struct api *api = arg;
	struct reader r;
	const json_t *ids = NULL;
	reader_open(&r, params, "params", error);
	reader_array(&r, "ids", READER_REQUIRED, &ids);
	if (!reader_close(&r) || (slice->next == 0 && !session_ids_check(&r, ids, error)))
		return NULL;
	api->read_mail(api->poll_arg); // the answer covers what workers reported before
	for (size_t i = slice->next; i - slice->again < json_array_size(ids); i++) {
		if (rpc_slice_expired(slice, i))
			return NULL;
		const char *id = json_string_value(json_array_get(ids, i - slice->again));
		if (request_waits(api, slice, i, id))
			return NULL;
		struct session *session = session_find(api->sessions, id);
		if (!session)
			continue;
		if (session_remove_some(api->sessions, session, id, slice))
			slice->count++;
		else
			slice->again++;
	}
	return removed_answer(slice);
}

json_t *leg_apply(void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	const struct api *api = arg;
	if (!slice->state) {
		struct reader r;
		const json_t *legs = NULL;
		const char *id = "";
		reader_open(&r, params, "params", error);
		reader_string(&r, "session", READER_REQUIRED, &id);
		reader_array(&r, "legs", READER_REQUIRED, &legs);
		if (request_waits(api, slice, 0, id))
			return NULL;
		struct session *session = session_named(api, &r, "session", id);
		if (!session ||
			!apply_begin(session_apply_open_legs(api->sessions, session,
					     json_object_get(params, "legs"), "params", error),
				slice, error))
			return NULL;
	}
	if (!apply_go_on(slice, error))
		return NULL;
	return apply_answer(slice,
		json_pack("{s:I}", "applied", (json_int_t)session_apply_n_legs(slice->state)));
}

// The first slice: all are there. They are in slice->list then.
static bool leg_remove_begin(struct session *session, const json_t *ids, struct rpc_slice *slice,
	struct rpc_error *error)
{
	size_t n = json_array_size(ids);
	struct session_leg **legs = alloc_zero(n, sizeof(struct session_leg *));
	bool good = session_legs_named(session, ids, "params.ids", legs, error);
	slice->list = json_array();
	for (size_t i = 0; good && i < n; i++)
		json_array_append_new(slice->list, leg_ticket(legs[i]));
	free(legs);
	return good;
}

// Removes some of the legs from place i on, those that are still there. How many it looked at.
static size_t leg_remove_some(const struct api *api, struct rpc_slice *slice, size_t i)
{
	struct session_leg *legs[LEGS_AT_A_TIME];
	uint32_t n = 0;
	size_t seen = 0;
	for (; seen < LEGS_AT_A_TIME && i + seen < json_array_size(slice->list); seen++) {
		struct session_leg *leg =
			leg_of_ticket(api->sessions, json_array_get(slice->list, i + seen));
		if (leg)
			legs[n++] = leg;
	}
	slice->count += n;
	if (n == 0)
		return seen;
	json_t *shown = json_array();
	legs_remove(api->sessions, legs[0]->session, legs, n, shown);
	legs_emit(slice, shown, NULL);
	return seen;
}

json_t *leg_remove(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	const struct api *api = arg;
	struct reader r;
	const json_t *ids = NULL;
	const char *id = "";
	reader_open(&r, params, "params", error);
	reader_string(&r, "session", READER_REQUIRED, &id);
	reader_array(&r, "ids", READER_REQUIRED, &ids);
	if (request_waits(api, slice, slice->next, id))
		return NULL;
	if (!slice->list) {
		struct session *session = session_named(api, &r, "session", id);
		if (!session || !leg_remove_begin(session, ids, slice, error))
			return NULL;
	}
	api->read_mail(api->poll_arg); // the answer covers what workers reported before
	for (size_t i = slice->next; i < json_array_size(slice->list);) {
		if (rpc_slice_expired(slice, i))
			return NULL;
		i += leg_remove_some(api, slice, i);
	}
	return removed_answer(slice);
}
