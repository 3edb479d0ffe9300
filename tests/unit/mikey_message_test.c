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

#include "base/utf8.h"
#include "mikey/profile.h"
#include "tests/unit/mikey_corpus.h"

static struct vectors *corpus;

static int corpus_open(void **state)
{
	(void)state;
	corpus = corpus_read();
	return 0;
}

static int corpus_close(void **state)
{
	(void)state;
	vectors_free(corpus);
	return 0;
}

struct outcome {
	bool accepted;
	struct mikey_message message;
	enum mikey_type type;
	struct mikey_profile profile;
	struct mikey_fault fault;
};

static void octets_read(const uint8_t *octets, size_t len, unsigned quirks, struct outcome *o)
{
	memset(o, 0, sizeof(*o));
	o->accepted = mikey_decode(octets, len, quirks, &o->message, &o->fault) &&
		      mikey_message_type(&o->message, &o->type, &o->fault) &&
		      mikey_profile_read(&o->message, o->type, &o->profile, &o->fault);
	assert_true(o->accepted == (o->fault.reason == MIKEY_NONE));
	assert_true(o->accepted || (o->fault.text[0] != '\0' && o->fault.octet <= len));
}

// Whether a reason is one that reading a message tells, before anything is known of keys.
static bool reason_is_ours(const char *slug)
{
	for (enum mikey_reason r = MIKEY_MALFORMED; r <= MIKEY_PURPOSE_TAG; r++)
		if (strcmp(mikey_reason_slug(r), slug) == 0)
			return true;
	return false;
}

static void expect_refused(const struct sample *s, const struct outcome *o)
{
	const char *reason = vector_text(s->section, "reason");
	if (o->accepted || strcmp(mikey_reason_slug(o->fault.reason), reason) != 0)
		fail_msg("%s: %s (%s) instead of %s", s->section->name,
			mikey_reason_slug(o->fault.reason), o->fault.text, reason);
}

static void expect_fields(const struct sample *s, const struct outcome *o)
{
	const struct mikey_message *m = &o->message;
	const char *rand = vector_text(s->section, "rand_field");
	assert_int_equal(m->csb_id, vector_hex(s->section, "csb_id"));
	assert_int_equal(m->n_cs, vector_decimal(s->section, "cs_count"));
	assert_int_equal(m->map_type, vector_decimal(s->section, "map_type"));
	assert_int_equal(m->signed_len, vector_decimal(s->section, "signed_len"));
	assert_ptr_equal(m->signature, s->octets + m->signed_len);
	assert_int_equal(
		(uint64_t)m->ntp_seconds << 32 | m->ntp_fraction, vector_hex(s->section, "ts"));
	char text[2 * MIKEY_RAND_MAX + 1] = "";
	for (size_t i = 0; i < m->rand.len; i++)
		sprintf(text + 2 * i, "%02x", m->rand.octets[i]);
	assert_string_equal(text, rand);
}

static void expect_accepted(const struct sample *s, const struct outcome *o)
{
	if (!o->accepted)
		fail_msg("%s: %s (%s)", s->section->name, mikey_reason_slug(o->fault.reason),
			o->fault.text);
	if (vector_has(s->section, "signed_len"))
		expect_fields(s, o);
	if (strcmp(vector_text(s->section, "expect"), "accept") != 0)
		return; // for a reason that comes later
	assert_string_equal(mikey_type_name(o->type), vector_text(s->section, "type"));
	assert_string_equal(srtp_suite_name(o->profile.suite), vector_text(s->section, "suite"));
	assert_int_equal(o->profile.roc_rate, vector_decimal(s->section, "roc_rate"));
}

// Each section comes out as it says, as far as reading goes.
static void corpus_is_read(void **state)
{
	(void)state;
	unsigned accepted = 0, refused = 0;
	for (size_t i = 0; i < corpus->n; i++) {
		const struct vector *section = &corpus->items[i];
		if (!vector_has(section, "message"))
			continue;
		struct sample s = sample_read(section);
		struct outcome o;
		octets_read(s.octets, s.len, s.quirks, &o);
		bool ours = vector_has(section, "reason") &&
			    reason_is_ours(vector_text(section, "reason"));
		if (ours)
			expect_refused(&s, &o);
		else
			expect_accepted(&s, &o);
		accepted += !ours;
		refused += ours;
		free(s.octets);
	}
	assert_true(accepted >= 61);
	assert_true(refused >= 80);
}

// Without its options a section that needs one is refused.
static void options_are_needed(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		enum mikey_reason reason;
	} rows[] = {
		{"srtp_id_map_with_option", MIKEY_CS_MAP},
		{"uid_base64_with_option", MIKEY_ID_VALUE},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct sample s = sample_read(vectors_find(corpus, rows[i].name));
		struct outcome o;
		octets_read(s.octets, s.len, s.quirks, &o);
		assert_true(o.accepted);
		octets_read(s.octets, s.len, 0, &o);
		assert_int_equal(o.fault.reason, rows[i].reason);
		free(s.octets);
	}
}

// Who is who, hidden or not.
static void parties_are_read(void **state)
{
	(void)state;
	struct sample s = sample_read(vectors_find(corpus, "pck_initiator_hidden"));
	struct outcome o;
	octets_read(s.octets, s.len, s.quirks, &o);
	const struct mikey_identity *parties = o.message.parties;
	assert_true(parties[MIKEY_INITIATOR].hidden);
	assert_int_equal(parties[MIKEY_INITIATOR].value.len, MIKEY_UID_LEN);
	assert_false(parties[MIKEY_RECEIVER].hidden);
	static const char receiver[] = "sip:ulf.3784@mcptt.blue-light.example";
	static const char kms[] = "kms.blue-light.example";
	assert_int_equal(parties[MIKEY_RECEIVER].value.len, sizeof(receiver) - 1);
	assert_memory_equal(parties[MIKEY_RECEIVER].value.octets, receiver, sizeof(receiver) - 1);
	assert_memory_equal(parties[MIKEY_RECEIVER_KMS].value.octets, kms, sizeof(kms) - 1);
	free(s.octets);
}

// However much of a message there is, it is read to its end and not beyond.
static void cut_messages_are_refused(void **state)
{
	(void)state;
	struct sample s = sample_read(vectors_find(corpus, "gmk_map_roc_rate_two_octets"));
	for (size_t len = 0; len < s.len; len++) {
		uint8_t *cut = malloc(len > 0 ? len : 1);
		assert_non_null(cut);
		memcpy(cut, s.octets, len);
		struct outcome o;
		octets_read(cut, len, s.quirks, &o);
		assert_false(o.accepted);
		free(cut);
	}
	free(s.octets);
}

static void long_messages_are_refused(void **state)
{
	(void)state;
	uint8_t *octets = calloc(1, MIKEY_MESSAGE_MAX + 1);
	assert_non_null(octets);
	struct outcome o;
	octets_read(octets, MIKEY_MESSAGE_MAX + 1, 0, &o);
	assert_int_equal(o.fault.reason, MIKEY_MALFORMED);
	free(octets);
}

static void kms_may_be_defaults(void **state)
{
	(void)state;
	struct sample s = sample_read(vectors_find(corpus, "without_idrkmsi"));
	struct outcome o;
	octets_read(s.octets, s.len, MIKEY_QUIRK_KMS_DEFAULTS, &o);
	assert_true(o.accepted);
	assert_null(o.message.parties[MIKEY_INITIATOR_KMS].value.octets);
	free(s.octets);
}

// --- policies

#define ROW(s) s, sizeof(s) - 1
#define GCM    "\0\1\6\1\1\x10\4\1\x0c" // AES-GCM, key 16, salt 12

static void policies_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *parameters;
		size_t len;
		int suite; // -1: refused
		unsigned roc_rate;
	} rows[] = {
		{ROW(GCM), SRTP_AEAD_AES_128_GCM, 0},
		{ROW(GCM "\x14\1\x10"), SRTP_AEAD_AES_128_GCM, 0},
		{ROW("\0\1\6\1\1\x20"), SRTP_AEAD_AES_256_GCM, 0},
		{ROW(GCM "\2\1\4"), SRTP_AEAD_AES_128_GCM, 1}, // RFC 4771: R is 1 if absent
		{ROW(GCM "\2\1\4\x0d\2\xff\xff"), SRTP_AEAD_AES_128_GCM, 65535},
		{ROW(GCM "\x0e\1\4\x0d\1\7"), SRTP_AEAD_AES_128_GCM, 7}, // SRTP's own algorithm
		{ROW(GCM "\2\1\4\x12\1\4\x13\1\0"), SRTP_AEAD_AES_128_GCM, 1},
		{ROW(GCM "\2\1\4\x0b\1\4"), SRTP_AEAD_AES_128_GCM, 1},
		{ROW(GCM "\7\1\1\x08\1\1\x0a\1\1"), SRTP_AEAD_AES_128_GCM, 0},
		{ROW(""), SRTP_AES_CM_128_HMAC_SHA1_80, 0}, // the defaults of RFC 3711
		{ROW("\0\1\1\x0b\1\4"), SRTP_AES_CM_128_HMAC_SHA1_32, 0},
		{ROW("\x12\1\4\x13\1\x0a"), SRTP_AES_CM_128_HMAC_SHA1_32, 0},
		{ROW(GCM "\2\1\2"), -1, 0},           // RCCm1
		{ROW(GCM "\2\1\4\x0f\1\4"), -1, 0},   // a ROC in SRTCP
		{ROW(GCM "\2\1\4\x13\1\4"), -1, 0},   // the same by its length
		{ROW(GCM "\2\1\4\x12\1\x0a"), -1, 0}, // a ROC of ten octets
		{ROW(GCM "\x0d\1\5"), -1, 0},         // a rate, and no ROC
		{ROW(GCM "\x12\1\4"), -1, 0},         // a tag besides
		{ROW(GCM "\7\1\0"), -1, 0},           // not encrypted
		{ROW(GCM "\x08\1\0"), -1, 0},
		{ROW(GCM "\x0c\1\1"), -1, 0}, // a keystream prefix
		{ROW("\x0b\1\x08"), -1, 0},
		{ROW("\x0b\1\4\x13\1\4"), -1, 0}, // SRTCP's tag has ten
		{ROW("\1\1\x20"), -1, 0},         // AES-CM with 256 bits
		{ROW("\x0a\1\0"), -1, 0},
		{ROW("\0\0"), -1, 0},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct mikey_message m = {.n_policies = 1};
		m.policies[0].parameters = m.whole = (struct mikey_octets){
			.octets = (const uint8_t *)rows[i].parameters, .len = rows[i].len};
		struct mikey_profile profile;
		struct mikey_fault fault = {};
		bool ok = mikey_profile_read(&m, MIKEY_GMK, &profile, &fault);
		if (ok != (rows[i].suite >= 0))
			fail_msg("row %zu: %s", i, ok ? "accepted" : fault.text);
		if (!ok) {
			assert_int_equal(fault.reason, MIKEY_PROFILE);
			continue;
		}
		assert_int_equal(profile.suite, rows[i].suite);
		assert_int_equal(profile.roc_rate, rows[i].roc_rate);
	}
}

// One key has one profile.
static void policies_must_agree(void **state)
{
	(void)state;
	struct mikey_message m = {.n_policies = 2, .n_cs = 2, .map_type = MIKEY_MAP_GENERIC_ID};
	m.cs[0] = (struct mikey_cs){.id = 4, .policy = 0};
	m.cs[1] = (struct mikey_cs){.id = 5, .policy = 1};
	static const uint8_t gcm[] = GCM, rcc[] = GCM "\2\1\4";
	m.policies[0].parameters = (struct mikey_octets){.octets = gcm, .len = sizeof(gcm) - 1};
	m.policies[1] = (struct mikey_policy){.number = 1, .parameters = m.policies[0].parameters};
	m.whole = m.policies[0].parameters;
	struct mikey_profile profile;
	struct mikey_fault fault = {};
	assert_true(mikey_profile_read(&m, MIKEY_GMK, &profile, &fault));
	m.policies[1].parameters = (struct mikey_octets){.octets = rcc, .len = sizeof(rcc) - 1};
	assert_false(mikey_profile_read(&m, MIKEY_GMK, &profile, &fault));
	assert_int_equal(fault.reason, MIKEY_PROFILE);
	m.policies[1].number = 0;
	assert_false(mikey_profile_read(&m, MIKEY_GMK, &profile, &fault));
	assert_int_equal(fault.reason, MIKEY_PROFILE);
}

static void utf8_is_mended(void **state)
{
	(void)state;
	static const char *const rows[][2] = {
		{"", ""},
		{"caf\xc3\xa9", "caf\xc3\xa9"},
		{"caf\xc3", "caf"},
		{"caf\xc3 is none", "caf? is none"},
		{"\xe2\x82 of \xe2\x82\xac", "?? of \xe2\x82\xac"},
		{"a\xf0\x9f\x9a", "a"},
		{"\x80\xed\xa0\x80\xff", "?????"},
		{"\xe2\xe2\x82\xac", "?\xe2\x82\xac"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char text[32];
		snprintf(text, sizeof(text), "%s", rows[i][0]);
		utf8_mend(text);
		assert_string_equal(text, rows[i][1]);
	}
}

static void utf8_is_told_from_others(void **state)
{
	(void)state;
	static const struct {
		const char *octets;
		bool valid;
	} rows[] = {
		{"", true},
		{"sip:a@b", true},
		{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\x92", true},
		{"\xee\x80\x80\xf4\x8f\xbf\xbf\xed\x9f\xbf", true},
		{"\xc0\xaf", false},         // overlong
		{"\xe0\x9f\xbf", false},     // overlong
		{"\xf0\x8f\xbf\xbf", false}, // overlong
		{"\xed\xa0\x80", false},     // a surrogate
		{"\xf4\x90\x80\x80", false}, // beyond U+10FFFF
		{"\xf5\x80\x80\x80", false},
		{"\x80", false},
		{"\xe2\x82", false},
		{"\xe2\x82x", false},
		{"\xff", false},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_true(utf8_valid((const uint8_t *)rows[i].octets, strlen(rows[i].octets)) ==
			    rows[i].valid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(corpus_is_read),
		cmocka_unit_test(options_are_needed),
		cmocka_unit_test(parties_are_read),
		cmocka_unit_test(cut_messages_are_refused),
		cmocka_unit_test(long_messages_are_refused),
		cmocka_unit_test(kms_may_be_defaults),
		cmocka_unit_test(policies_are_read),
		cmocka_unit_test(policies_must_agree),
		cmocka_unit_test(utf8_is_told_from_others),
		cmocka_unit_test(utf8_is_mended),
	};
	return cmocka_run_group_tests(tests, corpus_open, corpus_close);
}
