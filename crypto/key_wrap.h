// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// AES key wrap under a key of 256 bits. Computation on the caller's memory, any thread; it allocates,
// and leaves no copy of a key in freed memory or on the stack.

enum {
	KEY_WRAP_KEK_LEN = 32, // octets
	KEY_WRAP_MAX = 264     // of a value, filled up
};

enum key_wrap {
	KEY_WRAP_AES,       // RFC 3394; a value is filled with zero octets to a multiple of 8
	KEY_WRAP_AES_PADDED // RFC 5649
};

// Octets of a wrapped value of len octets, by either.
static inline size_t key_wrapped_len(size_t len)
{
	return (len + 7) / 8 * 8 + 8;
}

// Unwraps a value of len octets, which the caller wipes. False, with out left alone, if wrapped is no
// value of len octets under this key, or if the library failed.
bool key_unwrap(enum key_wrap algorithm, const uint8_t kek[KEY_WRAP_KEK_LEN],
	const uint8_t *wrapped, size_t wrapped_len, uint8_t *out, size_t len);
