// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/cipher_backend.h"

#include <errno.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/secmem.h"

// OpenSSL expands a key inside its context only, so the key area holds the session key as it is and
// every packet expands it anew.

enum { SCRATCH_LEN = 512, N_SUITES = SRTP_AEAD_AES_256_GCM + 1 };

static EVP_CIPHER *aes_gcm[N_SUITES];
// One per suite, because a context that changes its algorithm allocates.
static _Thread_local EVP_CIPHER_CTX *contexts[N_SUITES];

static int openssl_expand(enum srtp_suite suite, const uint8_t *session_key, void *expanded)
{
	memset(expanded, 0, CIPHER_KEY_SIZE);
	memcpy(expanded, session_key, srtp_suite_key_len(suite));
	return 0;
}

// Encrypts op's octets from src to dst.
static bool op_encrypt(EVP_CIPHER_CTX *ctx, struct cipher_op *op)
{
	int n;
	return EVP_EncryptInit_ex2(ctx, NULL, op->key, op->iv, NULL) &&
	       EVP_EncryptUpdate(ctx, NULL, &n, op->aad, op->aad_len) &&
	       EVP_EncryptUpdate(ctx, op->dst, &n, op->src, (int)op->len) &&
	       EVP_EncryptFinal_ex(ctx, op->tag, &n) &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SRTP_GCM_TAG_LEN, op->tag);
}

// Computes the tag of the plaintext at dst; the ciphertext that comes with it is thrown away.
static bool op_tag(EVP_CIPHER_CTX *ctx, struct cipher_op *op)
{
	int n;
	if (!EVP_EncryptInit_ex2(ctx, NULL, NULL, op->iv, NULL) ||
		!EVP_EncryptUpdate(ctx, NULL, &n, op->aad, op->aad_len))
		return false;
	uint8_t scratch[SCRATCH_LEN];
	for (uint32_t done = 0; done < op->len; done += SCRATCH_LEN) {
		uint32_t left = op->len - done;
		if (!EVP_EncryptUpdate(ctx, scratch, &n, op->dst + done,
			    (int)(left < SCRATCH_LEN ? left : SCRATCH_LEN)))
			return false;
	}
	return EVP_EncryptFinal_ex(ctx, scratch, &n) &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SRTP_GCM_TAG_LEN, op->tag);
}

// OpenSSL tells the tag only when it encrypts. GCM's cipher is its own inverse, so encrypting the
// ciphertext gives the plaintext, and encrypting that gives the tag.
static bool op_decrypt(EVP_CIPHER_CTX *ctx, struct cipher_op *op)
{
	return op_encrypt(ctx, op) && op_tag(ctx, op);
}

// A context keeps the round keys of its last packet; the key may be revoked before the next.
static void contexts_forget(void)
{
	static const uint8_t no_key[SRTP_KEY_MAX];
	for (int suite = 0; suite < N_SUITES; suite++)
		(void)EVP_EncryptInit_ex2(contexts[suite], NULL, no_key, NULL, NULL);
}

static void openssl_encrypt_burst(struct cipher_op *ops[], uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		if (!op_encrypt(contexts[ops[i]->suite], ops[i]))
			ops[i]->failed = true;
	}
	contexts_forget();
}

static void openssl_decrypt_burst(struct cipher_op *ops[], uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		if (!op_decrypt(contexts[ops[i]->suite], ops[i]))
			ops[i]->failed = true;
	}
	contexts_forget();
}

static void openssl_thread_fini(void)
{
	for (int suite = 0; suite < N_SUITES; suite++) {
		EVP_CIPHER_CTX_free(contexts[suite]);
		contexts[suite] = NULL;
	}
}

static int openssl_thread_init(void)
{
	for (int suite = 0; suite < N_SUITES; suite++) {
		contexts[suite] = EVP_CIPHER_CTX_new();
		if (!contexts[suite] ||
			!EVP_EncryptInit_ex2(contexts[suite], aes_gcm[suite], NULL, NULL, NULL)) {
			openssl_thread_fini();
			return -ENOMEM;
		}
	}
	return 0;
}

const struct cipher *cipher_openssl_open(const char **why)
{
	static const struct cipher cipher = {
		.name = "openssl",
		.expand = openssl_expand,
		.encrypt_burst = openssl_encrypt_burst,
		.decrypt_burst = openssl_decrypt_burst,
		.reads = {.first = SRTP_KEY_MAX},
		.thread_init = openssl_thread_init,
		.thread_fini = openssl_thread_fini,
	};
	static const char *const names[N_SUITES] = {
		[SRTP_AEAD_AES_128_GCM] = "AES-128-GCM",
		[SRTP_AEAD_AES_256_GCM] = "AES-256-GCM",
	};
	for (int suite = 0; suite < N_SUITES; suite++) {
		if (!aes_gcm[suite])
			aes_gcm[suite] = EVP_CIPHER_fetch(NULL, names[suite], NULL);
		if (!aes_gcm[suite]) {
			*why = "OpenSSL offers no AES-GCM";
			return NULL;
		}
	}
	return &cipher;
}
