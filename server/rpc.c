// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/rpc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/secmem.h"
#include "server/json_drop.h"
#include "server/rpc_line.h"
#include "server/rpc_parse.h"
#include "server/rpc_text.h"

enum {
	RPC_BATCH_MAX = 32768, // no 1 MiB line holds so many; bounds the answer to "[1,1,1,...]"
	RPC_DROP = 1024,       // values that are freed at once
};

// The request that runs in slices.
struct rpc_run {
	const struct rpc_method *method; // NULL: none has begun
	json_t *params;
	struct rpc_slice slice;
	uint64_t duration_ns;
};

struct rpc_work {
	const struct rpc *rpc;
	struct rpc_parse *parse; // a long line, until it is parsed
	json_t *line;            // NULL if it is no JSON, or not parsed yet
	json_t *past;            // what is not needed any more, until it is freed
	bool batch;              // an array of requests that can be answered one by one
	size_t next, n;          // requests done, and all
	struct rpc_run run;
	struct rpc_text text;
	const char *caller;      // for the log, or NULL
	void (*wake)(void *arg); // NULL: nobody wants to know
	void *wake_arg;
};

// The response that reports an error. Takes over the reference to id.
static json_t *response_error(json_t *id, struct rpc_error *error)
{
	json_t *body = json_pack("{s:i, s:s}", "code", error->code, "message", error->message);
	if (body && error->path[0] != '\0' &&
		json_object_set_new(body, "data", rpc_error_data(error)) != 0) {
		json_decref(body);
		body = NULL;
	}
	return json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "id", id, "error", body);
}

// The response that carries a result. Takes over both references.
static json_t *response_result(json_t *id, json_t *result)
{
	return json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "id", id, "result", result);
}

static const struct rpc_method *method_find(const struct rpc *rpc, const char *name)
{
	for (const struct rpc_method *method = rpc->methods; method->name; method++) {
		if (strcmp(method->name, name) == 0)
			return method;
	}
	return NULL;
}

static void method_refuse(const struct rpc *rpc, struct rpc_error *error)
{
	size_t len = 0;
	char names[sizeof(error->message)];
	names[0] = '\0';
	for (const struct rpc_method *method = rpc->methods; method->name && len < sizeof(names);
		method++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
			method == rpc->methods ? "" : ", ", method->name);
	rpc_fail(error, RPC_METHOD_NOT_FOUND, "method", "is not known; accepted: %s", names);
}

static void report(const struct rpc_work *work, const struct rpc_method *method,
	const struct rpc_error *error, const json_t *result)
{
	const struct rpc_call call = {
		.method = method,
		.caller = work->caller,
		.params = work->run.params,
		.result = work->run.slice.told ? work->run.slice.told : result,
		.made = work->run.slice.made,
		.error = error,
		.duration_ns = work->run.duration_ns,
	};
	if (work->rpc->after_call)
		work->rpc->after_call(work->rpc->app, &call);
}

void rpc_work_set_caller(struct rpc_work *work, const char *caller)
{
	work->caller = caller;
}

// The request that is next.
static const json_t *work_request(const struct rpc_work *work)
{
	return work->batch ? json_array_get(work->line, work->next) : work->line;
}

bool rpc_slice_expired(struct rpc_slice *slice, size_t next)
{
	if (next == slice->next || clock_now_ns() < slice->until_ns)
		return false;
	slice->next = next;
	slice->more = true;
	return true;
}

void rpc_slice_wait(struct rpc_slice *slice, size_t next)
{
	slice->next = next;
	slice->more = true;
	slice->waits = true;
}

void rpc_slice_sleep(struct rpc_slice *slice)
{
	slice->more = slice->waits = slice->sleeps = true;
}

bool rpc_work_sleeps(const struct rpc_work *work)
{
	return work->run.slice.sleeps;
}

void rpc_work_on_wake(struct rpc_work *work, void (*wake)(void *arg), void *arg)
{
	work->wake = wake;
	work->wake_arg = arg;
}

void rpc_work_wake(struct rpc_work *work)
{
	if (work->wake)
		work->wake(work->wake_arg);
}

static void run_end(struct rpc_run *run)
{
	if (run->slice.state)
		run->slice.state_free(run->slice.state);
	json_decref(run->params);
	json_decref(run->slice.list);
	json_decref(run->slice.made);
	json_decref(run->slice.told);
	*run = (struct rpc_run){0};
}

// Finds the method of a request that passed rpc_line_check_request(), and its params. False with
// *error set if it cannot run.
static bool run_begin(const struct rpc *rpc, const json_t *request, const struct rpc_method *method,
	struct rpc_run *run, struct rpc_error *error)
{
	json_t *params = json_object_get(request, "params");
	if (!method) {
		method_refuse(rpc, error);
		return false;
	}
	if (json_is_array(params)) {
		rpc_fail(error, RPC_INVALID_PARAMS, "params",
			"is an array; accepted: an object, parameters go by name");
		return false;
	}
	params = params ? json_incref(params) : json_object();
	if (!params) {
		rpc_fail(error, RPC_INTERNAL_ERROR, NULL, "out of memory");
		return false;
	}
	run->method = method;
	run->params = params;
	return true;
}

// Runs the method, or a slice of it: then *more is true, and the result NULL.
static json_t *run_step(
	struct rpc_work *work, uint64_t until_ns, bool *more, struct rpc_error *error)
{
	const struct rpc *rpc = work->rpc;
	struct rpc_run *run = &work->run;
	if (rpc->before_call)
		rpc->before_call(rpc->app);
	uint64_t began_ns = clock_now_ns();
	run->slice.work = work;
	run->slice.until_ns = until_ns;
	run->slice.more = false;
	run->slice.waits = run->slice.sleeps = false;
	json_t *result;
	if (run->method->call_in_slices)
		result = run->method->call_in_slices(rpc->app, run->params, &run->slice, error);
	else
		result = run->method->call(rpc->app, run->params, error);
	run->duration_ns += clock_now_ns() - began_ns;
	*more = !result && error->code == RPC_OK && run->slice.more;
	if (!result && !*more)
		rpc_fail(error, RPC_INTERNAL_ERROR, NULL, "the method failed without saying why");
	if (error->code != RPC_OK) {
		json_decref(result);
		return NULL;
	}
	return result;
}

static void text_begin_response(struct rpc_work *work)
{
	if (work->batch)
		rpc_text_add(&work->text, work->text.len == 0 ? "[" : ",", 1);
}

// The id that a response has. A new reference.
static json_t *response_id(const json_t *request)
{
	json_t *id = json_object_get(request, "id");
	return json_is_string(id) || json_is_number(id) ? json_incref(id) : json_null();
}

void rpc_emit_members(struct rpc_slice *slice, json_t *members, const char *member)
{
	struct rpc_text *text = &slice->work->text;
	const json_t *request = work_request(slice->work);
	bool has_members = json_object_size(members) > 0;
	slice->told = json_incref(members);
	if (!json_object_get(request, "id")) {
		json_decref(members);
		return;
	}
	text_begin_response(slice->work);
	rpc_text_add_string(text, "{\"jsonrpc\":\"2.0\",\"id\":");
	rpc_text_add_json(text, response_id(request));
	rpc_text_add_string(text, ",\"result\":{");
	rpc_text_add_members(text, members);
	rpc_text_add_string(text, has_members ? ",\"" : "\"");
	rpc_text_add_string(text, member);
	rpc_text_add_string(text, "\":[");
	slice->emitted = true;
}

void rpc_emit(struct rpc_slice *slice, const char *member, json_t *element)
{
	struct rpc_text *text = &slice->work->text;
	if (!json_object_get(work_request(slice->work), "id")) {
		json_decref(element);
		return;
	}
	if (!slice->emitted)
		rpc_emit_members(slice, json_object(), member);
	if (slice->listed)
		rpc_text_add(text, ",", 1);
	rpc_text_add_json(text, element);
	slice->listed = true;
}

void rpc_emit_end(struct rpc_slice *slice, json_t *members)
{
	if (slice->told)
		json_object_update(slice->told, members);
	if (!slice->emitted) { // a notification
		json_decref(members);
		return;
	}
	rpc_text_add_string(&slice->work->text, "],");
	rpc_text_add_members(&slice->work->text, members);
	slice->ended = true;
}

// Takes over the reference; NULL: there was no memory for it.
static void text_add_response(struct rpc_work *work, json_t *response)
{
	text_begin_response(work);
	rpc_text_add_json(&work->text, response);
}

// Answers a request, unless it is a notification. An invalid request is answered even without an id
// (JSON-RPC 2.0, 5), and with its id if that is usable.
static void respond(struct rpc_work *work, const json_t *request, bool valid, json_t *result,
	struct rpc_error *error)
{
	if (work->run.slice.emitted) {
		rpc_text_add_string(&work->text, work->run.slice.ended ? "}}" : "]}}");
		json_decref(result);
	} else if (valid && !json_object_get(request, "id")) {
		json_decref(result);
	} else if (result) {
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
	*valid = rpc_line_check_request(request, error);
	if (*valid) {
		method = method_find(rpc, json_string_value(json_object_get(request, "method")));
		begun = answers_check(work, error) &&
			run_begin(rpc, request, method, &work->run, error);
	}
	if (!begun)
		report(work, method, error, NULL);
	return begun;
}

// Runs one request or a slice of it. True if it is answered.
static bool request_step(struct rpc_work *work, const json_t *request, uint64_t until_ns)
{
	struct rpc_error error = {0};
	struct rpc_run *run = &work->run;
	json_t *result = NULL;
	bool valid = true;
	if (run->method || request_begin(work, request, &valid, &error)) {
		bool more;
		result = run_step(work, until_ns, &more, &error);
		if (more)
			return false;
		report(work, run->method, &error, result);
	}
	respond(work, request, valid, result, &error);
	json_decref(error.redirect);
	run_end(run);
	return true;
}

// The answer if there was no memory for the answer.
static char *answer_without_memory(size_t *out_len)
{
	static const char text[] = "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32603,"
				   "\"message\":\"out of memory\"}}";
	char *copy = secmem_malloc(sizeof(text));
	if (copy)
		memcpy(copy, text, sizeof(text));
	*out_len = copy ? sizeof(text) - 1 : 0;
	return copy;
}

// Answers a line that has no request to run.
static void refuse_line(struct rpc_work *work, struct rpc_error *error)
{
	report(work, NULL, error, NULL);
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

static void work_begin(struct rpc_work *work, struct rpc_error *error)
{
	if (!work->line)
		refuse_line(work, error);
	else if (json_is_array(work->line))
		batch_open(work);
	else
		work->n = 1;
}

struct rpc_work *rpc_work_open(const struct rpc *rpc, const char *line, size_t len)
{
	struct rpc_work *work = calloc(1, sizeof(*work));
	struct rpc_error error = {0};
	if (!work)
		return NULL;
	work->rpc = rpc;
	if (len > RPC_PIECE) {
		work->parse = rpc_parse_open(line, len);
		if (work->parse)
			return work;
		free(work);
		return NULL;
	}
	work->line = rpc_line_parse(line, len, &error);
	work_begin(work, &error);
	return work;
}

// Parses a piece of a long line.
static void work_parse(struct rpc_work *work)
{
	struct rpc_error error = {0};
	if (!rpc_parse_step(work->parse, &error))
		return;
	work->line = rpc_parse_close(work->parse);
	work->parse = NULL;
	if (error.code != RPC_OK) {
		work->past = work->line;
		work->line = NULL;
	}
	work_begin(work, &error);
}

// Frees some of what is not needed any more: most of it while it is in the cache.
static void work_drop(struct rpc_work *work)
{
	json_drop(&work->past, RPC_DROP);
}

// All requests are answered.
static bool work_is_done(const struct rpc_work *work)
{
	return !work->parse && work->next == work->n;
}

// And nothing is left of them.
static bool work_is_over(const struct rpc_work *work)
{
	return work_is_done(work) && !work->past && !work->line;
}

static void work_run(struct rpc_work *work, uint64_t until_ns)
{
	if (!request_step(work, work_request(work), until_ns))
		return;
	if (work->batch) {
		work->past = json_incref(json_array_get(work->line, work->next));
		json_array_set_new(work->line, work->next, json_null());
	} else {
		work->past = work->line;
		work->line = NULL;
	}
	work->next++;
	work_drop(work);
}

bool rpc_work_step(struct rpc_work *work, uint64_t until_ns)
{
	while (!work_is_over(work)) {
		if (work->past) {
			work_drop(work);
		} else if (work->parse) {
			work_parse(work);
		} else if (work->next < work->n) {
			work_run(work, until_ns);
		} else {
			work->past = work->line;
			work->line = NULL;
		}
		if (work->run.slice.waits || clock_now_ns() >= until_ns)
			break;
	}
	return work_is_over(work);
}

char *rpc_work_take(struct rpc_work *work, size_t *len)
{
	char *octets = work->text.octets;
	*len = 0;
	if (work->n > 1 || work_is_done(work) || work->text.failed || work->text.len == 0)
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
	if (work->run.method && work->run.method->reads)
		run_end(&work->run);
	if (work->parse)
		work->past = rpc_parse_close(work->parse);
	work->parse = NULL;
	secmem_free(work->text.octets);
	work->text = (struct rpc_text){.failed = true}; // nothing more is written
	work->n = work->run.method ? work->next + 1 : work->next;
	return !work_is_over(work);
}

// No request is left half done but one that waits for another: the server closes then.
static void work_finish_request(struct rpc_work *work)
{
	if (!work->run.method)
		return;
	work->n = work->next + 1;
	rpc_work_step(work, UINT64_MAX);
}

char *rpc_work_close(struct rpc_work *work, size_t *out_len)
{
	work_finish_request(work);
	run_end(&work->run);
	if (work->batch && work->text.len > 0)
		rpc_text_add(&work->text, "]", 1);
	struct rpc_text text = work->text;
	json_decref(rpc_parse_close(work->parse));
	json_decref(work->line);
	json_decref(work->past);
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
	if (!work)
		return answer_without_memory(out_len);
	rpc_work_step(work, UINT64_MAX);
	return rpc_work_close(work, out_len);
}
