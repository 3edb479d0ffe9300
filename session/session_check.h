// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/rpc.h"
#include "session/session_types.h"

struct gmk_ways;
struct leg_claims;

// Whether a stated session is possible, step by step in this order. Each function sets *error if not, and
// changes nothing but the scopes of keys, which it finds, and what is said of claims.
struct session_check {
	struct sessions *sessions;
	const struct session *session; // the one that is there, or an empty one
	struct session_spec *spec;
	// Of the legs that it has already, whichever are not stated stay as they are; else they leave.
	bool others_stay;
	struct leg_claims *claims;
	struct gmk_ways *ways; // of the legs that stay, then of all
	const char *path;
};

// Its own key can be installed.
void session_check_key(const struct session_check *check, uint32_t key, struct rpc_error *error);

// Each leg in turn has an id of its own, and is counted among the claims.
void session_check_id(const struct session_check *check, uint32_t leg, struct rpc_error *error);
// Each has a local address of its own: those that state one, or keep what they have; then the others,
// for which one is picked.
void session_check_stated_local(
	const struct session_check *check, uint32_t leg, struct rpc_error *error);
void session_check_open_local(
	const struct session_check *check, uint32_t leg, struct rpc_error *error);
// Each receives from a group of its own, and ports can be in so many groups.
void session_check_received(
	const struct session_check *check, uint32_t leg, struct rpc_error *error);
// All of them are within the limits. May wait for workers.
void session_check_limits(const struct session_check *check, struct rpc_error *error);
// Its receivers, addresses and keys.
void session_check_leg(const struct session_check *check, uint32_t leg, struct rpc_error *error);
// Its way to use a GMK.
void session_check_way(const struct session_check *check, uint32_t leg, struct rpc_error *error);

// Key contexts that a leg needs.
uint32_t leg_spec_n_ctxs(const struct leg_spec *leg);
