// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/cipher_backend.h"

#include <assert.h>

#include <intel-ipsec-mb.h>

#include "base/secmem.h"

// The direct GCM calls instead of jobs: GCM of one packet does not gain from being run beside
// another, and a job costs more to submit than a voice packet to encrypt.

static_assert(sizeof(struct gcm_key_data) == CIPHER_KEY_SIZE, "the key area fits IPsec-MB");
static_assert(CIPHER_IV_LEN == 12, "IPsec-MB takes the IV length of the direct calls for granted");

// Function pointers chosen for this CPU. The direct calls read it only.
static IMB_MGR *manager;

static int ipsec_mb_expand(enum srtp_suite suite, const uint8_t *session_key, void *expanded)
{
	if (suite == SRTP_AEAD_AES_128_GCM)
		IMB_AES128_GCM_PRE(manager, session_key, expanded);
	else
		IMB_AES256_GCM_PRE(manager, session_key, expanded);
	return 0;
}

static void ipsec_mb_encrypt_burst(struct cipher_op *ops[], uint16_t n)
{
	struct gcm_context_data context;
	for (uint16_t i = 0; i < n; i++) {
		struct cipher_op *op = ops[i];
		if (op->suite == SRTP_AEAD_AES_128_GCM)
			IMB_AES128_GCM_ENC(manager, op->key, &context, op->dst, op->src, op->len,
				op->iv, op->aad, op->aad_len, op->tag, SRTP_GCM_TAG_LEN);
		else
			IMB_AES256_GCM_ENC(manager, op->key, &context, op->dst, op->src, op->len,
				op->iv, op->aad, op->aad_len, op->tag, SRTP_GCM_TAG_LEN);
	}
	secmem_wipe(&context, sizeof(context));
}

static void ipsec_mb_decrypt_burst(struct cipher_op *ops[], uint16_t n)
{
	struct gcm_context_data context;
	for (uint16_t i = 0; i < n; i++) {
		struct cipher_op *op = ops[i];
		if (op->suite == SRTP_AEAD_AES_128_GCM)
			IMB_AES128_GCM_DEC(manager, op->key, &context, op->dst, op->src, op->len,
				op->iv, op->aad, op->aad_len, op->tag, SRTP_GCM_TAG_LEN);
		else
			IMB_AES256_GCM_DEC(manager, op->key, &context, op->dst, op->src, op->len,
				op->iv, op->aad, op->aad_len, op->tag, SRTP_GCM_TAG_LEN);
	}
	secmem_wipe(&context, sizeof(context));
}

static int ipsec_mb_thread_init(void)
{
	return 0;
}

static void ipsec_mb_thread_fini(void)
{
}

const struct cipher *cipher_ipsec_mb_open(const char **why)
{
	static const struct cipher cipher = {
		.name = "ipsec-mb",
		.expand = ipsec_mb_expand,
		.encrypt_burst = ipsec_mb_encrypt_burst,
		.decrypt_burst = ipsec_mb_decrypt_burst,
		// The round keys of AES-128 (the last four of AES-256 come when they are used) stand at the
		// begin, the powers of the hash key at the end, the lowest last: a packet needs as many as it
		// has blocks. 128 octets of them do for 96 of a packet, 256 for 200.
		.reads = {.first = 11 * 16,
			.end = CIPHER_KEY_SIZE,
			.last = 128,
			.last_of_long = 256,
			.short_len = 96},
		.thread_init = ipsec_mb_thread_init,
		.thread_fini = ipsec_mb_thread_fini,
	};
	const uint64_t needed = IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ;
	if (manager)
		return &cipher;
	IMB_MGR *mgr = alloc_mb_mgr(0);
	if (!mgr) {
		*why = "out of memory";
		return NULL;
	}
	// Without these instructions IPsec-MB refuses or, if told so, emulates AES: slow, and not
	// in constant time.
	if ((mgr->features & needed) != needed) {
		*why = "the CPU lacks AES-NI or PCLMULQDQ";
		goto manager_unusable;
	}
	init_mb_mgr_auto(mgr, NULL);
	if (imb_get_errno(mgr) != 0) {
		*why = "IPsec-MB does not support the CPU";
		goto manager_unusable;
	}
	if ((mgr->features & IMB_FEATURE_SELF_TEST) &&
		!(mgr->features & IMB_FEATURE_SELF_TEST_PASS)) {
		*why = "IPsec-MB failed its own self-test";
		goto manager_unusable;
	}
	manager = mgr;
	return &cipher;

manager_unusable:
	free_mb_mgr(mgr);
	return NULL;
}
