// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/reader.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
	READER_MEMBERS_MAX = 64, // bits of reader.taken; no object of the API has half as many
	READER_PATH_SIZE = sizeof(((struct reader *)0)->path),
	READER_NAMES_SIZE = 192, // octets of all names of an object, or of a choice
};

// What a value is, in words of the messages. Values themselves are never shown: a string can be a
// key.
static const char *kind_of(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a number with a fraction or exponent";
	case JSON_TRUE:
	case JSON_FALSE:
		return "a boolean";
	case JSON_NULL:
		return "null";
	}
	return "unknown";
}

// Ends a path that snprintf() had to cut (its result is len) with an ellipsis, to mark it as cut.
static void path_mark_cut(char path[READER_PATH_SIZE], int len)
{
	if (len >= READER_PATH_SIZE)
		strcpy(path + READER_PATH_SIZE - sizeof("..."), "...");
}

static void member_path(const struct reader *r, const char *name, char path[READER_PATH_SIZE])
{
	path_mark_cut(path, snprintf(path, READER_PATH_SIZE, "%s.%s", r->path, name));
}

void reader_open(struct reader *r, const json_t *value, const char *path, struct rpc_error *error)
{
	memset(r, 0, sizeof(*r));
	r->object = value;
	r->error = error;
	snprintf(r->path, sizeof(r->path), "%s", path);
	if (!json_is_object(value)) {
		rpc_fail(error, RPC_INVALID_PARAMS, path, "is %s; accepted: an object",
			value ? kind_of(value) : "missing");
	} else if (json_object_size(value) > READER_MEMBERS_MAX) {
		rpc_fail(error, RPC_INVALID_PARAMS, path, "has %zu members; accepted: at most %d",
			json_object_size(value), READER_MEMBERS_MAX);
	}
}

void reader_fail(struct reader *r, enum rpc_code code, const char *name, const char *format, ...)
{
	char path[READER_PATH_SIZE];
	member_path(r, name, path);
	char message[sizeof(r->error->message)];
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	rpc_fail(r->error, code, path, "%s", message);
}

void reader_element_path(const struct reader *r, const char *name, size_t index, char path[128])
{
	path_mark_cut(path, snprintf(path, READER_PATH_SIZE, "%s.%s[%zu]", r->path, name, index));
}

// Marks the member as read and returns its value, or NULL if it is absent. Objects keep the order in
// which their members came, so a position names a member.
static const json_t *member_take(struct reader *r, const char *name)
{
	json_t *object = (json_t *)r->object; // jansson iterates over non-const objects only
	unsigned position = 0;
	for (void *it = json_object_iter(object); it;
		it = json_object_iter_next(object, it), position++) {
		if (strcmp(json_object_iter_key(it), name) != 0)
			continue;
		r->taken |= UINT64_C(1) << position;
		return json_object_iter_value(it);
	}
	return NULL;
}

// NULL if the member is absent or an error is set.
static const json_t *reader_find(struct reader *r, const char *name, enum reader_need need)
{
	if (r->error->code != RPC_OK)
		return NULL;
	if (r->n_asked < READER_NAMES_MAX)
		r->asked[r->n_asked++] = name;
	const json_t *value = member_take(r, name);
	return need == READER_OPTIONAL && json_is_null(value) ? NULL : value;
}

void reader_skip(struct reader *r, const char *name)
{
	if (r->error->code == RPC_OK)
		member_take(r, name);
}

static void reader_miss(struct reader *r, const char *name, const char *accepted)
{
	reader_fail(r, RPC_INVALID_PARAMS, name, "is missing; accepted: %s", accepted);
}

// Takes a member that must be of a type; accepted names the type in the error message.
static const json_t *reader_take_type(struct reader *r, const char *name, enum reader_need need,
	json_type type, const char *accepted)
{
	const json_t *value = reader_find(r, name, need);
	if (!value && need == READER_REQUIRED)
		reader_miss(r, name, accepted);
	if (value && json_typeof(value) != type) {
		reader_fail(r, RPC_INVALID_PARAMS, name, "is %s; accepted: %s", kind_of(value),
			accepted);
		return NULL;
	}
	return value;
}

bool reader_string(struct reader *r, const char *name, enum reader_need need, const char **out)
{
	const json_t *value = reader_take_type(r, name, need, JSON_STRING, "a string");
	if (!value)
		return false;
	*out = json_string_value(value);
	return true;
}

bool reader_bool(struct reader *r, const char *name, bool *out)
{
	static const char accepted[] = "true or false";
	const json_t *value = reader_find(r, name, READER_OPTIONAL);
	if (!value)
		return false;
	if (!json_is_boolean(value)) {
		reader_fail(r, RPC_INVALID_PARAMS, name, "is %s; accepted: %s", kind_of(value),
			accepted);
		return false;
	}
	*out = json_is_true(value);
	return true;
}

bool reader_uint(struct reader *r, const char *name, uint64_t min, uint64_t max, uint64_t *out)
{
	const json_t *value = reader_find(r, name, READER_OPTIONAL);
	if (!value)
		return false;
	if (!json_is_integer(value)) {
		reader_fail(r, RPC_INVALID_PARAMS, name,
			"is %s; accepted: an integer from %" PRIu64 " to %" PRIu64, kind_of(value),
			min, max);
		return false;
	}
	json_int_t number = json_integer_value(value);
	if (number < 0 || (uint64_t)number < min || (uint64_t)number > max) {
		reader_fail(r, RPC_INVALID_PARAMS, name,
			"is %" JSON_INTEGER_FORMAT "; accepted: an integer from %" PRIu64
			" to %" PRIu64,
			number, min, max);
		return false;
	}
	*out = (uint64_t)number;
	return true;
}

// n names as "a, b, c".
static void names_join(const char *const *names, unsigned n, char *out, size_t size)
{
	size_t len = 0;
	out[0] = '\0';
	for (unsigned i = 0; i < n && len < size; i++)
		len += (size_t)snprintf(out + len, size - len, "%s%s", i > 0 ? ", " : "", names[i]);
}

bool reader_choice(struct reader *r, const char *name, enum reader_need need,
	const char *const *names, unsigned *out)
{
	const json_t *value = reader_find(r, name, need);
	unsigned n = 0;
	if (!value && need == READER_OPTIONAL)
		return false;
	for (; names[n]; n++) {
		if (json_is_string(value) && strcmp(names[n], json_string_value(value)) == 0) {
			*out = n;
			return true;
		}
	}
	char accepted[READER_NAMES_SIZE];
	names_join(names, n, accepted, sizeof(accepted));
	if (!value) {
		reader_miss(r, name, accepted);
		return false;
	}
	reader_fail(r, RPC_INVALID_PARAMS, name, "is %s; accepted: %s",
		json_is_string(value) ? "no known name" : kind_of(value), accepted);
	return false;
}

bool reader_object(struct reader *r, const char *name, enum reader_need need, struct reader *child)
{
	const json_t *value = reader_take_type(r, name, need, JSON_OBJECT, "an object");
	if (!value)
		return false;
	char path[READER_PATH_SIZE];
	member_path(r, name, path);
	reader_open(child, value, path, r->error);
	return r->error->code == RPC_OK;
}

bool reader_array(struct reader *r, const char *name, enum reader_need need, const json_t **out)
{
	const json_t *value = reader_take_type(r, name, need, JSON_ARRAY, "an array");
	if (!value)
		return false;
	*out = value;
	return true;
}

// Refuses an unknown member. Names that were read twice are listed once.
static void reader_refuse(struct reader *r, const char *name)
{
	const char *names[READER_NAMES_MAX] = {NULL};
	unsigned n = 0;
	for (unsigned i = 0; i < r->n_asked; i++) {
		unsigned k = 0;
		while (k < n && strcmp(names[k], r->asked[i]) != 0)
			k++;
		if (k == n)
			names[n++] = r->asked[i];
	}
	char accepted[READER_NAMES_SIZE];
	names_join(names, n, accepted, sizeof(accepted));
	reader_fail(r, RPC_INVALID_PARAMS, name, "is not a member of this object; accepted: %s",
		n > 0 ? accepted : "none");
}

bool reader_close(struct reader *r)
{
	json_t *object = (json_t *)r->object;
	unsigned position = 0;
	if (r->error->code != RPC_OK)
		return false;
	for (void *it = json_object_iter(object); it;
		it = json_object_iter_next(object, it), position++) {
		if (r->taken & UINT64_C(1) << position)
			continue;
		reader_refuse(r, json_object_iter_key(it));
		return false;
	}
	return true;
}
