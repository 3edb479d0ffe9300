// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/key_wrap.h"

#include <pthread.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/secmem.h"
#include "crypto/stack_wipe.h"

static pthread_once_t ciphers_once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *ciphers[KEY_WRAP_AES_PADDED + 1]; // NULL if the library has it not

static void ciphers_fetch(void)
{
	ciphers[KEY_WRAP_AES] = EVP_CIPHER_fetch(NULL, "AES-256-WRAP", NULL);
	ciphers[KEY_WRAP_AES_PADDED] = EVP_CIPHER_fetch(NULL, "AES-256-WRAP-PAD", NULL);
}

// plain has room for wrapped_len octets. Returns what came out, negative if nothing did.
static STACK_WIPED int unwrap(const EVP_CIPHER *cipher, const uint8_t *kek, const uint8_t *wrapped,
	size_t wrapped_len, uint8_t *plain)
{
	int len = -1;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (!ctx)
		return -1;
	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	if (EVP_DecryptInit_ex2(ctx, cipher, kek, NULL, NULL) != 1 ||
		EVP_DecryptUpdate(ctx, plain, &len, wrapped, (int)wrapped_len) != 1)
		len = -1;
	EVP_CIPHER_CTX_free(ctx);
	return len;
}

bool key_unwrap(enum key_wrap algorithm, const uint8_t kek[KEY_WRAP_KEK_LEN],
	const uint8_t *wrapped, size_t wrapped_len, uint8_t *out, size_t len)
{
	static const uint8_t zero[8];
	uint8_t plain[KEY_WRAP_MAX + 8];
	const size_t filled = wrapped_len - 8;
	pthread_once(&ciphers_once, ciphers_fetch);
	if (len == 0 || len > KEY_WRAP_MAX || wrapped_len != key_wrapped_len(len) ||
		!ciphers[algorithm])
		return false;
	int n = unwrap(ciphers[algorithm], kek, wrapped, wrapped_len, plain);
	bool ok = n == (int)(algorithm == KEY_WRAP_AES ? filled : len) &&
		  (algorithm != KEY_WRAP_AES || secmem_equal(plain + len, zero, filled - len));
	if (ok)
		memcpy(out, plain, len);
	secmem_wipe(plain, sizeof(plain));
	stack_wipe();
	return ok;
}
