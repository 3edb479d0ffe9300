// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// JSON-RPC 2.0 (control-api.md): requests in, responses out, methods by name. Knows no socket and
// no relay. Everything here runs in the control thread.

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
};

struct rpc_error {
	int code;          // enum rpc_code; RPC_OK: no error
	char path[128];    // "params.keys[3].rand"; empty: no member to name
	char message[256]; // one sentence: what was wrong and what is accepted; never a key
};

// Sets code, path (may be NULL) and a printf message, unless an error is already set: the first one
// counts.
void rpc_fail(struct rpc_error *error, enum rpc_code code, const char *path, const char *format,
	...) __attribute__((format(printf, 4, 5)));

// One method. Returns a new reference to its result, or NULL with *error set. params is never NULL:
// an empty object if the request had none.
typedef json_t *(*rpc_method_fn)(void *app, const json_t *params, struct rpc_error *error);

struct rpc_method {
	const char *name;
	rpc_method_fn call;
};

struct subscriptions;

struct rpc {
	const struct rpc_method *methods; // ends with name NULL
	void *app;                        // handed to each method
	struct subscriptions *events; // NULL: none. Whoever serves a connection says in it whose
				      // requests run
	void (*before_call)(
		void *app); // NULL: nothing. So that a long batch does not keep all else waiting
	// NULL: nothing. Told of every request, and of every line that is none, once it is done.
	// method is NULL if it is not known; code is that of the answer; the time is that of the
	// method, 0 if none ran.
	void (*after_call)(
		void *app, const struct rpc_method *method, int code, uint64_t duration_ns);
};

// Answers one line (without its LF, len octets, not NUL-terminated): a request, a notification or a
// batch. Returns the response as malloc-like text that the caller frees with secmem_free(), its
// length in *out_len (no LF), or NULL if nothing is to be answered. Params by position are refused
// with RPC_INVALID_PARAMS. Deep nesting, duplicate members, invalid UTF-8 and NUL in strings are
// parse errors.
char *rpc_answer(const struct rpc *rpc, const char *line, size_t len, size_t *out_len);
