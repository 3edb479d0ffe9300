// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/rpc.h"

// Methods that install the elements of an array one by one, over several slices. Control thread.

struct api;

// Installs an element, or goes on with it; error tells why it is refused. False if the method is to be called again
// for it.
typedef bool install_element(const struct api *api, const json_t *value, const char *path,
	bool replace, struct rpc_slice *slice, struct rpc_error *error);

// What "rejected" says of an element.
json_t *rejected_show(size_t index, const struct rpc_error *error);

// Reads params, the array of that name and "replace", and installs its elements. The result, how many were "installed"
// and which were "rejected"; NULL if there is another slice, or with *error set.
json_t *install_list(const struct api *api, const json_t *params, const char *name,
	install_element *install, struct rpc_slice *slice, struct rpc_error *error);
