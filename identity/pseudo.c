// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "identity/pseudo.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/log.h"
#include "base/secmem.h"
#include "crypto/sakke_kms.h"
#include "crypto/stack_wipe.h"
#include "identity/kms_read.h"

enum { USERS_MAX = 255 };

// Members of a Kms that kms.create takes as kms.install does.
static const char *const shared_members[] = {
	"uri", "period", "offset", "cert_uri", "domains", "gms", "mdsi", "accept", NULL};

// --- what is asked for

static json_t *users_read(struct reader *r)
{
	const json_t *list = NULL;
	json_t *users = json_array();
	reader_array(r, "users", READER_REQUIRED, &list);
	size_t n = json_array_size(list);
	if (list && (n == 0 || n > USERS_MAX))
		reader_fail(r, RPC_INVALID_PARAMS, "users", "has %zu elements; accepted: 1 to %d",
			n, USERS_MAX);
	for (size_t i = 0; r->error->code == RPC_OK && i < n; i++) {
		json_t *item = json_array_get(list, i);
		const char *text = json_string_value(item);
		const char *star = text ? strchr(text, '*') : NULL;
		size_t len = text ? strlen(text) : 0;
		char path[128];
		reader_element_path(r, "users", i, path);
		if (len == 0 || len > MIKEY_ID_MAX || (star && strchr(star + 1, '*')))
			rpc_fail(r->error, RPC_INVALID_PARAMS, path,
				"names no users; accepted: a URI of 1 to %d octets, with at most "
				"one *",
				MIKEY_ID_MAX);
		json_array_append(users, item);
	}
	return users;
}

static bool domain_read(struct reader *r, char domain[IDENTITY_DOMAIN_SIZE])
{
	const char *text = "home";
	reader_string(r, "domain", READER_OPTIONAL, &text);
	if (text[0] == '\0' || strlen(text) >= IDENTITY_DOMAIN_SIZE) {
		reader_fail(r, RPC_INVALID_PARAMS, "domain", "has %zu octets; accepted: 1 to 127",
			strlen(text));
		return false;
	}
	memcpy(domain, text, strlen(text) + 1);
	return true;
}

// What kms.install would be given, with keys that are drawn later.
static json_t *kms_object(const json_t *params)
{
	static const uint8_t nothing[SAKKE_POINT_LEN];
	char text[2 * SAKKE_POINT_LEN + 1];
	json_t *object = json_object();
	json_object_set_new(object, "period", json_integer(2592000));
	for (const char *const *name = shared_members; *name; name++) {
		json_t *value = json_object_get(params, *name);
		if (value)
			json_object_set(object, *name, value);
	}
	json_object_set_new(object, "role", json_string("home"));
	json_object_set_new(object, "security_gateway", json_true());
	hex_encode(nothing, SAKKE_POINT_LEN, text);
	json_object_set_new(object, "enc_key", json_string(text));
	hex_encode(nothing, ECCSI_POINT_LEN, text);
	json_object_set_new(object, "auth_key", json_string(text));
	return object;
}

static struct kms *kms_make(
	const json_t *params, json_t *users, const char *domain, struct rpc_error *error)
{
	json_t *object = kms_object(params);
	struct kms *kms = kms_read(object, "params", error);
	json_decref(object);
	if (!kms)
		return NULL;
	kms->pseudo = secmem_malloc(sizeof(*kms->pseudo));
	if (!kms->pseudo) {
		kms_free(kms);
		rpc_fail_memory(error, "params");
		return NULL;
	}
	memset(kms->pseudo, 0, sizeof(*kms->pseudo));
	snprintf(kms->pseudo->domain, sizeof(kms->pseudo->domain), "%s", domain);
	json_object_set(kms->stated, "users", users);
	json_object_set_new(kms->stated, "domain", json_string(domain));
	return kms;
}

struct kms *pseudo_kms_read(const json_t *params, struct rpc_error *error)
{
	struct reader r;
	struct kms *kms = NULL;
	char domain[IDENTITY_DOMAIN_SIZE];
	reader_open(&r, params, "params", error);
	for (const char *const *name = shared_members; *name; name++)
		reader_skip(&r, *name);
	json_t *users = users_read(&r);
	domain_read(&r, domain);
	if (reader_close(&r))
		kms = kms_make(params, users, domain, error);
	json_decref(users);
	return kms;
}

static bool member_equal(const struct kms *a, const struct kms *b, const char *name)
{
	return json_equal(json_object_get(a->stated, name), json_object_get(b->stated, name));
}

bool pseudo_kms_equal(const struct kms *read, const struct kms *there)
{
	for (const char *const *name = shared_members; *name; name++)
		if (json_object_get(read->stated, *name) && !member_equal(read, there, *name) &&
			(read->quirks_stated || strcmp(*name, "accept") != 0))
			return false;
	return member_equal(read, there, "users") && member_equal(read, there, "domain");
}

// --- its secrets

static void hex_set(json_t *object, const char *name, const uint8_t *octets, size_t len)
{
	char text[2 * SAKKE_POINT_LEN + 1];
	hex_encode(octets, len, text);
	json_object_set_new(object, name, json_string(text));
	secmem_wipe(text, sizeof(text));
}

static STACK_WIPED char *text_of(const struct kms *kms)
{
	json_t *object = json_pack("{s:O}", "kms", kms->stated);
	hex_set(object, "z", kms->pseudo->z, sizeof(kms->pseudo->z));
	hex_set(object, "ksak", kms->pseudo->ksak, sizeof(kms->pseudo->ksak));
	size_t len = json_dumpb(object, NULL, 0, JSON_COMPACT);
	char *text = secmem_malloc(len + 1);
	if (text)
		text[json_dumpb(object, text, len, JSON_COMPACT)] = '\0';
	json_decref(object);
	return text;
}

// The public keys, of secrets that were drawn or kept.
static bool keys_put(struct kms *kms, const uint8_t *z_point, const uint8_t *kpak)
{
	memcpy(kms->z, z_point, sizeof(kms->z));
	memcpy(kms->facts.kpak, kpak, sizeof(kms->facts.kpak));
	hex_set(kms->stated, "enc_key", kms->z, sizeof(kms->z));
	hex_set(kms->stated, "auth_key", kms->facts.kpak, sizeof(kms->facts.kpak));
	return !kms_validate(kms);
}

int pseudo_kms_make(struct kms *kms, const struct vault *vault)
{
	uint8_t z_point[SAKKE_POINT_LEN], kpak[ECCSI_POINT_LEN];
	struct pseudo_kms *pseudo = kms->pseudo;
	if (sakke_z_make(pseudo->z, z_point) != SAKKE_OK ||
		eccsi_ksak_make(pseudo->ksak, kpak) != ECCSI_OK || !keys_put(kms, z_point, kpak))
		return -EIO;
	char *text = text_of(kms);
	if (!text)
		return -ENOMEM;
	int rc = vault_put(vault, (const char *)kms->facts.uri.octets, text, strlen(text));
	secmem_free(text);
	stack_wipe();
	return rc;
}

// --- what was sealed

static bool secret_read(const json_t *object, const char *name, uint8_t *out, size_t size)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text && hex_decode(text, out, size);
}

static struct kms *kms_of(const json_t *object)
{
	struct rpc_error error = {};
	uint8_t z_point[SAKKE_POINT_LEN], kpak[ECCSI_POINT_LEN];
	const json_t *stated = json_object_get(object, "kms");
	const char *domain = json_string_value(json_object_get(stated, "domain"));
	struct kms *kms =
		domain ? kms_make(stated, json_object_get(stated, "users"), domain, &error) : NULL;
	if (!kms)
		return NULL;
	if (secret_read(object, "z", kms->pseudo->z, sizeof(kms->pseudo->z)) &&
		secret_read(object, "ksak", kms->pseudo->ksak, sizeof(kms->pseudo->ksak)) &&
		sakke_z_point_make(kms->pseudo->z, z_point) == SAKKE_OK &&
		eccsi_kpak_make(kms->pseudo->ksak, kpak) == ECCSI_OK &&
		keys_put(kms, z_point, kpak))
		return kms;
	kms_free(kms);
	return NULL;
}

static const char *kms_take(void *arg, const char *text, size_t len)
{
	struct kms_store *store = arg;
	struct rpc_error error = {};
	json_t *object = json_loadb(text, len, 0, NULL);
	struct kms *kms = object ? kms_of(object) : NULL;
	json_decref(object);
	stack_wipe();
	if (!kms)
		return "it has no KMS that this version can use";
	if (kms_admit(store, kms, false, "", &error)) {
		kms_install(store, kms);
		return NULL;
	}
	kms_free(kms);
	return "there are too many KMSs";
}

void pseudo_kms_restore(struct kms_store *store, const struct vault *vault)
{
	vault_visit(vault, kms_take, store);
}

// --- its users

static bool pattern_fits(const char *pattern, const struct mikey_octets *uri)
{
	const char *star = strchr(pattern, '*');
	size_t before = star ? (size_t)(star - pattern) : strlen(pattern);
	size_t behind = star ? strlen(star + 1) : 0;
	if (star ? uri->len <= before + behind : uri->len != before)
		return false;
	return memcmp(uri->octets, pattern, before) == 0 &&
	       (!star || memcmp(uri->octets + uri->len - behind, star + 1, behind) == 0);
}

bool pseudo_kms_serves(const struct kms *kms, const struct mikey_octets *uri)
{
	static const char *const lists[] = {"users", "gms", "mdsi"};
	for (size_t l = 0; l < 3; l++) {
		const json_t *list = json_object_get(kms->stated, lists[l]);
		for (size_t i = 0; i < json_array_size(list); i++) {
			const char *text = json_string_value(json_array_get(list, i));
			bool fits = l == 0 ? pattern_fits(text, uri)
					   : strlen(text) == uri->len &&
						     memcmp(text, uri->octets, uri->len) == 0;
			if (fits)
				return true;
		}
	}
	return false;
}

struct key_set *pseudo_signer_make(
	const struct kms *kms, const struct mikey_octets *uri, uint64_t period_no)
{
	const struct mcx_uid_input input = {.identity = uri->octets,
		.identity_len = uri->len,
		.kms = kms->facts.uri.octets,
		.kms_len = kms->facts.uri.len,
		.period = kms->facts.period,
		.offset = kms->facts.offset,
		.period_no = period_no};
	struct key_set *set = key_set_new();
	if (!set)
		return NULL;
	if (mcx_uid(&input, set->uid) != MCX_UID_OK ||
		eccsi_ssk_make(kms->pseudo->ksak, set->uid, sizeof(set->uid), set->ssk, set->pvt) !=
			ECCSI_OK) {
		key_set_free(set);
		return NULL;
	}
	set->period_no = period_no;
	set->pins = 1;
	set->gone = true;
	set->derived = true;
	return set;
}

// --- key sets that open

struct mikey_local pseudo_local(
	const struct kms *kms, const struct mikey_octets *uri, enum mikey_type type)
{
	return (struct mikey_local){
		.uri = *uri, .role = mikey_role_of(&kms->facts, uri, type), .derived = true};
}

static struct derived_set *derived_find(
	struct identity_store *store, const struct kms *kms, const uint8_t uid[MCX_UID_LEN])
{
	for (size_t i = 0; i < DERIVED_SETS_MAX; i++) {
		struct derived_set *derived = &store->derived[i];
		if (derived->set && derived->kms == kms &&
			memcmp(derived->set->uid, uid, MCX_UID_LEN) == 0)
			return derived;
	}
	return NULL;
}

// The name of a key set that is not kept yet.
struct deriving_name {
	const struct kms *kms;
	uint8_t uid[MCX_UID_LEN];
};

static struct deriving_name deriving_name(const struct kms *kms, const struct key_set *set)
{
	struct deriving_name name = {.kms = kms};
	memcpy(name.uid, set->uid, sizeof(name.uid));
	return name;
}

struct key_set *pseudo_receiver_take(struct identity_store *store, struct kms *kms,
	const struct mikey_octets *uri, uint64_t period_no)
{
	struct key_set *set = pseudo_signer_make(kms, uri, period_no);
	if (!set)
		return NULL;
	struct derived_set *derived = derived_find(store, kms, set->uid);
	struct deriving_name name = deriving_name(kms, set);
	struct key_set *known =
		derived ? derived->set : map_get(store->deriving, &name, sizeof(name));
	if (derived)
		derived->used = ++store->derived_uses;
	if (!known) {
		map_add(store->deriving, &name, sizeof(name), set);
		return set;
	}
	key_set_unpin(store, set);
	key_set_pin(known);
	return known;
}

static bool derive(const struct kms *kms, struct key_set *set)
{
	bool ok =
		sakke_rsk_make(kms->pseudo->z, set->uid, sizeof(set->uid), set->rsk) == SAKKE_OK &&
		sakke_receiver_make(kms->sakke, set->uid, sizeof(set->uid), set->rsk,
			&set->receiver) == SAKKE_OK;
	secmem_wipe(set->rsk, sizeof(set->rsk));
	return ok;
}

bool pseudo_receiver_derive(const struct kms *kms, struct key_set *set)
{
	pthread_mutex_lock(&set->mutex);
	bool ok = set->receiver || derive(kms, set);
	pthread_mutex_unlock(&set->mutex);
	return ok;
}

// Keeps it for the next message; the one that was used longest ago makes room.
static void keep(struct identity_store *store, struct kms *kms, struct key_set *set)
{
	struct derived_set *oldest = &store->derived[0];
	if (!set->gone || derived_find(store, kms, set->uid))
		return;
	for (size_t i = 1; i < DERIVED_SETS_MAX; i++)
		if (store->derived[i].used < oldest->used)
			oldest = &store->derived[i];
	if (oldest->set)
		key_set_leave(store, oldest->set);
	set->gone = false;
	*oldest = (struct derived_set){.kms = kms, .set = set, .used = ++store->derived_uses};
}

void pseudo_receiver_give(
	struct identity_store *store, struct kms *kms, struct key_set *set, bool good)
{
	struct deriving_name name = deriving_name(kms, set);
	if (good)
		keep(store, kms, set);
	if ((good || set->pins == 1) && map_get(store->deriving, &name, sizeof(name)) == set)
		map_remove(store->deriving, &name, sizeof(name));
	key_set_unpin(store, set);
}

void pseudo_receivers_leave(struct identity_store *store, const struct kms *kms)
{
	for (size_t i = 0; i < DERIVED_SETS_MAX; i++) {
		struct derived_set *derived = &store->derived[i];
		if (!derived->set || derived->kms != kms)
			continue;
		key_set_leave(store, derived->set);
		*derived = (struct derived_set){};
	}
}
