// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/http_accept.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

enum { QUALITY_MOST = 1000 };

// Of "0", "0.5", "1.000" (RFC 9110 12.4.2); what is no weight is none.
static unsigned weight_read(const char *text)
{
	unsigned value = 0, unit = QUALITY_MOST;
	if (*text != '0' && *text != '1')
		return 0;
	value = (unsigned)(*text++ - '0') * unit;
	if (*text == '.')
		for (text++; *text >= '0' && *text <= '9' && unit > 1; text++)
			value += (unsigned)(*text - '0') * (unit /= 10);
	return value < QUALITY_MOST ? value : QUALITY_MOST;
}

// Of a media range with its parameters, len octets.
static unsigned range_weight(const char *range, size_t len)
{
	const char *end = range + len;
	const char *at = memchr(range, ';', len);
	while (at && at < end) {
		at++;
		at += strspn(at, " \t");
		if (end - at > 2 && strncasecmp(at, "q=", 2) == 0)
			return weight_read(at + 2);
		at = at < end ? memchr(at, ';', (size_t)(end - at)) : NULL;
	}
	return QUALITY_MOST;
}

// How well the range names the type: 3 itself, 2 by its first half, 1 as any, 0 not.
static unsigned range_matches(const char *range, size_t len, const char *type)
{
	size_t name_len = strcspn(range, ";, \t"), half = strcspn(type, "/") + 1;
	if (name_len > len)
		name_len = len;
	if (name_len == strlen(type) && strncasecmp(range, type, name_len) == 0)
		return 3;
	if (name_len == half + 1 && strncasecmp(range, type, half) == 0 && range[half] == '*')
		return 2;
	return name_len == 3 && strncmp(range, "*/*", 3) == 0;
}

unsigned http_accept_quality(const char *accept, const char *type)
{
	unsigned best = 0, quality = 0;
	if (!accept)
		return QUALITY_MOST;
	for (const char *at = accept; *at != '\0';) {
		at += strspn(at, ", \t");
		size_t len = strcspn(at, ",");
		unsigned match = len > 0 ? range_matches(at, len, type) : 0;
		if (match > best) {
			best = match;
			quality = range_weight(at, len);
		}
		at += len;
	}
	return quality;
}
