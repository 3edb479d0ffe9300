// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_legs.h"

#include <string.h>

#include "base/map.h"

enum { LEGS_FEW = 16 }; // with more they are looked for in a map

struct session_leg *session_leg_find(const struct session *session, const char *id)
{
	if (session->legs_by_id)
		return map_get(session->legs_by_id, id, strlen(id));
	struct session_leg *leg;
	TAILQ_FOREACH (leg, &session->legs, entry)
		if (strcmp(leg->spec.id, id) == 0)
			return leg;
	return NULL;
}

static void map_add_leg(struct map *map, struct session_leg *leg)
{
	map_add(map, leg->spec.id, strlen(leg->spec.id), leg);
}

void session_leg_add(struct session *session, struct session_leg *leg)
{
	leg->session = session;
	leg->order = ++session->sessions->next_order;
	TAILQ_INSERT_TAIL(&session->legs, leg, entry);
	if (++session->n_legs <= LEGS_FEW)
		return;
	if (session->legs_by_id) {
		map_add_leg(session->legs_by_id, leg);
		return;
	}
	session->legs_by_id = map_make();
	TAILQ_FOREACH (leg, &session->legs, entry)
		map_add_leg(session->legs_by_id, leg);
}

// Whoever is at the leg goes on with the one behind it.
static void list_remove(struct session *session, struct session_leg *leg)
{
	if (session->follows_at == leg)
		session->follows_at = TAILQ_NEXT(leg, entry);
	TAILQ_REMOVE(&session->legs, leg, entry);
}

void session_leg_drop(struct session *session, struct session_leg *leg)
{
	list_remove(session, leg);
	session->n_legs--;
	if (!session->legs_by_id)
		return;
	map_remove(session->legs_by_id, leg->spec.id, strlen(leg->spec.id));
	if (session->n_legs > LEGS_FEW / 2)
		return;
	map_free(session->legs_by_id);
	session->legs_by_id = NULL;
}

void session_leg_to_end(struct session *session, struct session_leg *leg)
{
	list_remove(session, leg);
	leg->order = ++session->sessions->next_order;
	TAILQ_INSERT_TAIL(&session->legs, leg, entry);
	if (session->follows && !session->follows_at)
		session->follows_at = leg;
}
