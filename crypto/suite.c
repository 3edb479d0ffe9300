// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/suite.h"

#include <string.h>

static const struct {
	const char *name;
	uint8_t key_len;
} suites[SRTP_N_SUITES] = {
	[SRTP_AEAD_AES_128_GCM] = {"aead-aes-128-gcm", 16},
	[SRTP_AEAD_AES_256_GCM] = {"aead-aes-256-gcm", 32},
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
