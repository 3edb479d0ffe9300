// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/mikey_prf.h"

#include <errno.h>
#include <string.h>

#include "base/secmem.h"
#include "crypto/hmac.h"

// Both stay 256 bits with HMAC-SHA-256: the cut of inkey because RFC 6043 6.1 leaves it alone, the
// block of output because it is the digest's.
enum { PRF_PIECE_LEN = 32, PRF_BLOCK_LEN = HMAC_SHA256_LEN };

// Constants that name the key derived from a TGK, RFC 3830 4.1.3.
static const uint8_t constant_tek[4] = {0x2a, 0xd0, 0x1c, 0x64};
static const uint8_t constant_salt[4] = {0x39, 0xa2, 0xc1, 0x4b};

// P(s, label, m) of RFC 3830 4.1.2, xored into outkey.
static int p_xor(const uint8_t *s, size_t s_len, const uint8_t *label, size_t label_len,
	uint8_t *outkey, size_t outkey_len)
{
	uint8_t chain[PRF_BLOCK_LEN]; // A_i
	uint8_t block[PRF_BLOCK_LEN] = {0};
	struct hmac_part seed = {label, label_len}; // A_(i-1), A_0 is the label
	const struct hmac_part parts[] = {{chain, sizeof(chain)}, {label, label_len}};
	int ret = 0;
	for (size_t done = 0; done < outkey_len; done += PRF_BLOCK_LEN) {
		ret = hmac_sha256(s, s_len, &seed, 1, chain);
		if (ret == 0)
			ret = hmac_sha256(s, s_len, parts, 2, block);
		if (ret < 0)
			break;
		seed = parts[0];
		for (size_t i = 0; i < PRF_BLOCK_LEN && done + i < outkey_len; i++)
			outkey[done + i] ^= block[i];
	}
	secmem_wipe(chain, sizeof(chain));
	secmem_wipe(block, sizeof(block));
	return ret;
}

int mikey_prf(const uint8_t *inkey, size_t inkey_len, const uint8_t *label, size_t label_len,
	uint8_t *outkey, size_t outkey_len)
{
	int ret = -EINVAL;
	secmem_wipe(outkey, outkey_len);
	if (inkey_len == 0 || label_len == 0 || label_len > MIKEY_LABEL_MAX || outkey_len == 0)
		return ret;
	for (size_t done = 0; done < inkey_len; done += PRF_PIECE_LEN) {
		size_t left = inkey_len - done;
		ret = p_xor(inkey + done, left < PRF_PIECE_LEN ? left : PRF_PIECE_LEN, label,
			label_len, outkey, outkey_len);
		if (ret < 0) {
			secmem_wipe(outkey, outkey_len);
			return ret;
		}
	}
	return 0;
}

// label = constant || cs_id || csb_id || RAND, RFC 3830 4.1.3. Returns its length.
static size_t label_write(uint8_t label[MIKEY_LABEL_MAX], const uint8_t constant[4], uint8_t cs_id,
	uint32_t csb_id, const uint8_t *rand, size_t rand_len)
{
	memcpy(label, constant, 4);
	label[4] = cs_id;
	label[5] = (uint8_t)(csb_id >> 24);
	label[6] = (uint8_t)(csb_id >> 16);
	label[7] = (uint8_t)(csb_id >> 8);
	label[8] = (uint8_t)csb_id;
	memcpy(label + 9, rand, rand_len);
	return 9 + rand_len;
}

int mikey_derive_master(const uint8_t *tgk, size_t tgk_len, uint8_t cs_id, uint32_t csb_id,
	const uint8_t *rand, size_t rand_len, enum srtp_suite suite, struct srtp_master *master)
{
	int ret = -EINVAL;
	secmem_wipe(master, sizeof(*master));
	if (tgk_len > MIKEY_TGK_MAX || rand_len < MIKEY_RAND_MIN || rand_len > MIKEY_RAND_MAX)
		return ret;
	uint8_t label[MIKEY_LABEL_MAX];
	size_t label_len = label_write(label, constant_tek, cs_id, csb_id, rand, rand_len);
	ret = mikey_prf(tgk, tgk_len, label, label_len, master->key, srtp_suite_key_len(suite));
	if (ret < 0)
		return ret;
	memcpy(label, constant_salt, sizeof(constant_salt));
	ret = mikey_prf(tgk, tgk_len, label, label_len, master->salt, srtp_suite_salt_len(suite));
	if (ret < 0)
		secmem_wipe(master, sizeof(*master));
	return ret;
}
