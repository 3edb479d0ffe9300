// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "key/key.h"

// Slots of keys, and their uses. Control thread.

struct key_slot *keystore_find(const struct keystore *store, uint32_t scope, uint32_t id);

// The slot of that name, made if there is none.
struct key_slot *key_slot_take(struct keystore *store, uint32_t scope, uint32_t id);
// Frees it unless it is installed or named.
void key_slot_release(struct keystore *store, struct key_slot *slot);

// A use keeps the slot, whether the key is installed or not, and has the owner notified when the
// key changes. user: who of the owner's names it, see key_owner.
struct key_use *key_use(
	struct keystore *store, uint32_t scope, uint32_t id, struct key_owner *owner, void *user);
void key_unuse(struct keystore *store, struct key_use *use);

// Notifies the owners of uses of the key, and those of the other keys of its groups, each once.
void key_slot_changed(struct keystore *store, struct key_slot *slot);
// The same for all keys of some groups.
void key_groups_changed(struct keystore *store, const struct key_groups *groups);
