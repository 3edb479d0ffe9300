// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "crypto/mikey_prf.h"
#include "crypto/suite.h"
#include "key/index_space.h"

// Root keys (TGKs), what is derived from them, and the store that has them all. Control thread.

struct key_group;
struct notices;
struct relay;
struct retire;
struct store;
struct users;

// Purpose tags of TS 33.180 Annex G: the top four bits of a key id.
enum key_type { KEY_GMK, KEY_PCK, KEY_CSK, KEY_SPK, KEY_MKFC, KEY_MSCCK, KEY_MUSIK, KEY_N_TYPES };

// By the purpose tag of an id. Tags without a type give KEY_N_TYPES and above.
static inline enum key_type key_id_type(uint32_t id)
{
	return (enum key_type)(id >> 28);
}

extern const char *const key_type_names[KEY_N_TYPES + 1]; // "gmk" ..., NULL

enum key_state { KEY_PENDING, KEY_ACTIVE, KEY_EXPIRED, KEY_N_STATES };

const char *key_state_name(enum key_state state);

struct key_profile {
	uint8_t suite;     // enum srtp_suite
	uint8_t mki_len;   // octets: 0, 4 or 8
	uint16_t roc_rate; // RFC 4771, 0: no ROC
};

// The defaults of TS 33.180 Annex E for keys of that type.
struct key_profile key_profile_default(enum key_type type);

// A root key's octets. In secret memory only.
struct key_secret {
	uint8_t value[SRTP_KEY_MAX];
	uint8_t rand[MIKEY_RAND_MAX];
	uint8_t value_len, rand_len; // octets
};

// A user who may send under a GMK.
struct key_user {
	uint32_t guk_id;
	uint32_t user;  // index in users
	bool ambiguous; // another user has the same GUK-ID: it identifies neither
};

// A root key as a client stated it, checked but not yet in the store.
struct key_spec {
	uint32_t id;
	enum key_type type;
	struct key_secret secret;
	char domain[128];
	time_t activation, expiry; // Unix seconds, 0: at once, never
	struct key_profile profile;
	bool has_profile;             // it was stated, wholly or in part
	bool closed;                  // users were given
	const json_t *users, *groups; // arrays of strings of the request, or NULL
	const char *source;           // the GMS that it came from in a message; NULL: not known
	const char *session;          // whose own key it is; NULL: a domain's
};

// The groups that a key is for, sorted; not owned.
struct key_groups {
	struct key_group **groups;
	uint32_t n;
};

// A root key. A slot exists while the key is installed or referenced.
struct key_slot {
	uint32_t scope, id;
	uint32_t index; // of the root key for workers and secrets; valid if installed
	bool installed;
	enum key_type type;
	enum key_state state;
	time_t activation, expiry;
	time_t activated; // activation, or if that is 0 when it was installed
	uint64_t serial;  // which of all installations this is
	struct key_profile profile;
	bool closed;
	struct key_user *users; // sorted by GUK-ID
	uint32_t n_users;
	struct key_groups groups; // kept while the key is named, though it is not installed
	uint64_t n_protected[2];  // MCData payloads, by DP_AES_128_GCM and by DP_AES_256_GCM
	char *source;             // the GMS that it came from in a message; NULL: not known
	uint32_t *ctxs;           // key contexts derived from it
	uint32_t n_ctxs, ctxs_size;
	struct key_owner_uses *owners;
	uint64_t round; // of the last change that its uses were touched in
	char *session;  // whose own key it is; NULL: a domain's, or not installed yet
	uint32_t record, streams_record; // places in the store, 0: none
	uint64_t streams_sum;            // of what streams_record has
};

// What uses keys and is notified when they change.
struct key_owner {
	// Before changed(): a key that `user` named in key_use(), or one of its ring, is among what
	// changed; NULL: what any of them named may be.
	void (*touched)(struct key_owner *owner, void *user);
	void (*changed)(struct key_owner *owner);
	const char *id; // its id in events
	uint64_t round; // of the last change that it was notified of
};

// One owner's naming of a key.
struct key_use {
	struct key_slot *slot;
	void *user; // the owner's, who names it
	struct key_owner_uses *of;
	struct key_use *previous, *next; // of the same owner
};

// Whose uses of a key stand together.
struct key_owner_uses {
	struct key_owner *owner;
	struct key_use *uses;
	uint32_t n;
	struct key_owner_uses *previous, *next; // of the slot
};

struct key_provisional {
	uint32_t ctx, serial;
	uint64_t until_ms;
};

struct keystore {
	struct relay *relay; // for its key table, streams and ciphers
	struct retire *retire;
	struct users *users;
	struct notices *notices;
	struct map *slots;          // (scope, id) -> key_slot
	struct map *domains;        // name -> key_domain
	struct map *scopes;         // number -> key_domain, of all in use
	struct map *groups;         // scope, type, URI -> key_group
	struct map *owner_uses;     // (key_slot, key_owner) -> key_owner_uses
	struct key_slot **roots;    // by index
	struct key_secret *secrets; // by index, secmem
	uint32_t max, n_roots, n_touched, *free_roots, n_free;
	uint32_t n_promised; // admitted, and to be installed: there is room for so many more
	uint32_t n_by_state[KEY_N_TYPES][KEY_N_STATES]; // of n_roots
	uint64_t change_round;                          // counts changes of keys
	// Owners that have been told of a change and have not done all that follows from it: finish()
	// has them do it at once. NULL: there are none. Root indices in use till then are in left, key
	// contexts in left_ctxs.
	void (*finish)(void *arg);
	void *finish_arg;
	uint32_t *left, n_left, left_size;
	uint32_t *left_ctxs, n_left_ctxs, left_ctxs_size;
	uint64_t install_serial;
	uint32_t next_scope; // to try
	uint32_t next_serial;
	time_t due; // when the next key activates or expires, 0: none does
	struct index_spaces spaces;
	struct key_provisional *provisional; // not proven yet, oldest first
	uint32_t n_provisional, provisional_size;
	struct store *records;            // where keys and sessions are recorded; NULL: nowhere
	struct key_stream_entry *entries; // room for streams of one key; NULL: none yet
	uint32_t streams_cursor;          // root key whose streams are recorded next
	uint64_t streams_due_ms;          // when the next round begins
	void (*watch)(void *arg, struct key_slot *slot); // told of each key installed; NULL: nobody
	void *watch_arg;
};

static inline bool key_usable(const struct key_slot *slot)
{
	return slot->installed && slot->state == KEY_ACTIVE;
}
