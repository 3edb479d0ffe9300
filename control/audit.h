// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

struct rpc_call;

enum {
	AUDIT_NAMES_SIZE = 300, // octets of names in a line of the log
	AUDIT_LINES_MAX = 64,   // for one request; the last one says how many names are not in them
};

// Tells in the log who asked for a change, what it concerns, and what came of it; at level debug of every other
// request as well. Names of keys, sessions, legs, KMSs and identities: never another member of a request. They are
// told if the request was read without fault, as something else might stand in their place otherwise. Control thread.
void audit_call(const struct rpc_call *call);
