// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_config.h>
#include <rte_mempool.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "base/siphash.h"
#include "crypto/cipher.h"
#include "dataplane/key_table.h"
#include "dataplane/leg.h"
#include "dataplane/port.h"
#include "dataplane/stream_table.h"
#include "host/multicast.h"
#include "host/neighbour.h"

// What workers and the control thread share: tables, ports and rings. docs/threads.md says who
// touches what.

enum { RELAY_WORKERS_MAX = 64 };

struct cryptodev;
struct worker;

struct relay_options {
	const struct cipher *cipher; // beside a crypto device: for what it cannot do
	const char *cryptodev;       // name of the device that does AES-GCM; NULL: cipher does
	const unsigned *lcores;      // DPDK lcore of each worker
	unsigned n_workers;
	const struct port_options *ports;
	unsigned n_ports;
	uint32_t max_keys, max_legs, max_streams;
};

struct relay {
	const struct cipher *cipher;
	struct cryptodev *cryptodev; // NULL: cipher does all AES-GCM
	struct port ports[PORT_MAX];
	unsigned n_ports;
	struct multicast_table *_Atomic multicast_tables[PORT_MAX]; // control: rw, worker: ro
	struct multicast *multicast;              // memberships by port: host/multicast.h. Control
	uint8_t port_of_ethdev[RTE_MAX_ETHPORTS]; // mbuf->port to index in ports
	struct worker *workers[RELAY_WORKERS_MAX];
	unsigned n_workers;
	struct rte_mempool *pool;
	struct rte_rcu_qsbr *rcu;
	struct rte_ring *punt; // ARP, ND, ICMP, IGMP: mbufs from workers to control
	// SRTCP indices that the relay sends with: none below floor or from limit on. control: rw,
	// worker: ro
	_Atomic uint32_t srtcp_floor, srtcp_limit;
	_Atomic bool srtcp_low; // the limit is near. worker: sets, control: clears
	// Random key of the names that replace CNAMEs. Written before workers run.
	uint8_t name_key[SIPHASH_KEY_LEN];
	struct key_table keys;
	struct stream_table streams;
	struct leg_table legs;
	struct neighbour_table neighbours;
};

// Opens ports and tables; no worker runs yet. 0, or -errno with a sentence in why. Main thread.
// Needs an initialised EAL.
int relay_open(
	struct relay *relay, const struct relay_options *options, char *why, size_t why_size);

// What does AES-GCM, as the config names it: "ipsec-mb", "openssl", "cryptodev:NAME".
const char *relay_cipher_name(const struct relay *relay);

// Launches the workers on their lcores. 0 or -errno.
int relay_start(struct relay *relay);

// Leaves all multicast groups, ends the workers' loops and waits for them.
void relay_stop(struct relay *relay);

// Frees all; the workers have stopped.
void relay_close(struct relay *relay);

// Waits until no worker can reach what was unpublished before the call: a few microseconds while
// all run. Control thread.
void relay_wait_workers(struct relay *relay);

// Does the relay's own network work: answers ARP, ND and echo requests, resolves next hops, reports
// group memberships. Control thread, about once a millisecond.
void relay_poll_network(struct relay *relay, uint64_t now_ms);

// Has worker 0 transmit an Ethernet frame. Takes mbuf in any case. Control thread.
void relay_send_frame(struct relay *relay, uint8_t port, struct rte_mbuf *mbuf);
