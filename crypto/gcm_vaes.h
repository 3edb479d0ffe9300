// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/cipher.h"

// AES-GCM (NIST SP 800-38D) of packets so short that all blocks of one fit in four vectors of 512 bits: VAES and
// VPCLMULQDQ with AVX-512. No branch and no address depends on a secret; afterwards neither vector registers nor the
// stack hold one.

enum {
	GCM_VAES_LEN_MAX = 224, // octets of text: with the AAD and the lengths, 16 blocks
	GCM_VAES_AAD_MAX = 64,  // octets; blocks before the last are hashed one by one
};

// Whether gcm_vaes_burst() takes it.
static inline bool gcm_vaes_takes(const struct cipher_op *op)
{
	return op->len <= GCM_VAES_LEN_MAX && op->aad_len <= GCM_VAES_AAD_MAX;
}

// Encrypts or decrypts n packets of either AES-GCM suite, all of which it takes, and computes their tags. A key begins
// with its round keys, and 16 powers of the hash key end powers_end octets behind its begin, the first one last: their
// octets are reversed, their bits shifted left by one modulo the polynomial. Any thread, on a CPU with AVX-512 (F, BW,
// VL, DQ), VAES, VPCLMULQDQ and BMI2.
void gcm_vaes_burst(struct cipher_op *const ops[], uint16_t n, uint16_t powers_end, bool decrypt);
