// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/methods_relay.h"

#include <rte_ethdev.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/map.h"
#include "control/api.h"
#include "control/overload.h"
#include "control/params.h"
#include "dataplane/turn.h"
#include "dataplane/worker.h"
#include "host/relay.h"

static json_t *port_show(const struct port *port)
{
	char mac[RTE_ETHER_ADDR_FMT_SIZE];
	rte_ether_format_addr(mac, sizeof(mac), &port->mac);
	return json_pack("{s:s,s:s,s:s,s:i,s:i,s:b}", "name", port->name, "device", port->device,
		"mac", mac, "mtu", (int)port->mtu, "vlan", (int)port->vlan, "link",
		(int)port_link_is_up(port));
}

static json_t *rate_show(const struct config_rate *rate)
{
	return json_pack("{s:I,s:I}", "packets", (json_int_t)rate->packets, "octets",
		(json_int_t)rate->octets);
}

json_t *relay_info(void *arg, const json_t *params, struct rpc_error *error)
{
	const struct api *api = arg;
	if (!read_nothing(params, error))
		return NULL;
	json_t *ports = json_array(), *ranges = json_object();
	for (unsigned i = 0; i < api->relay->n_ports; i++) {
		const struct port *port = &api->relay->ports[i];
		json_array_append_new(ports, port_show(port));
		json_object_set_new(ranges, port->name,
			json_pack("[i,i]", (int)port->udp_first, (int)port->udp_last));
	}
	json_t *rate = json_pack("{s:o,s:o}", "mcptt", rate_show(&api->limits->rate_mcptt),
		"mcvideo", rate_show(&api->limits->rate_mcvideo));
	json_t *limits = json_pack("{s:I,s:I,s:I,s:I,s:o,s:o}", "keys",
		(json_int_t)api->limits->keys, "sessions", (json_int_t)api->limits->sessions,
		"legs", (json_int_t)api->limits->legs, "streams", (json_int_t)api->limits->streams,
		"ports", ranges, "rate", rate);
	return json_pack("{s:s,s:i,s:I,s:i,s:o,s:s,s:o}", "version", MCXRELAY_VERSION, "api", 1,
		"uptime", (json_int_t)((clock_now_ms() - api->started_ms) / 1000), "workers",
		(int)api->relay->n_workers, "ports", ports, "cipher", relay_cipher_name(api->relay),
		"limits", limits);
}

static json_t *worker_stats(const struct worker *worker, const struct overload_load *load)
{
	const struct worker_counters *c = &worker->counters;
	json_t *out = json_object();
	set_count(out, "lcore", worker->lcore);
	set_count(out, "rx_packets", counter_read(&c->rx_packets));
	set_count(out, "rx_octets", counter_read(&c->rx_octets));
	set_count(out, "rx_bursts", counter_read(&c->rx_bursts));
	set_count(out, "tx_packets", counter_read(&c->tx_packets));
	set_count(out, "tx_octets", counter_read(&c->tx_octets));
	set_count(out, "loops", counter_read(&c->loops));
	set_count(out, "busy_loops", counter_read(&c->busy_loops));
	set_count(out, "busy_cycles", counter_read(&c->busy_cycles));
	set_count(out, "cycles", worker_cycles(worker));
	json_object_set_new(out, "busy_percent", json_real(load->permille / 10.0));
	set_count(out, "handoffs", counter_read(&c->handoffs));
	set_count(out, "held", counter_read(&c->held));
	set_count(out, "keepalives", counter_read(&c->keepalives));
	set_count(out, "squeeze", counter_read(&worker->squeeze));
	return out;
}

static json_t *port_stats(const struct port *port)
{
	struct rte_eth_stats stats;
	port_statistics(port, &stats);
	json_t *out = json_pack("{s:s}", "name", port->name);
	set_count(out, "rx_packets", stats.ipackets);
	set_count(out, "rx_octets", stats.ibytes);
	set_count(out, "rx_missed", stats.imissed);
	set_count(out, "rx_errors", stats.ierrors);
	set_count(out, "rx_no_buffer", stats.rx_nombuf);
	set_count(out, "tx_packets", stats.opackets);
	set_count(out, "tx_octets", stats.obytes);
	set_count(out, "tx_errors", stats.oerrors);
	return out;
}

json_t *relay_stats(void *arg, const json_t *params, struct rpc_error *error)
{
	const struct api *api = arg;
	if (!read_nothing(params, error))
		return NULL;
	json_t *workers = json_array(), *ports = json_array(), *drops = json_object();
	for (unsigned i = 0; i < api->relay->n_workers; i++)
		json_array_append_new(
			workers, worker_stats(api->relay->workers[i], &api->overload->loads[i]));
	for (unsigned i = 0; i < api->relay->n_ports; i++)
		json_array_append_new(ports, port_stats(&api->relay->ports[i]));
	for (unsigned reason = 1; reason < DROP_N_REASONS; reason++) {
		uint64_t n = 0;
		for (unsigned i = 0; i < api->relay->n_workers; i++)
			n += counter_read(&api->relay->workers[i]->counters.drops[reason]);
		set_count(drops, drop_label(reason), n);
	}
	return json_pack("{s:o,s:o,s:o,s:I,s:I,s:I,s:I}", "workers", workers, "ports", ports,
		"drops", drops, "sessions", (json_int_t)map_count(api->sessions->by_id), "legs",
		(json_int_t)api->sessions->n_legs, "keys", (json_int_t)api->keys->n_roots,
		"key_contexts", (json_int_t)api->relay->keys.n_used);
}
