// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <stdint.h>

#include "dataplane/fanout.h"
#include "key/key.h"

// Several keys of one group may be active at once: a holder accepts packets under any of them and
// protects under the one that was activated last (TS 33.180 5.7). The keys of one type in one scope
// that are for a group (`groups`) are its ring. Control thread.

// Usable keys, the one activated last first.
struct key_ring {
	struct key_slot *keys[FANOUT_RING_MAX];
	uint32_t n;
};

// Whether b was activated later, or of two in the same second installed later.
bool key_activated_before(const struct key_slot *a, const struct key_slot *b);

// Makes the key one of the groups in uris (array of strings, or NULL) and of no other from now on.
// Returns the groups that it was of before, which the caller gives to key_groups_leave().
struct key_groups key_groups_change(
	struct keystore *store, struct key_slot *slot, const json_t *uris);

// Takes the key out of those groups of the list that it is no longer of; frees the list.
void key_groups_leave(struct keystore *store, struct key_slot *slot, struct key_groups *groups);

// URIs of the groups that the key is for: a new array.
json_t *key_groups_show(const struct key_slot *slot);

// Whether the key is for that group; true if it is for no group in particular.
bool key_is_of_group(const struct key_slot *slot, const char *uri);

// A key in use whose group the new key would be for as well, though it came from another GMS, and that
// group; NULL: none. That the GMS of one of them is not known is no collision.
const struct key_slot *key_groups_collide(const struct keystore *store, uint32_t scope,
	const struct key_spec *spec, const char **group);

// The ring of a key that a session names: the keys of the session's group, if that is stated (not
// NULL), else those that are for every group that the key itself is for. A key that is for no group
// in particular is alone.
struct key_ring key_ring_of(struct keystore *store, struct key_slot *slot, const char *group);

// Calls visit for all keys in the groups; some maybe more than once.
void key_groups_visit(struct keystore *store, const struct key_groups *groups,
	void (*visit)(struct keystore *store, struct key_slot *slot, void *arg), void *arg);
