// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "session/session_types.h"

struct rpc_error;

// What a client states of a session and its legs, as one value. Control thread.

// Copies a protection; the copy is freed with its leg.
struct protection_spec protection_copy(const struct protection_spec *spec);

void session_spec_free(struct session_spec *spec);
void leg_spec_free(struct leg_spec *spec);
struct leg_spec leg_spec_copy(const struct leg_spec *spec);
// Whether the leg receives from a multicast group: its remote is one, and it may receive.
bool leg_spec_joins(const struct leg_spec *spec);

// Leg specs by id. Values are the specs' own; the caller frees the map. NULL with *error set if there
// is no memory.
struct map *leg_specs_by_id(
	struct leg_spec *legs, uint32_t n, const char *path, struct rpc_error *error);
