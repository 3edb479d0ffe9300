// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "key/key.h"

// The users who may send under a GMK, and their GUK-IDs. Control thread.

// GUK-ID of a user under a usable GMK. False if the library failed.
bool key_guk_id(
	struct keystore *store, const struct key_slot *slot, const char *user, uint32_t *guk_id);

// The user of that GUK-ID, NULL if none is stated.
struct key_user *key_slot_find_user(const struct key_slot *slot, uint32_t guk_id);
// The number of the one user of that GUK-ID, or USER_NONE.
uint32_t key_slot_user_named(const struct key_slot *slot, uint32_t guk_id);

void key_slot_set_users(struct keystore *store, struct key_slot *slot, const struct key_spec *spec);
void key_slot_clear_users(struct keystore *store, struct key_slot *slot);
