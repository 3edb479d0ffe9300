// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "identity/kms_document.h"

#include <string.h>

#include "base/hex.h"
#include "crypto/stack_wipe.h"
#include "identity/kms_read.h"

static json_t *hex(const uint8_t *octets, size_t size)
{
	char text[2 * SAKKE_POINT_LEN + 1];
	hex_encode(octets, size, text);
	return json_string(text);
}

// A member that was stated, else the one that is there, else none.
static void given_put(json_t *out, const json_t *given, const char *name, json_t *there)
{
	json_t *value = json_object_get(given, name);
	if (value || there)
		json_object_set(out, name, value ? value : there);
}

// A certificate does not tell a second KMS of the relay's users from the first one.
static const char *role_of(const struct kms_certificate *c, const struct kms *other)
{
	const char *there =
		other ? json_string_value(json_object_get(other->stated, "role")) : "external";
	if (c->role == KMS_CERTIFICATE_ROLE_NONE)
		return there;
	if (c->role == KMS_CERTIFICATE_EXTERNAL)
		return "external";
	return strcmp(there, "migration") == 0 ? there : "home";
}

json_t *kms_document_kms(
	const struct kms_certificate *c, const json_t *given, const struct kms *other)
{
	json_t *domains = json_array();
	for (size_t i = 0; i < c->n_domains; i++)
		json_array_append_new(domains, json_string(c->domains[i]));
	json_t *out = json_pack("{s:s,s:s,s:I,s:I,s:o,s:o,s:I,s:I,s:b,s:b,s:o}", "uri", c->kms_uri,
		"role", role_of(c, other), "period", (json_int_t)c->period, "offset",
		(json_int_t)c->offset, "enc_key", hex(c->z, sizeof(c->z)), "auth_key",
		hex(c->kpak, sizeof(c->kpak)), "valid_from", (json_int_t)c->valid_from, "valid_to",
		(json_int_t)c->valid_to, "revoked", c->revoked, "security_gateway",
		c->security_gateway, "domains", domains);
	const json_t *there = other ? other->stated : NULL;
	if (!out)
		return NULL;
	if (c->cert_uri)
		json_object_set_new(out, "cert_uri", json_string(c->cert_uri));
	given_put(out, given, "role", NULL);
	given_put(out, given, "gms", json_object_get(there, "gms"));
	given_put(out, given, "mdsi", json_object_get(there, "mdsi"));
	// What was not stated is that of the configuration, as it is now.
	given_put(out, given, "accept",
		other && other->quirks_stated ? json_object_get(there, "accept") : NULL);
	return out;
}

static STACK_WIPED void keys_put(json_t *out, const struct kms_key_set *set)
{
	json_object_set_new(out, "rsk", hex(set->secrets->rsk, sizeof(set->secrets->rsk)));
	json_object_set_new(out, "ssk", hex(set->secrets->ssk, sizeof(set->secrets->ssk)));
	json_object_set_new(out, "pvt", hex(set->pvt, sizeof(set->pvt)));
}

json_t *kms_document_identity(
	const struct kms_key_set *set, const json_t *given, const struct identity *other)
{
	json_t *out = json_pack("{s:s,s:s,s:I,s:o}", "uri", set->user_uri, "kms", set->kms_uri,
		"period_no", (json_int_t)set->period_no, "uid", hex(set->uid, sizeof(set->uid)));
	if (!out)
		return NULL;
	if (other) {
		const char *role = mikey_role_names[other->local.role];
		json_object_set_new(out, "role", json_string(role));
		json_object_set_new(out, "domain", json_string(other->domain));
	}
	given_put(out, given, "role", NULL);
	given_put(out, given, "domain", NULL);
	keys_put(out, set);
	stack_wipe();
	return out;
}
