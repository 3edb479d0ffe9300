// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "session/session_types.h"

// Legs join their session, change and leave it. Between two calls the session is whole: keys may
// change, workers use what is published. Control thread.

// To tell what was counted of one takes some 50 us.
enum { LEGS_AT_A_TIME = 64 };

// A leg of the spec, which is taken, joins behind the others: it receives once audiences are published.
// It sends, and to whom it names, with legs_change().
struct session_leg *leg_join(
	struct sessions *sessions, struct session *session, struct leg_spec *spec);

// Legs that were there become what specs state, which are taken; of one that joined the spec is taken
// already. All that they name are there. Publishes.
void legs_change(struct sessions *sessions, struct session *session, struct session_leg *legs[],
	struct leg_spec specs[], uint32_t n);

// Legs leave it. To the array shown, if it is not NULL, goes what was counted of each that saw any
// packet: {"id", "statistics"}.
void legs_remove(struct sessions *sessions, struct session *session, struct session_leg *legs[],
	uint32_t n, json_t *shown);
