// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/secmem.h"
#include "dataplane/relay_tables.h"
#include "dataplane/retire.h"
#include "dataplane/worker.h"

int sessions_init(
	struct sessions *sessions, struct keystore *keys, uint32_t max_sessions, uint32_t max_legs)
{
	*sessions = (struct sessions){
		.relay = keys->relay,
		.keys = keys,
		.retire = keys->retire,
		.users = keys->users,
		.notices = keys->notices,
		.max_sessions = max_sessions,
		.max_legs = max_legs,
		.by_id = map_new(),
	};
	TAILQ_INIT(&sessions->following);
	sessions->by_leg = secmem_map(max_legs * sizeof(*sessions->by_leg));
	sessions->free_legs = secmem_map(max_legs * sizeof(*sessions->free_legs));
	sessions->watches = secmem_map(max_legs * sizeof(*sessions->watches));
	sessions->notes = secmem_map((keys->relay->streams.size + 1UL) * sizeof(*sessions->notes));
	return sessions->by_id && sessions->by_leg && sessions->free_legs && sessions->watches &&
			       sessions->notes
		       ? 0
		       : -ENOMEM;
}

struct session *session_find(const struct sessions *sessions, const char *id)
{
	return map_get(sessions->by_id, id, strlen(id));
}

struct session_leg *session_leg_at(const struct sessions *sessions, uint32_t index)
{
	return sessions->by_leg[index];
}

struct session_leg *session_leg_by_index(
	const struct sessions *sessions, uint32_t index, uint32_t serial)
{
	struct session_leg *leg = session_leg_at(sessions, index);
	return leg && leg->serial == serial ? leg : NULL;
}

uint32_t leg_index_take(struct sessions *sessions, struct session_leg *leg)
{
	uint32_t index = sessions->n_free > 0 ? sessions->free_legs[--sessions->n_free]
					      : sessions->n_touched++;
	sessions->by_leg[index] = leg;
	sessions->watches[index] = (struct leg_watch){};
	sessions->n_legs++;
	return index;
}

// Last step of a leg's end: its index and counters can be used again.
static void leg_index_release(void *arg, uint32_t index)
{
	struct sessions *sessions = arg;
	stream_list_free(&sessions->relay->streams, &sessions->relay->legs.streams[index]);
	for (unsigned w = 0; w < sessions->relay->n_workers; w++)
		memset(&sessions->relay->workers[w]->legs[index], 0, sizeof(struct leg_counters));
	sessions->free_legs[sessions->n_free++] = index;
	sessions->n_legs--;
}

// No worker sees the leg any more: no plain stream of it is born.
void leg_release(void *arg, uint32_t index)
{
	struct sessions *sessions = arg;
	stream_list_unlink(&sessions->relay->streams, &sessions->relay->legs.streams[index]);
	retire_later(sessions->retire, leg_index_release, sessions, index);
}

void sessions_count(struct sessions *sessions, const struct session *session, int change)
{
	sessions->n_by_type[session->spec.service][session->spec.type] += (uint32_t)change;
	if (session->silent)
		sessions->n_silent += (uint32_t)change;
}
