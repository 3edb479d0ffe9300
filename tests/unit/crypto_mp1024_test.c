// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// Arithmetic modulo p and q against OpenSSL's BIGNUM.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

#include <openssl/bn.h>

#include "crypto/mp1024.h"

enum { N_ROUNDS = 400, N_EDGES = 8 };

static const struct mp1024_modulus *const moduli[] = {&sakke_p, &sakke_q};

// Numbers of one round, and the modulus, for both sides.
struct subject {
	const struct mp1024_modulus *m;
	BN_CTX *ctx;
	BIGNUM *modulus, *n[4], *expected;
	struct mp1024 e[4], r;
};

static BIGNUM *limbs_to_bignum(const uint64_t limbs[MP1024_LIMBS])
{
	uint8_t octets[MP1024_LEN];
	for (int i = 0; i < MP1024_LEN; i++)
		octets[i] = (uint8_t)(limbs[i / 8] >> 8 * (i % 8));
	return BN_lebin2bn(octets, sizeof(octets), NULL);
}

static void subject_make(struct subject *s, const struct mp1024_modulus *m)
{
	s->m = m;
	s->ctx = BN_CTX_new();
	s->modulus = limbs_to_bignum(m->m);
	s->expected = BN_new();
	for (int i = 0; i < 4; i++)
		s->n[i] = BN_new();
}

static void subject_free(struct subject *s)
{
	for (int i = 0; i < 4; i++)
		BN_free(s->n[i]);
	BN_free(s->modulus);
	BN_free(s->expected);
	BN_CTX_free(s->ctx);
}

// 0, 1, 2, a power of two, all ones and the like, m - 1, m - 2: the first N_EDGES; then any.
static void number_draw(const struct subject *s, BIGNUM *n, int which)
{
	switch (which % (2 * N_EDGES)) {
	case 0:
	case 1:
	case 2:
		assert_true(BN_set_word(n, (BN_ULONG)which % (2 * N_EDGES)));
		break;
	case 3:
		assert_true(BN_one(n) && BN_lshift(n, n, 64 * (which % 15)));
		break;
	case 4:
		assert_true(BN_one(n) && BN_lshift(n, n, 64 * 15) && BN_sub_word(n, 1));
		break;
	case 5:
	case 6:
		assert_true(BN_copy(n, s->modulus) &&
			    BN_sub_word(n, (BN_ULONG)which % (2 * N_EDGES) - 4));
		break;
	case 7:
		assert_true(BN_copy(n, s->modulus) && BN_rshift1(n, n));
		break;
	default:
		assert_true(BN_rand_range(n, s->modulus));
	}
}

static void subject_draw(struct subject *s, int round)
{
	for (int i = 0; i < 4; i++) {
		uint8_t octets[MP1024_LEN];
		// Every pair of edges comes up.
		number_draw(s, s->n[i], i % 2 ? round / (2 * N_EDGES) + i / 2 : round + i / 2);
		assert_int_equal(BN_bn2binpad(s->n[i], octets, sizeof(octets)), sizeof(octets));
		assert_true(mp1024_read(&s->e[i], octets, s->m));
	}
}

// r is expected, and fully reduced even inside.
static void subject_check(struct subject *s)
{
	uint8_t octets[MP1024_LEN], expected[MP1024_LEN];
	assert_int_equal(BN_bn2binpad(s->expected, expected, sizeof(expected)), sizeof(expected));
	assert_true(mp1024_plain_below(&s->r, s->m));
	mp1024_write(&s->r, octets, s->m);
	assert_memory_equal(octets, expected, sizeof(octets));
}

static void agrees_with_bignum(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct subject s;
		subject_make(&s, moduli[i]);
		BIGNUM *other = BN_new();
		for (int round = 0; round < N_ROUNDS; round++) {
			subject_draw(&s, round);
			mp1024_multiply(&s.r, &s.e[0], &s.e[1], s.m);
			BN_mod_mul(s.expected, s.n[0], s.n[1], s.modulus, s.ctx);
			subject_check(&s);
			mp1024_square(&s.r, &s.e[0], s.m);
			BN_mod_sqr(s.expected, s.n[0], s.modulus, s.ctx);
			subject_check(&s);
			mp1024_multiply_add(&s.r, &s.e[0], &s.e[1], &s.e[2], &s.e[3], s.m);
			BN_mod_mul(s.expected, s.n[0], s.n[1], s.modulus, s.ctx);
			BN_mod_mul(other, s.n[2], s.n[3], s.modulus, s.ctx);
			BN_mod_add(s.expected, s.expected, other, s.modulus, s.ctx);
			subject_check(&s);
			mp1024_add(&s.r, &s.e[0], &s.e[1], s.m);
			BN_mod_add(s.expected, s.n[0], s.n[1], s.modulus, s.ctx);
			subject_check(&s);
			mp1024_subtract(&s.r, &s.e[0], &s.e[1], s.m);
			BN_mod_sub(s.expected, s.n[0], s.n[1], s.modulus, s.ctx);
			subject_check(&s);
			mp1024_negate(&s.r, &s.e[0], s.m);
			BN_zero(other);
			BN_mod_sub(s.expected, other, s.n[0], s.modulus, s.ctx);
			subject_check(&s);
			assert_int_equal(mp1024_is_zero(&s.e[0]), BN_is_zero(s.n[0]));
			assert_int_equal(
				mp1024_equal(&s.e[0], &s.e[1]), BN_cmp(s.n[0], s.n[1]) == 0);
		}
		BN_free(other);
		subject_free(&s);
	}
}

// The largest operands that the bound of the sum allows, in Montgomery form: m - 1 is -1 plain.
static void multiplies_largest_limbs(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct subject s;
		struct mp1024 largest, one = {{1}}, r;
		subject_make(&s, moduli[i]);
		for (int j = 0; j < MP1024_LIMBS; j++)
			largest.l[j] = s.m->m[j];
		largest.l[0] -= 1;
		mp1024_multiply_add(&r, &largest, &largest, &largest, &largest, s.m);
		mp1024_multiply_add(&s.r, &one, &one, &one, &one, s.m);
		assert_memory_equal(&r, &s.r, sizeof(r));
		mp1024_multiply(&r, &largest, &largest, s.m);
		mp1024_multiply(&s.r, &one, &one, s.m);
		assert_memory_equal(&r, &s.r, sizeof(r));
		mp1024_square(&r, &largest, s.m);
		assert_memory_equal(&r, &s.r, sizeof(r));
		subject_free(&s);
	}
}

static void inverts(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct subject s;
		subject_make(&s, moduli[i]);
		for (int round = 0; round < 32; round++) {
			subject_draw(&s, round);
			mp1024_invert(&s.r, &s.e[0], s.m);
			if (BN_is_zero(s.n[0]))
				BN_zero(s.expected);
			else
				assert_non_null(
					BN_mod_inverse(s.expected, s.n[0], s.modulus, s.ctx));
			subject_check(&s);
		}
		subject_free(&s);
	}
}

static void inverts_many_at_once(void **state)
{
	static const struct mp1024 zero;
	(void)state;

	for (int i = 0; i < 2; i++) {
		struct mp1024 elements[9], inverses[9], scratch[9], single;
		struct subject s;
		subject_make(&s, moduli[i]);
		for (int j = 0; j < 9; j++) {
			subject_draw(&s, 8 + j % 8);
			elements[j] = s.e[0];
		}
		for (size_t n = 1; n <= 9; n++) {
			memcpy(inverses, elements, sizeof(elements));
			assert_true(mp1024_invert_all(inverses, scratch, n, s.m));
			for (size_t j = 0; j < n; j++) {
				mp1024_invert(&single, &elements[j], s.m);
				assert_true(mp1024_equal(&inverses[j], &single));
			}
			memcpy(inverses, elements, sizeof(elements));
			inverses[n / 2] = zero;
			assert_false(mp1024_invert_all(inverses, scratch, n, s.m));
			for (size_t j = 0; j < n; j++)
				assert_true(mp1024_is_zero(&inverses[j]));
		}
		subject_free(&s);
	}
}

static void reads_only_reduced_numbers(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct subject s;
		struct mp1024 plain;
		uint8_t octets[MP1024_LEN];
		subject_make(&s, moduli[i]);
		BN_bn2binpad(s.modulus, octets, sizeof(octets));
		assert_false(mp1024_read(&s.r, octets, s.m));
		octets[MP1024_LEN - 1]--;
		assert_true(mp1024_read(&s.r, octets, s.m));
		memset(octets, 0xff, sizeof(octets));
		assert_false(mp1024_read(&s.r, octets, s.m));
		// Of a number that is no element, the modulus is subtracted once.
		memcpy(&plain, s.m->m, sizeof(plain));
		plain.l[0] += 2;
		struct mp1024 subtrahend;
		memcpy(&subtrahend, s.m->m, sizeof(subtrahend));
		mp1024_reduce(&plain, &subtrahend);
		assert_int_equal(plain.l[0], 2);
		mp1024_reduce(&plain, &subtrahend);
		assert_int_equal(plain.l[0], 2);
		mp1024_choose(&plain, &subtrahend, false);
		assert_int_equal(plain.l[0], 2);
		mp1024_choose(&plain, &subtrahend, true);
		assert_memory_equal(&plain, &subtrahend, sizeof(plain));
		subject_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_bignum),
		cmocka_unit_test(multiplies_largest_limbs),
		cmocka_unit_test(inverts),
		cmocka_unit_test(inverts_many_at_once),
		cmocka_unit_test(reads_only_reduced_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
