// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "tests/fuzz/schema.h"

#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATTERNS_MAX = 64, REF_HEAD = sizeof("#/$defs/") - 1 };

static json_t *document, *defs;

static struct pattern {
	const char *text;
	regex_t compiled;
} patterns[PATTERNS_MAX];
static unsigned n_patterns;

static bool agrees(const json_t *schema, const json_t *value, char *why);

static void wrong(const char *what, const char *name)
{
	fprintf(stderr, "schema: %s %s\n", what, name);
	abort();
}

static bool complain(char *why, const char *keyword, const char *name)
{
	snprintf(why, SCHEMA_WHY_SIZE, "%s %.200s", keyword, name);
	return false;
}

const json_t *schema_defs(void)
{
	return defs;
}

const json_t *schema_def(const char *name)
{
	return json_object_get(defs, name);
}

const char *schema_ref(const json_t *schema)
{
	const char *ref = json_string_value(json_object_get(schema, "$ref"));
	return ref ? ref + REF_HEAD : NULL;
}

// --- keywords

static bool type_is(const char *type, const json_t *value)
{
	static const char *const names[] = {[JSON_OBJECT] = "object",
		[JSON_ARRAY] = "array",
		[JSON_STRING] = "string",
		[JSON_INTEGER] = "integer",
		[JSON_REAL] = "number",
		[JSON_TRUE] = "boolean",
		[JSON_FALSE] = "boolean",
		[JSON_NULL] = "null"};
	if (json_is_number(value) && strcmp(type, "number") == 0)
		return true;
	if (json_is_real(value) && strcmp(type, "integer") == 0)
		return floor(json_real_value(value)) == json_real_value(value);
	return strcmp(type, names[json_typeof(value)]) == 0;
}

static bool type_ok(const json_t *types, const json_t *value, char *why)
{
	if (json_is_string(types))
		return type_is(json_string_value(types), value) ||
		       complain(why, "type is not", json_string_value(types));
	size_t i;
	json_t *type;
	json_array_foreach (types, i, type)
		if (type_is(json_string_value(type), value))
			return true;
	return complain(why, "type", "is none of them");
}

static bool one_of_values(const json_t *values, const json_t *value)
{
	size_t i;
	json_t *one;
	json_array_foreach (values, i, one)
		if (json_equal(one, value))
			return true;
	return false;
}

static unsigned agreeing(const json_t *schemas, const json_t *value)
{
	char unheard[SCHEMA_WHY_SIZE];
	unsigned n = 0;
	size_t i;
	json_t *schema;
	json_array_foreach (schemas, i, schema)
		n += agrees(schema, value, unheard);
	return n;
}

static const regex_t *pattern_of(const char *text)
{
	for (unsigned i = 0; i < n_patterns; i++)
		if (strcmp(patterns[i].text, text) == 0)
			return &patterns[i].compiled;
	if (n_patterns == PATTERNS_MAX ||
		regcomp(&patterns[n_patterns].compiled, text, REG_EXTENDED | REG_NOSUB) != 0)
		wrong("cannot compile", text);
	patterns[n_patterns].text = text;
	return &patterns[n_patterns++].compiled;
}

static size_t characters(const json_t *string)
{
	const char *text = json_string_value(string);
	size_t n = 0;
	for (size_t i = 0; i < json_string_length(string); i++)
		n += ((uint8_t)text[i] & 0xc0) != 0x80;
	return n;
}

static bool string_ok(const json_t *schema, const json_t *value, char *why)
{
	const json_t *least = json_object_get(schema, "minLength");
	const json_t *most = json_object_get(schema, "maxLength");
	const char *pattern = json_string_value(json_object_get(schema, "pattern"));
	if (least && characters(value) < (size_t)json_integer_value(least))
		return complain(why, "minLength", json_string_value(value));
	if (most && characters(value) > (size_t)json_integer_value(most))
		return complain(why, "maxLength", json_string_value(value));
	if (pattern && regexec(pattern_of(pattern), json_string_value(value), 0, NULL, 0) != 0)
		return complain(why, "pattern", pattern);
	return true;
}

static bool number_ok(const json_t *schema, const json_t *value, char *why)
{
	const json_t *least = json_object_get(schema, "minimum");
	const json_t *most = json_object_get(schema, "maximum");
	if (least && json_number_value(value) < json_number_value(least))
		return complain(why, "minimum", "");
	if (most && json_number_value(value) > json_number_value(most))
		return complain(why, "maximum", "");
	return true;
}

static bool array_ok(const json_t *schema, const json_t *value, char *why)
{
	const json_t *least = json_object_get(schema, "minItems");
	const json_t *most = json_object_get(schema, "maxItems");
	const json_t *items = json_object_get(schema, "items");
	const size_t n = json_array_size(value);
	if (least && n < (size_t)json_integer_value(least))
		return complain(why, "minItems", "");
	if (most && n > (size_t)json_integer_value(most))
		return complain(why, "maxItems", "");
	for (size_t i = 0; items && i < n; i++)
		if (!agrees(items, json_array_get(value, i), why))
			return false;
	return true;
}

static bool has_all(const json_t *names, const json_t *value, char *why)
{
	size_t i;
	json_t *name;
	json_array_foreach (names, i, name)
		if (!json_object_get(value, json_string_value(name)))
			return complain(why, "required", json_string_value(name));
	return true;
}

static bool member_ok(const json_t *schema, const char *name, const json_t *member, char *why)
{
	const json_t *names = json_object_get(schema, "propertyNames");
	const json_t *more = json_object_get(schema, "additionalProperties");
	const json_t *known = json_object_get(json_object_get(schema, "properties"), name);
	if (names) {
		json_t *text = json_string(name);
		bool good = agrees(names, text, why);
		json_decref(text);
		if (!good)
			return false;
	}
	if (known)
		return agrees(known, member, why);
	if (json_is_false(more))
		return complain(why, "unknown member", name);
	return !json_is_object(more) || agrees(more, member, why);
}

static bool object_ok(const json_t *schema, const json_t *value, char *why)
{
	const char *name;
	json_t *member, *names;
	json_object_foreach ((json_t *)(uintptr_t)value, name, member)
		if (!member_ok(schema, name, member, why))
			return false;
	json_object_foreach (json_object_get(schema, "dependentRequired"), name, names)
		if (json_object_get(value, name) && !has_all(names, value, why))
			return false;
	return has_all(json_object_get(schema, "required"), value, why);
}

static bool combined_ok(const json_t *schema, const json_t *value, char *why)
{
	char unheard[SCHEMA_WHY_SIZE];
	const json_t *any = json_object_get(schema, "anyOf");
	const json_t *one = json_object_get(schema, "oneOf");
	const json_t *not = json_object_get(schema, "not");
	const json_t *condition = json_object_get(schema, "if");
	json_t *part;
	size_t i;
	if (any && agreeing(any, value) == 0)
		return complain(why, "anyOf", "");
	if (one && agreeing(one, value) != 1)
		return complain(why, "oneOf", "");
	if (not&&agrees(not, value, unheard))
		return complain(why, "not", "");
	json_array_foreach (json_object_get(schema, "allOf"), i, part)
		if (!agrees(part, value, why))
			return false;
	if (!condition)
		return true;
	const json_t *follows =
		json_object_get(schema, agrees(condition, value, unheard) ? "then" : "else");
	return !follows || agrees(follows, value, why);
}

static bool agrees(const json_t *schema, const json_t *value, char *why)
{
	const char *ref = schema_ref(schema);
	const json_t *type = json_object_get(schema, "type");
	const json_t *only = json_object_get(schema, "const");
	const json_t *values = json_object_get(schema, "enum");
	if (ref && !agrees(schema_def(ref), value, why))
		return false;
	if (type && !type_ok(type, value, why))
		return false;
	if (only && !json_equal(only, value))
		return complain(why, "const", "");
	if (values && !one_of_values(values, value))
		return complain(why, "enum", "");
	if (!combined_ok(schema, value, why))
		return false;
	switch (json_typeof(value)) {
	case JSON_STRING:
		return string_ok(schema, value, why);
	case JSON_INTEGER:
	case JSON_REAL:
		return number_ok(schema, value, why);
	case JSON_ARRAY:
		return array_ok(schema, value, why);
	case JSON_OBJECT:
		return object_ok(schema, value, why);
	default:
		return true;
	}
}

bool schema_agrees(const json_t *schema, const json_t *value, char why[SCHEMA_WHY_SIZE])
{
	why[0] = '\0';
	return agrees(schema, value, why);
}

// --- the document

// What a keyword has: nothing to look at, a schema, a list of them, schemas by name.
enum holds { HOLDS_VALUE, HOLDS_SCHEMA, HOLDS_LIST, HOLDS_NAMED };

static const struct {
	const char *name;
	enum holds holds;
} keywords[] = {
	{"$ref"},
	{"additionalProperties", HOLDS_SCHEMA},
	{"allOf", HOLDS_LIST},
	{"anyOf", HOLDS_LIST},
	{"const"},
	{"default"},
	{"dependentRequired"},
	{"description"},
	{"else", HOLDS_SCHEMA},
	{"enum"},
	{"if", HOLDS_SCHEMA},
	{"items", HOLDS_SCHEMA},
	{"maxItems"},
	{"maxLength"},
	{"maximum"},
	{"minItems"},
	{"minLength"},
	{"minimum"},
	{"not", HOLDS_SCHEMA},
	{"oneOf", HOLDS_LIST},
	{"pattern"},
	{"properties", HOLDS_NAMED},
	{"propertyNames", HOLDS_SCHEMA},
	{"required"},
	{"then", HOLDS_SCHEMA},
	{"type"},
};

static void schema_look(json_t *schema);

static void keyword_look(const char *name, json_t *value)
{
	size_t k = 0, i;
	json_t *part;
	while (k < sizeof(keywords) / sizeof(keywords[0]) && strcmp(keywords[k].name, name) != 0)
		k++;
	if (k == sizeof(keywords) / sizeof(keywords[0]))
		wrong("unknown keyword", name);
	if (keywords[k].holds == HOLDS_SCHEMA)
		schema_look(value);
	else if (keywords[k].holds == HOLDS_LIST)
		json_array_foreach (value, i, part)
			schema_look(part);
	else if (keywords[k].holds == HOLDS_NAMED)
		json_object_foreach (value, name, part)
			schema_look(part);
}

// Whether all of it is read here.
static void schema_look(json_t *schema)
{
	const char *name, *ref = schema_ref(schema);
	json_t *value;
	if (ref && !schema_def(ref))
		wrong("there is no", ref);
	json_object_foreach (schema, name, value)
		keyword_look(name, value);
}

void schema_open(const char *path)
{
	const char *name;
	json_t *def;
	document = json_load_file(path, 0, NULL);
	if (!document)
		wrong("cannot read", path);
	defs = json_object_get(document, "$defs");
	json_object_foreach (defs, name, def)
		schema_look(def);
}
