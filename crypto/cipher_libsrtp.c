// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <srtp2/srtp.h>

#include <srtp2/auth.h>
#include <srtp2/cipher.h>

#include "base/secmem.h"
#include "crypto/cipher_backend.h"

// The layer below libsrtp2's sessions: these would keep an index and a replay list of their own for
// each SSRC, which are the relay's to keep. Cipher and HMAC are keyed anew for each packet whose
// key is not the one before it.

enum {
	SHA1_LEN = 20,
	AES_KEY_LEN = 16,
	AES_BLOCK_LEN = 16,
	ICM_KEY_LEN = 30,
	HEAP_PIECE = 32 * 1024, // octets, few enough to be of the thread's heap
	HEAP_PIECES = 8,
};

// What the key area holds. libsrtp2 takes key and salt as one; the IV has the salt in it already.
struct cm_key {
	uint8_t icm[ICM_KEY_LEN]; // session encryption key, 14 zeros
	uint8_t auth[SRTP_AUTH_KEY_LEN];
};

static_assert(sizeof(struct cm_key) <= CIPHER_KEY_SIZE, "the key area fits libsrtp2");

// Exported by libsrtp2, but in none of the headers that are installed.
extern const srtp_cipher_type_t srtp_aes_icm_128;
extern const srtp_auth_type_t srtp_hmac;

static _Thread_local srtp_cipher_t *icm;
static _Thread_local srtp_auth_t *hmac;

static int libsrtp_expand(enum srtp_suite suite, const uint8_t *session_key, void *expanded)
{
	struct cm_key *key = expanded;
	(void)suite;
	memset(expanded, 0, CIPHER_KEY_SIZE);
	memcpy(key->icm, session_key, AES_KEY_LEN);
	memcpy(key->auth, session_key + AES_KEY_LEN, SRTP_AUTH_KEY_LEN);
	return 0;
}

static bool key_load(const struct cm_key *key)
{
	return srtp_cipher_init(icm, key->icm) == srtp_err_status_ok &&
	       srtp_auth_init(hmac, key->auth) == srtp_err_status_ok;
}

// Keys and their schedules live in the library's own memory, which it wipes when another key takes
// their place; the key of the last packet may be revoked before the next.
static void keys_forget(void)
{
	static const struct cm_key no_key;
	uint8_t iv[AES_BLOCK_LEN] = {0};
	(void)key_load(&no_key);
	(void)srtp_cipher_set_iv(icm, iv, srtp_direction_encrypt);
	(void)srtp_auth_start(hmac);
	uint8_t tag[SHA1_LEN];
	(void)srtp_auth_compute(hmac, iv, 0, tag);
}

static bool hmac_add(const uint8_t *octets, uint32_t len)
{
	return len == 0 || srtp_auth_update(hmac, octets, (int)len) == srtp_err_status_ok;
}

static bool op_tag(struct cipher_op *op, const uint8_t *ciphertext)
{
	uint8_t sha1[SHA1_LEN];
	if (srtp_auth_start(hmac) != srtp_err_status_ok || !hmac_add(op->aad, op->aad_len) ||
		!hmac_add(ciphertext, op->len) ||
		srtp_auth_compute(hmac, op->tail, sizeof(op->tail), sha1) != srtp_err_status_ok)
		return false;
	memcpy(op->tag, sha1, sizeof(op->tag));
	secmem_wipe(sha1, sizeof(sha1));
	return true;
}

// From src to dst; AES-CM is its own inverse.
static bool op_crypt(struct cipher_op *op)
{
	uint8_t iv[AES_BLOCK_LEN] = {0};
	unsigned int len = op->len;
	if (op->len == 0)
		return true;
	memcpy(iv, op->iv, sizeof(op->iv));
	if (op->dst != op->src)
		memcpy(op->dst, op->src, op->len);
	return srtp_cipher_set_iv(icm, iv, srtp_direction_encrypt) == srtp_err_status_ok &&
	       srtp_cipher_encrypt(icm, op->dst, &len) == srtp_err_status_ok && len == op->len;
}

static bool op_encrypt(struct cipher_op *op)
{
	return op_crypt(op) && op_tag(op, op->dst);
}

static bool op_decrypt(struct cipher_op *op)
{
	if (!op_tag(op, op->src))
		return false;
	if (op->received && !secmem_equal(op->tag, op->received, op->tag_len))
		return true;
	return op_crypt(op);
}

static void burst(struct cipher_op *ops[], uint16_t n, bool (*run)(struct cipher_op *op))
{
	const void *loaded = NULL;
	for (uint16_t i = 0; i < n; i++) {
		struct cipher_op *op = ops[i];
		if (op->key != loaded)
			loaded = key_load(op->key) ? op->key : NULL;
		if (!loaded || !run(op))
			op->failed = true;
	}
	if (n > 0)
		keys_forget();
}

static void libsrtp_encrypt_burst(struct cipher_op *ops[], uint16_t n)
{
	burst(ops, n, op_encrypt);
}

static void libsrtp_decrypt_burst(struct cipher_op *ops[], uint16_t n)
{
	burst(ops, n, op_decrypt);
}

static void libsrtp_thread_fini(void)
{
	if (icm)
		srtp_cipher_dealloc(icm);
	if (hmac)
		srtp_auth_dealloc(hmac);
	icm = NULL;
	hmac = NULL;
}

// What NSS allocates in a burst is there already: a heap that grows takes a system call.
static bool heap_reserve(void)
{
	void *volatile pieces[HEAP_PIECES];
	bool there = true;
	for (int i = 0; i < HEAP_PIECES; i++) {
		pieces[i] = malloc(HEAP_PIECE);
		there = there && pieces[i];
	}
	for (int i = 0; i < HEAP_PIECES; i++)
		free(pieces[i]);
	return there;
}

static int libsrtp_thread_init(void)
{
	if (!heap_reserve())
		return -ENOMEM;
	if (srtp_cipher_type_alloc(&srtp_aes_icm_128, &icm, ICM_KEY_LEN, 0) != srtp_err_status_ok ||
		srtp_auth_type_alloc(&srtp_hmac, &hmac, SRTP_AUTH_KEY_LEN, SHA1_LEN) !=
			srtp_err_status_ok) {
		libsrtp_thread_fini();
		return -ENOMEM;
	}
	return 0;
}

const struct cipher cipher_aes_cm = {
	.name = "libsrtp2",
	.expand = libsrtp_expand,
	.encrypt_burst = libsrtp_encrypt_burst,
	.decrypt_burst = libsrtp_decrypt_burst,
	.thread_init = libsrtp_thread_init,
	.thread_fini = libsrtp_thread_fini,
};

// Not srtp_init(): this layer needs nothing of what it sets up, and it works only once.
bool cipher_libsrtp_open(const char **why)
{
	if (srtp_cipher_type_self_test(&srtp_aes_icm_128) == srtp_err_status_ok &&
		srtp_auth_type_self_test(&srtp_hmac) == srtp_err_status_ok)
		return true;
	*why = "libsrtp2 failed its own self-test";
	return false;
}
