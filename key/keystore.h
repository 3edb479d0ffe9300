// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "crypto/mikey_prf.h"
#include "dataplane/drop.h"
#include "event/notice.h"
#include "host/relay.h"
#include "key/index_space.h"
#include "key/key_ring.h"
#include "server/reader.h"
#include "server/rpc.h"

// Root keys (TGKs) and the key contexts derived from them. Control thread.

struct notices;
struct retire;
struct users;

// Purpose tags of TS 33.180 Annex G: the top four bits of a key id.
enum key_type { KEY_GMK, KEY_PCK, KEY_CSK, KEY_SPK, KEY_MKFC, KEY_MSCCK, KEY_MUSIK, KEY_N_TYPES };

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

struct key_user {
	uint32_t guk_id;
	uint32_t user;  // index in users
	bool ambiguous; // another user has the same GUK-ID: it names nobody
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
};

// A root key. A slot lives while the key is installed or named.
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
	uint32_t *ctxs;           // key contexts derived from it
	uint32_t n_ctxs, ctxs_size;
	struct key_use *uses;
};

// Whoever names keys, and has to follow their changes.
struct key_owner {
	void (*changed)(struct key_owner *owner);
	const char *id; // as events tell of it
	uint64_t round; // of the last change that it was told of
};

// One owner's naming of a key.
struct key_use {
	struct key_slot *slot;
	struct key_owner *owner;
	struct key_use *previous, *next; // of the slot
};

struct key_provisional {
	uint32_t ctx, serial;
	uint64_t until_ms;
};

struct keystore {
	struct relay *relay; // whose key table, streams and ciphers it is for
	struct retire *retire;
	struct users *users;
	struct notices *notices;
	struct map *slots;            // (scope, id) -> key_slot
	struct map *domains;          // name -> key_domain
	struct map *groups;           // scope, type, URI -> key_group
	struct key_domain **by_scope; // of domains, for listing
	uint32_t n_domains;
	struct key_slot **roots;    // by index
	struct key_secret *secrets; // by index, secmem
	uint32_t max, n_roots, n_touched, *free_roots, n_free;
	uint32_t n_by_state[KEY_N_TYPES][KEY_N_STATES]; // of n_roots
	uint64_t change_round;                          // counts changes of keys
	uint64_t install_serial;
	uint32_t next_scope, next_serial;
	time_t due; // when the next key activates or expires, 0: none does
	struct index_spaces spaces;
	struct key_provisional *provisional; // not proven yet, oldest first
	uint32_t n_provisional, provisional_size;
};

enum { KEY_DOMAINS_MAX = 4096 };

// Room for max root keys. All that it is given outlives it. 0 or -ENOMEM.
int keystore_init(struct keystore *store, struct relay *relay, struct retire *retire,
	struct users *users, struct notices *notices, uint32_t max);
void keystore_fini(struct keystore *store);

// Reads one Key of docs/api.md. False with *error set: RPC_INVALID_PARAMS, or RPC_KEY_REFUSED
// for one that is well formed but unusable. The caller wipes spec in any case.
bool key_read(
	const json_t *value, const char *path, struct key_spec *spec, struct rpc_error *error);

// Members that other objects have too: a key id of 8 hex digits, a domain, a profile over what
// *profile has.
bool key_id_read(struct reader *r, const char *name, enum reader_need need, uint32_t *id);
bool key_id_of_json(const json_t *value, const char *path, uint32_t *id, struct rpc_error *error);
bool key_domain_read(struct reader *r, const char **domain);
bool key_profile_read(
	struct reader *r, const char *name, enum key_type type, struct key_profile *profile);

// The number of a domain, made if it is new; 0 if there are too many.
uint32_t keystore_domain_scope(struct keystore *store, const char *domain);
// The number of a domain, 0 if there is none of that name.
uint32_t keystore_domain_find(const struct keystore *store, const char *domain);
// The name of a domain's number, NULL if the scope is a session's.
const char *keystore_domain_name(const struct keystore *store, uint32_t scope);
// A number for a session's own keys.
uint32_t keystore_session_scope(struct keystore *store);

struct key_slot *keystore_find(const struct keystore *store, uint32_t scope, uint32_t id);

// Whether spec can go in: RPC_CONFLICT (same id, other bytes, and not replace), RPC_LIMIT. n_more
// keys are to be installed with it.
bool key_admit(struct keystore *store, uint32_t scope, const struct key_spec *spec, bool replace,
	uint32_t n_more, const char *path, struct rpc_error *error);

// Installs or updates an admitted key and tells those who name it.
void key_install(struct keystore *store, uint32_t scope, const struct key_spec *spec);

// Takes a key out of use. Its bytes are wiped once no worker can use it: after retire_all(), or
// soon. False if it is not installed.
bool key_remove(struct keystore *store, uint32_t scope, uint32_t id);

// Naming a key keeps its slot, installed or not, and has the owner told when the key changes.
struct key_use *key_use(
	struct keystore *store, uint32_t scope, uint32_t id, struct key_owner *owner);
void key_unuse(struct keystore *store, struct key_use *use);

static inline bool key_usable(const struct key_slot *slot)
{
	return slot->installed && slot->state == KEY_ACTIVE;
}

// The key context of a usable key that is no GMK, derived if need be; KEY_NONE if there is no room.
uint32_t key_ctx_fixed(struct keystore *store, struct key_slot *slot, uint8_t cs_id,
	uint8_t protocol, uint8_t suite);

// Answers a worker that misses a context: derives it if that is allowed. DROP_NONE, or why not.
enum drop_reason key_ctx_derive(struct keystore *store, const struct key_name *name);

// GUK-ID of a user under a usable GMK. False if the library failed.
bool key_guk_id(
	struct keystore *store, const struct key_slot *slot, const char *user, uint32_t *guk_id);

// Activates, expires, and forgets contexts that proved nothing. About ten times a second.
void keystore_tick(struct keystore *store);

// A key as notices tell of it. Valid until it changes.
struct notice_key key_notice_of(const struct keystore *store, const struct key_slot *slot);

// A key as key.list shows it: never its octets.
json_t *key_show(const struct keystore *store, const struct key_slot *slot);
