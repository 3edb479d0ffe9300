// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "dataplane/drop.h"
#include "dataplane/key_table.h"
#include "key/key.h"

// Key contexts: what is derived from a root key for a worker's use. Control thread.

// The key context of a usable key that is no GMK, derived if need be; KEY_NONE if there is no room.
uint32_t key_ctx_fixed(struct keystore *store, struct key_slot *slot, uint8_t cs_id,
	uint8_t protocol, uint8_t suite);

// Answers a worker that misses a context: derives it if that is allowed. For strangers (enum leg_side) less room is left
// than for clients. DROP_NONE, or why not.
enum drop_reason key_ctx_derive(struct keystore *store, const struct key_name *name, bool stranger);

// The context of an earlier life, under which a tag verified or something was sent then: it has nothing to prove, and as
// many come back as there were. by_mki is of a usable key. Sets *ctx; or DROP_UNKNOWN_USER: its user was taken from the
// key; DROP_DERIVE_LIMIT: there is no room.
enum drop_reason key_ctx_restore(struct keystore *store, struct key_slot *slot,
	const struct key_name *by_mki, uint32_t *ctx);

// Takes all contexts of a key out of use. Nothing may refer to them any more but what owners make that have not
// followed yet (keystore_owners_follow()).
void key_slot_retire_ctxs(struct keystore *store, struct key_slot *slot);

// Owners have followed: nothing refers to the contexts that were left for them.
void key_ctxs_retire_left(struct keystore *store);
// Derives the contexts that a key that has become usable needs for the talkers of the other keys of
// its group.
void key_slot_prederive(struct keystore *store, struct key_slot *slot);
// After the users changed: contexts of users who may no longer send are retired, others get their
// talker.
void key_slot_revalidate(struct keystore *store, struct key_slot *slot);

// Forgets contexts that no tag verified under in time.
void keystore_review_provisional(struct keystore *store);
