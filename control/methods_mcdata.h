// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/rpc.h"

// MCData payloads under installed keys (TS 33.180 8.5), and the choice of their algorithm.

json_t *mcdata_protect_method(void *arg, const json_t *params, struct rpc_error *error);
json_t *mcdata_unprotect_method(void *arg, const json_t *params, struct rpc_error *error);
json_t *mcdata_select_method(void *arg, const json_t *params, struct rpc_error *error);
