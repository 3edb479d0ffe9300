// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/sakke_point.h"

#include <string.h>

enum { UNCOMPRESSED = 4, LIMB_BITS = 64 };

static void multiply(struct mp1024 *r, const struct mp1024 *a, const struct mp1024 *b)
{
	mp1024_multiply(r, a, b, &sakke_p);
}

static void square(struct mp1024 *r, const struct mp1024 *a)
{
	mp1024_square(r, a, &sakke_p);
}

static void add(struct mp1024 *r, const struct mp1024 *a, const struct mp1024 *b)
{
	mp1024_add(r, a, b, &sakke_p);
}

static void subtract(struct mp1024 *r, const struct mp1024 *a, const struct mp1024 *b)
{
	mp1024_subtract(r, a, b, &sakke_p);
}

static bool on_curve(const struct sakke_point *point)
{
	struct mp1024 left, right, three;
	add(&three, &sakke_p.one, &sakke_p.one);
	add(&three, &three, &sakke_p.one);
	square(&left, &point->y);
	square(&right, &point->x);
	subtract(&right, &right, &three);
	multiply(&right, &right, &point->x);
	return mp1024_equal(&left, &right);
}

bool sakke_point_read(struct sakke_point *point, const uint8_t octets[SAKKE_POINT_LEN])
{
	return octets[0] == UNCOMPRESSED && mp1024_read(&point->x, octets + 1, &sakke_p) &&
	       mp1024_read(&point->y, octets + 1 + MP1024_LEN, &sakke_p) && on_curve(point);
}

void sakke_point_write(const struct sakke_point *point, uint8_t octets[SAKKE_POINT_LEN])
{
	octets[0] = UNCOMPRESSED;
	mp1024_write(&point->x, octets + 1, &sakke_p);
	mp1024_write(&point->y, octets + 1 + MP1024_LEN, &sakke_p);
}

void sakke_point_negate(struct sakke_point *r, const struct sakke_point *point)
{
	r->x = point->x;
	mp1024_negate(&r->y, &point->y, &sakke_p);
}

void sakke_jacobian_set(struct sakke_jacobian *r, const struct sakke_point *point)
{
	r->x = point->x;
	r->y = point->y;
	r->z = sakke_p.one;
}

// With a = -3: M = 3 (X - Z^2) (X + Z^2), S = 4 X Y^2, X3 = M^2 - 2 S, Y3 = M (S - X3) - 8 Y^4,
// Z3 = 2 Y Z.
void sakke_jacobian_double(struct sakke_jacobian *r, const struct sakke_jacobian *p)
{
	struct mp1024 zz, yy, s, m, t;
	square(&zz, &p->z);
	square(&yy, &p->y);
	multiply(&r->z, &p->y, &p->z);
	add(&r->z, &r->z, &r->z);
	multiply(&s, &p->x, &yy);
	add(&s, &s, &s);
	add(&s, &s, &s);
	subtract(&t, &p->x, &zz);
	add(&m, &p->x, &zz);
	multiply(&m, &m, &t);
	add(&t, &m, &m);
	add(&m, &m, &t);
	square(&r->x, &m);
	subtract(&r->x, &r->x, &s);
	subtract(&r->x, &r->x, &s);
	subtract(&s, &s, &r->x);
	square(&yy, &yy);
	add(&yy, &yy, &yy);
	add(&yy, &yy, &yy);
	add(&yy, &yy, &yy);
	multiply(&r->y, &m, &s);
	subtract(&r->y, &r->y, &yy);
}

// H = x2 Z1^2 - X1, r = y2 Z1^3 - Y1, V = X1 H^2, X3 = r^2 - H^3 - 2 V, Y3 = r (V - X3) - Y1 H^3,
// Z3 = Z1 H.
void sakke_jacobian_add(
	struct sakke_jacobian *r, const struct sakke_jacobian *p, const struct sakke_point *q)
{
	struct mp1024 h, hh, hhh, rise, v, negated;
	square(&hh, &p->z);
	multiply(&h, &q->x, &hh);
	subtract(&h, &h, &p->x);
	multiply(&hh, &hh, &p->z);
	multiply(&rise, &q->y, &hh);
	subtract(&rise, &rise, &p->y);
	square(&hh, &h);
	multiply(&hhh, &hh, &h);
	multiply(&v, &p->x, &hh);
	mp1024_negate(&negated, &p->y, &sakke_p);
	multiply(&r->z, &p->z, &h);
	square(&r->x, &rise);
	subtract(&r->x, &r->x, &hhh);
	subtract(&r->x, &r->x, &v);
	subtract(&r->x, &r->x, &v);
	subtract(&v, &v, &r->x);
	mp1024_multiply_add(&r->y, &rise, &v, &negated, &hhh, &sakke_p);
}

bool sakke_jacobian_is(const struct sakke_jacobian *p, const struct sakke_point *q)
{
	struct mp1024 zz, t;
	square(&zz, &p->z);
	multiply(&t, &q->x, &zz);
	int same = mp1024_equal(&t, &p->x);
	multiply(&zz, &zz, &p->z);
	multiply(&t, &q->y, &zz);
	same &= mp1024_equal(&t, &p->y);
	same &= !mp1024_is_zero(&p->z);
	return same != 0;
}

bool sakke_jacobian_normalise(struct sakke_point *r, const struct sakke_jacobian *p)
{
	struct mp1024 inverse, square_of_it;
	mp1024_invert(&inverse, &p->z, &sakke_p);
	square(&square_of_it, &inverse);
	multiply(&r->x, &p->x, &square_of_it);
	multiply(&inverse, &inverse, &square_of_it);
	multiply(&r->y, &p->y, &inverse);
	return !mp1024_is_zero(&p->z);
}

// p += q, whatever they are.
static void sum_complete(struct sakke_jacobian *p, const struct sakke_point *q)
{
	struct sakke_point negated;
	sakke_point_negate(&negated, q);
	if (mp1024_is_zero(&p->z))
		sakke_jacobian_set(p, q);
	else if (sakke_jacobian_is(p, q))
		sakke_jacobian_double(p, p);
	else if (sakke_jacobian_is(p, &negated))
		memset(p, 0, sizeof(*p));
	else
		sakke_jacobian_add(p, p, q);
}

bool sakke_point_multiply(
	struct sakke_point *r, const struct mp1024 *scalar, const struct sakke_point *point)
{
	struct sakke_jacobian sum = {.z = {{0}}};
	for (int i = LIMB_BITS * MP1024_LIMBS - 1; i >= 0; i--) {
		if (!mp1024_is_zero(&sum.z))
			sakke_jacobian_double(&sum, &sum);
		if (scalar->l[i / LIMB_BITS] >> i % LIMB_BITS & 1)
			sum_complete(&sum, point);
	}
	return sakke_jacobian_normalise(r, &sum);
}

bool sakke_point_add(
	struct sakke_point *r, const struct sakke_point *p, const struct sakke_point *q)
{
	struct sakke_jacobian sum;
	sakke_jacobian_set(&sum, p);
	sum_complete(&sum, q);
	return sakke_jacobian_normalise(r, &sum);
}

bool sakke_point_has_order_q(const struct sakke_point *point)
{
	struct sakke_point r;
	struct mp1024 q;
	memcpy(&q, sakke_q.m, sizeof(q));
	return !sakke_point_multiply(&r, &q, point);
}
