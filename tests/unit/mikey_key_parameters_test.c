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

#include "crypto/mcdata.h"
#include "mikey/key_parameters.h"
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

static bool section_is_about_parameters(const struct vector *section)
{
	if (!vector_has(section, "message"))
		return false;
	const char *reason = vector_has(section, "reason") ? vector_text(section, "reason") : "";
	return vector_has(section, "groups") || strcmp(reason, "key-parameters") == 0 ||
	       strcmp(reason, "key-type") == 0;
}

static void expect_parameters(const struct vector *section, const struct mikey_key_parameters *p)
{
	char groups[1024] = "", text[MIKEY_TEXT_MAX + 1];
	for (unsigned i = 0; i < p->n_groups; i++)
		snprintf(groups + strlen(groups), sizeof(groups) - strlen(groups), "%s%.*s",
			i > 0 ? "," : "", (int)p->groups[i].len, p->groups[i].octets);
	snprintf(text, sizeof(text), "%.*s", (int)p->text.len, p->text.octets);
	assert_string_equal(groups, vector_text(section, "groups"));
	assert_string_equal(text, vector_text(section, "text_field"));
	assert_int_equal(p->status, vector_hex(section, "status"));
	assert_int_equal(p->activation, vector_decimal(section, "activation"));
	assert_int_equal(p->expiry, vector_decimal(section, "expiry"));
}

static void section_check(const struct vector *section)
{
	struct sample s = sample_read(section);
	struct mikey_message m;
	struct mikey_fault fault = {};
	enum mikey_type type;
	assert_true(mikey_decode(s.octets, s.len, s.quirks, &m, &fault));
	assert_true(mikey_message_type(&m, &type, &fault));
	assert_non_null(m.key_parameters.octets);
	uint8_t ssv[16];
	sample_ssv(corpus, &s, &m, ssv);
	bool any_type = vector_has(section, "options") &&
			strcmp(vector_text(section, "options"), "key_type_mismatch") == 0;
	struct mikey_key_parameters p;
	bool ok = mikey_key_parameters_read(&m, type, ssv, sizeof(ssv), any_type, &p, &fault);
	const char *reason =
		vector_has(section, "reason") ? vector_text(section, "reason") : "none";
	const bool ours =
		strncmp(reason, "key-parameters", 14) == 0 || strcmp(reason, "key-type") == 0;
	if (ok == ours || (ours && strcmp(mikey_reason_slug(fault.reason), reason) != 0))
		fail_msg("%s: %s (%s) instead of %s", section->name,
			mikey_reason_slug(fault.reason), fault.text, reason);
	if (ok && vector_has(section, "groups"))
		expect_parameters(section, &p);
	if (ok)
		mikey_key_parameters_free(&p);
	free(s.octets);
}

static void corpus_is_read(void **state)
{
	(void)state;
	unsigned n = 0;
	for (size_t i = 0; i < corpus->n; i++)
		if (section_is_about_parameters(&corpus->items[i])) {
			section_check(&corpus->items[i]);
			n++;
		}
	assert_true(n >= 30);
}

// --- parameters of our own, under a key of our own

static const uint8_t key[16] = {7};
static const uint32_t csb_id = 0x0a0b0c0d;

// A message of which nothing is looked at but the CSB-ID and the parameters.
struct made {
	uint8_t octets[1024];
	struct mikey_message message;
};

static void made_fill(struct made *made, const void *plaintext, size_t len)
{
	struct mcdata_header header = {
		.dppk_id = csb_id, .message_type = 0x43, .algorithm = MCDATA_DP_AES_256_GCM};
	size_t protected_len;
	assert_int_equal(mcdata_protect(&header, key, sizeof(key), plaintext, len, made->octets,
				 sizeof(made->octets), &protected_len),
		MCDATA_OK);
	made->message =
		(struct mikey_message){.whole = {.octets = made->octets, .len = protected_len},
			.csb_id = csb_id,
			.key_parameters = {.octets = made->octets, .len = protected_len}};
}

static bool made_read(struct made *made, struct mikey_key_parameters *p, struct mikey_fault *fault)
{
	*fault = (struct mikey_fault){};
	return mikey_key_parameters_read(
		&made->message, MIKEY_GMK, key, sizeof(key), false, p, fault);
}

#define HEAD   "\x00\0\0\0\x01\0\0\0\0\0\0\0\0\0\0" // a GMK, not revoked, no times
#define ROW(s) s, sizeof(s) - 1

// Lengths that lie, and values that nobody may have.
static void wrong_fields_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *plaintext;
		size_t len;
		bool good;
	} rows[] = {
		{ROW(HEAD "\0\0\0\1\0"), true},
		{ROW(HEAD "\0\2\xc3\xa9\0\5\1\x7b\0\1a"), true},
		{ROW(HEAD "\0\0\0\1\0\x55\0\2ab"), true},  // an element of later versions
		{ROW(HEAD "\0\0\0\1\0\x55\0\3ab"), false}, // which is cut
		{ROW(HEAD "\0\0\0\1\0\x55"), false},
		{ROW(""), false},
		{ROW(HEAD), false},
		{ROW(HEAD "\0\0"), false},                 // no group IDs
		{ROW(HEAD "\0\0\0\0"), false},             // nor their number
		{ROW(HEAD "\0\1\xff\0\1\0"), false},       // text is not UTF-8
		{ROW(HEAD "\0\1\0\0\1\0"), false},         // it has a NUL
		{ROW(HEAD "\0\0\0\4\1\x7b\0\0"), false},   // an empty group ID
		{ROW(HEAD "\0\0\0\5\1\x7c\0\1a"), false},  // of another IEI
		{ROW(HEAD "\0\0\0\5\1\x7b\0\1\0"), false}, // with a NUL
		{ROW(HEAD "\0\0\0\5\2\x7b\0\1a"), false},  // one of two
		{ROW(HEAD "\0\0\0\6\1\x7b\0\1ab"), false}, // more than they say
		{ROW(HEAD "\xff\xff\0\1\0"), false},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct made made;
		struct mikey_key_parameters p;
		struct mikey_fault fault;
		made_fill(&made, rows[i].plaintext, rows[i].len);
		bool ok = made_read(&made, &p, &fault);
		if (ok != rows[i].good)
			fail_msg("row %zu: %s", i, ok ? "accepted" : fault.text);
		assert_true(ok || fault.reason == MIKEY_KEY_PARAMETERS);
		if (ok)
			mikey_key_parameters_free(&p);
	}
}

// One octet changed anywhere, and they are refused. But the IEI, which the tag of 8.5.4.2 does not cover: in a message
// the signature does.
static void changed_octets_are_refused(void **state)
{
	(void)state;
	struct made made;
	static const char plaintext[] = HEAD "\0\2ab\0\5\1\x7b\0\1a";
	made_fill(&made, plaintext, sizeof(plaintext) - 1);
	const size_t len = made.message.key_parameters.len;
	const size_t iei = len - MCDATA_TAG_LEN - (sizeof(plaintext) - 1) - 3;
	for (size_t i = 0; i < len; i++) {
		if (i == iei)
			continue;
		struct mikey_key_parameters p;
		struct mikey_fault fault;
		made.octets[i] ^= 0x10;
		assert_false(made_read(&made, &p, &fault));
		assert_int_equal(fault.reason, MIKEY_KEY_PARAMETERS);
		made.octets[i] ^= 0x10;
	}
	struct mikey_key_parameters p;
	struct mikey_fault fault;
	assert_true(made_read(&made, &p, &fault));
	mikey_key_parameters_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(corpus_is_read),
		cmocka_unit_test(wrong_fields_are_refused),
		cmocka_unit_test(changed_octets_are_refused),
	};
	return cmocka_run_group_tests(tests, corpus_open, corpus_close);
}
