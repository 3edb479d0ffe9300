// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "host/nd.h"

#include <string.h>

#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

#include "dataplane/punt.h"
#include "host/frame.h"

enum {
	ND_HOP_LIMIT = 255, // RFC 4861 11.2: it was not forwarded
	ND_SOURCE_LINK_LAYER = 1,
	ND_TARGET_LINK_LAYER = 2,
	ND_SOLICITED = 0x40, // flags of an advertisement
	ND_OVERRIDE = 0x20,
};

// The message as sent and looked for: fixed part of RFC 4861 4.3 and 4.4, and one link-layer
// option.
struct nd_packet {
	uint8_t type, code;
	rte_be16_t checksum;
	uint8_t flags, reserved[3];
	uint8_t target[16];
	uint8_t option_type, option_len; // in units of 8 octets
	struct rte_ether_addr mac;
};

enum { ND_FIXED_LEN = 24 };

// Finds the link-layer address in the options after the fixed part. False if an option is malformed, which
// makes the message invalid.
static bool nd_read_options(
	const uint8_t *options, uint16_t len, uint8_t type, struct nd_message *message)
{
	while (len >= 8) {
		uint16_t option_len = (uint16_t)(options[1] * 8);
		if (option_len == 0 || option_len > len)
			return false;
		if (options[0] == type && !message->has_mac) {
			memcpy(&message->mac, options + 2, sizeof(message->mac));
			message->has_mac = true;
		}
		options += option_len;
		len -= option_len;
	}
	return len == 0;
}

// With the option, if message has its type.
static void nd_send(struct relay *relay, uint8_t port, const struct rte_ether_addr *to,
	const uint8_t source[16], const uint8_t destination[16], struct nd_packet *message)
{
	uint8_t *payload;
	uint16_t len = message->option_type != 0 ? sizeof(*message) : ND_FIXED_LEN;
	struct rte_mbuf *mbuf = frame_new(relay, port, to, RTE_ETHER_TYPE_IPV6,
		(uint16_t)(sizeof(struct rte_ipv6_hdr) + len), &payload);
	if (!mbuf)
		return;
	struct rte_ipv6_hdr ip = {
		.vtc_flow = RTE_BE32(6u << 28),
		.payload_len = rte_cpu_to_be_16(len),
		.proto = IPPROTO_ICMPV6,
		.hop_limits = ND_HOP_LIMIT,
	};
	memcpy(&ip.src_addr, source, 16);
	memcpy(&ip.dst_addr, destination, 16);
	message->option_len = 1;
	message->mac = relay->ports[port].mac;
	message->checksum = 0;
	message->checksum = rte_ipv6_udptcp_cksum(&ip, message);
	memcpy(payload, &ip, sizeof(ip));
	memcpy(payload + sizeof(ip), message, len);
	frame_send(relay, port, mbuf);
}

static const uint8_t unspecified[16], all_nodes[16] = {0xff, 0x02, [15] = 1};

// RFC 4861 7.1.1 and 7.1.2, beyond lengths and checksum. Who looks for duplicates has no address yet, and asks the
// solicited-node group.
static bool nd_is_valid(const struct nd_message *message, const uint8_t destination[16])
{
	static const uint8_t solicited_node[13] = {0xff, 0x02, [11] = 0x01, 0xff};
	bool to_group = destination[0] == 0xff;
	if (endpoint_is_multicast(&message->target))
		return false;
	if (!message->solicitation)
		return !(to_group && message->solicited);
	return memcmp(message->source.addr, unspecified, 16) != 0 ||
	       (!message->has_mac &&
		       memcmp(destination, solicited_node, sizeof(solicited_node)) == 0);
}

bool nd_read(const uint8_t *packet, uint16_t len, struct nd_message *message)
{
	struct rte_ipv6_hdr ip;
	struct nd_packet nd;
	if (len < sizeof(ip) + ND_FIXED_LEN)
		return false;
	memcpy(&ip, packet, sizeof(ip));
	memcpy(&nd, packet + sizeof(ip), ND_FIXED_LEN);
	uint16_t nd_len = rte_be_to_cpu_16(ip.payload_len);
	if (ip.proto != IPPROTO_ICMPV6 || ip.hop_limits != ND_HOP_LIMIT || nd.code != 0 ||
		(nd.type != ND_SOLICITATION && nd.type != ND_ADVERTISEMENT) ||
		nd_len < ND_FIXED_LEN || nd_len + sizeof(ip) > len ||
		!frame_icmp6_checksum_ok(&ip, packet + sizeof(ip)))
		return false;
	bool solicitation = nd.type == ND_SOLICITATION;
	*message = (struct nd_message){
		.source = endpoint_ipv6((const uint8_t *)&ip.src_addr),
		.target = endpoint_ipv6(nd.target),
		.solicitation = solicitation,
		.solicited = !solicitation && (nd.flags & ND_SOLICITED),
		.override = !solicitation && (nd.flags & ND_OVERRIDE),
	};
	return nd_read_options(packet + sizeof(ip) + ND_FIXED_LEN, nd_len - ND_FIXED_LEN,
		       solicitation ? ND_SOURCE_LINK_LAYER : ND_TARGET_LINK_LAYER, message) &&
	       nd_is_valid(message, (const uint8_t *)&ip.dst_addr);
}

// Advertises an address of the port to a node, or to all nodes.
static void nd_advertise(struct relay *relay, uint8_t port, const struct endpoint *addr,
	uint8_t flags, const uint8_t to[16], const struct rte_ether_addr *to_mac)
{
	struct nd_packet message = {
		.type = ND_ADVERTISEMENT,
		.flags = flags,
		.option_type = ND_TARGET_LINK_LAYER,
	};
	memcpy(message.target, addr->addr, 16);
	nd_send(relay, port, to_mac, message.target, to, &message);
}

void nd_announce(struct relay *relay, uint8_t port, const struct endpoint *addr)
{
	static const struct rte_ether_addr all_nodes_mac = {{0x33, 0x33, 0, 0, 0, 1}};
	nd_advertise(relay, port, addr, ND_OVERRIDE, all_nodes, &all_nodes_mac);
}

void nd_answer(struct relay *relay, uint8_t port, const struct rte_ether_addr *from,
	const struct nd_message *solicitation)
{
	// A node in duplicate address detection listens to all nodes (RFC 4861 7.2.4).
	if (memcmp(solicitation->source.addr, unspecified, 16) == 0)
		nd_announce(relay, port, &solicitation->target);
	else
		nd_advertise(relay, port, &solicitation->target, ND_SOLICITED | ND_OVERRIDE,
			solicitation->source.addr,
			solicitation->has_mac ? &solicitation->mac : from);
}

// Solicits an address at its solicited-node group, or at `to` if that is not NULL.
static void nd_solicit_from(struct relay *relay, uint8_t port, const uint8_t source[16],
	uint8_t option_type, const struct endpoint *addr, const struct rte_ether_addr *to)
{
	const uint8_t *a = addr->addr;
	// The solicited-node multicast address and its Ethernet group (RFC 4291 2.7.1, RFC 2464 7).
	uint8_t group[16] = {0xff, 0x02, [11] = 1, 0xff, a[13], a[14], a[15]};
	struct rte_ether_addr group_mac = {{0x33, 0x33, 0xff, a[13], a[14], a[15]}};
	struct nd_packet message = {.type = ND_SOLICITATION, .option_type = option_type};
	memcpy(message.target, a, 16);
	nd_send(relay, port, to ? to : &group_mac, source, to ? a : group, &message);
}

void nd_probe(struct relay *relay, uint8_t port, const struct endpoint *addr)
{
	nd_solicit_from(relay, port, unspecified, 0, addr, NULL);
}

void nd_solicit(struct relay *relay, uint8_t port, const struct endpoint *addr,
	const struct rte_ether_addr *to)
{
	const struct endpoint *source = port_source_address(&relay->ports[port], addr);
	if (source)
		nd_solicit_from(relay, port, source->addr, ND_SOURCE_LINK_LAYER, addr, to);
}
