// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "host/own_address.h"

#include "base/clock.h"
#include "dataplane/relay_tables.h"
#include "host/arp.h"
#include "host/nd.h"
#include "host/news.h"

static void announce(struct relay *relay, uint8_t port, const struct endpoint *addr)
{
	if (addr->family == AF_INET)
		arp_announce(relay, port, addr);
	else
		nd_announce(relay, port, addr);
}

// Whoever has the address, too, may be silent when it is announced, but not when he is asked.
static void probe(struct relay *relay, uint8_t port, const struct endpoint *addr)
{
	if (addr->family == AF_INET)
		arp_probe(relay, port, addr);
	else
		nd_probe(relay, port, addr);
}

void own_address_announce(struct relay *relay, uint8_t port)
{
	relay->ports[port].announcements = OWN_ADDRESS_ANNOUNCEMENTS;
	relay->ports[port].announce_ms = 0;
}

bool own_address_claimed(struct relay *relay, uint8_t port, const struct endpoint *addr,
	const struct rte_ether_addr *mac)
{
	struct port *p = &relay->ports[port];
	if (!port_find_address(p, addr) || rte_is_same_ether_addr(mac, &p->mac))
		return false;
	struct news news = {.type = NEWS_CONFLICT, .port = port, .addr = *addr, .mac = *mac};
	news.addr.port = 0;
	news_add(relay, &news);
	uint64_t now_ms = clock_now_ms();
	if (now_ms >= p->defend_ms) {
		p->defend_ms = now_ms + OWN_ADDRESS_DEFEND_MS;
		announce(relay, port, addr);
	}
	return true;
}

static void port_tick(struct relay *relay, uint8_t port, uint64_t now_ms)
{
	struct port *p = &relay->ports[port];
	if (p->announcements == 0 || now_ms < p->announce_ms)
		return;
	p->announcements--;
	p->announce_ms = now_ms + OWN_ADDRESS_INTERVAL_MS;
	for (unsigned i = 0; i < p->n_addresses; i++) {
		probe(relay, port, &p->addresses[i].addr);
		announce(relay, port, &p->addresses[i].addr);
	}
}

void own_address_tick(struct relay *relay, uint64_t now_ms)
{
	for (unsigned port = 0; port < relay->n_ports; port++)
		port_tick(relay, (uint8_t)port, now_ms);
}
