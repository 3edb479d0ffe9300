// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/rpc.h"

// message.make; arg is a struct api (docs/api.md). Control thread.
json_t *message_make_method(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error);
