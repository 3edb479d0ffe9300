// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "crypto/cipher.h"

// The implementations of AES-GCM that cipher_open() chooses from. Each returns its one cipher,
// initialised but not self-tested, or NULL with *why set to a sentence. Not thread-safe; idempotent.
const struct cipher *cipher_vaes_open(const char **why);
const struct cipher *cipher_ipsec_mb_open(const char **why);
const struct cipher *cipher_openssl_open(const char **why);

// Makes cipher_aes_cm ready, but for its self-test. False with *why set to a sentence if libsrtp2
// failed. Not thread-safe; idempotent.
bool cipher_libsrtp_open(const char **why);
