// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "server/rpc.h"
#include "session/session_types.h"

// Sessions and legs from JSON. Control thread. The caller frees spec in any case.

// Reads a Session but for its keys and legs, which are arrays then. False with *error set.
bool session_read(
	const json_t *value, const char *path, struct session_spec *spec, struct rpc_error *error);
// Reads a Leg, element n of path.legs. *error is set if it is none.
void leg_read(const struct relay *relay, const json_t *value, const char *path, uint32_t n,
	struct leg_spec *leg, struct rpc_error *error);
