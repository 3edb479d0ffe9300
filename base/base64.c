// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "base/base64.h"

#include <string.h>

#include "base/secmem.h"

// Value of a character, -1 if it is none. Of a range of characters the value grows with them.
static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

// Four characters, the last n_pad of which are padding, as 3 - n_pad octets.
static bool group_decode(const char text[4], size_t n_pad, uint8_t *out)
{
	uint32_t bits = 0;
	for (size_t i = 0; i < 4; i++) {
		int value = i < 4 - n_pad ? digit_value(text[i]) : 0;
		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
	}
	if ((bits & ((UINT32_C(1) << 8 * n_pad) - 1)) != 0)
		return false;
	for (size_t i = 0; i < 3 - n_pad; i++)
		out[i] = (uint8_t)(bits >> (16 - 8 * i));
	return true;
}

bool base64_decode(const char *text, size_t len, uint8_t *out, size_t *out_len)
{
	size_t n_pad = 0, n = 0;
	bool ok = len % 4 == 0;
	while (ok && n_pad < 2 && n_pad < len && text[len - 1 - n_pad] == '=')
		n_pad++;
	for (size_t at = 0; ok && at < len; at += 4) {
		size_t pad = at + 4 == len ? n_pad : 0;
		ok = group_decode(text + at, pad, out + n);
		n += 3 - pad;
	}
	if (!ok)
		secmem_wipe(out, base64_room(len));
	else
		*out_len = n;
	return ok;
}

void base64_encode(const uint8_t *in, size_t len, char *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t at = 0; at < len; at += 3, out += 4) {
		const size_t n = len - at < 3 ? len - at : 3;
		const uint32_t bits = (uint32_t)in[at] << 16 |
				      (n > 1 ? (uint32_t)in[at + 1] << 8 : 0) |
				      (n > 2 ? (uint32_t)in[at + 2] : 0);
		out[0] = digits[bits >> 18];
		out[1] = digits[bits >> 12 & 63];
		out[2] = '=';
		out[3] = '=';
		if (n > 1)
			out[2] = digits[bits >> 6 & 63];
		if (n > 2)
			out[3] = digits[bits & 63];
	}
	*out = '\0';
}
