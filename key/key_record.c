// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/key_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hex.h"
#include "base/secmem.h"
#include "key/key_domain.h"
#include "key/key_ring.h"
#include "key/users.h"
#include "store/store_json.h"

static char *name_make(const struct keystore *store, const struct key_slot *slot, const char *what)
{
	const char *domain = keystore_domain_name(store, slot->scope);
	char *name;
	if (asprintf(&name, "%s:%08x:%s:%s", what, slot->id, domain ? "domain" : "session",
		    domain          ? domain
		    : slot->session ? slot->session
				    : "") < 0)
		alloc_failed(__func__, strlen(what));
	return name;
}

char *key_record_name(const struct keystore *store, const struct key_slot *slot)
{
	return name_make(store, slot, "key");
}

char *key_streams_name(const struct keystore *store, const struct key_slot *slot)
{
	return name_make(store, slot, "streams");
}

// --- what was stated

static json_t *octets_show(const uint8_t *octets, size_t len)
{
	char text[2 * MIKEY_RAND_MAX + 1];
	hex_encode(octets, len, text);
	json_t *shown = json_string(text);
	secmem_wipe(text, sizeof(text));
	return shown;
}

static json_t *users_show(const struct keystore *store, const struct key_slot *slot)
{
	json_t *users = json_array();
	for (uint32_t i = 0; i < slot->n_users; i++)
		json_array_append_new(
			users, json_string(user_uri(store->users, slot->users[i].user)));
	return users;
}

// Where it is found: its domain, if it is not a session's own, and its groups.
static void place_add(json_t *key, const struct keystore *store, const struct key_slot *slot)
{
	const char *domain = keystore_domain_name(store, slot->scope);
	if (domain)
		json_object_set_new(key, "domain", json_string(domain));
	if (slot->groups.n > 0)
		json_object_set_new(key, "groups", key_groups_show(slot));
}

// As key_read() takes it.
static json_t *key_stated(const struct keystore *store, const struct key_slot *slot)
{
	const struct key_secret *secret = &store->secrets[slot->index];
	const struct key_profile *profile = &slot->profile;
	json_t *key = json_pack("{s:o,s:o,s:o,s:I,s:I,s:{s:s,s:i,s:i}}", "id",
		json_sprintf("%08x", slot->id), "value",
		octets_show(secret->value, secret->value_len), "rand",
		octets_show(secret->rand, secret->rand_len), "activation",
		(json_int_t)slot->activation, "expiry", (json_int_t)slot->expiry, "profile",
		"suite", srtp_suite_name(profile->suite), "mki_length", (int)profile->mki_len,
		"roc_rate", (int)profile->roc_rate);
	place_add(key, store, slot);
	if (slot->closed)
		json_object_set_new(key, "users", users_show(store, slot));
	return key;
}

// Of a key that expired or was revoked, while legs name it: by its groups they have the other keys of its ring.
static json_t *key_gone(const struct keystore *store, const struct key_slot *slot)
{
	json_t *key = json_pack("{s:o}", "id", json_sprintf("%08x", slot->id));
	place_add(key, store, slot);
	return key;
}

void key_record(struct keystore *store, struct key_slot *slot)
{
	if (!store->records)
		return;
	json_t *body;
	if (slot->installed && slot->state != KEY_EXPIRED) {
		body = json_pack("{s:o,s:I,s:I}", "key", key_stated(store, slot), "serial",
			(json_int_t)slot->serial, "activated", (json_int_t)slot->activated);
		if (slot->state == KEY_ACTIVE)
			json_object_set_new(body, "active", json_true());
		if (slot->source)
			json_object_set_new(body, "source", json_string(slot->source));
	} else {
		key_record_drop(store, slot);
		if (!slot->installed && !slot->owners)
			return;
		body = json_pack("{s:o}", "gone", key_gone(store, slot));
	}
	char *name = key_record_name(store, slot);
	store_put_json(store->records, &slot->record, name, body);
	free(name);
}

void key_record_drop(struct keystore *store, struct key_slot *slot)
{
	store_drop(store->records, &slot->record);
	store_drop(store->records, &slot->streams_record);
	slot->streams_sum = 0;
}
