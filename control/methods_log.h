// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "server/rpc_error.h"

// A method of the control API; docs/api.md has its params and result.
json_t *log_set(void *api, const json_t *params, struct rpc_error *error);
