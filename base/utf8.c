// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "base/utf8.h"

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

bool utf8_valid(const uint8_t *octets, size_t len)
{
	for (size_t at = 0; at < len;) {
		const struct lead *lead = lead_of(octets[at++]);
		if (!lead || len - at < lead->n)
			return false;
		for (unsigned i = 0; i < lead->n; i++, at++) {
			uint8_t least = i == 0 ? lead->least : 0x80,
				most = i == 0 ? lead->most : 0xbf;
			if (octets[at] < least || octets[at] > most)
				return false;
		}
	}
	return true;
}
