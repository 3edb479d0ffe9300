// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_prefetch.h>

#include "bench/bench.h"
#include "bench/traffic.h"

// Look-up of key contexts by name, alone; and keys that come in while a worker forwards.

enum {
	LOOKUP_BURST = 32,
	LOOKUP_BURSTS = 16,  // in a chunk
	INSTALL_KEYS = 64,   // in a call
	INSTALL_MAX = 65536, // then they are revoked, off the clock
	INSTALL_USERS = 100,
	INSTALL_OCTETS = 160, // of each packet that is forwarded
	FORWARD_CHUNKS = 16384,
};

// --- look-up

struct lookup_state {
	struct key_table table;
	struct key_name *names;
	uint64_t random[RELAY_WORKERS_MAX];
};

static void *lookup_open(const struct bench *bench, unsigned n_workers)
{
	struct lookup_state *state = bench_alloc(sizeof(*state));
	uint64_t random = 1;
	bench_require(key_table_init(&state->table, bench->keys) == 0);
	state->names = bench_alloc(bench->keys * sizeof(*state->names));
	for (uint32_t i = 0; i < bench->keys; i++) {
		uint32_t ctx = key_table_alloc(&state->table);
		bench_require(ctx != KEY_NONE);
		state->names[i] = (struct key_name){.mki = bench_random(&random), .scope = 1};
		state->table.ctxs[ctx].by_mki = state->names[i];
		key_table_publish(&state->table, ctx);
	}
	for (unsigned i = 0; i < n_workers; i++)
		state->random[i] = i + 1;
	return state;
}

static void lookup_burst(
	const struct key_table *table, const struct key_name *names, const uint32_t *expected)
{
	uint64_t hashes[LOOKUP_BURST];
	for (unsigned i = 0; i < LOOKUP_BURST; i++) {
		hashes[i] = key_name_hash(table, &names[i]);
		rte_prefetch0(key_table_bucket(table, hashes[i]));
	}
	for (unsigned i = 0; i < LOOKUP_BURST; i++)
		bench_require(key_table_find(table, &names[i], hashes[i]) == expected[i]);
}

static struct chunk lookup_run(void *arg, unsigned worker)
{
	struct lookup_state *state = arg;
	struct key_name names[LOOKUP_BURSTS * LOOKUP_BURST];
	uint32_t expected[LOOKUP_BURSTS * LOOKUP_BURST];
	for (unsigned i = 0; i < LOOKUP_BURSTS * LOOKUP_BURST; i++) {
		expected[i] = bench_random_below(&state->random[worker], state->table.n_used);
		names[i] = state->names[expected[i]];
	}
	uint64_t start = rte_rdtsc_precise();
	for (size_t b = 0; b < LOOKUP_BURSTS; b++)
		lookup_burst(&state->table, names + b * LOOKUP_BURST, expected + b * LOOKUP_BURST);
	return (struct chunk){rte_rdtsc_precise() - start, LOOKUP_BURSTS * LOOKUP_BURST};
}

static void lookup_close(void *arg)
{
	struct lookup_state *state = arg;
	key_table_fini(&state->table);
	free(state->names);
	free(state);
}

// --- install while forwarding

struct install_state {
	struct rig *rig;
	struct traffic *traffic;
	struct sender *senders;
	uint32_t n_installed;
	unsigned lcore; // that forwards
	_Atomic bool quit;
	uint32_t n_chunks;     // of forwarding
	double *forwarding;    // TSC cycles a packet, of each of the last FORWARD_CHUNKS
	uint64_t cycles, keys; // of installing
};

static int forward_run(void *arg)
{
	struct install_state *state = arg;
	while (!atomic_load_explicit(&state->quit, memory_order_relaxed)) {
		struct chunk chunk = traffic_run(state->traffic);
		state->forwarding[state->n_chunks++ % FORWARD_CHUNKS] =
			(double)chunk.cycles / chunk.packets;
	}
	return 0;
}

static void install_session(struct install_state *state, const struct traffic_shape *shape)
{
	enum { GMK = 0x01000001 };
	json_t *users = json_array(), *legs = json_array();
	for (unsigned i = 0; i < INSTALL_USERS; i++)
		json_array_append_new(users, json_sprintf("sip:u%u@example", i));
	rig_install(state->rig, rig_key(GMK, users));
	json_array_append_new(
		legs, rig_leg("in", RIG_RAN, 0,
			      json_pack("{s:s,s:s}", "mode", "srtp", "key", "01000001")));
	json_array_append_new(
		legs, rig_leg("out", RIG_CORE, 0, json_pack("{s:s}", "mode", "plain")));
	rig_apply(state->rig, "call", legs);
	rig_learn_gateways(state->rig);
	const struct key_slot *slot = rig_key_slot(state->rig, GMK);
	const struct leg *leg = rig_leg_at(state->rig, RIG_RAN, 0);
	state->senders = bench_alloc(slot->n_users * sizeof(*state->senders));
	for (uint32_t i = 0; i < slot->n_users; i++) {
		state->senders[i].ssrc = i + 1;
		state->senders[i].ctx =
			rig_ctx_in(state->rig, leg, SRTP_RTP, slot->users[i].guk_id);
	}
	state->traffic = traffic_open(state->rig, 0, shape, state->senders, slot->n_users);
	traffic_warm(state->traffic);
}

static void *install_open(const struct bench *bench, unsigned n_workers)
{
	const struct traffic_shape shape = {
		.octets = INSTALL_OCTETS, .mki_len = 8, .roc = true, .copies = 1};
	struct install_state *state = bench_alloc(sizeof(*state));
	(void)bench;
	(void)n_workers;
	state->forwarding = bench_alloc(FORWARD_CHUNKS * sizeof(double));
	state->rig = rig_open((struct rig_size){INSTALL_MAX + 1024, 16, 4096}, 1);
	install_session(state, &shape);
	state->lcore = rte_get_next_lcore(LCORE_ID_ANY, 1, 0);
	bench_require(state->lcore < RTE_MAX_LCORE);
	bench_require(rte_eal_remote_launch(forward_run, state, state->lcore) == 0);
	return state;
}

static json_t *key_names(uint32_t n)
{
	json_t *names = json_array();
	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(
			names, json_pack("{s:o}", "id", json_sprintf("%08x", 0x10000000 + i)));
	return names;
}

// Keys of private calls, 64 in a request.
static struct chunk install_run(void *arg, unsigned worker)
{
	struct install_state *state = arg;
	(void)worker;
	if (state->n_installed == INSTALL_MAX) {
		rig_call(state->rig, "key.revoke",
			json_pack("{s:o}", "keys", key_names(state->n_installed)));
		state->n_installed = 0;
	}
	json_t *keys = json_array();
	for (unsigned i = 0; i < INSTALL_KEYS; i++)
		json_array_append_new(keys, rig_key(0x10000000 + state->n_installed++, NULL));
	json_t *params = json_pack("{s:o}", "keys", keys);
	uint64_t start = rte_rdtsc_precise();
	rig_call(state->rig, "key.install", params);
	struct chunk chunk = {rte_rdtsc_precise() - start, INSTALL_KEYS};
	state->cycles += chunk.cycles;
	state->keys += chunk.packets;
	return chunk;
}

static void install_stop(struct install_state *state)
{
	atomic_store(&state->quit, true);
	rte_eal_wait_lcore(state->lcore);
}

static void install_report(void *arg, FILE *out)
{
	struct install_state *state = arg;
	install_stop(state);
	double hz = (double)rte_get_tsc_hz();
	unsigned n = RTE_MIN(state->n_chunks, (uint32_t)FORWARD_CHUNKS);
	fprintf(out, ",\"keys_per_s\":%.0f,\"forwarding_ns_per_packet\":%.2f",
		(double)state->keys / (double)state->cycles * hz,
		bench_median(state->forwarding, n) * 1e9 / hz);
}

static void install_close(void *arg)
{
	struct install_state *state = arg;
	traffic_close(state->traffic);
	rig_close(state->rig);
	free(state->senders);
	free(state->forwarding);
	free(state);
}

const struct bench key_benches[] = {
	{.name = "key-lookup-1k",
		.what = "look-up of key contexts by name",
		.keys = 1000,
		.open = lookup_open,
		.run = lookup_run,
		.close = lookup_close},
	{.name = "key-lookup-1m",
		.what = "look-up of key contexts by name",
		.keys = 1000000,
		.open = lookup_open,
		.run = lookup_run,
		.close = lookup_close},
	{.name = "key-install",
		.what = "a packet here is a key that is installed while a worker forwards",
		.alone = true,
		.open = install_open,
		.run = install_run,
		.close = install_close,
		.report = install_report},
	{},
};
