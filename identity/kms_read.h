// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "identity/kms_store.h"
#include "server/reader.h"

// Reads one Kms of docs/api.md, which kms_validate() is to look at. NULL with *error set:
// RPC_INVALID_PARAMS.
struct kms *kms_read(const json_t *value, const char *path, struct rpc_error *error);

// A URI of MIKEY-SAKKE: 1 to 255 octets, which are hashed as they are. NULL: absent, or an error is set.
const char *kms_uri_read(struct reader *r, const char *name, enum reader_need need);

// What is accepted of its users if the client stated nothing: of enum mikey_quirk, instead of
// MIKEY_QUIRK_UNPADDED_W. Before the KMS is installed.
void kms_quirks_default(struct kms *kms, unsigned quirks);

// Name of a departure in `accept`, of one bit of enum mikey_quirk.
const char *kms_quirk_name(unsigned quirk);

// Names of roles in enum mikey_role, up to a NULL.
extern const char *const mikey_role_names[];
