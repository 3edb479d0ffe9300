// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "identity/identity_store.h"
#include "identity/vault.h"
#include "mikey/authority.h"
#include "server/reader.h"

// KMSs that this relay itself is (TS 33.180 L.3.2): their secrets are drawn here, kept sealed on disk and
// never shown. Key sets of their users are derived when they are needed, and not kept.

// What makes a struct kms one. In secret memory.
struct pseudo_kms {
	uint8_t z[SAKKE_SCALAR_LEN];
	uint8_t ksak[ECCSI_SCALAR_LEN];
	char domain[IDENTITY_DOMAIN_SIZE]; // of keys of its users
};

// Reads params of kms.create: a KMS whose keys pseudo_kms_make() is to draw. NULL with *error set:
// RPC_INVALID_PARAMS.
struct kms *pseudo_kms_read(const json_t *params, struct rpc_error *error);

// Draws its keys and seals them. Some milliseconds, any thread: the caller alone has the KMS. 0, or -errno:
// -EEXIST if another one of that URI is sealed.
int pseudo_kms_make(struct kms *kms, const struct vault *vault);

// Whether what was read is the same KMS as one that is there, but for its keys, and for what its users may do
// where that was not stated: the configuration says it.
bool pseudo_kms_equal(const struct kms *read, const struct kms *there);

// Installs those that are sealed. What cannot be used is logged and left.
void pseudo_kms_restore(struct kms_store *store, const struct vault *vault);

// Whether it makes key sets for that URI: one of its users, or who acts for it as GMS or MDSI.
bool pseudo_kms_serves(const struct kms *kms, const struct mikey_octets *uri);

// Whom it serves, as a receiver of messages of that type. uri stays the caller's.
struct mikey_local pseudo_local(
	const struct kms *kms, const struct mikey_octets *uri, enum mikey_type type);

// The key set with which somebody opens messages: pinned, one that is kept, that of another message which is being
// opened, or a new one. For pseudo_receiver_give(). NULL as of pseudo_signer_make().
struct key_set *pseudo_receiver_take(struct identity_store *store, struct kms *kms,
	const struct mikey_octets *uri, uint64_t period_no);

// Sees to it that it has its receiver, which takes some 60 ms the first time: one thread derives it, others that want
// the same wait. Any thread, while the KMS is pinned; the receiver is read behind it. False: a library failed.
bool pseudo_receiver_derive(const struct kms *kms, struct key_set *set);

// Unpins it; it is kept for the next message if it opened one. The one that was used longest ago makes room.
void pseudo_receiver_give(
	struct identity_store *store, struct kms *kms, struct key_set *set, bool good);

// Those of a KMS that is being removed.
void pseudo_receivers_leave(struct identity_store *store, const struct kms *kms);

// The keys with which somebody whom it serves signs in a key period, without a receiver; as one that was
// pinned and is not in the store, so that it goes with key_set_unpin(). NULL: there is no memory, or a library
// failed.
struct key_set *pseudo_signer_make(
	const struct kms *kms, const struct mikey_octets *uri, uint64_t period_no);
