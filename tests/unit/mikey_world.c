// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mikey/authority.h"
#include "tests/unit/mikey_world.h"

struct world world;

static const char *field(const char *kind, const char *name, const char *what)
{
	static char key[128];
	snprintf(key, sizeof(key), "%s_%s_%s", kind, name, what);
	return key;
}

struct mikey_octets text_octets(const char *text)
{
	return (struct mikey_octets){.octets = (const uint8_t *)text, .len = strlen(text)};
}

static void kms_add(const char *name)
{
	const struct vector *keys = world.keys;
	struct named_kms *k = &world.kms[world.n_kms++];
	uint8_t z[SAKKE_POINT_LEN];
	k->name = name;
	k->kms = (struct mikey_kms){
		.uri = text_octets(vector_text(keys, field("kms", name, "uri"))),
		.period = (uint32_t)vector_decimal(keys, field("kms", name, "user_key_period")),
		.offset = (uint32_t)vector_decimal(keys, field("kms", name, "user_key_offset")),
		.valid_from = vector_decimal(keys, field("kms", name, "valid_from")),
		.valid_to = vector_decimal(keys, field("kms", name, "valid_to")),
		.revoked = vector_decimal(keys, field("kms", name, "revoked")) != 0,
		.gms = &k->gms,
		.mdsi = &k->mdsi};
	vector_octets(keys, field("kms", name, "KPAK"), k->kms.kpak, sizeof(k->kms.kpak));
	vector_octets(keys, field("kms", name, "Z"), z, sizeof(z));
	assert_int_equal(sakke_kms_make(z, &k->sakke), SAKKE_OK);
}

struct named_kms *kms_named(const char *name)
{
	for (size_t i = 0; i < world.n_kms; i++)
		if (strcmp(world.kms[i].name, name) == 0)
			return &world.kms[i];
	fail_msg("no KMS %s", name);
	return NULL;
}

static void set_add(struct named_identity *id, const char *period)
{
	struct mikey_key_set *set = &id->sets[id->local.n_sets];
	uint8_t rsk[SAKKE_POINT_LEN];
	char what[32];
	set->period_no = strtoull(period, NULL, 10);
	snprintf(what, sizeof(what), "%s_uid", period);
	vector_octets(world.keys, field("id", id->name, what), set->uid, sizeof(set->uid));
	snprintf(what, sizeof(what), "%s_rsk", period);
	vector_octets(world.keys, field("id", id->name, what), rsk, sizeof(rsk));
	assert_int_equal(sakke_receiver_make(id->kms->sakke, set->uid, sizeof(set->uid), rsk,
				 &id->receivers[id->local.n_sets]),
		SAKKE_OK);
	set->receiver = id->receivers[id->local.n_sets++];
}

static void identity_add(const char *name)
{
	struct named_identity *id = &world.identities[world.n_identities++];
	const char *role = vector_text(world.keys, field("id", name, "role"));
	struct named_kms *kms = kms_named(vector_text(world.keys, field("id", name, "kms")));
	id->name = name;
	id->kms = kms;
	id->local = (struct mikey_local){
		.uri = text_octets(vector_text(world.keys, field("id", name, "uri"))),
		.role = strcmp(role, "gms") == 0    ? MIKEY_ROLE_GMS
			: strcmp(role, "mdsi") == 0 ? MIKEY_ROLE_MDSI
						    : MIKEY_ROLE_USER,
		.sets = id->sets};
	if (id->local.role == MIKEY_ROLE_GMS) {
		kms->gms = id->local.uri;
		kms->kms.n_gms = 1;
	} else if (id->local.role == MIKEY_ROLE_MDSI) {
		kms->mdsi = id->local.uri;
		kms->kms.n_mdsi = 1;
	}
	char periods[128];
	snprintf(periods, sizeof(periods), "%s",
		vector_text(world.keys, field("id", name, "periods")));
	for (char *rest = periods, *period = strsep(&rest, ","); period;
		period = strsep(&rest, ","))
		set_add(id, period);
}

int world_open(void **state)
{
	(void)state;
	static const char *const kms[] = {"home", "partner", "segy", "revoked", "later"};
	static const char *const identities[] = {"ingrid", "ulf", "tarek", "gms", "mdsi",
		"partner_user", "partner_gms", "segy_user", "segy_gms", "revoked_user",
		"later_user"};
	world.corpus = corpus_read();
	world.keys = vectors_find(world.corpus, "keys");
	for (size_t i = 0; i < sizeof(kms) / sizeof(*kms); i++)
		kms_add(kms[i]);
	for (size_t i = 0; i < sizeof(identities) / sizeof(*identities); i++)
		identity_add(identities[i]);
	return 0;
}

int world_close(void **state)
{
	(void)state;
	for (size_t i = 0; i < world.n_identities; i++)
		for (size_t s = 0; s < SETS_MAX; s++)
			sakke_receiver_free(world.identities[i].receivers[s]);
	for (size_t i = 0; i < world.n_kms; i++)
		sakke_kms_free(world.kms[i].sakke);
	vectors_free(world.corpus);
	return 0;
}

// --- the directory: of the identities only the one that the section names is here

static const struct mikey_kms *find_kms(void *arg, const struct mikey_octets *uri)
{
	(void)arg;
	for (size_t i = 0; i < world.n_kms; i++)
		if (mikey_octets_equal(&world.kms[i].kms.uri, uri))
			return &world.kms[i].kms;
	return NULL;
}

static const struct mikey_local *find_local(
	void *arg, const struct mikey_kms *kms, const struct mikey_octets *uri)
{
	const struct named_identity *id = arg;
	return kms == &id->kms->kms && mikey_octets_equal(&id->local.uri, uri) ? &id->local : NULL;
}

static const struct mikey_local *find_hidden(
	void *arg, const struct mikey_kms *kms, const uint8_t uid[MCX_UID_LEN])
{
	const struct named_identity *id = arg;
	for (size_t i = 0; kms == &id->kms->kms && i < id->local.n_sets; i++)
		if (memcmp(id->sets[i].uid, uid, MCX_UID_LEN) == 0)
			return &id->local;
	return NULL;
}

static const struct mikey_kms *find_assumed(
	void *arg, const struct mikey_octets *uri, const uint8_t uid[MCX_UID_LEN])
{
	const struct named_identity *id = arg;
	const struct mikey_kms *kms = &id->kms->kms;
	return (uri ? find_local(arg, kms, uri) : find_hidden(arg, kms, uid)) ? kms : NULL;
}

struct named_identity *identity_named(const char *name)
{
	for (size_t i = 0; i < world.n_identities; i++)
		if (strcmp(world.identities[i].name, name) == 0)
			return &world.identities[i];
	fail_msg("no identity %s", name);
	return NULL;
}

struct mikey_directory world_directory(struct named_identity *receiver)
{
	return (struct mikey_directory){.arg = receiver,
		.kms = find_kms,
		.local = find_local,
		.hidden = find_hidden,
		.assumed = find_assumed};
}

const char *world_initiator(const struct mikey_opening *opening)
{
	for (size_t i = 0; i < world.n_identities; i++)
		if (mikey_octets_equal(&world.identities[i].local.uri, &opening->initiator) &&
			&world.identities[i].kms->kms == opening->initiator_kms)
			return world.identities[i].name;
	return "somebody else";
}
