// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/rpc.h"

// The method of the API itself (docs/api.md). Control thread.
json_t *rpc_discover(void *arg, const json_t *params, struct rpc_error *error);
