// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// Key contexts for GUK-IDs that nobody vouched for yet: how many strangers and clients may have, and that they get them back.
// The clock is the test's.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/retire.h"
#include "key/key_context.h"
#include "key/key_domain.h"
#include "key/keystore.h"
#include "key/users.h"
#include "tests/unit/key_lab.h"

enum { KEYS = 16, GMK_ID = 0x0a000001, STRANGE = 0x01000000, CLIENTS = 0x02000000 };
enum { PROVISIONAL_MS = 2000, ALL = 1 << 16 };

static struct key_lab keys;
static uint32_t scope;
static uint64_t now_ms;

uint64_t __wrap_clock_now_ms(void);

uint64_t __wrap_clock_now_ms(void)
{
	return now_ms;
}

static int store_open(void **state)
{
	struct rpc_error error = {};
	struct key_spec spec = {.id = GMK_ID, .type = KEY_GMK};
	(void)state;
	now_ms = 1000000;
	if (key_lab_open(&keys, KEYS) != 0)
		return -1;
	scope = keystore_domain_scope(&keys.store, "home");
	spec.secret.value_len = spec.secret.rand_len = 16;
	memset(spec.secret.value, 7, 16);
	if (!key_admit(&keys.store, scope, &spec, false, "params", &error))
		return -1;
	key_install(&keys.store, scope, &spec);
	return 0;
}

static int store_close(void **state)
{
	(void)state;
	key_lab_close(&keys);
	return 0;
}

static struct key_name name_of(uint32_t guk_id)
{
	return (struct key_name){.mki = key_name_mki(GMK_ID, guk_id),
		.scope = scope,
		.protocol = SRTP_RTP,
		.suite = SRTP_AEAD_AES_128_GCM,
		.kind = KEY_BY_MKI};
}

// How many of so many that ask for contexts of GUK-IDs from first on get theirs.
static uint32_t ask(uint32_t first, uint32_t n, bool stranger)
{
	uint32_t given = 0;
	for (uint32_t i = 0; i < n; i++) {
		struct key_name name = name_of(first + i);
		enum drop_reason reason = key_ctx_derive(&keys.store, &name, stranger);
		if (reason != DROP_NONE && reason != DROP_DERIVE_LIMIT)
			fail_msg("%u", reason);
		given += reason == DROP_NONE;
	}
	return given;
}

static struct key_ctx *ctx_of(uint32_t guk_id)
{
	const struct key_name name = name_of(guk_id);
	struct key_table *table = &keys.lab.relay.keys;
	uint32_t ctx = key_table_find(table, &name, key_name_hash(table, &name));
	return ctx == KEY_NONE ? NULL : &table->ctxs[ctx];
}

static void strangers_leave_half_of_them_to_clients(void **state)
{
	const uint32_t size = keys.lab.relay.keys.size;
	(void)state;
	assert_int_equal(ask(STRANGE, ALL, true), size / 8);
	assert_int_equal(ask(CLIENTS, ALL, false), size / 4 - size / 8);
	assert_int_equal(ask(STRANGE, 1, true), 1); // there already
	assert_int_equal(keys.lab.relay.keys.n_used, size / 4);
}

static void clients_leave_the_rest_of_the_table(void **state)
{
	const uint32_t size = keys.lab.relay.keys.size;
	(void)state;
	assert_int_equal(ask(CLIENTS, ALL, false), size / 4);
	assert_int_equal(ask(STRANGE, ALL, true), 0);
	assert_int_equal(keys.lab.relay.keys.n_used, size / 4);
}

static void what_proves_nothing_goes(void **state)
{
	const uint32_t size = keys.lab.relay.keys.size;
	(void)state;
	ask(STRANGE, ALL, true);
	atomic_store(&ctx_of(STRANGE + 1)->proven, 1);
	now_ms += PROVISIONAL_MS - 1;
	keystore_review_provisional(&keys.store);
	assert_non_null(ctx_of(STRANGE));
	assert_int_equal(ask(STRANGE + ALL, 1, true), 0);
	now_ms++;
	keystore_review_provisional(&keys.store);
	retire_all(&keys.retire);
	assert_null(ctx_of(STRANGE));
	assert_non_null(ctx_of(STRANGE + 1));
	assert_int_equal(keys.lab.relay.keys.n_used, 1);
	assert_int_equal(ask(STRANGE + ALL, ALL, true), size / 8);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, store_open, store_close)
	const struct CMUnitTest tests[] = {
		test(strangers_leave_half_of_them_to_clients),
		test(clients_leave_the_rest_of_the_table),
		test(what_proves_nothing_goes),
	};
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
