// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// One benchmark: what it measures, and the functions that do it. Time is TSC cycles of one thread.

// What one call of run() took: only what is on the clock.
struct chunk {
	uint64_t cycles;
	uint32_t packets;
};

struct bench {
	const char *name;
	const char *what; // half a sentence
	uint32_t keys;    // key contexts that packets are spread over; 0: not said
	uint16_t octets;  // of a packet's payload; 0: not said, or ragged
	uint32_t copies;  // that the relay sends of a packet; 0: not said
	bool alone;       // always in one thread, whatever --workers says
	const void *detail;
	// Prepares for n_workers threads; aborts if it cannot. Main thread.
	void *(*open)(const struct bench *bench, unsigned n_workers);
	// Produces some packets off the clock and takes them through on the clock. The thread of that
	// worker.
	struct chunk (*run)(void *state, unsigned worker);
	void (*close)(void *state);
	// Writes more JSON members, each with a comma before it; may be NULL. Before close().
	void (*report)(void *state, FILE *out);
};

// What each file has; the name of the last is NULL.
extern const struct bench cipher_benches[], cryptodev_benches[], relay_benches[], key_benches[],
	libsrtp_benches[], openssl_benches[];

struct bench_options {
	double seconds; // of a benchmark, with what is not on the clock
	unsigned rounds, n_workers;
};

enum { BENCH_ROUNDS_MAX = 1000 };

// Runs one benchmark and prints its line of JSON. floor is run in each round beside it.
void bench_run(
	const struct bench *bench, const struct bench *floor, const struct bench_options *options);

// Ends the process, with the place, if a fact that the benchmark rests on does not hold.
#define bench_require(fact) ((fact) ? (void)0 : bench_fail(#fact, __FILE__, __LINE__))
_Noreturn void bench_fail(const char *fact, const char *file, int line);

// The median of n values; sorts them.
double bench_median(double *values, unsigned n);

// Zeroed memory on a cache line; aborts if there is none. free() frees it.
void *bench_alloc(size_t size);

// The next of a sequence of random numbers (splitmix64); *state is the sequence's own.
static inline uint64_t bench_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

// Random below n.
static inline uint32_t bench_random_below(uint64_t *state, uint32_t n)
{
	return (uint32_t)((bench_random(state) >> 32) * n >> 32);
}
