// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/eccsi.h"

#include <stdbool.h>
#include <string.h>

#include <openssl/rand.h>

#include "base/secmem.h"
#include "crypto/eccsi_nonce.h"
#include "crypto/p256.h"

enum {
	// Of these, each fails with a probability below 2^-30.
	ATTEMPTS_MAX = 4,
	RANDOM_LEN = 32
};

const char *eccsi_status_text(enum eccsi_status status)
{
	static const char *const texts[] = {
#define _(name, text) [ECCSI_##name] = (text),
		ECCSI_STATUSES(_)
#undef _
	};
	return texts[status];
}

static bool id_ok(size_t id_len)
{
	return id_len > 0 && id_len <= ECCSI_ID_MAX;
}

// HS = hash(G || KPAK || ID || PVT), which is not 0 modulo q for any key set that a KMS gives.
static bool hs_hash(const struct eccsi_signer *signer, const uint8_t *pvt,
	uint8_t octets[P256_HASH_LEN], BIGNUM *hs, BN_CTX *ctx)
{
	const struct hmac_part parts[] = {
		{p256_get()->g, P256_POINT_LEN},
		{signer->kpak, ECCSI_POINT_LEN},
		{signer->id, signer->id_len},
		{pvt, ECCSI_POINT_LEN},
	};
	return p256_hash(parts, 4, octets, hs, ctx);
}

// HE = hash(HS || r || M).
static bool he_hash(const uint8_t hs[P256_HASH_LEN], const uint8_t r[ECCSI_SCALAR_LEN],
	const uint8_t *message, size_t len, BIGNUM *he, BN_CTX *ctx)
{
	uint8_t octets[P256_HASH_LEN];
	const struct hmac_part parts[] = {
		{hs, P256_HASH_LEN}, {r, ECCSI_SCALAR_LEN}, {message, len}};
	return p256_hash(parts, 3, octets, he, ctx);
}

// Y = [HS]PVT + KPAK, the signer's public key. Variable time.
static EC_POINT *y_make(const BIGNUM *hs, const EC_POINT *pvt, const EC_POINT *kpak, BN_CTX *ctx)
{
	const EC_GROUP *group = p256_get()->group;
	EC_POINT *y = EC_POINT_new(group);
	if (y && EC_POINT_mul(group, y, NULL, pvt, hs, ctx) && EC_POINT_add(group, y, y, kpak, ctx))
		return y;
	EC_POINT_free(y);
	return NULL;
}

enum eccsi_status eccsi_kpak_check(const uint8_t kpak[ECCSI_POINT_LEN])
{
	BN_CTX *ctx = p256_begin();
	EC_POINT *point = ctx ? p256_point_read(kpak, ctx) : NULL;
	enum eccsi_status status = !ctx ? ECCSI_LIBRARY : point ? ECCSI_OK : ECCSI_KPAK;
	EC_POINT_free(point);
	p256_end(ctx);
	return status;
}

// The points of a signer and of his PVT, which the caller frees, whatever the status.
static enum eccsi_status signer_read(const struct eccsi_signer *signer,
	const uint8_t pvt[ECCSI_POINT_LEN], EC_POINT **kpak_point, EC_POINT **pvt_point,
	BN_CTX *ctx)
{
	if (!id_ok(signer->id_len))
		return ECCSI_ID;
	*kpak_point = p256_point_read(signer->kpak, ctx);
	if (!*kpak_point)
		return ECCSI_KPAK;
	*pvt_point = p256_point_read(pvt, ctx);
	return *pvt_point ? ECCSI_OK : ECCSI_PVT;
}

enum eccsi_status eccsi_ssk_validate(const struct eccsi_signer *signer,
	const uint8_t ssk[ECCSI_SCALAR_LEN], const uint8_t pvt[ECCSI_POINT_LEN])
{
	EC_POINT *kpak_point = NULL, *pvt_point = NULL, *y = NULL, *public = NULL;
	enum eccsi_status status = ECCSI_LIBRARY;
	BN_CTX *ctx = p256_begin();
	BIGNUM *scalar = ctx ? BN_CTX_get(ctx) : NULL, *hs = ctx ? BN_CTX_get(ctx) : NULL;
	if (!hs)
		goto out;
	status = signer_read(signer, pvt, &kpak_point, &pvt_point, ctx);
	if (status != ECCSI_OK)
		goto out;
	status = ECCSI_SSK;
	if (!p256_scalar_read(ssk, scalar))
		goto out;
	status = ECCSI_LIBRARY;
	uint8_t octets[P256_HASH_LEN];
	if (!hs_hash(signer, pvt, octets, hs, ctx))
		goto out;
	y = y_make(hs, pvt_point, kpak_point, ctx);
	public = p256_base_multiply(scalar, ctx);
	if (!y || !public)
		goto out;
	int differ = EC_POINT_cmp(p256_get()->group, y, public, ctx);
	if (differ >= 0)
		status = differ == 0 && !BN_is_zero(hs) ? ECCSI_OK : ECCSI_KEY_SET;
out:
	EC_POINT_free(kpak_point);
	EC_POINT_free(pvt_point);
	EC_POINT_free(y);
	EC_POINT_clear_free(public);
	p256_end(ctx);
	return status;
}

// What signing needs; all numbers are of ctx.
struct signing {
	BN_CTX *ctx;
	BIGNUM *ssk, *j, *r, *s, *he;
	uint8_t hs[P256_HASH_LEN];
	uint8_t nonce[ECCSI_NONCE_LEN];
};

static bool signing_begin(struct signing *signing)
{
	memset(signing, 0, sizeof(*signing));
	BN_CTX *ctx = signing->ctx = p256_begin();
	if (!ctx)
		return false;
	signing->ssk = BN_CTX_get(ctx);
	signing->j = BN_CTX_get(ctx);
	signing->r = BN_CTX_get(ctx);
	signing->s = BN_CTX_get(ctx);
	signing->he = BN_CTX_get(ctx);
	return signing->he;
}

static void signing_end(struct signing *signing)
{
	p256_end(signing->ctx);
	secmem_wipe(signing, sizeof(*signing));
}

// j from SSK, HS || M and fresh random octets.
static bool j_draw(struct signing *signing, const uint8_t *ssk, const uint8_t *message, size_t len)
{
	uint8_t random[RANDOM_LEN];
	const struct hmac_part seed[] = {
		{random, sizeof(random)}, {signing->hs, sizeof(signing->hs)}, {message, len}};
	bool ok = RAND_priv_bytes(random, sizeof(random)) == 1 &&
		  eccsi_nonce(ssk, seed, 3, signing->nonce) == 0 &&
		  BN_bin2bn(signing->nonce, sizeof(signing->nonce), signing->j);
	secmem_wipe(random, sizeof(random));
	return ok;
}

// r = Jx of J = [j]G, to signature[0..31] as well.
static bool r_make(struct signing *signing, uint8_t signature[ECCSI_SIGNATURE_LEN])
{
	EC_POINT *point = p256_base_multiply(signing->j, signing->ctx);
	bool ok = point && EC_POINT_get_affine_coordinates(
				   p256_get()->group, point, signing->r, NULL, signing->ctx);
	EC_POINT_clear_free(point);
	return ok && BN_bn2binpad(signing->r, signature, ECCSI_SCALAR_LEN) == ECCSI_SCALAR_LEN;
}

// s = (HE + r * SSK)^-1 * j mod q, to signature[32..63] as well. False for *status ECCSI_OK: s is
// 0, or r not below q, and another j is needed.
static bool s_make(
	struct signing *signing, enum eccsi_status *status, uint8_t signature[ECCSI_SIGNATURE_LEN])
{
	BIGNUM *s = signing->s;
	*status = ECCSI_OK;
	if (BN_is_zero(signing->r) || BN_cmp(signing->r, p256_get()->q) >= 0)
		return false;
	*status = ECCSI_LIBRARY;
	if (!p256_multiply(s, signing->r, signing->ssk, signing->ctx) ||
		!p256_add(s, s, signing->he) || !p256_invert(s, s, signing->ctx) ||
		!p256_multiply(s, s, signing->j, signing->ctx) ||
		BN_bn2binpad(s, signature + ECCSI_SCALAR_LEN, ECCSI_SCALAR_LEN) < 0)
		return false;
	*status = ECCSI_OK;
	return !BN_is_zero(s);
}

static enum eccsi_status message_sign(struct signing *signing, const uint8_t *ssk,
	const uint8_t *message, size_t len, uint8_t signature[ECCSI_SIGNATURE_LEN])
{
	for (int attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
		enum eccsi_status status;
		if (!j_draw(signing, ssk, message, len) || !r_make(signing, signature) ||
			!he_hash(signing->hs, signature, message, len, signing->he, signing->ctx))
			return ECCSI_LIBRARY;
		if (s_make(signing, &status, signature))
			return ECCSI_OK;
		if (status != ECCSI_OK)
			return status;
	}
	return ECCSI_LIBRARY;
}

enum eccsi_status eccsi_sign(const struct eccsi_signer *signer, const uint8_t ssk[ECCSI_SCALAR_LEN],
	const uint8_t pvt[ECCSI_POINT_LEN], const uint8_t *message, size_t len,
	uint8_t signature[ECCSI_SIGNATURE_LEN])
{
	EC_POINT *kpak_point = NULL, *pvt_point = NULL;
	enum eccsi_status status = ECCSI_LIBRARY;
	struct signing signing;
	if (!signing_begin(&signing))
		goto out;
	status = ECCSI_ID;
	if (!id_ok(signer->id_len))
		goto out;
	status = ECCSI_KPAK;
	kpak_point = p256_point_read(signer->kpak, signing.ctx);
	if (!kpak_point)
		goto out;
	status = ECCSI_PVT;
	pvt_point = p256_point_read(pvt, signing.ctx);
	if (!pvt_point)
		goto out;
	status = ECCSI_SSK;
	if (!p256_scalar_read(ssk, signing.ssk))
		goto out;
	status = ECCSI_LIBRARY;
	if (!hs_hash(signer, pvt, signing.hs, NULL, signing.ctx))
		goto out;
	uint8_t made[ECCSI_SIGNATURE_LEN];
	status = message_sign(&signing, ssk, message, len, made);
	if (status != ECCSI_OK)
		goto out;
	memcpy(signature, made, (size_t)2 * ECCSI_SCALAR_LEN);
	memcpy(signature + (size_t)2 * ECCSI_SCALAR_LEN, pvt, ECCSI_POINT_LEN);
out:
	EC_POINT_free(kpak_point);
	EC_POINT_free(pvt_point);
	signing_end(&signing);
	return status;
}

// Whether Jx of J = [s]([HE]G + [r]Y) is r.
static enum eccsi_status j_compare(
	const BIGNUM *r, const BIGNUM *s, BIGNUM *he, const EC_POINT *y, BN_CTX *ctx)
{
	const EC_GROUP *group = p256_get()->group;
	BIGNUM *sr = BN_CTX_get(ctx), *x = BN_CTX_get(ctx);
	EC_POINT *point = EC_POINT_new(group);
	enum eccsi_status status = ECCSI_LIBRARY;
	if (!x || !point || !p256_multiply(he, s, he, ctx) || !p256_multiply(sr, s, r, ctx) ||
		!EC_POINT_mul(group, point, he, y, sr, ctx))
		goto out;
	status = ECCSI_SIGNATURE;
	if (EC_POINT_is_at_infinity(group, point))
		goto out;
	status = ECCSI_LIBRARY;
	if (!EC_POINT_get_affine_coordinates(group, point, x, NULL, ctx))
		goto out;
	status = BN_cmp(x, r) == 0 ? ECCSI_OK : ECCSI_SIGNATURE;
out:
	EC_POINT_free(point);
	return status;
}

enum eccsi_status eccsi_verify(const struct eccsi_signer *signer, const uint8_t *message,
	size_t len, const uint8_t signature[ECCSI_SIGNATURE_LEN])
{
	const uint8_t *pvt = signature + (size_t)2 * ECCSI_SCALAR_LEN;
	EC_POINT *kpak_point = NULL, *pvt_point = NULL, *y = NULL;
	enum eccsi_status status = ECCSI_LIBRARY;
	BN_CTX *ctx = p256_begin();
	if (!ctx)
		goto out;
	BIGNUM *hs = BN_CTX_get(ctx), *he = BN_CTX_get(ctx);
	BIGNUM *r = BN_CTX_get(ctx), *s = BN_CTX_get(ctx);
	if (!s)
		goto out;
	status = signer_read(signer, pvt, &kpak_point, &pvt_point, ctx);
	if (status != ECCSI_OK)
		goto out;
	status = ECCSI_SCALAR;
	if (!p256_scalar_read(signature, r) || !p256_scalar_read(signature + ECCSI_SCALAR_LEN, s))
		goto out;
	status = ECCSI_LIBRARY;
	uint8_t octets[P256_HASH_LEN];
	if (!hs_hash(signer, pvt, octets, hs, ctx) ||
		!he_hash(octets, signature, message, len, he, ctx))
		goto out;
	y = y_make(hs, pvt_point, kpak_point, ctx);
	if (y)
		status = j_compare(r, s, he, y, ctx);
out:
	EC_POINT_free(kpak_point);
	EC_POINT_free(pvt_point);
	EC_POINT_free(y);
	p256_end(ctx);
	return status;
}
