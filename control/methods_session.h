// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/rpc.h"

// Methods of sessions and their legs; arg is a struct api (docs/api.md). Control thread.
json_t *session_apply_method(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error);
json_t *session_remove_method(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error);
json_t *session_get(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error);
json_t *session_list(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error);
json_t *leg_apply(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error);
json_t *leg_remove(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error);
json_t *session_top_method(void *arg, const json_t *params, struct rpc_error *error);
