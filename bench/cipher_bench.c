// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <stdlib.h>
#include <string.h>

#include <intel-ipsec-mb.h>
#include <rte_cycles.h>
#include <rte_prefetch.h>

#include "base/secmem.h"
#include "bench/bench.h"
#include "crypto/cipher_registry.h"
#include "crypto/srtp.h"

// The cipher alone: IPsec-MB called directly, which is the floor of all that protects; and with it
// what SRTP adds, without a relay around it.

enum {
	N_PACKETS = 32,     // of a chunk's repetition: a worker's burst
	N_REPEATS = 16,     // of the burst in a chunk
	N_SIZES = 8,        // of ragged packets
	PACKET_ROOM = 1536, // octets
	AAD_LEN = RTP_HEADER_MIN,
};

// Sizes of voice (AMR-WB, EVS, Opus), DTMF and video packets, octets of payload.
static const uint16_t ragged[N_SIZES] = {33, 61, 4, 160, 320, 1187, 77, 613};

// One thread's.
struct cipher_thread {
	struct gcm_key_data *keys;
	uint32_t n_keys;
	uint16_t sizes[N_PACKETS];
	uint64_t random;
	struct gcm_context_data context;
	uint8_t iv[CIPHER_IV_LEN], salt[SRTP_SALT_MAX], tag[SRTP_GCM_TAG_LEN];
	struct srtp_op ops[N_PACKETS];
	uint8_t packets[N_PACKETS][PACKET_ROOM];
	uint8_t copies[N_PACKETS][PACKET_ROOM];
};

struct cipher_state {
	IMB_MGR *manager;
	const struct cipher *cipher;
	unsigned n_workers;
	struct cipher_thread *threads;
};

static void thread_open(struct cipher_state *state, struct cipher_thread *t,
	const struct bench *bench, unsigned worker)
{
	t->random = worker + 1;
	t->n_keys = bench->keys ? bench->keys : 1;
	t->keys = secmem_map(t->n_keys * sizeof(*t->keys)); // where key contexts lie
	bench_require(t->keys);
	for (uint32_t i = 0; i < t->n_keys; i++) {
		uint64_t key[2] = {bench_random(&t->random), bench_random(&t->random)};
		IMB_AES128_GCM_PRE(state->manager, key, &t->keys[i]);
	}
	for (unsigned i = 0; i < N_PACKETS; i++) {
		t->sizes[i] = bench->octets ? bench->octets : ragged[i % N_SIZES];
		t->packets[i][0] = 0x80;
	}
}

static void *cipher_bench_open(const struct bench *bench, unsigned n_workers)
{
	const char *why;
	struct cipher_state *state = bench_alloc(sizeof(*state));
	state->manager = alloc_mb_mgr(0);
	bench_require(state->manager);
	init_mb_mgr_auto(state->manager, NULL);
	state->cipher = cipher_open("ipsec-mb", &why);
	bench_require(state->cipher);
	state->n_workers = n_workers;
	state->threads = bench_alloc(n_workers * sizeof(*state->threads));
	for (unsigned i = 0; i < n_workers; i++)
		thread_open(state, &state->threads[i], bench, i);
	return state;
}

static void cipher_bench_close(void *arg)
{
	struct cipher_state *state = arg;
	for (unsigned i = 0; i < state->n_workers; i++)
		secmem_unmap(state->threads[i].keys,
			state->threads[i].n_keys * sizeof(struct gcm_key_data));
	free(state->threads);
	free_mb_mgr(state->manager);
	free(state);
}

static void burst_encrypt(struct cipher_state *state, struct cipher_thread *t)
{
	for (unsigned i = 0; i < N_PACKETS; i++) {
		uint8_t *text = t->packets[i] + AAD_LEN;
		IMB_AES128_GCM_ENC(state->manager, t->keys, &t->context, text, text, t->sizes[i],
			t->iv, t->packets[i], AAD_LEN, t->tag, SRTP_GCM_TAG_LEN);
	}
}

static struct chunk cipher_run(void *arg, unsigned worker)
{
	struct cipher_state *state = arg;
	struct cipher_thread *t = &state->threads[worker];
	uint64_t start = rte_rdtsc_precise();
	for (unsigned r = 0; r < N_REPEATS; r++)
		burst_encrypt(state, t);
	return (struct chunk){rte_rdtsc_precise() - start, N_REPEATS * N_PACKETS};
}

// Each packet under a random key, which is not prefetched.
static struct chunk cipher_cold_run(void *arg, unsigned worker)
{
	struct cipher_state *state = arg;
	struct cipher_thread *t = &state->threads[worker];
	uint64_t start = rte_rdtsc_precise();
	for (unsigned i = 0; i < N_PACKETS * N_REPEATS; i++) {
		uint8_t *packet = t->packets[i % N_PACKETS], *text = packet + AAD_LEN;
		IMB_AES128_GCM_ENC(state->manager,
			&t->keys[bench_random_below(&t->random, t->n_keys)], &t->context, text,
			text, t->sizes[i % N_PACKETS], t->iv, packet, AAD_LEN, t->tag,
			SRTP_GCM_TAG_LEN);
	}
	return (struct chunk){rte_rdtsc_precise() - start, N_REPEATS * N_PACKETS};
}

// The lines of a key that a packet of 160 octets needs: round keys and the powers of the hash key.
static void key_prefetch(const struct gcm_key_data *key)
{
	const uint8_t *octets = (const uint8_t *)key;
	for (unsigned at = 0; at < 176; at += 64)
		rte_prefetch0(octets + at);
	for (unsigned at = sizeof(*key) - 192; at < sizeof(*key); at += 64)
		rte_prefetch0(octets + at);
	rte_prefetch0(octets + sizeof(*key) - 1);
}

// Each packet under a random key, which is prefetched some packets ahead: the floor with as many keys.
static struct chunk cipher_prefetch_run(void *arg, unsigned worker)
{
	enum { AHEAD = 8, N = N_PACKETS * N_REPEATS };
	struct cipher_state *state = arg;
	struct cipher_thread *t = &state->threads[worker];
	struct gcm_key_data *keys[N + AHEAD];
	for (unsigned i = 0; i < N + AHEAD; i++)
		keys[i] = &t->keys[bench_random_below(&t->random, t->n_keys)];
	uint64_t start = rte_rdtsc_precise();
	for (unsigned i = 0; i < N; i++) {
		uint8_t *packet = t->packets[i % N_PACKETS], *text = packet + AAD_LEN;
		key_prefetch(keys[i + AHEAD]);
		IMB_AES128_GCM_ENC(state->manager, keys[i], &t->context, text, text,
			t->sizes[i % N_PACKETS], t->iv, packet, AAD_LEN, t->tag, SRTP_GCM_TAG_LEN);
	}
	return (struct chunk){rte_rdtsc_precise() - start, N};
}

static void ops_fill(struct cipher_thread *t, struct srtp_op *ops[], bool protected)
{
	for (unsigned i = 0; i < N_PACKETS; i++) {
		uint16_t tail = protected ? SRTP_GCM_TAG_LEN : 0;
		t->ops[i] = (struct srtp_op){
			.key = t->keys,
			.salt = t->salt,
			.src = t->packets[i],
			.dst = t->packets[i],
			.index = i,
			.len = (uint16_t)(RTP_HEADER_MIN + t->sizes[i] + tail),
			.head_len = RTP_HEADER_MIN,
		};
		ops[i] = &t->ops[i];
	}
}

static struct chunk protect_run(void *arg, unsigned worker)
{
	struct cipher_state *state = arg;
	struct cipher_thread *t = &state->threads[worker];
	uint64_t start = rte_rdtsc_precise();
	for (unsigned r = 0; r < N_REPEATS; r++) {
		struct srtp_op *ops[N_PACKETS];
		ops_fill(t, ops, false);
		bench_require(srtp_protect_burst(state->cipher, ops, N_PACKETS) == N_PACKETS);
	}
	return (struct chunk){rte_rdtsc_precise() - start, N_REPEATS * N_PACKETS};
}

// Packets are decrypted in place, so each repetition begins with a copy, off the clock.
static struct chunk unprotect_run(void *arg, unsigned worker)
{
	struct cipher_state *state = arg;
	struct cipher_thread *t = &state->threads[worker];
	struct srtp_op *ops[N_PACKETS];
	uint64_t cycles = 0;
	ops_fill(t, ops, false);
	bench_require(srtp_protect_burst(state->cipher, ops, N_PACKETS) == N_PACKETS);
	memcpy(t->copies, t->packets, sizeof(t->copies));
	for (unsigned r = 0; r < N_REPEATS; r++) {
		memcpy(t->packets, t->copies, sizeof(t->packets));
		uint64_t start = rte_rdtsc_precise();
		ops_fill(t, ops, true);
		bench_require(srtp_unprotect_burst(state->cipher, ops, N_PACKETS) == N_PACKETS);
		cycles += rte_rdtsc_precise() - start;
	}
	return (struct chunk){cycles, N_REPEATS * N_PACKETS};
}

#define BENCH(name_, what_, octets_, keys_, run_)                                                  \
	{.name = name_,                                                                            \
		.what = what_,                                                                     \
		.octets = octets_,                                                                 \
		.keys = keys_,                                                                     \
		.open = cipher_bench_open,                                                         \
		.run = run_,                                                                       \
		.close = cipher_bench_close}

const struct bench cipher_benches[] = {
	BENCH("cipher-gcm128-40", "bare IPsec-MB, warm key", 40, 0, cipher_run),
	BENCH("cipher-gcm128-160", "bare IPsec-MB, warm key: the floor", 160, 0, cipher_run),
	BENCH("cipher-gcm128-1200", "bare IPsec-MB, warm key", 1200, 0, cipher_run),
	BENCH("cipher-gcm128-ragged", "bare IPsec-MB, warm key, 4 to 1187 octets", 0, 0,
		cipher_run),
	BENCH("cipher-gcm128-160-cold", "bare IPsec-MB, random keys, no prefetch", 160, 1000000,
		cipher_cold_run),
	BENCH("cipher-gcm128-160-prefetch",
		"bare IPsec-MB, random keys, prefetched 8 packets ahead", 160, 1000000,
		cipher_prefetch_run),
	BENCH("unprotect-160", "SRTP to RTP, warm key, no relay", 160, 0, unprotect_run),
	BENCH("protect-160", "RTP to SRTP, warm key, no relay", 160, 0, protect_run),
	{},
};
