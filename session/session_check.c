// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_check.h"

#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "dataplane/relay_tables.h"
#include "dataplane/retire.h"
#include "host/multicast.h"
#include "key/keystore.h"
#include "session/gmk_ways.h"
#include "session/leg_check.h"
#include "session/leg_claims.h"
#include "session/leg_fail.h"
#include "session/leg_local.h"
#include "session/protection_check.h"
#include "session/session_legs.h"
#include "session/session_spec.h"
#include "session/session_store.h"

void session_check_key(const struct session_check *check, uint32_t key, struct rpc_error *error)
{
	const struct key_spec *keys = check->spec->keys;
	char path[128];
	snprintf(path, sizeof(path), "%s.keys[%u]", check->path, key);
	for (uint32_t k = 0; k < key; k++)
		if (keys[k].id == keys[key].id)
			rpc_fail(error, RPC_INVALID_PARAMS, path,
				"has the id of another key; accepted: each id once");
	key_admit(check->sessions->keys, check->session->scope, &keys[key], false, path, error);
}

// --- ids, limits

// Two for a key, to receive and to send, and one for each that is only accepted.
uint32_t leg_spec_n_ctxs(const struct leg_spec *leg)
{
	uint32_t n = 0;
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
		if (leg->protection[protocol].has_key &&
			key_id_type(leg->protection[protocol].key.id) != KEY_GMK)
			n += 2 + leg->protection[protocol].n_accept;
	return n;
}

void session_check_id(const struct session_check *check, uint32_t at, struct rpc_error *error)
{
	struct leg_spec *leg = &check->spec->legs[at];
	leg_claim_id(check->claims, leg, check->path, error);
	const struct session_leg *there = session_leg_find(check->session, leg->id);
	if (there && check->others_stay)
		gmk_ways_drop(check->ways, there->spec.protection);
	if (there)
		return;
	check->claims->n_legs++;
	check->claims->n_ctxs += leg_spec_n_ctxs(leg);
}

// What this request and another one need that is worked on in steps. A removed leg releases its index
// only after the new ones have theirs; those that have left count until no worker can reach them.
void session_check_limits(const struct session_check *check, struct rpc_error *error)
{
	struct sessions *sessions = check->sessions;
	const struct leg_claims *others = leg_claims_of_others(sessions, check->session);
	const struct key_table *contexts = &sessions->relay->keys;
	uint32_t n_new = check->claims->n_legs, n_ctxs = check->claims->n_ctxs;
	uint32_t n_legs = check->others_stay ? check->session->n_legs + n_new : check->spec->n_legs;
	uint32_t legs = n_new + (others ? others->n_legs : 0);
	uint32_t ctxs = n_ctxs == 0 ? 0 : n_ctxs + (others ? others->n_ctxs : 0);
	bool others_new = others && !session_find(sessions, others->id);
	if (sessions->n_legs + legs > sessions->max_legs ||
		contexts->size - contexts->n_used < ctxs)
		retire_all(sessions->retire);
	if (n_legs > SESSION_LEGS_MAX)
		rpc_fail(error, RPC_LIMIT, check->path, "has %u legs; accepted: %d", n_legs,
			SESSION_LEGS_MAX);
	else if (n_new > 0 && sessions->n_legs + legs > sessions->max_legs)
		rpc_fail(error, RPC_LIMIT, check->path,
			"needs %u legs more than are in use; accepted: up to %u in all, by "
			"limits.legs",
			n_new, sessions->max_legs);
	else if (contexts->size - contexts->n_used < ctxs)
		rpc_fail(error, RPC_LIMIT, check->path,
			"needs %u key contexts more than are in use; accepted: up to %u in all, by "
			"limits.keys",
			n_ctxs, contexts->size);
	else if (!session_find(sessions, check->spec->id) &&
		 map_count(sessions->by_id) + others_new >= sessions->max_sessions)
		rpc_fail(error, RPC_LIMIT, check->path,
			"is one session too many; accepted: %u, by limits.sessions",
			sessions->max_sessions);
}

// --- addresses

void session_check_stated_local(
	const struct session_check *check, uint32_t at, struct rpc_error *error)
{
	struct leg_spec *leg = &check->spec->legs[at];
	leg_local_keep(check->session, leg);
	if (leg->local.port != 0)
		leg_claim_local(check->claims, leg, check->path, error);
}

void session_check_open_local(
	const struct session_check *check, uint32_t at, struct rpc_error *error)
{
	struct leg_spec *leg = &check->spec->legs[at];
	if (leg->local.port == 0)
		leg_local_pick(
			check->sessions, check->session, check->claims, leg, check->path, error);
}

// Groups that the session leaves count until the others are there.
void session_check_received(const struct session_check *check, uint32_t at, struct rpc_error *error)
{
	struct leg_spec *leg = &check->spec->legs[at];
	if (!leg_spec_joins(leg))
		return;
	const struct multicast *multicast = &check->sessions->relay->multicast[leg->port];
	const struct leg_claims *others = leg_claims_of_others(check->sessions, check->session);
	leg_claim_received(check->claims, leg, check->path, error);
	if (multicast_member(multicast, &leg->remote) || !leg_claim_group(check->claims, leg))
		return;
	if (multicast_count(multicast) + check->claims->n_groups[leg->port] +
			(others ? others->n_groups[leg->port] : 0) >
		MULTICAST_GROUPS_MAX)
		leg_fail(error, RPC_LIMIT, check->path, leg, "remote",
			"is one multicast group too many for the port; accepted: 1024");
}

// --- legs

// A leg of the session as it will be: restated, or one that stays.
static bool leg_will_be(const struct session_check *check, const char *id)
{
	return leg_claims_find(check->claims, id) ||
	       (check->others_stay && session_leg_find(check->session, id));
}

static void check_to(
	const struct session_check *check, const struct leg_spec *leg, struct rpc_error *error)
{
	for (uint32_t t = 0; t < leg->n_to; t++) {
		if (strcmp(leg->to[t], leg->id) != 0 && leg_will_be(check, leg->to[t]))
			continue;
		char member[32];
		snprintf(member, sizeof(member), "to[%u]", t);
		leg_fail(error, RPC_NOT_FOUND, check->path, leg, member,
			"is no other leg of the session; accepted: ids of its other legs");
	}
}

void session_check_leg(const struct session_check *check, uint32_t at, struct rpc_error *error)
{
	struct sessions *sessions = check->sessions;
	struct leg_spec *leg = &check->spec->legs[at];
	const struct leg_claims *restated = check->others_stay ? check->claims : NULL;
	check_to(check, leg, error);
	leg_check_local(sessions, check->session, restated, leg, check->path, error);
	leg_check_remote(sessions, leg, check->path, error);
	leg_check_source(sessions, leg, check->path, error);
	leg_check_group(sessions, check->session, restated, leg, check->path, error);
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
		protection_check(
			sessions, check->session, check->spec, leg, protocol, check->path, error);
}

void session_check_way(const struct session_check *check, uint32_t at, struct rpc_error *error)
{
	const struct leg_spec *leg = &check->spec->legs[at];
	gmk_ways_add(check->ways, leg->protection);
	if (!gmk_ways_fit(check->ways))
		leg_fail(error, RPC_LIMIT, check->path, leg, "protection",
			"is the ninth way to use a gmk in the session; accepted: 8");
}
