// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "tests/fuzz/schema.h"

#include <stdlib.h>
#include <string.h>

enum {
	DEPTH_MAX = 12,
	ITEMS_FEW = 4,    // of an array, at most
	NEARLY = 250,     // a choice from there on: what is made is no more what the schema says
	TEXT_LONG = 1001, // octets, more than any name has
};

uint8_t choice(struct choices *choices)
{
	if (choices->len == 0)
		return 0;
	choices->len--;
	return *choices->octets++;
}

// --- names, which are few

static const char *const key_ids[] = {"0a000001", "1a000001", "0a000002", "2a000001", "1A000002",
	"3a000001", "4a000001", "5a000001", "6a000001", NULL};
static const char *const uris[] = {
	"sip:alice@example.org", "sip:bob@example.org", "sip:group@example.org", "sip:k@x", NULL};
static const char *const ids[] = {"a", "b", "c", "d", "e", NULL};
static const char *const domains[] = {"home", "away", NULL};
static const char *const ports[] = {"ran", "ran", "ran", "core", NULL};
static const char *const locals[] = {"10.0.0.1:5000", "10.0.0.1:5002", "10.0.0.1:5004",
	"10.0.0.1:5006", "10.0.0.1:5001", "10.0.0.2:5000", "[2001:db8::1]:5000", NULL};
static const char *const remotes[] = {"10.0.0.9:6000", "10.0.0.9:6002", "10.0.0.8:6000",
	"10.0.0.8:6004", "224.1.1.1:6000", "[2001:db8::9]:6000", "0.0.0.0:1", NULL};
static const char *const hosts[] = {"10.0.0.1", "10.0.0.7", "[2001:db8::1]", NULL};
static const char *const values[] = {"000102030405060708090a0b0c0d0e0f",
	"101112131415161718191a1b1c1d1e1f",
	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	"f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff", NULL};
static const char *const base64s[] = {"", "AAAA", "BRoBAAAAAAAAAA==", "/////w==", NULL};
static const char *const texts[] = {"a", "b", "c", "d", "", "sip:alice@example.org",
	"\xc3\xa4\xf0\x9f\x93\xbb", "dp-aes-256-gcm", NULL};

// Of one of the $defs, a pattern, or a member.
static const struct {
	const char *of;
	const char *const *few;
} names[] = {
	{"keyId", key_ids},
	{"uri", uris},
	{"mikeyUri", uris},
	{"domain", domains},
	{"id", ids},
	{"portName", ports},
	{"hostAddress", hosts},
	{"local", locals},
	{"address", remotes},
	{"mcdataPayload", base64s},
	{"^([0-9A-Fa-f]{32}|[0-9A-Fa-f]{64})$", values},
	{"^([0-9A-Fa-f]{2}){16,64}$", values},
	{"^[0-9A-Fa-f]{8}$", key_ids},
};

static const char *const *names_of(const char *of)
{
	for (size_t i = 0; of && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i].of, of) == 0)
			return names[i].few;
	return NULL;
}

static json_t *name_pick(const char *const *few, struct choices *choices)
{
	size_t n = 0;
	while (few[n])
		n++;
	return json_string(few[choice(choices) % n]);
}

// So many hexadecimal digits, as a pattern asks for them: no point of a curve.
static json_t *digits_make(const char *pattern)
{
	char digits[1024];
	const char *n_digits = pattern ? strchr(pattern, '{') : NULL;
	size_t n = n_digits ? (size_t)atoi(n_digits + 1) : 0;
	if (n == 0 || n >= sizeof(digits))
		return NULL;
	memset(digits, '4', n);
	digits[0] = '0';
	return json_stringn(digits, n);
}

// --- what is not as the schema says

static json_t *wrong_make(struct choices *choices)
{
	char text[TEXT_LONG];
	switch (choice(choices) % 12) {
	case 0:
		return json_null();
	case 1:
		return json_integer(-1);
	case 2:
		return json_real(1.5);
	case 3:
		return json_integer(INT64_MAX);
	case 4:
		return json_true();
	case 5:
		return json_string("");
	case 6:
		return json_string("?");
	case 7:
		return json_array();
	case 8:
		return json_pack("[i]", 7);
	case 9:
		return json_object();
	case 10:
		return json_pack("{s:s}", "colour", "red");
	default:
		memset(text, 'x', sizeof(text));
		return json_stringn(text, sizeof(text));
	}
}

// --- what is

static json_t *make(const json_t *schema, const char *of, unsigned depth, struct choices *choices);

static json_t *string_make(const json_t *schema, const char *of, struct choices *choices)
{
	const char *pattern = json_string_value(json_object_get(schema, "pattern"));
	const char *const *few = names_of(of);
	if (!few)
		few = names_of(pattern);
	if (few)
		return name_pick(few, choices);
	json_t *digits = digits_make(pattern);
	return digits ? digits : name_pick(texts, choices);
}

static json_t *integer_make(const json_t *schema, struct choices *choices)
{
	const json_t *least = json_object_get(schema, "minimum");
	const json_t *most = json_object_get(schema, "maximum");
	const json_int_t from = json_integer_value(least);
	const json_int_t to = most ? json_integer_value(most) : INT64_MAX;
	const uint8_t which = choice(choices);
	switch (which % 8) {
	case 5:
		return json_integer(to);
	case 6:
		return json_integer(to - 1);
	case 7:
		return json_integer(which < 128 ? from - 1 : to < INT64_MAX ? to + 1 : to);
	default:
		return json_integer(
			from + choice(choices) % (to - from < 255 ? to - from + 1 : 255));
	}
}

static json_t *array_make(
	const json_t *schema, const char *of, unsigned depth, struct choices *choices)
{
	json_t *array = json_array();
	const size_t least = (size_t)json_integer_value(json_object_get(schema, "minItems"));
	const size_t n = least + choice(choices) % (ITEMS_FEW + 1);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			array, make(json_object_get(schema, "items"), of, depth, choices));
	return array;
}

static bool is_required(const json_t *schema, const char *name)
{
	size_t i;
	json_t *one;
	json_array_foreach (json_object_get(schema, "required"), i, one)
		if (strcmp(json_string_value(one), name) == 0)
			return true;
	return false;
}

static json_t *object_make(const json_t *schema, unsigned depth, struct choices *choices)
{
	json_t *object = json_object(), *member;
	const char *name;
	uint8_t which = choice(choices), bits = 0, n_bits = 0;
	json_object_foreach (json_object_get(schema, "properties"), name, member) {
		bool wanted = is_required(schema, name);
		if (!wanted && n_bits == 0) {
			bits = choice(choices) &
			       choice(choices); // a quarter of what may be left out
			n_bits = 8;
		}
		if (!wanted) {
			wanted = bits & 1;
			bits >>= 1;
			n_bits--;
		}
		if (wanted && which != NEARLY + (strlen(name) & 3))
			json_object_set_new(object, name, make(member, name, depth, choices));
	}
	if (which == NEARLY + 4)
		json_object_set_new(object, "colour", json_string("red"));
	return object;
}

static json_t *typed_make(const json_t *schema, const char *type, const char *of, unsigned depth,
	struct choices *choices)
{
	if (strcmp(type, "object") == 0)
		return object_make(schema, depth, choices);
	if (strcmp(type, "array") == 0)
		return array_make(schema, of, depth, choices);
	if (strcmp(type, "string") == 0)
		return string_make(schema, of, choices);
	if (strcmp(type, "boolean") == 0)
		return json_boolean(choice(choices) & 1);
	if (strcmp(type, "null") == 0)
		return json_null();
	return integer_make(schema, choices);
}

// of: by what names are chosen.
static json_t *make(const json_t *schema, const char *of, unsigned depth, struct choices *choices)
{
	const char *ref = schema_ref(schema);
	const json_t *only = json_object_get(schema, "const");
	const json_t *one = json_object_get(schema, "enum");
	const json_t *any = json_object_get(schema, "anyOf");
	const json_t *type = json_object_get(schema, "type");
	if (depth == DEPTH_MAX || (!ref && choice(choices) >= NEARLY))
		return wrong_make(choices);
	if (ref && !json_object_get(
			   schema_def(ref), "properties")) // a name, but for what the member has
		return make(schema_def(ref),
			of && names_of(of) && strcmp(ref, "address") == 0 ? of : ref, depth + 1,
			choices);
	if (ref)
		return make(schema_def(ref), ref, depth + 1, choices);
	if (only)
		return json_deep_copy(only);
	if (!any)
		any = json_object_get(schema, "oneOf");
	if (one)
		return json_deep_copy(json_array_get(one, choice(choices) % json_array_size(one)));
	if (any && !type)
		return make(json_array_get(any, choice(choices) % json_array_size(any)), of,
			depth + 1, choices);
	if (json_is_array(type))
		type = json_array_get(type, choice(choices) % json_array_size(type));
	if (!type) // allOf: what it has is that of the first
		return make(json_array_get(json_object_get(schema, "allOf"), 0), of, depth + 1,
			choices);
	return typed_make(schema, json_string_value(type), of, depth + 1, choices);
}

json_t *schema_make(const json_t *schema, struct choices *choices)
{
	return make(schema, NULL, 0, choices);
}
