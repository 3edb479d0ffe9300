// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/install_list.h"

#include <string.h>

#include "control/install_document.h"
#include "server/reader.h"

// What is installed: of a document that was read, or of the params.
struct elements {
	const json_t *list;
	const char *path;
	bool replace;
	struct install_document document;
};

static bool params_read(const json_t *params, const struct install_kind *kind,
	struct elements *elements, struct rpc_error *error)
{
	struct reader r;
	reader_open(&r, params, "params", error);
	const bool is_document =
		kind->element && install_document_params(&r, kind, &elements->document);
	reader_array(
		&r, kind->list, is_document ? READER_OPTIONAL : READER_REQUIRED, &elements->list);
	reader_bool(&r, "replace", &elements->replace);
	if (is_document && elements->list)
		reader_fail(&r, RPC_INVALID_PARAMS, kind->list,
			"is beside a document; accepted: one of the two");
	elements->path = is_document ? kind->path : kind->list;
	return reader_close(&r);
}

// True if the elements are there; else there is another slice, or an error.
static bool elements_read(const struct api *api, const json_t *params,
	const struct install_kind *kind, struct elements *elements, struct rpc_slice *slice,
	struct rpc_error *error)
{
	if (!params_read(params, kind, elements, error))
		return false;
	if (!slice->list)
		slice->list = json_array();
	if (!elements->document.text)
		return true;
	if (!slice->made && !install_document_read(api, kind, &elements->document, slice, error))
		return false;
	elements->list = json_object_get(slice->made, "elements");
	return true;
}

json_t *install_list(const struct api *api, const json_t *params, const struct install_kind *kind,
	struct rpc_slice *slice, struct rpc_error *error)
{
	struct elements elements = {};
	struct reader r = {.path = "params"};
	if (!elements_read(api, params, kind, &elements, slice, error))
		return NULL;
	for (size_t i = slice->next; i < json_array_size(elements.list); i++) {
		const json_t *value = json_array_get(elements.list, i);
		char path[128];
		struct rpc_error one = {};
		if (rpc_slice_expired(slice, i))
			return NULL;
		slice->next = i;
		if (slice->made && json_is_null(value))
			continue; // was rejected
		reader_element_path(&r, elements.path, i, path);
		if (!kind->install(api, value, path, elements.replace, slice, &one))
			return NULL;
		if (one.code == RPC_OK)
			slice->count++;
		else
			json_array_append_new(slice->list, rejected_show(i, &one));
	}
	json_t *result = json_pack(
		"{s:I,s:O}", "installed", (json_int_t)slice->count, "rejected", slice->list);
	if (slice->made)
		json_object_update(result, json_object_get(slice->made, "shown"));
	return result;
}
