// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/rpc.h"
#include "session/session_types.h"

// Whether legs can use the keys that they name. *error is set if not.

// Finds the keys of a leg, and checks that they suit its protection.
void protection_check(struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, struct leg_spec *leg, unsigned protocol, const char *path,
	struct rpc_error *error);
