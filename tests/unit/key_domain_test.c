// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// The numbers under which keys of domains and sessions are told apart, over more of them than there are numbers; and whose
// keys a group has in a domain.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/map.h"
#include "dataplane/retire.h"
#include "key/key_domain.h"
#include "key/keystore.h"
#include "key/users.h"
#include "tests/unit/key_lab.h"

enum { KEYS = 16 };

static struct key_lab keys;

static int store_open(void **state)
{
	(void)state;
	return key_lab_open(&keys, KEYS);
}

static int store_close(void **state)
{
	(void)state;
	key_lab_close(&keys);
	return 0;
}

// Whether a key of that id and octet could go in.
static bool key_fits(uint32_t scope, uint8_t octet, struct key_spec *spec)
{
	struct rpc_error error = {};
	*spec = (struct key_spec){.id = 0x1a000001, .type = KEY_PCK};
	spec->secret.value_len = 16;
	spec->secret.rand_len = 16;
	memset(spec->secret.value, octet, 16);
	return key_admit(&keys.store, scope, spec, false, "params", &error);
}

static void live_scope_is_nobody_elses(void **state)
{
	(void)state;
	struct key_spec spec;
	uint32_t home = keystore_domain_scope(&keys.store, "home"), session[3];
	assert_true(key_fits(home, 1, &spec));
	key_install(&keys.store, home, &spec);
	keys.store.next_scope = UINT32_MAX;
	for (unsigned i = 0; i < 3; i++) {
		session[i] = keystore_session_scope(&keys.store);
		assert_int_not_equal(session[i], 0);
		assert_int_not_equal(session[i], home);
		assert_true(key_fits(session[i], (uint8_t)(2 + i), &spec));
		key_install(&keys.store, session[i], &spec);
		assert_null(keystore_domain_name(&keys.store, session[i]));
	}
	assert_string_equal(keystore_domain_name(&keys.store, home), "home");
	keys.store.next_scope = home;
	assert_int_not_equal(keystore_domain_scope(&keys.store, "away"), session[0]);
	assert_string_equal(keystore_domain_name(&keys.store, home), "home");
}

// A scope is free again when no worker can look for keys in it, not sooner.
static void released_scope_comes_back(void **state)
{
	(void)state;
	size_t n = map_count(keys.store.scopes);
	uint32_t scope = keystore_session_scope(&keys.store), other;
	keystore_session_scope_release(&keys.store, scope);
	keys.store.next_scope = scope;
	other = keystore_session_scope(&keys.store);
	assert_int_not_equal(other, scope);
	keystore_session_scope_release(&keys.store, other);
	retire_all(&keys.retire);
	assert_int_equal(map_count(keys.store.scopes), n);
	keys.store.next_scope = scope;
	assert_int_equal(keystore_session_scope(&keys.store), scope);
}

// Keys of messages are those of one GMS for a group (TS 33.180 5.7.2); of those that an operator installs none is known.
static void a_group_has_one_gms(void **state)
{
	static const char *const sources[] = {"sip:gms@a", "sip:gms@b", "sip:gms@a", NULL};
	static const bool fit[] = {true, false, true, true};
	json_t *groups = json_pack("[s]", "sip:group@example.org");
	(void)state;
	const uint32_t home = keystore_domain_scope(&keys.store, "home");
	for (uint8_t i = 0; i < 4; i++) {
		struct rpc_error error = {};
		struct key_spec spec = {.id = 0x0a000001U + i,
			.type = KEY_GMK,
			.secret = {.value_len = 16, .rand_len = 16, .value = {i}},
			.groups = groups,
			.source = sources[i]};
		assert_int_equal(
			key_admit(&keys.store, home, &spec, false, "params", &error), fit[i]);
		assert_int_equal(error.code, fit[i] ? RPC_OK : RPC_CONFLICT);
		if (fit[i])
			key_install(&keys.store, home, &spec);
	}
	json_decref(groups);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_group_has_one_gms, store_open, store_close),
		cmocka_unit_test_setup_teardown(
			live_scope_is_nobody_elses, store_open, store_close),
		cmocka_unit_test_setup_teardown(released_scope_comes_back, store_open, store_close),
	};
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
