// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "mikey/fault.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "base/utf8.h"

const char *mikey_reason_slug(enum mikey_reason reason)
{
	static const char *const slugs[] = {
#define _(name, slug) [MIKEY_##name] = slug,
		MIKEY_REASONS(_)
#undef _
	};
	return slugs[reason];
}

bool mikey_fail(
	struct mikey_fault *fault, enum mikey_reason reason, size_t octet, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fault->reason = reason;
	fault->octet = octet;
	vsnprintf(fault->text, sizeof(fault->text), format, args);
	va_end(args);
	utf8_mend(
		fault->text); // what did not fit, or is quoted in part, may have been cut within a character
	return false;
}
