// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Integers modulo p and modulo q, the two primes of SAKKE parameter set 1 (RFC 6509 Appendix A), in
// 16 limbs of 64 bits, least significant first. Elements are in Montgomery form with R = 2^1024 and
// always fully reduced; a number as such ("plain") is one in [0, modulus) that is not in that form.
//
// Everything here takes a time, and touches memory, that does not depend on the values. No
// allocation, no state, any thread; results may be arguments. Temporaries stay on the stack, where
// the caller has to clear them (stack_wipe()).

enum { MP1024_LIMBS = 16, MP1024_LEN = 128 }; // limbs; octets

struct mp1024 {
	uint64_t l[MP1024_LIMBS];
};

struct mp1024_modulus {
	uint64_t m[MP1024_LIMBS];
	uint64_t m_inverse; // -1 / m modulo 2^64
	struct mp1024 one;  // R modulo m
	struct mp1024 r2;   // R^2 modulo m, which takes a plain number to Montgomery form
};

extern const struct mp1024_modulus sakke_p; // of the field
extern const struct mp1024_modulus sakke_q; // order of the points

// r = a * b / R mod m, for a and b below m.
void mp1024_multiply(struct mp1024 *r, const struct mp1024 *a, const struct mp1024 *b,
	const struct mp1024_modulus *m);

// r = a * a / R mod m.
void mp1024_square(struct mp1024 *r, const struct mp1024 *a, const struct mp1024_modulus *m);

// r = (a * b + c * d) / R mod m: one reduction for two products.
void mp1024_multiply_add(struct mp1024 *r, const struct mp1024 *a, const struct mp1024 *b,
	const struct mp1024 *c, const struct mp1024 *d, const struct mp1024_modulus *m);

void mp1024_add(struct mp1024 *r, const struct mp1024 *a, const struct mp1024 *b,
	const struct mp1024_modulus *m);
void mp1024_subtract(struct mp1024 *r, const struct mp1024 *a, const struct mp1024 *b,
	const struct mp1024_modulus *m);
void mp1024_negate(struct mp1024 *r, const struct mp1024 *a, const struct mp1024_modulus *m);

// r = 1 / a, 0 for 0.
void mp1024_invert(struct mp1024 *r, const struct mp1024 *a, const struct mp1024_modulus *m);

// Inverts all of n >= 1 elements at the price of one inversion and 3 n multiplications, with a
// scratch of n more. False, with all of them 0, if one of them is 0.
bool mp1024_invert_all(
	struct mp1024 *elements, struct mp1024 *scratch, size_t n, const struct mp1024_modulus *m);

bool mp1024_is_zero(const struct mp1024 *a);
bool mp1024_equal(const struct mp1024 *a, const struct mp1024 *b);

// r = from if choose, else r stays.
void mp1024_choose(struct mp1024 *r, const struct mp1024 *from, bool choose);

// r = r - subtrahend if that is not negative, for plain numbers below 2^1024.
void mp1024_reduce(struct mp1024 *r, const struct mp1024 *subtrahend);

// Big-endian octets of a plain number below 2^1024.
void mp1024_plain_read(struct mp1024 *r, const uint8_t octets[MP1024_LEN]);

// Whether a plain number is below m.
bool mp1024_plain_below(const struct mp1024 *a, const struct mp1024_modulus *m);

// Between plain numbers and Montgomery form.
void mp1024_from_plain(
	struct mp1024 *r, const struct mp1024 *plain, const struct mp1024_modulus *m);
void mp1024_to_plain(struct mp1024 *plain, const struct mp1024 *a, const struct mp1024_modulus *m);

// Element from big-endian octets; false, with r unspecified, if the number is not below m.
bool mp1024_read(
	struct mp1024 *r, const uint8_t octets[MP1024_LEN], const struct mp1024_modulus *m);

// Element to big-endian octets, with leading zeros.
void mp1024_write(
	const struct mp1024 *a, uint8_t octets[MP1024_LEN], const struct mp1024_modulus *m);
