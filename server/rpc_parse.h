// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "server/rpc_error.h"

// A long line is parsed in pieces of some 16 KiB, so that others have their turns in between. jansson
// parses each piece; what stands around the pieces, containers larger than one, is read here. It takes
// and refuses what rpc_line_parse() does.

enum { RPC_PIECE = 16 * 1024 }; // octets; a shorter line is parsed at once

struct rpc_parse;

// Copies the line, which is wiped when it is closed. NULL if there is no memory.
struct rpc_parse *rpc_parse_open(const char *line, size_t len);

// Parses a piece. True at the end, or if *error is set.
bool rpc_parse_step(struct rpc_parse *parse, struct rpc_error *error);

// What was parsed, a new reference: whole after the last step without an error. NULL is passed on.
json_t *rpc_parse_close(struct rpc_parse *parse);
