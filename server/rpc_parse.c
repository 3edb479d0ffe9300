// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/rpc_parse.h"

#include <stdlib.h>
#include <string.h>

#include "base/secmem.h"
#include "server/rpc_line.h"

// A container that is larger than a piece, while it is read.
struct frame {
	json_t *container; // of the root
	bool comma;        // an element has to follow
};

struct rpc_parse {
	char *line;
	size_t len, at;
	json_t *root; // NULL: nothing yet
	struct frame frames[RPC_DEPTH_MAX];
	unsigned depth; // frames
	bool begun;
};

struct rpc_parse *rpc_parse_open(const char *line, size_t len)
{
	struct rpc_parse *parse = calloc(1, sizeof(*parse));
	char *copy = secmem_malloc(len);
	if (!parse || !copy) {
		secmem_free(copy);
		free(parse);
		return NULL;
	}
	memcpy(copy, line, len);
	parse->line = copy;
	parse->len = len;
	return parse;
}

json_t *rpc_parse_close(struct rpc_parse *parse)
{
	if (!parse)
		return NULL;
	json_t *root = parse->root;
	secmem_free(parse->line);
	free(parse);
	return root;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct rpc_parse *parse)
{
	while (parse->at < parse->len && is_space(parse->line[parse->at]))
		parse->at++;
}

// The next octet; NUL, which is valid nowhere, at the end.
static char next_octet(const struct rpc_parse *parse)
{
	return parse->at < parse->len ? parse->line[parse->at] : '\0';
}

// --- containers larger than a piece

static bool frame_is_array(const struct frame *frame)
{
	return json_is_array(frame->container);
}

// Reads the bracket of a container, which is to be read in pieces.
static json_t *container_open(struct rpc_parse *parse, struct rpc_error *error)
{
	json_t *container = next_octet(parse) == '[' ? json_array() : json_object();
	if (!container || parse->depth == RPC_DEPTH_MAX) {
		json_decref(container);
		rpc_fail_memory(error, NULL);
		return NULL;
	}
	parse->at++;
	parse->frames[parse->depth++] = (struct frame){.container = container};
	return container;
}

// Reads the bracket that ends the innermost one.
static void container_close(struct rpc_parse *parse, struct rpc_error *error)
{
	char bracket = frame_is_array(&parse->frames[parse->depth - 1]) ? ']' : '}';
	if (next_octet(parse) != bracket) {
		rpc_line_fail(error, parse->at);
		return;
	}
	parse->at++;
	parse->depth--;
}

// --- pieces

// What follows in the innermost container.
struct piece {
	size_t end;  // behind its last element
	bool whole;  // it ends with a comma or bracket there, or with the line
	bool closed; // not with a comma
};

// Elements up to the size of a piece; without bound if that is asked for, and then one alone. None if
// the first is larger.
static struct piece piece_find(const struct rpc_parse *parse, bool bounded)
{
	struct piece piece = {.end = parse->at};
	bool in_string = false;
	unsigned depth = 0;
	for (size_t i = parse->at; i < parse->len; i++) {
		char c = parse->line[i];
		if (bounded && i - parse->at >= RPC_PIECE)
			return piece;
		if (in_string) {
			i += c == '\\';
			in_string = c != '"';
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			depth++;
		} else if (c == '}' || c == ']') {
			if (depth-- == 0)
				return (struct piece){i, .whole = true, .closed = true};
		} else if (c == ',' && depth == 0) {
			piece = (struct piece){i, .whole = true};
			if (!bounded)
				return piece;
		}
	}
	return (struct piece){parse->len, .whole = true, .closed = true};
}

// The elements of a piece as a container of their own.
static json_t *piece_parse(
	const struct rpc_parse *parse, const struct piece *piece, struct rpc_error *error)
{
	bool array = frame_is_array(&parse->frames[parse->depth - 1]);
	size_t len = piece->end - parse->at;
	char *text = secmem_malloc(len + 2);
	json_error_t at = {.position = 1};
	if (!text) {
		rpc_fail_memory(error, NULL);
		return NULL;
	}
	text[0] = array ? '[' : '{';
	memcpy(text + 1, parse->line + parse->at, len);
	text[len + 1] = array ? ']' : '}';
	json_t *elements = json_loadb(text, len + 2, JSON_REJECT_DUPLICATES, &at);
	secmem_free(text);
	if (!elements)
		rpc_line_fail(error, parse->at + (at.position > 0 ? (size_t)at.position - 1 : 0));
	return elements;
}

static size_t container_size(const json_t *container)
{
	return json_is_array(container) ? json_array_size(container) : json_object_size(container);
}

// Adds a member that the object must not have yet. Takes over the reference.
static void object_add(struct rpc_parse *parse, json_t *object, const char *name, json_t *value,
	struct rpc_error *error)
{
	if (json_object_get(object, name)) {
		rpc_line_fail(error, parse->at);
		json_decref(value);
	} else if (json_object_set_new(object, name, value) != 0) {
		rpc_fail_memory(error, NULL);
	}
}

static void elements_add(
	struct rpc_parse *parse, json_t *container, json_t *elements, struct rpc_error *error)
{
	const char *name;
	json_t *value;
	if (json_is_array(container)) {
		if (json_array_extend(container, elements) != 0)
			rpc_fail_memory(error, NULL);
		return;
	}
	json_object_foreach (elements, name, value) {
		object_add(parse, container, name, json_incref(value), error);
	}
}

static void piece_read(struct rpc_parse *parse, const struct piece *piece, struct rpc_error *error)
{
	struct frame *frame = &parse->frames[parse->depth - 1];
	json_t *elements = piece_parse(parse, piece, error);
	if (!elements)
		return;
	bool empty = container_size(elements) == 0;
	if (empty && (frame->comma || !piece->closed))
		rpc_line_fail(error, piece->end); // "[1,]" or "[,1]", cut at its comma
	elements_add(parse, frame->container, elements, error);
	json_decref(elements);
	parse->at = piece->end;
	frame->comma = false;
}

// --- elements larger than a piece

// Reads the name of a member and the colon behind it. The caller frees it.
static char *name_read(struct rpc_parse *parse, struct rpc_error *error)
{
	skip_space(parse);
	size_t end = parse->at + 1;
	while (end < parse->len && parse->line[end] != '"')
		end += parse->line[end] == '\\' ? 2 : 1;
	json_t *string = NULL;
	if (next_octet(parse) == '"' && end < parse->len)
		string = json_loadb(
			parse->line + parse->at, end + 1 - parse->at, JSON_DECODE_ANY, NULL);
	char *name = string ? strdup(json_string_value(string)) : NULL;
	json_decref(string);
	if (name)
		parse->at = end + 1;
	skip_space(parse);
	if (!name || next_octet(parse) != ':') {
		rpc_line_fail(error, parse->at);
		free(name);
		return NULL;
	}
	parse->at++;
	return name;
}

static bool begins_container(const struct rpc_parse *parse)
{
	return next_octet(parse) == '[' || next_octet(parse) == '{';
}

// An element that is no container, a long string, is read in one piece; so is space without end.
static void scalar_read(struct rpc_parse *parse, size_t from, struct rpc_error *error)
{
	parse->at = from;
	struct piece piece = piece_find(parse, false);
	piece_read(parse, &piece, error);
}

static void large_read(struct rpc_parse *parse, struct rpc_error *error)
{
	struct frame *frame = &parse->frames[parse->depth - 1];
	size_t from = parse->at;
	char *name = NULL;
	skip_space(parse);
	if (!frame_is_array(frame) && next_octet(parse) != '}') {
		name = name_read(parse, error);
		skip_space(parse);
	}
	if (error->code == RPC_OK && !begins_container(parse)) {
		scalar_read(parse, from, error);
	} else if (error->code == RPC_OK) {
		json_t *container = container_open(parse, error);
		frame->comma = false;
		if (container && name)
			object_add(parse, frame->container, name, container, error);
		else if (container && json_array_append_new(frame->container, container) != 0)
			rpc_fail_memory(error, NULL);
	}
	free(name);
}

// --- the line

static void line_begin(struct rpc_parse *parse, struct rpc_error *error)
{
	parse->begun = true;
	skip_space(parse);
	if (!rpc_line_check_depth(parse->line, parse->len, error))
		return;
	if (begins_container(parse)) {
		parse->root = container_open(parse, error);
		return;
	}
	parse->root = rpc_line_parse(parse->line, parse->len, error);
	parse->at = parse->len;
}

static void line_end(struct rpc_parse *parse, struct rpc_error *error)
{
	skip_space(parse);
	if (parse->at < parse->len)
		rpc_line_fail(error, parse->at);
}

// What stands behind an element: a comma, or the end of its container.
static void separator_read(struct rpc_parse *parse, struct rpc_error *error)
{
	skip_space(parse);
	if (next_octet(parse) == ',') {
		parse->at++;
		parse->frames[parse->depth - 1].comma = true;
	} else {
		container_close(parse, error);
	}
}

bool rpc_parse_step(struct rpc_parse *parse, struct rpc_error *error)
{
	if (!parse->begun) {
		line_begin(parse, error);
	} else if (parse->depth > 0) {
		struct frame *frame = &parse->frames[parse->depth - 1];
		if (!frame->comma && container_size(frame->container) > 0) {
			separator_read(parse, error);
		} else {
			struct piece piece = piece_find(parse, true);
			if (!piece.whole)
				large_read(parse, error);
			else
				piece_read(parse, &piece, error);
			if (piece.whole && piece.closed && error->code == RPC_OK)
				container_close(parse, error);
		}
	}
	if (parse->depth == 0 && error->code == RPC_OK)
		line_end(parse, error);
	return parse->depth == 0 || error->code != RPC_OK;
}
