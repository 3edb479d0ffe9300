// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_ether.h>
#include <rte_mempool.h>

#include "base/endpoint.h"

// Ports: DPDK ethdevs with the relay's addresses.

struct interface;
struct rte_eth_stats;

enum {
	PORT_MAX = 16,
	PORT_NAME_MAX = 32, // octets with NUL, as the next
	PORT_DEVICE_MAX = 256,
	PORT_RX_DESCRIPTORS = 1024, // of a queue, if the device takes as many
	PORT_TX_DESCRIPTORS = 1024,
	PORT_LEGS_SIZE = 65536 * sizeof(uint32_t),       // octets of an address's legs
	PORT_L2_SOURCE_LEN = RTE_ETHER_ADDR_LEN + 4 + 2, // octets: MAC, VLAN tag, EtherType
};

// What main takes from the configuration.
struct port_prefix {
	struct endpoint addr; // port unused
	uint8_t prefix_len;   // bits
};

struct port_options {
	const char *name, *device;
	const struct port_prefix *prefixes;
	unsigned n_prefixes;
	struct endpoint gateway, gateway6; // AF_UNSPEC: none
	uint16_t vlan, mtu;
	uint16_t udp_first, udp_last;
};

// One of the port's addresses, and the leg behind each of its UDP ports: look-up is an array index.
struct port_address {
	struct endpoint addr;
	uint8_t prefix_len;
	_Atomic uint32_t
		*legs; // 65,536, by UDP port in host order: leg + 1. control: rw, worker: ro
	uint32_t pick; // where to look for a free UDP port next. Control
};

// An Ethernet header from the source address on: what all frames of a family that the port sends have there.
struct port_l2_source {
	uint8_t octets[PORT_L2_SOURCE_LEN]; // without a VLAN the last 4 are unused
};

// What all frames that the port sends have of it, and those that it takes.
struct port_l2 {
	struct rte_ether_addr mac;
	struct port_l2_source ipv4, ipv6;
};

struct port {
	char name[PORT_NAME_MAX];
	char device[PORT_DEVICE_MAX];
	uint16_t ethdev;
	struct interface *interface;  // NULL: the device is not the kernel's
	uint16_t vlan;                // 0: untagged
	uint16_t mtu;                 // octets of an IP packet
	uint16_t udp_first, udp_last; // that the relay picks from for legs
	uint16_t n_rx_queues, n_tx_queues;
	uint8_t l2_len;            // octets of an Ethernet header: 14, or 18 with a VLAN
	_Atomic uint8_t l2_at;     // of l2, the one that counts. control: rw, worker: ro
	struct port_l2 l2[2];      // written by port_set_mac(), as the next
	struct rte_ether_addr mac; // Control
	struct port_address *addresses;
	unsigned n_addresses;
	struct endpoint gateway, gateway6;
	// Control: rw, worker: ro
	_Atomic bool down;
	bool lost; // of host/link_watch.c: its interface was, and no other has run since. Control
	uint64_t n_found; // times that another took the place of one that was lost. Control
	// Of host/own_address.c, in ms of clock_now_ms(). Control
	uint64_t announce_ms, defend_ms; // when addresses are announced next, and may be defended
	uint8_t announcements;           // left
};

// Probes the device, configures a receive and a transmit queue for each of n_workers (RSS over the
// workers if there is more than one), and starts it. Packets come from pool. Returns 0, or -errno
// with a sentence in why[why_size]. Main thread, before the workers run.
int port_open(struct port *port, const struct port_options *options, unsigned n_workers,
	struct rte_mempool *pool, char *why, size_t why_size);

// As its driver counts, and what the kernel missed below net_af_packet. 0 or -errno. Control thread.
int port_statistics(const struct port *port, struct rte_eth_stats *stats);

// Makes an address the one that the port sends from. port_open() does it with the device's own. Where workers run a grace
// period has passed since the last call. Main thread.
void port_set_mac(struct port *port, const struct rte_ether_addr *mac);

// What frames of the port have of its address. Any thread.
static inline const struct port_l2 *port_l2(const struct port *port)
{
	return &port->l2[atomic_load_explicit(&port->l2_at, memory_order_acquire)];
}

// Whether the kernel has the port's interface no more; false of a device that is not the kernel's. Control thread.
bool port_is_gone(const struct port *port);

// Whether the port's link is up. Control thread.
bool port_link_is_up(const struct port *port);

// Stops and closes the device. After the workers.
void port_close(struct port *port);

// The port's address that is addr, or NULL.
static inline struct port_address *port_find_address(
	const struct port *port, const struct endpoint *addr)
{
	for (unsigned i = 0; i < port->n_addresses; i++)
		if (endpoint_same_addr(&port->addresses[i].addr, addr))
			return &port->addresses[i];
	return NULL;
}

// Whether addr can be that of a host on a link of the port or beyond: no unspecified, loopback,
// multicast or broadcast address, and none of the port's own.
bool port_address_is_hosts(const struct port *port, const struct endpoint *addr);

// Next hop towards remote: itself if it is on link or multicast, else the gateway of its family;
// AF_UNSPEC if there is none.
struct endpoint port_next_hop(const struct port *port, const struct endpoint *remote);

// The port's own address for talking to addr: one on the same link, else one of its family, else
// NULL.
const struct endpoint *port_source_address(const struct port *port, const struct endpoint *addr);
