// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/rpc.h"
#include "session/session_types.h"

// Whether a stated session is possible. Each function returns false with *error set, and changes
// nothing but the scopes of keys, which it finds.

// Its own keys can be installed.
bool session_check_keys(struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, const char *path, struct rpc_error *error);
// Its legs: limits, addresses (picks those that are left open), keys (finds the scope of each),
// receivers. others_stay: of those that it
// has already, whichever are not stated stay as they are, otherwise they leave.
bool session_check(struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, bool others_stay, const char *path,
	struct rpc_error *error);
