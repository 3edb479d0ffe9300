// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "control/install_kind.h"

// Methods that install the elements of an array one by one, over several slices: of their params, or made of a
// document of a KMS (TS 33.180 Annex D). Control thread.

// Reads params, the array and "replace" or a document, and installs the elements. The result, how many were
// "installed" and which were "rejected"; NULL if there is another slice, or with *error set.
json_t *install_list(const struct api *api, const json_t *params, const struct install_kind *kind,
	struct rpc_slice *slice, struct rpc_error *error);
