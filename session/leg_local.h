// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/rpc.h"
#include "session/session_types.h"

struct leg_claims;

// UDP ports that the relay picks for legs whose `local` leaves them open. Control thread.

// Fills spec.local of a leg that leaves it open with what the session's leg of that id has already, if
// that fits what is stated.
void leg_local_keep(const struct session *session, struct leg_spec *leg);

// Else with a free even port of limits.ports, which is claimed; all others of the request have claimed
// theirs. *error is set if there is none.
void leg_local_pick(struct sessions *sessions, const struct session *session,
	struct leg_claims *claims, struct leg_spec *leg, const char *path, struct rpc_error *error);
