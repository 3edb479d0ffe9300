// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// ECCSI of a KMS: its key pair, and the key sets that it gives.

#include <stdbool.h>
#include <string.h>

#include <openssl/rand.h>

#include "base/secmem.h"
#include "crypto/eccsi.h"
#include "crypto/eccsi_nonce.h"
#include "crypto/p256.h"

enum { ATTEMPTS_MAX = 4 };

// [scalar]G as octets.
static bool public_make(const BIGNUM *scalar, uint8_t octets[ECCSI_POINT_LEN], BN_CTX *ctx)
{
	EC_POINT *point = p256_base_multiply(scalar, ctx);
	bool ok = point && p256_point_write(point, octets, ctx);
	EC_POINT_clear_free(point);
	return ok;
}

enum eccsi_status eccsi_kpak_make(
	const uint8_t ksak[ECCSI_SCALAR_LEN], uint8_t kpak[ECCSI_POINT_LEN])
{
	enum eccsi_status status = ECCSI_LIBRARY;
	BN_CTX *ctx = p256_begin();
	BIGNUM *scalar = ctx ? BN_CTX_get(ctx) : NULL;
	if (!scalar)
		goto out;
	status = ECCSI_KSAK;
	if (!p256_scalar_read(ksak, scalar))
		goto out;
	uint8_t made[ECCSI_POINT_LEN];
	status = public_make(scalar, made, ctx) ? ECCSI_OK : ECCSI_LIBRARY;
	if (status == ECCSI_OK)
		memcpy(kpak, made, sizeof(made));
out:
	p256_end(ctx);
	return status;
}

enum eccsi_status eccsi_ksak_make(uint8_t ksak[ECCSI_SCALAR_LEN], uint8_t kpak[ECCSI_POINT_LEN])
{
	enum eccsi_status status = ECCSI_LIBRARY;
	uint8_t drawn[ECCSI_SCALAR_LEN];
	for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
		status = ECCSI_LIBRARY;
		if (RAND_priv_bytes(drawn, sizeof(drawn)) != 1)
			break;
		status = eccsi_kpak_make(drawn, kpak);
		if (status != ECCSI_KSAK)
			break;
	}
	if (status == ECCSI_OK)
		memcpy(ksak, drawn, sizeof(drawn));
	secmem_wipe(drawn, sizeof(drawn));
	return status == ECCSI_KSAK ? ECCSI_LIBRARY : status;
}

// The numbers are of ctx; all but hs are secret.
struct giving {
	BN_CTX *ctx;
	BIGNUM *ksak, *v, *hs, *sum;
	uint8_t kpak[ECCSI_POINT_LEN];
	uint8_t pvt[ECCSI_POINT_LEN];
	uint8_t nonce[ECCSI_NONCE_LEN];
};

static bool giving_begin(struct giving *giving)
{
	memset(giving, 0, sizeof(*giving));
	BN_CTX *ctx = giving->ctx = p256_begin();
	if (!ctx)
		return false;
	giving->ksak = BN_CTX_get(ctx);
	giving->v = BN_CTX_get(ctx);
	giving->hs = BN_CTX_get(ctx);
	giving->sum = BN_CTX_get(ctx);
	return giving->sum;
}

// v, PVT = [v]G, HS and SSK = KSAK + HS * v mod q of one attempt.
static bool key_set_make(struct giving *giving, const uint8_t *ksak, uint8_t attempt,
	const uint8_t *id, size_t id_len)
{
	uint8_t octets[P256_HASH_LEN];
	const struct hmac_part seed[] = {{id, id_len}, {&attempt, 1}};
	const struct hmac_part hashed[] = {
		{p256_get()->g, P256_POINT_LEN},
		{giving->kpak, sizeof(giving->kpak)},
		{id, id_len},
		{giving->pvt, sizeof(giving->pvt)},
	};
	return eccsi_nonce(ksak, seed, 2, giving->nonce) == 0 &&
	       BN_bin2bn(giving->nonce, sizeof(giving->nonce), giving->v) &&
	       public_make(giving->v, giving->pvt, giving->ctx) &&
	       p256_hash(hashed, 4, octets, giving->hs, giving->ctx) &&
	       p256_multiply(giving->sum, giving->hs, giving->v, giving->ctx) &&
	       p256_add(giving->sum, giving->sum, giving->ksak);
}

enum eccsi_status eccsi_ssk_make(const uint8_t ksak[ECCSI_SCALAR_LEN], const uint8_t *id,
	size_t id_len, uint8_t ssk[ECCSI_SCALAR_LEN], uint8_t pvt[ECCSI_POINT_LEN])
{
	enum eccsi_status status = ECCSI_LIBRARY;
	struct giving giving;
	if (!giving_begin(&giving))
		goto out;
	status = ECCSI_ID;
	if (id_len == 0 || id_len > ECCSI_ID_MAX)
		goto out;
	status = ECCSI_KSAK;
	if (!p256_scalar_read(ksak, giving.ksak))
		goto out;
	status = ECCSI_LIBRARY;
	if (!public_make(giving.ksak, giving.kpak, giving.ctx))
		goto out;
	for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
		if (!key_set_make(&giving, ksak, (uint8_t)attempt, id, id_len))
			goto out;
		// 5.1.1: neither may be zero; another v then.
		if (BN_is_zero(giving.hs) || BN_is_zero(giving.sum))
			continue;
		if (BN_bn2binpad(giving.sum, ssk, ECCSI_SCALAR_LEN) != ECCSI_SCALAR_LEN)
			goto out;
		memcpy(pvt, giving.pvt, sizeof(giving.pvt));
		status = ECCSI_OK;
		break;
	}
out:
	p256_end(giving.ctx);
	secmem_wipe(&giving, sizeof(giving));
	return status;
}
