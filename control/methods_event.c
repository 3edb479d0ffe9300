// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/methods_event.h"

#include <string.h>

#include "control/api.h"
#include "server/reader.h"

// The type that one element of the array names.
static bool event_type_read(
	const json_t *value, const char *path, uint32_t *types, struct rpc_error *error)
{
	const char *name = json_string_value(value);
	for (unsigned type = 0; name && type < NOTICE_N_TYPES; type++) {
		if (strcmp(name, notice_labels[type]) == 0) {
			*types |= UINT32_C(1) << type;
			return true;
		}
	}
#define _(name, label, seconds, warning) " " label
	rpc_fail(error, RPC_INVALID_PARAMS, path, "is no event type; accepted:" NOTICE_TYPES(_));
#undef _
	return false;
}

json_t *events_subscribe(void *arg, const json_t *params, struct rpc_error *error)
{
	const struct api *api = arg;
	struct reader r;
	const json_t *names = NULL;
	uint32_t types = 0;
	reader_open(&r, params, "params", error);
	if (!reader_array(&r, "types", READER_OPTIONAL, &names))
		types = (UINT32_C(1) << NOTICE_N_TYPES) - 1;
	if (!reader_close(&r))
		return NULL;
	for (size_t i = 0; i < json_array_size(names); i++) {
		char path[128];
		reader_element_path(&r, "types", i, path);
		if (!event_type_read(json_array_get(names, i), path, &types, error))
			return NULL;
	}
	if (!api->events->caller || !subscription_set(api->events->caller, types)) {
		rpc_fail(error, RPC_LIMIT, NULL,
			"there is no memory for events of this connection; accepted: less");
		return NULL;
	}
	return json_object();
}
