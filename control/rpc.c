// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/rpc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "crypto/secmem.h"

enum {
	RPC_DEPTH_MAX = 32, // the API nests 8 deep; bounds the recursion of parser and destructor
	RPC_BATCH_MAX =
		32768, // no 1 MiB line holds so many requests; bounds the answer to "[1,1,1,...]"
};

// Cuts off a UTF-8 sequence that the end of a buffer broke: jansson refuses the whole string
// otherwise.
static void utf8_trim(char *text)
{
	size_t len = strlen(text), start = len, sequence_len;
	unsigned char lead;

	while (start > 0 && len - start < 4) {
		lead = (unsigned char)text[--start];
		if ((lead & 0xc0) == 0x80)
			continue; // a continuation octet
		sequence_len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
		if (len - start < sequence_len)
			text[start] = '\0';
		return;
	}
}

void rpc_fail(
	struct rpc_error *error, enum rpc_code code, const char *path, const char *format, ...)
{
	va_list args;

	if (error->code != RPC_OK)
		return;
	error->code = code;
	snprintf(error->path, sizeof(error->path), "%s", path != NULL ? path : "");
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	utf8_trim(error->path);
	utf8_trim(error->message);
}

// The response that reports an error. Takes over the reference to id.
static json_t *response_error(json_t *id, struct rpc_error *error)
{
	json_t *body;

	body = json_pack("{s:i, s:s}", "code", error->code, "message", error->message);
	if (body != NULL && error->path[0] != '\0') {
		json_t *data = json_pack("{s:s}", "path", error->path);
		if (json_object_set_new(body, "data", data) != 0) {
			json_decref(body);
			body = NULL;
		}
	}
	return json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "id", id, "error", body);
}

// The response that carries a result. Takes over both references.
static json_t *response_result(json_t *id, json_t *result)
{
	return json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "id", id, "result", result);
}

// JSON-RPC 2.0, 4: what a request object must be.
static bool request_check(const json_t *request, struct rpc_error *error)
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
	else if (id != NULL && !json_is_string(id) && !json_is_number(id) && !json_is_null(id))
		rpc_fail(error, RPC_INVALID_REQUEST, "id",
			"is an object, array or boolean; accepted: a string, a number or null");
	else if (!json_is_string(json_object_get(request, "method")))
		rpc_fail(error, RPC_INVALID_REQUEST, "method",
			"is not a string; accepted: a method's name");
	else if (params != NULL && !json_is_object(params) && !json_is_array(params))
		rpc_fail(error, RPC_INVALID_REQUEST, "params",
			"is neither an object nor an array; accepted: an object, or no params");
	return error->code == RPC_OK;
}

static const struct rpc_method *method_find(const struct rpc *rpc, const char *name)
{
	for (const struct rpc_method *method = rpc->methods; method->name != NULL; method++) {
		if (strcmp(method->name, name) == 0)
			return method;
	}
	return NULL;
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void report(const struct rpc *rpc, const struct rpc_method *method,
	const struct rpc_error *error, uint64_t duration_ns)
{
	if (rpc->after_call != NULL)
		rpc->after_call(rpc->app, method, error->code, duration_ns);
}

// Runs the method of a request that request_check() let pass. NULL with *error set if it fails.
static json_t *request_run(const struct rpc *rpc, const json_t *request,
	const struct rpc_method *method, struct rpc_error *error)
{
	json_t *params = json_object_get(request, "params");
	json_t *result;

	if (method == NULL) {
		rpc_fail(error, RPC_METHOD_NOT_FOUND, "method",
			"is not known; accepted: the methods of control API version 1");
		return NULL;
	}
	if (json_is_array(params)) {
		rpc_fail(error, RPC_INVALID_PARAMS, "params",
			"is an array; accepted: an object, parameters go by name");
		return NULL;
	}
	params = params != NULL ? json_incref(params) : json_object();
	if (params == NULL) {
		rpc_fail(error, RPC_INTERNAL_ERROR, NULL, "out of memory");
		return NULL;
	}
	if (rpc->before_call != NULL)
		rpc->before_call(rpc->app);
	result = method->call(rpc->app, params, error);
	json_decref(params);
	if (result == NULL)
		rpc_fail(error, RPC_INTERNAL_ERROR, NULL, "the method failed without saying why");
	if (error->code != RPC_OK) {
		json_decref(result);
		return NULL;
	}
	return result;
}

// Answers one request object. False if it is a notification, which gets no answer; *answer is NULL
// if there was no memory for it. What is no valid request is answered even without an id
// (JSON-RPC 2.0, 5), and with its id if it has a usable one.
static bool request_answer(const struct rpc *rpc, const json_t *request, json_t **answer)
{
	struct rpc_error error = {0};
	const json_t *id = json_object_get(request, "id");
	json_t *result = NULL, *answer_id;
	const struct rpc_method *method = NULL;
	bool valid = request_check(request, &error);
	uint64_t began_ns;

	if (valid) {
		method = method_find(rpc, json_string_value(json_object_get(request, "method")));
		began_ns = clock_ns();
		result = request_run(rpc, request, method, &error);
		report(rpc, method, &error, clock_ns() - began_ns);
	} else {
		report(rpc, NULL, &error, 0);
	}
	if (valid && id == NULL) {
		json_decref(result);
		return false;
	}
	if (json_is_string(id) || json_is_number(id))
		answer_id = json_incref((json_t *)id);
	else
		answer_id = json_null();
	if (result != NULL)
		*answer = response_result(answer_id, result);
	else
		*answer = response_error(answer_id, &error);
	return true;
}

// Answers an array of requests. False if none of them is to be answered; *answer as above.
static bool batch_answer(const struct rpc *rpc, const json_t *batch, json_t **answer)
{
	struct rpc_error error = {0};
	size_t n_requests = json_array_size(batch);
	bool answered = false;

	if (n_requests == 0 || n_requests > RPC_BATCH_MAX) {
		rpc_fail(&error, RPC_INVALID_REQUEST, NULL,
			"the batch has %zu requests; accepted: from 1 to %d", n_requests,
			RPC_BATCH_MAX);
		report(rpc, NULL, &error, 0);
		*answer = response_error(json_null(), &error);
		return true;
	}
	*answer = json_array();
	for (size_t i = 0; i < n_requests; i++) {
		json_t *element = NULL;
		if (!request_answer(rpc, json_array_get(batch, i), &element))
			continue;
		answered = true;
		if (json_array_append_new(*answer, element) != 0) {
			// The requests still run, but a batch with a hole is no answer to them.
			json_decref(*answer);
			*answer = NULL;
		}
	}
	if (!answered) {
		json_decref(*answer);
		*answer = NULL;
	}
	return answered;
}

// False if brackets nest deeper than RPC_DEPTH_MAX. Whatever else is wrong with the text the parser
// finds.
static bool depth_check(const char *line, size_t len)
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
			if (++depth > RPC_DEPTH_MAX)
				return false;
		} else if (c == '}' || c == ']') {
			depth--;
		}
	}
	return true;
}

// Parses a line. NULL with *error set if it is not JSON. jansson's own message is not passed on: it
// quotes the text near the mistake, which may be part of a key.
static json_t *line_parse(const char *line, size_t len, struct rpc_error *error)
{
	json_error_t parse_error = {0};
	json_t *json;

	if (!depth_check(line, len)) {
		rpc_fail(error, RPC_PARSE_ERROR, NULL,
			"the JSON text nests too deep; accepted: %d levels", RPC_DEPTH_MAX);
		return NULL;
	}
	json = json_loadb(line, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &parse_error);
	if (json == NULL)
		rpc_fail(error, RPC_PARSE_ERROR, NULL,
			"not valid JSON at octet %d of the line; accepted: one JSON text in UTF-8, "
			"each "
			"member of an object once, no NUL in strings",
			parse_error.position);
	return json;
}

// The JSON as text from secmem_malloc(), whichever allocator jansson has. Takes over the reference.
static char *answer_dump(json_t *answer, size_t *out_len)
{
	size_t len = json_dumpb(answer, NULL, 0, JSON_COMPACT);
	char *text = len > 0 ? secmem_malloc(len) : NULL;

	if (text != NULL && json_dumpb(answer, text, len, JSON_COMPACT) != len) {
		secmem_free(text);
		text = NULL;
	}
	json_decref(answer);
	*out_len = text != NULL ? len : 0;
	return text;
}

// What can still be said when there was no memory for the answer.
static char *answer_without_memory(size_t *out_len)
{
	static const char text[] = "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32603,"
				   "\"message\":\"out of memory\"}}";
	char *copy = secmem_malloc(sizeof(text));

	if (copy != NULL)
		memcpy(copy, text, sizeof(text));
	*out_len = copy != NULL ? sizeof(text) - 1 : 0;
	return copy;
}

char *rpc_answer(const struct rpc *rpc, const char *line, size_t len, size_t *out_len)
{
	struct rpc_error error = {0};
	json_t *request = line_parse(line, len, &error);
	json_t *answer = NULL;
	bool answered = true;
	char *text;

	*out_len = 0;
	if (request == NULL) {
		report(rpc, NULL, &error, 0);
		answer = response_error(json_null(), &error);
	} else if (json_is_array(request)) {
		answered = batch_answer(rpc, request, &answer);
	} else {
		answered = request_answer(rpc, request, &answer);
	}
	json_decref(request);
	if (!answered)
		return NULL;
	text = answer != NULL ? answer_dump(answer, out_len) : NULL;
	return text != NULL ? text : answer_without_memory(out_len);
}
