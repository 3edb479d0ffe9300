// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>
#include <stdint.h>

struct kdf_param {
	const void *octets;
	uint16_t len;
};

// The KDF of TS 33.220 Annex B: HMAC-SHA-256(key, FC || P0 || L0 || P1 || L1 ...), lengths as two
// octets, big-endian. Returns 0, or -EINVAL if the input is larger than 1,024 octets, -EIO if the
// library failed; out is wiped then.
int mcx_kdf(const uint8_t *key, size_t key_len, uint8_t fc, const struct kdf_param *params,
	size_t n_params, uint8_t out[32]);

// GUK-ID of a user (TS 33.180 F.1.3): GMK-ID xor the low 28 bits of KDF(GMK, FC 50, user URI). The
// purpose tag stays that of gmk_id. Ids in host byte order; user is NUL-terminated. Returns as
// mcx_kdf().
int mcx_guk_id(
	const uint8_t *gmk, size_t gmk_len, uint32_t gmk_id, const char *user, uint32_t *guk_id);
