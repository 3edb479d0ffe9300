// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "server/rpc_error.h"

// Checks a request object (JSON-RPC 2.0, 4).
bool rpc_line_check_request(const json_t *request, struct rpc_error *error);

// Parses a line. NULL with *error set if it is not JSON. jansson's own message is not passed on: it
// quotes the text near the error, which may be part of a key.
json_t *rpc_line_parse(const char *line, size_t len, struct rpc_error *error);
