// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/sakke_comb.h"

#include <pthread.h>
#include <string.h>

enum {
	TEETH = SAKKE_COMB_TEETH,
	BLOCKS = SAKKE_COMB_BLOCKS,
	COLUMNS = SAKKE_COMB_COLUMNS,
	CHOICES = SAKKE_COMB_CHOICES,
	LIMB_BITS = 64
};

static pthread_once_t fixed_once = PTHREAD_ONCE_INIT;
static struct sakke_comb base_comb;
static struct sakke_g_comb g_comb;

// What one column of one block says.
struct choice {
	unsigned index; // of the table's block
	bool negative;
};

// sum (2 b_i - 1) 2^i over n digits is 2 B - 2^n + 1, so B = (k + 2^n - 1) / 2 for an odd k, and k
// or k + q is odd: B = (k' >> 1) + 2^(n - 1). n is 1,026; k' < 2 q < 2^1023 leaves the top free.
void sakke_digits_make(struct sakke_digits *digits, const struct mp1024 *scalar)
{
	uint64_t even = (scalar->l[0] & 1) - 1, carry = 0;
	struct mp1024 odd;
	for (int i = 0; i < MP1024_LIMBS; i++) {
		uint64_t term = sakke_q.m[i] & even, sum = scalar->l[i] + term;
		odd.l[i] = sum + carry;
		carry = (uint64_t)(sum < term) | (uint64_t)(odd.l[i] < sum);
	}
	for (int i = 0; i < MP1024_LIMBS; i++) {
		uint64_t above = i + 1 < MP1024_LIMBS ? odd.l[i + 1] : 0;
		digits->bits[i] = odd.l[i] >> 1 | above << (LIMB_BITS - 1);
	}
	digits->bits[MP1024_LIMBS] = UINT64_C(1)
				     << (SAKKE_COMB_DIGITS - 1 - LIMB_BITS * MP1024_LIMBS);
}

static int digit_place(int block, int tooth, int column)
{
	return (tooth * BLOCKS + block) * COLUMNS + column;
}

// The top tooth gives the sign, and the others count relative to it.
static struct choice choice_make(const struct sakke_digits *k, int block, int column)
{
	unsigned bits = 0;
	for (int tooth = 0; tooth < TEETH; tooth++) {
		int place = digit_place(block, tooth, column);
		bits |= (unsigned)(k->bits[place / LIMB_BITS] >> place % LIMB_BITS & 1) << tooth;
	}
	unsigned negative = (bits >> (TEETH - 1)) ^ 1;
	return (struct choice){(bits ^ (0 - negative)) & (CHOICES - 1), negative};
}

// The chosen one of n values of CHOICES, all of which are read, negated as chosen.
static void element_choose(
	struct mp1024 *r, const struct mp1024 *first, size_t stride, unsigned index)
{
	memset(r, 0, sizeof(*r));
	for (unsigned i = 0; i < CHOICES; i++) {
		const struct mp1024 *element =
			(const struct mp1024 *)((const uint8_t *)first + i * stride);
		uint64_t mask = 0 - (((uint64_t)(i ^ index) - 1) >> (LIMB_BITS - 1));
		for (int j = 0; j < MP1024_LIMBS; j++)
			r->l[j] |= element->l[j] & mask;
	}
}

static void element_negate_if(struct mp1024 *r, bool negative)
{
	struct mp1024 negated;
	mp1024_negate(&negated, r, &sakke_p);
	mp1024_choose(r, &negated, negative);
}

// r += the digits of one column.
static void column_add(struct sakke_jacobian *r, const struct sakke_comb *comb,
	const struct sakke_digits *k, int column, int first_block)
{
	for (int block = first_block; block < BLOCKS; block++) {
		const struct sakke_point *points = comb->points[block];
		struct choice choice = choice_make(k, block, column);
		struct sakke_point term;
		element_choose(&term.x, &points->x, sizeof(*points), choice.index);
		element_choose(&term.y, &points->y, sizeof(*points), choice.index);
		element_negate_if(&term.y, choice.negative);
		sakke_jacobian_add(r, r, &term);
	}
}

// r = the first term of all, which needs no addition.
static void sum_start(
	struct sakke_jacobian *r, const struct sakke_comb *comb, const struct sakke_digits *k)
{
	struct choice choice = choice_make(k, 0, COLUMNS - 1);
	const struct sakke_point *points = comb->points[0];
	element_choose(&r->x, &points->x, sizeof(*points), choice.index);
	element_choose(&r->y, &points->y, sizeof(*points), choice.index);
	element_negate_if(&r->y, choice.negative);
	r->z = sakke_p.one;
}

void sakke_comb_multiply(
	struct sakke_jacobian *r, const struct sakke_comb *comb, const struct sakke_digits *k)
{
	sum_start(r, comb, k);
	column_add(r, comb, k, COLUMNS - 1, 1);
	for (int column = COLUMNS - 2; column >= 0; column--) {
		sakke_jacobian_double(r, r);
		column_add(r, comb, k, column, 0);
	}
}

void sakke_comb_multiply_two(struct sakke_jacobian *r, const struct sakke_comb *s,
	const struct sakke_digits *k, const struct sakke_comb *t, const struct sakke_digits *l)
{
	sum_start(r, s, k);
	column_add(r, s, k, COLUMNS - 1, 1);
	column_add(r, t, l, COLUMNS - 1, 0);
	for (int column = COLUMNS - 2; column >= 0; column--) {
		sakke_jacobian_double(r, r);
		column_add(r, s, k, column, 0);
		column_add(r, t, l, column, 0);
	}
}

void sakke_fp2_square(struct sakke_fp2 *r, const struct sakke_fp2 *f)
{
	struct mp1024 sum, difference, product;
	// (a + i b)^2 = (a + b)(a - b) + i 2 a b
	mp1024_add(&sum, &f->a, &f->b, &sakke_p);
	mp1024_subtract(&difference, &f->a, &f->b, &sakke_p);
	mp1024_multiply(&product, &f->a, &f->b, &sakke_p);
	mp1024_multiply(&r->a, &sum, &difference, &sakke_p);
	mp1024_add(&r->b, &product, &product, &sakke_p);
}

// f *= 1 + i t.
static void power_multiply(struct sakke_fp2 *f, const struct mp1024 *t)
{
	struct mp1024 at, bt;
	mp1024_multiply(&at, &f->a, t, &sakke_p);
	mp1024_multiply(&bt, &f->b, t, &sakke_p);
	mp1024_subtract(&f->a, &f->a, &bt, &sakke_p);
	mp1024_add(&f->b, &f->b, &at, &sakke_p);
}

void sakke_g_comb_power(
	struct sakke_fp2 *r, const struct sakke_g_comb *comb, const struct sakke_digits *k)
{
	struct sakke_fp2 f = {.a = sakke_p.one, .b = {{0}}};
	for (int column = COLUMNS - 1; column >= 0; column--) {
		sakke_fp2_square(&f, &f);
		for (int block = 0; block < BLOCKS; block++) {
			struct choice choice = choice_make(k, block, column);
			struct mp1024 t;
			// The inverse of an element of PF_p is its conjugate.
			element_choose(&t, comb->powers[block], sizeof(t), choice.index);
			element_negate_if(&t, choice.negative);
			power_multiply(&f, &t);
		}
	}
	*r = f;
}

// The points of n <= CHOICES jacobians, with one inversion. None of them is at infinity, for a point
// of order q.
static void normalise_all(
	struct sakke_point *points, const struct sakke_jacobian *jacobians, size_t n)
{
	struct mp1024 inverses[TEETH * BLOCKS], scratch[TEETH * BLOCKS];
	for (size_t i = 0; i < n; i++)
		inverses[i] = jacobians[i].z;
	mp1024_invert_all(inverses, scratch, n, &sakke_p);
	for (size_t i = 0; i < n; i++) {
		struct mp1024 zz;
		mp1024_square(&zz, &inverses[i], &sakke_p);
		mp1024_multiply(&points[i].x, &jacobians[i].x, &zz, &sakke_p);
		mp1024_multiply(&zz, &zz, &inverses[i], &sakke_p);
		mp1024_multiply(&points[i].y, &jacobians[i].y, &zz, &sakke_p);
	}
}

// [2^i]S of every place i at which a tooth stands over column 0.
static void bases_make(struct sakke_point bases[TEETH * BLOCKS], const struct sakke_point *point)
{
	struct sakke_jacobian powers[TEETH * BLOCKS], power;
	sakke_jacobian_set(&power, point);
	for (int i = 0; i < TEETH * BLOCKS; i++) {
		powers[i] = power;
		for (int j = 0; j < COLUMNS; j++)
			sakke_jacobian_double(&power, &power);
	}
	normalise_all(bases, powers, (size_t)TEETH * BLOCKS);
}

void sakke_comb_make(struct sakke_comb *comb, const struct sakke_point *point)
{
	struct sakke_point bases[TEETH * BLOCKS];
	bases_make(bases, point);
	for (int block = 0; block < BLOCKS; block++) {
		struct sakke_jacobian sums[CHOICES];
		for (unsigned i = 0; i < CHOICES; i++) {
			sakke_jacobian_set(&sums[i], &bases[(TEETH - 1) * BLOCKS + block]);
			for (int tooth = 0; tooth < TEETH - 1; tooth++) {
				struct sakke_point term = bases[tooth * BLOCKS + block];
				element_negate_if(&term.y, !(i >> tooth & 1));
				sakke_jacobian_add(&sums[i], &sums[i], &term);
			}
		}
		normalise_all(comb->points[block], sums, CHOICES);
	}
}

void sakke_fp2_normalise(struct mp1024 *t, const struct sakke_fp2 *f)
{
	struct mp1024 inverse;
	mp1024_invert(&inverse, &f->a, &sakke_p);
	mp1024_multiply(t, &f->b, &inverse, &sakke_p);
}

static void g_comb_make(struct sakke_g_comb *comb)
{
	struct sakke_fp2 power = {.a = sakke_p.one, .b = sakke_g};
	struct mp1024 bases[TEETH * BLOCKS];
	for (int i = 0; i < TEETH * BLOCKS; i++) {
		sakke_fp2_normalise(&bases[i], &power);
		for (int j = 0; j < COLUMNS; j++)
			sakke_fp2_square(&power, &power);
	}
	for (int block = 0; block < BLOCKS; block++) {
		for (unsigned i = 0; i < CHOICES; i++) {
			struct sakke_fp2 f = {.a = sakke_p.one};
			f.b = bases[(TEETH - 1) * BLOCKS + block];
			for (int tooth = 0; tooth < TEETH - 1; tooth++) {
				struct mp1024 t = bases[tooth * BLOCKS + block];
				element_negate_if(&t, !(i >> tooth & 1));
				power_multiply(&f, &t);
			}
			sakke_fp2_normalise(&comb->powers[block][i], &f);
		}
	}
}

static void fixed_make(void)
{
	sakke_comb_make(&base_comb, &sakke_base);
	g_comb_make(&g_comb);
}

const struct sakke_comb *sakke_base_comb(void)
{
	pthread_once(&fixed_once, fixed_make);
	return &base_comb;
}

const struct sakke_g_comb *sakke_g_comb(void)
{
	pthread_once(&fixed_once, fixed_make);
	return &g_comb;
}
