// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>
#include <rte_cycles.h>

#include "control/reaper.h"
#include "dataplane/retire.h"
#include "dataplane/stream_end.h"
#include "dataplane/stream_share.h"
#include "tests/unit/dataplane_lab.h"

// One client that begins streams without end takes none of those of others, and what goes to rest of his forgets nothing
// that would let a packet be accepted, or an index be used, a second time.

enum { SSRC = 0x11223344, OTHER_SSRC = 0x55667788, GUK_ID = 0x0abc0001, USER = 5 };
enum { ALICE, BOB, CAROL, ROC_1 = 65536 };

static struct lab lab;
static struct lab_copy copies[LAB_COPIES];
static const struct lab_key *alice_key, *bob_key, *gmk;
static struct reaper reaper;
static struct retire retire;

static struct worker *worker(void)
{
	return lab.relay.workers[0];
}

static struct stream_table *streams(void)
{
	return &lab.relay.streams;
}

// Alice and Bob, each with a key; Carol under a GMK. No ROC on the wire.
static int setup(void **state)
{
	(void)state;
	lab_open(&lab, 1);
	retire_init(&retire, lab.relay.rcu);
	reaper = (struct reaper){.cursor = 0};
	alice_key = lab_key_add(&lab, 4, 0, false);
	bob_key = lab_key_add(&lab, 4, 0, false);
	gmk = lab_key_add(&lab, 8, 0, true);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = alice_key});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = bob_key});
	lab_leg_add(
		&lab, (struct lab_leg){.mode = LEG_SRTP, .key = gmk, .ipv6 = true, .deaf = true});
	lab_connect(&lab);
	atomic_store(&lab.relay.srtcp_limit, 1 << 30);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	retire_all(&retire);
	retire_fini(&retire);
	lab_close(&lab);
	return 0;
}

static struct lab_packet packet_of(
	const struct lab_key *key, uint8_t protocol, uint32_t ssrc, uint64_t index)
{
	return (struct lab_packet){.protocol = protocol,
		.len = 40,
		.ssrc = ssrc,
		.ctx = key->ctx[protocol],
		.index = index,
		.mki_len = key->mki_len};
}

static void push(uint32_t leg, const struct lab_key *key, uint32_t ssrc, uint64_t index)
{
	struct lab_packet packet = packet_of(key, SRTP_RTP, ssrc, index);
	lab_push(&lab, 0, leg, &packet);
}

static void push_rtcp(uint32_t leg, const struct lab_key *key, uint32_t ssrc, uint64_t index)
{
	struct lab_packet packet = packet_of(key, SRTP_RTCP, ssrc, index);
	lab_push(&lab, 0, leg, &packet);
}

static unsigned heard(void)
{
	unsigned n = lab_take(&lab, 0, copies);
	assert_true(n <= LAB_COPIES);
	return n;
}

static struct stream_list *list_of(const struct lab_key *key, uint8_t protocol)
{
	return &lab.relay.keys.streams[key->ctx[protocol]];
}

// Whether a worker asked the control thread to look after a session key; only once.
static bool asked_for(const struct lab_key *key, uint8_t protocol)
{
	struct control_mail mail;
	unsigned n = 0;
	while (control_mail_take(&worker()->mailbox, &mail))
		n += mail.type == MAIL_CROWDED && mail.scope == key->ctx[protocol];
	assert_true(n <= 1);
	return n == 1;
}

// All streams have been silent for so many seconds longer.
static void seconds_pass(unsigned n)
{
	for (uint32_t i = 0; i < stream_table_touched(streams()); i++)
		if (streams()->streams[i].last_tsc != 0)
			streams()->streams[i].last_tsc -= n * rte_get_tsc_hz();
}

// Puts all of a session key's streams to rest, as if their leg had gone; those of the key only that are not the newest
// of a race. done: the grace period is over, too.
static bool ends_all(const struct stream *stream, void *arg)
{
	(void)arg;
	return counter_read(&stream->last_tsc) != 0;
}

static void rest_all(const struct lab_key *key, uint8_t protocol)
{
	stream_list_sweep(&lab.relay, &retire, list_of(key, protocol), ends_all, NULL);
	retire_all(&retire);
	assert_int_equal(list_of(key, protocol)->n + list_of(key, protocol)->n_outbound, 0);
}

// --- shares

static uint32_t born_of(const struct lab_key *key, uint8_t protocol)
{
	return atomic_load(&list_of(key, protocol)->n);
}

// A new SSRC in each packet. Others' streams are born before and after.
static void flood_of_new_streams(uint8_t protocol)
{
	enum { N = 3000 };
	void (*say)(uint32_t, const struct lab_key *, uint32_t, uint64_t) =
		protocol == SRTP_RTP ? push : push_rtcp;
	say(BOB, bob_key, OTHER_SSRC, 1);
	assert_true(heard() > 0);
	for (uint32_t i = 0; i < N; i++) {
		say(ALICE, alice_key, SSRC + i, 1);
		heard();
	}
	uint32_t n = born_of(alice_key, protocol);
	assert_true(n < streams()->size / 2);
	assert_true(stream_table_used(streams()) < streams()->size);
	assert_true(lab_drops_of(&lab, 0, DROP_STREAM_SHARE) > N / 2);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_STREAM_LIMIT), 0);
	assert_true(asked_for(alice_key, protocol));
	for (uint32_t i = 1; i < 64; i++) {
		say(BOB, bob_key, OTHER_SSRC + i, 1);
		assert_true(heard() > 0);
	}
	say(ALICE, alice_key, SSRC, 2); // what she has goes on
	assert_true(heard() > 0);
}

static void new_ssrc_in_each_packet(void **state)
{
	(void)state;
	flood_of_new_streams(SRTP_RTP);
}

static void new_ssrc_in_each_report(void **state)
{
	(void)state;
	flood_of_new_streams(SRTP_RTCP);
}

// The same of a user under a GMK.
static void new_ssrc_in_each_packet_of_a_user(void **state)
{
	enum { N = 3000 };
	struct lab_key carol = *gmk;
	(void)state;
	lab_talker_add(&lab, gmk, GUK_ID, USER, carol.ctx);
	for (uint32_t i = 0; i < N; i++) {
		push(CAROL, &carol, SSRC + i, 1);
		heard();
	}
	assert_true(born_of(&carol, SRTP_RTP) < streams()->size / 2);
	assert_true(lab_drops_of(&lab, 0, DROP_STREAM_SHARE) > N / 2);
	push(ALICE, alice_key, OTHER_SSRC, 1);
	assert_true(heard() > 0);
}

// Of a large table, too, a user of a GMK has no more than one client; those who share another key have.
static void a_user_is_one_client(void **state)
{
	const uint32_t size = streams()->size;
	struct lab_key carol = *gmk;
	(void)state;
	lab_talker_add(&lab, gmk, GUK_ID, USER, carol.ctx);
	streams()->size = 8 * STREAMS_OF_ONE;
	atomic_store(&list_of(&carol, SRTP_RTP)->n, STREAMS_OF_ONE);
	atomic_store(&list_of(alice_key, SRTP_RTP)->n, STREAMS_OF_ONE);
	push(CAROL, &carol, SSRC, 1);
	const unsigned of_carol = heard();
	push(ALICE, alice_key, SSRC, 1);
	const unsigned of_alice = heard();
	streams()->size = size;
	assert_int_equal(of_carol, 0);
	assert_int_equal(of_alice, 1);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_STREAM_SHARE), 1);
}

// He who begins more streams than his leg has tokens for has no more, and goes on with those that he has.
static void streams_are_begun_at_a_rate(void **state)
{
	enum { TOKENS = 10 };
	(void)state;
	push(ALICE, alice_key, SSRC, 1);
	assert_int_equal(heard(), 1);
	worker()->tsc_hz = UINT64_C(1) << 62; // none is earned
	lab_tokens_set(&lab, 0, ALICE, TOKEN_BIRTH, TOKENS);
	for (uint32_t i = 1; i <= 2 * TOKENS; i++)
		push(ALICE, alice_key, SSRC + i, 1);
	assert_int_equal(heard(), TOKENS);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_STREAM_SHARE), TOKENS);
	push(ALICE, alice_key, SSRC, 2);
	push(BOB, bob_key, OTHER_SSRC, 1);
	assert_int_equal(heard(), 2);
}

// The oldest go first, and only what has been silent.
static void oldest_of_his_go_first(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 150; i++) {
		push(ALICE, alice_key, SSRC + i, 1);
		heard();
	}
	for (uint32_t i = 0; i < 20; i++)
		push(BOB, bob_key, OTHER_SSRC + i, 1);
	heard();
	seconds_pass(5);
	push(ALICE, alice_key, SSRC + 7, 2); // the oldest but for this one
	uint32_t ssrc = SSRC + 150;
	while (!asked_for(alice_key, SRTP_RTP)) {
		push(ALICE, alice_key, ssrc++, 1);
		heard();
	}
	uint32_t before = born_of(alice_key, SRTP_RTP);
	reaper_note(&reaper, &lab.relay, alice_key->ctx[SRTP_RTP]);
	reaper_tick(&reaper, &lab.relay, &retire);
	retire_all(&retire);
	uint32_t scope = alice_key->ctx[SRTP_RTP];
	assert_true(born_of(alice_key, SRTP_RTP) < before);
	assert_null(stream_find(streams(), scope, SSRC));
	assert_non_null(stream_find(streams(), scope, SSRC + 7));
	assert_non_null(stream_find(streams(), scope, ssrc - 1));
	for (uint32_t i = 0; i < 20; i++)
		assert_non_null(stream_find(streams(), bob_key->ctx[SRTP_RTP], OTHER_SSRC + i));
	push(ALICE, alice_key, ssrc, 1); // and there is room for the next
	assert_true(heard() > 0);
	assert_int_equal(lab_drops(&lab, 0), 0);
}

// A leg that is gone gives back what was heard on it, and what was sent for it.
static void gone_leg_gives_back(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 50; i++)
		push(ALICE, alice_key, SSRC + i, 1);
	push(BOB, bob_key, OTHER_SSRC, 1);
	heard();
	uint32_t used = stream_table_used(streams());
	seconds_pass(5);
	reaper_tick(&reaper, &lab.relay, &retire);
	retire_all(&retire);
	assert_int_equal(stream_table_used(streams()), used);
	struct leg *leg = atomic_exchange(&lab.relay.legs.legs[ALICE], NULL);
	reaper_tick(&reaper, &lab.relay, &retire);
	retire_all(&retire);
	assert_int_equal(born_of(alice_key, SRTP_RTP), 0);
	assert_int_equal(list_of(alice_key, SRTP_RTP)->n_outbound, 1); // what the relay sent of Bob
	assert_int_equal(born_of(bob_key, SRTP_RTP), 1);
	atomic_store(&lab.relay.legs.legs[ALICE], leg);
	push(ALICE, alice_key, SSRC, 2);
	assert_true(heard() > 0);
	assert_int_equal(lab_drops(&lab, 0), 0);
}

// --- rest

static void replay_of_a_stream_at_rest(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		push(ALICE, alice_key, SSRC, 65530 + i);
	assert_int_equal(lab_drops(&lab, 0), 0);
	heard();
	rest_all(alice_key, SRTP_RTP);
	rest_all(bob_key, SRTP_RTP);
	for (uint64_t i = 0; i < 10; i++)
		push(ALICE, alice_key, SSRC, 65530 + i);
	assert_int_equal(heard(), 0);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_REPLAYED), 10);
	push(ALICE, alice_key, SSRC, 65540); // its ROC is 1, and nobody carries it
	assert_int_equal(heard(), 1);
	assert_int_equal(lab_drops(&lab, 0), 10);
	push(ALICE, alice_key, SSRC,
		5 + 1); // and one that it missed is not told from those that it did not
	assert_int_equal(heard(), 0);
}

static void replay_of_reports_at_rest(void **state)
{
	(void)state;
	push_rtcp(ALICE, alice_key, SSRC, 7);
	heard();
	rest_all(alice_key, SRTP_RTCP);
	push_rtcp(ALICE, alice_key, SSRC, 7);
	push_rtcp(ALICE, alice_key, SSRC, 6);
	assert_int_equal(heard(), 0);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_REPLAYED), 2);
	push_rtcp(ALICE, alice_key, SSRC, 8);
	assert_int_equal(heard(), 1);
}

// Again and again: the record is the same one.
static void rests_many_times(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 20; i++) {
		push(ALICE, alice_key, SSRC, i);
		assert_int_equal(heard(), 1);
		rest_all(alice_key, SRTP_RTP);
		push(ALICE, alice_key, SSRC, i);
		assert_int_equal(heard(), 0);
		rest_all(alice_key, SRTP_RTP);
	}
	assert_int_equal(lab.relay.keys.streams[alice_key->ctx[SRTP_RTP]].rests.n, 1);
	assert_int_equal(lab.relay.keys.streams[alice_key->ctx[SRTP_RTP]].packets, 20);
}

// What the relay sent under Bob's key rests, too: no index comes again.
static void outbound_index_is_kept_at_rest(void **state)
{
	(void)state;
	push(ALICE, alice_key, SSRC, 100);
	assert_int_equal(heard(), 1);
	rest_all(bob_key, SRTP_RTP);
	// As if the inbound replay list were lost.
	stream_find(streams(), alice_key->ctx[SRTP_RTP], SSRC)->replay = (struct replay_list){};
	push(ALICE, alice_key, SSRC, 100);
	push(ALICE, alice_key, SSRC, 99);
	for (unsigned i = 0, n = heard(); i < n; i++)
		assert_int_not_equal(srtp_read32(copies[i].payload + 8), SSRC);
	push(ALICE, alice_key, SSRC, 101);
}

// Whose an SSRC was it stays.
static void ssrc_at_rest_is_nobody_elses(void **state)
{
	(void)state;
	push(ALICE, alice_key, SSRC, 1); // the relay sends under Bob's key
	push(BOB, bob_key, OTHER_SSRC, 1);
	heard();
	rest_all(bob_key, SRTP_RTP);
	push(BOB, bob_key, SSRC, 1);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_SSRC_COLLISION), 1);
	assert_int_equal(heard(), 0);
	push(ALICE, alice_key, OTHER_SSRC, 1);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_SSRC_COLLISION), 2);
	assert_int_equal(heard(), 0);
}

// The same of reports, of which the relay sends what has no token for a stream of its own.
static void ssrc_of_reports_at_rest_is_nobody_elses(void **state)
{
	(void)state;
	push_rtcp(BOB, bob_key, OTHER_SSRC, 1);
	heard();
	rest_all(bob_key, SRTP_RTCP);
	worker()->tsc_hz = UINT64_C(1) << 62;
	push_rtcp(ALICE, alice_key, SSRC, 1);
	lab_tokens_set(&lab, 0, ALICE, TOKEN_BIRTH, 10);
	assert_int_equal(heard(), 1);
	push_rtcp(ALICE, alice_key, OTHER_SSRC, 2);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_SSRC_COLLISION), 1);
	assert_int_equal(heard(), 0);
	push_rtcp(ALICE, alice_key, SSRC + 1, 3); // does without
	assert_int_equal(heard(), 1);
	assert_null(stream_find(streams(), bob_key->ctx[SRTP_RTCP], SSRC + 1));
}

// While a worker may still be at it nothing is accepted of it.
static void nothing_is_accepted_on_the_way_to_rest(void **state)
{
	(void)state;
	worker_online(worker());
	push(ALICE, alice_key, SSRC, 1);
	heard();
	stream_list_sweep(&lab.relay, &retire, list_of(alice_key, SRTP_RTP), ends_all, NULL);
	retire_poll(&retire);
	push(ALICE, alice_key, SSRC, 1);
	push(ALICE, alice_key, SSRC, 2);
	assert_int_equal(heard(), 0);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_STREAM_BUSY), 2);
	rte_rcu_qsbr_quiescent(lab.relay.rcu, 0);
	retire_poll(&retire);
	push(ALICE, alice_key, SSRC, 1);
	push(ALICE, alice_key, SSRC, 2);
	assert_int_equal(heard(), 1);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_REPLAYED), 1);
	worker_offline(worker());
}

// With its key goes all that is kept of it.
static void nothing_stays_of_a_key(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 50; i++)
		push(ALICE, alice_key, SSRC + i, 1);
	heard();
	rest_all(alice_key, SRTP_RTP);
	struct stream_list *list = list_of(alice_key, SRTP_RTP);
	assert_int_equal(streams()->rests.n, 50);
	stream_list_unlink(streams(), list);
	stream_list_free(streams(), list);
	assert_int_equal(streams()->rests.n, 0);
	for (uint64_t i = 0; i <= streams()->rests.bucket_mask; i++)
		assert_int_equal(streams()->rests.buckets[i], 0);
	push(ALICE, alice_key, SSRC, 1);
	assert_non_null(stream_find(streams(), alice_key->ctx[SRTP_RTP], SSRC));
	heard();
}

// A key that goes while one of its streams is on the way to rest takes the record along.
static void key_goes_while_a_stream_goes_to_rest(void **state)
{
	(void)state;
	push(ALICE, alice_key, SSRC, 1);
	heard();
	struct stream_list *list = list_of(alice_key, SRTP_RTP);
	stream_list_sweep(&lab.relay, &retire, list, ends_all, NULL);
	stream_list_unlink(streams(), list);
	retire_all(&retire);
	stream_list_free(streams(), list);
	assert_int_equal(streams()->rests.n, 0);
}

// What has no room at rest stays a stream.
static void no_room_at_rest(void **state)
{
	(void)state;
	push(ALICE, alice_key, SSRC, 1);
	heard();
	list_of(alice_key, SRTP_RTP)->rests.n = STREAM_RESTS_OF_ONE;
	stream_list_sweep(&lab.relay, &retire, list_of(alice_key, SRTP_RTP), ends_all, NULL);
	retire_all(&retire);
	assert_non_null(stream_find(streams(), alice_key->ctx[SRTP_RTP], SSRC));
	assert_int_equal(streams()->rests.n, 0);
	list_of(alice_key, SRTP_RTP)->rests.n = 0;
	push(ALICE, alice_key, SSRC, 1);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_REPLAYED), 1);
	push(ALICE, alice_key, SSRC, 2);
	assert_int_equal(heard(), 1);
}

#define in_lab(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_lab(new_ssrc_in_each_packet),
		in_lab(new_ssrc_in_each_report),
		in_lab(new_ssrc_in_each_packet_of_a_user),
		in_lab(a_user_is_one_client),
		in_lab(streams_are_begun_at_a_rate),
		in_lab(oldest_of_his_go_first),
		in_lab(gone_leg_gives_back),
		in_lab(replay_of_a_stream_at_rest),
		in_lab(replay_of_reports_at_rest),
		in_lab(rests_many_times),
		in_lab(outbound_index_is_kept_at_rest),
		in_lab(ssrc_at_rest_is_nobody_elses),
		in_lab(ssrc_of_reports_at_rest_is_nobody_elses),
		in_lab(nothing_is_accepted_on_the_way_to_rest),
		in_lab(nothing_stays_of_a_key),
		in_lab(key_goes_while_a_stream_goes_to_rest),
		in_lab(no_room_at_rest),
	};
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
