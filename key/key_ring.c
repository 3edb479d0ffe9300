// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/key_ring.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"

// A group with its keys of one type in one scope.
struct key_group {
	struct key_slot **slots;
	uint32_t n, size;
	size_t name_len;
	uint8_t name[]; // scope, type, URI
};

enum { GROUP_HEAD_LEN = sizeof(uint32_t) + 1 };

// The name of a group in the map. The caller frees it.
static uint8_t *group_name(uint32_t scope, uint32_t key_id, const char *uri, size_t *len)
{
	*len = GROUP_HEAD_LEN + strlen(uri);
	uint8_t *name = alloc_zero(*len, 1);
	memcpy(name, &scope, sizeof(scope));
	name[GROUP_HEAD_LEN - 1] = (uint8_t)key_id_type(key_id);
	memcpy(name + GROUP_HEAD_LEN, uri, *len - GROUP_HEAD_LEN);
	return name;
}

// NULL if there are no keys for it.
static struct key_group *group_find(
	const struct keystore *store, uint32_t scope, uint32_t key_id, const char *uri)
{
	size_t len;
	uint8_t *name = group_name(scope, key_id, uri, &len);
	struct key_group *group = map_get(store->groups, name, len);
	free(name);
	return group;
}

static struct key_group *group_take(
	struct keystore *store, const struct key_slot *slot, const char *uri)
{
	struct key_group *group = group_find(store, slot->scope, slot->id, uri);
	if (group)
		return group;
	size_t len;
	uint8_t *name = group_name(slot->scope, slot->id, uri, &len);
	group = alloc_zero(1, sizeof(*group) + len);
	group->name_len = len;
	memcpy(group->name, name, len);
	free(name);
	map_add(store->groups, group->name, len, group);
	return group;
}

static uint32_t group_position(const struct key_group *group, const struct key_slot *slot)
{
	uint32_t i = 0;
	while (i < group->n && group->slots[i] != slot)
		i++;
	return i;
}

static void group_add(struct key_group *group, struct key_slot *slot)
{
	if (group_position(group, slot) < group->n)
		return;
	if (group->n == group->size) {
		group->size = group->size ? group->size * 2 : 2;
		group->slots = alloc_resize(group->slots, group->size, sizeof(struct key_slot *));
	}
	group->slots[group->n++] = slot;
}

static void group_remove(
	struct keystore *store, struct key_group *group, const struct key_slot *slot)
{
	uint32_t i = group_position(group, slot);
	if (i < group->n)
		group->slots[i] = group->slots[--group->n];
	if (group->n > 0)
		return;
	map_remove(store->groups, group->name, group->name_len);
	free(group->slots);
	free(group);
}

static int group_compare(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)*(struct key_group *const *)a;
	uintptr_t y = (uintptr_t)*(struct key_group *const *)b;
	return (x > y) - (x < y);
}

static bool groups_have(const struct key_groups *groups, const struct key_group *group)
{
	return groups->n > 0 &&
	       bsearch(&group, groups->groups, groups->n, sizeof(group), group_compare);
}

struct key_groups key_groups_change(
	struct keystore *store, struct key_slot *slot, const json_t *uris)
{
	struct key_groups before = slot->groups, now = {0};
	now.groups = alloc_zero(uris ? json_array_size(uris) : 0, sizeof(struct key_group *));
	size_t i;
	json_t *item;
	json_array_foreach ((json_t *)(uintptr_t)uris, i, item) {
		struct key_group *group = group_take(store, slot, json_string_value(item));
		group_add(group, slot);
		now.groups[now.n++] = group;
	}
	qsort(now.groups, now.n, sizeof(struct key_group *), group_compare);
	// A URI that was stated twice is one group.
	uint32_t n = 0;
	for (uint32_t g = 0; g < now.n; g++)
		if (n == 0 || now.groups[n - 1] != now.groups[g])
			now.groups[n++] = now.groups[g];
	now.n = n;
	slot->groups = now;
	return before;
}

void key_groups_leave(struct keystore *store, struct key_slot *slot, struct key_groups *groups)
{
	for (uint32_t i = 0; i < groups->n; i++)
		if (!groups_have(&slot->groups, groups->groups[i]))
			group_remove(store, groups->groups[i], slot);
	free(groups->groups);
	*groups = (struct key_groups){0};
}

json_t *key_groups_show(const struct key_slot *slot)
{
	json_t *uris = json_array();
	for (uint32_t i = 0; i < slot->groups.n; i++) {
		const struct key_group *group = slot->groups.groups[i];
		json_array_append_new(uris, json_stringn((const char *)group->name + GROUP_HEAD_LEN,
						    group->name_len - GROUP_HEAD_LEN));
	}
	return uris;
}

bool key_is_of_group(const struct key_slot *slot, const char *uri)
{
	size_t len = strlen(uri);
	for (uint32_t i = 0; i < slot->groups.n; i++) {
		const struct key_group *group = slot->groups.groups[i];
		if (group->name_len == GROUP_HEAD_LEN + len &&
			memcmp(group->name + GROUP_HEAD_LEN, uri, len) == 0)
			return true;
	}
	return slot->groups.n == 0;
}

void key_groups_visit(struct keystore *store, const struct key_groups *groups,
	void (*visit)(struct keystore *store, struct key_slot *slot, void *arg), void *arg)
{
	for (uint32_t g = 0; g < groups->n; g++)
		for (uint32_t i = 0; i < groups->groups[g]->n; i++)
			visit(store, groups->groups[g]->slots[i], arg);
}

// A key of the group that is in use and came from another GMS than the new one.
static const struct key_slot *collision(const struct key_group *group, const char *source)
{
	for (uint32_t i = 0; group && i < group->n; i++) {
		const struct key_slot *slot = group->slots[i];
		if (slot->installed && slot->state != KEY_EXPIRED && slot->source &&
			strcmp(slot->source, source) != 0)
			return slot;
	}
	return NULL;
}

const struct key_slot *key_groups_collide(const struct keystore *store, uint32_t scope,
	const struct key_spec *spec, const char **group)
{
	const struct key_slot *slot = NULL;
	for (size_t i = 0; !slot && spec->source && i < json_array_size(spec->groups); i++) {
		*group = json_string_value(json_array_get(spec->groups, i));
		slot = collision(group_find(store, scope, spec->id, *group), spec->source);
	}
	return slot;
}

// --- rings

bool key_activated_before(const struct key_slot *a, const struct key_slot *b)
{
	return a->activated != b->activated ? a->activated < b->activated : a->serial < b->serial;
}

static void ring_add(struct key_ring *ring, struct key_slot *slot)
{
	uint32_t at = 0;
	if (!key_usable(slot))
		return;
	while (at < ring->n && key_activated_before(slot, ring->keys[at]))
		at++;
	if (at == FANOUT_RING_MAX || (at < ring->n && ring->keys[at] == slot))
		return;
	if (ring->n < FANOUT_RING_MAX)
		ring->n++;
	memmove(&ring->keys[at + 1], &ring->keys[at],
		(ring->n - at - 1) * sizeof(struct key_slot *));
	ring->keys[at] = slot;
}

static bool ring_has(const struct key_ring *ring, const struct key_slot *slot)
{
	for (uint32_t i = 0; i < ring->n; i++)
		if (ring->keys[i] == slot)
			return true;
	return false;
}

// Whether slot is for every group that named is for.
static bool covers(const struct key_slot *slot, const struct key_slot *named)
{
	for (uint32_t i = 0; i < named->groups.n; i++)
		if (!groups_have(&slot->groups, named->groups.groups[i]))
			return false;
	return true;
}

struct key_ring key_ring_of(struct keystore *store, struct key_slot *slot, const char *uri)
{
	struct key_ring ring = {.n = 0};
	const struct key_group *group = NULL;
	if (slot->groups.n > 0)
		group = uri ? group_find(store, slot->scope, slot->id, uri)
			    : slot->groups.groups[0];
	// It may have left the session's group: it is alone then, and not looked for there either.
	if (group && !groups_have(&slot->groups, group))
		group = NULL;
	for (uint32_t i = 0; group && i < group->n; i++) {
		struct key_slot *other = group->slots[i];
		// While a key changes its groups it is still listed in those it leaves.
		if (uri ? groups_have(&other->groups, group) : covers(other, slot))
			ring_add(&ring, other);
	}
	ring_add(&ring, slot);
	if (key_usable(slot) && !ring_has(&ring, slot))
		ring.keys[ring.n - 1] = slot;
	return ring;
}
