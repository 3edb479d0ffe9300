// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/mp1024.h"

// HashToIntegerRange of RFC 6508 5.1 with SHA-256. The input is secret: constant time but for its
// length, and nothing of it stays behind but on the stack. Any thread. False if the library failed.

enum {
	SAKKE_MASK_LEN = 16, // octets
	SAKKE_ID_MAX = 64    // octets of an identifier: b is below q
};

// Into [0, 2^128), as big-endian octets.
bool sakke_hash_to_mask(const uint8_t *octets, size_t len, uint8_t mask[SAKKE_MASK_LEN]);

// Into [0, q), as a plain number.
bool sakke_hash_to_scalar(const uint8_t *octets, size_t len, struct mp1024 *scalar);

// b of an identifier as a plain number below q; false if its length is not 1 to SAKKE_ID_MAX.
bool sakke_id_read(const uint8_t *id, size_t id_len, struct mp1024 *b);
