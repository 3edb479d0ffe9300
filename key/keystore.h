// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "event/notice.h"
#include "key/key.h"
#include "server/rpc.h"

// Installation, expiry and removal of root keys. Control thread.

// Room for max root keys. All that it is given outlives it. 0 or -ENOMEM.
int keystore_init(struct keystore *store, struct relay *relay, struct retire *retire,
	struct users *users, struct notices *notices, uint32_t max);
void keystore_fini(struct keystore *store);

// Whether spec can go in: RPC_CONFLICT (same id, other bytes, and not replace), RPC_LIMIT.
bool key_admit(struct keystore *store, uint32_t scope, const struct key_spec *spec, bool replace,
	const char *path, struct rpc_error *error);

// So many more, or fewer, keys were admitted and will be installed later: there is room for them.
void keystore_promise(struct keystore *store, int n);

// Installs or updates an admitted key and notifies the owners of its uses.
void key_install(struct keystore *store, uint32_t scope, const struct key_spec *spec);

// Has each key that is installed from now on told, before anything refers to it: its state may still be set. watch NULL:
// no longer.
void keystore_watch_installed(
	struct keystore *store, void (*watch)(void *arg, struct key_slot *slot), void *arg);

// Takes a key out of use. Its bytes are wiped once no worker can use it: after retire_all(), or
// soon. False if it is not installed.
bool key_remove(struct keystore *store, uint32_t scope, uint32_t id);

// For owners that, told of a change, leave some of what follows from it for later. From the first call to the second
// the index of a root key that goes is not given to another one, and a key context that went, which no name leads to
// any more, is not freed; finish(arg) has them do what is left, and make the second call.
void keystore_owners_follow(struct keystore *store, void (*finish)(void *arg), void *arg);
void keystore_owners_followed(struct keystore *store);

// Activates, expires, and forgets contexts that proved nothing. About ten times a second.
void keystore_tick(struct keystore *store);

// A key in the form of notices. Valid until it changes.
struct notice_key key_notice_of(const struct keystore *store, const struct key_slot *slot);
