// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdalign.h>
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
#include "dataplane/multicast_table.h"
#include "dataplane/neighbour_table.h"
#include "dataplane/port.h"
#include "dataplane/stream_table.h"

// State shared by workers and the control thread: tables, ports and rings. docs/threads.md says
// which thread accesses what; host/relay.c opens and closes them.

enum { RELAY_WORKERS_MAX = 64 };

struct cryptodev;
struct multicast;
struct news_list;
struct worker;

struct relay {
	const struct cipher *cipher;
	struct cryptodev *cryptodev; // NULL: cipher does all AES-GCM
	struct port ports[PORT_MAX];
	unsigned n_ports;
	struct multicast_table *_Atomic multicast_tables[PORT_MAX]; // control: rw, worker: ro
	struct multicast *multicast; // memberships by port: host/multicast.h. Control
	struct news_list *news;      // host/news.h. Control
	uint64_t link_watch_ms;      // of host/link_watch.c. Control, as the next
	bool restart;                // a port cannot go on in this process, but in another
	uint8_t port_of_ethdev[RTE_MAX_ETHPORTS]; // mbuf->port to index in ports
	struct worker *workers[RELAY_WORKERS_MAX];
	unsigned n_workers;
	uint32_t idle_sleep_us; // of a worker that found nothing to do; 0: it polls on
	struct rte_mempool *pool;
	struct rte_rcu_qsbr *rcu;
	struct rte_ring *punt; // ARP, ND, ICMP, IGMP: mbufs from workers to control
	// SRTCP indices that the relay sends with: none below floor or from limit on. control: rw,
	// worker: ro
	_Atomic uint32_t srtcp_floor, srtcp_limit;
	_Atomic uint32_t srtcp_near; // from it on the limit is near. control: rw, worker: ro
	_Atomic bool srtcp_low;      // it is. worker: sets, control: clears
	// Random key of the names that replace CNAMEs. Written before workers run.
	uint8_t name_key[SIPHASH_KEY_LEN];
	struct key_table keys;
	struct stream_table streams;
	struct leg_table legs;
	struct neighbour_table neighbours;
	// Frames of each port that are in punt. Workers: add, control: subtracts
	alignas(64) _Atomic uint32_t punted[PORT_MAX];
};
