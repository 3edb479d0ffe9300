// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/methods_identity.h"

#include <stdlib.h>
#include <string.h>

#include "control/api.h"
#include "control/install_list.h"
#include "control/waiting.h"
#include "crypto/stack_wipe.h"
#include "identity/identity_read.h"
#include "identity/kms_document.h"
#include "identity/kms_read.h"

// A key set that is being validated.
struct identity_install {
	struct waiting waiting;
	struct identity_spec *spec;
};

static void validate(struct pool_job *job)
{
	key_set_validate(((struct identity_install *)job)->spec);
}

static void install_free(struct identity_install *install)
{
	if (install)
		identity_spec_free(install->spec);
	free(install);
}

// Reads an element, and installs it if its keys are known; else has them validated. True if it is to
// be waited for.
static bool begin(const struct api *api, const json_t *value, const char *path, bool replace,
	struct rpc_slice *slice, struct rpc_error *error)
{
	struct identity_install *install = calloc(1, sizeof(*install));
	bool known;
	if (!install) {
		rpc_fail_memory(error, path);
		return false;
	}
	install->spec = identity_read(api->kmss, value, path, error);
	if (install->spec &&
		identity_admit(api->identities, install->spec, replace, path, &known, error)) {
		if (!known && waiting_begin(&install->waiting, api->pool, validate, slice, error)) {
			slice->state = install;
			return true;
		}
		if (known)
			identity_install(api->identities, install->spec, true);
	}
	install_free(install);
	return false;
}

// RSK is wiped by now: whether the key set is known was asked before.
static void commit(const struct api *api, struct identity_install *install, bool replace,
	const char *path, struct rpc_error *error)
{
	struct identity_spec *spec = install->spec;
	bool known;
	if (spec->complaint)
		rpc_fail(error, RPC_KEY_REFUSED, path,
			"has false keys: %s; accepted: the key set that the KMS gave this identity "
			"for this period",
			spec->complaint);
	if (!spec->complaint && identity_admit(api->identities, spec, replace, path, &known, error))
		identity_install(api->identities, spec, known);
	install_free(install);
}

static STACK_WIPED bool install_secret(const struct api *api, const json_t *value, const char *path,
	bool replace, struct rpc_slice *slice, struct rpc_error *error)
{
	if (!slice->state && !begin(api, value, path, replace, slice, error))
		return true;
	struct identity_install *install = slice->state;
	if (!waiting_ended(&install->waiting, api->pool, slice))
		return false;
	slice->state = NULL;
	commit(api, install, replace, path, error);
	return true;
}

static bool install_one(const struct api *api, const json_t *value, const char *path, bool replace,
	struct rpc_slice *slice, struct rpc_error *error)
{
	bool ended = install_secret(api, value, path, replace, slice, error);
	stack_wipe();
	return ended;
}

static size_t key_sets_count(const struct kms_xml *document)
{
	return document->n_key_sets;
}

static json_t *key_set_make(const struct api *api, const struct kms_xml *document, size_t i,
	const json_t *given, struct rpc_error *error)
{
	const struct kms_key_set *set = &document->key_sets[i];
	const struct mikey_octets kms = {(const uint8_t *)set->kms_uri, strlen(set->kms_uri)};
	if (!set->revoked)
		return kms_document_identity(
			set, given, identity_find(api->identities, &kms, set->user_uri));
	rpc_fail(error, RPC_KEY_REFUSED, "",
		"is revoked by its KMS; accepted: another key set, and identity.remove takes one "
		"away");
	return NULL;
}

json_t *identity_install_method(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	static const char *const given[] = {"role", "domain", NULL};
	static const struct install_kind kind = {.list = "identities",
		.install = install_one,
		.element = "KmsKeySet",
		.path = "xml.KmsKeySet",
		.given = given,
		.count = key_sets_count,
		.make = key_set_make};
	return install_list(arg, params, &kind, slice, error);
}

struct listing {
	const struct kms *only; // NULL: of all KMSs
	struct rpc_slice *slice;
};

static void identity_emit(void *value, void *arg)
{
	const struct listing *listing = arg;
	const struct identity *identity = value;
	if (!listing->only || identity->kms == listing->only)
		rpc_emit(listing->slice, "identities", identity_show(identity));
}

json_t *identity_list(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	const struct api *api = arg;
	struct reader r;
	uint64_t place = slice->next;
	reader_open(&r, params, "params", error);
	struct listing listing = {
		.only = identity_kms_read(&r, api->kmss, READER_OPTIONAL), .slice = slice};
	if (!reader_close(&r))
		return NULL;
	do
		if (rpc_slice_expired(slice, place))
			return NULL;
	while (map_walk(api->identities->by_name, &place, identity_emit, &listing));
	return json_pack("{s:[]}", "identities");
}

// Whose key sets are to go: of one period, or all.
struct identity_name {
	const char *uri;
	const struct kms *kms;
	bool has_period;
	uint64_t period_no;
};

static bool name_read(const struct api *api, const json_t *value, const char *path,
	struct identity_name *name, struct rpc_error *error)
{
	struct reader r;
	*name = (struct identity_name){};
	reader_open(&r, value, path, error);
	name->uri = kms_uri_read(&r, "uri", READER_REQUIRED);
	name->kms = identity_kms_read(&r, api->kmss, READER_REQUIRED);
	name->has_period = identity_period_read(&r, &name->period_no);
	return reader_close(&r);
}

// All names are read before the first key set goes.
static json_int_t names_remove(const struct api *api, const struct reader *r, const json_t *list,
	bool really, struct rpc_error *error)
{
	json_int_t n = 0;
	for (size_t i = 0; i < json_array_size(list); i++) {
		char path[128];
		struct identity_name name;
		reader_element_path(r, "identities", i, path);
		if (!name_read(api, json_array_get(list, i), path, &name, error))
			return 0;
		struct identity *identity =
			identity_find(api->identities, &name.kms->facts.uri, name.uri);
		if (really && identity)
			n += identity_remove(api->identities, identity,
				name.has_period ? &name.period_no : NULL);
	}
	return n;
}

json_t *identity_remove_method(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	const struct api *api = arg;
	struct reader r;
	const json_t *list = NULL;
	reader_open(&r, params, "params", error);
	reader_array(&r, "identities", READER_REQUIRED, &list);
	if (!reader_close(&r))
		return NULL;
	if (slice->next == 0) {
		names_remove(api, &r, list, false, error);
		if (error->code != RPC_OK)
			return NULL;
		slice->count = names_remove(api, &r, list, true, error);
		slice->next = 1;
	}
	// The promise of this answer: they are wiped, also those that something is opened with.
	while (api->identities->n_leaving > 0)
		if (!waiting_try_again(api->pool, slice))
			return NULL;
	return json_pack("{s:I}", "removed", (json_int_t)slice->count);
}
