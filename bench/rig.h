// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include <jansson.h>

#include "control/app.h"
#include "dataplane/loop.h"
#include "dataplane/pipeline.h"
#include "dataplane/worker.h"

// A whole relay in one process, as an MCX server would set it up: keys and sessions come in by the
// methods of the control API, frames on rings. The caller turns the workers.
//
//   port 0  "ran"   10.0.0.1   net_ring: what the caller puts in
//   port 1  "core"  10.1.0.1   net_null: what goes out is freed
//
// Clients are behind the ports' gateways, whose link-layer addresses are known.

enum {
	RIG_RAN,
	RIG_CORE,
	RIG_RX_RING = 1024, // frames
};

struct rig {
	struct app app;
	unsigned n_workers;
	struct rte_ring *rx[RELAY_WORKERS_MAX]; // by worker
};

struct rig_size {
	uint32_t ctxs, legs, streams;
	const char *cryptodev; // that does AES-GCM; NULL: IPsec-MB
};

// Aborts if it cannot be had. Main thread, as are all but the workers' turns.
struct rig *rig_open(struct rig_size size, unsigned n_workers);
void rig_close(struct rig *rig);

// Calls a method of the control API, which must succeed. Takes params.
void rig_call(struct rig *rig, const char *method, json_t *params);

// A key for key.install with octets that follow from its id. users may be NULL.
json_t *rig_key(uint32_t id, json_t *users);

// A leg for session.apply: its place on a port decides its addresses.
json_t *rig_leg(const char *id, unsigned port, uint32_t place, json_t *protection);

// Installs one key, applies one session.
void rig_install(struct rig *rig, json_t *key);
void rig_apply(struct rig *rig, const char *id, json_t *legs);

// The leg on that place as workers see it.
const struct leg *rig_leg_at(const struct rig *rig, unsigned port, uint32_t place);

// Has the workers know the gateways. After the first session.
void rig_learn_gateways(struct rig *rig);

// The context under which a leg's client protects: a GMK's user by GUK-ID, 0 for other keys. Derived
// if need be.
const struct key_ctx *rig_ctx_in(
	struct rig *rig, const struct leg *leg, uint8_t protocol, uint32_t guk_id);

// Has the contexts of that talker, the index of a user, derived for all that a leg sends to, but under the root key that
// the talker himself protects with; KEY_NONE: none.
void rig_derive_out(
	struct rig *rig, const struct leg *leg, uint8_t protocol, uint32_t root, uint32_t talker);

// Users under an installed key of the domain "home", with their GUK-IDs.
const struct key_slot *rig_key_slot(const struct rig *rig, uint32_t id);

// Writes Ethernet, IPv4 and UDP headers from a leg's client to the leg; their length in octets.
uint16_t rig_headers_write(
	const struct rig *rig, unsigned port, uint32_t place, uint16_t payload_len, uint8_t *out);
