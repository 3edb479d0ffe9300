// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/sakke_miller.h"

enum { LIMB_BITS = 64 };

// The loop computes f_(q-1), which differs from f_q by a vertical line. It runs over the
// non-adjacent form of q - 1, whose digit i is bit i + 1 of 3 (q - 1) minus bit i + 1 of q - 1.
static const uint64_t q_minus_1_thrice[MP1024_LIMBS] = {0x8cd2205c3efe47ee, 0x6094674c815c1ae5,
	0xfdaaee1aa7241e44, 0xf7afa10380f15757, 0xfddb6d3d952d073f, 0x4903f77e2523dfe1,
	0x3ce0145a0c0e15a9, 0xa9d14b6565d0799f, 0xe811ddf77cccfd1c, 0xadad46b7f9d66792,
	0x59e5649fe53c3584, 0x3708005dea3d0b54, 0x4ef42a8286e813a3, 0xb11109a9358761c9,
	0xcc548d32a41c4c1b, 0x731c0c5747c0afe3};

static int bit(const uint64_t limbs[MP1024_LIMBS], int i)
{
	return (int)(limbs[i / LIMB_BITS] >> i % LIMB_BITS & 1);
}

// -1, 0 or 1. q is odd, and bit 0 is never asked for.
static int digit(int i)
{
	return bit(q_minus_1_thrice, i + 1) - bit(sakke_q.m, i + 1);
}

static void multiply(struct mp1024 *r, const struct mp1024 *a, const struct mp1024 *b)
{
	mp1024_multiply(r, a, b, &sakke_p);
}

// The line that touches E at T, and its common denominator Z3 Z^2, with Z3 = 2 Y Z:
// lambda = M Z^2, constant = M X - 2 Y^2, M = 3 (X - Z^2) (X + Z^2). Then T = 2 T.
static void tangent_make(
	struct sakke_line *line, struct mp1024 *denominator, struct sakke_jacobian *t)
{
	struct mp1024 zz, m, sum, difference, yy;
	mp1024_square(&zz, &t->z, &sakke_p);
	mp1024_add(&sum, &t->x, &zz, &sakke_p);
	mp1024_subtract(&difference, &t->x, &zz, &sakke_p);
	multiply(&sum, &sum, &difference);
	mp1024_add(&m, &sum, &sum, &sakke_p);
	mp1024_add(&m, &m, &sum, &sakke_p);
	mp1024_square(&yy, &t->y, &sakke_p);
	mp1024_add(&yy, &yy, &yy, &sakke_p);
	multiply(&line->slope, &m, &zz);
	multiply(&line->constant, &m, &t->x);
	mp1024_subtract(&line->constant, &line->constant, &yy, &sakke_p);
	sakke_jacobian_double(t, t);
	multiply(denominator, &t->z, &zz);
}

// The line through T and the point s, and its common denominator Z3 = Z H: lambda = r,
// constant = r x_s - y_s Z3, H = x_s Z^2 - X, r = y_s Z^3 - Y. Then T = T + s.
static void chord_make(struct sakke_line *line, struct mp1024 *denominator,
	struct sakke_jacobian *t, const struct sakke_point *s)
{
	struct mp1024 zzz, product;
	mp1024_square(&zzz, &t->z, &sakke_p);
	multiply(&zzz, &zzz, &t->z);
	multiply(&line->slope, &s->y, &zzz);
	mp1024_subtract(&line->slope, &line->slope, &t->y, &sakke_p);
	sakke_jacobian_add(t, t, s);
	multiply(&line->constant, &line->slope, &s->x);
	multiply(&product, &s->y, &t->z);
	mp1024_subtract(&line->constant, &line->constant, &product, &sakke_p);
	*denominator = t->z;
}

bool sakke_miller_make(struct sakke_miller *table, struct sakke_miller_scratch *scratch,
	const struct sakke_point *s)
{
	struct sakke_point negated;
	struct sakke_jacobian t;
	int n = 0;
	sakke_jacobian_set(&t, s);
	sakke_point_negate(&negated, s);
	for (int i = SAKKE_MILLER_DOUBLINGS - 1; i >= 0; i--) {
		tangent_make(&table->lines[n], &scratch->denominators[n], &t);
		n++;
		if (digit(i) == 0)
			continue;
		chord_make(&table->lines[n], &scratch->denominators[n], &t,
			digit(i) > 0 ? s : &negated);
		n++;
	}
	if (!mp1024_invert_all(
		    scratch->denominators, scratch->products, SAKKE_MILLER_LINES, &sakke_p))
		return false;
	for (n = 0; n < SAKKE_MILLER_LINES; n++) {
		struct sakke_line *line = &table->lines[n];
		multiply(&line->slope, &line->slope, &scratch->denominators[n]);
		multiply(&line->constant, &line->constant, &scratch->denominators[n]);
	}
	// T is [q - 1]S now.
	return sakke_jacobian_is(&t, &negated);
}

// f *= i + lambda x_over_y + c one_over_y.
static void line_multiply(struct sakke_fp2 *f, const struct sakke_line *line,
	const struct mp1024 *x_over_y, const struct mp1024 *one_over_y)
{
	struct mp1024 real, a, b;
	mp1024_multiply_add(&real, &line->slope, x_over_y, &line->constant, one_over_y, &sakke_p);
	multiply(&a, &f->a, &real);
	multiply(&b, &f->b, &real);
	mp1024_subtract(&a, &a, &f->b, &sakke_p);
	mp1024_add(&f->b, &b, &f->a, &sakke_p);
	f->a = a;
}

void sakke_miller_pair(
	struct sakke_fp2 *f, const struct sakke_miller *table, const struct sakke_point *r)
{
	const struct sakke_line *line = table->lines;
	struct mp1024 x_over_y, one_over_y;
	mp1024_invert(&one_over_y, &r->y, &sakke_p);
	multiply(&x_over_y, &r->x, &one_over_y);
	*f = (struct sakke_fp2){.a = sakke_p.one};
	for (int i = SAKKE_MILLER_DOUBLINGS - 1; i >= 0; i--) {
		sakke_fp2_square(f, f);
		line_multiply(f, line++, &x_over_y, &one_over_y);
		if (digit(i) != 0)
			line_multiply(f, line++, &x_over_y, &one_over_y);
	}
	// (p + 1) / q = 4; the other factor of the exponent, p - 1, takes out F_p and is what makes
	// an element of PF_p of f.
	sakke_fp2_square(f, f);
	sakke_fp2_square(f, f);
}
