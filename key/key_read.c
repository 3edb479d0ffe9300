// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/key_read.h"

#include <string.h>

#include "base/hex.h"
#include "base/secmem.h"
#include "crypto/srtp.h"
#include "key/users.h"
#include "server/reader.h"

static bool key_id_decode(const char *text, uint32_t *id)
{
	uint8_t octets[4];
	if (!hex_decode(text, octets, sizeof(octets)))
		return false;
	*id = srtp_read32(octets);
	return true;
}

bool key_id_read(struct reader *r, const char *name, enum reader_need need, uint32_t *id)
{
	const char *text;
	if (!reader_string(r, name, need, &text))
		return false;
	if (key_id_decode(text, id))
		return true;
	reader_fail(r, RPC_INVALID_PARAMS, name, "is no key id; accepted: 8 hex digits");
	return false;
}

bool key_id_of_json(const json_t *value, const char *path, uint32_t *id, struct rpc_error *error)
{
	if (json_is_string(value) && key_id_decode(json_string_value(value), id))
		return true;
	rpc_fail(error, RPC_INVALID_PARAMS, path, "is no key id; accepted: 8 hex digits");
	return false;
}

bool key_domain_read(struct reader *r, const char **domain)
{
	if (!reader_string(r, "domain", READER_OPTIONAL, domain))
		return false;
	size_t len = strlen(*domain);
	if (len == 0 || len >= sizeof(((struct key_spec *)NULL)->domain))
		reader_fail(
			r, RPC_INVALID_PARAMS, "domain", "has %zu octets; accepted: 1 to 127", len);
	return true;
}

bool key_profile_read(
	struct reader *r, const char *name, enum key_type type, struct key_profile *profile)
{
	static const char *const suites[] = {"aead-aes-128-gcm", "aead-aes-256-gcm",
		"aes-cm-128-hmac-sha1-80", "aes-cm-128-hmac-sha1-32", NULL};
	struct reader p;
	unsigned suite = profile->suite;
	uint64_t mki_len = profile->mki_len, roc_rate = profile->roc_rate;
	if (!reader_object(r, name, READER_OPTIONAL, &p))
		return false;
	reader_choice(&p, "suite", READER_OPTIONAL, suites, &suite);
	reader_uint(&p, "mki_length", 0, 8, &mki_len);
	if (!srtp_suite_is_aead((enum srtp_suite)suite))
		roc_rate = 0;
	reader_uint(&p, "roc_rate", 0, 65535, &roc_rate);
	if (roc_rate != 0 && !srtp_suite_is_aead((enum srtp_suite)suite))
		reader_fail(&p, RPC_INVALID_PARAMS, "roc_rate",
			"is %u; accepted: 0, mode 3 of RFC 4771 is for the suites of AES-GCM",
			(unsigned)roc_rate);
	if (mki_len != 0 && mki_len != 4 && !(mki_len == 8 && type == KEY_GMK))
		reader_fail(&p, RPC_INVALID_PARAMS, "mki_length", "is %u; accepted: 0, 4%s",
			(unsigned)mki_len, type == KEY_GMK ? ", 8" : " (8 is for a gmk)");
	if (!reader_close(&p))
		return false;
	*profile = (struct key_profile){(uint8_t)suite, (uint8_t)mki_len, (uint16_t)roc_rate};
	return true;
}

static void key_read_type(struct reader *r, struct key_spec *spec)
{
	unsigned tag = key_id_type(spec->id), type = tag;
	bool stated = reader_choice(r, "type", READER_OPTIONAL, key_type_names, &type);
	if (tag >= KEY_N_TYPES)
		reader_fail(r, RPC_KEY_REFUSED, "id",
			"has purpose tag %u; accepted: 0 (gmk) to 6 (musik)", tag);
	else if (stated && type != tag)
		reader_fail(r, RPC_KEY_REFUSED, "type",
			"is %s, but the purpose tag of the id says %s; accepted: that, or no type",
			key_type_names[type], key_type_names[tag]);
	else
		spec->type = (enum key_type)tag;
}

static void key_read_secret(struct reader *r, struct key_secret *secret)
{
	const char *text;
	if (reader_string(r, "value", READER_REQUIRED, &text)) {
		size_t len = hex_decode_range(text, secret->value, 16, 32);
		if (len != 16 && len != 32)
			reader_fail(r, RPC_INVALID_PARAMS, "value",
				"is no key; accepted: 32 or 64 hex digits");
		secret->value_len = (uint8_t)len;
	}
	if (reader_string(r, "rand", READER_REQUIRED, &text)) {
		size_t len = hex_decode_range(text, secret->rand, MIKEY_RAND_MIN, MIKEY_RAND_MAX);
		if (len == 0)
			reader_fail(r, RPC_INVALID_PARAMS, "rand",
				"is no RAND; accepted: %d to %d hex digits", 2 * MIKEY_RAND_MIN,
				2 * MIKEY_RAND_MAX);
		secret->rand_len = (uint8_t)len;
	}
}

static void key_read_times(struct reader *r, struct key_spec *spec)
{
	uint64_t activation = 0, expiry = 0;
	reader_uint(r, "activation", 0, INT64_MAX, &activation);
	reader_uint(r, "expiry", 0, INT64_MAX, &expiry);
	spec->activation = (time_t)activation;
	spec->expiry = (time_t)expiry;
	if (expiry != 0 && expiry <= activation)
		reader_fail(r, RPC_KEY_REFUSED, "expiry",
			"is %llu, not after activation %llu; accepted: 0 for never, or a later "
			"time in Unix seconds",
			(unsigned long long)expiry, (unsigned long long)activation);
	else if (expiry != 0 && spec->expiry <= time(NULL))
		reader_fail(r, RPC_KEY_REFUSED, "expiry",
			"is %llu, which is in the past; accepted: 0 for never, or a time to come "
			"in Unix seconds",
			(unsigned long long)expiry);
}

// An array of URIs, each of 1 to USER_URI_MAX octets.
static bool key_read_uris(struct reader *r, const char *name, const json_t **out)
{
	if (!reader_array(r, name, READER_OPTIONAL, out))
		return false;
	size_t i;
	json_t *item;
	json_array_foreach ((json_t *)(uintptr_t)*out, i, item) {
		size_t len = json_is_string(item) ? json_string_length(item) : 0;
		if (len > 0 && len <= USER_URI_MAX)
			continue;
		char path[128];
		reader_element_path(r, name, i, path);
		rpc_fail(r->error, RPC_INVALID_PARAMS, path,
			"is no URI; accepted: a string of 1 to %d octets", USER_URI_MAX);
		return false;
	}
	return true;
}

bool key_read(const json_t *value, const char *path, struct key_spec *spec, struct rpc_error *error)
{
	const char *domain = "home";
	*spec = (struct key_spec){};
	struct reader r;
	reader_open(&r, value, path, error);
	key_id_read(&r, "id", READER_REQUIRED, &spec->id);
	key_read_type(&r, spec);
	key_read_secret(&r, &spec->secret);
	key_domain_read(&r, &domain);
	key_read_times(&r, spec);
	key_read_uris(&r, "groups", &spec->groups);
	spec->closed = key_read_uris(&r, "users", &spec->users);
	if (spec->closed && spec->type != KEY_GMK)
		reader_fail(&r, RPC_KEY_REFUSED, "users",
			"is for a gmk, this is a %s; accepted: no users",
			key_type_names[spec->type]);
	spec->profile = key_profile_default(spec->type);
	spec->has_profile = key_profile_read(&r, "profile", spec->type, &spec->profile);
	if (!reader_close(&r))
		return false;
	memcpy(spec->domain, domain, strlen(domain) + 1);
	return true;
}
