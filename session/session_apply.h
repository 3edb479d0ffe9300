// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "server/rpc.h"
#include "session/session_types.h"

// A request that states a session, or some of its legs, is done in steps of some 0.3 ms at most: all is
// read and checked before the first change, which nothing can stop then. Of requests with many legs one
// is under way; others that state a few legs of other sessions are done at once meanwhile. Control
// thread.

struct session_apply;

// Begins session.apply: value is a Session. NULL with *error set, or without if the request has to wait
// for another one: nothing was done then. path names value in errors.
struct session_apply *session_apply_open(
	struct sessions *sessions, json_t *value, const char *path, struct rpc_error *error);
// The same for an array of Legs: those with an id that exists change, the others join. path.legs names
// it in errors.
struct session_apply *session_apply_open_legs(struct sessions *sessions, struct session *session,
	json_t *legs, const char *path, struct rpc_error *error);

// Who is told each fault of a key or leg that is found: then those behind it are looked at as well, as far as its stage
// goes. NULL, as it is: nobody, and the first fault ends all. Before the first step.
void session_apply_watch_faults(struct session_apply *apply,
	void (*fault)(void *arg, const struct rpc_error *error), void *arg);

// Whether the request is short enough to be done at once.
bool session_apply_is_short(const struct session_apply *apply);

// Goes on. True at the end, or if *error is set, to the first fault: then nothing has changed.
bool session_apply_step(struct session_apply *apply, struct rpc_error *error);

// What was done: whether the session is new, how many legs were stated, and those whose local address
// was left open, with the one that they have: id, local. NULL: there are none.
bool session_apply_created(const struct session_apply *apply);
uint32_t session_apply_n_legs(const struct session_apply *apply);
json_t *session_apply_picked(const struct session_apply *apply);

// To be called at the end, or before the first change.
void session_apply_close(struct session_apply *apply);

// Whether a session is being changed by such a request: others about it wait.
bool session_is_applied(const struct sessions *sessions, const char *id);
