// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/rpc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/secmem.h"

enum {
	RPC_DEPTH_MAX = 32, // the API nests 8 deep; bounds the recursion of parser and destructor
	RPC_BATCH_MAX =
		32768, // no 1 MiB line holds so many requests; bounds the answer to "[1,1,1,...]"
	RPC_TEXT_SIZE = 512, // octets at first
};

// The answer as it grows. Response by response, so that a long batch keeps no tree of all.
struct rpc_text {
	char *octets; // from secmem_malloc()
	size_t len, size;
	bool failed; // no memory: what is there is no answer
	bool taken;  // its beginning was
};

// The request that runs in parts.
struct rpc_run {
	const struct rpc_method *method; // NULL: none has begun
	json_t *params;
	struct rpc_part part;
	uint64_t duration_ns;
};

struct rpc_work {
	const struct rpc *rpc;
	json_t *line;   // NULL if it is no JSON
	bool batch;     // an array of requests that can be answered one by one
	size_t next, n; // requests done, and all
	struct rpc_run run;
	struct rpc_text text;
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

static void method_refuse(const struct rpc *rpc, struct rpc_error *error)
{
	char names[sizeof(error->message)];
	size_t len = 0;

	names[0] = '\0';
	for (const struct rpc_method *method = rpc->methods;
		method->name != NULL && len < sizeof(names); method++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
			method == rpc->methods ? "" : ", ", method->name);
	rpc_fail(error, RPC_METHOD_NOT_FOUND, "method", "is not known; accepted: %s", names);
}

uint64_t rpc_clock_ns(void)
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

// The request that is next.
static const json_t *work_request(const struct rpc_work *work)
{
	return work->batch ? json_array_get(work->line, work->next) : work->line;
}

bool rpc_part_over(struct rpc_part *part, size_t next)
{
	if (next == part->next || rpc_clock_ns() < part->until_ns)
		return false;
	part->next = next;
	part->more = true;
	return true;
}

static void run_end(struct rpc_run *run)
{
	json_decref(run->params);
	json_decref(run->part.list);
	*run = (struct rpc_run){0};
}

// Finds the method of a request that request_check() let pass, and its params. False with *error set
// if it cannot run.
static bool run_begin(const struct rpc *rpc, const json_t *request, const struct rpc_method *method,
	struct rpc_run *run, struct rpc_error *error)
{
	json_t *params = json_object_get(request, "params");

	if (method == NULL) {
		method_refuse(rpc, error);
		return false;
	}
	if (json_is_array(params)) {
		rpc_fail(error, RPC_INVALID_PARAMS, "params",
			"is an array; accepted: an object, parameters go by name");
		return false;
	}
	params = params != NULL ? json_incref(params) : json_object();
	if (params == NULL) {
		rpc_fail(error, RPC_INTERNAL_ERROR, NULL, "out of memory");
		return false;
	}
	run->method = method;
	run->params = params;
	return true;
}

// Runs the method, or a part of it: then *more is true, and the result NULL.
static json_t *run_step(
	struct rpc_work *work, uint64_t until_ns, bool *more, struct rpc_error *error)
{
	const struct rpc *rpc = work->rpc;
	struct rpc_run *run = &work->run;
	uint64_t began_ns;
	json_t *result;

	if (rpc->before_call != NULL)
		rpc->before_call(rpc->app);
	began_ns = rpc_clock_ns();
	run->part.work = work;
	run->part.until_ns = until_ns;
	run->part.more = false;
	if (run->method->call_in_parts != NULL)
		result = run->method->call_in_parts(rpc->app, run->params, &run->part, error);
	else
		result = run->method->call(rpc->app, run->params, error);
	run->duration_ns += rpc_clock_ns() - began_ns;
	*more = result == NULL && error->code == RPC_OK && run->part.more;
	if (result == NULL && !*more)
		rpc_fail(error, RPC_INTERNAL_ERROR, NULL, "the method failed without saying why");
	if (error->code != RPC_OK) {
		json_decref(result);
		return NULL;
	}
	return result;
}

static void text_add(struct rpc_text *text, const char *octets, size_t len)
{
	size_t size = text->size;

	while (!text->failed && size - text->len < len)
		size = size > 0 ? size * 2 : RPC_TEXT_SIZE;
	if (!text->failed && size != text->size) {
		char *grown = secmem_realloc(text->octets, size);
		if (grown != NULL) {
			text->octets = grown;
			text->size = size;
		}
		text->failed = grown == NULL;
	}
	if (text->failed)
		return; // the requests still run, but an answer with a hole is none
	memcpy(text->octets + text->len, octets, len);
	text->len += len;
}

static int text_dump(const char *octets, size_t len, void *text)
{
	text_add(text, octets, len);
	return 0;
}

static void text_add_string(struct rpc_text *text, const char *string)
{
	text_add(text, string, strlen(string));
}

// Takes over the reference; NULL: there was no memory for it.
static void text_add_json(struct rpc_text *text, json_t *json)
{
	if (json == NULL ||
		json_dump_callback(json, text_dump, text, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
		text->failed = true;
	json_decref(json);
}

static void text_begin_response(struct rpc_work *work)
{
	if (work->batch)
		text_add(&work->text, work->text.len == 0 ? "[" : ",", 1);
}

// The id that a response has. A new reference.
static json_t *response_id(const json_t *request)
{
	json_t *id = json_object_get(request, "id");

	return json_is_string(id) || json_is_number(id) ? json_incref(id) : json_null();
}

void rpc_part_say(struct rpc_part *part, const char *member, json_t *element)
{
	struct rpc_text *text = &part->work->text;
	const json_t *request = work_request(part->work);

	if (json_object_get(request, "id") == NULL) {
		json_decref(element);
		return;
	}
	if (part->said == NULL) {
		text_begin_response(part->work);
		text_add_string(text, "{\"jsonrpc\":\"2.0\",\"id\":");
		text_add_json(text, response_id(request));
		text_add_string(text, ",\"result\":{\"");
		text_add_string(text, member);
		text_add_string(text, "\":[");
	} else {
		text_add(text, ",", 1);
	}
	text_add_json(text, element);
	part->said = member;
}

// Takes over the reference; NULL: there was no memory for it.
static void text_add_response(struct rpc_work *work, json_t *response)
{
	text_begin_response(work);
	text_add_json(&work->text, response);
}

// Answers what was asked, unless it is a notification. What is no valid request is answered even
// without an id (JSON-RPC 2.0, 5), and with its id if it has a usable one.
static void respond(struct rpc_work *work, const json_t *request, bool valid, json_t *result,
	struct rpc_error *error)
{
	if (work->run.part.said != NULL) {
		text_add_string(&work->text, "]}}");
		json_decref(result);
	} else if (valid && json_object_get(request, "id") == NULL) {
		json_decref(result);
	} else if (result != NULL) {
		text_add_response(work, response_result(response_id(request), result));
	} else {
		text_add_response(work, response_error(response_id(request), error));
	}
}

static bool answers_check(const struct rpc_work *work, struct rpc_error *error)
{
	if (work->text.len > RPC_ANSWERS_MAX)
		rpc_fail(error, RPC_LIMIT, NULL,
			"the answers to the batch have more than %d octets already; accepted: "
			"fewer requests in a batch",
			RPC_ANSWERS_MAX);
	return error->code == RPC_OK;
}

// Begins a request: true if its method is to run.
static bool request_begin(
	struct rpc_work *work, const json_t *request, bool *valid, struct rpc_error *error)
{
	const struct rpc *rpc = work->rpc;
	const struct rpc_method *method = NULL;
	bool begun = false;

	*valid = request_check(request, error);
	if (*valid) {
		method = method_find(rpc, json_string_value(json_object_get(request, "method")));
		begun = answers_check(work, error) &&
			run_begin(rpc, request, method, &work->run, error);
	}
	if (!begun)
		report(rpc, method, error, 0);
	return begun;
}

// Runs one request or a part of it. True if it is answered.
static bool request_step(struct rpc_work *work, const json_t *request, uint64_t until_ns)
{
	struct rpc_error error = {0};
	struct rpc_run *run = &work->run;
	json_t *result = NULL;
	bool valid = true, more;

	if (run->method != NULL || request_begin(work, request, &valid, &error)) {
		result = run_step(work, until_ns, &more, &error);
		if (more)
			return false;
		report(work->rpc, run->method, &error, run->duration_ns);
	}
	respond(work, request, valid, result, &error);
	run_end(run);
	return true;
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

// Answers a line that has no request to run.
static void refuse_line(struct rpc_work *work, struct rpc_error *error)
{
	report(work->rpc, NULL, error, 0);
	text_add_response(work, response_error(json_null(), error));
}

static void batch_open(struct rpc_work *work)
{
	struct rpc_error error = {0};
	size_t n = json_array_size(work->line);

	if (n == 0 || n > RPC_BATCH_MAX) {
		rpc_fail(&error, RPC_INVALID_REQUEST, NULL,
			"the batch has %zu requests; accepted: from 1 to %d", n, RPC_BATCH_MAX);
		refuse_line(work, &error);
		return;
	}
	work->batch = true;
	work->n = n;
}

struct rpc_work *rpc_work_open(const struct rpc *rpc, const char *line, size_t len)
{
	struct rpc_work *work = calloc(1, sizeof(*work));
	struct rpc_error error = {0};

	if (work == NULL)
		return NULL;
	work->rpc = rpc;
	work->line = line_parse(line, len, &error);
	if (work->line == NULL)
		refuse_line(work, &error);
	else if (json_is_array(work->line))
		batch_open(work);
	else
		work->n = 1;
	return work;
}

bool rpc_work_step(struct rpc_work *work, uint64_t until_ns)
{
	while (work->next < work->n) {
		if (request_step(work, work_request(work), until_ns)) {
			// Freed while it is in the cache, and not all at the end of a turn.
			if (work->batch)
				json_array_set_new(work->line, work->next, json_null());
			work->next++;
		}
		if (rpc_clock_ns() >= until_ns)
			break;
	}
	return work->next == work->n;
}

char *rpc_work_take(struct rpc_work *work, size_t *len)
{
	char *octets = work->text.octets;

	*len = 0;
	if (work->n > 1 || work->text.failed || work->text.len == 0)
		return NULL;
	*len = work->text.len;
	work->text = (struct rpc_text){.taken = true};
	return octets;
}

size_t rpc_work_size(const struct rpc_work *work)
{
	return work->text.len;
}

bool rpc_work_leave(struct rpc_work *work)
{
	if (work->run.method != NULL && work->run.method->reads)
		run_end(&work->run);
	secmem_free(work->text.octets);
	work->text = (struct rpc_text){.failed = true}; // nothing more is written
	work->n = work->run.method != NULL ? work->next + 1 : work->next;
	return work->next < work->n;
}

// Nothing is left half done.
static void work_finish_request(struct rpc_work *work)
{
	if (work->run.method == NULL)
		return;
	work->n = work->next + 1;
	rpc_work_step(work, UINT64_MAX);
}

char *rpc_work_close(struct rpc_work *work, size_t *out_len)
{
	struct rpc_text text;

	work_finish_request(work);
	if (work->batch && work->text.len > 0)
		text_add(&work->text, "]", 1);
	text = work->text;
	json_decref(work->line);
	free(work);
	*out_len = text.len;
	if (!text.failed)
		return text.octets;
	secmem_free(text.octets);
	*out_len = 0;
	return text.taken ? NULL : answer_without_memory(out_len);
}

char *rpc_answer(const struct rpc *rpc, const char *line, size_t len, size_t *out_len)
{
	struct rpc_work *work = rpc_work_open(rpc, line, len);

	if (work == NULL)
		return answer_without_memory(out_len);
	rpc_work_step(work, UINT64_MAX);
	return rpc_work_close(work, out_len);
}
