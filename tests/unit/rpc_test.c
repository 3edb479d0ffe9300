// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/secmem.h"
#include "server/rpc.h"
#include "server/rpc_line.h"
#include "server/rpc_parse.h"

static int n_calls; // of any method

static json_t *method_echo(void *app, const json_t *params, struct rpc_error *error)
{
	(void)error;
	assert_ptr_equal(app, &n_calls);
	assert_true(json_is_object(params));
	n_calls++;
	return json_incref((json_t *)params);
}

static json_t *method_refuse(void *app, const json_t *params, struct rpc_error *error)
{
	(void)app;
	(void)params;
	n_calls++;
	rpc_fail(error, RPC_NOT_FOUND, "params.id",
		"there is no session %d; accepted: an id in use", 7);
	rpc_fail(error, RPC_BUSY, NULL, "a second error does not count");
	return NULL;
}

static json_t *method_fail_silently(void *app, const json_t *params, struct rpc_error *error)
{
	(void)app;
	(void)params;
	(void)error;
	return NULL;
}

// An error without a path, and a result all the same: the error counts.
static json_t *method_fail_with_result(void *app, const json_t *params, struct rpc_error *error)
{
	(void)app;
	(void)params;
	rpc_fail(error, RPC_LIMIT, NULL, "full");
	return json_true();
}

// A message that the buffer's end cuts within a character.
static json_t *method_fail_at_length(void *app, const json_t *params, struct rpc_error *error)
{
	char text[2 * sizeof(error->message)];
	(void)app;
	(void)params;
	for (size_t i = 0; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa9", 2);
	text[sizeof(text) - 2] = '\0';
	rpc_fail(error, RPC_CONFLICT, text, "x%s", text);
	return NULL;
}

// Counts n elements, in parts.
static json_t *method_count(
	void *app, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	size_t n = (size_t)json_integer_value(json_object_get(params, "n"));
	(void)app;
	(void)error;
	for (size_t i = slice->next; i < n; i++) {
		if (rpc_slice_expired(slice, i))
			return NULL;
		slice->count++;
		n_calls++;
	}
	return json_integer((json_int_t)slice->count);
}

// Says the numbers below n, in parts.
static json_t *method_say(
	void *app, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	size_t n = (size_t)json_integer_value(json_object_get(params, "n"));
	(void)app;
	(void)error;
	json_t *members = json_object_get(params, "members");
	if (members && slice->next == 0)
		rpc_emit_members(slice, json_incref(members), "said");
	for (size_t i = slice->next; i < n; i++) {
		if (rpc_slice_expired(slice, i))
			return NULL;
		rpc_emit(slice, "said", json_integer((json_int_t)i));
	}
	return json_pack("{s:[]}", "said");
}

// A mebioctet.
static json_t *method_long(void *app, const json_t *params, struct rpc_error *error)
{
	static char text[1024 * 1024 + 1];
	(void)app;
	(void)params;
	(void)error;
	n_calls++;
	memset(text, 'x', sizeof(text) - 1);
	return json_string(text);
}

// Waits till done, by itself if it has to.
static bool done, woken;

static json_t *method_wait(
	void *app, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	(void)app;
	(void)params;
	(void)error;
	n_calls++;
	if (!done && slice->until_ns != UINT64_MAX) {
		rpc_slice_sleep(slice);
		return NULL;
	}
	return json_true();
}

static const struct rpc_method methods[] = {
	{"wait", .call_in_slices = method_wait},
	{"count", .call_in_slices = method_count},
	{"say", .call_in_slices = method_say},
	{"long", method_long},
	{"echo", method_echo},
	{"refuse", method_refuse},
	{"fail_silently", method_fail_silently},
	{"fail_with_result", method_fail_with_result},
	{"fail_at_length", method_fail_at_length},
	{NULL, NULL},
};

static const char *caller; // that requests have

// What after_call was told, as text: "echo 0, - -32700, " and so on.
static char reports[512];

static void note_report(void *app, const struct rpc_call *call)
{
	const struct rpc_method *method = call->method;
	int code = call->error->code;
	size_t len = strlen(reports);
	assert_ptr_equal(app, &n_calls);
	if (!method)
		assert_int_equal(code == RPC_OK, 0);
	assert_true(call->duration_ns < UINT64_C(60000000000));
	assert_ptr_equal(call->caller, caller);
	snprintf(
		reports + len, sizeof(reports) - len, "%s %d, ", method ? method->name : "-", code);
}

static const struct rpc rpc = {.methods = methods, .app = &n_calls, .after_call = note_report};

// The answer as a string, or NULL; the caller frees.
static char *answer_to(const char *line, size_t len)
{
	// A copy of the exact size, so that reading past the end is found.
	char *exact = malloc(len > 0 ? len : 1);
	size_t answer_len = 99;
	char *copy = NULL;
	memcpy(exact, line, len);
	char *answer = rpc_answer(&rpc, exact, len, &answer_len);
	free(exact);
	if (!answer) {
		assert_int_equal(answer_len, 0);
		return NULL;
	}
	assert_null(memchr(answer, '\n', answer_len));
	copy = strndup(answer, answer_len);
	secmem_free(answer);
	return copy;
}

static void check_answer(const char *line, const char *expected)
{
	char *answer = answer_to(line, strlen(line));
	if (!expected)
		assert_null(answer);
	else if (!answer)
		fail_msg("no answer to %s", line);
	else
		assert_string_equal(answer, expected);
	free(answer);
}

// Checks the code, path (may be NULL) and id (as JSON) of an error answer.
static void check_error(const char *line, size_t len, int code, const char *path, const char *id)
{
	char *answer = answer_to(line, len);
	if (!answer)
		fail_msg("no answer to %s", line);
	json_t *json = json_loads(answer, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(json, "jsonrpc")), "2.0");
	assert_null(json_object_get(json, "result"));
	json_t *error = json_object_get(json, "error");
	assert_int_equal(json_integer_value(json_object_get(error, "code")), code);
	assert_true(json_string_length(json_object_get(error, "message")) > 0);
	if (!path)
		assert_null(json_object_get(error, "data"));
	else
		assert_string_equal(
			json_string_value(json_object_get(json_object_get(error, "data"), "path")),
			path);
	char *answer_id = json_dumps(json_object_get(json, "id"), JSON_ENCODE_ANY);
	assert_string_equal(answer_id, id);
	free(answer_id);
	json_decref(json);
	free(answer);
}

static void requests_are_answered(void **state)
{
	(void)state;
	check_answer("{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"params\":{\"a\":1},\"id\":1}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":1}}");
	check_answer(" { \"id\" : \"x\" , \"method\" : \"echo\" , \"jsonrpc\" : \"2.0\" } ",
		"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":{}}");
	check_answer("{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":null}",
		"{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":{}}");
	check_answer("{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":-2.5}",
		"{\"jsonrpc\":\"2.0\",\"id\":-2.5,\"result\":{}}");
	check_answer("{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":1,\"trace\":[]}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
}

static void errors_of_methods_are_answered(void **state)
{
	(void)state;
	check_answer("{\"jsonrpc\":\"2.0\",\"method\":\"refuse\",\"id\":1}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":1,\"message\":\"there is no "
		"session 7; "
		"accepted: an id in use\",\"data\":{\"path\":\"params.id\"}}}");
	check_answer("{\"jsonrpc\":\"2.0\",\"method\":\"fail_with_result\",\"id\":1}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":3,\"message\":\"full\"}}");
	check_answer("{\"jsonrpc\":\"2.0\",\"method\":\"fail_silently\",\"id\":1}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"error\":{\"code\":-32603,\"message\":\"the method "
		"failed "
		"without saying why\"}}");
}

static void cut_messages_stay_utf8(void **state)
{
	static const char line[] = "{\"jsonrpc\":\"2.0\",\"method\":\"fail_at_length\",\"id\":1}";
	char path[128] = "";
	(void)state;
	for (int i = 0; i < 63; i++)
		strcat(path, "\xc3\xa9");
	check_error(line, strlen(line), RPC_CONFLICT, path, "1");
}

static void notifications_run_unanswered(void **state)
{
	(void)state;
	n_calls = 0;
	check_answer("{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"params\":{}}", NULL);
	check_answer("{\"jsonrpc\":\"2.0\",\"method\":\"refuse\"}", NULL);
	assert_int_equal(n_calls, 2);
	check_answer("{\"jsonrpc\":\"2.0\",\"method\":\"unknown\"}", NULL);
	check_answer("{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"params\":[1]}", NULL);
	assert_int_equal(n_calls, 2);
}

static void wrong_requests_are_refused(void **state)
{
	static const struct {
		const char *line;
		int code;
		const char *path, *id;
	} cases[] = {
		{"1", RPC_INVALID_REQUEST, NULL, "null"},
		{"\"text\"", RPC_INVALID_REQUEST, NULL, "null"},
		{"null", RPC_INVALID_REQUEST, NULL, "null"},
		{"{}", RPC_INVALID_REQUEST, "jsonrpc", "null"},
		{"{\"method\":\"echo\",\"id\":1}", RPC_INVALID_REQUEST, "jsonrpc", "1"},
		{"{\"jsonrpc\":\"1.0\",\"method\":\"echo\",\"id\":1}", RPC_INVALID_REQUEST,
			"jsonrpc", "1"},
		{"{\"jsonrpc\":2.0,\"method\":\"echo\",\"id\":1}", RPC_INVALID_REQUEST, "jsonrpc",
			"1"},
		{"{\"jsonrpc\":\"2.0\",\"id\":1}", RPC_INVALID_REQUEST, "method", "1"},
		{"{\"jsonrpc\":\"2.0\",\"method\":1,\"id\":\"a\"}", RPC_INVALID_REQUEST, "method",
			"\"a\""},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":{}}", RPC_INVALID_REQUEST, "id",
			"null"},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":[1]}", RPC_INVALID_REQUEST, "id",
			"null"},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":true}", RPC_INVALID_REQUEST, "id",
			"null"},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"params\":\"a\",\"id\":1}",
			RPC_INVALID_REQUEST, "params", "1"},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"params\":null,\"id\":1}",
			RPC_INVALID_REQUEST, "params", "1"},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"params\":[1],\"id\":1}",
			RPC_INVALID_PARAMS, "params", "1"},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"params\":[],\"id\":1}",
			RPC_INVALID_PARAMS, "params", "1"},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"rpc.echo\",\"id\":1}", RPC_METHOD_NOT_FOUND,
			"method", "1"},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"\",\"id\":1}", RPC_METHOD_NOT_FOUND, "method",
			"1"},
		{"[]", RPC_INVALID_REQUEST, NULL, "null"},
	};

	(void)state;
	n_calls = 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		check_error(cases[i].line, strlen(cases[i].line), cases[i].code, cases[i].path,
			cases[i].id);
	assert_int_equal(n_calls, 0);
}

static void wrong_json_is_a_parse_error(void **state)
{
	static const char *const lines[] = {
		"",
		" ",
		"{",
		"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":1",
		"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":1}}",
		"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":1} {}",
		"[{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":1},",
		"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":1,\"id\":2}",
		"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"params\":{\"a\":1,\"a\":1},\"id\":1}",
		"{\"jsonrpc\":\"2.0\",\"method\":\"ech\\u0000o\",\"id\":1}",
		"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\",\"id\":1}",
		"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":\"\\",
		"{'jsonrpc':'2.0'}",
	};
	static const char with_nul[] = "{\"jsonrpc\":\"2.0\"\0,\"method\":\"echo\",\"id\":1}";
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		check_error(lines[i], strlen(lines[i]), RPC_PARSE_ERROR, NULL, "null");
	check_error(with_nul, sizeof(with_nul) - 1, RPC_PARSE_ERROR, NULL, "null");
}

// Text near a mistake may be part of a key: no answer repeats it.
static void parse_errors_quote_nothing(void **state)
{
	static const char line[] = "{\"value\":\"00112233445566778899aabbccddeeff\" oops}";
	char *answer = answer_to(line, strlen(line));
	(void)state;
	assert_null(strstr(answer, "0011"));
	assert_null(strstr(answer, "oops"));
	free(answer);
}

static void nesting_is_bounded(void **state)
{
	static const char head[] =
		"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":1,\"params\":{\"a\":";
	char line[256], expected[256];
	(void)state;
	// Two levels of objects and 30 of arrays are 32.
	snprintf(line, sizeof(line), "%s%.*s%.*s}}", head, 30, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
		30, "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
	snprintf(expected, sizeof(expected),
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":%.*s%.*s}}", 30,
		"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 30, "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
	check_answer(line, expected);
	snprintf(line, sizeof(line), "%s%.*s%.*s}}", head, 31, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
		31, "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
	check_error(line, strlen(line), RPC_PARSE_ERROR, NULL, "null");
	// Brackets within strings do not nest.
	check_answer("{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":1,\"params\":"
		     "{\"a\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":"
		"{\"a\":\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}}");
}

static void batches_are_answered_in_order(void **state)
{
	(void)state;
	n_calls = 0;
	check_answer("[{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"params\":{\"n\":1},\"id\":\"1\"},"
		     "{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"params\":{\"n\":2}},"
		     "{\"foo\":\"boo\"},"
		     "{\"jsonrpc\":\"2.0\",\"method\":\"fail_with_result\",\"id\":\"9\"},7]",
		"[{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":{\"n\":1}},"
		"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":\"is not "
		"\\\"2.0\\\"; accepted: \\\"2.0\\\"\",\"data\":{\"path\":\"jsonrpc\"}}},"
		"{\"jsonrpc\":\"2.0\",\"id\":\"9\",\"error\":{\"code\":3,\"message\":\"full\"}},"
		"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":\"the "
		"request is "
		"not an object; accepted: an object, or an array of objects\"}}]");
	assert_int_equal(n_calls, 2);
	check_answer("[{\"jsonrpc\":\"2.0\",\"method\":\"echo\"},{\"jsonrpc\":\"2.0\",\"method\":"
		     "\"x\"}]",
		NULL);
	assert_int_equal(n_calls, 3);
	// A batch does not nest.
	check_answer("[[]]",
		"[{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":\"the "
		"request is not an object; accepted: an object, or an array of objects\"}}]");
}

static void batches_are_bounded(void **state)
{
	const size_t n = 40000;
	char *line = malloc(2 * n + 1);
	(void)state;
	for (size_t i = 0; i < n; i++)
		memcpy(line + 2 * i, i == 0 ? "[1" : ",1", 2);
	line[2 * n] = ']';
	check_error(line, 2 * n + 1, RPC_INVALID_REQUEST, NULL, "null");
	free(line);
}

static size_t n_allocations_left;

static void *allocate_some(size_t size)
{
	if (n_allocations_left == 0)
		return NULL;
	n_allocations_left--;
	return malloc(size);
}

// Wherever memory ends, a request that wants an answer gets one, which is JSON.
static void every_failing_allocation_is_survived(void **state)
{
	static const char line[] =
		"[{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"params\":{\"a\":[1,2.5]},"
		"\"id\":1},{\"jsonrpc\":\"2.0\",\"method\":\"refuse\",\"id\":2}]";
	json_malloc_t old_malloc;
	json_free_t old_free;
	bool whole = false;
	(void)state;
	json_get_alloc_funcs(&old_malloc, &old_free);
	for (size_t n = 0; n < 1000 && !whole; n++) {
		json_set_alloc_funcs(allocate_some, free);
		n_allocations_left = n;
		char *answer = answer_to(line, strlen(line));
		whole = n_allocations_left > 0;
		json_set_alloc_funcs(old_malloc, old_free);
		assert_non_null(answer);
		json_t *json = json_loads(answer, 0, NULL);
		assert_non_null(json);
		assert_true(!whole || json_array_size(json) == 2);
		json_decref(json);
		free(answer);
	}
	assert_true(whole);
}

static struct rpc_work *work_on(const char *line)
{
	struct rpc_work *work = rpc_work_open(&rpc, line, strlen(line));
	assert_non_null(work);
	return work;
}

static void check_close(struct rpc_work *work, const char *expected)
{
	size_t len;
	char *answer = rpc_work_close(work, &len);
	assert_int_equal(len, strlen(expected));
	assert_memory_equal(answer, expected, len);
	secmem_free(answer);
}

// --- long lines

static uint32_t random_below(uint32_t n)
{
	static uint64_t seed = 1;
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(seed >> 33) % n;
}

struct long_text {
	char *octets;
	size_t len, size;
};

static void text_put(struct long_text *text, const char *octets)
{
	static const char *const spaces[] = {"", "", "", " ", "\n\t"};
	size_t len = strlen(octets);
	if (text->len + len + 8 > text->size)
		return;
	memcpy(text->octets + text->len, octets, len);
	text->len += len;
	const char *space = spaces[random_below(5)];
	memcpy(text->octets + text->len, space, strlen(space));
	text->len += strlen(space);
}

// Containers of all sizes in each other, with strings that look like structure.
static void value_put(struct long_text *text, unsigned depth)
{
	static const char *const scalars[] = {"1", "-2.5e3", "true", "null", "\"a\"",
		"\"],}{[:\\\"\"", "\"\\\\\"", "\"\xc3\xa9\\u00e9\"", "{}", "[]"};
	uint32_t kind = depth > 5 ? 0 : random_below(depth == 0 ? 2 : 4);
	if (kind > 1 || depth > 5) {
		if (random_below(200) > 0) {
			text_put(text, scalars[random_below(10)]);
			return;
		}
		char string[40000];
		memset(string, 'x', sizeof(string));
		string[0] = string[sizeof(string) - 2] = '"';
		string[sizeof(string) - 1] = '\0';
		text_put(text, string);
		return;
	}
	uint32_t n = random_below(depth == 0 ? 40 : random_below(30) == 0 ? 3000 : 6);
	text_put(text, kind == 0 ? "[" : "{");
	for (uint32_t i = 0; i < n && text->len < text->size / 2; i++) {
		char name[24];
		snprintf(name, sizeof(name), "%s\"k%u\\\"\"", i > 0 ? "," : "", i);
		if (kind == 1) {
			text_put(text, name);
			text_put(text, ":");
		} else if (i > 0) {
			text_put(text, ",");
		}
		value_put(text, depth + 1);
	}
	text_put(text, kind == 0 ? "]" : "}");
}

// What an octet more, less or another one makes of it.
static void text_spoil(struct long_text *text)
{
	static const char octets[] = "[]{},:\" 1x";
	if (text->len == 0)
		return;
	size_t at = random_below((uint32_t)text->len);
	switch (random_below(4)) {
	case 0:
		text->octets[at] = octets[random_below(sizeof(octets))];
		break;
	case 1:
		memmove(text->octets + at, text->octets + at + 1, --text->len - at);
		break;
	case 2:
		memmove(text->octets + at + 1, text->octets + at, text->len++ - at);
		break;
	default:
		text->len = at;
	}
}

// In pieces a line is what it is at once, or is refused as it is at once.
static bool parses_alike(const struct long_text *text)
{
	struct rpc_error error = {0}, piecewise_error = {0};
	json_t *at_once = rpc_line_parse(text->octets, text->len, &error);
	struct rpc_parse *parse = rpc_parse_open(text->octets, text->len);
	assert_non_null(parse);
	while (!rpc_parse_step(parse, &piecewise_error))
		;
	json_t *piecewise = rpc_parse_close(parse);
	assert_int_equal(error.code, piecewise_error.code);
	bool good = error.code == RPC_OK;
	if (good)
		assert_true(json_equal(at_once, piecewise));
	json_decref(at_once);
	json_decref(piecewise);
	return good;
}

static void long_lines_are_parsed_in_pieces(void **state)
{
	(void)state;
	static char octets[1 << 20];
	unsigned n_good = 0, n_bad = 0, n_long = 0;
	for (unsigned i = 0; i < 80; i++) {
		struct long_text text = {.octets = octets, .size = sizeof(octets) / 2};
		value_put(&text, 0);
		n_long += text.len > 4 * (size_t)RPC_PIECE;
		n_good += parses_alike(&text);
		text_spoil(&text);
		n_bad += !parses_alike(&text);
	}
	assert_true(n_good > 60);
	assert_true(n_bad > 20);
	assert_true(n_long > 10);
}

// Containers and what stands between their elements, around the place where a piece ends: so much space is at @.
static void pieces_end_anywhere(void **state)
{
	(void)state;
	static const char *const texts[] = {"[@]", "[@,]", "[,@]", "[@1]", "[1@]", "[1,@]",
		"[1@,2]", "[1,@2", "{@}", "{\"a\":1@}", "{\"a\":1,@}", "{\"a\"@:1}", "{\"a\":@1}",
		"{\"a\":@}", "{\"a\":1,@\"a\":2}", "{\"a\":[@],\"a\":[@]}", "{\"a\":[1@}",
		"[[1@],[2@]]", "[[1@]@", "[{\"a\":[@]}]x", " @[1]@ ", "@", "\"@\"", "[\"@\"]",
		"{\"@\":1}", "[\"@", "{\"@", "[1@}", "{1@:2}"};
	static char octets[1 << 17], space[RPC_PIECE + 64];
	memset(space, ' ', sizeof(space));
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		for (size_t n = RPC_PIECE - 24; n < RPC_PIECE + 24; n++) {
			struct long_text text = {.octets = octets, .size = sizeof(octets)};
			for (const char *c = texts[i]; *c; c++) {
				bool here = *c == '@';
				memcpy(octets + text.len, here ? space : c, here ? n : 1);
				text.len += here ? n : 1;
			}
			parses_alike(&text);
		}
}

// Each step takes a piece, and no request is lost by it.
static void a_long_line_takes_steps(void **state)
{
	(void)state;
	static char line[1 << 20];
	size_t len = (size_t)sprintf(line, "[");
	unsigned n = 0, n_steps = 0;
	for (; n < 5000; n++)
		len += (size_t)sprintf(line + len,
			"%s{\"jsonrpc\":\"2.0\",\"id\":%u,\"method\":\"echo\",\"params\":{}}",
			n > 0 ? "," : "", n);
	line[len++] = ']';
	const size_t line_len = len;
	struct rpc_work *work = rpc_work_open(&rpc, line, line_len);
	while (!rpc_work_step(work, 0))
		n_steps++;
	char *answer = rpc_work_close(work, &len);
	json_t *json = json_loadb(answer, len, 0, NULL);
	assert_int_equal(json_array_size(json), n);
	assert_true(n_steps > n + line_len / RPC_PIECE / 2);
	json_decref(json);
	secmem_free(answer);
	// nor does any run of one that is left in the middle
	work = rpc_work_open(&rpc, line, line_len);
	assert_false(rpc_work_step(work, 0));
	assert_true(rpc_work_leave(work)); // what was read of it is freed in steps
	n_calls = 0;
	while (!rpc_work_step(work, 0))
		assert_int_equal(n_calls, 0);
	secmem_free(rpc_work_close(work, &len));
}

static void methods_run_in_parts(void **state)
{
	struct rpc_work *work = work_on("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"count\","
					"\"params\":{\"n\":3}}");
	(void)state;
	n_calls = 0;
	reports[0] = '\0';
	// One element at least, however short the time.
	assert_false(rpc_work_step(work, 0));
	assert_int_equal(n_calls, 1);
	assert_false(rpc_work_step(work, 0));
	assert_int_equal(n_calls, 2);
	assert_string_equal(reports, "");
	assert_true(rpc_work_step(work, 0));
	assert_string_equal(reports, "count 0, ");
	check_close(work, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":3}");
	check_answer("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"count\",\"params\":{\"n\":500}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":500}");
}

// The request that has begun is not left half done; the rest of the batch is left.
static void closing_ends_the_request(void **state)
{
	struct rpc_work *work = work_on(
		"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"count\",\"params\":{\"n\":1}},"
		"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"count\",\"params\":{\"n\":5}},"
		"{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"count\",\"params\":{\"n\":7}}]");
	(void)state;
	n_calls = 0;
	assert_false(rpc_work_step(work, 0));
	assert_false(rpc_work_step(work, 0));
	assert_int_equal(n_calls, 2);
	check_close(work, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1},"
			  "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":5}]");
	assert_int_equal(n_calls, 6);
}

static void lists_are_said(void **state)
{
	struct rpc_work *work = work_on(
		"[{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"say\",\"params\":{\"n\":3}},"
		"{\"jsonrpc\":\"2.0\",\"method\":\"say\",\"params\":{\"n\":2}},"
		"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"say\"}]");
	(void)state;
	while (!rpc_work_step(work, 0))
		;
	check_close(work, "[{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{\"said\":[0,1,2]}},"
			  "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"said\":[]}}]");
	check_answer("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"say\",\"params\":{\"n\":1}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"said\":[0]}}");
}

static void lists_are_said_behind_other_members(void **state)
{
	struct rpc_work *work = work_on(
		"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"say\",\"params\":{\"n\":2,"
		"\"members\":{\"a\":1,\"b\":[]}}},"
		"{\"jsonrpc\":\"2.0\",\"method\":\"say\",\"params\":{\"n\":2,\"members\":{}}},"
		"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"say\",\"params\":{\"members\":"
		"{\"a\":{}}}}]");
	(void)state;
	while (!rpc_work_step(work, 0))
		;
	check_close(work, "[{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"a\":1,\"b\":[],\"said\":[0,"
			  "1]}},{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"a\":{},\"said\":[]}}]");
}

// Beyond the bound nothing runs, and each request is told so.
static void answers_of_a_batch_are_bounded(void **state)
{
	enum { REQUESTS = 70, RUN = RPC_ANSWERS_MAX / (1024 * 1024) };
	static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"long\"},";
	static char line[REQUESTS * sizeof(request)];
	json_t *answers;
	char *answer;

	(void)state;
	strcpy(line, "[");
	for (int i = 0; i < REQUESTS; i++)
		strcat(line, request);
	line[strlen(line) - 1] = ']';
	n_calls = 0;
	answer = answer_to(line, strlen(line));
	answers = json_loads(answer, 0, NULL);
	assert_int_equal(n_calls, RUN);
	assert_int_equal(json_array_size(answers), REQUESTS);
	for (size_t i = 0; i < REQUESTS; i++) {
		json_t *error = json_object_get(json_array_get(answers, i), "error");
		json_t *code = json_object_get(error, "code");
		assert_int_equal(json_integer_value(code), i < RUN ? RPC_OK : RPC_LIMIT);
	}
	json_decref(answers);
	free(answer);
}

static void note_wake(void *arg)
{
	*(bool *)arg = true;
}

// A step ends where a request waits, the next one asks it again, and whoever closes has it wait itself.
static void requests_wait(void **state)
{
	static const char line[] = "[{\"jsonrpc\":\"2.0\",\"method\":\"wait\",\"id\":1},"
				   "{\"jsonrpc\":\"2.0\",\"method\":\"wait\",\"id\":2}]";
	size_t len;
	(void)state;
	struct rpc_work *work = rpc_work_open(&rpc, line, sizeof(line) - 1);
	rpc_work_on_wake(work, note_wake, &woken);
	n_calls = 0;
	assert_false(rpc_work_step(work, UINT64_MAX - 1));
	assert_true(rpc_work_sleeps(work));
	assert_int_equal(n_calls, 1);
	rpc_work_wake(work);
	assert_true(woken);
	done = true;
	assert_true(rpc_work_step(work, UINT64_MAX - 1));
	assert_false(rpc_work_sleeps(work));
	assert_int_equal(n_calls, 3);
	secmem_free(rpc_work_close(work, &len));
	done = false;
	work = rpc_work_open(&rpc, line, sizeof(line) - 1);
	assert_false(rpc_work_step(work, 0));
	secmem_free(rpc_work_close(work, &len)); // the first is finished, the second never begins
	assert_int_equal(n_calls, 5);
}

static void every_request_is_reported_once(void **state)
{
	static const struct {
		const char *line, *reports;
	} cases[] = {
		{"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":1}", "echo 0, "},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}", "echo 0, "},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"refuse\",\"id\":1}", "refuse 1, "},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"fail_silently\",\"id\":1}",
			"fail_silently -32603, "},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":1,\"params\":[]}",
			"echo -32602, "},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"none\",\"id\":1}", "- -32601, "},
		{"{\"method\":\"echo\"}", "- -32600, "},
		{"no JSON", "- -32700, "},
		{"[]", "- -32600, "},
		{"[1,{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}]", "- -32600, echo 0, "},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		reports[0] = '\0';
		free(answer_to(cases[i].line, strlen(cases[i].line)));
		assert_string_equal(reports, cases[i].reports);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_answered),
		cmocka_unit_test(errors_of_methods_are_answered),
		cmocka_unit_test(cut_messages_stay_utf8),
		cmocka_unit_test(notifications_run_unanswered),
		cmocka_unit_test(wrong_requests_are_refused),
		cmocka_unit_test(wrong_json_is_a_parse_error),
		cmocka_unit_test(parse_errors_quote_nothing),
		cmocka_unit_test(nesting_is_bounded),
		cmocka_unit_test(batches_are_answered_in_order),
		cmocka_unit_test(batches_are_bounded),
		cmocka_unit_test(long_lines_are_parsed_in_pieces),
		cmocka_unit_test(pieces_end_anywhere),
		cmocka_unit_test(a_long_line_takes_steps),
		cmocka_unit_test(methods_run_in_parts),
		cmocka_unit_test(closing_ends_the_request),
		cmocka_unit_test(lists_are_said),
		cmocka_unit_test(lists_are_said_behind_other_members),
		cmocka_unit_test(answers_of_a_batch_are_bounded),
		cmocka_unit_test(requests_wait),
		cmocka_unit_test(every_request_is_reported_once),
		cmocka_unit_test(every_failing_allocation_is_survived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
