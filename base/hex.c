// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "base/hex.h"

#include <string.h>

#include "base/secmem.h"

// Value of a hex digit, -1 if it is none.
static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool hex_decode(const char *text, uint8_t *out, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		int high = digit_value(text[2 * i]);
		int low = high < 0 ? -1 : digit_value(text[2 * i + 1]);
		if (low < 0)
			goto not_hex;
		out[i] = (uint8_t)(high << 4 | low);
	}
	if (text[2 * size] == '\0')
		return true;

not_hex:
	secmem_wipe(out, size);
	return false;
}

size_t hex_decode_range(const char *text, uint8_t *out, size_t min, size_t max)
{
	size_t digits = strnlen(text, 2 * max + 1);
	if (digits % 2 != 0 || digits / 2 < min || digits / 2 > max) {
		secmem_wipe(out, max);
		return 0;
	}
	return hex_decode(text, out, digits / 2) ? digits / 2 : 0;
}

void hex_encode(const uint8_t *in, size_t size, char *out)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < size; i++) {
		out[2 * i] = digits[in[i] >> 4];
		out[2 * i + 1] = digits[in[i] & 15];
	}
	out[2 * size] = '\0';
}
