// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/rpc.h"

// Methods of the relay as a whole, its workers and ports; arg is a struct api (docs/api.md). Control thread.
json_t *relay_info(void *arg, const json_t *params, struct rpc_error *error);
json_t *relay_stats(void *arg, const json_t *params, struct rpc_error *error);
