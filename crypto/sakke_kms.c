// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/sakke_kms.h"

#include <string.h>

#include <openssl/rand.h>

#include "base/secmem.h"
#include "crypto/sakke_comb.h"
#include "crypto/stack_wipe.h"

enum { Z_ATTEMPTS_MAX = 128 }; // each finds a z three times of five

// The secrets of one call.
struct making {
	struct mp1024 z, scalar;
	struct sakke_digits digits;
	struct sakke_jacobian product;
	struct sakke_point point;
	uint8_t octets[SAKKE_SCALAR_LEN];
};

static void making_end(struct making *making)
{
	secmem_free(making);
	stack_wipe();
}

// z in [2, q - 1], plain.
static STACK_WIPED bool z_read(struct mp1024 *z, const uint8_t octets[SAKKE_SCALAR_LEN])
{
	mp1024_plain_read(z, octets);
	struct mp1024 high = *z;
	high.l[0] &= ~UINT64_C(1);
	int small = mp1024_is_zero(&high);
	return ((small ^ 1) & mp1024_plain_below(z, &sakke_q)) != 0;
}

// [scalar]P for making->scalar, as octets.
static STACK_WIPED bool point_make(struct making *making, uint8_t octets[SAKKE_POINT_LEN])
{
	sakke_digits_make(&making->digits, &making->scalar);
	sakke_comb_multiply(&making->product, sakke_base_comb(), &making->digits);
	if (!sakke_jacobian_normalise(&making->point, &making->product))
		return false;
	sakke_point_write(&making->point, octets);
	return true;
}

enum sakke_status sakke_z_point_make(
	const uint8_t z[SAKKE_SCALAR_LEN], uint8_t z_point[SAKKE_POINT_LEN])
{
	struct making *making = secmem_malloc(sizeof(*making));
	enum sakke_status status = SAKKE_SCALAR;
	if (!making)
		return SAKKE_LIBRARY;
	if (z_read(&making->scalar, z))
		status = point_make(making, z_point) ? SAKKE_OK : SAKKE_LIBRARY;
	making_end(making);
	return status;
}

enum sakke_status sakke_z_make(uint8_t z[SAKKE_SCALAR_LEN], uint8_t z_point[SAKKE_POINT_LEN])
{
	struct making *making = secmem_malloc(sizeof(*making));
	enum sakke_status status = SAKKE_SCALAR;
	if (!making)
		return SAKKE_LIBRARY;
	// q has 1,022 bits.
	for (int attempt = 0; attempt < Z_ATTEMPTS_MAX && status == SAKKE_SCALAR; attempt++) {
		status = SAKKE_LIBRARY;
		if (RAND_priv_bytes(making->octets, sizeof(making->octets)) != 1)
			break;
		making->octets[0] &= 0x3f;
		status = sakke_z_point_make(making->octets, z_point);
	}
	if (status == SAKKE_OK)
		memcpy(z, making->octets, sizeof(making->octets));
	making_end(making);
	return status == SAKKE_SCALAR ? SAKKE_LIBRARY : status;
}

enum sakke_status sakke_rsk_make(const uint8_t z[SAKKE_SCALAR_LEN], const uint8_t *id,
	size_t id_len, uint8_t rsk[SAKKE_POINT_LEN])
{
	struct making *making = secmem_malloc(sizeof(*making));
	enum sakke_status status = SAKKE_ID;
	if (!making)
		return SAKKE_LIBRARY;
	struct mp1024 b;
	if (!sakke_id_read(id, id_len, &b))
		goto out;
	status = SAKKE_SCALAR;
	if (!z_read(&making->z, z))
		goto out;
	// b + z is a multiple of q for one b at most, which then can have no key.
	status = SAKKE_ID;
	mp1024_add(&making->scalar, &making->z, &b, &sakke_q);
	if (mp1024_is_zero(&making->scalar))
		goto out;
	mp1024_from_plain(&making->scalar, &making->scalar, &sakke_q);
	mp1024_invert(&making->scalar, &making->scalar, &sakke_q);
	mp1024_to_plain(&making->scalar, &making->scalar, &sakke_q);
	status = point_make(making, rsk) ? SAKKE_OK : SAKKE_LIBRARY;
out:
	making_end(making);
	return status;
}
