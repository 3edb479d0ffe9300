// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Reads exactly 2 * size hex digits, upper or lower case, into out[size]. Returns false, with out
// wiped, if text has another length or another character.
bool hex_decode(const char *text, uint8_t *out, size_t size);

// As hex_decode() for an even number of digits between 2 * min and 2 * max; returns the number of
// octets, 0 if text is not that.
size_t hex_decode_range(const char *text, uint8_t *out, size_t min, size_t max);

// Writes 2 * size lower case digits and a NUL into out, which has room for 2 * size + 1.
void hex_encode(const uint8_t *in, size_t size, char *out);
