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
#include "tests/unit/mikey_world.h"

enum { MAX_AGE = 300, AHEAD = 60 };

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
	struct mikey_directory directory =
		world_directory(identity_named(vector_text(section, "receiver")));
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

static void expect_opened(const struct vector *section, const struct outcome *o)
{
	uint8_t ssv[SAKKE_SSV_LEN];
	vector_octets(section, "ssv", ssv, sizeof(ssv));
	assert_memory_equal(o->opened.ssv, ssv, sizeof(ssv));
	assert_int_equal(o->opened.key_id, vector_hex(section, "key_id"));
	assert_string_equal(world_initiator(&o->opening), vector_text(section, "initiator"));
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

// What a section departs in is what is said of it, and no more.
static void departures_are_told(void **state)
{
	(void)state;
	unsigned told = 0;
	for (size_t i = 0; i < world.corpus->n; i++) {
		const struct vector *section = &world.corpus->items[i];
		struct sample s;
		struct outcome o;
		if (!vector_has(section, "message") ||
			strcmp(vector_text(section, "expect"), "accept") != 0)
			continue;
		section_open(section, &s, &o);
		// What the status says is for the one who knows which keys there are.
		unsigned quirks = s.quirks & ~(unsigned)MIKEY_QUIRK_STATUS_ZERO_AT_FIRST;
		if (o.opened.departed != quirks)
			fail_msg("%s: %x instead of %x", section->name, o.opened.departed, quirks);
		told |= o.opened.departed;
		sample_free(&s, &o);
	}
	assert_int_equal(told,
		MIKEY_QUIRK_SRTP_ID_MAP | MIKEY_QUIRK_UID_BASE64 | MIKEY_QUIRK_UNPADDED_W |
			MIKEY_QUIRK_SIGNED_WITHOUT_SIGN_HEADER | MIKEY_QUIRK_KEY_TYPE_MISMATCH);
}

// The message without the IDR of a role; *len is what is left.
static void idr_drop(uint8_t *octets, size_t *len, uint8_t role)
{
	struct mikey_message m;
	struct mikey_fault fault;
	const unsigned all = ~0U;
	assert_true(mikey_decode(octets, *len, all, &m, &fault));
	for (unsigned i = 1; i + 1 < m.n_places; i++) {
		size_t at = m.places[i].octet, end = m.places[i + 1].octet;
		if (m.places[i].type != MIKEY_IDR || octets[at + 1] != role)
			continue;
		octets[m.places[i - 1].octet] = octets[at];
		memmove(octets + at, octets + end, *len - end);
		*len -= end - at;
		return;
	}
	fail_msg("no role %u", role);
}

static bool begun_without(const char *name, const char *roles, unsigned quirks, struct outcome *o)
{
	const struct vector *section = vectors_find(world.corpus, name);
	struct sample s = sample_read(section);
	struct named_identity *receiver = identity_named(vector_text(section, "receiver"));
	struct mikey_directory directory = world_directory(receiver);
	struct mikey_request request = {.octets = s.octets,
		.now = vector_decimal(section, "now"),
		.max_age = MAX_AGE,
		.ahead = AHEAD};
	if (vector_has(section, "initiator_uri"))
		request.initiator = text_octets(vector_text(section, "initiator_uri"));
	for (size_t i = 0; i < world.n_kms; i++)
		world.kms[i].kms.quirks = 0;
	for (const char *role = roles; *role != '\0'; role++)
		idr_drop(s.octets, &s.len, (uint8_t)(*role - '0'));
	request.len = s.len;
	((struct named_kms *)(uintptr_t)receiver->kms)->kms.quirks = quirks;
	memset(o, 0, sizeof(*o));
	o->begun = mikey_open_begin(&request, &directory, &o->opening, &o->fault);
	assert_true(!o->begun || o->opening.receiver_kms == &receiver->kms->kms);
	assert_true(!o->begun || o->opening.departed == quirks);
	free(s.octets);
	return o->begun;
}

// KMSs that are not named are the receiver's, if it lets its users do so.
static void kmss_are_assumed(void **state)
{
	(void)state;
	static const char *const dropped[] = {"6", "7", "67"};
	static const char *const names[] = {"pck_default", "pck_both_hidden"};
	for (size_t n = 0; n < 2; n++)
		for (size_t i = 0; i < 3; i++) {
			struct outcome o;
			assert_false(begun_without(names[n], dropped[i], 0, &o));
			assert_string_equal(mikey_reason_slug(o.fault.reason), "missing-payload");
			assert_false(
				begun_without(names[n], dropped[i], MIKEY_QUIRK_SRTP_ID_MAP, &o));
			assert_true(
				begun_without(names[n], dropped[i], MIKEY_QUIRK_KMS_DEFAULTS, &o));
			assert_ptr_equal(o.opening.initiator_kms, o.opening.receiver_kms);
		}
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

// TS 33.180: which kinds of key a user, a GMS or an MDSI may send to a user, a GMS or an MDSI.
static void authority_is_a_table(void **state)
{
	static const enum mikey_type types[] = {
		MIKEY_GMK, MIKEY_PCK, MIKEY_CSK, MIKEY_MKFC, MIKEY_MSCCK, MIKEY_MUSIK};
	static const char *const allowed[3][3] = {
		// to user, gms, mdsi; by type, as above
		{".p....", "......", "..c..."},
		{"g..f..", "g..f..", "......"},
		{"..c.su", "......", "......"},
	};
	const struct mikey_octets gms = {(const uint8_t *)"sip:gms@a", 9},
				  mdsi = {(const uint8_t *)"sip:mdsi@", 9},
				  user = {(const uint8_t *)"sip:user@", 9};
	const struct mikey_octets *const initiators[] = {&user, &gms, &mdsi};
	const struct mikey_kms kms = {.gms = &gms, .n_gms = 1, .mdsi = &mdsi, .n_mdsi = 1};
	(void)state;
	for (unsigned from = 0; from < 3; from++)
		for (unsigned to = 0; to < 3; to++)
			for (unsigned t = 0; t < 6; t++) {
				struct mikey_fault fault = {};
				const struct mikey_delivery d = {.type = types[t],
					.kms = &kms,
					.initiator = *initiators[from],
					.receiver = (enum mikey_role)to};
				bool expected = allowed[from][to][t] != '.';
				if (mikey_authority_ok(&d, &fault) != expected)
					fail_msg("%s from %u to %u", mikey_type_name(types[t]),
						from, to);
				assert_int_equal(
					fault.reason, expected ? MIKEY_NONE : MIKEY_NOT_AUTHORIZED);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(corpus_is_opened),
		cmocka_unit_test(departures_are_told),
		cmocka_unit_test(kmss_are_assumed),
		cmocka_unit_test(digest_is_of_what_is_signed),
		cmocka_unit_test(changed_octets_are_refused),
		cmocka_unit_test(times_have_an_era),
		cmocka_unit_test(authority_is_a_table),
	};
	return cmocka_run_group_tests(tests, world_open, world_close);
}
