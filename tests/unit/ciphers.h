// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <string.h>

#include "crypto/cipher_registry.h"

// The i-th cipher, or the quickest that there is in place of one whose instructions this CPU lacks. Fails the test
// where another cannot be opened.
static inline const struct cipher *test_cipher(size_t i)
{
	const char *why = NULL;
	const struct cipher *cipher = cipher_open(cipher_name(i), &why);
	if (!cipher && strcmp(cipher_name(i), "vaes") == 0)
		cipher = cipher_open(cipher_auto, &why);
	if (!cipher)
		fail_msg("%s: %s", cipher_name(i), why);
	return cipher;
}
