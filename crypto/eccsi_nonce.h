// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include "crypto/hmac.h"

enum { ECCSI_NONCE_LEN = 32 };

// A scalar in [1, q - 1], q the order of P-256, as the HMAC-DRBG of RFC 6979 3.2 gives it for the
// secret and the seed. The same ones give the same scalar, others an independent one. Big-endian
// octets, as secret. Any thread; it allocates. The caller wipes nonce. Returns 0, or -EIO if the
// library failed; nonce is wiped then.
int eccsi_nonce(const uint8_t secret[ECCSI_NONCE_LEN], const struct hmac_part *seed, size_t n_seed,
	uint8_t nonce[ECCSI_NONCE_LEN]);
