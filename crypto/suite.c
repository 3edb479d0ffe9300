// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/suite.h"

#include <string.h>

static const struct {
	const char *name;
	uint8_t key_len, salt_len; // octets
} suites[SRTP_N_SUITES] = {
	[SRTP_AEAD_AES_128_GCM] = {"aead-aes-128-gcm", 16, 12},
	[SRTP_AEAD_AES_256_GCM] = {"aead-aes-256-gcm", 32, 12},
	[SRTP_AES_CM_128_HMAC_SHA1_80] = {"aes-cm-128-hmac-sha1-80", 16, 14},
	[SRTP_AES_CM_128_HMAC_SHA1_32] = {"aes-cm-128-hmac-sha1-32", 16, 14},
};

const char *srtp_suite_name(enum srtp_suite suite)
{
	return suites[suite].name;
}

int srtp_suite_from_name(const char *name)
{
	for (int suite = 0; suite < SRTP_N_SUITES; suite++) {
		if (strcmp(name, suites[suite].name) == 0)
			return suite;
	}
	return -1;
}

uint8_t srtp_suite_key_len(enum srtp_suite suite)
{
	return suites[suite].key_len;
}

uint8_t srtp_suite_salt_len(enum srtp_suite suite)
{
	return suites[suite].salt_len;
}
