// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/rpc.h"
#include "session/session_types.h"

// UDP ports that the relay picks for legs whose `local` leaves them open. Control thread.

// Fills spec.local of those legs: with what a leg of the session with that id has already, if it fits
// what is stated, else with a free even port of limits.ports. *error is set if there is none.
void leg_locals_pick(struct sessions *sessions, const struct session *session,
	struct leg_spec *legs, uint32_t n, const char *path, struct rpc_error *error);
