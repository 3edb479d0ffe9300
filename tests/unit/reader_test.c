// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/reader.h"

static const char *const colours[] = {"red", "green", "blue", NULL};

// What the reads of one object gave; starts with values that no test has.
struct leg {
	const char *id;
	bool receive;
	uint64_t dscp;
	unsigned colour;
	const char *remote;
	const json_t *to;
	uint64_t inner;
	bool closed;
	struct rpc_error error;
};

// Reads text as the API's objects are read: all members, then one check.
static struct leg leg_read(json_t *json)
{
	struct leg leg = {
		.id = "-", .receive = true, .dscp = 46, .colour = 9, .remote = "-", .inner = 5};
	struct reader r, child;
	reader_open(&r, json, "params.session.legs[0]", &leg.error);
	reader_string(&r, "id", READER_REQUIRED, &leg.id);
	reader_string(&r, "remote", READER_OPTIONAL, &leg.remote);
	reader_bool(&r, "receive", &leg.receive);
	reader_uint(&r, "dscp", 0, 63, &leg.dscp);
	reader_choice(&r, "colour", READER_OPTIONAL, colours, &leg.colour);
	reader_array(&r, "to", READER_OPTIONAL, &leg.to);
	if (reader_object(&r, "protection", READER_OPTIONAL, &child)) {
		reader_uint(&child, "inner", 1, UINT32_MAX, &leg.inner);
		reader_close(&child);
	}
	reader_skip(&r, "shown");
	leg.closed = reader_close(&r);
	return leg;
}

static void good_members_are_taken(void **state)
{
	json_t *json = json_loads("{\"id\":\"a\",\"remote\":\"r\",\"receive\":false,\"dscp\":63,"
				  "\"colour\":\"blue\",\"to\":[1],\"shown\":{},\"protection\":{"
				  "\"inner\":4294967295}}",
		0, NULL);
	struct leg leg = leg_read(json);
	(void)state;
	assert_true(leg.closed);
	assert_int_equal(leg.error.code, RPC_OK);
	assert_string_equal(leg.id, "a");
	assert_string_equal(leg.remote, "r");
	assert_false(leg.receive);
	assert_int_equal(leg.dscp, 63);
	assert_int_equal(leg.colour, 2);
	assert_int_equal(json_array_size(leg.to), 1);
	assert_int_equal(leg.inner, UINT32_MAX);
	json_decref(json);
}

static void absent_and_null_members_keep_defaults(void **state)
{
	static const char *const texts[] = {
		"{\"id\":\"a\"}",
		"{\"id\":\"a\",\"remote\":null,\"receive\":null,\"dscp\":null,\"colour\":null,"
		"\"to\":null,\"protection\":null}",
	};
	(void)state;
	for (size_t i = 0; i < 2; i++) {
		json_t *json = json_loads(texts[i], 0, NULL);
		struct leg leg = leg_read(json);
		assert_true(leg.closed);
		assert_string_equal(leg.remote, "-");
		assert_true(leg.receive);
		assert_int_equal(leg.dscp, 46);
		assert_int_equal(leg.colour, 9);
		assert_null(leg.to);
		assert_int_equal(leg.inner, 5);
		json_decref(json);
	}
}

#define MEMBERS "accepted: id, remote, receive, dscp, colour, to, protection"

static void mistakes_name_the_member(void **state)
{
	static const struct {
		const char *text, *path, *message;
	} cases[] = {
		{"[]", "", "is an array; accepted: an object"},
		{"{}", ".id", "is missing; accepted: a string"},
		{"{\"id\":null}", ".id", "is null; accepted: a string"},
		{"{\"id\":7}", ".id", "is an integer; accepted: a string"},
		{"{\"id\":\"a\",\"remote\":{}}", ".remote", "is an object; accepted: a string"},
		{"{\"id\":\"a\",\"receive\":0}", ".receive",
			"is an integer; accepted: true or false"},
		{"{\"id\":\"a\",\"dscp\":64}", ".dscp", "is 64; accepted: an integer from 0 to 63"},
		{"{\"id\":\"a\",\"dscp\":-1}", ".dscp", "is -1; accepted: an integer from 0 to 63"},
		{"{\"id\":\"a\",\"dscp\":1.0}", ".dscp",
			"is a number with a fraction or exponent; accepted: an integer from 0 to "
			"63"},
		{"{\"id\":\"a\",\"dscp\":\"1\"}", ".dscp",
			"is a string; accepted: an integer from 0 to 63"},
		{"{\"id\":\"a\",\"colour\":\"Red\"}", ".colour",
			"is no known name; accepted: red, green, blue"},
		{"{\"id\":\"a\",\"colour\":true}", ".colour",
			"is a boolean; accepted: red, green, blue"},
		{"{\"id\":\"a\",\"to\":{}}", ".to", "is an object; accepted: an array"},
		{"{\"id\":\"a\",\"protection\":\"plain\"}", ".protection",
			"is a string; accepted: an object"},
		{"{\"id\":\"a\",\"protection\":{\"inner\":0}}", ".protection.inner",
			"is 0; accepted: an integer from 1 to 4294967295"},
		{"{\"id\":\"a\",\"protection\":{\"x\":0}}", ".protection.x",
			"is not a member of this object; accepted: inner"},
		{"{\"x\":1,\"id\":\"a\"}", ".x", "is not a member of this object; " MEMBERS},
		{"{\"id\":\"a\",\"dscp\":1,\"y\":null}", ".y",
			"is not a member of this object; " MEMBERS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *json = json_loads(cases[i].text, 0, NULL);
		struct leg leg = leg_read(json);
		char path[128];
		snprintf(path, sizeof(path), "params.session.legs[0]%s", cases[i].path);
		assert_false(leg.closed);
		assert_int_equal(leg.error.code, RPC_INVALID_PARAMS);
		assert_string_equal(leg.error.path, path);
		assert_string_equal(leg.error.message, cases[i].message);
		json_decref(json);
	}
}

static void nothing_is_read_after_an_error(void **state)
{
	json_t *json = json_loads("{\"id\":1,\"remote\":\"r\",\"receive\":false,\"dscp\":3,"
				  "\"colour\":\"red\",\"to\":[],\"protection\":{\"inner\":7}}",
		0, NULL);
	struct leg leg = leg_read(json);
	(void)state;
	assert_string_equal(leg.error.path, "params.session.legs[0].id");
	assert_string_equal(leg.id, "-");
	assert_string_equal(leg.remote, "-");
	assert_true(leg.receive);
	assert_int_equal(leg.dscp, 46);
	assert_int_equal(leg.colour, 9);
	assert_null(leg.to);
	assert_int_equal(leg.inner, 5);
	json_decref(json);
}

// A range up to the top of uint64_t does not let negative numbers wrap into it.
static void negative_numbers_are_out_of_every_range(void **state)
{
	json_t *json = json_pack("{s:i}", "n", -1);
	struct rpc_error error = {0};
	struct reader r;
	uint64_t n = 7;
	(void)state;
	reader_open(&r, json, "params", &error);
	assert_false(reader_uint(&r, "n", 0, UINT64_MAX, &n));
	assert_int_equal(n, 7);
	assert_false(reader_close(&r));
	json_decref(json);
}

static void a_missing_object_is_refused(void **state)
{
	struct rpc_error error = {0};
	struct reader r;
	(void)state;
	reader_open(&r, NULL, "params.session", &error);
	assert_false(reader_close(&r));
	assert_string_equal(error.path, "params.session");
	assert_string_equal(error.message, "is missing; accepted: an object");
}

static void objects_have_at_most_64_members(void **state)
{
	json_t *json = json_object();
	(void)state;
	for (int n = 0; n <= 64; n++) {
		struct rpc_error error = {0};
		struct reader r;
		reader_open(&r, json, "params", &error);
		char name[8];
		for (int i = 0; i < n; i++) {
			uint64_t value = 1000;
			snprintf(name, sizeof(name), "m%d", i);
			assert_true(reader_uint(&r, name, 0, 64, &value));
			assert_int_equal(value, i);
		}
		assert_true(reader_close(&r));
		snprintf(name, sizeof(name), "m%d", n);
		json_object_set_new(json, name, json_integer(n));
	}
	struct rpc_error error = {0};
	struct reader r;
	reader_open(&r, json, "params", &error);
	assert_false(reader_close(&r));
	assert_string_equal(error.message, "has 65 members; accepted: at most 64");
	json_decref(json);
}

static void paths_are_built_and_cut(void **state)
{
	struct rpc_error error = {0};
	json_t *json = json_object();
	struct reader r;
	char path[128], name[200];
	(void)state;
	reader_open(&r, json, "params.session", &error);
	reader_element_path(&r, "legs", 12, path);
	assert_string_equal(path, "params.session.legs[12]");
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	reader_element_path(&r, name, 12, path);
	assert_int_equal(strlen(path), 127);
	assert_string_equal(path + 124, "...");
	reader_fail(&r, RPC_CONFLICT, name, "is in use");
	assert_int_equal(error.code, RPC_CONFLICT);
	assert_string_equal(error.path, path);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_members_are_taken),
		cmocka_unit_test(absent_and_null_members_keep_defaults),
		cmocka_unit_test(mistakes_name_the_member),
		cmocka_unit_test(nothing_is_read_after_an_error),
		cmocka_unit_test(negative_numbers_are_out_of_every_range),
		cmocka_unit_test(a_missing_object_is_refused),
		cmocka_unit_test(objects_have_at_most_64_members),
		cmocka_unit_test(paths_are_built_and_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
