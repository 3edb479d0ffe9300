// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "session/session_types.h"

// What a client states of a session and its legs, as one value. Control thread.

// Copies a protection; the copy is freed with its leg.
struct protection_spec protection_copy(const struct protection_spec *spec);

void session_spec_free(struct session_spec *spec);
void leg_spec_free(struct leg_spec *spec);
// Whether the leg receives from a multicast group: its remote is one, and it may receive.
bool leg_spec_joins(const struct leg_spec *spec);
