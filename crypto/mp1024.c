// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/mp1024.h"

#include <string.h>

// Multiplication is by columns: a column's sum of up to 48 products of 128 bits fits the 192 bits of
// an accumulator. Reduction is woven in: column i < 16 chooses the multiple of m that makes the
// column zero.
//
// What comes out is below 2 m for a product of two elements, as a b / R < m m / R < m; below 3 m for
// a sum of two products. One or two subtractions of m reduce it.

__extension__ typedef unsigned __int128 uint128_t;

enum { LIMBS = MP1024_LIMBS, WINDOW_BITS = 4 };

struct accumulator {
	uint128_t low;
	uint64_t high;
};

static inline __attribute__((always_inline)) void accumulate(
	struct accumulator *acc, uint64_t a, uint64_t b)
{
	uint128_t product = (uint128_t)a * b;
	acc->low += product;
	acc->high += acc->low < product;
}

// Takes the lowest limb out.
static inline __attribute__((always_inline)) uint64_t accumulator_shift(struct accumulator *acc)
{
	uint64_t limb = (uint64_t)acc->low;
	acc->low = acc->low >> 64 | (uint128_t)acc->high << 64;
	acc->high = 0;
	return limb;
}

// r = t - m if t, with the limb top above it, is not below m, else t. Returns that limb of r.
static inline __attribute__((always_inline)) uint64_t subtract_once(
	uint64_t r[LIMBS], const uint64_t t[LIMBS], uint64_t top, const uint64_t m[LIMBS])
{
	uint64_t difference[LIMBS], borrow = 0;
	for (int i = 0; i < LIMBS; i++) {
		uint128_t limb = (uint128_t)t[i] - m[i] - borrow;
		difference[i] = (uint64_t)limb;
		borrow = (uint64_t)(limb >> 64) & 1;
	}
	uint64_t keep = 0 - (uint64_t)(top < borrow);
	for (int i = 0; i < LIMBS; i++)
		r[i] = (t[i] & keep) | (difference[i] & ~keep);
	return top - (borrow & ~keep);
}

void mp1024_multiply(struct mp1024 *r, const struct mp1024 *a, const struct mp1024 *b,
	const struct mp1024_modulus *m)
{
	uint64_t u[LIMBS], t[LIMBS];
	struct accumulator acc = {0, 0};
	for (int i = 0; i < LIMBS; i++) {
#pragma GCC unroll 16
		for (int j = 0; j < i; j++) {
			accumulate(&acc, a->l[j], b->l[i - j]);
			accumulate(&acc, u[j], m->m[i - j]);
		}
		accumulate(&acc, a->l[i], b->l[0]);
		u[i] = (uint64_t)acc.low * m->m_inverse;
		accumulate(&acc, u[i], m->m[0]);
		accumulator_shift(&acc);
	}
	for (int i = LIMBS; i < 2 * LIMBS; i++) {
#pragma GCC unroll 16
		for (int j = i - LIMBS + 1; j < LIMBS; j++) {
			accumulate(&acc, a->l[j], b->l[i - j]);
			accumulate(&acc, u[j], m->m[i - j]);
		}
		t[i - LIMBS] = accumulator_shift(&acc);
	}
	subtract_once(r->l, t, (uint64_t)acc.low, m->m);
}

// Column i of a * a: what lies off the diagonal counts twice.
static inline __attribute__((always_inline)) void square_column(
	struct accumulator *acc, const uint64_t a[LIMBS], int i)
{
	struct accumulator half = {0, 0};
	for (int j = i < LIMBS ? 0 : i - LIMBS + 1; 2 * j < i; j++)
		accumulate(&half, a[j], a[i - j]);
	// 2 half, at most 2 * 8 * 2^128, carries into the accumulator's high limb.
	half.high = half.high << 1 | (uint64_t)(half.low >> 127);
	half.low <<= 1;
	acc->low += half.low;
	acc->high += half.high + (acc->low < half.low);
	if (i % 2 == 0)
		accumulate(acc, a[i / 2], a[i / 2]);
}

void mp1024_square(struct mp1024 *r, const struct mp1024 *a, const struct mp1024_modulus *m)
{
	uint64_t u[LIMBS], t[LIMBS];
	struct accumulator acc = {0, 0};
	for (int i = 0; i < LIMBS; i++) {
		square_column(&acc, a->l, i);
#pragma GCC unroll 16
		for (int j = 0; j < i; j++)
			accumulate(&acc, u[j], m->m[i - j]);
		u[i] = (uint64_t)acc.low * m->m_inverse;
		accumulate(&acc, u[i], m->m[0]);
		accumulator_shift(&acc);
	}
	for (int i = LIMBS; i < 2 * LIMBS; i++) {
		if (i < 2 * LIMBS - 1)
			square_column(&acc, a->l, i);
#pragma GCC unroll 16
		for (int j = i - LIMBS + 1; j < LIMBS; j++)
			accumulate(&acc, u[j], m->m[i - j]);
		t[i - LIMBS] = accumulator_shift(&acc);
	}
	subtract_once(r->l, t, (uint64_t)acc.low, m->m);
}

void mp1024_multiply_add(struct mp1024 *r, const struct mp1024 *a, const struct mp1024 *b,
	const struct mp1024 *c, const struct mp1024 *d, const struct mp1024_modulus *m)
{
	uint64_t u[LIMBS], t[LIMBS];
	struct accumulator acc = {0, 0};
	for (int i = 0; i < LIMBS; i++) {
#pragma GCC unroll 16
		for (int j = 0; j < i; j++) {
			accumulate(&acc, a->l[j], b->l[i - j]);
			accumulate(&acc, c->l[j], d->l[i - j]);
			accumulate(&acc, u[j], m->m[i - j]);
		}
		accumulate(&acc, a->l[i], b->l[0]);
		accumulate(&acc, c->l[i], d->l[0]);
		u[i] = (uint64_t)acc.low * m->m_inverse;
		accumulate(&acc, u[i], m->m[0]);
		accumulator_shift(&acc);
	}
	for (int i = LIMBS; i < 2 * LIMBS; i++) {
#pragma GCC unroll 16
		for (int j = i - LIMBS + 1; j < LIMBS; j++) {
			accumulate(&acc, a->l[j], b->l[i - j]);
			accumulate(&acc, c->l[j], d->l[i - j]);
			accumulate(&acc, u[j], m->m[i - j]);
		}
		t[i - LIMBS] = accumulator_shift(&acc);
	}
	uint64_t top = subtract_once(t, t, (uint64_t)acc.low, m->m);
	subtract_once(r->l, t, top, m->m);
}

void mp1024_add(struct mp1024 *r, const struct mp1024 *a, const struct mp1024 *b,
	const struct mp1024_modulus *m)
{
	uint64_t t[LIMBS];
	uint128_t carry = 0;
	for (int i = 0; i < LIMBS; i++) {
		carry += (uint128_t)a->l[i] + b->l[i];
		t[i] = (uint64_t)carry;
		carry >>= 64;
	}
	subtract_once(r->l, t, (uint64_t)carry, m->m);
}

void mp1024_subtract(struct mp1024 *r, const struct mp1024 *a, const struct mp1024 *b,
	const struct mp1024_modulus *m)
{
	uint64_t t[LIMBS], borrow = 0;
	uint128_t carry = 0;
	for (int i = 0; i < LIMBS; i++) {
		uint128_t limb = (uint128_t)a->l[i] - b->l[i] - borrow;
		t[i] = (uint64_t)limb;
		borrow = (uint64_t)(limb >> 64) & 1;
	}
	uint64_t negative = 0 - borrow;
	for (int i = 0; i < LIMBS; i++) {
		carry += (uint128_t)t[i] + (m->m[i] & negative);
		r->l[i] = (uint64_t)carry;
		carry >>= 64;
	}
}

void mp1024_negate(struct mp1024 *r, const struct mp1024 *a, const struct mp1024_modulus *m)
{
	static const struct mp1024 zero;
	mp1024_subtract(r, &zero, a, m);
}

// Fermat: a^(m - 2), in windows of the exponent, which is public.
void mp1024_invert(struct mp1024 *r, const struct mp1024 *a, const struct mp1024_modulus *m)
{
	struct mp1024 powers[1 << WINDOW_BITS], x = m->one;
	powers[0] = m->one;
	for (int i = 1; i < 1 << WINDOW_BITS; i++)
		mp1024_multiply(&powers[i], &powers[i - 1], a, m);
	for (int i = 64 * LIMBS - WINDOW_BITS; i >= 0; i -= WINDOW_BITS) {
		for (int j = 0; j < WINDOW_BITS; j++)
			mp1024_square(&x, &x, m);
		uint64_t limb = m->m[i / 64] - (i < 64 ? 2 : 0); // both moduli end in more than 2
		mp1024_multiply(&x, &x, &powers[limb >> i % 64 & ((1 << WINDOW_BITS) - 1)], m);
	}
	*r = x;
}

bool mp1024_invert_all(
	struct mp1024 *elements, struct mp1024 *scratch, size_t n, const struct mp1024_modulus *m)
{
	struct mp1024 inverse;
	scratch[0] = elements[0];
	for (size_t i = 1; i < n; i++)
		mp1024_multiply(&scratch[i], &scratch[i - 1], &elements[i], m);
	mp1024_invert(&inverse, &scratch[n - 1], m);
	for (size_t i = n - 1; i > 0; i--) {
		struct mp1024 product;
		mp1024_multiply(&product, &inverse, &scratch[i - 1], m);
		mp1024_multiply(&inverse, &inverse, &elements[i], m);
		elements[i] = product;
	}
	elements[0] = inverse;
	return !mp1024_is_zero(&scratch[n - 1]);
}

bool mp1024_is_zero(const struct mp1024 *a)
{
	uint64_t any = 0;
	for (int i = 0; i < LIMBS; i++)
		any |= a->l[i];
	return any == 0;
}

bool mp1024_equal(const struct mp1024 *a, const struct mp1024 *b)
{
	uint64_t any = 0;
	for (int i = 0; i < LIMBS; i++)
		any |= a->l[i] ^ b->l[i];
	return any == 0;
}

void mp1024_choose(struct mp1024 *r, const struct mp1024 *from, bool choose)
{
	uint64_t mask = 0 - (uint64_t)choose;
	for (int i = 0; i < LIMBS; i++)
		r->l[i] = (r->l[i] & ~mask) | (from->l[i] & mask);
}

void mp1024_reduce(struct mp1024 *r, const struct mp1024 *subtrahend)
{
	subtract_once(r->l, r->l, 0, subtrahend->l);
}

void mp1024_plain_read(struct mp1024 *r, const uint8_t octets[MP1024_LEN])
{
	for (int i = 0; i < LIMBS; i++) {
		uint64_t limb = 0;
		for (int j = 0; j < 8; j++)
			limb = limb << 8 | octets[8 * (LIMBS - 1 - i) + j];
		r->l[i] = limb;
	}
}

bool mp1024_plain_below(const struct mp1024 *a, const struct mp1024_modulus *m)
{
	uint64_t borrow = 0;
	for (int i = 0; i < LIMBS; i++)
		borrow = (uint64_t)(((uint128_t)a->l[i] - m->m[i] - borrow) >> 64) & 1;
	return borrow != 0;
}

void mp1024_from_plain(struct mp1024 *r, const struct mp1024 *plain, const struct mp1024_modulus *m)
{
	mp1024_multiply(r, plain, &m->r2, m);
}

void mp1024_to_plain(struct mp1024 *plain, const struct mp1024 *a, const struct mp1024_modulus *m)
{
	static const struct mp1024 one = {{1}};
	mp1024_multiply(plain, a, &one, m);
}

bool mp1024_read(struct mp1024 *r, const uint8_t octets[MP1024_LEN], const struct mp1024_modulus *m)
{
	mp1024_plain_read(r, octets);
	if (!mp1024_plain_below(r, m))
		return false;
	mp1024_from_plain(r, r, m);
	return true;
}

void mp1024_write(
	const struct mp1024 *a, uint8_t octets[MP1024_LEN], const struct mp1024_modulus *m)
{
	struct mp1024 plain;
	mp1024_to_plain(&plain, a, m);
	for (int i = 0; i < LIMBS; i++) {
		for (int j = 0; j < 8; j++)
			octets[8 * (LIMBS - 1 - i) + j] = (uint8_t)(plain.l[i] >> (56 - 8 * j));
	}
}
