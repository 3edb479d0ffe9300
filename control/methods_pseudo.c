// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/methods_pseudo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/secmem.h"
#include "control/api.h"
#include "control/methods_kms.h"
#include "control/waiting.h"
#include "identity/kms_read.h"
#include "identity/pseudo.h"
#include "mikey/kms_xml.h"

// --- certificates

static const char **domains_of(const json_t *stated, size_t *n)
{
	const json_t *list = json_object_get(stated, "domains");
	*n = json_array_size(list);
	const char **domains = calloc(*n > 0 ? *n : 1, sizeof(*domains));
	for (size_t i = 0; domains && i < *n; i++)
		domains[i] = json_string_value(json_array_get(list, i));
	return domains;
}

// A new reference; NULL with *error set.
static json_t *certificate_xml(
	const struct kms *kms, enum kms_certificate_role role, struct rpc_error *error)
{
	const struct mikey_kms *facts = &kms->facts;
	struct mikey_fault fault;
	struct kms_certificate certificate = {.role = role,
		.security_gateway = facts->security_gateway,
		.revoked = facts->revoked,
		.kms_uri = (const char *)facts->uri.octets,
		.cert_uri = json_string_value(json_object_get(kms->stated, "cert_uri")),
		.valid_from = facts->valid_from,
		.valid_to = facts->valid_to,
		.period = facts->period,
		.offset = facts->offset};
	memcpy(certificate.z, kms->z, sizeof(certificate.z));
	memcpy(certificate.kpak, facts->kpak, sizeof(certificate.kpak));
	certificate.domains = domains_of(kms->stated, &certificate.n_domains);
	char *text = certificate.domains ? kms_certificate_write(&certificate, &fault) : NULL;
	json_t *xml = text ? json_string(text) : NULL;
	if (!xml)
		rpc_fail(error, RPC_INVALID_PARAMS, "params.uri",
			"has no certificate that can be written: a time is beyond the year 9999; "
			"accepted: another KMS");
	free(text);
	free(certificate.domains);
	return xml;
}

json_t *kms_certificate_method(void *arg, const json_t *params, struct rpc_error *error)
{
	static const char *const roles[] = {"home", "external", NULL};
	const struct api *api = arg;
	struct reader r;
	unsigned role = 1;
	reader_open(&r, params, "params", error);
	const char *uri = kms_uri_read(&r, "uri", READER_REQUIRED);
	const struct kms *kms = uri ? kms_find(api->kmss, uri, strlen(uri)) : NULL;
	if (uri && !kms)
		reader_fail(&r, RPC_NOT_FOUND, "uri",
			"is no KMS that is installed; accepted: a uri that kms.list shows");
	reader_choice(&r, "role", READER_OPTIONAL, roles, &role);
	if (!reader_close(&r) || !kms)
		return NULL;
	json_t *xml = certificate_xml(
		kms, role == 0 ? KMS_CERTIFICATE_ROOT : KMS_CERTIFICATE_EXTERNAL, error);
	return xml ? json_pack("{s:o}", "xml", xml) : NULL;
}

// --- a KMS that this relay is

// One whose keys are being drawn and sealed.
struct kms_create {
	struct waiting waiting;
	const struct vault *vault;
	struct kms *kms;
	int rc; // 0 or -errno
};

static void make(struct pool_job *job)
{
	struct kms_create *create = (struct kms_create *)job;
	create->rc = pseudo_kms_make(create->kms, create->vault);
}

static json_t *kms_answer(const struct kms *kms, struct rpc_error *error)
{
	json_t *xml = certificate_xml(kms, KMS_CERTIFICATE_EXTERNAL, error);
	return xml ? json_pack("{s:o,s:o}", "certificate", kms_show(kms), "xml", xml) : NULL;
}

static void conflict(struct rpc_error *error)
{
	rpc_fail(error, RPC_CONFLICT, "params.uri",
		"is a KMS that is there, with other members; accepted: another uri, or the same "
		"members");
}

// Begins, or answers for one that is there. True if it is to be waited for.
static bool begin(const struct api *api, const json_t *params, struct rpc_slice *slice,
	json_t **answer, struct rpc_error *error)
{
	if (!api->vault->open) {
		rpc_fail(error, RPC_INVALID_PARAMS, "params",
			"cannot be kept; accepted: with mikey.seal in the configuration");
		return false;
	}
	struct kms *kms = pseudo_kms_read(params, error);
	if (!kms)
		return false;
	const struct kms *there = kms_find(api->kmss, kms->facts.uri.octets, kms->facts.uri.len);
	struct kms_create *create = there ? NULL : calloc(1, sizeof(*create));
	if (there && there->pseudo && pseudo_kms_equal(kms, there))
		*answer = kms_answer(there, error);
	else if (there)
		conflict(error);
	else if (!create)
		rpc_fail_memory(error, "params");
	if (create) {
		kms_quirks_default(kms, api->mikey->accept);
		create->kms = kms;
		create->vault = api->vault;
		if (waiting_begin(&create->waiting, api->pool, make, slice, error)) {
			slice->state = create;
			return true;
		}
	}
	free(create);
	kms_free(kms);
	return false;
}

static void unseal(const struct vault *vault, const struct kms *kms)
{
	vault_remove(vault, (const char *)kms->facts.uri.octets);
	vault_sync(vault);
}

static json_t *commit(const struct api *api, struct kms_create *create, struct rpc_error *error)
{
	struct kms *kms = create->kms;
	if (create->rc == -EEXIST)
		rpc_fail(error, RPC_CONFLICT, "params.uri",
			"is a KMS that is sealed in the state directory; accepted: another uri");
	else if (create->rc != 0)
		rpc_fail(error, RPC_BUSY, "params.uri",
			"cannot be sealed in the state directory: %s; accepted: later",
			strerror(-create->rc));
	else if (kms_admit(api->kmss, kms, false, "params.uri", error))
		kms_install(api->kmss, kms);
	else
		unseal(api->vault, kms);
	if (error->code == RPC_OK)
		return kms_answer(kms, error);
	kms_free(kms);
	return NULL;
}

json_t *kms_create_method(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	const struct api *api = arg;
	json_t *answer = NULL;
	if (!slice->state && !begin(api, params, slice, &answer, error))
		return answer;
	struct kms_create *create = slice->state;
	if (!waiting_ended(&create->waiting, api->pool, slice))
		return NULL;
	answer = commit(api, create, error);
	free(create);
	slice->state = NULL;
	return answer;
}
