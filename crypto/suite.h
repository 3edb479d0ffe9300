// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

// SRTP protection profiles, as control-api names them: RFC 7714 section 14 defines the first two,
// RFC 4568 6.2 the others.
enum srtp_suite {
	SRTP_AEAD_AES_128_GCM,        // key 16, salt 12, tag 16 octets
	SRTP_AEAD_AES_256_GCM,        // key 32, salt 12, tag 16 octets
	SRTP_AES_CM_128_HMAC_SHA1_80, // key 16, salt 14, auth key 20, tag 10 octets
	SRTP_AES_CM_128_HMAC_SHA1_32, // the same, but the tag of SRTP has 4 octets
	SRTP_N_SUITES,
};

// The two protocols of RFC 3711; the value is the step of their key derivation labels (0 or 3).
enum srtp_protocol { SRTP_RTP, SRTP_RTCP, SRTP_N_PROTOCOLS };

enum {
	SRTP_KEY_MAX = 32,         // octets, largest master key or session encryption key
	SRTP_SALT_MAX = 14,        // octets, largest master or session salt
	SRTP_AUTH_KEY_LEN = 20,    // octets, RFC 3711 8.2: n_a of the AES-CM suites
	SRTP_SESSION_KEY_MAX = 36, // octets, largest encryption key with its authentication key
	SRTP_GCM_TAG_LEN = 16,     // octets, RFC 7714 10 and 13.2
	SRTP_SHA1_80_TAG_LEN = 10, // octets, RFC 3711 5.2
	SRTP_SHA1_32_TAG_LEN = 4,  // octets, RFC 4568 6.2.2
};

// "aead-aes-128-gcm", "aead-aes-256-gcm", "aes-cm-128-hmac-sha1-80" or "aes-cm-128-hmac-sha1-32".
const char *srtp_suite_name(enum srtp_suite suite);

// The suite of that name, or -1.
int srtp_suite_from_name(const char *name);

// Octets of its master key and of its session encryption key: 16 or 32.
uint8_t srtp_suite_key_len(enum srtp_suite suite);

// Octets of its master salt and of its session salt: 12 or 14.
uint8_t srtp_suite_salt_len(enum srtp_suite suite);

// Whether one algorithm encrypts and authenticates (RFC 7714); the others have an authentication
// key of SRTP_AUTH_KEY_LEN octets, and their tag is the last of a packet (RFC 3711 3.1).
static inline bool srtp_suite_is_aead(enum srtp_suite suite)
{
	return suite < SRTP_AES_CM_128_HMAC_SHA1_80;
}

// Octets of the tag: RFC 4568 6.2.2 shortens that of SRTP only.
static inline uint8_t srtp_suite_tag_len(enum srtp_suite suite, enum srtp_protocol protocol)
{
	if (srtp_suite_is_aead(suite))
		return SRTP_GCM_TAG_LEN;
	return suite == SRTP_AES_CM_128_HMAC_SHA1_32 && protocol == SRTP_RTP ? SRTP_SHA1_32_TAG_LEN
									     : SRTP_SHA1_80_TAG_LEN;
}
