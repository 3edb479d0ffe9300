// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/rpc_text.h"

#include <string.h>

#include "base/secmem.h"

enum { RPC_TEXT_SIZE = 512 }; // octets at first

void rpc_text_add(struct rpc_text *text, const char *octets, size_t len)
{
	size_t size = text->size;
	while (!text->failed && size - text->len < len)
		size = size > 0 ? size * 2 : RPC_TEXT_SIZE;
	if (!text->failed && size != text->size) {
		char *grown = secmem_realloc(text->octets, size);
		if (grown) {
			text->octets = grown;
			text->size = size;
		}
		text->failed = !grown;
	}
	if (text->failed)
		return; // the requests still run, but an answer with a hole is none
	memcpy(text->octets + text->len, octets, len);
	text->len += len;
}

static int text_dump(const char *octets, size_t len, void *text)
{
	rpc_text_add(text, octets, len);
	return 0;
}

void rpc_text_add_string(struct rpc_text *text, const char *string)
{
	rpc_text_add(text, string, strlen(string));
}

static void text_add(struct rpc_text *text, json_t *json, size_t flags)
{
	if (!json || json_dump_callback(json, text_dump, text, JSON_COMPACT | flags) != 0)
		text->failed = true;
	json_decref(json);
}

void rpc_text_add_json(struct rpc_text *text, json_t *json)
{
	text_add(text, json, JSON_ENCODE_ANY);
}

void rpc_text_add_members(struct rpc_text *text, json_t *object)
{
	text_add(text, object, JSON_EMBED);
}
