// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/cipher_backend.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include <intel-ipsec-mb.h>

#include "base/secmem.h"
#include "crypto/gcm_vaes.h"

// Voice by gcm_vaes.c, which is quicker than IPsec-MB for packets of its sizes; longer packets by IPsec-MB. Both read the
// key that IPsec-MB expanded, where the powers of the hash key follow the round keys, the first power last: 48 of them in
// IPsec-MB 1.3; in 2.0 they are 32, and as many products of them with the polynomial follow. Whether that is so is tested
// before the cipher is used.

enum {
	AT_ONCE = 32, // packets, a worker's burst
	POWER_LEN = 16,
	POWERS_OCTETS = sizeof(((struct gcm_key_data *)NULL)->ghash_keys.vaes_avx512.shifted_hkey),
	POWERS_END = offsetof(struct gcm_key_data, ghash_keys) +
		     (POWERS_OCTETS == 48 * POWER_LEN ? POWERS_OCTETS : POWERS_OCTETS / 2),
};

static_assert(POWERS_END <= CIPHER_KEY_SIZE, "the powers are in the key");

static const struct cipher *ipsec_mb;

static void some_run(struct cipher_op *ops[], uint16_t n, bool decrypt)
{
	struct cipher_op *of_vaes[AT_ONCE], *of_ipsec_mb[AT_ONCE];
	uint16_t n_vaes = 0, n_ipsec_mb = 0;
	for (uint16_t i = 0; i < n; i++) {
		if (gcm_vaes_takes(ops[i]))
			of_vaes[n_vaes++] = ops[i];
		else
			of_ipsec_mb[n_ipsec_mb++] = ops[i];
	}
	if (n_vaes > 0)
		gcm_vaes_burst(of_vaes, n_vaes, POWERS_END, decrypt);
	if (n_ipsec_mb == 0)
		return;
	if (decrypt)
		ipsec_mb->decrypt_burst(of_ipsec_mb, n_ipsec_mb);
	else
		ipsec_mb->encrypt_burst(of_ipsec_mb, n_ipsec_mb);
}

static void all_run(struct cipher_op *ops[], uint16_t n, bool decrypt)
{
	for (; n > AT_ONCE; ops += AT_ONCE, n = (uint16_t)(n - AT_ONCE))
		some_run(ops, AT_ONCE, decrypt);
	some_run(ops, n, decrypt);
}

static void vaes_encrypt_burst(struct cipher_op *ops[], uint16_t n)
{
	all_run(ops, n, false);
}

static void vaes_decrypt_burst(struct cipher_op *ops[], uint16_t n)
{
	all_run(ops, n, true);
}

static int vaes_expand(enum srtp_suite suite, const uint8_t *session_key, void *expanded)
{
	return ipsec_mb->expand(suite, session_key, expanded);
}

static int vaes_thread_init(void)
{
	return ipsec_mb->thread_init();
}

static void vaes_thread_fini(void)
{
	ipsec_mb->thread_fini();
}

static const struct cipher cipher = {
	.name = "vaes",
	.expand = vaes_expand,
	.encrypt_burst = vaes_encrypt_burst,
	.decrypt_burst = vaes_decrypt_burst,
	// As those of IPsec-MB.
	.reads = {.first = 11 * 16,
		.end = POWERS_END,
		.last = 128,
		.last_of_long = 256,
		.short_len = 96},
	.thread_init = vaes_thread_init,
	.thread_fini = vaes_thread_fini,
};

// Whether one packet comes out as IPsec-MB does it. Octets of text do not matter: lengths do.
static bool equals_ipsec_mb(enum srtp_suite suite, const void *key, uint32_t len, bool decrypt)
{
	uint8_t text[2][GCM_VAES_LEN_MAX];
	struct cipher_op ops[2], *own[] = {&ops[0]}, *theirs[] = {&ops[1]};
	for (int i = 0; i < 2; i++) {
		memset(text[i], 0x5a, sizeof(text[i]));
		ops[i] = (struct cipher_op){
			.key = key,
			.src = text[i],
			.dst = text[i],
			.aad = key, // any octets
			.len = len,
			.aad_len = (uint16_t)(len % (GCM_VAES_AAD_MAX + 1)),
			.suite = (uint8_t)suite,
			.iv = {(uint8_t)len, 1},
		};
	}
	if (decrypt) {
		vaes_decrypt_burst(own, 1);
		ipsec_mb->decrypt_burst(theirs, 1);
	} else {
		vaes_encrypt_burst(own, 1);
		ipsec_mb->encrypt_burst(theirs, 1);
	}
	return memcmp(text[0], text[1], sizeof(text[0])) == 0 &&
	       memcmp(ops[0].tag, ops[1].tag, SRTP_GCM_TAG_LEN) == 0;
}

static bool lengths_test(void)
{
	_Alignas(CIPHER_KEY_ALIGN) uint8_t key[CIPHER_KEY_SIZE];
	static const uint8_t session_key[SRTP_KEY_MAX] = {1, 2, 3};
	bool same = true;
	for (int suite = 0; srtp_suite_is_aead((enum srtp_suite)suite); suite++) {
		vaes_expand((enum srtp_suite)suite, session_key, key);
		for (uint32_t len = 0; len <= GCM_VAES_LEN_MAX; len++)
			same = equals_ipsec_mb((enum srtp_suite)suite, key, len, false) &&
			       equals_ipsec_mb((enum srtp_suite)suite, key, len, true) && same;
	}
	return same;
}

const struct cipher *cipher_vaes_open(const char **why)
{
	// That the system saves the registers is part of the answer.
	if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
		!__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq") ||
		!__builtin_cpu_supports("vaes") || !__builtin_cpu_supports("vpclmulqdq") ||
		!__builtin_cpu_supports("bmi2")) {
		*why = "the CPU lacks AVX-512 with VAES and VPCLMULQDQ";
		return NULL;
	}
	ipsec_mb = cipher_ipsec_mb_open(why);
	if (!ipsec_mb)
		return NULL;
	if (!lengths_test()) {
		*why = "this version of IPsec-MB expands keys in another way";
		return NULL;
	}
	return &cipher;
}
