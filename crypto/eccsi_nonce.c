// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/eccsi_nonce.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/secmem.h"

enum { SEED_PARTS_MAX = 4 };

struct drbg {
	uint8_t k[HMAC_SHA256_LEN];
	uint8_t v[HMAC_SHA256_LEN];
};

// K = HMAC(K, V || mark || seed), V = HMAC(K, V).
static int drbg_update(struct drbg *drbg, uint8_t mark, const struct hmac_part *seed, size_t n_seed)
{
	struct hmac_part parts[2 + 1 + SEED_PARTS_MAX] = {{drbg->v, sizeof(drbg->v)}, {&mark, 1}};
	for (size_t i = 0; i < n_seed; i++)
		parts[2 + i] = seed[i];
	int ret = hmac_sha256(drbg->k, sizeof(drbg->k), parts, 2 + n_seed, drbg->k);
	return ret < 0 ? ret : hmac_sha256(drbg->k, sizeof(drbg->k), parts, 1, drbg->v);
}

// Whether 0 < scalar < q, in constant time.
static bool scalar_ok(const uint8_t scalar[ECCSI_NONCE_LEN])
{
	static const uint8_t q[ECCSI_NONCE_LEN] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84,
		0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
	unsigned borrow = 0, any = 0;
	for (size_t i = ECCSI_NONCE_LEN; i-- > 0;) {
		borrow = ((unsigned)scalar[i] - q[i] - borrow) >> 31;
		any |= scalar[i];
	}
	return borrow & (any != 0);
}

int eccsi_nonce(const uint8_t secret[ECCSI_NONCE_LEN], const struct hmac_part *seed, size_t n_seed,
	uint8_t nonce[ECCSI_NONCE_LEN])
{
	struct hmac_part input[1 + SEED_PARTS_MAX] = {{secret, ECCSI_NONCE_LEN}};
	struct drbg drbg = {.k = {0}};
	int ret = -EIO;
	if (n_seed > SEED_PARTS_MAX)
		goto failed;
	memcpy(input + 1, seed, n_seed * sizeof(seed[0]));
	memset(drbg.v, 1, sizeof(drbg.v));
	ret = drbg_update(&drbg, 0, input, 1 + n_seed);
	if (ret == 0)
		ret = drbg_update(&drbg, 1, input, 1 + n_seed);
	while (ret == 0) {
		const struct hmac_part v = {drbg.v, sizeof(drbg.v)};
		ret = hmac_sha256(drbg.k, sizeof(drbg.k), &v, 1, drbg.v);
		if (ret == 0 && scalar_ok(drbg.v))
			break;
		if (ret == 0)
			ret = drbg_update(&drbg, 0, NULL, 0);
	}
	if (ret == 0)
		memcpy(nonce, drbg.v, ECCSI_NONCE_LEN);
failed:
	secmem_wipe(&drbg, sizeof(drbg));
	if (ret < 0)
		secmem_wipe(nonce, ECCSI_NONCE_LEN);
	return ret;
}
