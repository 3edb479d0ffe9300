// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/rpc.h"
#include "session/session_types.h"

struct leg_claims;

// Whether a leg can have its addresses. *error is set if not. restated: the legs that are stated while
// the others stay; NULL if no other stays.

// Its address must be free, or that of a leg of the session that does not stay.
void leg_check_local(struct sessions *sessions, const struct session *session,
	const struct leg_claims *restated, const struct leg_spec *leg, const char *path,
	struct rpc_error *error);
// Nor may another session, or a leg that stays, receive from the leg's group and port.
void leg_check_group(struct sessions *sessions, const struct session *session,
	const struct leg_claims *restated, const struct leg_spec *leg, const char *path,
	struct rpc_error *error);
// It must be reachable.
void leg_check_remote(struct sessions *sessions, const struct leg_spec *leg, const char *path,
	struct rpc_error *error);
// It must be one that a host can send from.
void leg_check_source(struct sessions *sessions, const struct leg_spec *leg, const char *path,
	struct rpc_error *error);
