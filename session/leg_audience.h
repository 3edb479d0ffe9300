// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "session/session_types.h"

// The receivers of a leg, and the legs it receives from: its session's audiences, and those of legs
// that name their receivers in `to`. Control thread. Workers see a change when it is published.

// What a leg sends to: its own audience, or that of its session.
struct audience *leg_audience(const struct session_leg *leg, unsigned protocol);

// The leg is bound now and was as `before`; a new one was as it is. It is added where it receives,
// in its session and in the audiences of legs that name it, and removed where it did.
void leg_audience_follow(
	struct sessions *sessions, const struct session_leg *before, struct session_leg *leg);
// Removes the leg as a receiver everywhere. The audiences that it was in are published.
void leg_audience_leave(struct sessions *sessions, struct session_leg *leg);

// Makes the leg's own audiences, if it names receivers: nobody, until it names them.
void leg_audience_open(struct session_leg *leg);
// Fills them: all of them are there.
void leg_audience_name(struct sessions *sessions, struct session_leg *leg);
// It has none any more. The caller ends those that it had.
void leg_audience_unname(struct session_leg *leg);

// A key changed, or the session's description: what is sent to the receivers may be another variant.
// Publishes all audiences of the session and its legs. lose_only: keys that went are no longer used,
// those that came are not used yet.
void session_audiences_revise(
	struct sessions *sessions, const struct session *session, bool lose_only);

// The same of those of the session alone, and of those that a leg has for itself, if it has.
void session_shared_audiences_revise(
	struct sessions *sessions, const struct session *session, bool lose_only);
void leg_own_audiences_revise(
	struct sessions *sessions, const struct session_leg *leg, bool lose_only);
// The same of what is sent to the leg alone, and to those that follow the same rule. The session's
// audiences are not published.
void leg_audience_revise(struct sessions *sessions, const struct session_leg *leg, bool lose_only);

void session_audiences_publish(struct sessions *sessions, const struct session *session);
// The leg's own, and those of legs that name it.
void leg_audience_publish(struct sessions *sessions, const struct session_leg *leg);
