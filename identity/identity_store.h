// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <pthread.h>

#include "base/map.h"
#include "identity/kms_store.h"

// Whom this relay is to KMSs: identities with their key sets, one for each key period (TS 33.180
// D.3.3.2). Control thread, but for key_set_validate().

enum {
	KEY_SETS_MAX = 1000, // of all identities: each has a table of 343 KiB in locked memory
	IDENTITY_SETS_MAX = 32,
	IDENTITY_DOMAIN_SIZE = 128, // octets with NUL
	DERIVED_SETS_MAX = 32,      // of pseudo KMSs that are kept, those used last
};

// The keys of one identity for one key period. In secret memory; who computes with it pins it.
struct key_set {
	uint64_t period_no;
	uint8_t uid[MCX_UID_LEN];
	uint8_t rsk[SAKKE_POINT_LEN]; // wiped when receiver was made of it
	uint8_t ssk[ECCSI_SCALAR_LEN];
	uint8_t pvt[ECCSI_POINT_LEN];
	uint8_t rsk_digest[32]; // SHA-256
	struct sakke_receiver *receiver;
	pthread_mutex_t mutex; // of receiver, while it may be derived
	unsigned pins;
	bool gone;    // no longer in the store: freed with the last pin
	bool derived; // of a user of a pseudo KMS, not of an identity
};

struct identity {
	struct mikey_local local; // first; points to what follows
	char uri[MIKEY_ID_MAX + 1];
	char domain[IDENTITY_DOMAIN_SIZE];
	struct kms *kms;
	struct mikey_key_set shown[IDENTITY_SETS_MAX];
	struct key_set *sets[IDENTITY_SETS_MAX]; // as shown
	uint64_t end_told;     // Unix seconds: of the last key period, that was told of
	uint64_t opened, made; // messages for it, and of it
};

// An identity as a client stated it, with one key set. In secret memory: identity_spec_free().
struct identity_spec {
	char uri[MIKEY_ID_MAX + 1];
	char domain[IDENTITY_DOMAIN_SIZE];
	enum mikey_role role;
	struct kms *kms;               // pinned
	uint8_t kpak[ECCSI_POINT_LEN]; // of kms, as the next
	const struct sakke_kms *sakke;
	const char *complaint; // of key_set_validate()
	struct key_set *set;   // NULL: installed
};

// A key set of a user of a pseudo KMS, which was derived to open a message.
struct derived_set {
	const struct kms *kms;
	struct key_set *set; // NULL: none
	uint64_t used;       // when, of identity_store.derived_uses
};

struct transport_keys;

struct identity_store {
	struct map *by_name; // URI of the KMS, NUL, URI
	struct map *by_uid;  // URI of the KMS, NUL, UID
	unsigned n_sets;
	unsigned n_leaving; // key sets of identities that are gone and pinned
	struct derived_set derived[DERIVED_SETS_MAX];
	uint64_t derived_uses;
	struct map *
		deriving; // key sets that are not kept yet, of messages that are being opened: KMS, UID
	struct transport_keys *shared; // with KMSs, that came in documents
};

int identity_store_init(struct identity_store *store); // 0 or -ENOMEM
void identity_store_fini(struct identity_store *store);

struct key_set *key_set_new(void); // of zeros; NULL: there is no memory
void key_set_free(
	struct key_set *set); // of one that was never pinned nor installed; NULL is ignored

void identity_spec_free(struct identity_spec *spec);

// Whether the keys are what the KMS gave this identity for that period (RFC 6508 6.1.2, RFC 6507
// 5.1.2); makes the receiver and wipes RSK. Some 60 ms, any thread: the caller alone has the spec.
// Sets spec->complaint to NULL, or to what is wrong.
void key_set_validate(struct identity_spec *spec);

// Whether a spec can go in: RPC_CONFLICT (other keys for that period, without replace), RPC_LIMIT.
// *known: the same keys are there, so that they need not be validated.
bool identity_admit(const struct identity_store *store, const struct identity_spec *spec,
	bool replace, const char *path, bool *known, struct rpc_error *error);

// Takes the key set of an admitted spec over, unless it is known; it is validated then.
void identity_install(struct identity_store *store, struct identity_spec *spec, bool known);

struct identity *identity_find(
	const struct identity_store *store, const struct mikey_octets *kms_uri, const char *uri);

// Takes the key set of one period away, or all with period_no NULL; how many. They are wiped when
// n_leaving is 0.
unsigned identity_remove(
	struct identity_store *store, struct identity *identity, const uint64_t *period_no);

// Takes a key set out of use: it is freed with its last pin.
void key_set_leave(struct identity_store *store, struct key_set *set);

// Its receiver; NULL: it has none yet. Any thread that has it pinned.
const struct sakke_receiver *key_set_receiver(struct key_set *set);

void key_set_pin(struct key_set *set);
void key_set_unpin(struct identity_store *store, struct key_set *set);
// The key set that a message is opened with.
struct key_set *identity_set_of(struct identity *identity, const struct mikey_key_set *shown);

// For struct mikey_directory, with arg the struct identity_store.
const struct mikey_local *identity_local(
	void *store, const struct mikey_kms *kms, const struct mikey_octets *uri);
const struct mikey_local *identity_hidden(
	void *store, const struct mikey_kms *kms, const uint8_t uid[MCX_UID_LEN]);

const struct mikey_kms *identity_kms_assumed(
	void *store, const struct mikey_octets *uri, const uint8_t uid[MCX_UID_LEN]);

// As identity.list has it; its periods end when that of the KMS do.
json_t *identity_show(const struct identity *identity);
