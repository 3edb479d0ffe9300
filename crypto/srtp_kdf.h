// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include "crypto/suite.h"

// Master key and salt of one crypto session. Secret: its owner wipes it.
struct srtp_master {
	uint8_t key[SRTP_KEY_MAX];   // srtp_suite_key_len() octets used
	uint8_t salt[SRTP_SALT_MAX]; // srtp_suite_salt_len() octets used, zeros follow
};

// Session keys and salt of one protocol. Secret: its owner wipes it.
struct srtp_session {
	// The encryption key, srtp_suite_key_len() octets; right behind it the authentication key,
	// if the suite has one.
	uint8_t key[SRTP_SESSION_KEY_MAX];
	uint8_t salt[SRTP_SALT_MAX]; // srtp_suite_salt_len() octets used, zeros follow
};

// Session keys by the AES-CM PRF (AES-256 for the 256-bit suite, RFC 6188): RFC 3711 4.3 with kdr
// 0, label at octet 7 for both protocols (erratum 3712), a 12-octet salt followed by two zero
// octets (erratum 4938). Returns 0, or -EIO if the library failed; session is wiped then.
int srtp_kdf(const struct srtp_master *master, enum srtp_suite suite, enum srtp_protocol protocol,
	struct srtp_session *session);

// The PRF itself, for one label and a salt of 14 octets: out_len octets at out. key_len is 16
// or 32. Returns 0, -EINVAL or -EIO.
int srtp_kdf_label(const uint8_t *key, uint8_t key_len, const uint8_t salt[14], uint8_t label,
	uint8_t *out, uint16_t out_len);
