// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Whether octets are UTF-8 (RFC 3629): no overlong form, no surrogate, nothing beyond U+10FFFF.
bool utf8_valid(const uint8_t *octets, size_t len);

// Puts "?" in the place of each octet that is not, as where "%.40s" cut a character in two, and ends the text before a
// character that its end cuts: jansson refuses the whole text otherwise.
void utf8_mend(char *text);
