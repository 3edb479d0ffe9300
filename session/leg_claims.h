// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "dataplane/port.h"
#include "server/rpc.h"
#include "session/session_types.h"

// What the legs of a request take: ids, local addresses, groups. No two of them take the same, and no
// other request does while this one is worked on in steps. Control thread.

struct leg_claims {
	const char *id;                // of the session
	const struct session *session; // the same; not in sessions yet, if it is new
	struct map *taken;             // id, address or group -> leg spec
	// That legs which have not joined yet will need.
	uint32_t n_legs, n_ctxs;     // legs, key contexts
	uint32_t n_groups[PORT_MAX]; // multicast groups that a port is not in
};

// False with *error set if there is no memory.
bool leg_claims_open(struct leg_claims *claims, const char *path, struct rpc_error *error);
void leg_claims_close(struct leg_claims *claims);

// Each sets *error if another leg of the request has the same.
void leg_claim_id(
	struct leg_claims *claims, struct leg_spec *leg, const char *path, struct rpc_error *error);
void leg_claim_local(
	struct leg_claims *claims, struct leg_spec *leg, const char *path, struct rpc_error *error);
// The group and UDP port that it receives from, if it does.
void leg_claim_received(
	struct leg_claims *claims, struct leg_spec *leg, const char *path, struct rpc_error *error);

// Counts the group that the leg receives from, once: its port is not in it yet. False: it was counted.
bool leg_claim_group(struct leg_claims *claims, struct leg_spec *leg);
// The leg is bound: its port is in the group.
void leg_claims_settle_group(struct leg_claims *claims, const struct leg_spec *leg);

// The leg of that id among those of the request; NULL: it is none.
struct leg_spec *leg_claims_find(const struct leg_claims *claims, const char *id);
// Whether a leg of the request has the local address, or receives from the group, of that one. Claims
// may be NULL: none.
bool leg_claims_have_local(const struct leg_claims *claims, const struct leg_spec *leg);
bool leg_claims_have_received(const struct leg_claims *claims, const struct leg_spec *leg);

// Those of a request about another session that is worked on in steps; NULL: there is none.
static inline const struct leg_claims *leg_claims_of_others(
	const struct sessions *sessions, const struct session *session)
{
	return sessions->claims && sessions->claims->session != session ? sessions->claims : NULL;
}
