// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "session/session_types.h"

// What a leg uses besides its index: address, group, next hop, users and keys. Control thread.

void leg_bind(struct sessions *sessions, struct session_leg *leg);
// Gives back what leg_bind() took, when no worker uses it any more.
void leg_unbind(struct sessions *sessions, struct session_leg *leg);
