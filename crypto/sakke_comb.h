// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include "crypto/mp1024.h"
#include "crypto/sakke_point.h"

// [k]S for a fixed S of order q, and g^k, by combs: k is written as 1,026 digits that are all 1 or
// -1, which fall into 9 blocks of 6 teeth of 19 columns. A column of a block chooses one of 32
// points and its sign; 19 doublings and 171 additions do it, for every k. Tables are public, k is
// secret: constant time, and every choice reads its whole block of the table.
//
// No allocation, any thread; temporaries stay on the stack.

enum {
	SAKKE_COMB_TEETH = 6,
	SAKKE_COMB_BLOCKS = 9,
	SAKKE_COMB_COLUMNS = 19,
	SAKKE_COMB_DIGITS = SAKKE_COMB_TEETH * SAKKE_COMB_BLOCKS * SAKKE_COMB_COLUMNS,
	SAKKE_COMB_CHOICES = 1 << (SAKKE_COMB_TEETH - 1)
};

struct sakke_comb {
	struct sakke_point points[SAKKE_COMB_BLOCKS][SAKKE_COMB_CHOICES];
};

// Precomputed powers of g, elements of PF_p.
struct sakke_g_comb {
	struct mp1024 powers[SAKKE_COMB_BLOCKS][SAKKE_COMB_CHOICES];
};

// A scalar as the combs take it: bit i is set if digit i is 1.
struct sakke_digits {
	uint64_t bits[MP1024_LIMBS + 1];
};

// An element of F_p^2, a + i b. In PF_p it stands for b / a.
struct sakke_fp2 {
	struct mp1024 a;
	struct mp1024 b;
};

// The comb of a point of order q. Variable time.
void sakke_comb_make(struct sakke_comb *comb, const struct sakke_point *point);

// The combs of P and g, made once.
const struct sakke_comb *sakke_base_comb(void);
const struct sakke_g_comb *sakke_g_comb(void);

// Digits of a plain scalar below q.
void sakke_digits_make(struct sakke_digits *digits, const struct mp1024 *scalar);

// r = [k]S. The point at infinity if k is 0, or if the sum met equal or opposite terms: their
// difference is then a multiple of q, not 0, which it can be only once 1,020 of the digits that make
// it up are used, so it happens for fewer than one k in 2^700.
void sakke_comb_multiply(
	struct sakke_jacobian *r, const struct sakke_comb *comb, const struct sakke_digits *k);

// r = [k]S + [l]T, in little more than the time of one.
void sakke_comb_multiply_two(struct sakke_jacobian *r, const struct sakke_comb *s,
	const struct sakke_digits *k, const struct sakke_comb *t, const struct sakke_digits *l);

// r = g^k.
void sakke_g_comb_power(
	struct sakke_fp2 *r, const struct sakke_g_comb *comb, const struct sakke_digits *k);

// t = b / a, 0 if a is 0.
void sakke_fp2_normalise(struct mp1024 *t, const struct sakke_fp2 *f);

// r = f^2.
void sakke_fp2_square(struct sakke_fp2 *r, const struct sakke_fp2 *f);
