// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "session/session_types.h"

// Sessions as JSON. Control thread.

// All but its legs.
json_t *session_show(const struct sessions *sessions, const struct session *session);
json_t *leg_show(const struct sessions *sessions, const struct session_leg *leg);
// Its id and local address.
json_t *leg_local_show(const struct session_leg *leg);
json_t *session_summary(const struct session *session);
