// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Base64 with padding (RFC 4648 4), without line breaks.

// Octets that decode from len characters at most.
static inline size_t base64_room(size_t len)
{
	return len / 4 * 3;
}

// Reads len characters into out, which has room for base64_room(len) octets. Returns false, with out
// wiped, if they are not base64 or if bits that mean nothing are set.
bool base64_decode(const char *text, size_t len, uint8_t *out, size_t *out_len);

// Characters of len octets, without a NUL.
static inline size_t base64_len(size_t len)
{
	return (len + 2) / 3 * 4;
}

// Writes base64_len(len) characters and a NUL into out.
void base64_encode(const uint8_t *in, size_t len, char *out);
