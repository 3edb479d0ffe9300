// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>
#include <stdint.h>

enum { HMAC_SHA256_LEN = 32 };

struct hmac_part {
	const void *octets;
	size_t len;
};

// HMAC-SHA-256 of the parts one after the other; out may be one of them. Any thread; it allocates,
// and leaves no copy of the key. Returns 0, or -EIO if the library failed; out is wiped then.
int hmac_sha256(const uint8_t *key, size_t key_len, const struct hmac_part *parts, size_t n_parts,
	uint8_t out[HMAC_SHA256_LEN]);
