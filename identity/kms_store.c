// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "identity/kms_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/secmem.h"

int kms_store_init(struct kms_store *store)
{
	store->by_uri = map_new();
	return store->by_uri ? 0 : -ENOMEM;
}

void kms_store_fini(struct kms_store *store)
{
	struct map_cursor cursor = {0};
	struct kms *kms;
	while (store->by_uri && (kms = map_next(store->by_uri, &cursor)) != NULL)
		kms_free(kms);
	map_free(store->by_uri);
}

const char *kms_validate(struct kms *kms)
{
	enum eccsi_status eccsi = eccsi_kpak_check(kms->facts.kpak);
	if (eccsi != ECCSI_OK)
		return eccsi_status_text(eccsi);
	enum sakke_status sakke = sakke_kms_make(kms->z, &kms->sakke);
	return sakke == SAKKE_OK ? NULL : sakke_status_text(sakke);
}

struct kms *kms_find(const struct kms_store *store, const void *uri, size_t len)
{
	return map_get(store->by_uri, uri, len);
}

static struct kms *namesake(const struct kms_store *store, const struct kms *kms)
{
	return kms_find(store, kms->facts.uri.octets, kms->facts.uri.len);
}

static bool keys_equal(const struct kms *a, const struct kms *b)
{
	return memcmp(a->z, b->z, sizeof(a->z)) == 0 &&
	       memcmp(a->facts.kpak, b->facts.kpak, sizeof(a->facts.kpak)) == 0 &&
	       a->facts.period == b->facts.period && a->facts.offset == b->facts.offset;
}

// What says who its users are is no part of a Kms.
static bool stated_equal(const struct kms *kms, const struct kms *pseudo)
{
	json_t *stated = json_copy(pseudo->stated);
	json_object_del(stated, "users");
	json_object_del(stated, "domain");
	bool equal = json_equal(kms->stated, stated);
	json_decref(stated);
	return equal;
}

bool kms_is_used(const struct kms *kms)
{
	return kms->n_identities > 0 || kms->pins > 0;
}

bool kms_admit(const struct kms_store *store, const struct kms *kms, bool replace, const char *path,
	struct rpc_error *error)
{
	const struct kms *other = namesake(store, kms);
	if (!other && map_count(store->by_uri) >= KMS_MAX)
		rpc_fail(error, RPC_LIMIT, path, "is one KMS too many; accepted: %d", KMS_MAX);
	else if (other && !keys_equal(kms, other) && (!replace || kms_is_used(other)))
		rpc_fail(error, RPC_CONFLICT, path,
			"is installed with other keys or periods; accepted: the same, or replace "
			"of one without key sets");
	else if (other && other->pseudo && !stated_equal(kms, other))
		rpc_fail(error, RPC_CONFLICT, path,
			"is a KMS that this relay itself is, with other members; accepted: the "
			"same");
	else if (other && !other->pseudo && !replace && !json_equal(kms->stated, other->stated))
		rpc_fail(error, RPC_CONFLICT, path,
			"is installed with other members; accepted: the same, or replace");
	return error->code == RPC_OK;
}

void kms_install(struct kms_store *store, struct kms *kms)
{
	struct kms *other = namesake(store, kms);
	if (!other) {
		map_add(store->by_uri, kms->facts.uri.octets, kms->facts.uri.len, kms);
		return;
	}
	if (other->pseudo) {
		kms_free(kms); // the same
		return;
	}
	// Identities point to the KMS that they have: it takes over what was stated.
	struct kms old = *other;
	other->facts = kms->facts;
	other->stated = kms->stated;
	other->quirks_stated = kms->quirks_stated;
	kms->facts = old.facts;
	kms->stated = old.stated;
	if (memcmp(kms->z, old.z, sizeof(old.z)) != 0) {
		memcpy(other->z, kms->z, sizeof(other->z));
		other->sakke = kms->sakke;
		kms->sakke = old.sakke;
	}
	kms_free(kms);
}

void kms_remove(struct kms_store *store, struct kms *kms)
{
	map_remove(store->by_uri, kms->facts.uri.octets, kms->facts.uri.len);
	kms_free(kms);
}

void kms_free(struct kms *kms)
{
	if (!kms)
		return;
	sakke_kms_free(kms->sakke);
	free((void *)(uintptr_t)kms->facts.gms);
	free((void *)(uintptr_t)kms->facts.mdsi);
	json_decref(kms->stated);
	secmem_free(kms->pseudo);
	free(kms);
}
