// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "identity/identity_store.h"
#include "server/reader.h"

// Reads one Identity of docs/api.md of a KMS in the store, with its key set, which
// key_set_validate() is to look at. NULL with *error set: RPC_INVALID_PARAMS, RPC_NOT_FOUND (the
// KMS), or RPC_KEY_REFUSED (another UID).
struct identity_spec *identity_read(const struct kms_store *kmss, const json_t *value,
	const char *path, struct rpc_error *error);

// Its member "kms". NULL: absent, or an error is set.
struct kms *identity_kms_read(
	struct reader *r, const struct kms_store *kmss, enum reader_need need);

// Its member "period_no"; false if it is absent.
bool identity_period_read(struct reader *r, uint64_t *period_no);
