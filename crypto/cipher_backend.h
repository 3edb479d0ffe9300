// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "crypto/cipher.h"

// The implementations that cipher_open() chooses from. Each returns its one cipher, initialised but
// not self-tested, or NULL with *why set to a sentence. Not thread-safe; idempotent.
const struct cipher *cipher_ipsec_mb_open(const char **why);
const struct cipher *cipher_openssl_open(const char **why);
