// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "server/rpc.h"
#include "session/session_types.h"

// Sessions and legs from JSON. Control thread.

// Reads a Session. False with *error set. The caller frees spec in any case.
bool session_read(const struct relay *relay, const json_t *value, const char *path,
	struct session_spec *spec, struct rpc_error *error);
// Reads an array of Legs into *legs, of which the caller frees *n in any case.
bool session_read_legs(const struct relay *relay, const json_t *array, const char *path,
	struct leg_spec **legs, uint32_t *n, struct rpc_error *error);
