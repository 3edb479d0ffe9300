// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "crypto/key_wrap.h"

// Wraps a value of at most KEY_WRAP_MAX octets as a KMS does, by OpenSSL; out has room for
// key_wrapped_len(len). Returns the octets. For cmocka: a failure fails the test.
size_t key_wrap_by_openssl(enum key_wrap algorithm, const uint8_t kek[KEY_WRAP_KEK_LEN],
	const uint8_t *value, size_t len, uint8_t *out);
