// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "session/session_types.h"

// The busiest sessions. Control thread.

enum { SESSION_TOP_DEFAULT = 20, SESSION_TOP_MAX = 100 };

// The sessions with the highest packet rate lately, the busiest first. give_way is called now and
// then during the search; it must not create or remove sessions.
json_t *session_top(
	struct sessions *sessions, uint32_t limit, void (*give_way)(void *arg), void *arg);
