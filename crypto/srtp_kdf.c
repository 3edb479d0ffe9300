// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/srtp_kdf.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/secmem.h"

enum {
	KDF_SALT_LEN = 14,  // octets of the 112-bit salt of RFC 3711 4.3
	KDF_LABEL_AT = 7,   // its octet that meets the label; the 48-bit index / kdr follows
	KDF_BLOCK_LEN = 16, // octets
	LABEL_KEY = 0,      // RFC 3711 4.3.1 and 4.3.2, SRTP; SRTCP is 3 more
	LABEL_AUTH = 1,
	LABEL_SALT = 2,
	LABEL_STEP = 3,
};

static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *aes_128_ctr; // NULL if the library failed
static EVP_CIPHER *aes_256_ctr;

// Fetching by name costs many times the derivation.
static void ciphers_fetch(void)
{
	aes_128_ctr = EVP_CIPHER_fetch(NULL, "AES-128-CTR", NULL);
	aes_256_ctr = EVP_CIPHER_fetch(NULL, "AES-256-CTR", NULL);
}

int srtp_kdf_label(const uint8_t *key, uint8_t key_len, const uint8_t salt[14], uint8_t label,
	uint8_t *out, uint16_t out_len)
{
	uint8_t counter[KDF_BLOCK_LEN] = {0};
	int ret = -EIO;
	if (key_len != 16 && key_len != 32)
		return -EINVAL;
	pthread_once(&fetch_once, ciphers_fetch);
	memcpy(counter, salt, KDF_SALT_LEN);
	counter[KDF_LABEL_AT] ^= label;
	memset(out, 0, out_len); // the key stream is what zeros encrypt to

	const EVP_CIPHER *aes = key_len == 16 ? aes_128_ctr : aes_256_ctr;
	EVP_CIPHER_CTX *ctx = aes ? EVP_CIPHER_CTX_new() : NULL;
	int written;
	if (ctx && EVP_EncryptInit_ex2(ctx, aes, key, counter, NULL) &&
		EVP_EncryptUpdate(ctx, out, &written, out, out_len) && written == out_len)
		ret = 0;
	else
		secmem_wipe(out, out_len);
	EVP_CIPHER_CTX_free(ctx);
	secmem_wipe(counter, sizeof(counter));
	return ret;
}

int srtp_kdf(const struct srtp_master *master, enum srtp_suite suite, enum srtp_protocol protocol,
	struct srtp_session *session)
{
	uint8_t key_len = srtp_suite_key_len(suite);
	uint8_t step = protocol == SRTP_RTCP ? LABEL_STEP : 0;
	uint8_t salt_len = srtp_suite_salt_len(suite);
	uint8_t salt[KDF_SALT_LEN] = {0}; // zeros on the right, erratum 4938
	secmem_wipe(session, sizeof(*session));
	memcpy(salt, master->salt, salt_len);
	int ret =
		srtp_kdf_label(master->key, key_len, salt, LABEL_KEY + step, session->key, key_len);
	if (ret == 0)
		ret = srtp_kdf_label(
			master->key, key_len, salt, LABEL_SALT + step, session->salt, salt_len);
	if (ret == 0 && !srtp_suite_is_aead(suite))
		ret = srtp_kdf_label(master->key, key_len, salt, LABEL_AUTH + step,
			session->key + key_len, SRTP_AUTH_KEY_LEN);
	if (ret < 0)
		secmem_wipe(session, sizeof(*session));
	secmem_wipe(salt, sizeof(salt));
	return ret;
}
