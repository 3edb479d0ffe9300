// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/methods_redirect.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "control/api.h"
#include "control/message_answer.h"
#include "control/waiting.h"
#include "identity/kms_read.h"
#include "mikey/krr.h"
#include "server/reader.h"

enum {
	XML_MAX = 64 * 1024,        // octets
	LIST_MAX = 1000,            // URIs
	CERTIFICATES_MAX = 32,      // that are trusted
	CERTIFICATE_MAX = 8 * 1024, // octets
};

// --- making one

struct redirecting {
	struct krr_draft draft;
	uint8_t octets[MIKEY_MESSAGE_MAX + 3]; // of the message, if that is stated
	char uris[MIKEY_N_PARTIES][MIKEY_ID_MAX + 1];
	struct mikey_certified_key signer;
};

// "ANY", or URIs, which stay those of the params; the array is for free().
static void list_read(struct reader *r, const char *name, struct krr_list *list)
{
	const json_t *value = json_object_get(r->object, name);
	const char *any = NULL;
	if (json_is_string(value)) {
		if (!reader_string(r, name, READER_REQUIRED, &any))
			return;
		list->any = strcmp(any, "ANY") == 0;
		if (!list->any)
			reader_fail(r, RPC_INVALID_PARAMS, name,
				"is no list; accepted: \"ANY\", or an array of URIs");
		return;
	}
	const json_t *array = NULL;
	if (!reader_array(r, name, READER_REQUIRED, &array))
		return;
	size_t n = json_array_size(array);
	list->uris = n <= LIST_MAX ? calloc(n + 1, sizeof(*list->uris)) : NULL;
	for (size_t i = 0; list->uris && i < n; i++) {
		const char *uri = json_string_value(json_array_get(array, i));
		size_t len = uri ? strlen(uri) : 0;
		char path[128];
		reader_element_path(r, name, i, path);
		if (len == 0 || len > MIKEY_ID_MAX)
			rpc_fail(r->error, RPC_INVALID_PARAMS, path,
				"is no URI; accepted: 1 to %d octets", MIKEY_ID_MAX);
		list->uris[list->n++] = uri;
	}
	if (!list->uris)
		reader_fail(r, RPC_INVALID_PARAMS, name, "has %zu elements; accepted: at most %d",
			n, LIST_MAX);
}

static void allowed_read(struct reader *r, struct krr_draft *draft)
{
	struct reader allowed;
	if (!reader_object(r, "allowed", READER_REQUIRED, &allowed))
		return;
	list_read(&allowed, "initiator", &draft->initiator_list);
	list_read(&allowed, "receiver", &draft->receiver_list);
	reader_close(&allowed);
}

// Whom the I_MESSAGE names. It is not verified: nothing is installed by it.
static void message_read(struct reader *r, struct redirecting *x)
{
	const char *text;
	size_t len = 0;
	struct mikey_message m;
	struct mikey_fault fault;
	if (!reader_string(r, "message", READER_OPTIONAL, &text))
		return;
	static const char prefix[] = "mikey ";
	if (strncmp(text, prefix, sizeof(prefix) - 1) == 0)
		text += sizeof(prefix) - 1;
	size_t text_len = strlen(text);
	if (base64_room(text_len) > sizeof(x->octets) ||
		!base64_decode(text, text_len, x->octets, &len)) {
		reader_fail(r, RPC_INVALID_PARAMS, "message",
			"is no I_MESSAGE; accepted: base64 of at most %d octets",
			MIKEY_MESSAGE_MAX);
		return;
	}
	if (!mikey_decode(x->octets, len, ~0U, &m, &fault)) {
		document_refuse("params.message", &fault, r->error);
		return;
	}
	for (unsigned i = 0; i < MIKEY_N_PARTIES; i++)
		if (m.parties[i].value.octets && !m.parties[i].hidden)
			memcpy(x->uris[i], m.parties[i].value.octets, m.parties[i].value.len);
}

// A URI of the message; stated, it counts instead.
static const char *party_read(
	struct reader *r, struct redirecting *x, enum mikey_party party, const char *name)
{
	const char *stated = kms_uri_read(r, name, READER_OPTIONAL);
	if (stated)
		return stated;
	if (x->uris[party][0] != '\0')
		return x->uris[party];
	if (!x->draft.received)
		reader_fail(r, RPC_INVALID_PARAMS, name,
			"is missing; accepted: the URI of the I_MESSAGE, where the message does "
			"not "
			"name it");
	return NULL;
}

static void signer_read(struct reader *r, struct redirecting *x)
{
	struct reader sign;
	if (!reader_object(r, "sign", READER_OPTIONAL, &sign))
		return;
	reader_string(&sign, "key", READER_REQUIRED, &x->signer.key);
	reader_string(&sign, "certificate", READER_REQUIRED, &x->signer.certificate);
	reader_close(&sign);
	x->draft.signer = &x->signer;
}

static bool redirecting_read(const json_t *params, struct redirecting *x, struct rpc_error *error)
{
	struct krr_draft *draft = &x->draft;
	struct reader r;
	reader_open(&r, params, "params", error);
	if (reader_string(&r, "received", READER_OPTIONAL, &draft->received))
		draft->received_len = strlen(draft->received);
	message_read(&r, x);
	draft->creator = kms_uri_read(&r, "creator", READER_REQUIRED);
	draft->initiator = party_read(&r, x, MIKEY_INITIATOR, "initiator");
	draft->receiver = party_read(&r, x, MIKEY_RECEIVER, "receiver");
	draft->initiator_kms = party_read(&r, x, MIKEY_INITIATOR_KMS, "initiator_kms");
	draft->receiver_kms = party_read(&r, x, MIKEY_RECEIVER_KMS, "receiver_kms");
	allowed_read(&r, draft);
	signer_read(&r, x);
	draft->time = (uint64_t)time(NULL);
	return reader_close(&r);
}

json_t *message_redirect_method(void *arg, const json_t *params, struct rpc_error *error)
{
	(void)arg;
	struct redirecting x = {};
	struct mikey_fault fault = {};
	char *xml = NULL;
	if (redirecting_read(params, &x, error)) {
		xml = krr_write(&x.draft, &fault);
		if (!xml)
			document_refuse("params", &fault, error);
	}
	free(x.draft.initiator_list.uris);
	free(x.draft.receiver_list.uris);
	json_t *result = xml ? json_pack("{s:s}", "xml", xml) : NULL;
	free(xml);
	return result;
}

// --- what follows from one

struct trusted {
	uint8_t *octets; // CERTIFICATES_MAX times CERTIFICATE_MAX, as far as needed
	struct mikey_octets certificates[CERTIFICATES_MAX];
	size_t n;
};

static void certificate_read(
	struct reader *r, const json_t *value, size_t i, struct trusted *trusted)
{
	const char *text = json_string_value(value);
	size_t text_len = text ? strlen(text) : 0, len = 0;
	uint8_t *octets = trusted->octets + i * CERTIFICATE_MAX;
	char path[128];
	reader_element_path(r, "certificates", i, path);
	if (text_len == 0 || base64_room(text_len) > CERTIFICATE_MAX ||
		!base64_decode(text, text_len, octets, &len)) {
		rpc_fail(r->error, RPC_INVALID_PARAMS, path,
			"is no certificate; accepted: base64 of X.509 in DER, of at most %d octets",
			CERTIFICATE_MAX - 3);
		return;
	}
	trusted->certificates[trusted->n++] = (struct mikey_octets){octets, len};
}

static void certificates_read(struct reader *r, struct trusted *trusted)
{
	const json_t *list = NULL;
	if (!reader_array(r, "certificates", READER_OPTIONAL, &list))
		return;
	size_t n = json_array_size(list);
	if (n > CERTIFICATES_MAX) {
		reader_fail(r, RPC_INVALID_PARAMS, "certificates",
			"has %zu elements; accepted: at most %d", n, CERTIFICATES_MAX);
		return;
	}
	trusted->octets = calloc(n + 1, CERTIFICATE_MAX);
	for (size_t i = 0; trusted->octets && i < n; i++)
		certificate_read(r, json_array_get(list, i), i, trusted);
	if (!trusted->octets)
		rpc_fail_memory(r->error, "params.certificates");
}

static void policy_read(struct reader *r, struct krr_policy *policy)
{
	struct reader p;
	if (!reader_object(r, "policy", READER_OPTIONAL, &p))
		return;
	reader_bool(&p, "allow", &policy->allow);
	reader_bool(&p, "require_signed", &policy->require_signed);
	reader_bool(&p, "request_unknown", &policy->request_unknown);
	reader_close(&p);
}

// The KMSs that this relay knows, with their roles; for free().
static struct krr_kms *known_kmss(const struct api *api, size_t *n)
{
	struct krr_kms *known = calloc(map_count(api->kmss->by_uri) + 1, sizeof(*known));
	struct map_cursor cursor = {0};
	const struct kms *kms;
	*n = 0;
	while (known && (kms = map_next(api->kmss->by_uri, &cursor)) != NULL) {
		const char *role = json_string_value(json_object_get(kms->stated, "role"));
		if (kms->facts.revoked)
			continue;
		known[(*n)++] = (struct krr_kms){.uri = (const char *)kms->facts.uri.octets,
			.role = strcmp(role, "home") == 0        ? KRR_HOME
				: strcmp(role, "migration") == 0 ? KRR_MIGRATION
								 : KRR_EXTERNAL};
	}
	return known;
}

static const char *signed_name(enum mikey_signed state)
{
	return state == MIKEY_VERIFIED   ? "verified"
	       : state == MIKEY_UNSIGNED ? "none"
					 : "unverified";
}

static json_t *choice_show(const struct krr *krr, const struct krr_choice *choice)
{
	json_t *unknown = json_array();
	for (size_t i = 0; i < choice->n_unknown; i++)
		json_array_append_new(unknown, json_string(choice->unknown[i]));
	return json_pack("{s:s,s:s,s:o,s:s,s:I}", "initiator_kms", choice->initiator_kms,
		"receiver_kms", choice->receiver_kms, "unknown", unknown, "signed",
		signed_name(krr->signature), "chain", (json_int_t)krr->n_received);
}

// A response while the pool reads it and verifies its signatures. Text and certificates stay where they are.
struct redirected {
	struct waiting waiting;
	const char *xml; // of the params
	struct krr_policy policy;
	struct trusted trusted;
	struct krr krr;
	bool good;
	struct mikey_fault fault;
};

static void read_it(struct pool_job *job)
{
	struct redirected *x = (struct redirected *)job;
	x->good = krr_read(
		x->xml, strlen(x->xml), x->trusted.certificates, x->trusted.n, &x->krr, &x->fault);
}

static void redirected_free(struct redirected *x)
{
	if (x->good)
		krr_free(&x->krr);
	free(x->trusted.octets);
	free(x);
}

static bool redirected_read(const json_t *params, struct redirected *x, struct rpc_error *error)
{
	struct reader r;
	reader_open(&r, params, "params", error);
	if (reader_string(&r, "xml", READER_REQUIRED, &x->xml) && strlen(x->xml) > XML_MAX)
		reader_fail(&r, RPC_INVALID_PARAMS, "xml", "has %zu octets; accepted: at most %d",
			strlen(x->xml), XML_MAX);
	x->policy.allow = true;
	policy_read(&r, &x->policy);
	certificates_read(&r, &x->trusted);
	return reader_close(&r);
}

static bool redirected_begin(const struct api *api, const json_t *params, struct rpc_slice *slice,
	struct rpc_error *error)
{
	struct redirected *x = calloc(1, sizeof(*x));
	if (!x) {
		rpc_fail_memory(error, "params");
		return false;
	}
	if (redirected_read(params, x, error) &&
		waiting_begin(&x->waiting, api->pool, read_it, slice, error)) {
		slice->state = x;
		return true;
	}
	redirected_free(x);
	return false;
}

// What follows from it, of the KMSs that are installed now.
static json_t *redirected_use(
	const struct api *api, const struct redirected *x, struct rpc_error *error)
{
	struct krr_choice choice;
	struct mikey_fault fault = {};
	size_t n;
	if (!x->good) {
		document_refuse("params.xml", &x->fault, error);
		return NULL;
	}
	struct krr_kms *known = known_kmss(api, &n);
	json_t *result = NULL;
	if (!known) {
		rpc_fail_memory(error, "params.xml");
		return NULL;
	}
	if (krr_choose(&x->krr, &x->policy, known, n, &choice, &fault)) {
		result = choice_show(&x->krr, &choice);
	} else {
		document_refuse("params.xml", &fault, error);
	}
	free(choice.unknown);
	free(known);
	return result;
}

json_t *message_redirected_method(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	const struct api *api = arg;
	if (!slice->state && !redirected_begin(api, params, slice, error))
		return NULL;
	struct redirected *x = slice->state;
	if (!waiting_ended(&x->waiting, api->pool, slice))
		return NULL;
	json_t *result = redirected_use(api, x, error);
	redirected_free(x);
	slice->state = NULL;
	return result;
}
