// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "tests/unit/sakke_reference.h"

#include <err.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/sha.h>

enum { NUMBER_LEN = REFERENCE_NUMBER_LEN, SSV_LEN = 16, HASHED_MAX = 256 };

struct point {
	BIGNUM *x, *y;
	bool infinite;
};

// a + i b
struct complex {
	BIGNUM *a, *b;
};

static BN_CTX *ctx;
static BIGNUM *p, *q;
static struct point base;

static void require(int fact)
{
	if (!fact)
		errx(1, "reference: the library failed");
}

static struct point point_new(void)
{
	return (struct point){.x = BN_new(), .y = BN_new(), .infinite = true};
}

static void point_free(struct point *point)
{
	BN_clear_free(point->x);
	BN_clear_free(point->y);
}

static void point_copy(struct point *r, const struct point *from)
{
	require(BN_copy(r->x, from->x) && BN_copy(r->y, from->y));
	r->infinite = from->infinite;
}

static struct point point_read(const uint8_t octets[REFERENCE_POINT_LEN])
{
	return (struct point){
		.x = BN_bin2bn(octets + 1, NUMBER_LEN, NULL),
		.y = BN_bin2bn(octets + 1 + NUMBER_LEN, NUMBER_LEN, NULL),
	};
}

static void point_write(const struct point *point, uint8_t octets[REFERENCE_POINT_LEN])
{
	octets[0] = 4;
	require(BN_bn2binpad(point->x, octets + 1, NUMBER_LEN) == NUMBER_LEN);
	require(BN_bn2binpad(point->y, octets + 1 + NUMBER_LEN, NUMBER_LEN) == NUMBER_LEN);
}

// RFC 6509 Appendix A.
static void parameters_make(void)
{
	if (ctx)
		return;
	ctx = BN_CTX_new();
	base = point_new();
	base.infinite = false;
	q = BN_new();
	require(BN_hex2bn(&p, "997ABB1F0A563FDA65C61198DAD0657A416C0CE19CB48261BE9AE358B3E01A2E"
			      "F40AAB27E2FC0F1B228730D531A59CB0E791B39FF7C88A19356D27F4A666A6D0"
			      "E26C6487326B4CD4512AC5CD65681CE1B6AFF4A831852A82A7CF3C521C3C09AA"
			      "9F94D6AF56971F1FFCE3E82389857DB080C5DF10AC7ACE87666D807AFEA85FEB"));
	require(BN_hex2bn(&base.x,
		"53FC09EE332C29AD0A7990053ED9B52A2B1A2FD60AEC69C698B2F204B6FF7CBF"
		"B5EDB6C0F6CE2308AB10DB9030B09E1043D5F22CDB9DFA55718BD9E7406CE890"
		"9760AF765DD5BCCB337C86548B72F2E1A702C3397A60DE74A7C1514DBA66910D"
		"D5CFB4CC80728D87EE9163A5B63F73EC80EC46C4967E0979880DC8ABEAE63895"));
	require(BN_hex2bn(&base.y,
		"0A8249063F6009F1F9F1F0533634A135D3E82016029906963D778D821E141178"
		"F5EA69F4654EC2B9E7F7F5E5F0DE55F66B598CCF9A140B2E416CFF0CA9E032B9"
		"70DAE117AD547C6CCAD696B5B7652FE0AC6F1E80164AA989492D979FC5A4D5F2"
		"13515AD7E9CB99A980BDAD5AD5BB4636ADB9B5706A67DCDE75573FD71BEF16D7"));
	require(BN_copy(q, p) && BN_add_word(q, 1) && BN_rshift(q, q, 2));
}

// Slope of the line through c and d, of the tangent if they are the same point; false if it is
// vertical.
static bool slope_make(BIGNUM *slope, const struct point *c, const struct point *d)
{
	BIGNUM *denominator = BN_new();
	if (BN_cmp(c->x, d->x) == 0) {
		require(BN_mod_add(denominator, c->y, d->y, p, ctx));
		require(BN_mod_sqr(slope, c->x, p, ctx) && BN_sub_word(slope, 1));
		require(BN_mul_word(slope, 3) && BN_nnmod(slope, slope, p, ctx));
	} else {
		require(BN_mod_sub(denominator, d->x, c->x, p, ctx));
		require(BN_mod_sub(slope, d->y, c->y, p, ctx));
	}
	bool vertical = BN_is_zero(denominator);
	if (!vertical) {
		require(BN_mod_inverse(denominator, denominator, p, ctx) != NULL);
		require(BN_mod_mul(slope, slope, denominator, p, ctx));
	}
	BN_clear_free(denominator);
	return !vertical;
}

// c += d.
static void point_add(struct point *c, const struct point *d)
{
	BIGNUM *slope = BN_new(), *x = BN_new();
	if (c->infinite) {
		point_copy(c, d);
	} else if (!d->infinite) {
		c->infinite = !slope_make(slope, c, d);
		if (!c->infinite) {
			require(BN_mod_sqr(x, slope, p, ctx));
			require(BN_mod_sub(x, x, c->x, p, ctx));
			require(BN_mod_sub(x, x, d->x, p, ctx));
			require(BN_mod_sub(c->x, c->x, x, p, ctx));
			require(BN_mod_mul(slope, slope, c->x, p, ctx));
			require(BN_mod_sub(c->y, slope, c->y, p, ctx));
			require(BN_copy(c->x, x) != NULL);
		}
	}
	BN_clear_free(slope);
	BN_clear_free(x);
}

static struct point point_multiply(const BIGNUM *k, const struct point *point)
{
	struct point sum = point_new(), same = point_new();
	for (int i = BN_num_bits(k) - 1; i >= 0; i--) {
		point_copy(&same, &sum);
		point_add(&sum, &same);
		if (BN_is_bit_set(k, i))
			point_add(&sum, point);
	}
	point_free(&same);
	return sum;
}

bool sakke_reference_multiply(const uint8_t scalar[REFERENCE_NUMBER_LEN],
	const uint8_t point[REFERENCE_POINT_LEN], uint8_t r[REFERENCE_POINT_LEN])
{
	parameters_make();
	BIGNUM *k = BN_bin2bn(scalar, NUMBER_LEN, NULL);
	struct point factor = point_read(point), product = point_multiply(k, &factor);
	bool finite = !product.infinite;
	if (finite)
		point_write(&product, r);
	BN_clear_free(k);
	point_free(&factor);
	point_free(&product);
	return finite;
}

void sakke_reference_find_point(unsigned x_from, uint8_t r[REFERENCE_POINT_LEN])
{
	struct point point = point_new();
	BIGNUM *right = BN_new();
	parameters_make();
	for (;; x_from++) {
		require(BN_set_word(point.x, x_from) && BN_mod_sqr(right, point.x, p, ctx));
		require(BN_sub_word(right, 3) && BN_mod_mul(right, right, point.x, p, ctx));
		if (BN_mod_sqrt(point.y, right, p, ctx))
			break;
	}
	point_write(&point, r);
	point_free(&point);
	BN_free(right);
}

// r *= c + i d.
static void complex_multiply(struct complex *r, const BIGNUM *c, const BIGNUM *d)
{
	BIGNUM *ac = BN_new(), *bd = BN_new(), *ad = BN_new(), *bc = BN_new();
	require(BN_mod_mul(ac, r->a, c, p, ctx) && BN_mod_mul(bd, r->b, d, p, ctx));
	require(BN_mod_mul(ad, r->a, d, p, ctx) && BN_mod_mul(bc, r->b, c, p, ctx));
	require(BN_mod_sub(r->a, ac, bd, p, ctx) && BN_mod_add(r->b, ad, bc, p, ctx));
	BN_clear_free(ac);
	BN_clear_free(bd);
	BN_clear_free(ad);
	BN_clear_free(bc);
}

static void complex_square(struct complex *r)
{
	BIGNUM *a = BN_dup(r->a), *b = BN_dup(r->b);
	complex_multiply(r, a, b);
	BN_clear_free(a);
	BN_clear_free(b);
}

// v *= the line through c and e at (-x_d, i y_d); c += e. A vertical line is left out.
static void line_multiply(
	struct complex *v, struct point *c, const struct point *e, const struct point *d)
{
	BIGNUM *slope = BN_new(), *real = BN_new();
	if (slope_make(slope, c, e)) {
		require(BN_mod_add(real, c->x, d->x, p, ctx));
		require(BN_mod_mul(real, real, slope, p, ctx));
		require(BN_mod_sub(real, real, c->y, p, ctx));
		complex_multiply(v, real, d->y);
	}
	point_add(c, e);
	BN_clear_free(slope);
	BN_clear_free(real);
}

// w = b / a of r.
static void complex_write(const struct complex *r, uint8_t w[REFERENCE_NUMBER_LEN])
{
	BIGNUM *t = BN_mod_inverse(NULL, r->a, p, ctx);
	require(t && BN_mod_mul(t, t, r->b, p, ctx) && BN_bn2binpad(t, w, NUMBER_LEN) > 0);
	BN_clear_free(t);
}

static void pair(const struct point *c, const struct point *d, uint8_t w[REFERENCE_NUMBER_LEN])
{
	struct complex v = {BN_new(), BN_new()};
	struct point sum = point_new(), same = point_new();
	BIGNUM *order = BN_dup(q);
	require(BN_one(v.a) && BN_sub_word(order, 1));
	point_copy(&sum, c);
	for (int i = BN_num_bits(order) - 2; i >= 0; i--) {
		complex_square(&v);
		point_copy(&same, &sum);
		line_multiply(&v, &sum, &same, d);
		if (BN_is_bit_set(order, i))
			line_multiply(&v, &sum, c, d);
	}
	complex_square(&v);
	complex_square(&v);
	complex_write(&v, w);
	BN_clear_free(v.a);
	BN_clear_free(v.b);
	BN_free(order);
	point_free(&sum);
	point_free(&same);
}

void sakke_reference_pair(const uint8_t c[REFERENCE_POINT_LEN],
	const uint8_t d[REFERENCE_POINT_LEN], uint8_t w[REFERENCE_NUMBER_LEN])
{
	parameters_make();
	struct point first = point_read(c), second = point_read(d);
	pair(&first, &second, w);
	point_free(&first);
	point_free(&second);
}

// HashToIntegerRange(octets, n).
static BIGNUM *hash_to_range(const uint8_t *octets, size_t len, const BIGNUM *n)
{
	uint8_t pieces[2 * SHA256_DIGEST_LENGTH] = {0}, v[2 * NUMBER_LEN];
	size_t n_blocks = ((size_t)BN_num_bits(n) + 254) / 256; // ceil(lg n / 256)
	SHA256(octets, len, pieces + SHA256_DIGEST_LENGTH);
	for (size_t i = 0; i < n_blocks; i++) {
		uint8_t h[SHA256_DIGEST_LENGTH];
		SHA256(pieces, sizeof(h), h);
		memcpy(pieces, h, sizeof(h));
		SHA256(pieces, sizeof(pieces), v + i * SHA256_DIGEST_LENGTH);
	}
	BIGNUM *r = BN_bin2bn(v, (int)(n_blocks * SHA256_DIGEST_LENGTH), NULL);
	require(r && BN_nnmod(r, r, n, ctx));
	return r;
}

// out = in xor HashToIntegerRange(w, 2^128).
static void mask_apply(
	const uint8_t w[REFERENCE_NUMBER_LEN], bool unpadded, const uint8_t *in, uint8_t *out)
{
	size_t skip = 0;
	BIGNUM *n = BN_new();
	uint8_t mask[SSV_LEN];
	while (unpadded && skip < NUMBER_LEN && w[skip] == 0)
		skip++;
	require(BN_one(n) && BN_lshift(n, n, 8 * SSV_LEN));
	BIGNUM *hash = hash_to_range(w + skip, NUMBER_LEN - skip, n);
	require(BN_bn2binpad(hash, mask, SSV_LEN) == SSV_LEN);
	for (size_t i = 0; i < SSV_LEN; i++)
		out[i] = in[i] ^ mask[i];
	BN_clear_free(hash);
	BN_free(n);
}

// r and [r]([b]P + Z).
static struct point r_point(const uint8_t z[REFERENCE_POINT_LEN], const uint8_t *id, size_t id_len,
	const uint8_t ssv[SSV_LEN], BIGNUM **r)
{
	uint8_t hashed[HASHED_MAX];
	struct point z_point = point_read(z);
	BIGNUM *b = BN_bin2bn(id, (int)id_len, NULL);
	memcpy(hashed, ssv, SSV_LEN);
	memcpy(hashed + SSV_LEN, id, id_len);
	*r = hash_to_range(hashed, SSV_LEN + id_len, q);
	struct point sum = point_multiply(b, &base);
	point_add(&sum, &z_point);
	struct point product = point_multiply(*r, &sum);
	point_free(&sum);
	point_free(&z_point);
	BN_free(b);
	return product;
}

void sakke_reference_encapsulate(const uint8_t z[REFERENCE_POINT_LEN], const uint8_t *id,
	size_t id_len, const uint8_t ssv[16], bool unpadded, uint8_t sed[REFERENCE_SED_LEN],
	uint8_t w[REFERENCE_NUMBER_LEN])
{
	BIGNUM *r, *g_a = BN_new(), *g_b = BN_new();
	uint8_t g[NUMBER_LEN];
	parameters_make();
	struct point product = r_point(z, id, id_len, ssv, &r);
	point_write(&product, sed);
	// g^r by squaring, g = <P, P>
	pair(&base, &base, g);
	struct complex power = {BN_new(), BN_new()};
	require(BN_one(g_a) && BN_bin2bn(g, NUMBER_LEN, g_b) && BN_one(power.a));
	for (int i = BN_num_bits(r) - 1; i >= 0; i--) {
		complex_square(&power);
		if (BN_is_bit_set(r, i))
			complex_multiply(&power, g_a, g_b);
	}
	complex_write(&power, w);
	mask_apply(w, unpadded, ssv, sed + REFERENCE_POINT_LEN);
	BN_clear_free(power.a);
	BN_clear_free(power.b);
	BN_free(g_a);
	BN_free(g_b);
	BN_clear_free(r);
	point_free(&product);
}

bool sakke_reference_decapsulate(const uint8_t z[REFERENCE_POINT_LEN], const uint8_t *id,
	size_t id_len, const uint8_t rsk[REFERENCE_POINT_LEN], const uint8_t sed[REFERENCE_SED_LEN],
	uint8_t ssv[16])
{
	uint8_t w[NUMBER_LEN], test[REFERENCE_POINT_LEN];
	BIGNUM *r;
	sakke_reference_pair(sed, rsk, w);
	mask_apply(w, false, sed + REFERENCE_POINT_LEN, ssv);
	struct point product = r_point(z, id, id_len, ssv, &r);
	point_write(&product, test);
	point_free(&product);
	BN_clear_free(r);
	return memcmp(test, sed, sizeof(test)) == 0;
}
