// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/methods_session.h"

#include <stdlib.h>

#include "base/map.h"
#include "control/api.h"
#include "control/params.h"
#include "server/reader.h"
#include "session/session_apply.h"
#include "session/session_read.h"
#include "session/session_show.h"
#include "session/session_spec.h"
#include "session/session_store.h"
#include "session/session_top.h"

json_t *session_apply_method(void *arg, const json_t *params, struct rpc_error *error)
{
	const struct api *api = arg;
	struct reader r;
	struct session_spec spec = {};
	bool created = false;
	reader_open(&r, params, "params", error);
	const json_t *value = json_object_get(params, "session");
	struct reader session;
	if (reader_object(&r, "session", READER_REQUIRED, &session) && reader_close(&r) &&
		session_read(api->relay, value, "params.session", &spec, error))
		session_apply(api->sessions, &spec, "params.session", &created, error);
	session_spec_free(&spec);
	if (error->code != RPC_OK)
		return NULL;
	const char *id = json_string_value(json_object_get(value, "id"));
	return json_pack("{s:b,s:o*}", "created", (int)created, "legs",
		session_picked_show(
			session_find(api->sessions, id), json_object_get(value, "legs")));
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

static const struct session_leg *leg_of_ticket(
	const struct sessions *sessions, const json_t *ticket)
{
	uint64_t value = (uint64_t)json_integer_value(ticket);
	const struct session_leg *leg = session_leg_at(sessions, (uint32_t)value);
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
		api->read_mail(api->poll_arg); // what workers said before this request shows
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

// Removes it or some of its legs, and tells what was counted of them. True if it is gone.
static bool session_remove_emit(
	struct sessions *sessions, struct session *session, const char *id, struct rpc_slice *slice)
{
	json_t *legs = json_array(), *leg;
	size_t i;
	bool gone = session_remove(sessions, session, legs);
	json_array_foreach (legs, i, leg) {
		json_object_set_new(leg, "session", json_string(id));
		rpc_emit(slice, "legs", json_incref(leg));
	}
	json_decref(legs);
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
	api->read_mail(api->poll_arg); // what workers said before this request shows
	for (size_t i = slice->next; i - slice->again < json_array_size(ids); i++) {
		if (rpc_slice_expired(slice, i))
			return NULL;
		const char *id = json_string_value(json_array_get(ids, i - slice->again));
		struct session *session = session_find(api->sessions, id);
		if (!session)
			continue;
		if (session_remove_emit(api->sessions, session, id, slice))
			slice->count++;
		else
			slice->again++;
	}
	json_t *removed = json_pack("{s:I}", "removed", (json_int_t)slice->count);
	if (!slice->emitted)
		return removed;
	rpc_emit_end(slice, removed);
	return json_object();
}

json_t *leg_apply(void *arg, const json_t *params, struct rpc_error *error)
{
	const struct api *api = arg;
	struct reader r;
	const json_t *array = NULL;
	struct leg_spec *legs = NULL;
	uint32_t n = 0;
	const char *id = "";
	reader_open(&r, params, "params", error);
	reader_string(&r, "session", READER_REQUIRED, &id);
	reader_array(&r, "legs", READER_REQUIRED, &array);
	struct session *session = session_named(api, &r, "session", id);
	if (!session)
		return NULL;
	if (session_read_legs(api->relay, array, "params.legs", &legs, &n, error))
		session_apply_legs(api->sessions, session, legs, n, "params", error);
	for (uint32_t i = 0; i < n; i++)
		leg_spec_free(&legs[i]);
	free(legs);
	if (error->code != RPC_OK)
		return NULL;
	return json_pack("{s:I,s:o*}", "applied", (json_int_t)n, "legs",
		session_picked_show(session, array));
}

json_t *leg_remove(void *arg, const json_t *params, struct rpc_error *error)
{
	const struct api *api = arg;
	struct reader r;
	const json_t *ids = NULL;
	uint32_t removed = 0;
	const char *id = "";
	reader_open(&r, params, "params", error);
	reader_string(&r, "session", READER_REQUIRED, &id);
	reader_array(&r, "ids", READER_REQUIRED, &ids);
	struct session *session = session_named(api, &r, "session", id);
	if (!session)
		return NULL;
	json_t *legs = json_array();
	api->read_mail(api->poll_arg); // what workers said before this request shows
	session_remove_legs(api->sessions, session, ids, "params.ids", &removed, legs, error);
	json_t *shown = json_array_size(legs) > 0 ? json_incref(legs) : NULL;
	json_decref(legs);
	return error->code == RPC_OK
		       ? json_pack("{s:I,s:o*}", "removed", (json_int_t)removed, "legs", shown)
		       : NULL;
}
