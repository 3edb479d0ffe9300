// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/port.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_random.h>

#include "base/devargs.h"
#include "base/secmem.h"
#include "dataplane/driver_error.h"
#include "dataplane/interface.h"
#include "dataplane/port_mtu.h"
#include "dataplane/port_reason.h"

// Virtual devices have as many queues as they are created with; the relay needs one for each
// worker.
static void device_add_queues(char device[PORT_DEVICE_MAX], unsigned n_workers)
{
	const char *argument = devargs_queues_missing(device);
	size_t len = strlen(device);
	if (n_workers > 1 && argument)
		snprintf(device + len, PORT_DEVICE_MAX - len, ",%s=%u", argument, n_workers);
}

static int device_probe(struct port *port, char *why, size_t why_size)
{
	int rc = rte_dev_probe(port->device);
	// A PCI device was probed by the EAL already.
	if (rc != 0 && rc != -EEXIST) {
		char reason[PORT_REASON_SIZE];
		port_reason(port->device, rc, reason, sizeof(reason));
		snprintf(why, why_size, "port %s: device \"%s\" cannot be opened: %s", port->name,
			port->device, reason);
		return rc;
	}
	char name[PORT_DEVICE_MAX];
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(port->device, ","), port->device);
	if (rte_eth_dev_get_port_by_name(name, &port->ethdev) == 0)
		return 0;
	struct rte_dev_iterator iterator;
	RTE_ETH_FOREACH_MATCHING_DEV(port->ethdev, port->device, &iterator)
	{
		rte_eth_iterator_cleanup(&iterator);
		return 0;
	}
	snprintf(why, why_size, "port %s: device \"%s\" is not an Ethernet device", port->name,
		port->device);
	return -ENODEV;
}

static int device_configure(struct port *port, unsigned n_workers, char *why, size_t why_size)
{
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(port->ethdev, &info);
	if (rc != 0)
		goto failed;
	if (info.max_tx_queues < n_workers) {
		snprintf(why, why_size,
			"port %s: device \"%s\" has %u transmit queues, %u workers need one each",
			port->name, port->device, info.max_tx_queues, n_workers);
		return -ENOSPC;
	}
	const char *whose;
	uint32_t limit = port_mtu_limit(port->device, &info, &whose);
	if (port->mtu > limit) {
		snprintf(why, why_size,
			"port %s: mtu is %u; accepted by device \"%s\": no more than %u, %s",
			port->name, port->mtu, port->device, limit, whose);
		return -EINVAL;
	}
	port->n_tx_queues = (uint16_t)n_workers;
	port->n_rx_queues = (uint16_t)RTE_MIN(n_workers, (unsigned)info.max_rx_queues);
	struct rte_eth_conf conf = {.rxmode.mtu = port->mtu};
	uint64_t rss = info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP);
	if (port->n_rx_queues > 1 && rss != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf = rss;
	}
	rc = rte_eth_dev_configure(port->ethdev, port->n_rx_queues, port->n_tx_queues, &conf);
	if (rc == 0)
		return 0;
failed:
	snprintf(why, why_size, "port %s: device \"%s\" refuses %u queues and mtu %u: %s",
		port->name, port->device, n_workers, port->mtu, driver_error(rc));
	return rc;
}

static struct port_l2_source l2_source(const struct port *port, uint16_t ether_type)
{
	struct port_l2_source source = {};
	uint8_t *type = source.octets + RTE_ETHER_ADDR_LEN;
	memcpy(source.octets, &port->mac, RTE_ETHER_ADDR_LEN);
	if (port->vlan != 0) {
		rte_be16_t tag[2] = {RTE_BE16(RTE_ETHER_TYPE_VLAN), rte_cpu_to_be_16(port->vlan)};
		memcpy(type, tag, sizeof(tag));
		type += sizeof(tag);
	}
	ether_type = rte_cpu_to_be_16(ether_type);
	memcpy(type, &ether_type, sizeof(ether_type));
	return source;
}

void port_set_mac(struct port *port, const struct rte_ether_addr *mac)
{
	uint8_t at = !atomic_load_explicit(&port->l2_at, memory_order_relaxed);
	port->mac = *mac;
	port->l2[at] = (struct port_l2){
		.mac = *mac,
		.ipv4 = l2_source(port, RTE_ETHER_TYPE_IPV4),
		.ipv6 = l2_source(port, RTE_ETHER_TYPE_IPV6),
	};
	atomic_store_explicit(&port->l2_at, at, memory_order_release);
}

// Drivers that send and receive through the kernel's interface.
static bool driver_is_kernels(const char *name)
{
	return strcmp(name, "net_af_packet") == 0 || strcmp(name, "net_af_xdp") == 0;
}

// What such a driver leaves to the kernel.
static int kernel_prepare(struct port *port, const struct rte_eth_dev_info *info)
{
	if (!driver_is_kernels(info->driver_name))
		return 0;
	port->interface = interface_open(info->if_index);
	if (!port->interface)
		return -errno;
	return strcmp(info->driver_name, "net_af_packet") == 0
		       ? interface_cut_service_tags(port->interface)
		       : 0;
}

// Neighbour Solicitations and media to groups. A driver that does not implement the call has the kernel's filter
// below it, or is promiscuous, or is a virtual device without any filter (net_memif, net_ring, net_vhost).
static int multicast_enable(const struct port *port, const struct rte_eth_dev_info *info)
{
	int rc = rte_eth_allmulticast_enable(port->ethdev);
	if (rc == -ENOTSUP && port->interface)
		return interface_take_multicast(port->interface);
	if (rc == -ENOTSUP)
		rc = rte_eth_promiscuous_enable(port->ethdev);
	if (rc == -ENOTSUP && strcmp(rte_bus_name(rte_dev_bus(info->device)), "vdev") == 0)
		return 0;
	return rc;
}

static int network_prepare(struct port *port, char *why, size_t why_size)
{
	struct rte_eth_dev_info info;
	int rc = rte_eth_dev_info_get(port->ethdev, &info);
	const char *lacks = "has an interface that cannot be looked at";
	if (rc == 0)
		rc = kernel_prepare(port, &info);
	if (rc == 0) {
		lacks = "receives no multicast, which IPv6 and groups need";
		rc = multicast_enable(port, &info);
	}
	if (rc != 0)
		snprintf(why, why_size, "port %s: device \"%s\" %s: %s", port->name, port->device,
			lacks, strerror(-rc));
	return rc;
}

static int device_start(struct port *port, struct rte_mempool *pool, char *why, size_t why_size)
{
	uint16_t n_rx = PORT_RX_DESCRIPTORS, n_tx = PORT_TX_DESCRIPTORS;
	int socket = rte_eth_dev_socket_id(port->ethdev);
	unsigned on = socket < 0 ? (unsigned)SOCKET_ID_ANY : (unsigned)socket;
	int rc = rte_eth_dev_adjust_nb_rx_tx_desc(port->ethdev, &n_rx, &n_tx);
	for (uint16_t q = 0; rc == 0 && q < port->n_rx_queues; q++)
		rc = rte_eth_rx_queue_setup(port->ethdev, q, n_rx, on, NULL, pool);
	for (uint16_t q = 0; rc == 0 && q < port->n_tx_queues; q++)
		rc = rte_eth_tx_queue_setup(port->ethdev, q, n_tx, on, NULL);
	if (rc == 0)
		rc = rte_eth_dev_start(port->ethdev);
	struct rte_ether_addr mac;
	if (rc == 0)
		rc = rte_eth_macaddr_get(port->ethdev, &mac);
	if (rc != 0) {
		char reason[PORT_REASON_SIZE];
		port_reason(port->device, rc, reason, sizeof(reason));
		snprintf(why, why_size, "port %s: device \"%s\" does not start: %s", port->name,
			port->device, reason);
		return rc;
	}
	port_set_mac(port, &mac);
	return network_prepare(port, why, why_size);
}

static int addresses_open(struct port *port, const struct port_options *options)
{
	port->addresses = calloc(options->n_prefixes, sizeof(*port->addresses));
	if (!port->addresses)
		return -ENOMEM;
	for (unsigned i = 0; i < options->n_prefixes; i++) {
		struct port_address *address = &port->addresses[port->n_addresses];
		address->addr = options->prefixes[i].addr;
		address->prefix_len = options->prefixes[i].prefix_len;
		// Not where the relay began before it was restarted: packets of those calls still come.
		address->pick = (uint32_t)rte_rand_max(UINT16_MAX);
		address->legs = secmem_map(PORT_LEGS_SIZE);
		if (!address->legs)
			return -ENOMEM;
		port->n_addresses++;
	}
	return 0;
}

static void addresses_close(struct port *port)
{
	for (unsigned i = 0; i < port->n_addresses; i++)
		secmem_unmap(port->addresses[i].legs, PORT_LEGS_SIZE);
	free(port->addresses);
}

int port_open(struct port *port, const struct port_options *options, unsigned n_workers,
	struct rte_mempool *pool, char *why, size_t why_size)
{
	*port = (struct port){
		.vlan = options->vlan,
		.mtu = options->mtu,
		.l2_len = RTE_ETHER_HDR_LEN + (options->vlan != 0 ? RTE_VLAN_HLEN : 0),
		.udp_first = options->udp_first,
		.udp_last = options->udp_last,
		.gateway = options->gateway,
		.gateway6 = options->gateway6,
	};
	snprintf(port->name, sizeof(port->name), "%s", options->name);
	snprintf(port->device, sizeof(port->device), "%s", options->device);
	device_add_queues(port->device, n_workers);
	int rc = device_probe(port, why, why_size);
	if (rc != 0)
		return rc;
	rc = device_configure(port, n_workers, why, why_size);
	if (rc == 0)
		rc = device_start(port, pool, why, why_size);
	if (rc == 0) {
		rc = addresses_open(port, options);
		if (rc != 0)
			snprintf(why, why_size, "port %s: no memory", port->name);
	}
	if (rc != 0)
		port_close(port);
	return rc;
}

bool port_is_gone(const struct port *port)
{
	return port->interface && interface_is_gone(port->interface);
}

bool port_link_is_up(const struct port *port)
{
	if (port->interface)
		return interface_is_running(port->interface);
	struct rte_eth_link link = {};
	int rc = rte_eth_link_get_nowait(port->ethdev, &link);
	// A driver that cannot tell has none that could be down.
	return rc == -ENOTSUP || (rc == 0 && link.link_status == RTE_ETH_LINK_UP);
}

void port_close(struct port *port)
{
	addresses_close(port);
	rte_eth_dev_stop(port->ethdev);
	rte_eth_dev_close(port->ethdev);
	interface_close(port->interface);
	*port = (struct port){};
}

static bool address_on_link(const struct port_address *address, const struct endpoint *remote)
{
	if (address->addr.family != remote->family)
		return false;
	for (unsigned bit = 0; bit < address->prefix_len; bit++) {
		uint8_t differ = address->addr.addr[bit / 8] ^ remote->addr[bit / 8];
		if (differ >> (7 - bit % 8) & 1)
			return false;
	}
	return true;
}

// Of IPv4: all bits of the host are 0 (the network itself) or 1 (all hosts on it).
static bool address_names_link(const struct port_address *address, const struct endpoint *addr)
{
	unsigned host_bits = 32 - address->prefix_len;
	if (addr->family != AF_INET || host_bits < 2 || !address_on_link(address, addr))
		return false;
	uint32_t mask = (uint32_t)((UINT64_C(1) << host_bits) - 1), word;
	memcpy(&word, addr->addr, sizeof(word));
	uint32_t host = ntohl(word) & mask;
	return host == 0 || host == mask;
}

bool port_address_is_hosts(const struct port *port, const struct endpoint *addr)
{
	static const struct in6_addr loopback = IN6ADDR_LOOPBACK_INIT;
	const struct endpoint nobody = {.family = addr->family};
	uint8_t first = addr->addr[0];
	if (addr->family == AF_INET ? first == 0 || first == 127 || first >= 224
				    : endpoint_same_addr(addr, &nobody) || first == 0xff ||
					      memcmp(addr->addr, &loopback, 16) == 0)
		return false;
	for (unsigned i = 0; i < port->n_addresses; i++)
		if (endpoint_same_addr(&port->addresses[i].addr, addr) ||
			address_names_link(&port->addresses[i], addr))
			return false;
	return true;
}

int port_statistics(const struct port *port, struct rte_eth_stats *stats)
{
	*stats = (struct rte_eth_stats){};
	int rc = rte_eth_stats_get(port->ethdev, stats);
	if (port->interface)
		stats->imissed += interface_missed(port->interface);
	return rc;
}

struct endpoint port_next_hop(const struct port *port, const struct endpoint *remote)
{
	struct endpoint hop = *remote;
	hop.port = 0;
	if (endpoint_is_multicast(remote))
		return hop;
	for (unsigned i = 0; i < port->n_addresses; i++)
		if (address_on_link(&port->addresses[i], remote))
			return hop;
	return remote->family == AF_INET ? port->gateway : port->gateway6;
}

const struct endpoint *port_source_address(const struct port *port, const struct endpoint *addr)
{
	const struct endpoint *source = NULL;
	for (unsigned i = 0; i < port->n_addresses; i++) {
		if (address_on_link(&port->addresses[i], addr))
			return &port->addresses[i].addr;
		if (!source && port->addresses[i].addr.family == addr->family)
			source = &port->addresses[i].addr;
	}
	return source;
}
