// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_follow.h"

#include <rte_common.h>

#include "base/clock.h"
#include "key/keystore.h"
#include "session/leg_audience.h"
#include "session/session_publish.h"

enum { FOLLOW_AT_ONCE = 256 }; // legs

void session_follow_end(struct session *session)
{
	struct sessions *sessions = session->sessions;
	if (!session->follows)
		return;
	TAILQ_REMOVE(&sessions->following, session, follows_entry);
	session->follows = false;
	session->follows_at = NULL;
	if (TAILQ_EMPTY(&sessions->following))
		keystore_owners_followed(sessions->keys);
}

static void session_follow_step(struct session *session)
{
	struct session_leg *leg = session->follows_at;
	if (leg) {
		session->follows_at = TAILQ_NEXT(leg, entry);
		leg_publish(session->sessions, leg);
	}
	if (session->follows_at)
		return;
	session_audiences_revise(session->sessions, session, false);
	session_follow_end(session);
}

void sessions_follow(struct sessions *sessions, uint64_t until_ns)
{
	while (!TAILQ_EMPTY(&sessions->following)) {
		session_follow_step(TAILQ_FIRST(&sessions->following));
		if (clock_now_ns() >= until_ns)
			break;
	}
}

static void follow_finish(void *sessions)
{
	sessions_follow(sessions, UINT64_MAX);
}

static void session_follow_begin(struct session *session)
{
	struct sessions *sessions = session->sessions;
	session->follows_at = TAILQ_FIRST(&session->legs);
	if (session->follows)
		return;
	session->follows = true;
	TAILQ_INSERT_TAIL(&sessions->following, session, follows_entry);
	keystore_owners_follow(sessions->keys, follow_finish, sessions);
}

void session_follow_key(struct key_owner *owner)
{
	struct session *session = container_of(owner, struct session, owner);
	struct sessions *sessions = session->sessions;
	session_audiences_revise(sessions, session, true);
	if (session->n_legs > FOLLOW_AT_ONCE) {
		session_follow_begin(session);
		return;
	}
	session_follow_end(session); // it was larger
	struct session_leg *leg;
	TAILQ_FOREACH (leg, &session->legs, entry)
		leg_publish(sessions, leg);
	session_audiences_revise(sessions, session, false);
}
