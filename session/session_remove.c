// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_remove.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/secmem.h"
#include "dataplane/audience.h"
#include "dataplane/retire.h"
#include "key/key_domain.h"
#include "key/keystore.h"
#include "session/gmk_ways.h"
#include "session/leg_change.h"
#include "session/session_follow.h"
#include "session/session_legs.h"
#include "session/session_record.h"
#include "session/session_spec.h"
#include "session/session_store.h"

// The leg of an id; NULL with *error set if there is none, or if it was named before.
static struct session_leg *leg_named(const struct session *session, const json_t *id, size_t at,
	const char *path, struct rpc_error *error)
{
	struct session_leg *leg =
		json_is_string(id) ? session_leg_find(session, json_string_value(id)) : NULL;
	if (leg && !leg->leaving)
		return leg;
	char full[128];
	snprintf(full, sizeof(full), "%s[%zu]", path, at);
	if (json_is_string(id))
		rpc_fail(error, RPC_NOT_FOUND, full,
			"is no leg of the session; accepted: ids that session.get shows");
	else
		rpc_fail(error, RPC_INVALID_PARAMS, full, "is no leg id; accepted: a string");
	return NULL;
}

bool session_legs_named(struct session *session, const json_t *ids, const char *path,
	struct session_leg *legs[], struct rpc_error *error)
{
	size_t n = 0;
	for (; n < json_array_size(ids); n++) {
		legs[n] = leg_named(session, json_array_get(ids, n), n, path, error);
		if (!legs[n])
			break;
		legs[n]->leaving = true;
	}
	while (n-- > 0)
		legs[n]->leaving = false;
	return error->code == RPC_OK;
}

void session_free(struct session *session)
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

// The first ones of a session leave it.
static void session_shrink(struct sessions *sessions, struct session *session, json_t *shown)
{
	struct session_leg *first[LEGS_AT_A_TIME], *leg;
	uint32_t n = 0;
	TAILQ_FOREACH (leg, &session->legs, entry) {
		if (n == LEGS_AT_A_TIME)
			break;
		first[n++] = leg;
	}
	legs_remove(sessions, session, first, n, shown);
}

bool session_remove(struct sessions *sessions, struct session *session, json_t *shown)
{
	session_record_drop(session);
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
