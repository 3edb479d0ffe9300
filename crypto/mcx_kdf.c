// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/mcx_kdf.h"

#include <errno.h>
#include <string.h>

#include "base/secmem.h"
#include "crypto/hmac.h"

enum {
	KDF_INPUT_MAX = 1024,
	KDF_LEN_LEN = 2,   // octets of each L
	FC_GUK_ID = 0x50,  // TS 33.180 F.1.3
	ID_LOW = 0xfffffff // the 28 bits of an id below its purpose tag, TS 33.180 Annex G
};

// Appends P and L to input at *used. False if they do not fit.
static bool param_append(uint8_t *input, size_t *used, const struct kdf_param *param)
{
	if ((size_t)param->len + KDF_LEN_LEN > KDF_INPUT_MAX - *used)
		return false;
	if (param->len != 0)
		memcpy(input + *used, param->octets, param->len);
	*used += param->len;
	input[(*used)++] = (uint8_t)(param->len >> 8);
	input[(*used)++] = (uint8_t)param->len;
	return true;
}

int mcx_kdf(const uint8_t *key, size_t key_len, uint8_t fc, const struct kdf_param *params,
	size_t n_params, uint8_t out[32])
{
	uint8_t input[KDF_INPUT_MAX];
	size_t used = 1;
	int ret = -EINVAL;
	input[0] = fc;
	for (size_t i = 0; i < n_params; i++) {
		if (!param_append(input, &used, &params[i]))
			goto input_too_long;
	}
	ret = hmac_sha256(key, key_len, &(struct hmac_part){input, used}, 1, out);
	secmem_wipe(input, used);
	return ret;

input_too_long:
	secmem_wipe(input, used);
	secmem_wipe(out, HMAC_SHA256_LEN);
	return ret;
}

int mcx_guk_id(
	const uint8_t *gmk, size_t gmk_len, uint32_t gmk_id, const char *user, uint32_t *guk_id)
{
	size_t user_len = strnlen(user, KDF_INPUT_MAX);
	struct kdf_param param = {user, (uint16_t)user_len};
	uint8_t salt[HMAC_SHA256_LEN];
	int ret = mcx_kdf(gmk, gmk_len, FC_GUK_ID, &param, 1, salt);
	if (ret < 0)
		return ret;
	// The user salt is the least significant 28 bits, so the last four octets hold it.
	uint32_t low = (uint32_t)salt[28] << 24 | (uint32_t)salt[29] << 16 |
		       (uint32_t)salt[30] << 8 | salt[31];
	*guk_id = gmk_id ^ (low & ID_LOW);
	secmem_wipe(salt, sizeof(salt));
	return 0;
}
