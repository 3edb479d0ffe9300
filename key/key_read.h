// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "key/key.h"
#include "server/reader.h"

// Keys from JSON.

// Reads one Key of docs/api.md. False with *error set: RPC_INVALID_PARAMS, or RPC_KEY_REFUSED
// for one that is well formed but unusable. The caller wipes spec in any case.
bool key_read(
	const json_t *value, const char *path, struct key_spec *spec, struct rpc_error *error);

// Members that other objects have too: a key id of 8 hex digits, a domain, a profile over what
// *profile has.
bool key_id_read(struct reader *r, const char *name, enum reader_need need, uint32_t *id);
bool key_id_of_json(const json_t *value, const char *path, uint32_t *id, struct rpc_error *error);
bool key_domain_read(struct reader *r, const char **domain);
bool key_profile_read(
	struct reader *r, const char *name, enum key_type type, struct key_profile *profile);
