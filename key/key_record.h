// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "key/key.h"

// What is recorded of keys for the next life of the relay (store/store.h), and how it comes back. Of each installed key
// there is one record of what was stated, and one of its streams: up to which packet index something was accepted, or
// sent. Without a store nothing is done. Control thread.

// The names of both: "key:ID:domain:NAME" or "key:ID:session:NAME", "streams:" in place of "key:". The caller frees.
char *key_record_name(const struct keystore *store, const struct key_slot *slot);
char *key_streams_name(const struct keystore *store, const struct key_slot *slot);

// The key as it is now. Of one that expired, or was revoked while legs name it, only its groups.
void key_record(struct keystore *store, struct key_slot *slot);

// Neither record is there any more, and their octets are overwritten.
void key_record_drop(struct keystore *store, struct key_slot *slot);

// Records the streams of some keys, those of which anything changed; all keys have had their turn once a second, or
// later if there are very many. At once: all of them, before the end.
void key_streams_tick(struct keystore *store, uint64_t now_ms);
void key_streams_record_all(struct keystore *store);
void key_streams_fini(struct keystore *store);

// Streams begin where the record says that they were: len octets of its body. Before anything refers to the key. False
// if it is none. *n_lost: how many did not, because there was no room for their key contexts or for them.
bool key_streams_restore(struct keystore *store, struct key_slot *slot, const char *body,
	size_t len, uint32_t *n_lost);
