// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// An owner that follows a change of its key later, as a large session does, and a table that has no room for the contexts
// of before and after beside each other.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/retire.h"
#include "key/key_context.h"
#include "key/key_domain.h"
#include "key/key_slot.h"
#include "key/keystore.h"
#include "key/users.h"
#include "tests/unit/key_lab.h"

enum { KEYS = 16, OWN_ID = 0x1a000001, OTHER_ID = 0x1a000002 };

static struct key_lab keys;
static uint32_t scope;
static bool follows;        // it has been told, and has not done what follows
static unsigned n_finished; // how often it was to do so at once

static void follow(void)
{
	follows = false;
	keystore_owners_followed(&keys.store);
}

static void finish(void *arg)
{
	(void)arg;
	n_finished++;
	follow();
}

static void touched(struct key_owner *who, void *user)
{
	(void)who;
	(void)user;
}

static void changed(struct key_owner *who)
{
	(void)who;
	follows = true;
	keystore_owners_follow(&keys.store, finish, NULL);
}

static struct key_owner owner = {.touched = touched, .changed = changed, .id = "large"};

static int setup(void **state)
{
	(void)state;
	follows = false;
	n_finished = 0;
	if (key_lab_open(&keys, KEYS) != 0)
		return -1;
	scope = keystore_domain_scope(&keys.store, "home");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	key_lab_close(&keys);
	return 0;
}

static struct key_slot *install(uint32_t id, uint8_t octet)
{
	struct rpc_error error = {};
	struct key_spec spec = {.id = id, .type = key_id_type(id)};
	spec.secret.value_len = spec.secret.rand_len = 16;
	memset(spec.secret.value, octet, 16);
	assert_true(key_admit(&keys.store, scope, &spec, true, "params", &error));
	key_install(&keys.store, scope, &spec);
	return keystore_find(&keys.store, scope, id);
}

// How many of so many contexts there are or can be made.
static uint32_t contexts(struct key_slot *slot, uint32_t n)
{
	uint32_t made = 0;
	for (uint32_t i = 0; i < n; i++)
		made += key_ctx_fixed(&keys.store, slot, (uint8_t)(i / 2),
				i % 2 ? SRTP_RTCP : SRTP_RTP, SRTP_AEAD_AES_128_GCM) != KEY_NONE;
	return made;
}

static void replaced_key_has_its_contexts_in_a_full_table(void **state)
{
	const uint32_t own = 40, others = keys.lab.relay.keys.size - own;
	(void)state;
	assert_int_equal(contexts(install(OTHER_ID, 1), others), others);
	struct key_slot *slot = install(OWN_ID, 2);
	struct key_use *use = key_use(&keys.store, scope, OWN_ID, &owner, NULL);
	assert_int_equal(contexts(slot, own), own);
	slot = install(OWN_ID, 3);
	assert_true(follows);
	assert_int_equal(contexts(slot, own), own);
	assert_int_equal(n_finished, 1);
	follow();
	key_unuse(&keys.store, use);
}

// Otherwise nobody has to hurry.
static void owner_follows_later_where_there_is_room(void **state)
{
	const uint32_t own = 40;
	(void)state;
	struct key_slot *slot = install(OWN_ID, 2);
	struct key_use *use = key_use(&keys.store, scope, OWN_ID, &owner, NULL);
	assert_int_equal(contexts(slot, own), own);
	slot = install(OWN_ID, 3);
	assert_int_equal(keys.store.n_left_ctxs, own);
	assert_int_equal(contexts(slot, own), own);
	assert_int_equal(n_finished, 0);
	follow();
	key_unuse(&keys.store, use);
}

// Those of a key that was revoked are in the way of another one's.
static void contexts_that_a_revoked_key_left_make_room(void **state)
{
	const uint32_t own = 40, others = keys.lab.relay.keys.size - own;
	(void)state;
	assert_int_equal(contexts(install(OTHER_ID, 1), others), others);
	struct key_use *use = key_use(&keys.store, scope, OWN_ID, &owner, NULL);
	assert_int_equal(contexts(install(OWN_ID, 2), own), own);
	key_remove(&keys.store, scope, OWN_ID);
	assert_int_equal(keys.store.n_left_ctxs, own);
	assert_int_equal(contexts(install(OWN_ID + 5, 3), own), own);
	key_unuse(&keys.store, use);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		test(replaced_key_has_its_contexts_in_a_full_table),
		test(owner_follows_later_where_there_is_room),
		test(contexts_that_a_revoked_key_left_make_room),
	};
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
