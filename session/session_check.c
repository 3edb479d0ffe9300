// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"
#include "dataplane/relay_tables.h"
#include "dataplane/retire.h"
#include "host/multicast.h"
#include "key/keystore.h"
#include "session/gmk_ways.h"
#include "session/leg_check.h"
#include "session/leg_fail.h"
#include "session/leg_local.h"
#include "session/protection_check.h"
#include "session/session_legs.h"
#include "session/session_spec.h"
#include "session/session_store.h"

// A leg of the session as it will be: restated, or one that stays.
static bool leg_will_be(
	const struct session *session, const struct map *by_id, bool others_stay, const char *id)
{
	return map_get(by_id, id, strlen(id)) || (others_stay && session_leg_find(session, id));
}

static void check_to(const struct session *session, const struct map *by_id, bool others_stay,
	const struct leg_spec *leg, const char *path, struct rpc_error *error)
{
	for (uint32_t t = 0; t < leg->n_to; t++) {
		if (strcmp(leg->to[t], leg->id) != 0 &&
			leg_will_be(session, by_id, others_stay, leg->to[t]))
			continue;
		char member[32];
		snprintf(member, sizeof(member), "to[%u]", t);
		leg_fail(error, RPC_NOT_FOUND, path, leg, member,
			"is no other leg of the session; accepted: ids of its other legs");
	}
}

static int compare_ids(const void *a, const void *b)
{
	return strcmp(
		(*(const struct leg_spec *const *)a)->id, (*(const struct leg_spec *const *)b)->id);
}

static int compare_locals(const void *a, const void *b)
{
	const struct leg_spec *x = *(const struct leg_spec *const *)a;
	const struct leg_spec *y = *(const struct leg_spec *const *)b;
	int order = (int)x->port - (int)y->port;
	if (order == 0)
		order = (int)x->local.port - (int)y->local.port;
	if (order == 0)
		order = (int)x->local.family - (int)y->local.family;
	return order ? order : memcmp(x->local.addr, y->local.addr, sizeof(x->local.addr));
}

// By port and group. Legs without a group come first and count as equal.
static int compare_groups(const void *a, const void *b)
{
	const struct leg_spec *x = *(const struct leg_spec *const *)a;
	const struct leg_spec *y = *(const struct leg_spec *const *)b;
	int order = (int)leg_spec_joins(x) - (int)leg_spec_joins(y);
	if (order != 0)
		return order;
	if (!leg_spec_joins(x))
		return 0;
	order = (int)x->port - (int)y->port;
	if (order == 0)
		order = (int)x->remote.family - (int)y->remote.family;
	return order ? order : memcmp(x->remote.addr, y->remote.addr, sizeof(x->remote.addr));
}

// By port, group and UDP port. Those that join none differ all.
static int compare_received(const void *a, const void *b)
{
	const struct leg_spec *x = *(const struct leg_spec *const *)a;
	const struct leg_spec *y = *(const struct leg_spec *const *)b;
	int order = compare_groups(a, b);
	if (order == 0 && leg_spec_joins(x))
		return (int)x->remote.port - (int)y->remote.port;
	return order == 0 ? (x > y) - (x < y) : order;
}

// No two legs of a session with one id or one local address.
static void check_unique(const struct leg_spec *legs, uint32_t n, const char *path,
	int (*compare)(const void *, const void *), const char *member, const char *message,
	struct rpc_error *error)
{
	const struct leg_spec **sorted = alloc_zero(n, sizeof(*sorted));
	for (uint32_t i = 0; i < n; i++)
		sorted[i] = &legs[i];
	qsort(sorted, n, sizeof(*sorted), compare);
	for (uint32_t i = 1; i < n; i++)
		if (compare(&sorted[i - 1], &sorted[i]) == 0) {
			const struct leg_spec *later =
				sorted[i] > sorted[i - 1] ? sorted[i] : sorted[i - 1];
			leg_fail(error, RPC_CONFLICT, path, later, member, "%s", message);
		}
	free(sorted);
}

#define ID_TWICE "is the id of two legs; accepted: each id once"

// What new legs need: a removed leg releases its index only after the new ones have theirs.
static void count_new(const struct session *session, const struct session_spec *spec,
	uint32_t *n_new, uint32_t *n_ctxs)
{
	*n_new = 0;
	*n_ctxs = 0; // two for a key, to receive and to send, one for each that is only accepted
	for (uint32_t i = 0; i < spec->n_legs; i++) {
		const struct leg_spec *leg = &spec->legs[i];
		*n_new += !session_leg_find(session, leg->id);
		for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
			if (leg->protection[protocol].has_key &&
				key_id_type(leg->protection[protocol].key.id) != KEY_GMK)
				*n_ctxs += 2 + leg->protection[protocol].n_accept;
	}
	if (*n_new == 0)
		*n_ctxs = 0;
}

static void check_limits(struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, bool others_stay, const char *path,
	struct rpc_error *error)
{
	uint32_t n_new, n_ctxs;
	count_new(session, spec, &n_new, &n_ctxs);
	uint32_t n_legs = others_stay ? session->n_legs + n_new : spec->n_legs;
	// Those that have left count until no worker can reach them.
	if (sessions->n_legs + n_new > sessions->max_legs ||
		sessions->relay->keys.size - sessions->relay->keys.n_used < n_ctxs)
		retire_all(sessions->retire);
	if (n_legs > SESSION_LEGS_MAX)
		rpc_fail(error, RPC_LIMIT, path, "has %u legs; accepted: %d", n_legs,
			SESSION_LEGS_MAX);
	else if (sessions->n_legs + n_new > sessions->max_legs)
		rpc_fail(error, RPC_LIMIT, path,
			"needs %u legs more than are in use; accepted: up to %u in all, by "
			"limits.legs",
			n_new, sessions->max_legs);
	else if (sessions->relay->keys.size - sessions->relay->keys.n_used < n_ctxs)
		rpc_fail(error, RPC_LIMIT, path,
			"needs %u key contexts more than are in use; accepted: up to %u in all, by "
			"limits.keys",
			n_ctxs, sessions->relay->keys.size);
	else if (!session_find(sessions, spec->id) &&
		 map_count(sessions->by_id) >= sessions->max_sessions)
		rpc_fail(error, RPC_LIMIT, path,
			"is one session too many; accepted: %u, by limits.sessions",
			sessions->max_sessions);
}

// Groups that its legs join are within what a port can join. Those that it leaves count until the
// others are there.
static void check_group_limit(struct sessions *sessions, const struct session_spec *spec,
	const char *path, struct rpc_error *error)
{
	const struct leg_spec **sorted = alloc_zero(spec->n_legs, sizeof(*sorted));
	uint32_t n[PORT_MAX];
	for (unsigned port = 0; port < sessions->relay->n_ports; port++)
		n[port] = multicast_count(&sessions->relay->multicast[port]);
	for (uint32_t i = 0; i < spec->n_legs; i++)
		sorted[i] = &spec->legs[i];
	qsort(sorted, spec->n_legs, sizeof(*sorted), compare_groups);
	for (uint32_t i = 0; i < spec->n_legs && error->code == RPC_OK; i++) {
		const struct leg_spec *leg = sorted[i];
		bool same = i > 0 && compare_groups(&sorted[i - 1], &sorted[i]) == 0;
		if (same || !leg_spec_joins(leg) ||
			multicast_member(&sessions->relay->multicast[leg->port], &leg->remote))
			continue;
		if (++n[leg->port] > MULTICAST_GROUPS_MAX)
			leg_fail(error, RPC_LIMIT, path, leg, "remote",
				"is one multicast group too many for the port; accepted: 1024");
	}
	free(sorted);
}

static void check_gmks(const struct session *session, const struct session_spec *spec,
	bool others_stay, const char *path, struct rpc_error *error)
{
	struct gmk_ways *ways = gmk_ways_copy(others_stay ? session->gmk_ways : NULL);
	for (uint32_t i = 0; others_stay && i < spec->n_legs; i++) {
		const struct session_leg *now = session_leg_find(session, spec->legs[i].id);
		if (now)
			gmk_ways_drop(ways, now->spec.protection);
	}
	for (uint32_t i = 0; i < spec->n_legs && error->code == RPC_OK; i++) {
		gmk_ways_add(ways, spec->legs[i].protection);
		if (!gmk_ways_fit(ways))
			leg_fail(error, RPC_LIMIT, path, &spec->legs[i], "protection",
				"is the ninth way to use a gmk in the session; accepted: 8");
	}
	gmk_ways_free(ways);
}

bool session_check(struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, bool others_stay, const char *path,
	struct rpc_error *error)
{
	struct leg_spec *legs = spec->legs;
	struct map *by_id = leg_specs_by_id(legs, spec->n_legs, path, error);
	if (!by_id)
		return false;
	const struct map *restated = others_stay ? by_id : NULL;
	check_unique(legs, spec->n_legs, path, compare_ids, "id", ID_TWICE, error);
	leg_locals_pick(sessions, session, legs, spec->n_legs, path, error);
	check_unique(legs, spec->n_legs, path, compare_locals, "local", LOCAL_TWICE, error);
	check_unique(legs, spec->n_legs, path, compare_received, "remote", GROUP_TWICE, error);
	if (error->code == RPC_OK)
		check_limits(sessions, session, spec, others_stay, path, error);
	check_group_limit(sessions, spec, path, error);
	for (uint32_t i = 0; i < spec->n_legs && error->code == RPC_OK; i++) {
		check_to(session, by_id, others_stay, &legs[i], path, error);
		leg_check_local(sessions, session, restated, &legs[i], path, error);
		leg_check_remote(sessions, &legs[i], path, error);
		leg_check_source(sessions, &legs[i], path, error);
		leg_check_group(sessions, session, restated, &legs[i], path, error);
		for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
			protection_check(sessions, session, spec, &legs[i], protocol, path, error);
	}
	check_gmks(session, spec, others_stay, path, error);
	map_free(by_id);
	return error->code == RPC_OK;
}

bool session_check_keys(struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, const char *path, struct rpc_error *error)
{
	for (uint32_t i = 0; i < spec->n_keys && error->code == RPC_OK; i++) {
		char full[128];
		snprintf(full, sizeof(full), "%s.keys[%u]", path, i);
		for (uint32_t k = 0; k < i; k++)
			if (spec->keys[k].id == spec->keys[i].id)
				rpc_fail(error, RPC_INVALID_PARAMS, full,
					"has the id of another key; accepted: each id once");
		key_admit(sessions->keys, session->scope, &spec->keys[i], false, i, full, error);
	}
	return error->code == RPC_OK;
}
