// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "server/rpc_error.h"

// The API nests 8 deep; bounds the recursion of parser and destructor.
enum { RPC_DEPTH_MAX = 32 };

// Checks a request object (JSON-RPC 2.0, 4).
bool rpc_line_check_request(const json_t *request, struct rpc_error *error);

// Parses a line. NULL with *error set if it is not JSON. jansson's own message is not passed on: it
// quotes the text near the error, which may be part of a key.
json_t *rpc_line_parse(const char *line, size_t len, struct rpc_error *error);

// The line is not JSON: what is at that octet, from 0 on, says so.
void rpc_line_fail(struct rpc_error *error, size_t at);

// False with *error set if brackets nest deeper than RPC_DEPTH_MAX. All other errors are left to the
// parser.
bool rpc_line_check_depth(const char *line, size_t len, struct rpc_error *error);
