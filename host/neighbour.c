// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "host/neighbour.h"

#include <errno.h>
#include <string.h>

#include <rte_common.h>
#include <rte_jhash.h>

#include "base/clock.h"
#include "base/secmem.h"
#include "dataplane/relay_tables.h"
#include "host/arp.h"
#include "host/nd.h"
#include "host/news.h"

int neighbour_table_init(struct neighbour_table *table, uint32_t size)
{
	uint32_t n_buckets = rte_align32pow2(size);
	*table = (struct neighbour_table){
		.bucket_mask = n_buckets - 1,
		.size = size + 1,
		.n_touched = NEIGHBOUR_NOBODY + 1,
	};
	table->entries = secmem_map(table->size * sizeof(struct neighbour));
	table->buckets = secmem_map(n_buckets * sizeof(uint32_t));
	if (table->entries && table->buckets)
		return 0;
	neighbour_table_fini(table);
	return -ENOMEM;
}

void neighbour_table_fini(struct neighbour_table *table)
{
	secmem_unmap(table->entries, table->size * sizeof(struct neighbour));
	secmem_unmap(table->buckets, (table->bucket_mask + 1) * sizeof(uint32_t));
	*table = (struct neighbour_table){};
}

static uint32_t *neighbour_bucket(
	struct neighbour_table *table, uint8_t port, const struct endpoint *addr)
{
	uint32_t hash = rte_jhash(addr->addr, sizeof(addr->addr), port);
	return &table->buckets[hash & table->bucket_mask];
}

static struct neighbour *neighbour_find(
	struct neighbour_table *table, uint8_t port, const struct endpoint *addr)
{
	for (uint32_t i = *neighbour_bucket(table, port, addr); i != 0;) {
		struct neighbour *n = &table->entries[i - 1];
		if (n->port == port && endpoint_same_addr(&n->addr, addr))
			return n;
		i = n->hash_next;
	}
	return NULL;
}

static struct neighbour *neighbour_alloc(struct neighbour_table *table)
{
	if (table->free_head != 0) {
		struct neighbour *n = &table->entries[table->free_head - 1];
		table->free_head = n->hash_next;
		return n;
	}
	return table->n_touched < table->size ? &table->entries[table->n_touched++] : NULL;
}

// What workers see of it; word has all but the serial.
static void neighbour_publish(struct neighbour *n, uint64_t word)
{
	const uint64_t below = (UINT64_C(1) << NEIGHBOUR_SERIAL_SHIFT) - 1;
	uint64_t serial = atomic_load_explicit(&n->mac, memory_order_relaxed) & ~below;
	atomic_store_explicit(&n->mac, word | serial, memory_order_relaxed);
}

static void neighbour_set_mac(struct neighbour *n, const struct rte_ether_addr *mac)
{
	uint64_t word = 0;
	memcpy(&word, mac, sizeof(*mac));
	neighbour_publish(n, word | NEIGHBOUR_RESOLVED);
}

static void neighbour_set_multicast(struct neighbour *n)
{
	const uint8_t *a = n->addr.addr;
	struct rte_ether_addr v4 = {{0x01, 0x00, 0x5e, a[1] & 0x7f, a[2], a[3]}};
	struct rte_ether_addr v6 = {{0x33, 0x33, a[12], a[13], a[14], a[15]}};
	neighbour_set_mac(n, n->addr.family == AF_INET ? &v4 : &v6);
}

static void neighbour_solicit(struct relay *relay, struct neighbour *n, uint64_t now_ms)
{
	struct rte_ether_addr mac;
	uint32_t index = (uint32_t)(n - relay->neighbours.entries);
	bool known = neighbour_mac(&relay->neighbours, index, &mac);
	const struct rte_ether_addr *to =
		known && n->probes < NEIGHBOUR_UNICAST_PROBES ? &mac : NULL;
	if (n->addr.family == AF_INET)
		arp_solicit(relay, n->port, &n->addr, to);
	else
		nd_solicit(relay, n->port, &n->addr, to);
	if (n->probes < NEIGHBOUR_PROBES)
		n->probes++;
	bool quick = n->state == NEIGHBOUR_PROBE && n->probes < NEIGHBOUR_QUICK_PROBES;
	n->due_ms = now_ms + (quick ? NEIGHBOUR_PROBE_MS : NEIGHBOUR_RETRY_MS);
}

uint32_t neighbour_take(struct relay *relay, uint8_t port, const struct endpoint *addr)
{
	struct neighbour_table *table = &relay->neighbours;
	struct neighbour *n = neighbour_find(table, port, addr);
	if (!n) {
		n = neighbour_alloc(table);
		if (!n)
			return NEIGHBOUR_NONE;
		uint32_t *bucket = neighbour_bucket(table, port, addr);
		uint64_t serial = atomic_load_explicit(&n->mac, memory_order_relaxed);
		*n = (struct neighbour){.addr = *addr, .port = port, .hash_next = *bucket};
		n->addr.port = 0;
		atomic_store_explicit(&n->mac, serial + (UINT64_C(1) << NEIGHBOUR_SERIAL_SHIFT),
			memory_order_relaxed);
		neighbour_publish(n, NEIGHBOUR_PENDING);
		*bucket = (uint32_t)(n - table->entries) + 1;
		if (endpoint_is_multicast(addr))
			neighbour_set_multicast(n);
		else
			neighbour_solicit(relay, n, clock_now_ms());
	}
	n->users++;
	return (uint32_t)(n - table->entries);
}

void neighbour_release(struct relay *relay, uint32_t neighbour)
{
	struct neighbour_table *table = &relay->neighbours;
	struct neighbour *n = &table->entries[neighbour];
	if (--n->users > 0)
		return;
	uint32_t *link = neighbour_bucket(table, n->port, &n->addr);
	while (*link != neighbour + 1)
		link = &table->entries[*link - 1].hash_next;
	*link = n->hash_next;
	neighbour_publish(n, 0);
	n->hash_next = table->free_head;
	table->free_head = neighbour + 1;
}

static void neighbour_enter(struct neighbour *n, enum neighbour_state state)
{
	n->state = state;
	n->probes = 0;
	n->due_ms = clock_now_ms() + (state == NEIGHBOUR_REACHABLE ? NEIGHBOUR_CHECK_MS : 0);
}

static void neighbour_moves(
	struct relay *relay, struct neighbour *n, const struct rte_ether_addr *mac, bool was_known)
{
	neighbour_set_mac(n, mac);
	struct news news = {
		.type = NEWS_NEIGHBOUR_MOVED, .port = n->port, .addr = n->addr, .mac = *mac};
	if (was_known)
		news_add(relay, &news);
}

void neighbour_hear(struct relay *relay, uint8_t port, const struct neighbour_claim *claim)
{
	struct neighbour_table *table = &relay->neighbours;
	struct neighbour *n = neighbour_find(table, port, &claim->addr);
	if (!n || endpoint_is_multicast(&n->addr))
		return;
	struct rte_ether_addr known;
	bool is_known = neighbour_mac(table, (uint32_t)(n - table->entries), &known);
	bool differs = rte_is_valid_assigned_ether_addr(&claim->mac) &&
		       (!is_known || !rte_is_same_ether_addr(&claim->mac, &known));
	if (!is_known && !differs)
		return; // it answers, but does not say from where
	if (is_known && differs && !claim->override) {
		if (n->state == NEIGHBOUR_REACHABLE)
			neighbour_enter(n, NEIGHBOUR_STALE);
		return;
	}
	if (differs)
		neighbour_moves(relay, n, &claim->mac, is_known);
	if (claim->solicited)
		neighbour_enter(n, NEIGHBOUR_REACHABLE);
	else if (differs)
		neighbour_enter(n, NEIGHBOUR_STALE);
}

static bool neighbour_is_due(const struct neighbour *n, uint64_t now_ms)
{
	return n->users > 0 && now_ms >= n->due_ms && !endpoint_is_multicast(&n->addr);
}

// Its time in the state is over without an answer.
static void neighbour_check(struct relay *relay, struct neighbour *n, uint64_t now_ms)
{
	if (n->state == NEIGHBOUR_REACHABLE || n->state == NEIGHBOUR_STALE) {
		n->state = NEIGHBOUR_PROBE;
		n->probes = 0;
	} else if (n->state == NEIGHBOUR_PROBE && n->probes == NEIGHBOUR_PROBES) {
		neighbour_publish(n, NEIGHBOUR_PENDING);
		n->state = NEIGHBOUR_INCOMPLETE;
		n->probes = 0;
	} else if (n->state == NEIGHBOUR_INCOMPLETE && n->probes >= NEIGHBOUR_HOLD_PROBES) {
		neighbour_publish(n, 0);
	}
	neighbour_solicit(relay, n, now_ms);
}

void neighbour_doubt(struct relay *relay, uint8_t port)
{
	struct neighbour_table *table = &relay->neighbours;
	for (uint32_t i = 0; i < table->n_touched; i++) {
		struct neighbour *n = &table->entries[i];
		if (n->port != port || n->users == 0)
			continue;
		n->due_ms = 0;
		if (n->state == NEIGHBOUR_INCOMPLETE)
			continue;
		n->state = NEIGHBOUR_PROBE;
		n->probes = NEIGHBOUR_UNICAST_PROBES;
	}
}

void neighbour_tick(struct relay *relay, uint64_t now_ms)
{
	struct neighbour_table *table = &relay->neighbours;
	if (now_ms < table->tick_ms || table->n_touched == 0)
		return;
	table->tick_ms = now_ms + NEIGHBOUR_TICK_MS;
	uint32_t n = RTE_MIN(table->n_touched, (uint32_t)NEIGHBOUR_TICK_ENTRIES);
	unsigned solicits = 0;
	for (uint32_t i = 0; i < n && solicits < NEIGHBOUR_TICK_SOLICITS; i++) {
		table->cursor = (table->cursor + 1) % table->n_touched;
		struct neighbour *neighbour = &table->entries[table->cursor];
		if (!neighbour_is_due(neighbour, now_ms))
			continue;
		neighbour_check(relay, neighbour, now_ms);
		solicits++;
	}
}
