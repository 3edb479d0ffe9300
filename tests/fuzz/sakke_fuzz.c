// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// libFuzzer entry: octets as SED, Z, RSK and identifier of SAKKE. The input lies over a valid
// subject by exclusive or, so what it leaves alone stays valid: only then may anything be accepted.
// The first octet chooses which of them it lies over.

#include <stdlib.h>
#include <string.h>

#include "crypto/sakke.h"
#include "crypto/sakke_kms.h"

enum { ID_LEN = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct subject {
	uint8_t z[SAKKE_SCALAR_LEN];
	uint8_t z_point[SAKKE_POINT_LEN];
	uint8_t id[ID_LEN];
	uint8_t rsk[SAKKE_POINT_LEN];
	uint8_t sed[SAKKE_SED_LEN];
	struct sakke_kms *kms;
	struct sakke_receiver *receiver;
} valid = {.id = {1}};

static const uint8_t ssv[SAKKE_SSV_LEN] = {42};

static void require(bool fact)
{
	if (!fact)
		abort();
}

static void subject_make(void)
{
	bool short_w;
	require(sakke_z_make(valid.z, valid.z_point) == SAKKE_OK);
	require(sakke_rsk_make(valid.z, valid.id, ID_LEN, valid.rsk) == SAKKE_OK);
	require(sakke_kms_make(valid.z_point, &valid.kms) == SAKKE_OK);
	require(sakke_receiver_make(valid.kms, valid.id, ID_LEN, valid.rsk, &valid.receiver) ==
		SAKKE_OK);
	require(sakke_encapsulate(valid.kms, valid.id, ID_LEN, ssv, valid.sed, &short_w) ==
		SAKKE_OK);
}

// out = of[len] with data over it; whether that changes anything.
static bool overlay(const uint8_t *of, size_t len, const uint8_t *data, size_t size, uint8_t *out)
{
	memcpy(out, of, len);
	for (size_t i = 0; i < size && i < len; i++)
		out[i] ^= data[i];
	return memcmp(out, of, len) != 0;
}

static void sed_try(const uint8_t *data, size_t size)
{
	uint8_t sed[SAKKE_SED_LEN], opened[SAKKE_SSV_LEN] = {0};
	static const uint8_t zero[SAKKE_SSV_LEN];
	bool changed = overlay(valid.sed, sizeof(sed), data, size, sed);
	enum sakke_status status = sakke_decapsulate(valid.receiver, sed, true, opened);
	require((status == SAKKE_OK) == !changed);
	require(memcmp(opened, changed ? zero : ssv, sizeof(opened)) == 0);
}

static void receiver_try(const uint8_t *data, size_t size)
{
	uint8_t rsk[SAKKE_POINT_LEN];
	struct sakke_receiver *receiver = NULL;
	bool changed = overlay(valid.rsk, sizeof(rsk), data, size, rsk);
	enum sakke_status status = sakke_receiver_make(valid.kms, valid.id, ID_LEN, rsk, &receiver);
	require((status == SAKKE_OK) == !changed && (receiver != NULL) == !changed);
	sakke_receiver_free(receiver);
}

static void kms_try(const uint8_t *data, size_t size)
{
	uint8_t z_point[SAKKE_POINT_LEN];
	struct sakke_kms *kms = NULL;
	// -Z has order q as well, and nothing else that chance finds.
	overlay(valid.z_point, sizeof(z_point), data, size, z_point);
	enum sakke_status status = sakke_kms_make(z_point, &kms);
	require((status == SAKKE_OK) == (kms != NULL));
	sakke_kms_free(kms);
}

static void id_try(const uint8_t *data, size_t size)
{
	uint8_t opened[SAKKE_SSV_LEN], sed[SAKKE_SED_LEN], rsk[SAKKE_POINT_LEN];
	bool short_w, ok = size > 0 && size <= SAKKE_ID_MAX;
	struct sakke_receiver *receiver;
	require((sakke_rsk_make(valid.z, data, size, rsk) == SAKKE_OK) == ok);
	require((sakke_encapsulate(valid.kms, data, size, ssv, sed, &short_w) == SAKKE_OK) == ok);
	if (!ok)
		return;
	enum sakke_status status = sakke_receiver_make(valid.kms, data, size, rsk, &receiver);
	// b = 0 has no key.
	require(status == SAKKE_OK || (status == SAKKE_ID && data[0] == 0));
	if (status != SAKKE_OK)
		return;
	require(sakke_decapsulate(receiver, sed, false, opened) == SAKKE_OK);
	require(memcmp(opened, ssv, sizeof(opened)) == 0);
	sakke_receiver_free(receiver);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!valid.kms)
		subject_make();
	if (size == 0)
		return 0;
	switch (data[0] % 4) {
	case 0:
		sed_try(data + 1, size - 1);
		break;
	case 1:
		receiver_try(data + 1, size - 1);
		break;
	case 2:
		kms_try(data + 1, size - 1);
		break;
	default:
		id_try(data + 1, size - 1);
	}
	return 0;
}
