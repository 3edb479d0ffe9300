// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "mikey/fault.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

const char *mikey_reason_slug(enum mikey_reason reason)
{
	static const char *const slugs[] = {
#define _(name, slug) [MIKEY_##name] = slug,
		MIKEY_REASONS(_)
#undef _
	};
	return slugs[reason];
}

// What did not fit may have been cut within a character.
static void character_end(char *text)
{
	size_t len = strlen(text);
	while (len > 0 && ((uint8_t)text[len - 1] & 0xc0) == 0x80)
		len--;
	if (len > 0 && (uint8_t)text[len - 1] >= 0xc0)
		text[len - 1] = '\0';
}

bool mikey_fail(
	struct mikey_fault *fault, enum mikey_reason reason, size_t octet, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fault->reason = reason;
	fault->octet = octet;
	int len = vsnprintf(fault->text, sizeof(fault->text), format, args);
	va_end(args);
	if (len >= (int)sizeof(fault->text))
		character_end(fault->text);
	return false;
}
