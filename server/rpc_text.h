// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

// The answer under construction. It is built response by response, so that a long batch keeps no
// JSON tree of all.
struct rpc_text {
	char *octets; // from secmem_malloc()
	size_t len, size;
	bool failed; // no memory: the text is incomplete and not sent
	bool taken;  // its beginning has been taken
};

void rpc_text_add(struct rpc_text *text, const char *octets, size_t len);

void rpc_text_add_string(struct rpc_text *text, const char *string);

// Takes over the reference; NULL: there was no memory for it.
void rpc_text_add_json(struct rpc_text *text, json_t *json);
// The same of an object's members alone, without braces around them.
void rpc_text_add_members(struct rpc_text *text, json_t *object);
