// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "session/session_types.h"

// The legs of a session, in the order in which they were stated and by their ids. Control thread.

// NULL: it has none of that id.
struct session_leg *session_leg_find(const struct session *session, const char *id);

// Behind the others. Its id is no other leg's.
void session_leg_add(struct session *session, struct session_leg *leg);
void session_leg_drop(struct session *session, struct session_leg *leg);

// One that is there goes behind the others.
void session_leg_to_end(struct session *session, struct session_leg *leg);
