// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

// SRTP protection profiles, as control-api names them and RFC 7714 section 14 defines them.
enum srtp_suite {
	SRTP_AEAD_AES_128_GCM, // key 16, salt 12, tag 16 octets
	SRTP_AEAD_AES_256_GCM, // key 32, salt 12, tag 16 octets
	SRTP_N_SUITES,
};

enum {
	SRTP_KEY_MAX = 32,     // octets, largest master or session key
	SRTP_SALT_LEN = 12,    // octets, RFC 7714 12: master and session salt of both suites
	SRTP_GCM_TAG_LEN = 16, // octets, RFC 7714 10 and 13.2
};

// "aead-aes-128-gcm" or "aead-aes-256-gcm".
const char *srtp_suite_name(enum srtp_suite suite);

// The suite of that name, or -1.
int srtp_suite_from_name(const char *name);

// Octets of its master key and of its session key: 16 or 32.
uint8_t srtp_suite_key_len(enum srtp_suite suite);
