// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>
#include <stdint.h>

enum { SIPHASH_KEY_LEN = 16, SIPHASH_LEN = 16 };

// SipHash-2-4 with 128 bits of output: a pseudorandom function of short inputs. Writes SIPHASH_LEN
// octets at out, each half in little-endian order. Any thread; never fails.
void siphash128(const uint8_t key[SIPHASH_KEY_LEN], const uint8_t *data, size_t len,
	uint8_t out[SIPHASH_LEN]);
