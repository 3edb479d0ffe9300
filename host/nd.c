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
	ND_SOLICITED_OVERRIDE = 0x60,
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
	const uint8_t source[16], const uint8_t destination[16], struct nd_packet *message)
{
	uint8_t *payload;
	struct rte_mbuf *mbuf = frame_new(relay, port, to, RTE_ETHER_TYPE_IPV6,
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
	frame_send(relay, port, mbuf);
}

bool nd_read(const uint8_t *packet, uint16_t len, struct nd_message *message)
{
	struct rte_ipv6_hdr ip;
	if (len < sizeof(ip) + ND_FIXED_LEN)
		return false;
	memcpy(&ip, packet, sizeof(ip));
	struct nd_packet nd;
	memcpy(&nd, packet + sizeof(ip), ND_FIXED_LEN);
	uint16_t nd_len = rte_be_to_cpu_16(ip.payload_len);
	if (ip.proto != IPPROTO_ICMPV6 || ip.hop_limits != ND_HOP_LIMIT || nd.code != 0 ||
		(nd.type != ND_SOLICITATION && nd.type != ND_ADVERTISEMENT) ||
		nd_len < ND_FIXED_LEN || nd_len + sizeof(ip) > len ||
		!frame_icmp6_checksum_ok(&ip, packet + sizeof(ip)))
		return false;
	*message = (struct nd_message){
		.source = {.family = AF_INET6},
		.target = {.family = AF_INET6},
		.solicitation = nd.type == ND_SOLICITATION,
	};
	memcpy(message->source.addr, &ip.src_addr, 16);
	memcpy(message->target.addr, nd.target, 16);
	message->has_mac = nd_find_option(packet + sizeof(ip) + ND_FIXED_LEN, nd_len - ND_FIXED_LEN,
		message->solicitation ? ND_SOURCE_LINK_LAYER : ND_TARGET_LINK_LAYER, &message->mac);
	return true;
}

void nd_answer(struct relay *relay, uint8_t port, const struct nd_message *solicitation)
{
	static const uint8_t unspecified[16], all_nodes[16] = {0xff, 0x02, [15] = 1};
	const uint8_t *source = solicitation->source.addr;
	// A node in duplicate address detection has no address yet and listens to all nodes (RFC
	// 4861 7.2.4).
	bool duplicate_check = memcmp(source, unspecified, 16) == 0;
	const uint8_t *to = duplicate_check ? all_nodes : source;
	struct rte_ether_addr mac = {{0x33, 0x33, to[12], to[13], to[14], to[15]}};
	if (solicitation->has_mac && !duplicate_check)
		mac = solicitation->mac;
	struct nd_packet answer = {
		.type = ND_ADVERTISEMENT,
		.flags = duplicate_check ? ND_OVERRIDE : ND_SOLICITED_OVERRIDE,
		.option_type = ND_TARGET_LINK_LAYER,
	};
	memcpy(answer.target, solicitation->target.addr, 16);
	nd_send(relay, port, &mac, answer.target, to, &answer);
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
	struct nd_packet message = {
		.type = ND_SOLICITATION,
		.option_type = ND_SOURCE_LINK_LAYER,
	};
	memcpy(message.target, a, 16);
	nd_send(relay, port, to ? to : &group_mac, source->addr, to ? a : group, &message);
}
