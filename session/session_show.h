// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "session/session_types.h"

// Sessions as JSON. Control thread.

// All but its legs.
json_t *session_show(const struct sessions *sessions, const struct session *session);
json_t *leg_show(const struct sessions *sessions, const struct session_leg *leg);
// Of the Legs of a request those whose local address was left open, with the one that they have: id,
// local. NULL: there are none.
json_t *session_picked_show(const struct session *session, const json_t *legs);
json_t *session_summary(const struct session *session);
