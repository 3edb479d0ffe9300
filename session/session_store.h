// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "session/session_types.h"

// All sessions, and the places of their legs. Control thread.

// For legs of the relay that keys are for. 0 or -ENOMEM.
int sessions_init(
	struct sessions *sessions, struct keystore *keys, uint32_t max_sessions, uint32_t max_legs);

struct session *session_find(const struct sessions *sessions, const char *id);

// The leg of an index; NULL if there is none.
struct session_leg *session_leg_at(const struct sessions *sessions, uint32_t index);

// The leg that others refer to by both, if it is still the same one; or NULL.
struct session_leg *session_leg_by_index(
	const struct sessions *sessions, uint32_t index, uint32_t serial);

// A place for a leg.
uint32_t leg_index_take(struct sessions *sessions, struct session_leg *leg);
// No worker sees the leg any more: its place is free after another grace period, when no plain
// stream of it can be born. For retire_later(), with the sessions.
void leg_release(void *sessions, uint32_t index);

// To be called with -1 before, and +1 after, what is counted of a session changes.
void sessions_count(struct sessions *sessions, const struct session *session, int change);
