// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <stdlib.h>
#include <string.h>

#include <rte_crypto.h>
#include <rte_cycles.h>
#include <rte_mbuf.h>

#include "bench/bench.h"
#include "dataplane/cryptodev.h"

// A crypto device alone, called as a worker does: bursts of encryptions in place, warm key.

enum {
	N_OPS = 32,     // of a burst: a worker's
	N_REPEATS = 16, // of the burst in a chunk
	PACKET_ROOM = 2048 + RTE_PKTMBUF_HEADROOM,
	N_PACKETS = 127, // in the pool
};

struct cryptodev_state {
	const struct bench *bench;
	struct rte_mempool *packets;
	struct cryptodev *device;
	struct rte_crypto_op *ops[N_OPS];
};

static void op_fill(struct cryptodev_state *state, struct rte_crypto_op *op)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(state->packets);
	bench_require(mbuf && rte_pktmbuf_append(mbuf, state->bench->octets));
	op->sym->m_src = mbuf;
	op->sym->session = state->device->keys[0].encrypt;
	op->sym->aead.data.length = state->bench->octets;
}

static void *cryptodev_bench_open(const struct bench *bench, unsigned n_workers)
{
	static const uint8_t key[SRTP_KEY_MAX];
	struct cryptodev_state *state = bench_alloc(sizeof(*state));
	char why[512];
	(void)n_workers;
	state->bench = bench;
	state->packets = rte_pktmbuf_pool_create(
		"bench_packets", N_PACKETS, 0, 0, PACKET_ROOM, SOCKET_ID_ANY);
	bench_require(state->packets);
	state->device =
		cryptodev_open(bench->detail, 1, N_OPS, 1, state->packets, why, sizeof(why));
	if (!state->device)
		fprintf(stderr, "mcxbench: %s\n", why);
	bench_require(state->device);
	bench_require(cryptodev_key_open(state->device, 0, SRTP_AEAD_AES_128_GCM, key) == 0);
	bench_require(cryptodev_ops_take(state->device, state->ops, N_OPS) == 0);
	for (unsigned i = 0; i < N_OPS; i++)
		op_fill(state, state->ops[i]);
	return state;
}

static void cryptodev_bench_close(void *arg)
{
	struct cryptodev_state *state = arg;
	for (unsigned i = 0; i < N_OPS; i++)
		rte_pktmbuf_free(state->ops[i]->sym->m_src);
	cryptodev_close(state->device);
	rte_mempool_free(state->packets);
	free(state);
}

static void burst_run(struct cryptodev_state *state)
{
	unsigned given = 0, taken = 0;
	while (taken < N_OPS) {
		given += cryptodev_enqueue(
			state->device, 0, state->ops + given, (uint16_t)(N_OPS - given));
		struct rte_crypto_op *done[N_OPS];
		taken += cryptodev_dequeue(state->device, 0, done, (uint16_t)(N_OPS - taken));
	}
}

static struct chunk cryptodev_run(void *arg, unsigned worker)
{
	struct cryptodev_state *state = arg;
	(void)worker;
	uint64_t start = rte_rdtsc_precise();
	for (unsigned r = 0; r < N_REPEATS; r++)
		burst_run(state);
	return (struct chunk){rte_rdtsc_precise() - start, N_REPEATS * N_OPS};
}

#define BENCH(name_, device_, octets_)                                                             \
	{.name = name_,                                                                            \
		.what = "a crypto device, encryption, warm key",                                   \
		.octets = octets_,                                                                 \
		.alone = true,                                                                     \
		.detail = device_,                                                                 \
		.open = cryptodev_bench_open,                                                      \
		.run = cryptodev_run,                                                              \
		.close = cryptodev_bench_close}

const struct bench cryptodev_benches[] = {
	BENCH("cryptodev-aesni-gcm-160", "crypto_aesni_gcm0", 160),
	BENCH("cryptodev-aesni-gcm-1200", "crypto_aesni_gcm0", 1200),
	BENCH("cryptodev-aesni-mb-160", "crypto_aesni_mb0", 160),
	BENCH("cryptodev-openssl-160", "crypto_openssl0", 160),
	{},
};
