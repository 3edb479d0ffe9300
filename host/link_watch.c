// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "host/link_watch.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "dataplane/interface.h"
#include "dataplane/relay_tables.h"
#include "host/multicast.h"
#include "host/neighbour.h"
#include "host/news.h"
#include "host/own_address.h"

static void port_goes_down(struct relay *relay, uint8_t port, const char *reason)
{
	struct port *p = &relay->ports[port];
	const struct news news = {.type = NEWS_PORT_DOWN, .port = port, .reason = reason};
	atomic_store_explicit(&p->down, true, memory_order_relaxed);
	log_warning("port_down port=%s reason=%s", p->name, reason);
	news_add(relay, &news);
}

// The kernel may have given it another one while it was down, and so does whoever makes it again.
static void port_take_mac(struct relay *relay, struct port *p)
{
	struct rte_ether_addr mac;
	char text[RTE_ETHER_ADDR_FMT_SIZE];
	if (!p->interface || !interface_mac(p->interface, mac.addr_bytes) ||
		rte_is_same_ether_addr(&mac, &p->mac))
		return;
	rte_rcu_qsbr_synchronize(relay->rcu, RTE_QSBR_THRID_INVALID);
	port_set_mac(p, &mac);
	rte_ether_format_addr(text, sizeof(text), &mac);
	log_info("port_mac port=%s mac=%s", p->name, text);
}

// Switches and neighbours may have forgotten the port, and may be others.
static void port_comes_up(struct relay *relay, uint8_t port)
{
	struct port *p = &relay->ports[port];
	const struct news news = {
		.type = NEWS_PORT_UP, .port = port, .reason = p->lost ? "interface" : "link"};
	port_take_mac(relay, p);
	p->lost = false;
	atomic_store_explicit(&p->down, false, memory_order_relaxed);
	log_info("port_up port=%s reason=%s", p->name, news.reason);
	news_add(relay, &news);
	own_address_announce(relay, port);
	neighbour_doubt(relay, port);
	multicast_report_again(relay, port);
}

static void port_needs_restart(struct relay *relay, const struct port *p, int error)
{
	if (!relay->restart)
		log_error(
			"port_needs_restart port=%s device=%s reason=\"%s; its driver cannot take "
			"the interface that was made again: mcxrelay ends to be started anew\"",
			p->name, p->device, strerror(error));
	relay->restart = true;
}

// The port's interface is gone. Whether another one took its place.
static bool port_is_found_again(struct relay *relay, uint8_t port)
{
	struct port *p = &relay->ports[port];
	if (!p->lost)
		port_goes_down(relay, port, "interface");
	p->lost = true;
	int rc = interface_find_again(p->interface);
	if (rc != 0 && rc != -ENODEV)
		port_needs_restart(relay, p, -rc);
	if (rc != 0)
		return false;
	p->n_found++;
	uint32_t mtu = interface_mtu_now(p->interface);
	if (mtu < p->mtu)
		log_warning("port_mtu port=%s mtu=%u configured=%u", p->name, mtu, p->mtu);
	return true;
}

static void port_look(struct relay *relay, uint8_t port)
{
	struct port *p = &relay->ports[port];
	if (port_is_gone(p) && !port_is_found_again(relay, port))
		return;
	bool down = !port_link_is_up(p);
	if (down == atomic_load_explicit(&p->down, memory_order_relaxed))
		return;
	if (down)
		port_goes_down(relay, port, "link");
	else
		port_comes_up(relay, port);
}

void link_watch_tick(struct relay *relay, uint64_t now_ms)
{
	bool all = now_ms >= relay->link_watch_ms;
	if (all)
		relay->link_watch_ms = now_ms + LINK_WATCH_MS;
	for (unsigned port = 0; port < relay->n_ports; port++)
		if (all || relay->ports[port].interface)
			port_look(relay, (uint8_t)port);
}
