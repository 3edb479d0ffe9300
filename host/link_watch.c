// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "host/link_watch.h"

#include "base/log.h"
#include "dataplane/relay_tables.h"
#include "host/own_address.h"

static void port_look(struct relay *relay, uint8_t port)
{
	struct port *p = &relay->ports[port];
	bool down = !port_link_is_up(p);
	if (down == atomic_load_explicit(&p->down, memory_order_relaxed))
		return;
	atomic_store_explicit(&p->down, down, memory_order_relaxed);
	if (down) {
		log_warning("port_down port=%s", p->name);
	} else {
		log_info("port_up port=%s", p->name);
		own_address_announce(relay, port);
	}
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
