// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "identity/identity_read.h"

#include <string.h>

#include <openssl/evp.h>

#include "base/hex.h"
#include "base/secmem.h"
#include "identity/kms_read.h"

// Of the shortest period, up to times of 40 bits.
#define PERIOD_NO_MAX ((UINT64_C(1) << 40) / MCX_UID_PERIOD_MIN)

struct kms *identity_kms_read(struct reader *r, const struct kms_store *kmss, enum reader_need need)
{
	const char *uri = kms_uri_read(r, "kms", need);
	struct kms *kms = uri ? kms_find(kmss, uri, strlen(uri)) : NULL;
	if (uri && !kms)
		reader_fail(r, RPC_NOT_FOUND, "kms",
			"is no KMS that is installed; accepted: a uri that kms.list shows");
	return kms;
}

bool identity_period_read(struct reader *r, uint64_t *period_no)
{
	return reader_uint(r, "period_no", 0, PERIOD_NO_MAX, period_no);
}

static void octets_read(struct reader *r, const char *name, uint8_t *out, size_t size)
{
	const char *text;
	if (reader_string(r, name, READER_REQUIRED, &text) && !hex_decode(text, out, size))
		reader_fail(r, RPC_INVALID_PARAMS, name, "is no key; accepted: %zu hex digits",
			2 * size);
}

// The UID that F.2.1 gives; one that is stated is compared with it.
static void uid_read(struct reader *r, const struct identity_spec *spec, struct key_set *set)
{
	const struct mikey_kms *kms = &spec->kms->facts;
	const struct mcx_uid_input input = {.identity = spec->uri,
		.identity_len = strlen(spec->uri),
		.kms = kms->uri.octets,
		.kms_len = kms->uri.len,
		.period = kms->period,
		.offset = kms->offset,
		.period_no = set->period_no};
	uint8_t stated[64];
	const char *text;
	enum mcx_uid_status status = mcx_uid(&input, set->uid);
	if (status != MCX_UID_OK)
		reader_fail(r, RPC_INVALID_PARAMS, "uri",
			"gives no UID: %s; accepted: one that does", mcx_uid_status_text(status));
	if (!reader_string(r, "uid", READER_OPTIONAL, &text))
		return;
	bool good = hex_decode(text, stated, MCX_UID_LEN);
	if (!good && strlen(text) == 44)
		good = EVP_DecodeBlock(stated, (const uint8_t *)text, 44) == MCX_UID_LEN + 1;
	if (!good)
		reader_fail(r, RPC_INVALID_PARAMS, "uid",
			"is no UID; accepted: 64 hex digits, or base64 of 32 octets");
	else if (memcmp(stated, set->uid, MCX_UID_LEN) != 0)
		reader_fail(r, RPC_KEY_REFUSED, "uid",
			"is not that of the uri, the KMS and the period; accepted: that, or none");
}

static void domain_read(struct reader *r, char domain[IDENTITY_DOMAIN_SIZE])
{
	const char *text = "home";
	if (reader_string(r, "domain", READER_OPTIONAL, &text) &&
		(text[0] == '\0' || strlen(text) >= IDENTITY_DOMAIN_SIZE)) {
		reader_fail(r, RPC_INVALID_PARAMS, "domain", "has %zu octets; accepted: 1 to 127",
			strlen(text));
		return;
	}
	memcpy(domain, text, strlen(text) + 1);
}

static void members_read(struct reader *r, const struct kms_store *kmss, struct identity_spec *spec)
{
	struct key_set *set = spec->set;
	unsigned role = MIKEY_ROLE_USER;
	const char *uri = kms_uri_read(r, "uri", READER_REQUIRED);
	if (uri)
		memcpy(spec->uri, uri, strlen(uri) + 1);
	struct kms *kms = identity_kms_read(r, kmss, READER_REQUIRED);
	reader_choice(r, "role", READER_OPTIONAL, mikey_role_names, &role);
	spec->role = (enum mikey_role)role;
	domain_read(r, spec->domain);
	if (!identity_period_read(r, &set->period_no))
		reader_fail(r, RPC_INVALID_PARAMS, "period_no",
			"is missing; accepted: KeyPeriodNo of the key set");
	octets_read(r, "rsk", set->rsk, sizeof(set->rsk));
	octets_read(r, "ssk", set->ssk, sizeof(set->ssk));
	octets_read(r, "pvt", set->pvt, sizeof(set->pvt));
	if (r->error->code != RPC_OK)
		return;
	spec->kms = kms;
	kms->pins++;
	memcpy(spec->kpak, kms->facts.kpak, sizeof(spec->kpak));
	spec->sakke = kms->sakke;
	uid_read(r, spec, set);
}

struct identity_spec *identity_read(const struct kms_store *kmss, const json_t *value,
	const char *path, struct rpc_error *error)
{
	struct identity_spec *spec = secmem_malloc(sizeof(*spec));
	struct key_set *set = key_set_new();
	struct reader r;
	if (!spec || !set) {
		secmem_free(spec);
		key_set_free(set);
		rpc_fail_memory(error, path);
		return NULL;
	}
	memset(spec, 0, sizeof(*spec));
	spec->set = set;
	reader_open(&r, value, path, error);
	members_read(&r, kmss, spec);
	if (reader_close(&r))
		return spec;
	identity_spec_free(spec);
	return NULL;
}
