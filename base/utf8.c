// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "base/utf8.h"

#include <string.h>

// Octets that follow the first one; the second one's range excludes what RFC 3629 4 does not have.
struct lead {
	uint8_t from, to;    // first octet
	uint8_t n;           // octets that follow
	uint8_t least, most; // second octet
};

static const struct lead leads[] = {
	{0x00, 0x7f, 0, 0, 0},
	{0xc2, 0xdf, 1, 0x80, 0xbf},
	{0xe0, 0xe0, 2, 0xa0, 0xbf},
	{0xe1, 0xec, 2, 0x80, 0xbf},
	{0xed, 0xed, 2, 0x80, 0x9f},
	{0xee, 0xef, 2, 0x80, 0xbf},
	{0xf0, 0xf0, 3, 0x90, 0xbf},
	{0xf1, 0xf3, 3, 0x80, 0xbf},
	{0xf4, 0xf4, 3, 0x80, 0x8f},
};

static const struct lead *lead_of(uint8_t octet)
{
	for (size_t i = 0; i < sizeof(leads) / sizeof(*leads); i++)
		if (octet >= leads[i].from && octet <= leads[i].to)
			return &leads[i];
	return NULL;
}

// Octets of the character that they begin with, or 0 if it is none.
static size_t character_len(const uint8_t *octets, size_t len)
{
	const struct lead *lead = lead_of(octets[0]);
	if (!lead || len - 1 < lead->n)
		return 0;
	for (unsigned i = 1; i <= lead->n; i++)
		if (octets[i] < (i == 1 ? lead->least : 0x80) ||
			octets[i] > (i == 1 ? lead->most : 0xbf))
			return 0;
	return 1U + lead->n;
}

bool utf8_valid(const uint8_t *octets, size_t len)
{
	size_t n = 1;
	for (size_t at = 0; at < len && n > 0; at += n)
		n = character_len(octets + at, len - at);
	return n > 0;
}

void utf8_mend(char *text)
{
	const size_t len = strlen(text);
	for (size_t at = 0, n; at < len; at += n) {
		n = character_len((const uint8_t *)text + at, len - at);
		if (n > 0)
			continue;
		const struct lead *lead = lead_of((uint8_t)text[at]);
		text[at] = lead && len - at <= lead->n ? '\0' : '?';
		n = text[at] != '\0' ? 1 : len - at;
	}
}
