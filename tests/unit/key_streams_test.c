// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// Where the streams of a key are, recorded in one life and found in the next. The clock is the test's.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/secmem.h"
#include "dataplane/retire.h"
#include "event/notice.h"
#include "event/subscription.h"
#include "key/key_context.h"
#include "key/key_domain.h"
#include "key/key_record.h"
#include "key/key_restore.h"
#include "key/key_slot.h"
#include "key/keystore.h"
#include "key/users.h"
#include "store/store_json.h"
#include "tests/unit/dataplane_lab.h"

enum { KEYS = 16, PCK_ID = 0x1a000001, GMK_ID = 0x0a000001, STREAMS = 16384 };
enum { TALKER = 0x01000000, SSRC = 5000, PROVISIONAL_MS = 2000, OF_ONE_KEY = 4096 };

static struct lab lab;
static struct retire retire;
static struct users users;
static struct subscriptions events;
static struct notices notices;
static struct keystore store;
static struct store *records;
static uint32_t scope;
static uint64_t now_ms = 1000000;

uint64_t __wrap_clock_now_ms(void);

uint64_t __wrap_clock_now_ms(void)
{
	return now_ms;
}

static void life_begin(int fd)
{
	bool fresh;
	assert_int_equal(keystore_init(&store, &lab.relay, &retire, &users, &notices, KEYS), 0);
	store.records = records = store_open(fd, 0, &fresh);
	assert_non_null(records);
	assert_int_equal(fresh, fd < 0);
	scope = keystore_domain_scope(&store, "home");
}

// As a process that is killed: nothing is taken out of the store.
static void life_end(void)
{
	store.records = NULL;
	keystore_fini(&store);
	store_close(records);
}

static void next_life(void)
{
	int fd = dup(store_fd(records));
	key_streams_record_all(&store);
	life_end();
	life_begin(fd);
}

static int setup(void **state)
{
	(void)state;
	lab_open(&lab, 1);
	stream_table_fini(&lab.relay.streams);
	assert_int_equal(stream_table_init(&lab.relay.streams, STREAMS), 0);
	retire_init(&retire, lab.relay.rcu);
	users_init(&users);
	notices_init(&notices, &events);
	life_begin(-1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	life_end();
	retire_fini(&retire);
	users_fini(&users);
	lab_close(&lab);
	return 0;
}

static struct key_slot *install_from(uint32_t in, uint32_t id, time_t activation)
{
	struct rpc_error error = {};
	struct key_spec spec = {.id = id, .type = key_id_type(id), .activation = activation};
	spec.secret.value_len = spec.secret.rand_len = 16;
	memset(spec.secret.value, 7, 16);
	assert_true(key_admit(&store, in, &spec, false, "params", &error));
	key_install(&store, in, &spec);
	return keystore_find(&store, in, id);
}

static struct key_slot *install(uint32_t in, uint32_t id)
{
	return install_from(in, id, 0);
}

static uint32_t ctx_fixed(struct key_slot *slot, uint8_t cs_id, uint8_t protocol)
{
	uint32_t ctx = key_ctx_fixed(&store, slot, cs_id, protocol, SRTP_AEAD_AES_128_GCM);
	assert_int_not_equal(ctx, KEY_NONE);
	return ctx;
}

static uint32_t space_of(uint32_t ctx)
{
	return lab.relay.keys.ctxs[ctx].space;
}

static struct stream *hear(
	uint32_t ctx, uint32_t ssrc, uint8_t protocol, uint32_t source, uint64_t next)
{
	struct stream *stream = stream_create(&lab.relay.streams,
		&lab.relay.keys.streams[space_of(ctx)], space_of(ctx), ssrc, 0, protocol, source);
	assert_non_null(stream);
	replay_begin(&stream->replay, next);
	return stream;
}

static struct key_name talker_name(const struct key_slot *slot, uint32_t talker)
{
	return key_name_make(KEY_BY_MKI, key_name_mki(slot->id, TALKER + talker), slot->scope, 0,
		SRTP_RTP, SRTP_AEAD_AES_128_GCM);
}

struct wanted {
	char *name;
	uint32_t place;
};

static void look(void *arg, uint32_t place, const char *name)
{
	struct wanted *wanted = arg;
	if (strcmp(name, wanted->name) == 0)
		wanted->place = place;
}

// Of a record of an earlier life by that name, which is freed.
static uint32_t place_of(char *name)
{
	struct wanted wanted = {.name = name};
	store_visit(records, look, &wanted);
	free(name);
	assert_int_not_equal(wanted.place, 0);
	return wanted.place;
}

// Restores what an earlier life recorded. How many streams did not come back.
static uint32_t come_back(struct key_slot *slot)
{
	uint32_t n_lost, place = place_of(key_streams_name(&store, slot));
	size_t len;
	char *body = store_read(records, place, &len);
	assert_non_null(body);
	assert_true(key_streams_restore(&store, slot, body, len, &n_lost));
	secmem_free(body);
	return n_lost;
}

static uint64_t at_rest(uint32_t ctx, uint32_t ssrc)
{
	return stream_rest_state(&lab.relay.streams.rests, space_of(ctx), ssrc);
}

static void what_was_heard_goes_on(void **state)
{
	struct key_slot *slot = install(scope, PCK_ID);
	uint32_t ctx = ctx_fixed(slot, 0, SRTP_RTP);
	(void)state;
	hear(ctx, 1, SRTP_RTP, STREAM_NONE, 70000);
	hear(ctx, 2, SRTP_RTP, 0, 80000);
	hear(ctx, 3, SRTP_RTP, STREAM_NONE, 0); // just born, nothing accepted
	next_life();
	slot = install(scope, PCK_ID);
	assert_int_equal(come_back(slot), 0);
	ctx = ctx_fixed(slot, 0, SRTP_RTP);
	assert_int_equal(at_rest(ctx, 1), 70000);
	assert_int_equal(at_rest(ctx, 2), STREAM_REST_OUTBOUND | 80000);
	assert_int_equal(at_rest(ctx, 3), 0);
}

// The relay's SRTCP has its index from the key's counter: only the SSRC is to be known again.
static void ssrcs_of_the_relays_srtcp_stay_its_own(void **state)
{
	struct key_slot *slot = install(scope, PCK_ID);
	uint32_t ctx = ctx_fixed(slot, 0, SRTP_RTCP), rtp = ctx_fixed(slot, 0, SRTP_RTP);
	(void)state;
	hear(ctx, 1, SRTP_RTCP, 0, 0);
	hear(ctx, 2, SRTP_RTCP, 0, 0)->fresh = true; // of a floor control server in plain
	hear(rtp, 3, SRTP_RTP, 0, 5)->fresh = true;
	for (unsigned life = 0; life < 3; life++) {
		next_life();
		slot = install(scope, PCK_ID);
		assert_int_equal(come_back(slot), 0);
		ctx = ctx_fixed(slot, 0, SRTP_RTCP);
		rtp = ctx_fixed(slot, 0, SRTP_RTP);
		assert_int_equal(at_rest(ctx, 1), STREAM_REST_OUTBOUND);
		assert_int_equal(at_rest(ctx, 2), STREAM_REST_OUTBOUND);
		assert_int_equal(at_rest(rtp, 3), 0);
	}
}

// One root key in two domains: two records of one index space, the second of them older.
static void newer_of_two_records_counts(void **state)
{
	static const char *const domains[] = {"home", "far"};
	(void)state;
	for (unsigned first = 0; first < 2; first++) {
		struct key_slot *twins[2];
		for (unsigned i = 0; i < 2; i++)
			twins[i] = install(keystore_domain_scope(&store, domains[i]), PCK_ID);
		struct stream *stream =
			hear(ctx_fixed(twins[0], 0, SRTP_RTP), 1 + first, SRTP_RTP, 0, 500);
		ctx_fixed(twins[1], 0, SRTP_RTP);
		key_streams_record_all(&store);
		replay_begin(&stream->replay, 900);
		twins[1]->state = KEY_PENDING; // has no turn
		next_life();
		for (unsigned i = 0; i < 2; i++)
			twins[i] = install(keystore_domain_scope(&store, domains[i]), PCK_ID);
		assert_int_equal(come_back(twins[first]) + come_back(twins[!first]), 0);
		assert_int_equal(at_rest(ctx_fixed(twins[0], 0, SRTP_RTP), 1 + first),
			STREAM_REST_OUTBOUND | 900);
	}
}

// So many talkers of a GMK, each heard: of what a life has, only a quarter is for those who have yet to prove themselves.
static void talkers_are_heard(const struct key_slot *slot, uint32_t n)
{
	struct key_table *table = &lab.relay.keys;
	for (uint32_t i = 0; i < n; i++) {
		struct key_name name = talker_name(slot, i);
		assert_int_equal(key_ctx_derive(&store, &name, false), DROP_NONE);
		uint32_t ctx = key_table_find(table, &name, key_name_hash(table, &name));
		atomic_store(&table->ctxs[ctx].proven, 1);
		hear(ctx, SSRC + i, SRTP_RTP, STREAM_NONE, 1000 + i);
		now_ms += PROVISIONAL_MS;
		keystore_review_provisional(&store);
	}
}

// How many of them have their contexts, and streams where they were.
static uint32_t talkers_are_known(const struct key_slot *slot, uint32_t n)
{
	const struct key_table *table = &lab.relay.keys;
	uint32_t known = 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct key_name name = talker_name(slot, i);
		uint32_t ctx = key_table_find(table, &name, key_name_hash(table, &name));
		known += ctx != KEY_NONE && at_rest(ctx, SSRC + i) == 1000 + i;
	}
	return known;
}

static void all_talkers_come_back_and_stay(void **state)
{
	const uint32_t n = lab.relay.keys.size / 4 * 3;
	struct key_slot *slot = install(scope, GMK_ID);
	(void)state;
	talkers_are_heard(slot, n);
	next_life();
	slot = install(scope, GMK_ID);
	assert_int_equal(come_back(slot), 0);
	assert_int_equal(store.n_provisional, 0);
	now_ms += PROVISIONAL_MS;
	keystore_review_provisional(&store);
	assert_int_equal(talkers_are_known(slot, n), n);
}

static void talkers_without_room_are_counted(void **state)
{
	const uint32_t n = lab.relay.keys.size / 4 * 3, room = 100;
	struct key_slot *slot = install(scope, GMK_ID);
	(void)state;
	talkers_are_heard(slot, n);
	next_life();
	struct key_slot *other = install(scope, PCK_ID);
	for (uint32_t i = 0; i < lab.relay.keys.size - room; i++)
		ctx_fixed(other, (uint8_t)(i / 2), i % 2 ? SRTP_RTCP : SRTP_RTP);
	slot = install(scope, GMK_ID);
	assert_int_equal(come_back(slot), n - room);
	assert_int_equal(talkers_are_known(slot, n), room);
}

// A user who was taken from the key in the meantime is no loss.
static void talker_who_may_not_send_any_more(void **state)
{
	struct key_slot *slot = install(scope, GMK_ID);
	(void)state;
	talkers_are_heard(slot, 3);
	next_life();
	slot = install(scope, GMK_ID);
	slot->closed = true;
	assert_int_equal(come_back(slot), 0);
	assert_int_equal(lab.relay.keys.n_used, 0);
}

static void put_to_rest(uint32_t ctx, uint32_t ssrc, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct stream_rest *rest = stream_rest_close(&lab.relay.streams.rests,
			&lab.relay.keys.streams[space_of(ctx)].rests, space_of(ctx), ssrc + i, 0);
		assert_non_null(rest);
		stream_rest_set(rest, 1000 + i);
	}
}

static void hear_many(uint32_t ctx, uint32_t ssrc, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		hear(ctx, ssrc + i, SRTP_RTP, STREAM_NONE, 1000 + i);
}

static uint32_t n_at_rest(uint32_t ctx, uint32_t ssrc, uint32_t n)
{
	uint32_t known = 0;
	for (uint32_t i = 0; i < n; i++)
		known += at_rest(ctx, ssrc + i) == 1000 + i;
	return known;
}

static void what_is_heard_comes_before_what_is_at_rest(void **state)
{
	struct key_slot *slot = install(scope, PCK_ID);
	uint32_t first = ctx_fixed(slot, 0, SRTP_RTP), second = ctx_fixed(slot, 1, SRTP_RTP);
	(void)state;
	put_to_rest(first, SSRC, OF_ONE_KEY + 500);
	hear_many(first, 1, 200);
	hear_many(second, 1, 300);
	next_life();
	slot = install(scope, PCK_ID);
	assert_int_equal(come_back(slot), 0);
	first = ctx_fixed(slot, 0, SRTP_RTP);
	second = ctx_fixed(slot, 1, SRTP_RTP);
	assert_int_equal(n_at_rest(first, 1, 200), 200);
	assert_int_equal(n_at_rest(second, 1, 300), 300);
	assert_int_equal(n_at_rest(first, SSRC, OF_ONE_KEY + 500), OF_ONE_KEY - 500);
}

static void newest_at_rest_are_kept_life_after_life(void **state)
{
	struct key_slot *slot = install(scope, PCK_ID);
	uint32_t ctx = ctx_fixed(slot, 0, SRTP_RTP);
	(void)state;
	put_to_rest(ctx, SSRC, OF_ONE_KEY + 500);
	hear_many(ctx, 1, 100);
	for (uint32_t life = 0; life < 3; life++) {
		next_life();
		slot = install(scope, PCK_ID);
		assert_int_equal(come_back(slot), 0);
		ctx = ctx_fixed(slot, 0, SRTP_RTP);
		assert_int_equal(n_at_rest(ctx, 1, 100), 100);
		for (uint32_t before = 0; before < life; before++)
			assert_int_equal(n_at_rest(ctx, 1000 + 10 * before, 10), 10);
		const uint32_t left = OF_ONE_KEY - 100 - 10 * life;
		for (uint32_t i = 0; i < OF_ONE_KEY + 500; i++)
			assert_int_equal(at_rest(ctx, SSRC + i) != 0, i >= OF_ONE_KEY + 500 - left);
		put_to_rest(ctx, 1000 + 10 * life, 10);
	}
}

// Of rests too: one member's are not instead of others'.
static void no_talker_takes_the_room_of_others(void **state)
{
	enum { OTHERS = 20, EACH = 30 };
	(void)state;
	for (unsigned rests = 0; rests < 2; rests++) {
		void (*many)(uint32_t ctx, uint32_t ssrc, uint32_t n) =
			rests ? put_to_rest : hear_many;
		struct key_slot *slot = install(scope, PCK_ID);
		many(ctx_fixed(slot, 0, SRTP_RTP), SSRC, OF_ONE_KEY + 500);
		for (unsigned i = 1; i <= OTHERS; i++)
			many(ctx_fixed(slot, (uint8_t)i, SRTP_RTP), SSRC, EACH);
		next_life();
		slot = install(scope, PCK_ID);
		assert_int_equal(come_back(slot), 0);
		for (unsigned i = 1; i <= OTHERS; i++)
			assert_int_equal(
				n_at_rest(ctx_fixed(slot, (uint8_t)i, SRTP_RTP), SSRC, EACH), EACH);
		// The room is used up.
		assert_int_equal(n_at_rest(ctx_fixed(slot, 0, SRTP_RTP), SSRC, OF_ONE_KEY + 500),
			OF_ONE_KEY - OTHERS * EACH);
		key_remove(&store, scope, PCK_ID);
		retire_all(&retire);
	}
}

static json_t *key_of_earlier_life; // its record

static void restore_state(void *arg, struct key_slot *slot)
{
	(void)arg;
	assert_int_equal(slot->state, KEY_PENDING);
	key_restore_state(slot, key_of_earlier_life);
}

// The clock is set back by an hour: what began a minute ago begins in 59.
static void active_key_stays_it_though_the_clock_is_set_back(void **state)
{
	const time_t now = time(NULL), ago = now - 60, later = now + 3540;
	(void)state;
	for (unsigned was_active = 0; was_active < 2; was_active++) {
		struct key_slot *slot = install_from(scope, PCK_ID, was_active ? ago : later);
		assert_int_equal(slot->state, was_active ? KEY_ACTIVE : KEY_PENDING);
		char *name = key_record_name(&store, slot);
		next_life();
		key_of_earlier_life = store_read_json(records, place_of(name));
		assert_non_null(key_of_earlier_life);
		keystore_watch_installed(&store, restore_state, NULL);
		slot = install_from(scope, PCK_ID, later);
		keystore_watch_installed(&store, NULL, NULL);
		json_decref(key_of_earlier_life);
		assert_int_equal(slot->state, was_active ? KEY_ACTIVE : KEY_PENDING);
		assert_int_equal(store.n_by_state[KEY_PCK][slot->state], 1);
		// Stated again it does not go back; with another time it does.
		install_from(scope, PCK_ID, later);
		assert_int_equal(slot->state, was_active ? KEY_ACTIVE : KEY_PENDING);
		install_from(scope, PCK_ID, later + 1);
		assert_int_equal(slot->state, KEY_PENDING);
		key_remove(&store, scope, PCK_ID);
	}
}

// It is recorded when its time has come, not only as it is installed.
static void key_that_becomes_active_is_recorded_so(void **state)
{
	struct key_slot *slot = install_from(scope, PCK_ID, time(NULL) + 3600);
	(void)state;
	slot->activation = store.due = 1;
	keystore_tick(&store);
	assert_int_equal(slot->state, KEY_ACTIVE);
	char *name = key_record_name(&store, slot);
	next_life();
	json_t *body = store_read_json(records, place_of(name));
	assert_true(json_is_true(json_object_get(body, "active")));
	json_decref(body);
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		test(what_was_heard_goes_on),
		test(ssrcs_of_the_relays_srtcp_stay_its_own),
		test(newer_of_two_records_counts),
		test(all_talkers_come_back_and_stay),
		test(talkers_without_room_are_counted),
		test(talker_who_may_not_send_any_more),
		test(what_is_heard_comes_before_what_is_at_rest),
		test(newest_at_rest_are_kept_life_after_life),
		test(no_talker_takes_the_room_of_others),
		test(active_key_stays_it_though_the_clock_is_set_back),
		test(key_that_becomes_active_is_recorded_so),
	};
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
