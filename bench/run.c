// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>

#include "bench/bench.h"
#include "crypto/cipher_registry.h"

// The machine is shared and its clock rate moves, so each number is a median, and what numbers are
// compared to runs in the same rounds.

enum {
	CHUNKS_MAX = 32768, // of one round
	CHUNKS_MIN = 8,
	FLOOR_PART = 16, // of a round's time
};

// The medians of each round, TSC cycles a packet.
struct rounds {
	double together[BENCH_ROUNDS_MAX]; // all workers at once
	double alone[BENCH_ROUNDS_MAX];    // worker 0 while the others wait
	double floor[BENCH_ROUNDS_MAX];
};

struct run {
	const struct bench *bench, *floor;
	void *state, *floor_state;
	unsigned rounds, n_workers;
	uint64_t round_cycles;
	pthread_barrier_t barrier;
	uint32_t chunks; // of worker 0 in the last round
	struct rounds workers[];
};

struct run_thread {
	struct run *run;
	unsigned worker;
	double *samples;
};

void bench_fail(const char *fact, const char *file, int line)
{
	fprintf(stderr, "mcxbench: %s:%d: %s does not hold\n", file, line, fact);
	exit(1);
}

void *bench_alloc(size_t size)
{
	size_t rounded = (size + 63) / 64 * 64;
	void *p = aligned_alloc(64, rounded);
	bench_require(p);
	return memset(p, 0, rounded);
}

static int double_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

double bench_median(double *values, unsigned n)
{
	qsort(values, n, sizeof(*values), double_compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

// The median chunk of some time: what the scheduler takes away hits few of them.
static double slice_run(struct run_thread *t, const struct bench *bench, void *state,
	uint64_t cycles, uint32_t *chunks)
{
	uint64_t end = rte_rdtsc() + cycles;
	uint32_t n = 0;
	do {
		struct chunk chunk = bench->run(state, t->worker);
		t->samples[n++] = (double)chunk.cycles / chunk.packets;
	} while (n < CHUNKS_MAX && (n < CHUNKS_MIN || rte_rdtsc() < end));
	*chunks = n;
	return bench_median(t->samples, n);
}

static void round_run(struct run_thread *t, unsigned round)
{
	struct run *run = t->run;
	struct rounds *rounds = &run->workers[t->worker];
	uint32_t chunks;
	if (run->n_workers > 1) {
		pthread_barrier_wait(&run->barrier);
		if (t->worker == 0)
			rounds->alone[round] = slice_run(
				t, run->bench, run->state, run->round_cycles / 2, &chunks);
	}
	pthread_barrier_wait(&run->barrier);
	rounds->together[round] = slice_run(t, run->bench, run->state, run->round_cycles, &chunks);
	if (t->worker == 0)
		run->chunks = chunks;
	rounds->floor[round] =
		slice_run(t, run->floor, run->floor_state, run->round_cycles / FLOOR_PART, &chunks);
}

static int thread_run(void *arg)
{
	struct run_thread *t = arg;
	const char *why;
	const struct cipher *cipher = cipher_open(cipher_auto, &why);
	bench_require(cipher && cipher_thread_init(cipher) == 0);
	t->samples = bench_alloc(CHUNKS_MAX * sizeof(double));
	for (unsigned round = 0; round < t->run->rounds; round++)
		round_run(t, round);
	free(t->samples);
	cipher_thread_fini(cipher);
	return 0;
}

// Worker 0 is the main thread.
static void threads_run(struct run *run)
{
	struct run_thread threads[RTE_MAX_LCORE] = {};
	unsigned lcores[RTE_MAX_LCORE], n = 1, lcore = LCORE_ID_ANY;
	threads[0].run = run;
	while (n < run->n_workers && (lcore = rte_get_next_lcore(lcore, 1, 0)) < RTE_MAX_LCORE) {
		threads[n] = (struct run_thread){.run = run, .worker = n};
		bench_require(rte_eal_remote_launch(thread_run, &threads[n], lcore) == 0);
		lcores[n++] = lcore;
	}
	bench_require(n == run->n_workers);
	thread_run(&threads[0]);
	while (n > 1)
		rte_eal_wait_lcore(lcores[--n]);
}

// --- results

struct result {
	double cycles, min, max; // a packet
	double mpps;             // of all workers
	double floors;           // times what the floor took in the same rounds
	double floor;            // cycles
	double scaling;          // times what one worker does alone
};

static struct result result_of(const struct run *run)
{
	double cycles[BENCH_ROUNDS_MAX] = {}, mpps[BENCH_ROUNDS_MAX] = {},
	       floors[BENCH_ROUNDS_MAX] = {}, floor[BENCH_ROUNDS_MAX] = {},
	       scaling[BENCH_ROUNDS_MAX] = {};
	double mhz = (double)rte_get_tsc_hz() / 1e6;
	for (unsigned r = 0; r < run->rounds; r++) {
		cycles[r] = mpps[r] = floor[r] = 0;
		for (unsigned w = 0; w < run->n_workers; w++) {
			cycles[r] += run->workers[w].together[r] / run->n_workers;
			floor[r] += run->workers[w].floor[r] / run->n_workers;
			mpps[r] += mhz / run->workers[w].together[r];
		}
		floors[r] = cycles[r] / floor[r];
		scaling[r] = mpps[r] / (mhz / run->workers[0].alone[r]);
	}
	struct result result = {
		.mpps = bench_median(mpps, run->rounds),
		.floors = bench_median(floors, run->rounds),
		.floor = bench_median(floor, run->rounds),
		.cycles = bench_median(cycles, run->rounds), // sorts
		.scaling = run->n_workers > 1 ? bench_median(scaling, run->rounds) : 0,
	};
	result.min = cycles[0];
	result.max = cycles[run->rounds - 1];
	return result;
}

static void result_print(const struct run *run, const struct result *result)
{
	const struct bench *bench = run->bench;
	double ns = 1e9 / (double)rte_get_tsc_hz();
	printf("{\"name\":\"%s\",\"ns_per_packet\":%.2f,\"mpps\":%.4f,\"cycles_per_packet\":%.1f",
		bench->name, result->cycles * ns, result->mpps, result->cycles);
	printf(",\"min_ns\":%.2f,\"max_ns\":%.2f,\"spread\":%.3f,\"floor_ns\":%.2f,\"floors\":%.3f",
		result->min * ns, result->max * ns, (result->max - result->min) / result->cycles,
		result->floor * ns, result->floors);
	printf(",\"workers\":%u,\"rounds\":%u,\"chunks\":%u", run->n_workers, run->rounds,
		run->chunks);
	if (run->n_workers > 1)
		printf(",\"scaling\":%.3f", result->scaling);
	if (bench->keys > 0)
		printf(",\"keys\":%u", bench->keys);
	if (bench->octets > 0)
		printf(",\"octets\":%u,\"gbit_per_s\":%.3f", bench->octets,
			result->mpps * bench->octets * 8 / 1e3);
	if (bench->copies > 0)
		printf(",\"copies\":%u,\"ns_per_copy\":%.2f", bench->copies,
			result->cycles * ns / bench->copies);
	struct rusage usage;
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		printf(",\"max_rss_mib\":%ld", usage.ru_maxrss / 1024); // of the process so far
	if (bench->report)
		bench->report(run->state, stdout);
	puts("}");
	fflush(stdout);
}

void bench_run(
	const struct bench *bench, const struct bench *floor, const struct bench_options *options)
{
	unsigned n_workers = bench->alone ? 1 : options->n_workers;
	struct run *run = bench_alloc(sizeof(*run) + n_workers * sizeof(struct rounds));
	run->bench = bench;
	run->floor = floor;
	run->rounds = options->rounds;
	run->n_workers = n_workers;
	run->round_cycles =
		(uint64_t)(options->seconds / options->rounds * (double)rte_get_tsc_hz());
	bench_require(pthread_barrier_init(&run->barrier, NULL, n_workers) == 0);
	run->floor_state = floor->open(floor, n_workers);
	run->state = bench->open(bench, n_workers);
	threads_run(run);
	struct result result = result_of(run);
	result_print(run, &result);
	bench->close(run->state);
	floor->close(run->floor_state);
	pthread_barrier_destroy(&run->barrier);
	free(run);
}
