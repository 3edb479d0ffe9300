// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "identity/identity_store.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "base/alloc.h"
#include "base/secmem.h"
#include "identity/kms_read.h"
#include "identity/transport_keys.h"
#include "mikey/ntp.h"

static_assert(offsetof(struct identity, local) == 0, "maps have either");

int identity_store_init(struct identity_store *store)
{
	*store = (struct identity_store){.by_name = map_new(),
		.by_uid = map_new(),
		.deriving = map_new(),
		.shared = transport_keys_open()};
	return store->by_name && store->by_uid && store->deriving && store->shared ? 0 : -ENOMEM;
}

struct key_set *key_set_new(void)
{
	struct key_set *set = secmem_malloc(sizeof(*set));
	if (set) {
		memset(set, 0, sizeof(*set));
		pthread_mutex_init(&set->mutex, NULL);
	}
	return set;
}

void key_set_free(struct key_set *set)
{
	if (!set)
		return;
	sakke_receiver_free(set->receiver);
	pthread_mutex_destroy(&set->mutex);
	secmem_free(set);
}

void identity_store_fini(struct identity_store *store)
{
	struct map_cursor cursor = {0};
	struct identity *identity;
	for (size_t i = 0; i < DERIVED_SETS_MAX; i++)
		key_set_free(store->derived[i].set);
	while (store->by_name && (identity = map_next(store->by_name, &cursor)) != NULL) {
		for (size_t i = 0; i < identity->local.n_sets; i++)
			key_set_free(identity->sets[i]);
		free(identity);
	}
	map_free(store->by_name);
	map_free(store->by_uid);
	map_free(store->deriving);
	transport_keys_close(store->shared);
}

void identity_spec_free(struct identity_spec *spec)
{
	if (!spec)
		return;
	key_set_free(spec->set);
	if (spec->kms)
		spec->kms->pins--;
	secmem_free(spec);
}

void key_set_validate(struct identity_spec *spec)
{
	struct key_set *set = spec->set;
	const struct eccsi_signer signer = {
		.kpak = spec->kpak, .id = set->uid, .id_len = sizeof(set->uid)};
	enum eccsi_status eccsi = eccsi_ssk_validate(&signer, set->ssk, set->pvt);
	spec->complaint = eccsi == ECCSI_OK ? NULL : eccsi_status_text(eccsi);
	if (!spec->complaint) {
		enum sakke_status sakke = sakke_receiver_make(
			spec->sakke, set->uid, sizeof(set->uid), set->rsk, &set->receiver);
		spec->complaint = sakke == SAKKE_OK ? NULL : sakke_status_text(sakke);
	}
	SHA256(set->rsk, sizeof(set->rsk), set->rsk_digest);
	secmem_wipe(set->rsk, sizeof(set->rsk));
}

// --- names

struct name {
	uint8_t octets[2 * MIKEY_ID_MAX + 1];
	size_t len;
};

// URI of the KMS, NUL, and what names somebody under it. Neither has more than MIKEY_ID_MAX octets.
static struct name name_make(const struct mikey_octets *kms, const void *octets, size_t len)
{
	struct name name = {.len = kms->len + 1 + len};
	memcpy(name.octets, kms->octets, kms->len);
	memcpy(name.octets + kms->len + 1, octets, len);
	return name;
}

struct identity *identity_find(
	const struct identity_store *store, const struct mikey_octets *kms_uri, const char *uri)
{
	struct name name = name_make(kms_uri, uri, strlen(uri));
	return map_get(store->by_name, name.octets, name.len);
}

const struct mikey_local *identity_local(
	void *store, const struct mikey_kms *kms, const struct mikey_octets *uri)
{
	struct name name = name_make(&kms->uri, uri->octets, uri->len);
	return map_get(((struct identity_store *)store)->by_name, name.octets, name.len);
}

const struct mikey_local *identity_hidden(
	void *store, const struct mikey_kms *kms, const uint8_t uid[MCX_UID_LEN])
{
	struct name name = name_make(&kms->uri, uid, MCX_UID_LEN);
	return map_get(((struct identity_store *)store)->by_uid, name.octets, name.len);
}

static bool identity_is(const struct identity *identity, const struct mikey_octets *uri,
	const uint8_t uid[MCX_UID_LEN])
{
	const struct mikey_local *local = &identity->local;
	if (uri)
		return local->uri.len == uri->len &&
		       memcmp(local->uri.octets, uri->octets, uri->len) == 0;
	for (size_t i = 0; i < local->n_sets; i++)
		if (memcmp(identity->shown[i].uid, uid, MCX_UID_LEN) == 0)
			return true;
	return false;
}

const struct mikey_kms *identity_kms_assumed(
	void *store, const struct mikey_octets *uri, const uint8_t uid[MCX_UID_LEN])
{
	struct map_cursor cursor = {0};
	const struct identity *identity, *found = NULL;
	while ((identity = map_next(((struct identity_store *)store)->by_name, &cursor)) != NULL) {
		if (!(identity->kms->facts.quirks & MIKEY_QUIRK_KMS_DEFAULTS) ||
			!identity_is(identity, uri, uid))
			continue;
		if (found)
			return NULL;
		found = identity;
	}
	return found ? &found->kms->facts : NULL;
}

// --- installing

static size_t place_of(const struct identity *identity, uint64_t period_no)
{
	size_t i = 0;
	while (i < identity->local.n_sets && identity->sets[i]->period_no != period_no)
		i++;
	return i;
}

static bool keys_equal(const struct key_set *installed, const struct key_set *stated)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA256(stated->rsk, sizeof(stated->rsk), digest);
	return secmem_equal(digest, installed->rsk_digest, sizeof(digest)) &&
	       secmem_equal(stated->ssk, installed->ssk, sizeof(stated->ssk)) &&
	       memcmp(stated->pvt, installed->pvt, sizeof(stated->pvt)) == 0;
}

bool identity_admit(const struct identity_store *store, const struct identity_spec *spec,
	bool replace, const char *path, bool *known, struct rpc_error *error)
{
	const struct identity *identity = identity_find(store, &spec->kms->facts.uri, spec->uri);
	size_t place = identity ? place_of(identity, spec->set->period_no) : 0;
	bool there = identity && place < identity->local.n_sets;
	*known = there && keys_equal(identity->sets[place], spec->set);
	if (there && !*known && !replace)
		rpc_fail(error, RPC_CONFLICT, path,
			"period %llu is installed with other keys; accepted: the same, or replace",
			(unsigned long long)spec->set->period_no);
	else if (!there && identity && place == IDENTITY_SETS_MAX)
		rpc_fail(error, RPC_LIMIT, path,
			"is one key set of the identity too many; accepted: %d", IDENTITY_SETS_MAX);
	else if (!there && store->n_sets >= KEY_SETS_MAX)
		rpc_fail(error, RPC_LIMIT, path, "is one key set too many; accepted: %d",
			KEY_SETS_MAX);
	return error->code == RPC_OK;
}

static struct identity *identity_make(
	struct identity_store *store, const struct identity_spec *spec)
{
	struct identity *identity = identity_find(store, &spec->kms->facts.uri, spec->uri);
	if (identity)
		return identity;
	identity = alloc_zero(1, sizeof(*identity));
	memcpy(identity->uri, spec->uri, sizeof(identity->uri));
	identity->kms = spec->kms;
	identity->local.uri =
		(struct mikey_octets){(const uint8_t *)identity->uri, strlen(identity->uri)};
	identity->local.sets = identity->shown;
	struct name name = name_make(&spec->kms->facts.uri, spec->uri, strlen(spec->uri));
	map_add(store->by_name, name.octets, name.len, identity);
	return identity;
}

static void set_show(struct identity *identity, size_t place)
{
	const struct key_set *set = identity->sets[place];
	struct mikey_key_set *shown = &identity->shown[place];
	shown->period_no = set->period_no;
	memcpy(shown->uid, set->uid, sizeof(shown->uid));
	shown->receiver = set->receiver;
}

void key_set_leave(struct identity_store *store, struct key_set *set)
{
	if (set->pins == 0) {
		key_set_free(set);
		return;
	}
	set->gone = true;
	store->n_leaving += !set->derived;
}

void identity_install(struct identity_store *store, struct identity_spec *spec, bool known)
{
	struct identity *identity = identity_make(store, spec);
	identity->local.role = spec->role;
	memcpy(identity->domain, spec->domain, sizeof(identity->domain));
	if (known)
		return;
	size_t place = place_of(identity, spec->set->period_no);
	if (place < identity->local.n_sets) {
		key_set_leave(store, identity->sets[place]);
	} else {
		struct name name =
			name_make(&identity->kms->facts.uri, spec->set->uid, MCX_UID_LEN);
		map_add(store->by_uid, name.octets, name.len, identity);
		identity->local.n_sets++;
		identity->kms->n_identities++;
		store->n_sets++;
	}
	identity->sets[place] = spec->set;
	spec->set = NULL;
	set_show(identity, place);
}

// --- removing

static void set_remove(struct identity_store *store, struct identity *identity, size_t place)
{
	struct key_set *set = identity->sets[place];
	struct name name = name_make(&identity->kms->facts.uri, set->uid, MCX_UID_LEN);
	map_remove(store->by_uid, name.octets, name.len);
	size_t last = --identity->local.n_sets;
	identity->sets[place] = identity->sets[last];
	if (place < last)
		set_show(identity, place);
	identity->kms->n_identities--;
	store->n_sets--;
	key_set_leave(store, set);
}

unsigned identity_remove(
	struct identity_store *store, struct identity *identity, const uint64_t *period_no)
{
	unsigned n = 0;
	for (size_t i = identity->local.n_sets; i-- > 0;) {
		if (period_no && identity->sets[i]->period_no != *period_no)
			continue;
		set_remove(store, identity, i);
		n++;
	}
	if (identity->local.n_sets == 0) {
		struct name name =
			name_make(&identity->kms->facts.uri, identity->uri, strlen(identity->uri));
		map_remove(store->by_name, name.octets, name.len);
		free(identity);
	}
	return n;
}

const struct sakke_receiver *key_set_receiver(struct key_set *set)
{
	pthread_mutex_lock(&set->mutex);
	const struct sakke_receiver *receiver = set->receiver;
	pthread_mutex_unlock(&set->mutex);
	return receiver;
}

void key_set_pin(struct key_set *set)
{
	set->pins++;
}

void key_set_unpin(struct identity_store *store, struct key_set *set)
{
	if (--set->pins > 0 || !set->gone)
		return;
	store->n_leaving -= !set->derived;
	key_set_free(set);
}

struct key_set *identity_set_of(struct identity *identity, const struct mikey_key_set *shown)
{
	return identity->sets[shown - identity->shown];
}

// --- showing

static json_t *period_show(const struct mikey_kms *kms, uint64_t period_no)
{
	// In Unix seconds; a period that began before 1970 is shown as one that began then.
	uint64_t from = kms->offset + period_no * kms->period, to = from + kms->period;
	from = from > MIKEY_NTP_UNIX ? from - MIKEY_NTP_UNIX : 0;
	to = to > MIKEY_NTP_UNIX ? to - MIKEY_NTP_UNIX : 0;
	return json_pack("{s:I,s:I,s:I}", "period_no", (json_int_t)period_no, "from",
		(json_int_t)from, "to", (json_int_t)to);
}

json_t *identity_show(const struct identity *identity)
{
	const struct mikey_kms *kms = &identity->kms->facts;
	json_t *periods = json_array();
	for (size_t i = 0; i < identity->local.n_sets; i++)
		json_array_append_new(periods, period_show(kms, identity->sets[i]->period_no));
	return json_pack("{s:s,s:s,s:s,s:s,s:o,s:I,s:I}", "uri", identity->uri, "kms",
		(const char *)kms->uri.octets, "role", mikey_role_names[identity->local.role],
		"domain", identity->domain, "periods", periods, "opened",
		(json_int_t)identity->opened, "made", (json_int_t)identity->made);
}
