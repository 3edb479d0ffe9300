// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/key_restore.h"

#include "base/alloc.h"
#include "key/key_record.h"
#include "key/key_ring.h"
#include "key/key_slot.h"

void key_restore_gone(
	struct keystore *store, uint32_t scope, uint32_t id, const json_t *key, const char *session)
{
	struct key_slot *slot = key_slot_take(store, scope, id);
	if (slot->installed)
		return;
	struct key_groups before = key_groups_change(store, slot, json_object_get(key, "groups"));
	key_groups_leave(store, slot, &before);
	if (session && !slot->session)
		slot->session = alloc_string(session);
	key_slot_changed(store, slot);
	key_record(store, slot);
}

void key_restore_state(struct key_slot *slot, const json_t *body)
{
	if (slot->state == KEY_PENDING && json_is_true(json_object_get(body, "active")))
		slot->state = KEY_ACTIVE;
}

void key_restore(struct keystore *store, struct key_slot *slot, const json_t *body)
{
	time_t activated = (time_t)json_integer_value(json_object_get(body, "activated"));
	if (activated == slot->activated)
		return;
	// Which key of a ring is the newest does not depend on when the relay started.
	slot->activated = activated;
	key_slot_changed(store, slot);
	key_record(store, slot);
}
