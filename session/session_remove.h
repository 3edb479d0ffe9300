// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "server/rpc.h"
#include "session/session_types.h"

// Sessions and legs go. Control thread.

// The legs of those ids, in their order, to an array for as many. False with *error set if one is no
// leg of the session, or named twice.
bool session_legs_named(struct session *session, const json_t *ids, const char *path,
	struct session_leg *legs[], struct rpc_error *error);

// Removes it, of a large one some legs: false if others are left. shown: as of legs_remove().
bool session_remove(struct sessions *sessions, struct session *session, json_t *shown);

// Nothing published refers to it any more, and it is in no table.
void session_free(struct session *session);

// Removes all sessions and waits for the workers.
void sessions_fini(struct sessions *sessions);
