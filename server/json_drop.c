// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/json_drop.h"

static bool values_drop(json_t *container, size_t *n);

// Whether the value has nothing in it any more that is to be freed with it.
static bool value_is_empty(json_t *value, size_t *n)
{
	if (value->refcount != 1 || !(json_is_array(value) || json_is_object(value)))
		return true;
	return values_drop(value, n);
}

// No deeper than a request may be (RPC_DEPTH_MAX).
static bool values_drop(json_t *container, size_t *n)
{
	void *member;
	for (size_t i = json_array_size(container); i > 0; i--) {
		if (*n == 0 || !value_is_empty(json_array_get(container, i - 1), n))
			return false;
		json_array_remove(container, i - 1);
		*n -= *n > 0; // what was in it may have been the last
	}
	while ((member = json_object_iter(container)) != NULL) {
		if (*n == 0 || !value_is_empty(json_object_iter_value(member), n))
			return false;
		json_object_del(container, json_object_iter_key(member));
		*n -= *n > 0;
	}
	return true;
}

bool json_drop(json_t **json, size_t n)
{
	if (*json && !value_is_empty(*json, &n))
		return false;
	json_decref(*json);
	*json = NULL;
	return true;
}
