// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/rpc.h"
#include "session/session_types.h"

// Whether a leg can have its addresses. *error is set if not.

// Its address must be free, or the session's own.
void leg_check_local(struct sessions *sessions, const struct session *session,
	const struct leg_spec *leg, const char *path, struct rpc_error *error);
// Nor may another session receive from the leg's group and port.
void leg_check_group(struct sessions *sessions, const struct session *session,
	const struct leg_spec *leg, const char *path, struct rpc_error *error);
// It must be reachable.
void leg_check_remote(struct sessions *sessions, const struct leg_spec *leg, const char *path,
	struct rpc_error *error);
