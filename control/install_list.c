// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/install_list.h"

#include "server/reader.h"

json_t *rejected_show(size_t index, const struct rpc_error *error)
{
	return json_pack("{s:I,s:i,s:s,s:o}", "index", (json_int_t)index, "code", error->code,
		"message", error->message, "data", rpc_error_data(error));
}

json_t *install_list(const struct api *api, const json_t *params, const char *name,
	install_element *install, struct rpc_slice *slice, struct rpc_error *error)
{
	struct reader r;
	const json_t *list = NULL;
	bool replace = false;
	reader_open(&r, params, "params", error);
	reader_array(&r, name, READER_REQUIRED, &list);
	reader_bool(&r, "replace", &replace);
	if (!reader_close(&r))
		return NULL;
	if (!slice->list)
		slice->list = json_array();
	for (size_t i = slice->next; i < json_array_size(list); i++) {
		char path[128];
		struct rpc_error one = {};
		if (rpc_slice_expired(slice, i))
			return NULL;
		slice->next = i;
		reader_element_path(&r, name, i, path);
		if (!install(api, json_array_get(list, i), path, replace, slice, &one))
			return NULL;
		if (one.code == RPC_OK)
			slice->count++;
		else
			json_array_append_new(slice->list, rejected_show(i, &one));
	}
	return json_pack(
		"{s:I,s:O}", "installed", (json_int_t)slice->count, "rejected", slice->list);
}
