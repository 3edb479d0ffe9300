// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "identity/kms_read.h"

#include <stdlib.h>
#include <string.h>

#include "base/hex.h"

enum {
	NAME_MAX_LEN = 255, // octets of what is neither looked up nor hashed
	LIST_MAX = 255,     // URIs of a list
};

// In seconds; a key period of more than a hundred years is a mistake.
#define PERIOD_MAX UINT32_C(3155760000)
// NTP and Unix times that fit 40 bits (TS 33.180 8.5.4).
#define TIME_MAX ((UINT64_C(1) << 40) - 1)

const char *const mikey_role_names[] = {
	[MIKEY_ROLE_USER] = "user", [MIKEY_ROLE_GMS] = "gms", [MIKEY_ROLE_MDSI] = "mdsi", NULL};

static const char *const kms_role_names[] = {"home", "migration", "external", NULL};
enum { ROLE_EXTERNAL = 2 };

static const char *const quirk_names[] = {
#define _(name, label) label,
	MIKEY_QUIRKS(_)
#undef _
};

const char *kms_uri_read(struct reader *r, const char *name, enum reader_need need)
{
	const char *text;
	if (!reader_string(r, name, need, &text))
		return NULL;
	const struct mikey_octets uri = {(const uint8_t *)text, strlen(text)};
	if (mikey_uri_ok(&uri))
		return text;
	reader_fail(r, RPC_INVALID_PARAMS, name, "has %zu octets; accepted: 1 to %d", uri.len,
		MIKEY_ID_MAX);
	return NULL;
}

// Octets in hex; also into what is shown, in lower case.
static void hex_member_read(
	struct reader *r, json_t *stated, const char *name, uint8_t *out, size_t size)
{
	const char *text;
	char shown[2 * SAKKE_POINT_LEN + 1];
	if (!reader_string(r, name, READER_REQUIRED, &text))
		return;
	if (!hex_decode(text, out, size)) {
		reader_fail(r, RPC_INVALID_PARAMS, name, "is no point; accepted: %zu hex digits",
			2 * size);
		return;
	}
	hex_encode(out, size, shown);
	json_object_set_new(stated, name, json_string(shown));
}

// A list of texts, [] if it is absent.
static void list_read(struct reader *r, json_t *stated, const char *name)
{
	const json_t *list = NULL;
	json_t *copy = json_array();
	if (reader_array(r, name, READER_OPTIONAL, &list) && json_array_size(list) > LIST_MAX)
		reader_fail(r, RPC_INVALID_PARAMS, name, "has %zu elements; accepted: at most %d",
			json_array_size(list), LIST_MAX);
	for (size_t i = 0; r->error->code == RPC_OK && i < json_array_size(list); i++) {
		json_t *item = json_array_get(list, i);
		size_t len = json_is_string(item) ? json_string_length(item) : 0;
		char path[128];
		reader_element_path(r, name, i, path);
		if (len == 0 || len > NAME_MAX_LEN)
			rpc_fail(r->error, RPC_INVALID_PARAMS, path,
				"is no name; accepted: a string of 1 to %d octets", NAME_MAX_LEN);
		json_array_append(copy, item);
	}
	json_object_set_new(stated, name, copy);
}

static void number_read(struct reader *r, json_t *stated, const char *name, uint64_t min,
	uint64_t max, uint64_t *out)
{
	reader_uint(r, name, min, max, out);
	json_object_set_new(stated, name, json_integer((json_int_t)*out));
}

static void flag_read(struct reader *r, json_t *stated, const char *name, bool *out)
{
	reader_bool(r, name, out);
	json_object_set_new(stated, name, json_boolean(*out));
}

static void text_read(struct reader *r, json_t *stated, const char *name)
{
	const char *text;
	if (!reader_string(r, name, READER_OPTIONAL, &text))
		return;
	if (strlen(text) > NAME_MAX_LEN)
		reader_fail(r, RPC_INVALID_PARAMS, name, "has %zu octets; accepted: at most %d",
			strlen(text), NAME_MAX_LEN);
	json_object_set_new(stated, name, json_string(text));
}

const char *kms_quirk_name(unsigned quirk)
{
	unsigned number = 0;
	while (quirk >>= 1)
		number++;
	return quirk_names[number];
}

static bool quirk_take(const char *name, unsigned *taken)
{
	for (unsigned i = 0; name && i < MIKEY_N_QUIRKS; i++)
		if (strcmp(quirk_names[i], name) == 0) {
			*taken |= 1U << i;
			return true;
		}
	return false;
}

static void quirks_state(json_t *stated, unsigned taken)
{
	json_t *shown = json_array();
	for (unsigned i = 0; i < MIKEY_N_QUIRKS; i++)
		if (taken & 1U << i)
			json_array_append_new(shown, json_string(quirk_names[i]));
	json_object_set_new(stated, "accept", shown);
}

// Departures that are accepted: those stated, or the one that every tenth sender has.
static unsigned quirks_read(struct reader *r, json_t *stated, bool *are_stated)
{
	const json_t *list = NULL;
	unsigned taken = 0;
	*are_stated = reader_array(r, "accept", READER_OPTIONAL, &list);
	if (!*are_stated)
		taken = MIKEY_QUIRK_UNPADDED_W;
	for (size_t i = 0; i < json_array_size(list); i++) {
		char path[128];
		reader_element_path(r, "accept", i, path);
		if (!quirk_take(json_string_value(json_array_get(list, i)), &taken))
			rpc_fail(r->error, RPC_INVALID_PARAMS, path,
				"is no known departure; accepted: " MIKEY_QUIRK_NAMES);
	}
	quirks_state(stated, taken);
	return taken;
}

static void period_read(struct reader *r, struct kms *kms)
{
	uint64_t period = 0, offset = 0;
	number_read(r, kms->stated, "period", MCX_UID_PERIOD_MIN, PERIOD_MAX, &period);
	if (period == 0)
		reader_fail(r, RPC_INVALID_PARAMS, "period",
			"is missing; accepted: UserKeyPeriod in seconds");
	number_read(r, kms->stated, "offset", 0, PERIOD_MAX, &offset);
	if (offset >= period)
		reader_fail(r, RPC_INVALID_PARAMS, "offset",
			"is %llu; accepted: less than the period, %llu", (unsigned long long)offset,
			(unsigned long long)period);
	kms->facts.period = (uint32_t)period;
	kms->facts.offset = (uint32_t)offset;
}

static void validity_read(struct reader *r, struct kms *kms)
{
	struct mikey_kms *facts = &kms->facts;
	number_read(r, kms->stated, "valid_from", 0, TIME_MAX, &facts->valid_from);
	number_read(r, kms->stated, "valid_to", 0, TIME_MAX, &facts->valid_to);
	if (facts->valid_to != 0 && facts->valid_to <= facts->valid_from)
		reader_fail(r, RPC_INVALID_PARAMS, "valid_to",
			"is not after valid_from; accepted: 0 for no end, or a later time in Unix "
			"seconds");
	flag_read(r, kms->stated, "revoked", &facts->revoked);
	flag_read(r, kms->stated, "security_gateway", &facts->security_gateway);
}

// The URIs of a list as octets, which stay those of the list.
static const struct mikey_octets *uris_of(const json_t *list, size_t *n)
{
	*n = json_array_size(list);
	struct mikey_octets *uris = calloc(*n > 0 ? *n : 1, sizeof(*uris));
	for (size_t i = 0; uris && i < *n; i++) {
		const json_t *item = json_array_get(list, i);
		uris[i].octets = (const uint8_t *)json_string_value(item);
		uris[i].len = json_string_length(item);
	}
	return uris;
}

static void members_read(struct reader *r, struct kms *kms)
{
	struct mikey_kms *facts = &kms->facts;
	unsigned role = ROLE_EXTERNAL;
	uint64_t parameter_set = 1;
	const char *uri = kms_uri_read(r, "uri", READER_REQUIRED);
	if (uri)
		json_object_set_new(kms->stated, "uri", json_string(uri));
	reader_choice(r, "role", READER_OPTIONAL, kms_role_names, &role);
	json_object_set_new(kms->stated, "role", json_string(kms_role_names[role]));
	period_read(r, kms);
	hex_member_read(r, kms->stated, "enc_key", kms->z, sizeof(kms->z));
	hex_member_read(r, kms->stated, "auth_key", facts->kpak, sizeof(facts->kpak));
	text_read(r, kms->stated, "cert_uri");
	validity_read(r, kms);
	number_read(r, kms->stated, "parameter_set", 1, 1, &parameter_set);
	list_read(r, kms->stated, "domains");
	list_read(r, kms->stated, "gms");
	list_read(r, kms->stated, "mdsi");
	facts->quirks = quirks_read(r, kms->stated, &kms->quirks_stated);
	reader_skip(r, "pseudo");
	reader_skip(r, "identities");
	reader_skip(r, "users");
	reader_skip(r, "domain");
}

void kms_quirks_default(struct kms *kms, unsigned quirks)
{
	if (kms->quirks_stated)
		return;
	kms->facts.quirks = quirks;
	quirks_state(kms->stated, quirks);
}

struct kms *kms_read(const json_t *value, const char *path, struct rpc_error *error)
{
	struct kms *kms = calloc(1, sizeof(*kms));
	if (!kms || !(kms->stated = json_object())) {
		free(kms);
		rpc_fail_memory(error, path);
		return NULL;
	}
	struct reader r;
	reader_open(&r, value, path, error);
	members_read(&r, kms);
	if (reader_close(&r)) {
		struct mikey_kms *facts = &kms->facts;
		const json_t *uri = json_object_get(kms->stated, "uri");
		facts->uri = (struct mikey_octets){
			(const uint8_t *)json_string_value(uri), json_string_length(uri)};
		facts->gms = uris_of(json_object_get(kms->stated, "gms"), &facts->n_gms);
		facts->mdsi = uris_of(json_object_get(kms->stated, "mdsi"), &facts->n_mdsi);
		if (facts->gms && facts->mdsi && facts->uri.octets)
			return kms;
		rpc_fail_memory(error, path);
	}
	kms_free(kms);
	return NULL;
}
