// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// libFuzzer entry: octets as KPAK, key set, signature and message of ECCSI. The input lies over a
// valid key set and signature by exclusive or, so what it leaves alone stays valid: only then may
// anything be accepted.

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/eccsi.h"

enum { MESSAGE_LEN = 8, ID_LEN = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct subject {
	uint8_t r[ECCSI_SCALAR_LEN];
	uint8_t s[ECCSI_SCALAR_LEN];
	uint8_t pvt[ECCSI_POINT_LEN];
	uint8_t kpak[ECCSI_POINT_LEN];
	uint8_t ssk[ECCSI_SCALAR_LEN];
	uint8_t id[ID_LEN];
	uint8_t message[MESSAGE_LEN];
};

static struct subject valid;

static void require(bool fact)
{
	if (!fact)
		abort();
}

static void subject_make(void)
{
	uint8_t ksak[ECCSI_SCALAR_LEN], signature[ECCSI_SIGNATURE_LEN];
	const struct eccsi_signer signer = {valid.kpak, valid.id, ID_LEN};
	require(eccsi_ksak_make(ksak, valid.kpak) == ECCSI_OK);
	require(eccsi_ssk_make(ksak, valid.id, ID_LEN, valid.ssk, valid.pvt) == ECCSI_OK);
	require(eccsi_sign(&signer, valid.ssk, valid.pvt, valid.message, MESSAGE_LEN, signature) ==
		ECCSI_OK);
	memcpy(valid.r, signature, sizeof(valid.r) + sizeof(valid.s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct subject subject;
	uint8_t octets[sizeof(subject)], made[ECCSI_SIGNATURE_LEN];
	if (valid.kpak[0] == 0)
		subject_make();
	memcpy(octets, &valid, sizeof(octets));
	for (size_t i = 0; i < size && i < sizeof(octets); i++)
		octets[i] ^= data[i];
	memcpy(&subject, octets, sizeof(subject));
	const struct eccsi_signer signer = {subject.kpak, subject.id, ID_LEN};
	bool same_key_set = memcmp(subject.pvt, valid.pvt, ECCSI_POINT_LEN) == 0 &&
			    memcmp(subject.kpak, valid.kpak, ECCSI_POINT_LEN) == 0 &&
			    memcmp(subject.id, valid.id, ID_LEN) == 0;
	bool same_signature = same_key_set && memcmp(&subject, &valid, sizeof(subject.r)) == 0 &&
			      memcmp(subject.s, valid.s, sizeof(subject.s)) == 0 &&
			      memcmp(subject.message, valid.message, MESSAGE_LEN) == 0;
	bool same_ssk = same_key_set && memcmp(subject.ssk, valid.ssk, ECCSI_SCALAR_LEN) == 0;

	require((eccsi_verify(&signer, subject.message, MESSAGE_LEN, octets) == ECCSI_OK) ==
		same_signature);
	require((eccsi_ssk_validate(&signer, subject.ssk, subject.pvt) == ECCSI_OK) == same_ssk);
	if (eccsi_sign(&signer, subject.ssk, subject.pvt, subject.message, MESSAGE_LEN, made) ==
		ECCSI_OK)
		require((eccsi_verify(&signer, subject.message, MESSAGE_LEN, made) == ECCSI_OK) ==
			same_ssk);
	return 0;
}
