// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "tests/unit/mikey_corpus.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/mcx_uid.h"
#include "crypto/sakke.h"

struct vectors *corpus_read(void)
{
	return vectors_read("imessage_more.txt");
}

unsigned corpus_quirks(const struct vector *section)
{
	static const struct {
		const char *name;
		unsigned quirk;
	} known[] = {
		{"srtp_id_map", MIKEY_QUIRK_SRTP_ID_MAP},
		{"empty_map_any_type", MIKEY_QUIRK_EMPTY_MAP_ANY_TYPE},
		{"uid_base64", MIKEY_QUIRK_UID_BASE64},
		{"kms_defaults", MIKEY_QUIRK_KMS_DEFAULTS},
		{"unpadded_w", MIKEY_QUIRK_UNPADDED_W},
		{"signature_without_sign_header", MIKEY_QUIRK_SIGNED_WITHOUT_SIGN_HEADER},
		{"key_type_mismatch", MIKEY_QUIRK_KEY_TYPE_MISMATCH},
		{"status_zero_at_first", MIKEY_QUIRK_STATUS_ZERO_AT_FIRST},
	};
	unsigned quirks = 0;
	const char *options = vector_has(section, "options") ? vector_text(section, "options") : "";
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (strstr(options, known[i].name))
			quirks |= known[i].quirk;
	return quirks;
}

struct sample sample_read(const struct vector *section)
{
	struct sample s = {.section = section,
		.len = strlen(vector_text(section, "message")) / 2,
		.quirks = corpus_quirks(section)};
	s.octets = malloc(s.len > 0 ? s.len : 1);
	if (!s.octets)
		err(1, NULL);
	vector_octets(section, "message", s.octets, s.len);
	return s;
}

// "id_ulf_kms" and the like.
static const char *name_make(char name[64], const char *kind, const char *who, const char *what)
{
	snprintf(name, 64, "%s_%s_%s", kind, who, what);
	return name;
}

// Number of the key period of a KMS at the time of T, which is after 2026.
static uint64_t period_of(
	const struct vector *keys, const char *kms, const struct mikey_message *message)
{
	char name[64];
	uint32_t period =
		(uint32_t)vector_decimal(keys, name_make(name, "kms", kms, "user_key_period"));
	uint32_t offset =
		(uint32_t)vector_decimal(keys, name_make(name, "kms", kms, "user_key_offset"));
	const bool era_1 = message->ntp_seconds < UINT32_C(1) << 31;
	uint64_t number;
	if (mcx_uid_period_no(period, offset, (uint64_t)era_1 << 32 | message->ntp_seconds,
		    &number) != MCX_UID_OK)
		errx(1, "no period");
	return number;
}

void sample_ssv(const struct vectors *corpus, const struct sample *sample,
	const struct mikey_message *message, uint8_t ssv[16])
{
	const struct vector *keys = vectors_find(corpus, "keys");
	const char *who = vector_text(sample->section, "receiver");
	char name[64], what[32];
	const char *kms_name = vector_text(keys, name_make(name, "id", who, "kms"));
	const unsigned long period = (unsigned long)period_of(keys, kms_name, message);
	uint8_t z[SAKKE_POINT_LEN], rsk[SAKKE_POINT_LEN], uid[MCX_UID_LEN];
	vector_octets(keys, name_make(name, "kms", kms_name, "Z"), z, sizeof(z));
	snprintf(what, sizeof(what), "%lu_rsk", period);
	vector_octets(keys, name_make(name, "id", who, what), rsk, sizeof(rsk));
	snprintf(what, sizeof(what), "%lu_uid", period);
	vector_octets(keys, name_make(name, "id", who, what), uid, sizeof(uid));
	struct sakke_kms *kms = NULL;
	struct sakke_receiver *receiver = NULL;
	if (sakke_kms_make(z, &kms) != SAKKE_OK ||
		sakke_receiver_make(kms, uid, sizeof(uid), rsk, &receiver) != SAKKE_OK ||
		sakke_decapsulate(receiver, message->sed.octets, false, ssv) != SAKKE_OK)
		errx(1, "%s: no key for %s", sample->section->name, who);
	sakke_receiver_free(receiver);
	sakke_kms_free(kms);
}
