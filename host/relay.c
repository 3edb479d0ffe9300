// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "host/relay.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "base/devargs.h"
#include "base/secmem.h"
#include "crypto/srtp.h"
#include "dataplane/cryptodev.h"
#include "dataplane/loop.h"
#include "dataplane/pipeline.h"
#include "dataplane/worker.h"
#include "host/host.h"
#include "host/link_watch.h"
#include "host/memory_reason.h"
#include "host/multicast.h"
#include "host/neighbour.h"
#include "host/news.h"
#include "host/own_address.h"

enum {
	POOL_PACKETS_PER_WORKER = 12288,
	POOL_CACHE = 256,
	PUNT_BATCH = 64, // packets for the control thread that one poll takes
};

// Octets of packet buffers in *octets. 0; -E2BIG with a sentence in why; or -errno.
static int pool_open(struct relay *relay, const struct relay_options *options, uint64_t *octets,
	char *why, size_t why_size)
{
	unsigned room = RTE_MBUF_DEFAULT_DATAROOM;
	for (unsigned i = 0; i < options->n_ports; i++) {
		unsigned mtu = options->ports[i].mtu;
		unsigned need = mtu + RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN + SRTP_OVERHEAD_MAX;
		// Its driver requires a buffer that takes a whole frame of its rings.
		need = RTE_MAX(need, devargs_frame_size(options->ports[i].device));
		if (room < need)
			room = RTE_ALIGN(need, 64);
	}
	unsigned per_worker = POOL_PACKETS_PER_WORKER + (options->cryptodev ? PIPELINE_MBUFS : 0U);
	unsigned n = per_worker * options->n_workers - 1;
	room += RTE_PKTMBUF_HEADROOM;
	uint32_t size = (uint32_t)sizeof(struct rte_mbuf) + room;
	*octets = (uint64_t)n * rte_mempool_calc_obj_size(size, 0, NULL);
	if (!memory_buffers_fit(*octets, why, why_size))
		return -E2BIG;
	relay->pool =
		rte_pktmbuf_pool_create("packets", n, POOL_CACHE, 0, (uint16_t)room, SOCKET_ID_ANY);
	return relay->pool ? 0 : -rte_errno;
}

static int tables_open(struct relay *relay, const struct relay_options *options)
{
	// With a crypto device each worker is two readers.
	unsigned readers = options->n_workers * (options->cryptodev ? 2 : 1);
	size_t rcu_size = rte_rcu_qsbr_get_memsize(readers);
	relay->rcu = rte_zmalloc("rcu", rcu_size, RTE_CACHE_LINE_SIZE);
	relay->punt = rte_ring_create("punt", PUNT_SIZE, SOCKET_ID_ANY, RING_F_SC_DEQ);
	relay->legs.size = options->max_legs;
	relay->legs.legs = secmem_map(options->max_legs * sizeof(*relay->legs.legs));
	relay->legs.streams = secmem_map(options->max_legs * sizeof(*relay->legs.streams));
	if (!relay->rcu || !relay->punt || !relay->legs.legs || !relay->legs.streams)
		return -ENOMEM;
	rte_rcu_qsbr_init(relay->rcu, readers);
	for (unsigned i = 0; i < readers; i++)
		rte_rcu_qsbr_thread_register(relay->rcu, i);
	int rc = key_table_init(&relay->keys, options->max_keys);
	if (rc == 0)
		rc = stream_table_init(&relay->streams, options->max_streams);
	if (rc == 0)
		rc = neighbour_table_init(&relay->neighbours, options->max_legs);
	return rc;
}

static int workers_open(struct relay *relay, const struct relay_options *options)
{
	relay->idle_sleep_us = options->idle_sleep_us;
	for (unsigned i = 0; i < options->n_workers; i++) {
		relay->workers[i] = worker_new(relay, (uint8_t)i, options->lcores[i]);
		if (!relay->workers[i])
			return -ENOMEM;
		relay->n_workers++;
	}
	return 0;
}

int relay_open(struct relay *relay, const struct relay_options *options, char *why, size_t why_size)
{
	*relay = (struct relay){.cipher = options->cipher};
	relay->multicast = calloc(PORT_MAX, sizeof(*relay->multicast));
	relay->news = calloc(1, sizeof(*relay->news));
	uint64_t buffers = 0;
	int rc = relay->multicast && relay->news
			 ? pool_open(relay, options, &buffers, why, why_size)
			 : -ENOMEM;
	if (rc == -E2BIG)
		goto close;
	if (rc == 0)
		rc = tables_open(relay, options);
	if (rc == 0 && options->cryptodev) {
		relay->cryptodev = cryptodev_open(options->cryptodev, options->n_workers,
			PIPELINE_OPS, options->max_keys, relay->pool, why, why_size);
		if (!relay->cryptodev) {
			rc = -ENODEV;
			goto close;
		}
	}
	if (rc == 0)
		rc = workers_open(relay, options);
	if (rc == 0 &&
		getrandom(relay->name_key, sizeof(relay->name_key), 0) != sizeof(relay->name_key))
		rc = -EIO;
	if (rc != 0) {
		memory_reason(buffers, rc, why, why_size);
		goto close;
	}
	for (unsigned i = 0; i < options->n_ports; i++) {
		rc = port_open(&relay->ports[i], &options->ports[i], options->n_workers,
			relay->pool, why, why_size);
		if (rc != 0)
			goto close;
		relay->n_ports++;
		relay->port_of_ethdev[relay->ports[i].ethdev] = (uint8_t)i;
		multicast_open(relay, (uint8_t)i);
		own_address_announce(relay, (uint8_t)i);
	}
	return 0;

close:
	relay_close(relay);
	return rc;
}

const char *relay_cipher_name(const struct relay *relay)
{
	return relay->cryptodev ? relay->cryptodev->title : relay->cipher->name;
}

int relay_start(struct relay *relay)
{
	for (unsigned i = 0; i < relay->n_workers; i++) {
		int rc = rte_eal_remote_launch(
			loop_run, relay->workers[i], relay->workers[i]->lcore);
		if (rc != 0)
			return rc;
	}
	for (unsigned i = 0; i < relay->n_workers; i++) {
		int started;
		while ((started = atomic_load(&relay->workers[i]->started)) == 0)
			sched_yield();
		if (started < 0)
			return -ENOMEM;
	}
	return 0;
}

// What control sent so far is transmitted: worker 0 does that between two quiescent states.
static void relay_flush(struct relay *relay)
{
	if (atomic_load(&relay->workers[0]->started) != 1)
		return;
	while (!rte_ring_empty(relay->workers[0]->mailbox.to_worker))
		relay_wait_workers(relay);
	relay_wait_workers(relay);
}

void relay_stop(struct relay *relay)
{
	multicast_leave_all(relay);
	relay_flush(relay);
	for (unsigned i = 0; i < relay->n_workers; i++)
		atomic_store_explicit(&relay->workers[i]->quit, true, memory_order_relaxed);
	for (unsigned i = 0; i < relay->n_workers; i++)
		rte_eal_wait_lcore(relay->workers[i]->lcore);
}

void relay_close(struct relay *relay)
{
	for (unsigned i = 0; i < relay->n_ports; i++)
		port_close(&relay->ports[i]);
	for (unsigned i = 0; i < PORT_MAX && relay->multicast; i++)
		multicast_close(relay, (uint8_t)i);
	free(relay->multicast);
	free(relay->news);
	for (unsigned i = 0; i < relay->n_workers; i++)
		worker_free(relay->workers[i]);
	void *mbuf;
	while (relay->punt && rte_ring_dequeue(relay->punt, &mbuf) == 0)
		rte_pktmbuf_free(mbuf);
	cryptodev_close(relay->cryptodev);
	neighbour_table_fini(&relay->neighbours);
	stream_table_fini(&relay->streams);
	key_table_fini(&relay->keys);
	secmem_unmap(relay->legs.legs, relay->legs.size * sizeof(*relay->legs.legs));
	secmem_unmap(relay->legs.streams, relay->legs.size * sizeof(*relay->legs.streams));
	rte_ring_free(relay->punt);
	rte_free(relay->rcu);
	rte_mempool_free(relay->pool);
	secmem_wipe(relay->name_key, sizeof(relay->name_key));
	*relay = (struct relay){};
}

void relay_wait_workers(struct relay *relay)
{
	rte_rcu_qsbr_synchronize(relay->rcu, RTE_QSBR_THRID_INVALID);
}

void relay_poll_network(struct relay *relay, uint64_t now_ms)
{
	void *mbufs[PUNT_BATCH] = {};
	unsigned n = rte_ring_dequeue_burst(relay->punt, mbufs, PUNT_BATCH, NULL);
	for (unsigned i = 0; i < n; i++) {
		const struct rte_mbuf *mbuf = mbufs[i];
		uint8_t port = relay->port_of_ethdev[mbuf->port];
		atomic_fetch_sub_explicit(&relay->punted[port], 1, memory_order_release);
		host_input(relay, mbufs[i]);
		rte_pktmbuf_free(mbufs[i]);
	}
	link_watch_tick(relay, now_ms);
	own_address_tick(relay, now_ms);
	neighbour_tick(relay, now_ms);
	multicast_tick(relay, now_ms);
}
