// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// libFuzzer entry: the input as an MCData protected payload message, in both layouts, under a key
// that cannot fit but by chance; and as a plaintext, which must survive being protected and
// unprotected.

#include <stdlib.h>
#include <string.h>

#include "crypto/mcdata.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t dppk[MCDATA_DPPK_MAX] = {42};

static void require(bool fact)
{
	if (!fact)
		abort();
}

// Buffers end where they end. False if the layout is not the message's.
static bool message_open(const uint8_t *octets, size_t len, bool signalling, size_t dppk_len,
	enum mcdata_status *status, uint8_t **plaintext)
{
	struct mcdata_message m;
	uint8_t *copy = malloc(len);
	require(copy || len == 0);
	if (len > 0)
		memcpy(copy, octets, len);
	if (mcdata_read(copy, len, signalling, &m) != MCDATA_OK) {
		free(copy);
		return false;
	}
	require(m.aad == copy && m.iv + m.iv_len < m.ciphertext);
	require(m.ciphertext + m.ciphertext_len + MCDATA_TAG_LEN == copy + len);
	*plaintext = calloc(1, m.ciphertext_len);
	require(*plaintext || m.ciphertext_len == 0);
	*status = mcdata_unprotect(&m, dppk, dppk_len, *plaintext);
	for (size_t i = 0; *status != MCDATA_OK && i < m.ciphertext_len; i++)
		require((*plaintext)[i] == 0);
	free(copy);
	return true;
}

static void payload_round_trip(uint8_t variant, const uint8_t *data, size_t size)
{
	struct mcdata_header header = {
		.dppk_id = 7,
		.message_type = MCDATA_PROTECTED_BIT,
		.algorithm = variant & 1 ? MCDATA_DP_AES_128_GCM : MCDATA_DP_AES_256_GCM,
		.signalling_algorithm = variant % 3,
	};
	size_t len = 0, room = mcdata_protected_len(&header, size);
	uint8_t *out = malloc(room), *plaintext;
	enum mcdata_status status;
	require(out && mcdata_protect(&header, dppk, 16, data, size, out, room, &len) == MCDATA_OK);
	require(len == room);
	require(message_open(out, len, variant % 3 != 0, 16, &status, &plaintext));
	require(status == MCDATA_OK && (size == 0 || memcmp(plaintext, data, size) == 0));
	free(plaintext);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (int signalling = 0; signalling < 2; signalling++) {
		uint8_t *plaintext;
		enum mcdata_status status;
		if (!message_open(data, size, signalling, sizeof(dppk), &status, &plaintext))
			continue;
		require(status == MCDATA_OK || status == MCDATA_TAG);
		free(plaintext);
	}
	if (size <= MCDATA_PLAINTEXT_MAX)
		payload_round_trip(size > 0 ? data[0] : 0, data, size);
	return 0;
}
