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

#include "mikey/make.h"
#include "tests/unit/mikey_world.h"

enum { NOW = 1794470327 }; // in the key periods of the corpus

static const uint8_t ssv[SAKKE_SSV_LEN] = {1, 2, 3}, rand_octets[16] = {4, 5, 6};

// A letter from one identity of the corpus to another, with the keys of the time.
struct written {
	struct mikey_letter letter;
	struct mikey_signer signer;
	uint8_t ssk[ECCSI_SCALAR_LEN], pvt[ECCSI_POINT_LEN];
	uint8_t octets[MIKEY_MESSAGE_MAX];
	size_t len;
	uint32_t csb_id;
	struct mikey_fault fault;
};

static const struct mikey_key_set *set_of(const struct named_identity *id)
{
	uint64_t period_no;
	assert_int_equal(mcx_uid_period_no(id->kms->kms.period, id->kms->kms.offset,
				 NOW + UINT64_C(2208988800), &period_no),
		MCX_UID_OK);
	for (size_t i = 0; i < id->local.n_sets; i++)
		if (id->sets[i].period_no == period_no)
			return &id->sets[i];
	fail_msg("%s has no keys now", id->name);
	return NULL;
}

static struct mikey_named named(const struct named_identity *id)
{
	return (struct mikey_named){
		.uri = id->local.uri, .kms_uri = id->kms->kms.uri, .uid = set_of(id)->uid};
}

static void letter_begin(struct written *w, enum mikey_type type, const char *from, const char *to)
{
	struct named_identity *initiator = identity_named(from), *receiver = identity_named(to);
	const struct mikey_key_set *set = set_of(initiator);
	char key[64];
	snprintf(key, sizeof(key), "id_%s_%llu_ssk", from, (unsigned long long)set->period_no);
	*w = (struct written){};
	vector_octets(world.keys, key, w->ssk, sizeof(w->ssk));
	snprintf(key, sizeof(key), "id_%s_%llu_pvt", from, (unsigned long long)set->period_no);
	vector_octets(world.keys, key, w->pvt, sizeof(w->pvt));
	w->signer = (struct mikey_signer){
		.id = {.kpak = initiator->kms->kms.kpak, .id = set->uid, .id_len = MIKEY_UID_LEN},
		.ssk = w->ssk,
		.pvt = w->pvt};
	w->letter = (struct mikey_letter){.type = type,
		.key_id = (uint32_t)type << 28 | 0x0abcdef,
		.ssv = ssv,
		.rand = rand_octets,
		.rand_len = sizeof(rand_octets),
		.time = NOW,
		.initiator = named(initiator),
		.receiver = named(receiver),
		.receiver_kms = receiver->kms->sakke,
		.profile = mikey_profile_default(type)};
}

static bool letter_make(struct written *w)
{
	bool short_w;
	return mikey_make(&w->letter, &w->signer, w->octets, sizeof(w->octets), &w->len, &w->csb_id,
		&short_w, &w->fault);
}

struct outcome {
	bool ok;
	struct mikey_opening opening;
	struct mikey_opened opened;
	struct mikey_fault fault;
};

static void letter_open(const struct written *w, const char *to, struct outcome *o)
{
	struct mikey_directory directory = world_directory(identity_named(to));
	struct mikey_request request = {.octets = w->octets,
		.len = w->len,
		.now = NOW,
		.max_age = 300,
		.ahead = 60,
		.initiator = w->letter.initiator.uri};
	memset(o, 0, sizeof(*o));
	o->ok = mikey_open_begin(&request, &directory, &o->opening, &o->fault) &&
		mikey_open_finish(&o->opening, &o->opened, &o->fault);
}

static void expect_arrives(struct written *w, const char *from, const char *to)
{
	struct outcome o;
	if (!letter_make(w))
		fail_msg("%s to %s: %s", from, to, w->fault.text);
	letter_open(w, to, &o);
	if (!o.ok)
		fail_msg("%s to %s: %s (%s)", from, to, mikey_reason_slug(o.fault.reason),
			o.fault.text);
	assert_memory_equal(o.opened.ssv, ssv, sizeof(ssv));
	assert_int_equal(o.opened.key_id, w->letter.key_id);
	assert_int_equal(o.opening.message.csb_id, w->csb_id);
	assert_int_equal(o.opening.type, w->letter.type);
	assert_int_equal(o.opening.time, NOW);
	assert_int_equal(o.opening.profile.suite, w->letter.profile.suite);
	assert_int_equal(o.opening.profile.roc_rate, w->letter.profile.roc_rate);
	assert_string_equal(world_initiator(&o.opening), from);
	assert_int_equal(o.opening.message.rand.len, w->letter.rand_len);
	assert_memory_equal(o.opening.message.rand.octets, w->letter.rand, w->letter.rand_len);
	mikey_opened_free(&o.opened);
}

static void every_type_arrives(void **state)
{
	(void)state;
	static const struct {
		enum mikey_type type;
		const char *from, *to;
	} rows[] = {
		{MIKEY_GMK, "gms", "ingrid"},
		{MIKEY_GMK, "segy_gms", "ulf"},
		{MIKEY_GMK, "gms", "segy_gms"},
		{MIKEY_PCK, "ingrid", "ulf"},
		{MIKEY_PCK, "segy_user", "ingrid"},
		{MIKEY_PCK, "ulf", "segy_user"},
		{MIKEY_PCK, "partner_user", "tarek"},
		{MIKEY_CSK, "ingrid", "mdsi"},
		{MIKEY_CSK, "mdsi", "ulf"},
		{MIKEY_MKFC, "gms", "ulf"},
		{MIKEY_MSCCK, "mdsi", "ingrid"},
		{MIKEY_MUSIK, "mdsi", "tarek"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct written w;
		letter_begin(&w, rows[i].type, rows[i].from, rows[i].to);
		expect_arrives(&w, rows[i].from, rows[i].to);
		assert_int_equal(w.csb_id == w.letter.key_id, rows[i].type != MIKEY_GMK);
	}
}

static void identities_may_be_hidden(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		struct written w;
		letter_begin(&w, MIKEY_PCK, "ingrid", "ulf");
		w.letter.initiator.hidden = i & 1;
		w.letter.receiver.hidden = i & 2;
		expect_arrives(&w, "ingrid", "ulf");
		const char *uri = "sip:ingrid@mcptt.blue-light.example";
		assert_true((memmem(w.octets, w.len, uri, strlen(uri)) != NULL) == !(i & 1));
	}
}

static void every_profile_arrives(void **state)
{
	(void)state;
	static const struct mikey_profile profiles[] = {
		{.suite = SRTP_AEAD_AES_128_GCM},
		{.suite = SRTP_AEAD_AES_128_GCM, .roc_rate = 300},
		{.suite = SRTP_AEAD_AES_256_GCM, .roc_rate = 1},
		{.suite = SRTP_AEAD_AES_256_GCM},
		{.suite = SRTP_AES_CM_128_HMAC_SHA1_80},
		{.suite = SRTP_AES_CM_128_HMAC_SHA1_32},
	};
	for (size_t i = 0; i < sizeof(profiles) / sizeof(*profiles); i++) {
		struct written w;
		letter_begin(&w, MIKEY_GMK, "gms", "ulf");
		w.letter.profile = profiles[i];
		expect_arrives(&w, "gms", "ulf");
	}
}

static void crypto_sessions_of_services_arrive(void **state)
{
	(void)state;
	static const struct {
		enum mikey_type type;
		const char *from, *to;
		unsigned n; // of both services
	} rows[] = {{MIKEY_GMK, "gms", "ulf", 2}, {MIKEY_PCK, "ingrid", "ulf", 4},
		{MIKEY_CSK, "mdsi", "ulf", 2}, {MIKEY_MUSIK, "mdsi", "ulf", 2}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		for (unsigned services = 1; services < 4; services++) {
			struct written w;
			struct mikey_message m;
			letter_begin(&w, rows[i].type, rows[i].from, rows[i].to);
			w.letter.services = services;
			w.letter.mki_len = rows[i].type == MIKEY_GMK ? 8 : 4;
			expect_arrives(&w, rows[i].from, rows[i].to);
			assert_true(mikey_decode(w.octets, w.len, 0, &m, &w.fault));
			assert_int_equal(m.n_cs, services == 3 ? rows[i].n : rows[i].n / 2);
			assert_int_equal(m.n_policies, 1);
			for (unsigned c = 0; c < m.n_cs; c++)
				assert_int_equal(m.cs[c].spi.len, w.letter.mki_len);
		}
}

// Its length tells that it is there.
static void signalling_algorithm_is_written(void **state)
{
	(void)state;
	struct mikey_key_parameters p = {.status = MIKEY_STATUS_NOT_REVOKED};
	struct written w;
	letter_begin(&w, MIKEY_CSK, "mdsi", "ulf");
	w.letter.parameters = &p;
	expect_arrives(&w, "mdsi", "ulf");
	size_t len = w.len;
	w.letter.signalling_algorithm = 2;
	expect_arrives(&w, "mdsi", "ulf");
	assert_int_equal(w.len, len + 1);
}

// To himself the sender reads the key under his own identity (E.5).
static void key_is_there_for_the_sender(void **state)
{
	(void)state;
	struct written w;
	letter_begin(&w, MIKEY_PCK, "ingrid", "partner_user");
	w.letter.initiator_kms = kms_named("home")->sakke;
	expect_arrives(&w, "ingrid", "partner_user");
	struct mikey_message m;
	struct mikey_fault fault;
	uint8_t again[SAKKE_SSV_LEN];
	assert_true(mikey_decode(w.octets, w.len, 0, &m, &fault));
	static const uint8_t head[] = {0, 1, 2, 0x01, 0x11};
	assert_int_equal(m.to_self.len, sizeof(head) + MIKEY_SED_LEN);
	assert_memory_equal(m.to_self.octets, head, sizeof(head));
	assert_int_equal(sakke_decapsulate(set_of(identity_named("ingrid"))->receiver,
				 m.to_self.octets + sizeof(head), false, again),
		SAKKE_OK);
	assert_memory_equal(again, ssv, sizeof(ssv));
}

static void parameters_arrive(void **state)
{
	(void)state;
	static const enum mikey_type types[] = {MIKEY_GMK, MIKEY_CSK};
	for (size_t i = 0; i < 2; i++) {
		const char *from = types[i] == MIKEY_GMK ? "gms" : "mdsi";
		struct mikey_key_parameters p = {
			.status = MIKEY_STATUS_NOT_REVOKED | MIKEY_STATUS_SECURITY_GATEWAY,
			.activation = NOW + 10,
			.expiry = MIKEY_KEY_TIME_MAX,
			.text = text_octets("Feuer \xc3\xa4"),
			.n_groups = 2};
		p.groups[0] = text_octets("sip:a@example.org");
		p.groups[1] = text_octets("sip:b@example.org");
		struct written w;
		letter_begin(&w, types[i], from, "ingrid");
		w.letter.parameters = &p;
		struct outcome o;
		assert_true(letter_make(&w));
		letter_open(&w, "ingrid", &o);
		assert_true(o.ok && o.opened.has_parameters && !o.opened.revoked);
		const struct mikey_key_parameters *q = &o.opened.parameters;
		assert_int_equal(q->status, p.status);
		assert_int_equal(q->activation, p.activation);
		assert_int_equal(q->expiry, p.expiry);
		assert_int_equal(q->text.len, p.text.len);
		assert_memory_equal(q->text.octets, p.text.octets, p.text.len);
		assert_int_equal(q->n_groups, types[i] == MIKEY_GMK ? 2 : 0);
		for (unsigned g = 0; g < q->n_groups; g++) {
			assert_int_equal(q->groups[g].len, p.groups[g].len);
			assert_memory_equal(
				q->groups[g].octets, p.groups[g].octets, p.groups[g].len);
		}
		mikey_opened_free(&o.opened);
	}
}

// Nothing is made of what nobody would open.
static void wrong_letters_are_refused(void **state)
{
	(void)state;
	struct written w;
	letter_begin(&w, MIKEY_PCK, "ingrid", "ulf");
	w.letter.key_id = 0x2abcdef0;
	assert_false(letter_make(&w));
	assert_int_equal(w.fault.reason, MIKEY_PURPOSE_TAG);

	letter_begin(&w, MIKEY_PCK, "ingrid", "ulf");
	w.letter.rand_len = 15;
	assert_false(letter_make(&w));
	assert_int_equal(w.fault.reason, MIKEY_RAND_LENGTH);

	letter_begin(&w, MIKEY_PCK, "ingrid", "ulf");
	w.letter.receiver.uri.len = 0;
	assert_false(letter_make(&w));
	assert_int_equal(w.fault.reason, MIKEY_ID_VALUE);

	letter_begin(&w, MIKEY_PCK, "ingrid", "ulf");
	w.letter.initiator.uri = text_octets("sip:\xff@example.org");
	assert_false(letter_make(&w));
	assert_int_equal(w.fault.reason, MIKEY_ID_VALUE);

	struct mikey_key_parameters p = {.activation = 5, .expiry = 5};
	letter_begin(&w, MIKEY_GMK, "gms", "ulf");
	w.letter.parameters = &p;
	assert_false(letter_make(&w));

	static struct mikey_key_parameters many = {.n_groups = MIKEY_GROUPS_MAX};
	char uri[MIKEY_ID_MAX + 1];
	memset(uri, 'x', MIKEY_ID_MAX);
	uri[MIKEY_ID_MAX] = '\0';
	for (unsigned i = 0; i < MIKEY_GROUPS_MAX; i++)
		many.groups[i] = text_octets(uri);
	letter_begin(&w, MIKEY_GMK, "gms", "ulf");
	w.letter.parameters = &many;
	assert_false(letter_make(&w));
}

// Where there is no room nothing is written beyond it.
static void small_rooms_are_respected(void **state)
{
	(void)state;
	struct written w;
	letter_begin(&w, MIKEY_PCK, "ingrid", "ulf");
	assert_true(letter_make(&w));
	const size_t needed = w.len;
	for (size_t room = 0; room <= needed; room += room < needed - 40 ? 37 : 1) {
		uint8_t *out = malloc(room > 0 ? room : 1);
		bool short_w;
		assert_non_null(out);
		bool ok = mikey_make(
			&w.letter, &w.signer, out, room, &w.len, &w.csb_id, &short_w, &w.fault);
		assert_int_equal(ok, room == needed);
		free(out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_arrives),
		cmocka_unit_test(identities_may_be_hidden),
		cmocka_unit_test(every_profile_arrives),
		cmocka_unit_test(crypto_sessions_of_services_arrive),
		cmocka_unit_test(signalling_algorithm_is_written),
		cmocka_unit_test(key_is_there_for_the_sender),
		cmocka_unit_test(parameters_arrive),
		cmocka_unit_test(wrong_letters_are_refused),
		cmocka_unit_test(small_rooms_are_respected),
	};
	return cmocka_run_group_tests(tests, world_open, world_close);
}
