// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/rpc.h"

// KMS redirect responses (TS 33.180 5.2.8): made, and what follows from one.

json_t *message_redirect_method(void *arg, const json_t *params, struct rpc_error *error);
json_t *message_redirected_method(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error);
