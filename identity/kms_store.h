// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "base/map.h"
#include "crypto/sakke.h"
#include "mikey/directory.h"
#include "server/rpc_error.h"

// The KMSs whose certificates were installed (TS 33.180 D.3.2), and those that this relay itself is. All but the
// secrets of these is public. Control thread.

enum { KMS_MAX = 1000 };

// One KMS: what messages are opened with, and what the client stated.
struct kms {
	struct mikey_kms facts; // points into stated
	uint8_t z[SAKKE_POINT_LEN];
	struct sakke_kms *sakke;   // of z; NULL until kms_validate()
	json_t *stated;            // as kms.list shows it
	bool quirks_stated;        // which departures of its users are accepted
	unsigned n_identities;     // key sets of it
	unsigned pins;             // of whoever computes with it
	struct pseudo_kms *pseudo; // its secrets, if this relay itself is it; NULL: it is not
	uint64_t end_told;         // valid_to that was told of
	unsigned departed; // of enum mikey_quirk: of which the log has said that its users do so
};

struct kms_store {
	struct map *by_uri;
};

int kms_store_init(struct kms_store *store); // 0 or -ENOMEM
void kms_store_fini(struct kms_store *store);

// Whether Z and KPAK are points that a KMS may have. Some milliseconds, any thread: the caller alone
// has the KMS. NULL if so, else what is wrong.
const char *kms_validate(struct kms *kms);

// Whether a validated KMS can go in: RPC_CONFLICT (same URI, other keys, or other members without
// replace) or RPC_LIMIT.
bool kms_admit(const struct kms_store *store, const struct kms *kms, bool replace, const char *path,
	struct rpc_error *error);

// Takes over an admitted KMS; one of the same URI goes.
void kms_install(struct kms_store *store, struct kms *kms);

// Whether it has key sets, or somebody computes with it: its keys stay what they are.
bool kms_is_used(const struct kms *kms);

// Takes one that is not used away.
void kms_remove(struct kms_store *store, struct kms *kms);

struct kms *kms_find(const struct kms_store *store, const void *uri, size_t len);

// Of one that was never installed. NULL is ignored.
void kms_free(struct kms *kms);
