// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "session/session_types.h"

// The order of publishing (docs/threads.md): what was published before is retired only when nothing
// published refers to it any more. Control thread.

// Builds and publishes anew what workers see of a leg, but for the fan-outs that it is in.
void leg_publish(struct sessions *sessions, const struct session_leg *leg);

// First, before anything that it refers to is retired: no worker finds the leg any more.
void leg_unpublish(struct sessions *sessions, struct session_leg *leg);
// Nor at addresses that it had before it was bound anew.
void leg_unpublish_replaced(const struct session_leg *before, const struct session_leg *now);

// Publishes the groups that legs joined and unpublishes those without members: after no leg array
// refers to the latter.
void groups_publish(struct sessions *sessions);
