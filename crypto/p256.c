// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/p256.h"

#include <pthread.h>

#include <openssl/evp.h>
#include <openssl/obj_mac.h>

#include "crypto/stack_wipe.h"

static pthread_once_t curve_once = PTHREAD_ONCE_INIT;
static struct p256 curve;
static bool curve_made;

static void curve_make(void)
{
	BN_CTX *ctx = BN_CTX_new();
	curve.group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
	curve.q = BN_new();
	curve.q_minus_2 = BN_new();
	curve.mont = BN_MONT_CTX_new();
	curve_made = ctx && curve.group && curve.q && curve.q_minus_2 && curve.mont &&
		     EC_GROUP_get_order(curve.group, curve.q, ctx) &&
		     BN_copy(curve.q_minus_2, curve.q) && BN_sub_word(curve.q_minus_2, 2) &&
		     BN_MONT_CTX_set(curve.mont, curve.q, ctx) &&
		     EC_POINT_point2oct(curve.group, EC_GROUP_get0_generator(curve.group),
			     POINT_CONVERSION_UNCOMPRESSED, curve.g, sizeof(curve.g),
			     ctx) == sizeof(curve.g);
	BN_CTX_free(ctx);
}

const struct p256 *p256_get(void)
{
	pthread_once(&curve_once, curve_make);
	return curve_made ? &curve : NULL;
}

BN_CTX *p256_begin(void)
{
	BN_CTX *ctx = p256_get() ? BN_CTX_secure_new() : NULL;
	if (ctx)
		BN_CTX_start(ctx);
	return ctx;
}

void p256_end(BN_CTX *ctx)
{
	if (ctx) {
		BN_CTX_end(ctx);
		BN_CTX_free(ctx);
	}
	stack_wipe();
}

bool p256_scalar_read(const uint8_t octets[P256_SCALAR_LEN], BIGNUM *scalar)
{
	return BN_bin2bn(octets, P256_SCALAR_LEN, scalar) && !BN_is_zero(scalar) &&
	       BN_cmp(scalar, curve.q) < 0;
}

EC_POINT *p256_point_read(const uint8_t octets[P256_POINT_LEN], BN_CTX *ctx)
{
	if (octets[0] != POINT_CONVERSION_UNCOMPRESSED)
		return NULL;
	EC_POINT *point = EC_POINT_new(curve.group);
	if (point && EC_POINT_oct2point(curve.group, point, octets, P256_POINT_LEN, ctx))
		return point;
	EC_POINT_free(point);
	return NULL;
}

bool p256_point_write(const EC_POINT *point, uint8_t octets[P256_POINT_LEN], BN_CTX *ctx)
{
	return EC_POINT_point2oct(curve.group, point, POINT_CONVERSION_UNCOMPRESSED, octets,
		       P256_POINT_LEN, ctx) == P256_POINT_LEN;
}

EC_POINT *p256_base_multiply(const BIGNUM *scalar, BN_CTX *ctx)
{
	EC_POINT *point = EC_POINT_new(curve.group);
	// With G alone the library neither looks at the scalar's size nor branches on its bits.
	if (point && EC_POINT_mul(curve.group, point, scalar, NULL, NULL, ctx))
		return point;
	EC_POINT_clear_free(point);
	return NULL;
}

bool p256_multiply(BIGNUM *r, const BIGNUM *a, const BIGNUM *b, BN_CTX *ctx)
{
	// a * b / R, then times R: no division.
	return BN_mod_mul_montgomery(r, a, b, curve.mont, ctx) &&
	       BN_to_montgomery(r, r, curve.mont, ctx);
}

bool p256_add(BIGNUM *r, const BIGNUM *a, const BIGNUM *b)
{
	return BN_mod_add_quick(r, a, b, curve.q);
}

bool p256_invert(BIGNUM *r, const BIGNUM *a, BN_CTX *ctx)
{
	// Fermat: the exponent is public and the same for all.
	return BN_mod_exp_mont_consttime(r, a, curve.q_minus_2, curve.q, ctx, curve.mont);
}

bool p256_hash(const struct hmac_part *parts, size_t n_parts, uint8_t octets[P256_HASH_LEN],
	BIGNUM *hash, BN_CTX *ctx)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	for (size_t i = 0; ok && i < n_parts; i++)
		ok = EVP_DigestUpdate(md, parts[i].octets, parts[i].len);
	ok = ok && EVP_DigestFinal_ex(md, octets, NULL);
	EVP_MD_CTX_free(md);
	return ok && (!hash || (BN_bin2bn(octets, P256_HASH_LEN, hash) &&
				       BN_nnmod(hash, hash, curve.q, ctx)));
}
