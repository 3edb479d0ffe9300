// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// message.make through the method, while others run in between: keys that everybody can read, and nothing
// left behind of what was not handed out.

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hex.h"
#include "base/secmem.h"
#include "control/app.h"
#include "crypto/mcx_uid.h"
#include "crypto/sakke_kms.h"
#include "key/key_domain.h"
#include "key/key_slot.h"
#include "mikey/ntp.h"
#include "tests/unit/rpc_lab.h"
#include "tests/unit/session_lab.h"

enum { PERIOD = 2592000, NOW = 1794470327, MANY = 100 };

static const char kms_uri[] = "kms.example.org", pseudo_uri[] = "segy.example.org",
		  gms_uri[] = "sip:gms@example.org";

static struct app app;
static char directory[] = "/tmp/message_make.XXXXXX";
static uint8_t z[SAKKE_SCALAR_LEN], z_point[SAKKE_POINT_LEN], ksak[ECCSI_SCALAR_LEN],
	kpak[ECCSI_POINT_LEN];
static uint64_t period_no;
static const struct rpc rpc = {.methods = control_methods, .app = &app.api};

time_t __wrap_time(time_t *out);

time_t __wrap_time(time_t *out)
{
	if (out)
		*out = NOW;
	return NOW;
}

static atomic_uint n_derived; // receivers of key sets

enum sakke_status __real_sakke_receiver_make(const struct sakke_kms *kms, const uint8_t *id,
	size_t id_len, const uint8_t rsk[SAKKE_POINT_LEN], struct sakke_receiver **out);
enum sakke_status __wrap_sakke_receiver_make(const struct sakke_kms *kms, const uint8_t *id,
	size_t id_len, const uint8_t rsk[SAKKE_POINT_LEN], struct sakke_receiver **out);

enum sakke_status __wrap_sakke_receiver_make(const struct sakke_kms *kms, const uint8_t *id,
	size_t id_len, const uint8_t rsk[SAKKE_POINT_LEN], struct sakke_receiver **out)
{
	n_derived++;
	return __real_sakke_receiver_make(kms, id, id_len, rsk, out);
}

// --- requests

static struct rpc_work *work_begin(const char *method, json_t *params)
{
	return rpc_lab_begin(&rpc, method, params);
}

static json_t *call(const char *method, json_t *params)
{
	return rpc_lab_end(work_begin(method, params));
}

static void expect_done(json_t *answer)
{
	const json_t *result = json_object_get(answer, "result");
	assert_non_null(result);
	assert_int_equal(json_array_size(json_object_get(result, "rejected")), 0);
	json_decref(answer);
}

static void expect_code(json_t *answer, json_int_t code)
{
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(answer, "error"), "code")),
		code);
	json_decref(answer);
}

// --- a KMS and a GMS under it

static void uid_of(const char *uri, uint8_t uid[MCX_UID_LEN])
{
	const struct mcx_uid_input input = {.identity = uri,
		.identity_len = strlen(uri),
		.kms = kms_uri,
		.kms_len = strlen(kms_uri),
		.period = PERIOD,
		.period_no = period_no};
	assert_int_equal(mcx_uid(&input, uid), MCX_UID_OK);
}

static json_t *hex_of(const uint8_t *octets, size_t len)
{
	char text[2 * SAKKE_POINT_LEN + 1];
	hex_encode(octets, len, text);
	return json_string(text);
}

static void gms_install(void)
{
	uint8_t uid[MCX_UID_LEN], rsk[SAKKE_POINT_LEN], ssk[ECCSI_SCALAR_LEN], pvt[ECCSI_POINT_LEN];
	uid_of(gms_uri, uid);
	assert_int_equal(sakke_rsk_make(z, uid, sizeof(uid), rsk), SAKKE_OK);
	assert_int_equal(eccsi_ssk_make(ksak, uid, sizeof(uid), ssk, pvt), ECCSI_OK);
	expect_done(call("identity.install",
		json_pack("{s:[{s:s,s:s,s:s,s:I,s:o,s:o,s:o}]}", "identities", "uri", gms_uri,
			"kms", kms_uri, "role", "gms", "period_no", (json_int_t)period_no, "rsk",
			hex_of(rsk, sizeof(rsk)), "ssk", hex_of(ssk, sizeof(ssk)), "pvt",
			hex_of(pvt, sizeof(pvt)))));
}

static json_t *make_params(json_t *key, size_t n_receivers)
{
	json_t *receivers = json_array();
	for (size_t i = 0; i < n_receivers; i++)
		json_array_append_new(receivers,
			json_pack("{s:o}", "uri", json_sprintf("sip:%zu@example.org", i)));
	return json_pack("{s:s,s:o,s:s,s:s,s:o}", "type", "gmk", "key", key, "initiator", gms_uri,
		"initiator_kms", kms_uri, "receivers", receivers);
}

static json_t *new_key(void)
{
	return json_pack("{s:b}", "new", true);
}

static const struct key_slot *only_key(void)
{
	const struct key_slot *found = NULL;
	for (uint32_t i = 0; i < app.keys.n_touched; i++)
		if (app.keys.roots[i]) {
			assert_null(found);
			found = app.keys.roots[i];
		}
	return found;
}

static void key_revoke_all(void)
{
	const struct key_slot *slot = only_key();
	if (slot)
		key_remove(&app.keys, slot->scope, slot->id);
}

// --- tests

// With so many receivers every third key has a g^r with leading zero octets for one of them.
static void everybody_can_read_a_new_key(void **state)
{
	(void)state;
	struct sakke_kms *kms;
	assert_int_equal(sakke_kms_make(z_point, &kms), SAKKE_OK);
	for (unsigned round = 0; round < 4; round++) {
		expect_done(call("message.make", make_params(new_key(), MANY)));
		const struct key_slot *slot = only_key();
		assert_non_null(slot);
		for (size_t i = 0; i < MANY; i++) {
			char uri[64];
			uint8_t uid[MCX_UID_LEN], sed[SAKKE_SED_LEN];
			bool short_w;
			snprintf(uri, sizeof(uri), "sip:%zu@example.org", i);
			uid_of(uri, uid);
			assert_int_equal(
				sakke_encapsulate(kms, uid, sizeof(uid),
					app.keys.secrets[slot->index].value, sed, &short_w),
				SAKKE_OK);
			assert_false(short_w);
		}
		key_revoke_all();
	}
	sakke_kms_free(kms);
}

// It is not handed out once it was revoked.
static void a_key_that_goes_meanwhile_is_not_told(void **state)
{
	(void)state;
	expect_done(call("message.make", make_params(new_key(), 1)));
	char id[9];
	snprintf(id, sizeof(id), "%08x", only_key()->id);
	struct rpc_work *makes =
		work_begin("message.make", make_params(json_pack("{s:s}", "id", id), MANY));
	assert_true(rpc_work_sleeps(makes));
	key_revoke_all();
	expect_code(rpc_lab_end(makes), RPC_NOT_FOUND);
	assert_null(only_key());
}

// The answer of key.revoke waits until nobody has a copy of it, and then nobody is told messages of it.
static void a_revocation_waits_for_the_pool(bool makes_first)
{
	expect_done(call("message.make", make_params(new_key(), 1)));
	char id[9];
	snprintf(id, sizeof(id), "%08x", only_key()->id);
	struct rpc_work *makes =
		work_begin("message.make", make_params(json_pack("{s:s}", "id", id), MANY));
	struct rpc_work *revokes =
		work_begin("key.revoke", json_pack("{s:[{s:s}]}", "keys", "id", id));
	while (!rpc_work_sleeps(revokes))
		assert_false(rpc_work_step(revokes, 0));
	assert_null(only_key());
	if (!makes_first)
		expect_done(rpc_lab_end(revokes));
	assert_true(!makes_first || !LIST_EMPTY(&app.orders));
	expect_code(rpc_lab_end(makes), RPC_NOT_FOUND);
	if (makes_first)
		expect_done(rpc_lab_end(revokes));
	assert_true(LIST_EMPTY(&app.orders));
}

static void a_key_is_revoked_before_its_messages_are_told(void **state)
{
	(void)state;
	a_revocation_waits_for_the_pool(false);
}

static void a_key_is_revoked_after_its_messages_were_refused(void **state)
{
	(void)state;
	a_revocation_waits_for_the_pool(true);
}

// The answer of identity.remove waits for the messages that are being signed; also as the server finishes
// requests when it closes, one after the other, in any order.
static void an_identity_goes_while_it_signs(bool makes_first)
{
	struct rpc_work *makes = work_begin("message.make", make_params(new_key(), MANY));
	struct rpc_work *removes = work_begin("identity.remove",
		json_pack("{s:[{s:s,s:s}]}", "identities", "uri", gms_uri, "kms", kms_uri));
	assert_int_equal(app.identities.n_leaving, 1);
	assert_true(rpc_work_sleeps(removes));
	json_t *first = rpc_lab_end(makes_first ? makes : removes);
	expect_done(rpc_lab_end(makes_first ? removes : makes));
	expect_done(first);
	assert_int_equal(app.identities.n_leaving, 0);
	key_revoke_all();
	gms_install();
}

static void an_identity_goes_after_it_signed(void **state)
{
	(void)state;
	an_identity_goes_while_it_signs(true);
}

static void an_identity_goes_before_the_messages_are_told(void **state)
{
	(void)state;
	an_identity_goes_while_it_signs(false);
}

static json_t *pseudo_params(const char *type, json_t *key, size_t n_receivers)
{
	json_t *params = make_params(key, n_receivers);
	json_object_set_new(params, "type", json_string(type));
	json_object_set_new(params, "initiator", json_string("sip:lmr@gw.example.org"));
	json_object_set_new(params, "initiator_kms", json_string(pseudo_uri));
	return params;
}

// Of key sets that are derived none is an identity: who removes one does not wait for those.
static void an_identity_goes_while_a_pseudo_user_signs(void **state)
{
	(void)state;
	expect_done(call("kms.create",
		json_pack("{s:s,s:[s]}", "uri", pseudo_uri, "users", "sip:*@gw.example.org")));
	struct rpc_work *makes = work_begin("message.make", pseudo_params("pck", new_key(), MANY));
	assert_true(rpc_work_sleeps(makes));
	struct rpc_work *removes = work_begin("identity.remove",
		json_pack("{s:[{s:s,s:s}]}", "identities", "uri", gms_uri, "kms", kms_uri));
	assert_false(rpc_work_sleeps(removes));
	expect_done(rpc_lab_end(removes));
	expect_code(
		call("kms.remove", json_pack("{s:[s],s:b}", "uris", pseudo_uri, "destroy", true)),
		RPC_CONFLICT);
	expect_done(rpc_lab_end(makes));
	assert_int_equal(app.identities.n_leaving, 0);
	key_revoke_all();
	expect_done(
		call("kms.remove", json_pack("{s:[s],s:b}", "uris", pseudo_uri, "destroy", true)));
	gms_install();
}

// A message that brings another new key to a user of the pseudo KMS, who is no identity.
static json_t *gmk_for(const char *uri)
{
	json_t *params = make_params(new_key(), 1);
	json_object_set_new(
		params, "receivers", json_pack("[{s:s,s:s}]", "uri", uri, "kms", pseudo_uri));
	json_t *answer = call("message.make", params);
	const json_t *messages = json_object_get(json_object_get(answer, "result"), "messages");
	json_t *message = json_object_get(json_array_get(messages, 0), "message");
	assert_non_null(message);
	json_incref(message);
	json_decref(answer);
	key_revoke_all();
	return message;
}

static json_t *message_params(json_t *message)
{
	return json_pack("{s:o}", "message", message);
}

// Of first messages that come at once for one user the key set is derived once, and not by one that is false; those of
// another user have their own.
static void messages_that_come_at_once_share_a_key_set(void **state)
{
	(void)state;
	static const char *const uris[] = {"sip:a@gw.example.org", "sip:b@gw.example.org"};
	enum { N = 5, FALSE_ONE = 0 };
	struct rpc_work *opens[2][N];
	expect_done(call("kms.create",
		json_pack("{s:s,s:[s]}", "uri", pseudo_uri, "users", "sip:*@gw.example.org")));
	json_t *messages[2][N];
	for (size_t user = 0; user < 2; user++)
		for (size_t i = 0; i < N; i++)
			messages[user][i] = gmk_for(uris[user]);
	char *octets = strdup(json_string_value(messages[0][FALSE_ONE]));
	char *of_pvt = octets + strlen(octets) - 8;
	*of_pvt = *of_pvt == 'A' ? 'B' : 'A';
	json_decref(messages[0][FALSE_ONE]);
	messages[0][FALSE_ONE] = json_string(octets);
	free(octets);
	n_derived = 0;
	for (size_t i = 0; i < N; i++)
		for (size_t user = 0; user < 2; user++)
			opens[user][i] =
				work_begin("message.open", message_params(messages[user][i]));
	for (size_t i = 0; i < N; i++)
		for (size_t user = 0; user < 2; user++)
			if (user == 0 && i == FALSE_ONE)
				expect_code(rpc_lab_end(opens[user][i]), RPC_MESSAGE_REFUSED);
			else
				expect_done(rpc_lab_end(opens[user][i]));
	assert_int_equal(n_derived, 2);
	assert_int_equal(map_count(app.identities.deriving), 0);
	for (uint32_t i = 0; i < app.keys.n_touched; i++)
		if (app.keys.roots[i])
			key_remove(&app.keys, app.keys.roots[i]->scope, app.keys.roots[i]->id);
	// The next one finds it.
	expect_done(call("message.open", message_params(gmk_for(uris[0]))));
	assert_int_equal(n_derived, 2);
	key_revoke_all();
	expect_done(
		call("kms.remove", json_pack("{s:[s],s:b}", "uris", pseudo_uri, "destroy", true)));
}

// A key that is not installed after all leaves no domain behind.
static void no_domain_is_begun_for_nothing(void **state)
{
	(void)state;
	expect_done(call("kms.create", json_pack("{s:s,s:[s],s:s}", "uri", pseudo_uri, "users",
					       "sip:*@gw.example.org", "domain", "begun")));
	struct rpc_work *makes = work_begin("message.make", pseudo_params("pck", new_key(), 1));
	keystore_promise(&app.keys, (int)app.keys.max);
	expect_code(rpc_lab_end(makes), RPC_LIMIT);
	keystore_promise(&app.keys, -(int)app.keys.max);
	assert_int_equal(keystore_domain_find(&app.keys, "begun"), 0);
	expect_done(
		call("kms.remove", json_pack("{s:[s],s:b}", "uris", pseudo_uri, "destroy", true)));
}

// Of a key that is installed: the groups, and not the profile.
static void groups_of_another_gms_are_named(void **state)
{
	(void)state;
	expect_done(call(
		"kms.create", json_pack("{s:s,s:[s],s:[s]}", "uri", pseudo_uri, "users",
				      "sip:*@gw.example.org", "gms", "sip:lmr@gw.example.org")));
	json_t *params = make_params(new_key(), 1);
	json_object_set_new(
		params, "key_parameters", json_pack("{s:[s]}", "groups", "sip:g@x.org"));
	expect_done(call("message.make", params));
	uint32_t first = only_key()->id;
	expect_done(call("key.install", json_pack("{s:[{s:s,s:s,s:s}]}", "keys", "id", "0000b001",
						"value", "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f", "rand",
						"b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0")));
	params = pseudo_params("gmk", json_pack("{s:s}", "id", "0000b001"), 1);
	json_object_set_new(
		params, "key_parameters", json_pack("{s:[s]}", "groups", "sip:g@x.org"));
	json_t *answer = call("message.make", params);
	assert_string_equal(
		json_string_value(json_object_get(
			json_object_get(json_object_get(answer, "error"), "data"), "path")),
		"params.key_parameters.groups");
	expect_code(answer, RPC_CONFLICT);
	uint32_t scope = keystore_domain_find(&app.keys, "home");
	key_remove(&app.keys, scope, first);
	key_remove(&app.keys, scope, 0x0000b001);
	expect_done(
		call("kms.remove", json_pack("{s:[s],s:b}", "uris", pseudo_uri, "destroy", true)));
}

// As those of any other KMS that does not say it; and not once it is there.
static void the_configuration_says_what_pseudo_users_may_do(void **state)
{
	unsigned accept = app.mikey.accept;
	json_t *params =
		json_pack("{s:s,s:[s]}", "uri", pseudo_uri, "users", "sip:*@gw.example.org");
	(void)state;
	app.mikey.accept = MIKEY_QUIRK_SRTP_ID_MAP;
	expect_done(call("kms.create", json_incref(params)));
	app.mikey.accept = accept;
	const struct kms *kms = kms_find(&app.kmss, pseudo_uri, strlen(pseudo_uri));
	assert_int_equal(kms->facts.quirks, MIKEY_QUIRK_SRTP_ID_MAP);
	expect_done(call("kms.create", params));
	expect_done(
		call("kms.remove", json_pack("{s:[s],s:b}", "uris", pseudo_uri, "destroy", true)));
}

static json_t *names(const char *name, size_t n)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(name));
	return list;
}

static json_t *named_params(const char *member, const char *name, size_t n)
{
	json_t *params = make_params(new_key(), 1);
	json_object_set_new(params, member, names(name, n));
	return params;
}

// A response has up to 88 signatures: they are verified while others have their turns.
static void a_redirect_is_read_in_the_pool(void **state)
{
	(void)state;
	struct rpc_work *reads =
		work_begin("message.redirected", json_pack("{s:s}", "xml", "<a/>"));
	assert_true(rpc_work_sleeps(reads));
	expect_code(rpc_lab_end(reads), RPC_MESSAGE_REFUSED);
}

static void lists_have_bounds(void **state)
{
	(void)state;
	expect_code(call("message.make", named_params("hide", "receiver", 3)), RPC_INVALID_PARAMS);
	expect_code(call("message.make", named_params("services", "mcptt", 3)), RPC_INVALID_PARAMS);
	assert_null(only_key());
	expect_done(call("message.make", named_params("services", "mcptt", 2)));
	key_revoke_all();
}

static void kms_start(void)
{
	expect_done(call("kms.install",
		json_pack("{s:[{s:s,s:i,s:o,s:o,s:[s]}]}", "kms", "uri", kms_uri, "period", PERIOD,
			"enc_key", hex_of(z_point, sizeof(z_point)), "auth_key",
			hex_of(kpak, sizeof(kpak)), "gms", gms_uri)));
	gms_install();
}

static void poll_nothing(void *arg)
{
	(void)arg;
}

static int vault_start(void)
{
	static const uint8_t seal[VAULT_SEAL_LEN];
	char path[64], why[VAULT_WHY_SIZE];
	snprintf(path, sizeof(path), "%s/seal", directory);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, seal, sizeof(seal)) != (ssize_t)sizeof(seal) || close(fd) != 0)
		return -1;
	return vault_open(app.vault, directory, path, why);
}

static void file_remove(const char *name)
{
	char path[64];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	remove(path);
}

static int app_start(void **state)
{
	(void)state;
	char why[OPENED_WHY_SIZE];
	if (session_lab_open(&app, 64, 0, 0) != 0 || !mkdtemp(directory) ||
		sakke_z_make(z, z_point) != SAKKE_OK || eccsi_ksak_make(ksak, kpak) != ECCSI_OK ||
		mcx_uid_period_no(PERIOD, 0, NOW + MIKEY_NTP_UNIX, &period_no) != MCX_UID_OK ||
		opened_open(&app.opened, directory, NOW, why) != 0 || vault_start() != 0)
		return -1;
	app.api.poll = poll_nothing;
	kms_start();
	return 0;
}

static int app_end(void **state)
{
	(void)state;
	session_lab_close(&app);
	opened_close(&app.opened);
	file_remove("opened");
	file_remove("seal");
	file_remove("kms");
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everybody_can_read_a_new_key),
		cmocka_unit_test(a_key_that_goes_meanwhile_is_not_told),
		cmocka_unit_test(a_key_is_revoked_before_its_messages_are_told),
		cmocka_unit_test(a_key_is_revoked_after_its_messages_were_refused),
		cmocka_unit_test(an_identity_goes_after_it_signed),
		cmocka_unit_test(an_identity_goes_before_the_messages_are_told),
		cmocka_unit_test(an_identity_goes_while_a_pseudo_user_signs),
		cmocka_unit_test(messages_that_come_at_once_share_a_key_set),
		cmocka_unit_test(no_domain_is_begun_for_nothing),
		cmocka_unit_test(groups_of_another_gms_are_named),
		cmocka_unit_test(the_configuration_says_what_pseudo_users_may_do),
		cmocka_unit_test(a_redirect_is_read_in_the_pool),
		cmocka_unit_test(lists_have_bounds),
	};
	alarm(900); // a test that failed half way may not be able to clean up
	return cmocka_run_group_tests(tests, app_start, app_end);
}
