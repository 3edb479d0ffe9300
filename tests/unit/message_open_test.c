// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// KMSs, identities and messages through the methods of the control API: every section of the corpus
// comes out as it says, and what is refused changes nothing.

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "base/hex.h"
#include "base/secmem.h"
#include "control/app.h"
#include "key/key_domain.h"
#include "key/key_slot.h"
#include "tests/unit/mikey_corpus.h"
#include "tests/unit/rpc_lab.h"
#include "tests/unit/session_lab.h"

enum { MESSAGE_TEXT = 4 * MIKEY_MESSAGE_MAX };

static struct app app;
static struct vectors *corpus;
static const struct vector *keys;
static char directory[] = "/tmp/message_open.XXXXXX";
static time_t now;

time_t __wrap_time(time_t *out);

time_t __wrap_time(time_t *out)
{
	if (out)
		*out = now;
	return now;
}

static int clock_status; // what adjtimex(2) says

int __wrap_adjtimex(struct timex *timex);

int __wrap_adjtimex(struct timex *timex)
{
	timex->status = clock_status;
	return TIME_OK;
}

// --- requests

static const struct rpc rpc = {.methods = control_methods, .app = &app.api};

// The answer; the caller releases it. Takes over the reference to params.
static json_t *call(const char *method, json_t *params)
{
	char *text = rpc_lab_text(method, params);
	size_t len;
	char *answer = rpc_answer(&rpc, text, strlen(text), &len);
	free(text);
	return rpc_lab_read(answer, len);
}

// Where another KMS would help, the error says which.
static void expect_redirect(const json_t *data, const char *reason)
{
	const json_t *redirect = json_object_get(data, "redirect");
	bool helps = strcmp(reason, "unknown-kms") == 0 || strcmp(reason, "kms-revoked") == 0 ||
		     strcmp(reason, "kms-not-valid") == 0;
	assert_int_equal(redirect != NULL, helps);
	if (!helps)
		return;
	const json_t *allowed = json_object_get(redirect, "allowed");
	assert_true(json_is_array(json_object_get(allowed, "initiator")));
	assert_true(json_array_size(json_object_get(allowed, "receiver")) > 0);
	assert_non_null(json_object_get(redirect, "initiator_kms"));
}

static const char *reason_of(const json_t *answer)
{
	const json_t *error = json_object_get(answer, "error");
	const json_t *reason = json_object_get(json_object_get(error, "data"), "reason");
	if (error && json_integer_value(json_object_get(error, "code")) == RPC_MESSAGE_REFUSED) {
		expect_redirect(json_object_get(error, "data"), json_string_value(reason));
		return json_string_value(reason);
	}
	return error ? json_string_value(json_object_get(error, "message")) : "none";
}

// The number of a member of the result; -1: there is no result.
static json_int_t count_of(json_t *answer, const char *member)
{
	const json_t *count = json_object_get(json_object_get(answer, "result"), member);
	json_int_t n = count ? json_integer_value(count) : -1;
	json_decref(answer);
	return n;
}

// The code of the only element that was rejected; 0: none was.
static json_int_t rejection_of(json_t *answer)
{
	const json_t *rejected = json_object_get(json_object_get(answer, "result"), "rejected");
	assert_non_null(rejected);
	json_int_t code = 0;
	if (json_array_size(rejected) > 0)
		code = json_integer_value(json_object_get(json_array_get(rejected, 0), "code"));
	json_decref(answer);
	return code;
}

// --- what the corpus has

static const char *field(const char *kind, const char *name, const char *what)
{
	static char key[128];
	snprintf(key, sizeof(key), "%s_%s_%s", kind, name, what);
	return key;
}

static const char *text_of(const char *kind, const char *name, const char *what)
{
	return vector_text(keys, field(kind, name, what));
}

static json_t *number_of(const char *kind, const char *name, const char *what)
{
	return json_integer((json_int_t)vector_decimal(keys, field(kind, name, what)));
}

static const char *const kms_names[] = {"home", "partner", "segy", "revoked", "later"};
static const char *const identity_names[] = {"ingrid", "ulf", "tarek", "gms", "mdsi",
	"partner_user", "partner_gms", "segy_user", "segy_gms", "revoked_user", "later_user"};

// Those who act as role under a KMS.
static json_t *actors(const char *kms, const char *role)
{
	json_t *uris = json_array();
	for (size_t i = 0; i < sizeof(identity_names) / sizeof(*identity_names); i++) {
		const char *name = identity_names[i];
		if (strcmp(text_of("id", name, "kms"), kms) == 0 &&
			strcmp(text_of("id", name, "role"), role) == 0)
			json_array_append_new(uris, json_string(text_of("id", name, "uri")));
	}
	return uris;
}

static json_t *kms_object(const char *name, const char *accept)
{
	json_t *accepted = json_array();
	if (accept[0] != '\0')
		json_array_append_new(accepted, json_string(accept));
	json_t *kms = json_pack("{s:s,s:o,s:o,s:o,s:o,s:b,s:b,s:o,s:o,s:o}", "uri",
		text_of("kms", name, "uri"), "period", number_of("kms", name, "user_key_period"),
		"offset", number_of("kms", name, "user_key_offset"), "valid_from",
		number_of("kms", name, "valid_from"), "valid_to",
		number_of("kms", name, "valid_to"), "revoked",
		vector_decimal(keys, field("kms", name, "revoked")) != 0, "security_gateway",
		vector_decimal(keys, field("kms", name, "security_gateway")) != 0, "gms",
		actors(name, "gms"), "mdsi", actors(name, "mdsi"), "accept", accepted);
	json_object_set_new(kms, "enc_key", json_string(text_of("kms", name, "Z")));
	json_object_set_new(kms, "auth_key", json_string(text_of("kms", name, "KPAK")));
	return kms;
}

static json_t *kms_install_call(json_t *kms, bool replace)
{
	return call("kms.install", json_pack("{s:[o],s:b}", "kms", kms, "replace", replace));
}

static void kms_install_all(const char *accept)
{
	for (size_t i = 0; i < sizeof(kms_names) / sizeof(*kms_names); i++)
		assert_int_equal(
			rejection_of(kms_install_call(kms_object(kms_names[i], accept), true)), 0);
}

static json_t *identity_object(const char *name, const char *period)
{
	char what[32];
	json_t *identity = json_pack("{s:s,s:s,s:s,s:s,s:I}", "uri", text_of("id", name, "uri"),
		"kms", text_of("kms", text_of("id", name, "kms"), "uri"), "role",
		text_of("id", name, "role"), "domain", name, "period_no",
		(json_int_t)strtoull(period, NULL, 10));
	static const char *const members[] = {"uid", "rsk", "ssk", "pvt"};
	for (size_t i = 0; i < 4; i++) {
		snprintf(what, sizeof(what), "%s_%s", period, members[i]);
		json_object_set_new(identity, members[i], json_string(text_of("id", name, what)));
	}
	return identity;
}

static json_t *identity_install_call(json_t *identity)
{
	return call("identity.install", json_pack("{s:[o]}", "identities", identity));
}

static void identity_install_all(const char *name)
{
	char periods[128];
	snprintf(periods, sizeof(periods), "%s", text_of("id", name, "periods"));
	for (char *rest = periods, *period = strsep(&rest, ","); period;
		period = strsep(&rest, ","))
		assert_int_equal(
			rejection_of(identity_install_call(identity_object(name, period))), 0);
}

static json_t *identity_name(const char *name)
{
	return json_pack("{s:s,s:s}", "uri", text_of("id", name, "uri"), "kms",
		text_of("kms", text_of("id", name, "kms"), "uri"));
}

static void identity_remove_all(const char *name)
{
	assert_true(count_of(call("identity.remove",
				     json_pack("{s:[o]}", "identities", identity_name(name))),
			    "removed") > 0);
}

// --- opening

static void list_begin(void)
{
	char path[64];
	char why[OPENED_WHY_SIZE];
	opened_close(&app.opened);
	snprintf(path, sizeof(path), "%s/opened", directory);
	unlink(path);
	assert_int_equal(opened_open(&app.opened, directory, (uint64_t)now, why), 0);
}

static json_t *open_params(const struct vector *section, const uint8_t *octets, size_t len)
{
	char text[MESSAGE_TEXT];
	EVP_EncodeBlock((uint8_t *)text, octets, (int)len);
	json_t *params = json_pack("{s:s,s:i}", "message", text, "max_age", 300);
	if (vector_has(section, "initiator_uri"))
		json_object_set_new(
			params, "initiator", json_string(vector_text(section, "initiator_uri")));
	return params;
}

static json_t *section_params(const struct vector *section)
{
	struct sample sample = sample_read(section);
	json_t *params = open_params(section, sample.octets, sample.len);
	free(sample.octets);
	return params;
}

static json_t *section_open(const struct vector *section)
{
	now = (time_t)vector_decimal(section, "now");
	return call("message.open", section_params(section));
}

static const struct key_slot *key_at(const char *domain, uint32_t id)
{
	uint32_t scope = keystore_domain_find(&app.keys, domain);
	const struct key_slot *slot = scope ? keystore_find(&app.keys, scope, id) : NULL;
	return slot && slot->installed ? slot : NULL;
}

static void key_revoke_call(const char *domain, const char *id)
{
	json_decref(call(
		"key.revoke", json_pack("{s:[{s:s,s:s}]}", "keys", "id", id, "domain", domain)));
}

static void expect_text(const json_t *result, const char *member, const char *text)
{
	assert_string_equal(json_string_value(json_object_get(result, member)), text);
}

// The key is in the store with the octets that the corpus has.
static void expect_key(const struct vector *section, const char *domain)
{
	uint8_t ssv[SAKKE_SSV_LEN], rand[MIKEY_RAND_MAX];
	const struct key_slot *slot = key_at(domain, (uint32_t)vector_hex(section, "key_id"));
	assert_non_null(slot);
	const struct key_secret *secret = &app.keys.secrets[slot->index];
	vector_octets(section, "ssv", ssv, sizeof(ssv));
	assert_int_equal(secret->value_len, sizeof(ssv));
	assert_memory_equal(secret->value, ssv, sizeof(ssv));
	assert_int_equal(vector_octets(section, "rand", rand, sizeof(rand)), secret->rand_len);
	assert_memory_equal(secret->rand, rand, secret->rand_len);
}

static void expect_accepted(const struct vector *section, const json_t *answer)
{
	const char *receiver = vector_text(section, "receiver");
	const json_t *result = json_object_get(answer, "result");
	const json_t *profile = json_object_get(result, "profile");
	bool revoked = strstr(section->name, "known_revoked") != NULL;
	expect_text(result, "type", vector_text(section, "type"));
	expect_text(result, "id", vector_text(section, "key_id"));
	expect_text(result, "domain", receiver);
	expect_text(result, "initiator", text_of("id", vector_text(section, "initiator"), "uri"));
	expect_text(result, "receiver", text_of("id", receiver, "uri"));
	expect_text(profile, "suite", vector_text(section, "suite"));
	assert_int_equal(json_integer_value(json_object_get(profile, "roc_rate")),
		vector_decimal(section, "roc_rate"));
	assert_int_equal(json_integer_value(json_object_get(result, "time")),
		vector_decimal(section, "made_at"));
	assert_int_equal(json_is_true(json_object_get(result, "security_gateway")),
		vector_decimal(section, "security_gateway"));
	if (vector_has(section, "guk_id"))
		expect_text(result, "guk_id", vector_text(section, "guk_id"));
	assert_int_equal(json_is_true(json_object_get(result, "revoked")), revoked);
	assert_int_equal(json_is_true(json_object_get(result, "installed")), !revoked);
	if (revoked)
		assert_null(key_at(receiver, (uint32_t)vector_hex(section, "key_id")));
	else
		expect_key(section, receiver);
}

// The keys that are to be there before, with the octets that the section has.
static void known_keys_install(const struct vector *section)
{
	if (!vector_has(section, "known_keys"))
		return;
	assert_int_equal(
		rejection_of(call("key.install",
			json_pack("{s:[{s:s,s:s,s:s,s:s}]}", "keys", "id",
				vector_text(section, "key_id"), "value",
				vector_text(section, "ssv"), "rand", vector_text(section, "rand"),
				"domain", vector_text(section, "receiver")))),
		0);
}

static void section_try(const struct vector *section)
{
	const char *expected =
		vector_has(section, "reason") ? vector_text(section, "reason") : "none";
	list_begin();
	now = (time_t)vector_decimal(section, "now");
	known_keys_install(section);
	if (vector_has(section, "after"))
		json_decref(section_open(vectors_find(corpus, vector_text(section, "after"))));
	uint32_t before = app.keys.n_roots;
	json_t *answer = section_open(section);
	if (strcmp(reason_of(answer), expected) != 0)
		print_error("of the section %s:\n", section->name);
	assert_string_equal(reason_of(answer), expected);
	if (strcmp(expected, "none") == 0)
		expect_accepted(section, answer);
	else
		assert_int_equal(app.keys.n_roots, before);
	json_decref(answer);
	while (app.keys.n_roots > 0)
		for (uint32_t i = 0; i < app.keys.n_touched; i++)
			if (app.keys.roots[i])
				key_remove(
					&app.keys, app.keys.roots[i]->scope, app.keys.roots[i]->id);
}

static const char *option_of(const struct vector *section)
{
	return vector_has(section, "options") ? vector_text(section, "options") : "";
}

// All sections for one receiver, who alone is here.
static unsigned receiver_try(const char *name)
{
	unsigned n = 0;
	const char *accepted = "";
	kms_install_all(accepted);
	identity_install_all(name);
	for (size_t i = 0; i < corpus->n; i++) {
		const struct vector *section = &corpus->items[i];
		if (!vector_has(section, "message") ||
			strcmp(vector_text(section, "receiver"), name) != 0)
			continue;
		if (strcmp(accepted, option_of(section)) != 0)
			kms_install_all(accepted = option_of(section));
		section_try(section);
		n++;
	}
	identity_remove_all(name);
	return n;
}

static void the_corpus_comes_out_as_it_says(void **state)
{
	(void)state;
	unsigned n = 0;
	for (size_t i = 0; i < sizeof(identity_names) / sizeof(*identity_names); i++)
		n += receiver_try(identity_names[i]);
	assert_int_equal(n, 218);
}

static const struct vector *sample_section(void)
{
	return vectors_find(corpus, "replayed_first");
}

// An installation with one receiver, to whom the messages of a test go.
static void receiver_begin(void)
{
	kms_install_all("");
	identity_install_all("ulf");
	list_begin();
}

static void receiver_end(void)
{
	const char *id = vector_text(sample_section(), "key_id");
	key_revoke_call("ulf", id);
	identity_remove_all("ulf");
}

// One octet changed anywhere: refused for a reason, and nothing is there. Every fifth one, for the time.
static void changed_octets_change_nothing(void **state)
{
	(void)state;
	const struct vector *section = sample_section();
	struct sample sample = sample_read(section);
	receiver_begin();
	now = (time_t)vector_decimal(section, "now");
	for (size_t i = 0; i < sample.len; i += 5) {
		sample.octets[i] ^= 0x10;
		json_t *answer =
			call("message.open", open_params(section, sample.octets, sample.len));
		sample.octets[i] ^= 0x10;
		const json_t *error = json_object_get(answer, "error");
		assert_int_equal(
			json_integer_value(json_object_get(error, "code")), RPC_MESSAGE_REFUSED);
		assert_true(strlen(reason_of(answer)) > 0);
		json_decref(answer);
		assert_int_equal(app.keys.n_roots, 0);
	}
	free(sample.octets);
	json_t *answer = section_open(section);
	assert_string_equal(reason_of(answer), "none");
	json_decref(answer);
	receiver_end();
}

static void expect_reason(json_t *answer, const char *reason)
{
	assert_string_equal(reason_of(answer), reason);
	json_decref(answer);
}

// What was opened is known after a restart as well; a list that cannot be read lets nothing pass that
// is older than it.
static void what_was_opened_is_known_after_a_restart(void **state)
{
	(void)state;
	char why[OPENED_WHY_SIZE], path[64];
	receiver_begin();
	expect_reason(section_open(sample_section()), "none");
	opened_close(&app.opened);
	assert_int_equal(opened_open(&app.opened, directory, (uint64_t)now, why), 0);
	expect_reason(section_open(sample_section()), "replayed");
	opened_close(&app.opened);
	snprintf(path, sizeof(path), "%s/opened", directory);
	assert_int_equal(truncate(path, 5), 0);
	assert_int_equal(opened_open(&app.opened, directory, (uint64_t)now, why), 0);
	expect_reason(section_open(sample_section()), "timestamp-old");
	receiver_end();
}

// A write that was cut off in the middle is no entry, and those before it are.
static void half_an_entry_is_none(void **state)
{
	(void)state;
	char why[OPENED_WHY_SIZE], path[64];
	receiver_begin();
	expect_reason(section_open(sample_section()), "none");
	opened_close(&app.opened);
	snprintf(path, sizeof(path), "%s/opened", directory);
	FILE *file = fopen(path, "a");
	assert_non_null(file);
	fputs("half an entry", file);
	fclose(file);
	assert_int_equal(opened_open(&app.opened, directory, (uint64_t)now, why), 0);
	expect_reason(section_open(sample_section()), "replayed");
	assert_int_equal(app.opened.not_before, 0);
	receiver_end();
}

static void entries_are_forgotten_when_they_are_due(void **state)
{
	(void)state;
	receiver_begin();
	expect_reason(section_open(sample_section()), "none");
	assert_int_equal(map_count(app.opened.by_digest), 1);
	uint64_t made_at = vector_decimal(sample_section(), "made_at");
	opened_tick(&app.opened, made_at + 300);
	assert_int_equal(map_count(app.opened.by_digest), 1);
	opened_tick(&app.opened, made_at + 301);
	assert_int_equal(map_count(app.opened.by_digest), 0);
	receiver_end();
}

// A disk that is full: no key of a message that could be opened again after a restart.
static void what_cannot_be_remembered_is_refused(void **state)
{
	(void)state;
	receiver_begin();
	const int good = app.opened.fd;
	app.opened.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_true(app.opened.fd >= 0);
	json_t *answer = section_open(sample_section());
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(answer, "error"), "code")),
		RPC_BUSY);
	json_decref(answer);
	close(app.opened.fd);
	app.opened.fd = good;
	assert_int_equal(app.keys.n_roots, 0);
	assert_int_equal(map_count(app.opened.by_digest), 0);
	expect_reason(section_open(sample_section()), "none");
	receiver_end();
}

// A key that a message revoked does not come back by an older message.
static void a_revoked_key_stays_revoked(void **state)
{
	(void)state;
	struct opened_entry entry = {.opened_at = 1};
	receiver_begin();
	opened_tombstone("ulf", (uint32_t)vector_hex(sample_section(), "key_id"), entry.digest);
	opened_commit(&app.opened, &entry);
	expect_reason(section_open(sample_section()), "key-revoked");
	assert_int_equal(app.keys.n_roots, 0);
	receiver_end();
}

static void a_look_changes_nothing(void **state)
{
	(void)state;
	receiver_begin();
	now = (time_t)vector_decimal(sample_section(), "now");
	json_t *params = section_params(sample_section());
	json_object_set_new(params, "install", json_false());
	json_t *answer = call("message.open", params);
	const json_t *result = json_object_get(answer, "result");
	expect_text(result, "id", vector_text(sample_section(), "key_id"));
	assert_true(json_is_false(json_object_get(result, "installed")));
	json_decref(answer);
	assert_int_equal(app.keys.n_roots, 0);
	assert_int_equal(map_count(app.opened.by_digest), 0);
	expect_reason(section_open(sample_section()), "none");
	receiver_end();
}

static json_int_t code_of(json_t *answer)
{
	json_t *error = json_object_get(answer, "error");
	json_int_t code = json_integer_value(json_object_get(error, "code"));
	json_decref(answer);
	return code;
}

// Without somebody who keeps the clock right messages wait, if that is asked for.
static void a_clock_may_have_to_be_right(void **state)
{
	(void)state;
	receiver_begin();
	clock_status = STA_UNSYNC;
	app.mikey.require_sync = true;
	assert_int_equal(code_of(section_open(sample_section())), RPC_BUSY);
	assert_int_equal(map_count(app.opened.by_digest), 0);
	clock_status = STA_PLL;
	assert_int_equal(code_of(section_open(sample_section())), RPC_OK);
	app.mikey.require_sync = false;
	receiver_end();
}

// A key is let protect so many payloads by each algorithm, and no more (SP 800-38D 8.3).
static void a_key_protects_so_many_payloads(void **state)
{
	(void)state;
	static const char id[] = "1a2b3c4d", value[] = "00112233445566778899aabbccddeeff";
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(rejection_of(call("key.install",
					 json_pack("{s:[{s:s,s:s,s:s}]}", "keys", "id", id, "value",
						 value, "rand", value))),
			0);
		struct key_slot *slot = (struct key_slot *)(uintptr_t)key_at("home", 0x1a2b3c4d);
		slot->n_protected[1] += (UINT64_C(1) << 32) - 1;
		static const json_int_t codes[] = {RPC_OK, RPC_LIMIT, RPC_OK};
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(
				code_of(call("mcdata.protect",
					json_pack("{s:s,s:s,s:i,s:s}", "key", id, "plaintext",
						"AAAA", "message_type", 0x41, "algorithm",
						i < 2 ? "dp-aes-256-gcm" : "dp-aes-128-gcm"))),
				codes[i]);
		// Stated again it is the same key.
		json_decref(call("key.install", json_pack("{s:[{s:s,s:s,s:s}]}", "keys", "id", id,
							"value", value, "rand", value)));
		assert_int_equal(slot->n_protected[1], UINT64_C(1) << 32);
		key_revoke_call("home", id);
	}
}

// --- what is left behind

// Where octets are in the memory of this process, beside where the caller has them; NULL: nowhere.
static const uint8_t *memory_find(const uint8_t *octets, size_t len)
{
	enum { LARGE = 64 << 20 }; // tables of the dataplane
	const uint8_t *found = NULL;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");
	assert_non_null(maps);
	while (!found && fgets(line, sizeof(line), maps)) {
		unsigned long start, end;
		if (sscanf(line, "%lx-%lx rw", &start, &end) != 2 || !strstr(line, " rw") ||
			end - start > LARGE)
			continue;
		const uint8_t *at = (const uint8_t *)start, *stop = (const uint8_t *)end;
		while ((at = memmem(at, (size_t)(stop - at), octets, len)) != NULL && at == octets)
			at++;
		if (at) {
			fprintf(stderr, "%p in %s", (const void *)at, line);
			found = at;
		}
	}
	fclose(maps);
	return found;
}

static void nothing_is_left_of_a_key(void **state)
{
	(void)state;
	static uint8_t ssv[SAKKE_SSV_LEN];
// A sanitizer has memory of its own between and beside what is searched.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip();
#endif
	receiver_begin();
	json_decref(section_open(sample_section()));
	vector_octets(sample_section(), "ssv", ssv, sizeof(ssv));
	assert_non_null(memory_find(ssv, sizeof(ssv)));
	receiver_end();
	assert_null(memory_find(ssv, sizeof(ssv)));
}

// Of the RSK of a key set a table is kept.
static void the_rsk_itself_is_wiped(void **state)
{
	(void)state;
	static uint8_t rsk[SAKKE_POINT_LEN], *const x = rsk + 1;
	enum { X_LEN = (SAKKE_POINT_LEN - 1) / 2 };
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	skip();
#endif
	kms_install_all("");
	identity_install_all("tarek");
	assert_true(hex_decode(text_of("id", "tarek", "1544_rsk"), rsk, sizeof(rsk)));
	assert_null(memory_find(x, X_LEN));
	identity_remove_all("tarek");
}

// --- several at once

static struct rpc_work *work_begin(const char *method, json_t *params)
{
	return rpc_lab_begin(&rpc, method, params);
}

static void a_message_is_opened_once_at_a_time(void **state)
{
	(void)state;
	receiver_begin();
	now = (time_t)vector_decimal(sample_section(), "now");
	struct rpc_work *first = work_begin("message.open", section_params(sample_section()));
	assert_true(rpc_work_sleeps(first));
	expect_reason(section_open(sample_section()), "replayed");
	expect_reason(rpc_lab_end(first), "none");
	receiver_end();
}

// It answers when nobody computes with the keys any more.
static void an_identity_goes_while_it_is_used(void **state)
{
	(void)state;
	receiver_begin();
	now = (time_t)vector_decimal(sample_section(), "now");
	struct rpc_work *opens = work_begin("message.open", section_params(sample_section()));
	struct rpc_work *removes = work_begin(
		"identity.remove", json_pack("{s:[o]}", "identities", identity_name("ulf")));
	assert_true(rpc_work_sleeps(removes));
	assert_int_equal(app.identities.n_leaving, 1);
	assert_true(count_of(rpc_lab_end(removes), "removed") > 1);
	assert_int_equal(app.identities.n_leaving, 0);
	expect_reason(rpc_lab_end(opens), "none");
	key_revoke_call("ulf", vector_text(sample_section(), "key_id"));
}

// --- KMSs and identities

static json_int_t kms_refusal(const char *member, json_t *value)
{
	json_t *kms = kms_object("home", "");
	json_object_set_new(kms, member, value);
	return rejection_of(kms_install_call(kms, false));
}

static char *changed_digit(const char *text, size_t at)
{
	static char changed[600];
	snprintf(changed, sizeof(changed), "%s", text);
	changed[at] = changed[at] == '0' ? '1' : '0';
	return changed;
}

static void false_kmss_are_refused(void **state)
{
	(void)state;
	size_t before = map_count(app.kmss.by_uri);
	const char *z = text_of("kms", "later", "Z"), *kpak = text_of("kms", "later", "KPAK");
	static const char *const names[] = {"enc_key", "auth_key"};
	const char *const values[] = {z, kpak};
	for (size_t i = 0; i < 2; i++) {
		json_t *kms = kms_object("home", "");
		json_object_set_new(kms, "uri", json_string("another.example"));
		json_object_set_new(kms, names[i],
			json_string(changed_digit(values[i], strlen(values[i]) - 1)));
		assert_int_equal(rejection_of(kms_install_call(kms, false)), RPC_KEY_REFUSED);
	}
	assert_int_equal(kms_refusal("period", json_integer(3599)), RPC_INVALID_PARAMS);
	assert_int_equal(kms_refusal("offset", json_integer(2592000)), RPC_INVALID_PARAMS);
	assert_int_equal(kms_refusal("accept", json_pack("[s]", "all")), RPC_INVALID_PARAMS);
	assert_int_equal(kms_refusal("uri", json_string("")), RPC_INVALID_PARAMS);
	char text[257] = "";
	memset(text, 'x', 256);
	assert_int_equal(kms_refusal("cert_uri", json_string(text)), RPC_INVALID_PARAMS);
	assert_int_equal(map_count(app.kmss.by_uri), before);
}

static void a_kms_keeps_its_keys(void **state)
{
	(void)state;
	kms_install_all("");
	assert_int_equal(
		kms_refusal("enc_key", json_string(text_of("kms", "later", "Z"))), RPC_CONFLICT);
	assert_int_equal(kms_refusal("gms", json_array()), RPC_CONFLICT);
	assert_int_equal(rejection_of(kms_install_call(kms_object("home", ""), false)), 0);
	identity_install_all("tarek");
	json_t *kms = kms_object("home", "");
	json_object_set_new(kms, "enc_key", json_string(text_of("kms", "later", "Z")));
	assert_int_equal(rejection_of(kms_install_call(kms, true)), RPC_CONFLICT);
	json_t *answer =
		call("kms.remove", json_pack("{s:[s]}", "uris", text_of("kms", "home", "uri")));
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(answer, "error"), "code")),
		RPC_CONFLICT);
	json_decref(answer);
	identity_remove_all("tarek");
	assert_int_equal(count_of(call("kms.remove", json_pack("{s:[s]}", "uris",
							     text_of("kms", "home", "uri"))),
				 "removed"),
		1);
}

static json_int_t identity_refusal(const char *member, size_t at)
{
	json_t *identity = identity_object("tarek", "1544");
	char *text = changed_digit(json_string_value(json_object_get(identity, member)), at);
	json_object_set_new(identity, member, json_string(text));
	return rejection_of(identity_install_call(identity));
}

static void false_key_sets_are_refused(void **state)
{
	(void)state;
	kms_install_all("");
	assert_int_equal(identity_refusal("rsk", 100), RPC_KEY_REFUSED);
	assert_int_equal(identity_refusal("ssk", 10), RPC_KEY_REFUSED);
	assert_int_equal(identity_refusal("pvt", 70), RPC_KEY_REFUSED);
	assert_int_equal(identity_refusal("uid", 63), RPC_KEY_REFUSED);
	json_t *identity = identity_object("tarek", "1544");
	json_object_del(identity, "uid");
	json_object_set_new(identity, "period_no", json_integer(1545)); // of another period
	assert_int_equal(rejection_of(identity_install_call(identity)), RPC_KEY_REFUSED);
	identity = identity_object("tarek", "1544");
	json_object_set_new(identity, "kms", json_string("nobody.example"));
	assert_int_equal(rejection_of(identity_install_call(identity)), RPC_NOT_FOUND);
	assert_int_equal(app.identities.n_sets, 0);
	assert_int_equal(map_count(app.identities.by_name), 0);
}

// Several periods live side by side, and go one by one.
static void periods_come_and_go(void **state)
{
	(void)state;
	kms_install_all("");
	identity_install_all("ulf");
	unsigned n = app.identities.n_sets;
	assert_true(n >= 3);
	identity_install_all("ulf"); // once more is the same
	assert_int_equal(app.identities.n_sets, n);
	json_t *name = identity_name("ulf");
	json_object_set_new(name, "period_no", json_integer(1544));
	assert_int_equal(count_of(call("identity.remove", json_pack("{s:[o]}", "identities", name)),
				 "removed"),
		1);
	json_t *answer = call("identity.list", json_object());
	json_t *list = json_object_get(json_object_get(answer, "result"), "identities");
	assert_int_equal(json_array_size(list), 1);
	const json_t *periods = json_object_get(json_array_get(list, 0), "periods");
	assert_int_equal(json_array_size(periods), n - 1);
	for (size_t i = 0; i < json_array_size(periods); i++)
		assert_int_not_equal(json_integer_value(json_object_get(
					     json_array_get(periods, i), "period_no")),
			1544);
	json_decref(answer);
	identity_remove_all("ulf");
	assert_int_equal(app.identities.n_sets, 0);
}

// --- the relay

static void poll_nothing(void *arg)
{
	(void)arg;
}

static int app_start(void **state)
{
	(void)state;
	char why[OPENED_WHY_SIZE];
	corpus = corpus_read();
	keys = vectors_find(corpus, "keys");
	if (session_lab_open(&app, 64, 0, 0) != 0 || !mkdtemp(directory))
		return -1;
	app.api.poll = poll_nothing;
	now = 1794470327;
	return opened_open(&app.opened, directory, (uint64_t)now, why);
}

static int app_end(void **state)
{
	(void)state;
	char path[64];
	session_lab_close(&app);
	opened_close(&app.opened);
	vectors_free(corpus);
	snprintf(path, sizeof(path), "%s/opened", directory);
	unlink(path);
	rmdir(directory);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_corpus_comes_out_as_it_says),
		cmocka_unit_test(changed_octets_change_nothing),
		cmocka_unit_test(what_was_opened_is_known_after_a_restart),
		cmocka_unit_test(half_an_entry_is_none),
		cmocka_unit_test(entries_are_forgotten_when_they_are_due),
		cmocka_unit_test(what_cannot_be_remembered_is_refused),
		cmocka_unit_test(a_revoked_key_stays_revoked),
		cmocka_unit_test(a_look_changes_nothing),
		cmocka_unit_test(a_key_protects_so_many_payloads),
		cmocka_unit_test(a_clock_may_have_to_be_right),
		cmocka_unit_test(nothing_is_left_of_a_key),
		cmocka_unit_test(the_rsk_itself_is_wiped),
		cmocka_unit_test(a_message_is_opened_once_at_a_time),
		cmocka_unit_test(an_identity_goes_while_it_is_used),
		cmocka_unit_test(false_kmss_are_refused),
		cmocka_unit_test(a_kms_keeps_its_keys),
		cmocka_unit_test(false_key_sets_are_refused),
		cmocka_unit_test(periods_come_and_go),
	};
	alarm(900); // a test that failed half way may not be able to clean up
	return cmocka_run_group_tests(tests, app_start, app_end);
}
