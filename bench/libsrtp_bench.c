// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <srtp2/srtp.h>

#include "bench/bench.h"

// Unprotect and protect by libsrtp2, in a loop of its own: no look-up of keys, no headers, no ports.
// With NSS below it, as Debian builds it, a packet costs more the more sessions there are: one key each
// way is what it does best.

enum {
	CHUNK_PACKETS = 256,
	PACKET_ROOM = 320, // octets
	MASTER_LEN = 16 + 12,
	MKI_LEN = 8,
	REPLAY_WINDOW = 1024,
	HEADER_LEN = 12,
	PAYLOAD_LEN = 160,
};

struct user {
	srtp_t sender, in, out;
	uint16_t seq;
};

struct libsrtp_thread {
	struct user *users; // each with a key in and a key out
	uint64_t random;
	uint32_t of[CHUNK_PACKETS]; // whose packet it is
	int lens[CHUNK_PACKETS];
	uint8_t packets[CHUNK_PACKETS][PACKET_ROOM];
};

struct libsrtp_state {
	unsigned n_workers;
	uint32_t n_users;
	struct libsrtp_thread *threads;
};

static srtp_t session_create(uint64_t seed, srtp_ssrc_type_t direction)
{
	uint64_t master[(MASTER_LEN + 7) / 8], mki = seed;
	for (unsigned i = 0; i < sizeof(master) / sizeof(master[0]); i++)
		master[i] = bench_random(&seed);
	srtp_master_key_t only = {
		.key = (uint8_t *)master, .mki_id = (uint8_t *)&mki, .mki_size = MKI_LEN};
	srtp_master_key_t *keys[] = {&only};
	srtp_policy_t policy = {
		.ssrc.type = direction,
		.keys = keys,
		.num_master_keys = 1,
		.window_size = REPLAY_WINDOW,
	};
	srtp_t session;
	srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
	srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
	bench_require(srtp_create(&session, &policy) == srtp_err_status_ok);
	return session;
}

static void *libsrtp_open(const struct bench *bench, unsigned n_workers)
{
	struct libsrtp_state *state = bench_alloc(sizeof(*state));
	bench_require(srtp_init() == srtp_err_status_ok);
	state->n_workers = n_workers;
	state->n_users = bench->keys / 2;
	state->threads = bench_alloc(n_workers * sizeof(*state->threads));
	for (unsigned w = 0; w < n_workers; w++) {
		state->threads[w].random = w + 1;
		state->threads[w].users = bench_alloc(state->n_users * sizeof(struct user));
		for (unsigned i = 0; i < state->n_users; i++) {
			struct user *user = &state->threads[w].users[i];
			user->sender = session_create(i, ssrc_any_outbound);
			user->in = session_create(i, ssrc_any_inbound);
			user->out = session_create(state->n_users + i, ssrc_any_outbound);
		}
	}
	return state;
}

static void packet_make(struct libsrtp_thread *t, uint32_t n_users, unsigned i)
{
	uint8_t *packet = t->packets[i];
	t->of[i] = bench_random_below(&t->random, n_users);
	struct user *user = &t->users[t->of[i]];
	memset(packet, user->seq, HEADER_LEN + PAYLOAD_LEN);
	packet[0] = 0x80;
	packet[1] = 96;
	packet[2] = (uint8_t)(user->seq >> 8);
	packet[3] = (uint8_t)user->seq;
	memset(packet + 8, 0x5a, 4); // one SSRC in each session
	user->seq++;
	t->lens[i] = HEADER_LEN + PAYLOAD_LEN;
	bench_require(
		srtp_protect_mki(user->sender, packet, &t->lens[i], 1, 0) == srtp_err_status_ok);
}

static struct chunk libsrtp_run(void *arg, unsigned worker)
{
	struct libsrtp_state *state = arg;
	struct libsrtp_thread *t = &state->threads[worker];
	bool good = true;
	for (unsigned i = 0; i < CHUNK_PACKETS; i++)
		packet_make(t, state->n_users, i);
	uint64_t start = rte_rdtsc_precise();
	for (unsigned i = 0; i < CHUNK_PACKETS; i++) {
		struct user *user = &t->users[t->of[i]];
		good = srtp_unprotect_mki(user->in, t->packets[i], &t->lens[i], 1) ==
			       srtp_err_status_ok &&
		       good;
		good = srtp_protect_mki(user->out, t->packets[i], &t->lens[i], 1, 0) ==
			       srtp_err_status_ok &&
		       good;
	}
	uint64_t cycles = rte_rdtsc_precise() - start;
	bench_require(good);
	return (struct chunk){cycles, CHUNK_PACKETS};
}

static void libsrtp_close(void *arg)
{
	struct libsrtp_state *state = arg;
	for (unsigned w = 0; w < state->n_workers; w++) {
		struct user *users = state->threads[w].users;
		for (unsigned i = 0; i < state->n_users; i++) {
			srtp_dealloc(users[i].sender);
			srtp_dealloc(users[i].in);
			srtp_dealloc(users[i].out);
		}
		free(users);
	}
	srtp_shutdown();
	free(state->threads);
	free(state);
}

#define BENCH(name_, what_, keys_)                                                                 \
	{.name = name_,                                                                            \
		.what = what_,                                                                     \
		.keys = keys_,                                                                     \
		.octets = PAYLOAD_LEN,                                                             \
		.open = libsrtp_open,                                                              \
		.run = libsrtp_run,                                                                \
		.close = libsrtp_close}

const struct bench libsrtp_benches[] = {
	BENCH("libsrtp2-reencrypt-160", "libsrtp2: unprotect and protect, one key each way", 2),
	BENCH("libsrtp2-reencrypt-160-1k", "libsrtp2: unprotect and protect", 1000),
	{},
};
