// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "tests/unit/key_wrap_reference.h"

size_t key_wrap_by_openssl(enum key_wrap algorithm, const uint8_t kek[KEY_WRAP_KEK_LEN],
	const uint8_t *value, size_t len, uint8_t *out)
{
	uint8_t filled[KEY_WRAP_MAX] = {0}, wrapped[KEY_WRAP_MAX + 16];
	const bool padded = algorithm == KEY_WRAP_AES_PADDED;
	int n = 0;
	assert_in_range(len, 1, KEY_WRAP_MAX);
	memcpy(filled, value, len);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	assert_non_null(ctx);
	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	assert_int_equal(
		EVP_EncryptInit_ex(
			ctx, padded ? EVP_aes_256_wrap_pad() : EVP_aes_256_wrap(), NULL, kek, NULL),
		1);
	const size_t in_len = padded ? len : (len + 7) / 8 * 8;
	assert_int_equal(EVP_EncryptUpdate(ctx, wrapped, &n, filled, (int)in_len), 1);
	EVP_CIPHER_CTX_free(ctx);
	memcpy(out, wrapped, (size_t)n);
	return (size_t)n;
}
