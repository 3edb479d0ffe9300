// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <stddef.h>

// Why a request is refused.

// Codes of JSON-RPC 2.0 and of the control API.
enum rpc_code {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_METHOD_NOT_FOUND = -32601,
	RPC_INVALID_PARAMS = -32602,
	RPC_INTERNAL_ERROR = -32603,
	RPC_OK = 0,
	RPC_NOT_FOUND = 1,
	RPC_CONFLICT = 2,
	RPC_LIMIT = 3,
	RPC_KEY_REFUSED = 4,
	RPC_BUSY = 5,
	RPC_MESSAGE_REFUSED = 6,
};

struct rpc_error {
	int code;          // enum rpc_code; RPC_OK: no error
	char path[128];    // "params.keys[3].rand"; empty: no member to name
	char message[512]; // one sentence: what was wrong and what is accepted; never a key
	// Of RPC_MESSAGE_REFUSED: a word for what was wrong, and the octet where it was found.
	const char *reason; // a literal; NULL: none
	size_t octet;
	json_t *redirect; // params of a request that helps, which data shows; released with the answer
};

// Sets code, path (may be NULL) and a printf message, unless an error is already set: the first one
// counts.
void rpc_fail(struct rpc_error *error, enum rpc_code code, const char *path, const char *format,
	...) __attribute__((format(printf, 4, 5)));

// The data of an error with a path: that, and the reason and the octet if it has them. A new
// reference, NULL: there was no memory for it.
json_t *rpc_error_data(const struct rpc_error *error);

// rpc_fail() for lack of memory, for a request or a slice that has changed nothing yet.
void rpc_fail_memory(struct rpc_error *error, const char *path);
