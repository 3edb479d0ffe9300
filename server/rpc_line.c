// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/rpc_line.h"

#include <string.h>

bool rpc_line_check_request(const json_t *request, struct rpc_error *error)
{
	const json_t *version = json_object_get(request, "jsonrpc");
	const json_t *id = json_object_get(request, "id");
	const json_t *params = json_object_get(request, "params");
	if (!json_is_object(request))
		rpc_fail(error, RPC_INVALID_REQUEST, NULL,
			"the request is not an object; accepted: an object, or an array of "
			"objects");
	else if (!json_is_string(version) || strcmp(json_string_value(version), "2.0") != 0)
		rpc_fail(
			error, RPC_INVALID_REQUEST, "jsonrpc", "is not \"2.0\"; accepted: \"2.0\"");
	else if (id && !json_is_string(id) && !json_is_number(id) && !json_is_null(id))
		rpc_fail(error, RPC_INVALID_REQUEST, "id",
			"is an object, array or boolean; accepted: a string, a number or null");
	else if (!json_is_string(json_object_get(request, "method")))
		rpc_fail(error, RPC_INVALID_REQUEST, "method",
			"is not a string; accepted: a method's name");
	else if (params && !json_is_object(params) && !json_is_array(params))
		rpc_fail(error, RPC_INVALID_REQUEST, "params",
			"is neither an object nor an array; accepted: an object, or no params");
	return error->code == RPC_OK;
}

bool rpc_line_check_depth(const char *line, size_t len, struct rpc_error *error)
{
	bool in_string = false;
	int depth = 0;
	for (size_t i = 0; i < len; i++) {
		char c = line[i];
		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > RPC_DEPTH_MAX) {
				rpc_fail(error, RPC_PARSE_ERROR, NULL,
					"the JSON text nests too deep; accepted: %d levels",
					RPC_DEPTH_MAX);
				return false;
			}
		} else if (c == '}' || c == ']') {
			depth--;
		}
	}
	return true;
}

void rpc_line_fail(struct rpc_error *error, size_t at)
{
	rpc_fail(error, RPC_PARSE_ERROR, NULL,
		"not valid JSON at octet %zu of the line; accepted: one JSON text in UTF-8, each "
		"member of an object once, no NUL in strings",
		at);
}

json_t *rpc_line_parse(const char *line, size_t len, struct rpc_error *error)
{
	json_error_t parse_error = {0};
	if (!rpc_line_check_depth(line, len, error))
		return NULL;
	json_t *json =
		json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &parse_error);
	if (!json)
		rpc_line_fail(error, parse_error.position > 0 ? (size_t)parse_error.position : 0);
	return json;
}
