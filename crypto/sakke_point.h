// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/mp1024.h"

// Points of E: y^2 = x^3 - 3x over F_p (RFC 6509 Appendix A), which has 4 q = p + 1 of them. No
// allocation, no state, any thread; temporaries stay on the stack.
//
// Jacobian (X, Y, Z) is (X / Z^2, Y / Z^3), the point at infinity if Z is 0. The functions that say
// constant time do not branch on coordinates either; for a sum whose terms are equal, opposite or
// at infinity they give the point at infinity, so that it is a wrong sum that shows.

enum { SAKKE_POINT_LEN = 1 + 2 * MP1024_LEN }; // octets, 04 || x || y

struct sakke_point {
	struct mp1024 x;
	struct mp1024 y;
};

struct sakke_jacobian {
	struct mp1024 x;
	struct mp1024 y;
	struct mp1024 z;
};

extern const struct sakke_point sakke_base; // P
extern const struct mp1024 sakke_g;         // <P, P> as an element of PF_p (RFC 6508 2.1)

// Reads an uncompressed point; false, with point unspecified, if it has another form, coordinates
// of p or more, or lies off the curve. Its order may be any divisor of 4 q.
bool sakke_point_read(struct sakke_point *point, const uint8_t octets[SAKKE_POINT_LEN]);
void sakke_point_write(const struct sakke_point *point, uint8_t octets[SAKKE_POINT_LEN]);

void sakke_point_negate(struct sakke_point *r, const struct sakke_point *point);

void sakke_jacobian_set(struct sakke_jacobian *r, const struct sakke_point *point);

// r = 2 p; r = p + q. Constant time.
void sakke_jacobian_double(struct sakke_jacobian *r, const struct sakke_jacobian *p);
void sakke_jacobian_add(
	struct sakke_jacobian *r, const struct sakke_jacobian *p, const struct sakke_point *q);

// Whether p is q, and not the point at infinity. Constant time.
bool sakke_jacobian_is(const struct sakke_jacobian *p, const struct sakke_point *q);

// r = p; false, with r unspecified, for the point at infinity. Constant time.
bool sakke_jacobian_normalise(struct sakke_point *r, const struct sakke_jacobian *p);

// r = [scalar]point for any point and plain scalar, p + q for any two points. Variable time: all
// that goes in is public. False, with r unspecified, if it is the point at infinity.
bool sakke_point_multiply(
	struct sakke_point *r, const struct mp1024 *scalar, const struct sakke_point *point);
bool sakke_point_add(
	struct sakke_point *r, const struct sakke_point *p, const struct sakke_point *q);

// Whether [q]point is the point at infinity. Variable time.
bool sakke_point_has_order_q(const struct sakke_point *point);
