// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <openssl/bn.h>
#include <openssl/ec.h>

#include "crypto/hmac.h"

// What ECCSI needs of P-256 and of the integers modulo its order q, by OpenSSL. Numbers come from a
// BN_CTX of p256_begin(), which p256_end() clears with all that was in it. Any thread. A function
// that returns bool says false if the library failed, and nothing but that.

enum { P256_SCALAR_LEN = 32, P256_POINT_LEN = 65, P256_HASH_LEN = 32 };

struct p256 {
	EC_GROUP *group;
	BIGNUM *q;
	BIGNUM *q_minus_2;
	BN_MONT_CTX *mont; // modulo q
	uint8_t g[P256_POINT_LEN];
};

// The curve, made once; NULL if the library failed.
const struct p256 *p256_get(void);

// A context for secret numbers, NULL if the library failed.
BN_CTX *p256_begin(void);

// Frees and clears ctx, then the stack below. NULL is allowed.
void p256_end(BN_CTX *ctx);

// Reads a scalar into a number of ctx. False if it is not in [1, q - 1] or the library failed.
bool p256_scalar_read(const uint8_t octets[P256_SCALAR_LEN], BIGNUM *scalar);

// Reads an uncompressed point: on the curve, coordinates below p, never the point at infinity.
// NULL if it is none or the library failed. The caller gives it to EC_POINT_clear_free().
EC_POINT *p256_point_read(const uint8_t octets[P256_POINT_LEN], BN_CTX *ctx);

// Writes a point that is not the point at infinity.
bool p256_point_write(const EC_POINT *point, uint8_t octets[P256_POINT_LEN], BN_CTX *ctx);

// [scalar]G in constant time; the caller frees it. NULL if the library failed.
EC_POINT *p256_base_multiply(const BIGNUM *scalar, BN_CTX *ctx);

// r = a * b mod q and r = a + b mod q and r = a^-1 mod q, in constant time, for numbers in [0, q).
bool p256_multiply(BIGNUM *r, const BIGNUM *a, const BIGNUM *b, BN_CTX *ctx);
bool p256_add(BIGNUM *r, const BIGNUM *a, const BIGNUM *b);
bool p256_invert(BIGNUM *r, const BIGNUM *a, BN_CTX *ctx);

// SHA-256 of the parts one after the other, as octets and, reduced modulo q, as a number if hash
// is not NULL.
bool p256_hash(const struct hmac_part *parts, size_t n_parts, uint8_t octets[P256_HASH_LEN],
	BIGNUM *hash, BN_CTX *ctx);
