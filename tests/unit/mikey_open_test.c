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
