// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/install_document.h"

#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/secmem.h"
#include "control/api.h"
#include "control/message_answer.h"
#include "control/waiting.h"
#include "crypto/stack_wipe.h"
#include "identity/transport_keys.h"

// A document while the pool reads it, in secret memory. The text is that of the params, which stay.
struct reading {
	struct waiting waiting;
	const char *text;
	size_t n_keys;
	struct mikey_shared_key keys[2 * TRANSPORT_KEYS_MAX];
	struct transport_key stated[TRANSPORT_KEYS_MAX];
	struct transport_keys kept; // as they were
	struct kms_xml out;
	bool good;
	struct mikey_fault fault;
};

bool install_document_params(
	struct reader *r, const struct install_kind *kind, struct install_document *document)
{
	const bool there = reader_string(r, "xml", READER_OPTIONAL, &document->text);
	if (reader_array(r, "transport_keys", READER_OPTIONAL, &document->keys) && !there)
		reader_fail(r, RPC_INVALID_PARAMS, "transport_keys",
			"is there without xml; accepted: beside it");
	if (json_array_size(document->keys) > TRANSPORT_KEYS_MAX)
		reader_fail(r, RPC_INVALID_PARAMS, "transport_keys",
			"has %zu elements; accepted: at most %d", json_array_size(document->keys),
			TRANSPORT_KEYS_MAX);
	for (size_t i = 0; there && kind->given[i]; i++) {
		reader_skip(r, kind->given[i]);
		document->given[i] = json_object_get(r->object, kind->given[i]);
	}
	return there;
}

// --- the keys

static void stated_key_read(
	struct reading *reading, const json_t *value, const char *path, struct rpc_error *error)
{
	struct transport_key *key = &reading->stated[reading->n_keys];
	const char *id = NULL, *text = NULL;
	struct reader r;
	reader_open(&r, value, path, error);
	if (reader_string(&r, "id", READER_REQUIRED, &id) &&
		(id[0] == '\0' || strlen(id) > TRANSPORT_KEY_ID_MAX))
		reader_fail(&r, RPC_INVALID_PARAMS, "id", "has %zu octets; accepted: 1 to %d",
			strlen(id), TRANSPORT_KEY_ID_MAX);
	if (reader_string(&r, "value", READER_REQUIRED, &text)) {
		key->len = hex_decode_range(
			text, key->value, TRANSPORT_KEY_VALUE_MIN, TRANSPORT_KEY_VALUE_MAX);
		if (key->len == 0)
			reader_fail(&r, RPC_INVALID_PARAMS, "value",
				"is no key; accepted: 64 hex digits, or, of one that only signs, "
				"%d to %d",
				2 * TRANSPORT_KEY_VALUE_MIN, 2 * TRANSPORT_KEY_VALUE_MAX);
	}
	for (size_t i = 0; id && i < reading->n_keys; i++)
		if (strcmp(reading->keys[i].id, id) == 0)
			reader_fail(&r, RPC_INVALID_PARAMS, "id",
				"is that of another element; accepted: each once");
	if (reader_close(&r))
		reading->keys[reading->n_keys++] =
			(struct mikey_shared_key){.id = id, .value = key->value, .len = key->len};
}

// Those stated come first: of two with one id the client's is taken.
static bool keys_read(const struct api *api, const struct install_document *document,
	struct reading *reading, struct rpc_error *error)
{
	const struct reader r = {.path = "params"};
	for (size_t i = 0; i < json_array_size(document->keys) && error->code == RPC_OK; i++) {
		char path[128];
		reader_element_path(&r, "transport_keys", i, path);
		stated_key_read(reading, json_array_get(document->keys, i), path, error);
	}
	reading->kept = *api->identities->shared;
	for (size_t i = 0; i < reading->kept.n; i++) {
		const struct transport_key *key = &reading->kept.keys[i];
		reading->keys[reading->n_keys++] = (struct mikey_shared_key){
			.id = key->id, .value = key->value, .len = key->len};
	}
	return error->code == RPC_OK;
}

// --- the document

static void read_it(struct pool_job *job)
{
	struct reading *reading = (struct reading *)job;
	reading->good = kms_xml_read(reading->text, strlen(reading->text), reading->keys,
		reading->n_keys, &reading->out, &reading->fault);
	stack_wipe();
}

static bool begin(const struct api *api, const struct install_document *document,
	struct rpc_slice *slice, struct rpc_error *error)
{
	struct reading *reading = secmem_malloc(sizeof(*reading));
	if (!reading) {
		rpc_fail_memory(error, "params.xml");
		return false;
	}
	memset(reading, 0, sizeof(*reading));
	reading->text = document->text;
	if (keys_read(api, document, reading, error) &&
		waiting_begin(&reading->waiting, api->pool, read_it, slice, error)) {
		slice->state = reading;
		return true;
	}
	secmem_free(reading);
	return false;
}

static const char *kms_uri_of(const struct kms_xml *document)
{
	if (document->n_key_sets > 0)
		return document->key_sets[0].kms_uri;
	if (document->n_certificates > 0)
		return document->certificates[0].kms_uri;
	return document->kms_uri ? document->kms_uri : "";
}

// Whether what was read can be used, as a whole.
static bool usable(const struct api *api, const struct install_kind *kind,
	const struct install_document *document, const struct reading *reading,
	struct rpc_error *error)
{
	const size_t n = kind->count(&reading->out);
	const char *id;
	for (size_t i = 0; kind->given[i] && kind->given_of_one && n > 1; i++)
		if (document->given[i]) {
			char path[128];
			snprintf(path, sizeof(path), "params.%s", kind->given[i]);
			rpc_fail(error, RPC_INVALID_PARAMS, path,
				"is for one %s, and the document has %zu; accepted: a document "
				"with one",
				kind->element, n);
		}
	if (n == 0 && reading->out.n_new_keys == 0) {
		rpc_fail(error, RPC_MESSAGE_REFUSED, "params.xml",
			"has no %s; accepted: a document with one", kind->element);
		error->reason = mikey_reason_slug(MIKEY_XML_ELEMENT);
	} else if (!transport_keys_fit(api->identities->shared, &reading->out, &id))
		rpc_fail(error, RPC_CONFLICT, "params.xml",
			"brings a key under the id of another one; accepted: a new id");
	return error->code == RPC_OK;
}

static json_t *shown_make(const struct reading *reading)
{
	const struct kms_xml *out = &reading->out;
	json_t *ids = json_array();
	for (size_t i = 0; i < out->n_new_keys; i++)
		json_array_append_new(ids, json_string(out->new_keys[i].id));
	const char *state = out->signature == MIKEY_VERIFIED   ? "verified"
			    : out->signature == MIKEY_UNSIGNED ? "none"
							       : "unverified";
	return json_pack("{s:s,s:o}", "signed", state, "transport_keys", ids);
}

static STACK_WIPED void elements_make(const struct api *api, const struct install_kind *kind,
	const struct install_document *document, const struct reading *reading,
	struct rpc_slice *slice)
{
	const struct reader r = {.path = "params"};
	json_t *elements = json_array(), *given = json_object();
	for (size_t i = 0; kind->given[i]; i++)
		if (document->given[i])
			json_object_set(
				given, kind->given[i], (json_t *)(uintptr_t)document->given[i]);
	for (size_t i = 0; i < kind->count(&reading->out); i++) {
		struct rpc_error one = {};
		json_t *element = kind->make(api, &reading->out, i, given, &one);
		if (!element && one.code == RPC_OK)
			rpc_fail_memory(&one, "");
		if (!element) {
			reader_element_path(&r, kind->path, i, one.path);
			json_array_append_new(slice->list, rejected_show(i, &one));
		}
		json_array_append_new(elements, element ? element : json_null());
	}
	json_decref(given);
	slice->made = json_pack("{s:o,s:o}", "elements", elements, "shown", shown_make(reading));
}

static void reading_free(struct reading *reading)
{
	if (reading->good)
		kms_xml_free(&reading->out);
	secmem_free(reading);
}

bool install_document_read(const struct api *api, const struct install_kind *kind,
	const struct install_document *document, struct rpc_slice *slice, struct rpc_error *error)
{
	if (!slice->state && !begin(api, document, slice, error))
		return false;
	struct reading *reading = slice->state;
	if (!waiting_ended(&reading->waiting, api->pool, slice))
		return false;
	slice->state = NULL;
	if (!reading->good)
		document_refuse("params.xml", &reading->fault, error);
	else if (usable(api, kind, document, reading, error)) {
		transport_keys_keep(
			api->identities->shared, &reading->out, kms_uri_of(&reading->out));
		elements_make(api, kind, document, reading, slice);
	}
	reading_free(reading);
	stack_wipe();
	return error->code == RPC_OK;
}
