// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "key/key.h"

// Keys of an earlier life of the relay, as key/key_record.h records them, come back. Control thread.

// A key that was active is, even if the clock was set back in the meantime. As it is installed.
void key_restore_state(struct key_slot *slot, const json_t *body);

// What a record of a key says beside what key_read() reads of its member "key": after the key was installed.
void key_restore(struct keystore *store, struct key_slot *slot, const json_t *body);

// The same for a key that expired, or was revoked while legs named it: the member "gone" of its record, or "key" of one
// that expired since. session: whose own key it was, or NULL.
void key_restore_gone(struct keystore *store, uint32_t scope, uint32_t id, const json_t *key,
	const char *session);
