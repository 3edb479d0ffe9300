// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/sakke.h"

#include <stdlib.h>
#include <string.h>

#include "base/secmem.h"
#include "crypto/sakke_comb.h"
#include "crypto/sakke_hash.h"
#include "crypto/sakke_miller.h"
#include "crypto/stack_wipe.h"

struct sakke_kms {
	struct sakke_point z;
	struct sakke_comb z_comb;
};

struct sakke_receiver {
	struct sakke_miller *rsk; // secret, of secmem_map()
	struct sakke_comb comb;   // of [b]P + Z
	uint8_t id[SAKKE_ID_MAX];
	size_t id_len;
};

// The secrets of one encapsulation or decapsulation.
struct exchange {
	uint8_t hashed[SAKKE_SSV_LEN + SAKKE_ID_MAX]; // SSV || b
	uint8_t w_octets[MP1024_LEN];
	uint8_t mask[SAKKE_MASK_LEN];
	struct mp1024 w, r, rb;
	struct sakke_fp2 f;
	struct sakke_digits r_digits, rb_digits;
	struct sakke_jacobian sum;
	struct sakke_point point;
};

const char *sakke_status_text(enum sakke_status status)
{
	static const char *const texts[] = {
#define _(name, text) [SAKKE_##name] = (text),
		SAKKE_STATUSES(_)
#undef _
	};
	return texts[status];
}

enum sakke_status sakke_kms_make(const uint8_t z_point[SAKKE_POINT_LEN], struct sakke_kms **kms)
{
	struct sakke_point z;
	if (!sakke_point_read(&z, z_point) || !sakke_point_has_order_q(&z))
		return SAKKE_Z;
	struct sakke_kms *made = malloc(sizeof(*made));
	if (!made)
		return SAKKE_LIBRARY;
	made->z = z;
	sakke_comb_make(&made->z_comb, &z);
	*kms = made;
	return SAKKE_OK;
}

void sakke_kms_free(struct sakke_kms *kms)
{
	free(kms);
}

// r = HashToIntegerRange(SSV || b, q).
static STACK_WIPED bool r_make(
	struct exchange *x, const uint8_t ssv[SAKKE_SSV_LEN], const uint8_t *id, size_t id_len)
{
	memcpy(x->hashed, ssv, SAKKE_SSV_LEN);
	memcpy(x->hashed + SAKKE_SSV_LEN, id, id_len);
	if (!sakke_hash_to_scalar(x->hashed, SAKKE_SSV_LEN + id_len, &x->r))
		return false;
	sakke_digits_make(&x->r_digits, &x->r);
	return true;
}

// out = in xor HashToIntegerRange(w, 2^n), w as octets without the first skip ones.
static STACK_WIPED bool mask_apply(struct exchange *x, size_t skip, const uint8_t in[SAKKE_SSV_LEN],
	uint8_t out[SAKKE_SSV_LEN])
{
	if (!sakke_hash_to_mask(x->w_octets + skip, sizeof(x->w_octets) - skip, x->mask))
		return false;
	for (size_t i = 0; i < SAKKE_SSV_LEN; i++)
		out[i] = in[i] ^ x->mask[i];
	return true;
}

// w to w_octets.
static STACK_WIPED void w_write(struct exchange *x)
{
	sakke_fp2_normalise(&x->w, &x->f);
	mp1024_write(&x->w, x->w_octets, &sakke_p);
}

// R = [rb]P + [r]Z, H = SSV xor HashToIntegerRange(g^r, 2^n).
static STACK_WIPED bool encapsulate(struct exchange *x, const struct sakke_kms *kms,
	const struct mp1024 *b, const uint8_t ssv[SAKKE_SSV_LEN], uint8_t sed[SAKKE_SED_LEN])
{
	mp1024_multiply(&x->rb, &x->r, b, &sakke_q);
	mp1024_from_plain(&x->rb, &x->rb, &sakke_q);
	sakke_digits_make(&x->rb_digits, &x->rb);
	sakke_comb_multiply_two(
		&x->sum, sakke_base_comb(), &x->rb_digits, &kms->z_comb, &x->r_digits);
	if (!sakke_jacobian_normalise(&x->point, &x->sum))
		return false;
	sakke_g_comb_power(&x->f, sakke_g_comb(), &x->r_digits);
	w_write(x);
	if (!mask_apply(x, 0, ssv, sed + SAKKE_POINT_LEN))
		return false;
	sakke_point_write(&x->point, sed);
	return true;
}

enum sakke_status sakke_encapsulate(const struct sakke_kms *kms, const uint8_t *id, size_t id_len,
	const uint8_t ssv[SAKKE_SSV_LEN], uint8_t sed[SAKKE_SED_LEN], bool *short_w)
{
	struct mp1024 b;
	if (!sakke_id_read(id, id_len, &b))
		return SAKKE_ID;
	struct exchange *x = secmem_malloc(sizeof(*x));
	uint8_t made[SAKKE_SED_LEN];
	bool ok = x && r_make(x, ssv, id, id_len) && encapsulate(x, kms, &b, ssv, made);
	if (ok) {
		memcpy(sed, made, sizeof(made));
		*short_w = x->w_octets[0] == 0;
	}
	secmem_free(x);
	stack_wipe();
	return ok ? SAKKE_OK : SAKKE_LIBRARY;
}

// [b]P + Z, whose user RSK belongs to; false if it is the point at infinity, or b is 0.
static bool receiver_point(
	struct sakke_point *point, const struct sakke_kms *kms, const struct mp1024 *b)
{
	return sakke_point_multiply(point, b, &sakke_base) &&
	       sakke_point_add(point, point, &kms->z);
}

// Table of an RSK, of secmem_map(); NULL with *status if there is none.
static STACK_WIPED struct sakke_miller *rsk_table_make(
	const uint8_t rsk[SAKKE_POINT_LEN], enum sakke_status *status)
{
	struct sakke_miller *table = secmem_map(sizeof(*table));
	struct sakke_miller_scratch *scratch = secmem_map(sizeof(*scratch));
	struct sakke_point *point = secmem_malloc(sizeof(*point));
	*status = SAKKE_LIBRARY;
	if (table && scratch && point) {
		bool ok = sakke_point_read(point, rsk) && sakke_miller_make(table, scratch, point);
		*status = ok ? SAKKE_OK : SAKKE_RSK;
	}
	secmem_free(point);
	if (scratch)
		secmem_wipe(scratch, sizeof(*scratch));
	secmem_unmap(scratch, sizeof(*scratch));
	if (*status == SAKKE_OK)
		return table;
	if (table)
		secmem_wipe(table, sizeof(*table));
	secmem_unmap(table, sizeof(*table));
	return NULL;
}

// Whether <point, RSK> = g. False answers leave nothing that is secret: the result is one of a
// false RSK.
static STACK_WIPED bool rsk_valid(const struct sakke_miller *table, const struct sakke_point *point)
{
	if (mp1024_is_zero(&point->y))
		return false;
	struct sakke_fp2 f;
	sakke_miller_pair(&f, table, point);
	struct mp1024 w;
	sakke_fp2_normalise(&w, &f);
	return mp1024_equal(&w, &sakke_g);
}

enum sakke_status sakke_receiver_make(const struct sakke_kms *kms, const uint8_t *id, size_t id_len,
	const uint8_t rsk[SAKKE_POINT_LEN], struct sakke_receiver **receiver)
{
	struct sakke_point point;
	struct mp1024 b;
	if (!sakke_id_read(id, id_len, &b) || !receiver_point(&point, kms, &b))
		return SAKKE_ID;
	struct sakke_receiver *made = calloc(1, sizeof(*made));
	if (!made)
		return SAKKE_LIBRARY;
	enum sakke_status status;
	made->rsk = rsk_table_make(rsk, &status);
	if (status == SAKKE_OK && !rsk_valid(made->rsk, &point))
		status = SAKKE_KEY_SET;
	if (status == SAKKE_OK) {
		sakke_comb_make(&made->comb, &point);
		memcpy(made->id, id, id_len);
		made->id_len = id_len;
		*receiver = made;
	} else {
		sakke_receiver_free(made);
	}
	stack_wipe();
	return status;
}

void sakke_receiver_free(struct sakke_receiver *receiver)
{
	if (!receiver)
		return;
	if (receiver->rsk)
		secmem_wipe(receiver->rsk, sizeof(*receiver->rsk));
	secmem_unmap(receiver->rsk, sizeof(*receiver->rsk));
	free(receiver);
}

// SSV to x->hashed, with w of which the first skip octets are left out. SAKKE_TEST if
// TEST = [HashToIntegerRange(SSV || b, q)] ([b]P + Z) is not R.
static STACK_WIPED enum sakke_status ssv_try(struct exchange *x,
	const struct sakke_receiver *receiver, const uint8_t sed[SAKKE_SED_LEN], size_t skip)
{
	uint8_t ssv[SAKKE_SSV_LEN];
	bool ok = mask_apply(x, skip, sed + SAKKE_POINT_LEN, ssv) &&
		  r_make(x, ssv, receiver->id, receiver->id_len);
	secmem_wipe(ssv, sizeof(ssv));
	if (!ok)
		return SAKKE_LIBRARY;
	sakke_comb_multiply(&x->sum, &receiver->comb, &x->r_digits);
	return sakke_jacobian_is(&x->sum, &x->point) ? SAKKE_OK : SAKKE_TEST;
}

// Leading zero octets of w.
static STACK_WIPED size_t w_zeros(const struct exchange *x)
{
	size_t n = 0;
	while (n < sizeof(x->w_octets) && x->w_octets[n] == 0)
		n++;
	return n;
}

enum sakke_status sakke_decapsulate(const struct sakke_receiver *receiver,
	const uint8_t sed[SAKKE_SED_LEN], bool unpadded_w, uint8_t ssv[SAKKE_SSV_LEN])
{
	struct exchange *x = secmem_malloc(sizeof(*x));
	enum sakke_status status = SAKKE_LIBRARY;
	if (!x)
		return status;
	// y = 0: a point of order 2.
	if (!sakke_point_read(&x->point, sed) || mp1024_is_zero(&x->point.y)) {
		secmem_free(x);
		return SAKKE_R;
	}
	sakke_miller_pair(&x->f, receiver->rsk, &x->point);
	w_write(x);
	status = ssv_try(x, receiver, sed, 0);
	if (status == SAKKE_TEST && unpadded_w && x->w_octets[0] == 0)
		status = ssv_try(x, receiver, sed, w_zeros(x));
	if (status == SAKKE_OK)
		memcpy(ssv, x->hashed, SAKKE_SSV_LEN);
	secmem_free(x);
	stack_wipe();
	return status;
}
