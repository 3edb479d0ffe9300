// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/sakke_hash.h"

#include <string.h>

#include <openssl/sha.h>

#include "base/secmem.h"

enum { HASH_LEN = SHA256_DIGEST_LENGTH };

// v' = v_1 || .. || v_l with v_i = hash(h_i || A), h_i = hash(h_(i-1)), h_0 = 0, A = hash(s).
static bool expand(const uint8_t *octets, size_t len, uint8_t *v, size_t n_blocks)
{
	uint8_t input[2 * HASH_LEN] = {0}; // h_i || A
	bool ok = SHA256(octets, len, input + HASH_LEN) != NULL;
	for (size_t i = 0; ok && i < n_blocks; i++) {
		uint8_t h[HASH_LEN];
		ok = SHA256(input, HASH_LEN, h) != NULL;
		memcpy(input, h, sizeof(h));
		ok = ok && SHA256(input, sizeof(input), v + i * HASH_LEN);
	}
	secmem_wipe(input, sizeof(input));
	return ok;
}

bool sakke_hash_to_mask(const uint8_t *octets, size_t len, uint8_t mask[SAKKE_MASK_LEN])
{
	uint8_t v[HASH_LEN];
	bool ok = expand(octets, len, v, 1);
	if (ok)
		memcpy(mask, v + sizeof(v) - SAKKE_MASK_LEN, SAKKE_MASK_LEN);
	secmem_wipe(v, sizeof(v));
	return ok;
}

// r = 2^shift q, shift of 0 to 2.
static void q_shift(struct mp1024 *r, int shift)
{
	uint64_t below = 0;
	for (int i = 0; i < MP1024_LIMBS; i++) {
		r->l[i] = sakke_q.m[i] << shift | below;
		below = shift > 0 ? sakke_q.m[i] >> (64 - shift) : 0;
	}
}

bool sakke_hash_to_scalar(const uint8_t *octets, size_t len, struct mp1024 *scalar)
{
	uint8_t v[MP1024_LEN];
	bool ok = expand(octets, len, v, sizeof(v) / HASH_LEN);
	if (ok) {
		mp1024_plain_read(scalar, v);
		// 2^1024 < 7 q, so 4 q, 2 q and q, each at most once, leave less than q.
		for (int shift = 2; shift >= 0; shift--) {
			struct mp1024 multiple;
			q_shift(&multiple, shift);
			mp1024_reduce(scalar, &multiple);
		}
	}
	secmem_wipe(v, sizeof(v));
	return ok;
}

bool sakke_id_read(const uint8_t *id, size_t id_len, struct mp1024 *b)
{
	uint8_t octets[MP1024_LEN] = {0};
	if (id_len == 0 || id_len > SAKKE_ID_MAX)
		return false;
	memcpy(octets + MP1024_LEN - id_len, id, id_len);
	mp1024_plain_read(b, octets);
	return true;
}
