// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "session/session_types.h"

// Who receives what a leg sends. Control thread.

// The kind of audience that packets of a protocol have which a leg sends.
unsigned leg_audience_kind(const struct leg_spec *leg, unsigned protocol);

// All that legs of one kind send to, or what a leg with `to` does; to NULL: all legs. Never NULL;
// the caller ends it.
struct audience *audience_of_legs(const struct sessions *sessions, const struct session *session,
	unsigned kind, const struct leg_spec *from);

// What a leg sends to: its own audience, or that of its session.
struct audience *leg_audience(
	const struct session *session, const struct session_leg *leg, unsigned protocol);
