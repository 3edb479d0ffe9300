// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/methods_kms.h"

#include <stdlib.h>
#include <string.h>

#include "control/api.h"
#include "control/install_list.h"
#include "control/params.h"
#include "control/waiting.h"
#include "identity/kms_document.h"
#include "identity/kms_read.h"
#include "identity/pseudo.h"
#include "identity/transport_keys.h"

// A KMS whose keys are being looked at.
struct kms_install {
	struct waiting waiting;
	struct kms *kms;
	const char *complaint;
};

static void validate(struct pool_job *job)
{
	struct kms_install *install = (struct kms_install *)job;
	install->complaint = kms_validate(install->kms);
}

static bool begin(const struct api *api, const json_t *value, const char *path,
	struct rpc_slice *slice, struct rpc_error *error)
{
	struct kms_install *install = calloc(1, sizeof(*install));
	if (!install) {
		rpc_fail_memory(error, path);
		return false;
	}
	install->kms = kms_read(value, path, error);
	if (install->kms)
		kms_quirks_default(install->kms, api->mikey->accept);
	if (install->kms && waiting_begin(&install->waiting, api->pool, validate, slice, error)) {
		slice->state = install;
		return true;
	}
	kms_free(install->kms);
	free(install);
	return false;
}

static void commit(const struct api *api, struct kms_install *install, bool replace,
	const char *path, struct rpc_error *error)
{
	struct kms *kms = install->kms;
	if (install->complaint)
		rpc_fail(error, RPC_KEY_REFUSED, path,
			"has keys that cannot be: %s; accepted: Z of order q and KPAK, as the "
			"certificate has them",
			install->complaint);
	if (!install->complaint && kms_admit(api->kmss, kms, replace, path, error))
		kms_install(api->kmss, kms);
	else
		kms_free(kms);
	free(install);
}

static bool install_one(const struct api *api, const json_t *value, const char *path, bool replace,
	struct rpc_slice *slice, struct rpc_error *error)
{
	if (!slice->state && !begin(api, value, path, slice, error))
		return true;
	struct kms_install *install = slice->state;
	if (!waiting_ended(&install->waiting, api->pool, slice))
		return false;
	slice->state = NULL;
	commit(api, install, replace, path, error);
	return true;
}

static size_t certificates_count(const struct kms_xml *document)
{
	return document->n_certificates;
}

static json_t *certificate_make(const struct api *api, const struct kms_xml *document, size_t i,
	const json_t *given, struct rpc_error *error)
{
	const struct kms_certificate *c = &document->certificates[i];
	(void)error;
	return kms_document_kms(c, given, kms_find(api->kmss, c->kms_uri, strlen(c->kms_uri)));
}

json_t *kms_install_method(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	static const char *const given[] = {"role", "gms", "mdsi", "accept", NULL};
	static const struct install_kind kind = {.list = "kms",
		.install = install_one,
		.element = "KmsCertificate",
		.path = "xml.KmsCertificate",
		.given = given,
		.given_of_one = true,
		.count = certificates_count,
		.make = certificate_make};
	return install_list(arg, params, &kind, slice, error);
}

json_t *kms_show(const struct kms *kms)
{
	json_t *shown = json_copy(kms->stated);
	json_object_set_new(shown, "pseudo", json_boolean(kms->pseudo));
	json_object_set_new(shown, "identities", json_integer(kms->n_identities));
	return shown;
}

static void kms_emit(void *value, void *slice)
{
	rpc_emit(slice, "kms", kms_show(value));
}

json_t *kms_list(void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	const struct api *api = arg;
	uint64_t place = slice->next;
	if (!read_nothing(params, error))
		return NULL;
	do
		if (rpc_slice_expired(slice, place))
			return NULL;
	while (map_walk(api->kmss->by_uri, &place, kms_emit, slice));
	return json_pack("{s:[]}", "kms");
}

// The KMS of an element of the list; NULL: none such, or an error is set.
static struct kms *kms_of(const struct api *api, const struct reader *r, const json_t *uris,
	size_t i, bool destroy, struct rpc_error *error)
{
	const json_t *uri = json_array_get(uris, i);
	char path[128];
	reader_element_path(r, "uris", i, path);
	if (!json_is_string(uri)) {
		rpc_fail(error, RPC_INVALID_PARAMS, path, "is no URI; accepted: a string");
		return NULL;
	}
	struct kms *kms = kms_find(api->kmss, json_string_value(uri), json_string_length(uri));
	if (kms && kms->n_identities == 0 && kms_is_used(kms))
		rpc_fail(error, RPC_CONFLICT, path,
			"is a KMS with which messages are made or opened; accepted: later");
	else if (kms && kms_is_used(kms))
		rpc_fail(error, RPC_CONFLICT, path,
			"is a KMS with key sets; accepted: one without, after identity.remove");
	else if (kms && kms->pseudo && !destroy)
		rpc_fail(error, RPC_CONFLICT, path,
			"is a KMS that this relay itself is; accepted: destroy true, and nobody "
			"can "
			"read what was made for its users");
	return kms;
}

static void unseal_fail(int rc, const char *path, struct rpc_error *error)
{
	rpc_fail(error, RPC_BUSY, path,
		"cannot be taken from the state directory: %s; accepted: later", strerror(-rc));
}

// True if it is gone, of one that this relay is from the state directory as well.
static bool remove_one(
	const struct api *api, struct kms *kms, const char *path, struct rpc_error *error)
{
	int rc = kms->pseudo ? vault_remove(api->vault, (const char *)kms->facts.uri.octets) : 0;
	if (rc != 0)
		unseal_fail(rc, path, error);
	else {
		pseudo_receivers_leave(api->identities, kms);
		kms_remove(api->kmss, kms);
	}
	return rc == 0;
}

json_t *kms_remove_method(void *arg, const json_t *params, struct rpc_error *error)
{
	const struct api *api = arg;
	struct reader r;
	const json_t *uris = NULL;
	json_int_t n = 0;
	reader_open(&r, params, "params", error);
	bool destroy = false;
	reader_array(&r, "uris", READER_REQUIRED, &uris);
	if (json_array_size(uris) > KMS_MAX)
		reader_fail(&r, RPC_INVALID_PARAMS, "uris",
			"has %zu elements; accepted: at most %d", json_array_size(uris), KMS_MAX);
	reader_bool(&r, "destroy", &destroy);
	if (!reader_close(&r))
		return NULL;
	for (size_t i = 0; i < json_array_size(uris) && error->code == RPC_OK; i++)
		kms_of(api, &r, uris, i, destroy, error);
	for (size_t i = 0; i < json_array_size(uris) && error->code == RPC_OK; i++) {
		char path[128];
		struct kms *kms = kms_of(api, &r, uris, i, destroy, error);
		reader_element_path(&r, "uris", i, path);
		if (kms)
			n += remove_one(api, kms, path, error);
		// Also where no more of it was installed than these.
		if (error->code == RPC_OK)
			transport_keys_forget(api->identities->shared,
				json_string_value(json_array_get(uris, i)));
	}
	// Once for all, and also for those of a call before, which failed here.
	int rc = destroy && api->vault->open && error->code == RPC_OK ? vault_sync(api->vault) : 0;
	if (rc != 0)
		unseal_fail(rc, "params.uris", error);
	return error->code == RPC_OK ? json_pack("{s:I}", "removed", n) : NULL;
}
