// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>

#include "server/rpc_error.h"

// Whether somebody keeps the clock of this machine right (adjtimex(2)), as messages are dated by it.

// 0 if that can be asked, else -errno: systems forbid it.
int clock_sync_open(void);

// RPC_BUSY if nobody does, for the request's member at path.
bool clock_sync_ok(const char *path, struct rpc_error *error);
