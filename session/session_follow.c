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

// Of the audiences that legs have for themselves first, then of all legs, then of those audiences again, and then what
// is left of the session's.
static void session_follow_step(struct session *session)
{
	struct session_leg *leg = session->follows_at;
	if (leg) {
		session->follows_at = TAILQ_NEXT(leg, entry);
		if (session->follows_stage == FOLLOW_LEGS)
			leg_publish(session->sessions, leg);
		else
			leg_own_audiences_revise(
				session->sessions, leg, session->follows_stage == FOLLOW_LOSE);
	}
	if (!session->follows_at && session->follows_stage != FOLLOW_GAIN) {
		session->follows_stage++;
		session->follows_at = TAILQ_FIRST(&session->legs);
	}
	if (session->follows_at)
		return;
	session_shared_audiences_revise(session->sessions, session, false);
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
	session->follows_stage = FOLLOW_LOSE;
	if (session->follows)
		return;
	session->follows = true;
	TAILQ_INSERT_TAIL(&sessions->following, session, follows_entry);
	keystore_owners_follow(sessions->keys, follow_finish, sessions);
}

// --- what a change touches

static void session_touch_all(struct session *session)
{
	struct session_leg *leg;
	while ((leg = LIST_FIRST(&session->touched)) != NULL) {
		LIST_REMOVE(leg, touched_entry);
		leg->touched = false;
	}
	session->n_touched = 0;
	session->all_touched = true;
}

void session_touch(struct key_owner *owner, void *user)
{
	struct session *session = container_of(owner, struct session, owner);
	struct session_leg *leg = user;
	if (session->all_touched || (leg && leg->touched))
		return;
	if (!leg || session->n_touched == FOLLOW_AT_ONCE) {
		session_touch_all(session);
		return;
	}
	LIST_INSERT_HEAD(&session->touched, leg, touched_entry);
	leg->touched = true;
	session->n_touched++;
}

// A few legs of a session, however many it has.
static void legs_follow(struct sessions *sessions, struct session *session)
{
	struct session_leg *leg;
	LIST_FOREACH (leg, &session->touched, touched_entry)
		leg_audience_revise(sessions, leg, true);
	session_audiences_publish(sessions, session);
	LIST_FOREACH (leg, &session->touched, touched_entry)
		leg_publish(sessions, leg);
	// While others of the session do not know all keys yet, what is sent follows with theirs.
	if (session->follows && session->follows_stage != FOLLOW_GAIN)
		return;
	LIST_FOREACH (leg, &session->touched, touched_entry)
		leg_audience_revise(sessions, leg, false);
	session_audiences_publish(sessions, session);
}

static void session_follow_all(struct sessions *sessions, struct session *session)
{
	if (session->n_legs > FOLLOW_AT_ONCE) {
		session_shared_audiences_revise(sessions, session, true);
		session_follow_begin(session);
		return;
	}
	session_audiences_revise(sessions, session, true);
	session_follow_end(session); // it was larger
	struct session_leg *leg;
	TAILQ_FOREACH (leg, &session->legs, entry)
		leg_publish(sessions, leg);
	session_audiences_revise(sessions, session, false);
}

void session_follow_key(struct key_owner *owner)
{
	struct session *session = container_of(owner, struct session, owner);
	if (session->all_touched)
		session_follow_all(session->sessions, session);
	else
		legs_follow(session->sessions, session);
	session_touch_all(session);
	session->all_touched = false;
}
