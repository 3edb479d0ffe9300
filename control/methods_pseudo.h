// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/rpc.h"

// Methods of KMSs that this relay itself is, and of certificates; arg is a struct api (docs/api.md). Control thread.
json_t *kms_create_method(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error);
json_t *kms_certificate_method(void *arg, const json_t *params, struct rpc_error *error);
