// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/rpc_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// Cuts off a UTF-8 sequence that the end of a buffer broke: jansson refuses the whole string
// otherwise.
static void utf8_trim(char *text)
{
	size_t len = strlen(text), start = len;
	while (start > 0 && len - start < 4) {
		unsigned char lead = (unsigned char)text[--start];
		if ((lead & 0xc0) == 0x80)
			continue; // a continuation octet
		size_t sequence_len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
		if (len - start < sequence_len)
			text[start] = '\0';
		return;
	}
}

void rpc_fail(
	struct rpc_error *error, enum rpc_code code, const char *path, const char *format, ...)
{
	if (error->code != RPC_OK)
		return;
	error->code = code;
	snprintf(error->path, sizeof(error->path), "%s", path ? path : "");
	va_list args;
	va_start(args, format);
	vsnprintf(error->message, sizeof(error->message), format, args);
	va_end(args);
	utf8_trim(error->path);
	utf8_trim(error->message);
}

void rpc_fail_memory(struct rpc_error *error, const char *path)
{
	rpc_fail(error, RPC_LIMIT, path, "there is no memory for it; accepted: less, or later");
}

json_t *rpc_error_data(const struct rpc_error *error)
{
	if (!error->reason)
		return json_pack("{s:s}", "path", error->path);
	return json_pack("{s:s,s:s,s:I,s:O*}", "path", error->path, "reason", error->reason,
		"octet", (json_int_t)error->octet, "redirect", error->redirect);
}
