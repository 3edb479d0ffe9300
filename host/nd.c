// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <string.h>

#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

#include "dataplane/punt.h"
#include "host/local.h"
#include "host/neighbour.h"
#include "host/relay.h"

enum {
	ND_HOP_LIMIT = 255, // RFC 4861 11.2: it was not forwarded
	ND_SOURCE_LINK_LAYER = 1,
	ND_TARGET_LINK_LAYER = 2,
	ND_SOLICITED_OVERRIDE = 0x60,
	ND_OVERRIDE = 0x20,
};

// The message as sent and looked for: fixed part of RFC 4861 4.3 and 4.4, and one link-layer
// option.
struct nd_message {
	uint8_t type, code;
	rte_be16_t checksum;
	uint8_t flags, reserved[3];
	uint8_t target[16];
	uint8_t option_type, option_len; // in units of 8 octets
	struct rte_ether_addr mac;
};

enum { ND_FIXED_LEN = 24 };

// The link-layer address in the options after the fixed part; false if there is none.
static bool nd_find_option(
	const uint8_t *options, uint16_t len, uint8_t type, struct rte_ether_addr *mac)
{
	while (len >= 8) {
		uint16_t option_len = (uint16_t)(options[1] * 8);
		if (option_len == 0 || option_len > len)
			return false;
		if (options[0] == type) {
			memcpy(mac, options + 2, sizeof(*mac));
			return true;
		}
		options += option_len;
		len -= option_len;
	}
	return false;
}

static void nd_send(struct relay *relay, uint8_t port, const struct rte_ether_addr *to,
	const uint8_t source[16], const uint8_t destination[16], struct nd_message *message)
{
	uint8_t *payload;
	struct rte_mbuf *mbuf = local_frame(relay, port, to, RTE_ETHER_TYPE_IPV6,
		sizeof(struct rte_ipv6_hdr) + sizeof(*message), &payload);
	if (!mbuf)
		return;
	struct rte_ipv6_hdr ip = {
		.vtc_flow = RTE_BE32(6u << 28),
		.payload_len = RTE_BE16(sizeof(*message)),
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
	memcpy(payload + sizeof(ip), message, sizeof(*message));
	relay_send_frame(relay, port, mbuf);
}

static void nd_answer(struct relay *relay, uint8_t port, const struct rte_ipv6_hdr *ip,
	const struct nd_message *solicitation, const struct rte_ether_addr *to)
{
	static const uint8_t unspecified[16], all_nodes[16] = {0xff, 0x02, [15] = 1};
	static const struct rte_ether_addr all_nodes_mac = {{0x33, 0x33, 0, 0, 0, 1}};
	// Whoever checks for a duplicate has no address yet and listens to all nodes (RFC
	// 4861 7.2.4).
	bool duplicate_check = memcmp(&ip->src_addr, unspecified, 16) == 0;
	struct nd_message answer = {
		.type = ND_ADVERTISEMENT,
		.flags = duplicate_check ? ND_OVERRIDE : ND_SOLICITED_OVERRIDE,
		.option_type = ND_TARGET_LINK_LAYER,
	};
	memcpy(answer.target, solicitation->target, 16);
	nd_send(relay, port, duplicate_check ? &all_nodes_mac : to, answer.target,
		duplicate_check ? all_nodes : (const uint8_t *)&ip->src_addr, &answer);
}

void nd_input(struct relay *relay, uint8_t port, const uint8_t *packet, uint16_t len)
{
	struct rte_ipv6_hdr ip;
	struct nd_message message;
	if (len < sizeof(ip) + ND_FIXED_LEN)
		return;
	memcpy(&ip, packet, sizeof(ip));
	memcpy(&message, packet + sizeof(ip), ND_FIXED_LEN);
	uint16_t nd_len = rte_be_to_cpu_16(ip.payload_len);
	if (ip.proto != IPPROTO_ICMPV6 || ip.hop_limits != ND_HOP_LIMIT || message.code != 0 ||
		nd_len < ND_FIXED_LEN || nd_len + sizeof(ip) > len ||
		!local_icmp6_checksum_ok(&ip, packet + sizeof(ip)))
		return;
	const uint8_t *options = packet + sizeof(ip) + ND_FIXED_LEN;
	uint16_t options_len = nd_len - ND_FIXED_LEN;
	struct endpoint target = {.family = AF_INET6}, source = {.family = AF_INET6};
	memcpy(target.addr, message.target, 16);
	memcpy(source.addr, &ip.src_addr, 16);
	struct rte_ether_addr mac;
	if (message.type == ND_ADVERTISEMENT) {
		if (nd_find_option(options, options_len, ND_TARGET_LINK_LAYER, &mac))
			neighbour_learn(relay, port, &target, &mac);
	} else if (message.type == ND_SOLICITATION) {
		bool known = nd_find_option(options, options_len, ND_SOURCE_LINK_LAYER, &mac);
		if (known)
			neighbour_learn(relay, port, &source, &mac);
		else
			mac = (struct rte_ether_addr){{0x33, 0x33, source.addr[12], source.addr[13],
				source.addr[14], source.addr[15]}};
		if (port_find_address(&relay->ports[port], &target))
			nd_answer(relay, port, &ip, &message, &mac);
	}
}

void nd_solicit(struct relay *relay, uint8_t port, const struct endpoint *addr,
	const struct rte_ether_addr *to)
{
	const struct endpoint *source = port_source_address(&relay->ports[port], addr);
	if (!source)
		return;
	const uint8_t *a = addr->addr;
	// The solicited-node multicast address and its Ethernet group (RFC 4291 2.7.1, RFC 2464 7).
	uint8_t group[16] = {0xff, 0x02, [11] = 1, 0xff, a[13], a[14], a[15]};
	struct rte_ether_addr group_mac = {{0x33, 0x33, 0xff, a[13], a[14], a[15]}};
	struct nd_message message = {
		.type = ND_SOLICITATION,
		.option_type = ND_SOURCE_LINK_LAYER,
	};
	memcpy(message.target, a, 16);
	nd_send(relay, port, to ? to : &group_mac, source->addr, to ? a : group, &message);
}
