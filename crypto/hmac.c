// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/hmac.h"

#include <errno.h>
#include <pthread.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "base/secmem.h"

static pthread_once_t template_once = PTHREAD_ONCE_INIT;
static EVP_MAC_CTX *template; // has the digest, no key of anybody; NULL if the library failed

// Fetching HMAC and SHA-256 by name costs many times the HMAC itself, so it is done once and
// copied.
static void template_make(void)
{
	char digest[] = OSSL_DIGEST_NAME_SHA2_256;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
		OSSL_PARAM_construct_end(),
	};
	static const uint8_t no_key[HMAC_SHA256_LEN];
	EVP_MAC *mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
	EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	EVP_MAC_free(mac);
	// The library copies a context only once it was keyed.
	if (!ctx || !EVP_MAC_init(ctx, no_key, sizeof(no_key), params)) {
		EVP_MAC_CTX_free(ctx);
		return;
	}
	template = ctx;
}

int hmac_sha256(const uint8_t *key, size_t key_len, const struct hmac_part *parts, size_t n_parts,
	uint8_t out[HMAC_SHA256_LEN])
{
	pthread_once(&template_once, template_make);
	// Freeing the copy, unlike keying it anew, cleanses the keyed state.
	EVP_MAC_CTX *ctx = template ? EVP_MAC_CTX_dup(template) : NULL;
	if (!ctx || !EVP_MAC_init(ctx, key, key_len, NULL))
		goto library_failed;
	for (size_t i = 0; i < n_parts; i++) {
		if (!EVP_MAC_update(ctx, parts[i].octets, parts[i].len))
			goto library_failed;
	}
	size_t len;
	if (!EVP_MAC_final(ctx, out, &len, HMAC_SHA256_LEN) || len != HMAC_SHA256_LEN)
		goto library_failed;
	EVP_MAC_CTX_free(ctx);
	return 0;

library_failed:
	EVP_MAC_CTX_free(ctx);
	secmem_wipe(out, HMAC_SHA256_LEN);
	return -EIO;
}
