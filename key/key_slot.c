// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/key_slot.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/map.h"
#include "key/key_record.h"
#include "key/key_ring.h"

struct key_slot *keystore_find(const struct keystore *store, uint32_t scope, uint32_t id)
{
	uint32_t name[2] = {scope, id};
	return map_get(store->slots, name, sizeof(name));
}

struct key_slot *key_slot_take(struct keystore *store, uint32_t scope, uint32_t id)
{
	struct key_slot *slot = keystore_find(store, scope, id);
	if (slot)
		return slot;
	uint32_t name[2] = {scope, id};
	slot = alloc_zero(1, sizeof(*slot));
	slot->scope = scope;
	slot->id = id;
	map_add(store->slots, name, sizeof(name), slot);
	return slot;
}

void key_slot_release(struct keystore *store, struct key_slot *slot)
{
	if (slot->installed || slot->owners)
		return;
	uint32_t name[2] = {slot->scope, slot->id};
	key_record_drop(store, slot);
	struct key_groups groups = key_groups_change(store, slot, NULL);
	key_groups_leave(store, slot, &groups);
	free(slot->groups.groups);
	map_remove(store->slots, name, sizeof(name));
	free(slot->ctxs);
	free(slot->source);
	free(slot->session);
	free(slot);
}

// --- uses

// Name of an owner's uses of a key in the map.
struct uses_name {
	const struct key_slot *slot;
	const struct key_owner *owner;
};

static struct key_owner_uses *owner_uses_take(
	struct keystore *store, struct key_slot *slot, struct key_owner *owner)
{
	struct uses_name name = {slot, owner};
	struct key_owner_uses *of = map_get(store->owner_uses, &name, sizeof(name));
	if (of)
		return of;
	of = alloc_zero(1, sizeof(*of));
	of->owner = owner;
	of->next = slot->owners;
	if (of->next)
		of->next->previous = of;
	slot->owners = of;
	map_add(store->owner_uses, &name, sizeof(name), of);
	return of;
}

static void owner_uses_release(
	struct keystore *store, struct key_slot *slot, struct key_owner_uses *of)
{
	if (of->n > 0)
		return;
	struct uses_name name = {slot, of->owner};
	map_remove(store->owner_uses, &name, sizeof(name));
	if (of->next)
		of->next->previous = of->previous;
	if (of->previous)
		of->previous->next = of->next;
	else
		slot->owners = of->next;
	free(of);
}

struct key_use *key_use(
	struct keystore *store, uint32_t scope, uint32_t id, struct key_owner *owner, void *user)
{
	struct key_use *use = alloc_zero(1, sizeof(*use));
	use->slot = key_slot_take(store, scope, id);
	use->of = owner_uses_take(store, use->slot, owner);
	use->user = user;
	use->next = use->of->uses;
	if (use->next)
		use->next->previous = use;
	use->of->uses = use;
	use->of->n++;
	return use;
}

void key_unuse(struct keystore *store, struct key_use *use)
{
	if (use->next)
		use->next->previous = use->previous;
	if (use->previous)
		use->previous->next = use->next;
	else
		use->of->uses = use->next;
	use->of->n--;
	owner_uses_release(store, use->slot, use->of);
	key_slot_release(store, use->slot);
	free(use);
}

// --- changes

enum { USES_FEW = 64 }; // of more by one owner not each is looked at

static void slot_touch(struct keystore *store, struct key_slot *slot, void *arg)
{
	(void)arg;
	if (slot->round == store->change_round)
		return;
	slot->round = store->change_round;
	for (const struct key_owner_uses *of = slot->owners; of; of = of->next) {
		if (of->n > USES_FEW) {
			of->owner->touched(of->owner, NULL);
			continue;
		}
		for (const struct key_use *use = of->uses; use; use = use->next)
			of->owner->touched(of->owner, use->user);
	}
}

// Each owner once in a round of changes.
static void slot_tell(struct keystore *store, struct key_slot *slot, void *arg)
{
	(void)arg;
	uint64_t round = store->change_round;
	for (const struct key_owner_uses *of = slot->owners; of; of = of->next) {
		if (of->owner->round != round)
			of->owner->changed(of->owner);
		of->owner->round = round;
	}
}

void key_groups_changed(struct keystore *store, const struct key_groups *groups)
{
	store->change_round++;
	key_groups_visit(store, groups, slot_touch, NULL);
	key_groups_visit(store, groups, slot_tell, NULL);
}

void key_slot_changed(struct keystore *store, struct key_slot *slot)
{
	store->change_round++;
	slot_touch(store, slot, NULL);
	key_groups_visit(store, &slot->groups, slot_touch, NULL);
	slot_tell(store, slot, NULL);
	key_groups_visit(store, &slot->groups, slot_tell, NULL);
}
