// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "host/host.h"

#include <string.h>

#include <rte_mbuf.h>

#include "dataplane/relay_tables.h"
#include "host/arp.h"
#include "host/echo.h"
#include "host/icmp_error.h"
#include "host/igmp.h"
#include "host/mld.h"
#include "host/multicast.h"
#include "host/nd.h"
#include "host/neighbour.h"
#include "host/own_address.h"

// What an ARP packet says of its sender is true of whoever it was sent to (RFC 826); a reply to the relay is an
// answer. A probe (RFC 5227 1.1) has no sender's address yet.
static void host_hear_arp(struct relay *relay, uint8_t port, const uint8_t *packet, uint16_t len)
{
	struct arp_message message;
	if (!arp_read(packet, len, &message) ||
		own_address_claimed(relay, port, &message.sender, &message.sender_mac))
		return;
	bool to_us = port_find_address(&relay->ports[port], &message.target) != NULL;
	const struct neighbour_claim claim = {
		.addr = message.sender,
		.mac = message.sender_mac,
		.solicited = to_us && !message.request,
		.override = true,
	};
	neighbour_hear(relay, port, &claim);
	if (to_us && message.request)
		arp_answer(relay, port, &message);
}

static void host_hear_solicitation(struct relay *relay, uint8_t port,
	const struct rte_ether_addr *from, const struct nd_message *message)
{
	const struct neighbour_claim claim = {
		.addr = message->source, .mac = message->mac, .override = true};
	if (!port_find_address(&relay->ports[port], &message->target) ||
		own_address_claimed(relay, port, &message->source, from))
		return;
	neighbour_hear(relay, port, &claim);
	nd_answer(relay, port, from, message);
}

static void host_hear_advertisement(struct relay *relay, uint8_t port,
	const struct rte_ether_addr *from, const struct nd_message *message)
{
	const struct neighbour_claim claim = {
		.addr = message->target,
		.mac = message->mac,
		.solicited = message->solicited,
		.override = message->override,
	};
	if (!own_address_claimed(
		    relay, port, &message->target, message->has_mac ? &message->mac : from))
		neighbour_hear(relay, port, &claim);
}

static void host_hear_nd(struct relay *relay, uint8_t port, const struct rte_ether_addr *from,
	const uint8_t *packet, uint16_t len)
{
	struct nd_message message;
	if (!nd_read(packet, len, &message))
		return;
	if (message.solicitation)
		host_hear_solicitation(relay, port, from, &message);
	else
		host_hear_advertisement(relay, port, from, &message);
}

void host_input(struct relay *relay, struct rte_mbuf *mbuf)
{
	uint8_t port = relay->port_of_ethdev[mbuf->port];
	const uint8_t *frame = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	struct rte_ether_addr from;
	memcpy(&from, frame + 6, sizeof(from));
	// stage_parse has checked that these octets are there.
	uint16_t l2_len = RTE_ETHER_HDR_LEN;
	uint16_t type = (uint16_t)(frame[12] << 8 | frame[13]);
	if (type == RTE_ETHER_TYPE_VLAN) {
		l2_len += RTE_VLAN_HLEN;
		type = (uint16_t)(frame[16] << 8 | frame[17]);
	}
	const uint8_t *packet = frame + l2_len;
	uint16_t len = mbuf->data_len - l2_len;
	const struct port *p = &relay->ports[port];
	struct multicast_query query;
	if (rte_is_same_ether_addr(&from, &p->mac))
		return; // a switch brought it back
	if (type == RTE_ETHER_TYPE_ARP) {
		host_hear_arp(relay, port, packet, len);
		return;
	}
	if (type == RTE_ETHER_TYPE_IPV6)
		host_hear_nd(relay, port, &from, packet, len);
	if (type == RTE_ETHER_TYPE_IPV6 ? mld_read(p, packet, len, &query)
					: igmp_read(p, packet, len, &query))
		multicast_asked(relay, port, &query);
	echo_answer(relay, port, &from, packet, len);
	icmp_error_hear(relay, port, packet, len);
}
