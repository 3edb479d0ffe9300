// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <rte_config.h>
#include <rte_rcu_qsbr.h>

#include "dataplane/stream_table.h"
#include "tests/unit/dataplane_lab.h"

enum {
	MODEL_SIZE = 100,
	MODEL_SCOPES = 5,
	MODEL_SSRCS = 40,
	MODEL_STEPS = 100000,
};

// How many streams a chain of siblings has, and that each is of that scope.
static unsigned siblings_count(const struct stream_table *table, uint32_t head, uint32_t scope)
{
	unsigned n = 0;
	for (uint32_t i = head; i != 0; i = table->streams[i - 1].sibling) {
		assert_int_equal(table->streams[i - 1].scope, scope);
		assert_true(n++ <= table->size);
	}
	return n;
}

static void buckets_check_empty(const struct stream_table *table)
{
	for (uint64_t i = 0; i <= table->bucket_mask; i++)
		assert_int_equal(table->buckets[i], 0);
}

// The control thread forgets a sibling list as a whole: here stream by stream, the chain is not
// looked at.
static void agrees_with_model(void **state)
{
	struct stream_table table;
	struct stream *model[MODEL_SCOPES][MODEL_SSRCS] = {{NULL}};
	unsigned n = 0, seed = 1, refused = 0;
	(void)state;

	assert_int_equal(stream_table_init(&table, MODEL_SIZE), 0);
	// Few chains for many streams.
	uint64_t mask = table.bucket_mask;
	table.bucket_mask = 7;
	for (unsigned step = 0; step < MODEL_STEPS; step++) {
		struct stream_list siblings = {.newest = 0};
		uint32_t scope = (uint32_t)rand_r(&seed) % MODEL_SCOPES;
		uint32_t ssrc = (uint32_t)rand_r(&seed) % MODEL_SSRCS;
		struct stream **known = &model[scope][ssrc];
		assert_ptr_equal(stream_find(&table, scope, ssrc), *known);
		if (rand_r(&seed) % 3 == 0 && *known) {
			stream_unlink(&table, *known);
			stream_free(&table, *known);
			*known = NULL;
			n--;
			continue;
		}
		struct stream *stream = stream_create(
			&table, &siblings, scope, ssrc, (uint8_t)step, SRTP_RTP, step);
		if (*known) {
			assert_ptr_equal(stream, *known);
			assert_int_equal(siblings.newest, 0);
		} else if (n == MODEL_SIZE) {
			assert_null(stream);
			refused++;
		} else {
			assert_non_null(stream);
			assert_int_equal(stream->scope, scope);
			assert_int_equal(stream->ssrc, ssrc);
			assert_int_equal(stream->worker, (uint8_t)step);
			assert_int_equal(stream->source, step);
			assert_int_equal(stream->replay.next, 0);
			assert_int_equal(siblings.newest, stream_index(&table, stream) + 1);
			stream->replay.next = step + 1;
			*known = stream;
			n++;
		}
	}
	assert_true(refused > 0);
	for (unsigned scope = 0; scope < MODEL_SCOPES; scope++)
		for (unsigned ssrc = 0; ssrc < MODEL_SSRCS; ssrc++)
			if (model[scope][ssrc])
				stream_unlink(&table, model[scope][ssrc]);
	buckets_check_empty(&table);
	table.bucket_mask = mask;
	stream_table_fini(&table);
}

static void full_table_finds_what_it_has(void **state)
{
	enum { SIZE = 16 };
	struct stream_table table;
	struct stream_list siblings = {.newest = 0};
	(void)state;

	assert_int_equal(stream_table_init(&table, SIZE), 0);
	for (uint32_t ssrc = 0; ssrc < SIZE; ssrc++)
		assert_non_null(stream_create(&table, &siblings, 1, ssrc, 0, 0, STREAM_NONE));
	for (unsigned i = 0; i < 3; i++)
		assert_null(stream_create(&table, &siblings, 1, SIZE, 0, 0, STREAM_NONE));
	struct stream *last = stream_find(&table, 1, SIZE - 1);
	assert_non_null(last);
	assert_ptr_equal(stream_create(&table, &siblings, 1, SIZE - 1, 0, 0, STREAM_NONE), last);
	assert_int_equal(siblings_count(&table, siblings.newest, 1), SIZE);
	stream_unlink(&table, last);
	stream_free(&table, last);
	assert_ptr_equal(stream_create(&table, &siblings, 2, SIZE, 0, 0, STREAM_NONE), last);
	stream_table_fini(&table);
}

// --- several workers at once

enum {
	THREADS = 4,
#ifdef __SANITIZE_THREAD__
	ROUNDS = 4, // a round takes seconds
#else
	ROUNDS = 100,
#endif
	SHARED = 1024, // streams that all threads create, in a different order each
	PRIVATE = 32,  // streams of one thread only
	RACE_SIZE = 4096,
};

struct race {
	struct stream_table table;
	struct stream_list
		siblings[THREADS + 1]; // of each thread's own scope, and of the shared one
	pthread_barrier_t end;
	_Atomic unsigned lined_up;
	struct rte_rcu_qsbr *rcu;
	_Atomic unsigned ready;
	_Atomic bool quit;
	_Atomic uint32_t lost, wrong;
};

struct racer {
	struct race *race;
	uint8_t id;
	unsigned owned[ROUNDS]; // shared streams of which it is the owner
};

static unsigned racer_create(struct racer *racer)
{
	struct race *race = racer->race;
	unsigned owned = 0;
	for (uint32_t i = 0; i < SHARED; i++) {
		uint32_t ssrc = (racer->id % 2 ? i * 5 : i) % SHARED;
		struct stream *s = stream_create(&race->table, &race->siblings[THREADS], THREADS,
			ssrc, racer->id, SRTP_RTP, STREAM_NONE);
		if (!s || s->scope != THREADS || s->ssrc != ssrc)
			race->wrong++;
		else
			owned += s->worker == racer->id;
		if (i >= PRIVATE)
			continue;
		s = stream_create(&race->table, &race->siblings[racer->id], racer->id, i, racer->id,
			SRTP_RTP, STREAM_NONE);
		if (!s || s->worker != racer->id)
			race->wrong++;
	}
	return owned;
}

// Starts the threads of a round together, not one after the other as a barrier wakes them.
static void line_up(struct race *race, unsigned round)
{
	race->lined_up++;
	while (race->lined_up < (round + 1) * (THREADS + 1))
		sched_yield();
}

static void *racer_run(void *arg)
{
	struct racer *racer = arg;
	for (unsigned round = 0; round < ROUNDS; round++) {
		line_up(racer->race, round);
		racer->owned[round] = racer_create(racer);
		pthread_barrier_wait(&racer->race->end);
	}
	return NULL;
}

static void siblings_free(struct race *race, uint32_t list)
{
	uint32_t next;
	for (uint32_t i = atomic_exchange(&race->siblings[list].newest, 0); i != 0; i = next) {
		struct stream *stream = &race->table.streams[i - 1];
		next = stream->sibling;
		stream_unlink(&race->table, stream);
		stream_free(&race->table, stream);
	}
}

static void round_check(struct race *race)
{
	for (uint32_t list = 0; list <= THREADS; list++) {
		unsigned expected = list == THREADS ? SHARED : PRIVATE;
		assert_int_equal(
			siblings_count(&race->table, race->siblings[list].newest, list), expected);
		for (uint32_t ssrc = 0; ssrc < expected; ssrc++)
			assert_non_null(stream_find(&race->table, list, ssrc));
		siblings_free(race, list);
	}
	buckets_check_empty(&race->table);
}

// Nothing leaked, nothing is there twice: as many streams fit into the empty table as ever.
static void race_check_room(struct race *race)
{
	struct stream_list siblings = {.newest = 0};
	for (uint32_t ssrc = 0; ssrc < RACE_SIZE; ssrc++)
		assert_non_null(stream_create(&race->table, &siblings, 5, ssrc, 0, 0, STREAM_NONE));
	assert_null(stream_create(&race->table, &siblings, 5, RACE_SIZE, 0, 0, STREAM_NONE));
	assert_int_equal(siblings_count(&race->table, siblings.newest, 5), RACE_SIZE);
}

static void each_stream_is_born_once(void **state)
{
	static struct race race;
	static struct racer racers[THREADS];
	pthread_t threads[THREADS];
	(void)state;

	assert_int_equal(stream_table_init(&race.table, RACE_SIZE), 0);
	uint64_t mask = race.table.bucket_mask;
	race.table.bucket_mask = 0; // so that all meet at one head, and take long to look
	pthread_barrier_init(&race.end, NULL, THREADS + 1);
	for (uint8_t i = 0; i < THREADS; i++) {
		racers[i] = (struct racer){.race = &race, .id = i};
		assert_int_equal(pthread_create(&threads[i], NULL, racer_run, &racers[i]), 0);
	}
	for (unsigned round = 0; round < ROUNDS; round++) {
		unsigned owned = 0;
		line_up(&race, round);
		pthread_barrier_wait(&race.end);
		for (unsigned i = 0; i < THREADS; i++)
			owned += racers[i].owned[round];
		assert_int_equal(owned, SHARED); // one owner each, and all agree on it
		round_check(&race);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(race.wrong, 0);
	race.table.bucket_mask = mask;
	race_check_room(&race);
	stream_table_fini(&race.table);
	pthread_barrier_destroy(&race.end);
}

// A worker that creates its streams again and again; one it did not see born must be its own.
static void *churner_run(void *arg)
{
	struct racer *racer = arg;
	struct race *race = racer->race;
	rte_rcu_qsbr_thread_online(race->rcu, racer->id);
	race->ready++;
	while (!atomic_load_explicit(&race->quit, memory_order_relaxed)) {
		racer_create(racer);
		for (uint32_t ssrc = 0; ssrc < PRIVATE; ssrc++) {
			const struct stream *s = stream_find(&race->table, 1000, ssrc);
			if (!s || s->scope != 1000 || s->ssrc != ssrc)
				race->lost++;
		}
		rte_rcu_qsbr_quiescent(race->rcu, racer->id);
		sched_yield();
	}
	rte_rcu_qsbr_thread_offline(race->rcu, racer->id);
	return NULL;
}

// rte_rcu_qsbr_synchronize() for more threads than cores: lets them run instead of spinning.
static void wait_workers(struct rte_rcu_qsbr *rcu)
{
	uint64_t token = rte_rcu_qsbr_start(rcu);
	while (rte_rcu_qsbr_check(rcu, token, false) == 0)
		sched_yield();
}

// As control does it when a key goes: the list is taken, its streams leave their chains, and are
// used again after each worker passed.
static void control_retire(struct race *race, uint32_t list)
{
	uint32_t head = atomic_exchange(&race->siblings[list].newest, 0);
	for (uint32_t i = head; i != 0; i = race->table.streams[i - 1].sibling)
		stream_unlink(&race->table, &race->table.streams[i - 1]);
	wait_workers(race->rcu);
	for (uint32_t i = head, next; i != 0; i = next) {
		next = race->table.streams[i - 1].sibling;
		stream_free(&race->table, &race->table.streams[i - 1]);
	}
}

static void control_unlinks_while_workers_create(void **state)
{
	enum { RETIREMENTS = 60 };
	static struct race race;
	static struct racer racers[THREADS];
	struct stream_list kept = {.newest = 0};
	pthread_t threads[THREADS];
	(void)state;

	race.rcu = aligned_alloc(RTE_CACHE_LINE_SIZE, rte_rcu_qsbr_get_memsize(THREADS));
	assert_non_null(race.rcu);
	assert_int_equal(rte_rcu_qsbr_init(race.rcu, THREADS), 0);
	assert_int_equal(stream_table_init(&race.table, RACE_SIZE), 0);
	uint64_t mask = race.table.bucket_mask;
	race.table.bucket_mask = 0;
	for (uint32_t ssrc = 0; ssrc < PRIVATE; ssrc++)
		assert_non_null(stream_create(&race.table, &kept, 1000, ssrc, 0, 0, STREAM_NONE));
	for (uint8_t i = 0; i < THREADS; i++) {
		racers[i] = (struct racer){.race = &race, .id = i};
		assert_int_equal(rte_rcu_qsbr_thread_register(race.rcu, i), 0);
		assert_int_equal(pthread_create(&threads[i], NULL, churner_run, &racers[i]), 0);
	}
	while (race.ready < THREADS)
		sched_yield();
	for (unsigned i = 0; i < RETIREMENTS; i++)
		control_retire(&race, i % (THREADS + 1));
	race.quit = true;
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(race.wrong, 0);
	assert_int_equal(race.lost, 0);
	for (uint32_t list = 0; list <= THREADS; list++)
		control_retire(&race, list);
	race.siblings[0].newest = kept.newest;
	control_retire(&race, 0);
	buckets_check_empty(&race.table);
	race.table.bucket_mask = mask;
	race_check_room(&race);
	stream_table_fini(&race.table);
	free(race.rcu);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_model),
		cmocka_unit_test(full_table_finds_what_it_has),
		cmocka_unit_test(each_stream_is_born_once),
		cmocka_unit_test(control_unlinks_while_workers_create),
	};
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
