// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "server/rpc.h"
#include "session/session_types.h"

// Creating, changing and removing sessions. Control thread.

// Makes the session match spec, or changes nothing and sets *error, with paths below path. Takes
// what it needs out of spec. *created: the session is new.
bool session_apply(struct sessions *sessions, struct session_spec *spec, const char *path,
	bool *created, struct rpc_error *error);

// As session_apply() for some legs: those with an id that exists change, the others join.
bool session_apply_legs(struct sessions *sessions, struct session *session, struct leg_spec *legs,
	uint32_t n, const char *path, struct rpc_error *error);

// Takes legs out. Unknown ids are an error, and none leaves then. To the array shown, if it is not
// NULL, goes what was counted of each that saw any packet: {"id", "statistics"}; of more than 64
// legs nothing, to do no more in one piece.
bool session_remove_legs(struct sessions *sessions, struct session *session, const json_t *ids,
	const char *path, uint32_t *removed, json_t *shown, struct rpc_error *error);

// Removes it, of a large one some legs: false if others are left. shown: as of session_remove_legs().
bool session_remove(struct sessions *sessions, struct session *session, json_t *shown);

// Removes all sessions and waits for the workers.
void sessions_fini(struct sessions *sessions);
