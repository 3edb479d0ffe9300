// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "identity/kms_store.h"
#include "server/rpc.h"

// As kms.list has it.
json_t *kms_show(const struct kms *kms);

// Methods of KMSs; arg is a struct api (docs/api.md). Control thread.
json_t *kms_install_method(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error);
json_t *kms_list(void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error);
json_t *kms_remove_method(void *arg, const json_t *params, struct rpc_error *error);
