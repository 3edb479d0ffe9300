// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/leg_fail.h"

#include <stdarg.h>
#include <stdio.h>

void leg_fail(struct rpc_error *error, enum rpc_code code, const char *path,
	const struct leg_spec *leg, const char *member, const char *format, ...)
{
	char full[128], message[sizeof(error->message)];
	va_list args;
	snprintf(full, sizeof(full), "%s.legs[%u].%s", path, leg->position, member);
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	rpc_fail(error, code, full, "%s", message);
}
