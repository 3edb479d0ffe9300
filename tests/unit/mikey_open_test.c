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
#include "mikey/ntp.h"
#include "mikey/open.h"
#include "tests/unit/mikey_corpus.h"

enum { KMS_MAX = 8, IDENTITIES_MAX = 16, SETS_MAX = 4, MAX_AGE = 300, AHEAD = 60 };

// The KMSs and identities of the corpus, by their names there.
struct named_kms {
	const char *name;
	struct mikey_kms kms;
	struct mikey_octets gms, mdsi;
	struct sakke_kms *sakke;
};

struct named_identity {
	const char *name;
	const struct named_kms *kms;
	struct mikey_local local;
	struct mikey_key_set sets[SETS_MAX];
	struct sakke_receiver *receivers[SETS_MAX];
};

static struct {
	struct vectors *corpus;
	const struct vector *keys;
	struct named_kms kms[KMS_MAX];
	size_t n_kms;
	struct named_identity identities[IDENTITIES_MAX];
	size_t n_identities;
} world;

static const char *field(const char *kind, const char *name, const char *what)
{
	static char key[128];
	snprintf(key, sizeof(key), "%s_%s_%s", kind, name, what);
	return key;
}

static struct mikey_octets text_octets(const char *text)
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

static struct named_kms *kms_named(const char *name)
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

static int world_open(void **state)
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

static int world_close(void **state)
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

// --- opening a section

struct outcome {
	bool begun, ok;
	struct mikey_opening opening;
	struct mikey_opened opened;
	struct mikey_fault fault;
};

static void octets_open(
	const struct vector *section, const uint8_t *octets, size_t len, struct outcome *o)
{
	struct mikey_directory directory = {
		.kms = find_kms, .local = find_local, .hidden = find_hidden};
	const char *receiver = vector_text(section, "receiver");
	for (size_t i = 0; i < world.n_identities; i++)
		if (strcmp(world.identities[i].name, receiver) == 0)
			directory.arg = &world.identities[i];
	assert_non_null(directory.arg);
	for (size_t i = 0; i < world.n_kms; i++)
		world.kms[i].kms.quirks = corpus_quirks(section);
	struct mikey_request request = {.octets = octets,
		.len = len,
		.now = vector_decimal(section, "now"),
		.max_age = MAX_AGE,
		.ahead = AHEAD};
	if (vector_has(section, "initiator_uri"))
		request.initiator = text_octets(vector_text(section, "initiator_uri"));
	memset(o, 0, sizeof(*o));
	o->begun = mikey_open_begin(&request, &directory, &o->opening, &o->fault);
	o->ok = o->begun && mikey_open_finish(&o->opening, &o->opened, &o->fault);
}

static void section_open(const struct vector *section, struct sample *s, struct outcome *o)
{
	*s = sample_read(section);
	octets_open(section, s->octets, s->len, o);
	if (o->ok)
		o->fault.reason = MIKEY_NONE; // of a first decoding without quirks
}

static void sample_free(struct sample *s, struct outcome *o)
{
	if (o->ok)
		mikey_opened_free(&o->opened);
	free(s->octets);
}

static const char *initiator_name(const struct mikey_opening *o)
{
	for (size_t i = 0; i < world.n_identities; i++)
		if (mikey_octets_equal(&world.identities[i].local.uri, &o->initiator) &&
			&world.identities[i].kms->kms == o->initiator_kms)
			return world.identities[i].name;
	return "somebody else";
}

static void expect_opened(const struct vector *section, const struct outcome *o)
{
	uint8_t ssv[SAKKE_SSV_LEN];
	vector_octets(section, "ssv", ssv, sizeof(ssv));
	assert_memory_equal(o->opened.ssv, ssv, sizeof(ssv));
	assert_int_equal(o->opened.key_id, vector_hex(section, "key_id"));
	assert_string_equal(initiator_name(&o->opening), vector_text(section, "initiator"));
	assert_int_equal(o->opening.time, vector_decimal(section, "made_at"));
	assert_string_equal(mikey_type_name(o->opening.type), vector_text(section, "type"));
	assert_int_equal(o->opened.has_parameters, vector_has(section, "status"));
	assert_int_equal(o->opened.revoked,
		o->opened.has_parameters && (vector_hex(section, "status") & 1) == 0);
}

// A reason that the one who keeps keys and opened messages finds, not this code.
static bool reason_is_the_stores(const char *reason)
{
	return strcmp(reason, "replayed") == 0 || strcmp(reason, "key-revoked") == 0;
}

static void corpus_is_opened(void **state)
{
	(void)state;
	unsigned accepted = 0, refused = 0;
	for (size_t i = 0; i < world.corpus->n; i++) {
		const struct vector *section = &world.corpus->items[i];
		if (!vector_has(section, "message"))
			continue;
		const char *reason =
			vector_has(section, "reason") ? vector_text(section, "reason") : "none";
		const bool stores = reason_is_the_stores(reason);
		struct sample s;
		struct outcome o;
		section_open(section, &s, &o);
		if (strcmp(mikey_reason_slug(o.fault.reason), stores ? "none" : reason) != 0)
			fail_msg("%s: %s (%s) instead of %s", section->name,
				mikey_reason_slug(o.fault.reason), o.fault.text, reason);
		if (strcmp(vector_text(section, "expect"), "accept") == 0)
			expect_opened(section, &o);
		accepted += o.ok;
		refused += !o.ok;
		sample_free(&s, &o);
	}
	assert_true(accepted >= 61);
	assert_true(refused >= 150);
}

// Messages with the same signed octets are known again, whatever their signature.
static void digest_is_of_what_is_signed(void **state)
{
	(void)state;
	static const char *const pairs[][2] = {{"replayed_first", "replayed"},
		{"replayed_other_signature_first", "replayed_other_signature"}};
	for (size_t i = 0; i < 2; i++) {
		struct sample a, b;
		struct outcome first, second;
		section_open(vectors_find(world.corpus, pairs[i][0]), &a, &first);
		section_open(vectors_find(world.corpus, pairs[i][1]), &b, &second);
		assert_true(first.ok && second.ok);
		assert_memory_equal(first.opening.digest, second.opening.digest, MIKEY_DIGEST_LEN);
		sample_free(&a, &first);
		sample_free(&b, &second);
	}
}

// One octet changed anywhere: refused. Every eighth one, for the time that it takes.
static void changed_octets_are_refused(void **state)
{
	(void)state;
	const struct vector *section = vectors_find(world.corpus, "gmk_default");
	struct sample s = sample_read(section);
	for (size_t i = 0; i < s.len; i += 8) {
		struct outcome o;
		s.octets[i] ^= 0x01;
		octets_open(section, s.octets, s.len, &o);
		if (o.ok)
			fail_msg("octet %zu", i);
		assert_true(o.fault.reason != MIKEY_NONE && o.fault.text[0] != '\0');
		s.octets[i] ^= 0x01;
	}
	struct outcome o;
	octets_open(section, s.octets, s.len, &o);
	assert_true(o.ok);
	sample_free(&s, &o);
}

// The era is the one nearest to now.
static void times_have_an_era(void **state)
{
	(void)state;
	const uint64_t era_1 = (UINT64_C(1) << 32) - MIKEY_NTP_UNIX; // 2036-02-07
	assert_int_equal(mikey_unix_time(0xffffffff, era_1), era_1 - 1);
	assert_int_equal(mikey_unix_time(0, era_1 - 1), era_1);
	assert_int_equal(mikey_unix_time(5, era_1 + 5), era_1 + 5);
	assert_int_equal(mikey_unix_time((uint32_t)MIKEY_NTP_UNIX, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(corpus_is_opened),
		cmocka_unit_test(digest_is_of_what_is_signed),
		cmocka_unit_test(changed_octets_are_refused),
		cmocka_unit_test(times_have_an_era),
	};
	return cmocka_run_group_tests(tests, world_open, world_close);
}
