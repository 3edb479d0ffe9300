// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "session/session_types.h"

// What is recorded of sessions and legs for the next life of the relay (store/store.h): a record of each session,
// "session:ID", and one of each leg, "leg:LENGTH:SESSION:ID" with the length of the session's id, so that a change costs
// the same however many legs there are. Without a store nothing is done. Control thread.
//
// A leg that names others is not recorded anew when they leave. A leg that is named by a record is what the record means
// if it was born before that was written: otherwise it is another one of that id.

// The session without its keys and legs: its member "session" is what session.apply takes.
void session_record(struct session *session);
void session_record_drop(struct session *session);

// The leg as it was stated, in member "leg", and what was learnt of it since.
void leg_record(struct session_leg *leg);
void leg_record_drop(struct session_leg *leg);

// Only what was learnt, which has a record of its own, "learnt:" in place of "leg:".
void leg_record_learnt(struct session_leg *leg);

// Its name, which the caller frees.
char *leg_learnt_name(const struct session_leg *leg);
