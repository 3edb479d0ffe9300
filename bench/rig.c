// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "bench/rig.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_eth_ring.h>

#include "bench/bench.h"
#include "bench/frame.h"
#include "crypto/cipher_registry.h"
#include "host/neighbour.h"
#include "host/relay.h"
#include "key/key_context.h"
#include "key/key_domain.h"
#include "key/key_slot.h"

#define RAN_ADDRESS   "10.0.0.1"
#define RAN_GATEWAY   "10.0.0.254"
#define CORE_ADDRESS  "10.1.0.1"
#define CORE_GATEWAY  "10.1.0.254"
#define CLIENTS_FIRST UINT32_C(0xac100000) // 172.16.0.0

enum {
	CLIENT_UDP_PORT = 6000,
	RELAY_UDP_PORT_FIRST = 2000, // on place 0
	SRTCP_FLOOR = 1000,
};

static struct endpoint endpoint_of(const char *text)
{
	struct endpoint e = {.family = AF_INET};
	bench_require(inet_pton(AF_INET, text, e.addr) == 1);
	return e;
}

// --- opening

static void rings_open(struct rig *rig)
{
	struct rte_ring *tx[RELAY_WORKERS_MAX];
	for (unsigned i = 0; i < rig->n_workers; i++) {
		char name[RTE_RING_NAMESIZE];
		snprintf(name, sizeof(name), "bench_rx_%u", i);
		rig->rx[i] = rte_ring_create(
			name, RIG_RX_RING, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
		snprintf(name, sizeof(name), "bench_tx_%u", i);
		tx[i] = rte_ring_create(name, 64, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
		bench_require(rig->rx[i] && tx[i]);
	}
	bench_require(
		rte_eth_from_rings("bench", rig->rx, rig->n_workers, tx, rig->n_workers, 0) >= 0);
}

static void rings_close(struct rig *rig)
{
	for (unsigned i = 0; i < rig->n_workers; i++) {
		rte_ring_free(rig->rx[i]);
		char name[RTE_RING_NAMESIZE];
		snprintf(name, sizeof(name), "bench_tx_%u", i);
		rte_ring_free(rte_ring_lookup(name));
	}
}

static void relay_open_sized(struct rig *rig, const struct rig_size *size)
{
	const char *unknown;
	char why[256];
	unsigned lcores[RELAY_WORKERS_MAX] = {};
	struct port_prefix ran = {endpoint_of(RAN_ADDRESS), 24};
	struct port_prefix core = {endpoint_of(CORE_ADDRESS), 24};
	struct port_options ports[] = {
		{.name = "ran", .device = "net_ring_bench", .prefixes = &ran},
		{.name = "core", .device = "net_null_bench,no-rx=1", .prefixes = &core},
	};
	for (unsigned i = 0; i < RTE_DIM(ports); i++) {
		ports[i].n_prefixes = 1;
		ports[i].mtu = 1500;
		ports[i].gateway = endpoint_of(i == RIG_RAN ? RAN_GATEWAY : CORE_GATEWAY);
	}
	struct relay_options options = {
		.cipher = cipher_open(cipher_auto, &unknown),
		.cryptodev = size->cryptodev,
		.lcores = lcores,
		.n_workers = rig->n_workers,
		.ports = ports,
		.n_ports = RTE_DIM(ports),
		.max_keys = size->ctxs,
		.max_legs = size->legs,
		.max_streams = size->streams,
	};
	bench_require(options.cipher);
	int rc = relay_open(&rig->app.relay, &options, why, sizeof(why));
	if (rc != 0)
		fprintf(stderr, "mcxbench: %s\n", why);
	bench_require(rc == 0);
}

struct rig *rig_open(struct rig_size size, unsigned n_workers)
{
	struct rig *rig = bench_alloc(sizeof(*rig));
	struct app *app = &rig->app;
	rig->n_workers = n_workers;
	rings_open(rig);
	relay_open_sized(rig, &size);
	const struct config_limits limits = {
		.keys = size.ctxs,
		.sessions = size.legs,
		.legs = size.legs,
		.streams = size.streams,
	};
	bench_require(
		app_open(app, &limits, &(struct config_mikey){.threads = 1, .queue = 1}) == 0);
	app->ssrcs.used_up = 1; // there is no state directory
	atomic_store(&app->relay.srtcp_floor, SRTCP_FLOOR);
	atomic_store(&app->relay.srtcp_limit, SRTCP_INDEX_MAX);
	atomic_store(&app->relay.srtcp_near, SRTCP_INDEX_MAX);
	return rig;
}

static void workers_go(struct rig *rig, bool online)
{
	for (unsigned i = 0; i < rig->n_workers; i++) {
		if (online)
			worker_online(rig->app.relay.workers[i]);
		else
			worker_offline(rig->app.relay.workers[i]);
	}
}

void rig_close(struct rig *rig)
{
	struct app *app = &rig->app;
	workers_go(rig, false);
	app_close(app);
	relay_close(&app->relay);
	rings_close(rig);
	bench_require(rte_eal_hotplug_remove("vdev", "net_ring_bench") == 0);
	bench_require(rte_eal_hotplug_remove("vdev", "net_null_bench") == 0);
	free(rig);
}

// --- control

void rig_call(struct rig *rig, const char *method, json_t *params)
{
	struct rpc_error error = {};
	const struct rpc_method *m = control_methods;
	while (m->name && strcmp(m->name, method) != 0)
		m++;
	bench_require(m->name && params);
	struct rpc_slice whole = {.until_ns = UINT64_MAX};
	json_t *result = m->call ? m->call(&rig->app.api, params, &error)
				 : m->call_in_slices(&rig->app.api, params, &whole, &error);
	if (!result)
		fprintf(stderr, "mcxbench: %s: %s: %s\n", method, error.path, error.message);
	bench_require(result);
	json_decref(result);
	json_decref(params);
}

json_t *rig_key(uint32_t id, json_t *users)
{
	// Users are equal in every run: among a million users two of one GMK may share a GUK-ID, and these do not.
	uint64_t random = id;
	char text[9], value[33], rand[33];
	snprintf(text, sizeof(text), "%08x", id);
	snprintf(
		value, sizeof(value), "%016lx%016lx", bench_random(&random), bench_random(&random));
	snprintf(rand, sizeof(rand), "%016lx%016lx", bench_random(&random), bench_random(&random));
	json_t *key = json_pack("{s:s,s:s,s:s}", "id", text, "value", value, "rand", rand);
	if (users)
		json_object_set_new(key, "users", users);
	return key;
}

json_t *rig_leg(const char *id, unsigned port, uint32_t place, json_t *protection)
{
	char local[32], remote[32];
	struct in_addr client = {htonl(CLIENTS_FIRST + place)};
	char address[INET_ADDRSTRLEN];
	bench_require(inet_ntop(AF_INET, &client, address, sizeof(address)));
	snprintf(local, sizeof(local), "%s:%u", port == RIG_RAN ? RAN_ADDRESS : CORE_ADDRESS,
		RELAY_UDP_PORT_FIRST + place);
	snprintf(remote, sizeof(remote), "%s:%d", address, CLIENT_UDP_PORT);
	return json_pack("{s:s,s:s,s:s,s:s,s:o}", "id", id, "port",
		port == RIG_RAN ? "ran" : "core", "local", local, "remote", remote, "protection",
		protection);
}

void rig_install(struct rig *rig, json_t *key)
{
	rig_call(rig, "key.install", json_pack("{s:[o]}", "keys", key));
}

void rig_apply(struct rig *rig, const char *id, json_t *legs)
{
	rig_call(rig, "session.apply",
		json_pack("{s:{s:s,s:s,s:s,s:o}}", "session", "id", id, "service", "mcptt", "type",
			"group", "legs", legs));
}

const struct leg *rig_leg_at(const struct rig *rig, unsigned port, uint32_t place)
{
	const struct relay *relay = &rig->app.relay;
	uint32_t leg = relay->ports[port].addresses[0].legs[RELAY_UDP_PORT_FIRST + place];
	bench_require(leg != 0);
	return leg_get(&relay->legs, leg - 1);
}

void rig_learn_gateways(struct rig *rig)
{
	static const struct rte_ether_addr mac = {{2, 0, 0, 0, 0, 254}};
	struct endpoint ran = endpoint_of(RAN_GATEWAY), core = endpoint_of(CORE_GATEWAY);
	neighbour_hear(&rig->app.relay, RIG_RAN,
		&(struct neighbour_claim){.addr = ran, .mac = mac, .override = true});
	neighbour_hear(&rig->app.relay, RIG_CORE,
		&(struct neighbour_claim){.addr = core, .mac = mac, .override = true});
	workers_go(rig, true);
	// What control has for the workers: solicitations, one a second while the keys were made.
	for (unsigned i = 0; i < rig->n_workers; i++)
		while (!rte_ring_empty(rig->app.relay.workers[i]->mailbox.to_worker))
			loop_turn(rig->app.relay.workers[i]);
}

// --- key contexts

static uint32_t ctx_find_or_derive(struct rig *rig, const struct key_name *name)
{
	const struct key_table *table = &rig->app.relay.keys;
	uint64_t hash = key_name_hash(table, name);
	uint32_t ctx = key_table_find(table, name, hash);
	if (ctx != KEY_NONE)
		return ctx;
	// Contexts prove themselves when media comes; here it comes after all of them.
	rig->app.keys.n_provisional = 0;
	bench_require(key_ctx_derive(&rig->app.keys, name, false) == DROP_NONE);
	return key_table_find(table, name, hash);
}

const struct key_ctx *rig_ctx_in(
	struct rig *rig, const struct leg *leg, uint8_t protocol, uint32_t guk_id)
{
	bench_require(leg->in[protocol].n_keys == 1);
	const struct leg_key *key = &leg->in[protocol].keys[0];
	struct key_name name = {
		.mki = key_name_mki(key->id, guk_id),
		.scope = key->scope,
		.cs_id = key->cs_id,
		.protocol = protocol,
		.suite = key->suite,
		.kind = KEY_BY_MKI,
	};
	uint32_t ctx = ctx_find_or_derive(rig, &name);
	bench_require(ctx != KEY_NONE);
	return &rig->app.relay.keys.ctxs[ctx];
}

void rig_derive_out(
	struct rig *rig, const struct leg *leg, uint8_t protocol, uint32_t root, uint32_t talker)
{
	const struct fanout *fanout = atomic_load(leg->fanout[protocol]);
	for (unsigned i = 0; i < fanout->n_talker_variants; i++) {
		const struct fanout_variant *variant = &fanout->variants[i];
		if (variant->key.root == root)
			continue;
		struct key_name name = {
			.mki = key_name_mki(variant->key.root, talker),
			.cs_id = variant->cs_id,
			.protocol = protocol,
			.suite = variant->key.suite,
			.kind = KEY_BY_TALKER,
		};
		bench_require(ctx_find_or_derive(rig, &name) != KEY_NONE);
	}
}

const struct key_slot *rig_key_slot(const struct rig *rig, uint32_t id)
{
	const struct app *app = &rig->app;
	const struct key_slot *slot =
		keystore_find(&app->keys, keystore_domain_find(&app->keys, "home"), id);
	bench_require(slot);
	return slot;
}

// --- frames

uint16_t rig_headers_write(
	const struct rig *rig, unsigned port, uint32_t place, uint16_t payload_len, uint8_t *out)
{
	const struct port *p = &rig->app.relay.ports[port];
	struct frame_path path = {
		.src_mac = {{2}},
		.dst_mac = p->mac,
		.src_addr = rte_cpu_to_be_32(CLIENTS_FIRST + place),
		.src_port = CLIENT_UDP_PORT,
		.dst_port = (uint16_t)(RELAY_UDP_PORT_FIRST + place),
	};
	memcpy(&path.dst_addr, p->addresses[0].addr.addr, sizeof(path.dst_addr));
	frame_headers_write(&path, payload_len, out);
	return FRAME_HEADERS_LEN;
}
