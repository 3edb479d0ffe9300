// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/rpc_error.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/utf8.h"

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
	utf8_mend(error->path);
	utf8_mend(error->message);
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
