// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>

#include "base/endpoint.h"

struct relay;
struct rte_ipv6_hdr;
struct rte_mbuf;

// What the network asks of the relay itself: ARP, Neighbour Discovery, echo, group memberships.
// Control thread only.

// Takes part in the protocol of a frame that a worker passed on. The mbuf stays the caller's.
void local_input(struct relay *relay, struct rte_mbuf *mbuf);

// A frame to be filled: Ethernet header (and the port's VLAN tag) written, size octets of zeroed
// payload at *payload. NULL if buffers are used up. relay_send_frame() takes it.
struct rte_mbuf *local_frame(struct relay *relay, uint8_t port, const struct rte_ether_addr *to,
	uint16_t ether_type, uint16_t size, uint8_t **payload);

// Whether an ICMPv6 message has the checksum of RFC 4443 2.3; ip->payload_len octets are there.
bool local_icmp6_checksum_ok(const struct rte_ipv6_hdr *ip, const uint8_t *message);

// RFC 826. packet has len octets.
void arp_input(struct relay *relay, uint8_t port, const uint8_t *packet, uint16_t len);
// Asks for addr: by broadcast, or of to if that is not NULL (RFC 1122 2.3.2.1).
void arp_solicit(struct relay *relay, uint8_t port, const struct endpoint *addr,
	const struct rte_ether_addr *to);

// RFC 4861, an IPv6 packet with ICMPv6 inside.
void nd_input(struct relay *relay, uint8_t port, const uint8_t *packet, uint16_t len);
void nd_solicit(struct relay *relay, uint8_t port, const struct endpoint *addr,
	const struct rte_ether_addr *to);

// RFC 3376: notes a query, which multicast.c answers. packet is IPv4.
void igmp_input(struct relay *relay, uint8_t port, const uint8_t *packet, uint16_t len);
// Sends a report: len octets, with the type and the checksum left to be filled in.
void igmp_send_report(struct relay *relay, uint8_t port, uint8_t *report, uint16_t len);
// A report on one group, or that it is left, as version 2 or 1 has it.
void igmp_send_older(
	struct relay *relay, uint8_t port, const struct endpoint *group, bool v1, bool leave);

// RFC 3810, the same. packet is IPv6 with a hop-by-hop header.
void mld_input(struct relay *relay, uint8_t port, const uint8_t *packet, uint16_t len);
void mld_send_report(struct relay *relay, uint8_t port, uint8_t *report, uint16_t len);
void mld_send_older(struct relay *relay, uint8_t port, const struct endpoint *group, bool leave);

// RFC 792, RFC 4443 4: answers echo requests to the relay's addresses. from is the frame's sender.
void echo_input(struct relay *relay, uint8_t port, const struct rte_ether_addr *from,
	const uint8_t *packet, uint16_t len);
