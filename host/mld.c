// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "host/mld.h"

#include <string.h>

#include <rte_ip.h>
#include <rte_mbuf.h>

#include "dataplane/punt.h"
#include "host/frame.h"

// RFC 3810, with its compatibility with queriers of RFC 2710. Reports of other nodes are ignored:
// none can suppress those of the relay.

enum {
	MLD_V1_REPORT = 131,
	MLD_V1_DONE = 132,
	MLD_V2_REPORT = 143,
	MLD_V1_LEN = 24, // octets
	MLD_V2_QUERY_LEN = 28,
	MLD_HOP_LIMIT = 1,
	OPTION_PAD1 = 0,
	OPTION_PADN = 1,
	OPTION_ROUTER_ALERT = 5, // RFC 2711
};

static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 0x01};
static const uint8_t all_routers[16] = {0xff, 0x02, [15] = 0x02};
static const uint8_t all_v2_routers[16] = {0xff, 0x02, [15] = 0x16};

// Whether hop-by-hop options have a router alert for MLD. An option that is unknown and must not
// be skipped (RFC 8200 4.2) ends the packet.
static bool options_alert(const uint8_t *options, size_t len)
{
	bool alert = false;
	while (len > 0) {
		if (options[0] == OPTION_PAD1) {
			options++;
			len--;
			continue;
		}
		if (len < 2 || options[1] + 2U > len)
			return false;
		if (options[0] == OPTION_ROUTER_ALERT)
			alert = options[1] == 2 && options[2] == 0 && options[3] == 0;
		else if (options[0] != OPTION_PADN && options[0] >> 6 != 0)
			return false;
		len -= options[1] + 2U;
		options += options[1] + 2;
	}
	return alert;
}

// RFC 3810 5.1.3: milliseconds, from 32,768 on with an exponent.
static uint32_t max_response_ms(uint16_t code)
{
	if (code < 32768)
		return code;
	return (uint32_t)((code & 0x0fff) | 0x1000) << ((code >> 12 & 7) + 3);
}

// Which version a query is of: by its length (RFC 3810 8.1).
static bool query_read(const uint8_t *mld, uint16_t len, struct multicast_query *query)
{
	uint16_t code = (uint16_t)(mld[4] << 8 | mld[5]);
	query->group = (struct endpoint){.family = AF_INET6};
	memcpy(query->group.addr, mld + 8, 16);
	if (len == MLD_V1_LEN) {
		query->age = MULTICAST_OLDER;
		query->max_ms = code;
		return true;
	}
	if (len < MLD_V2_QUERY_LEN)
		return false;
	query->age = MULTICAST_NEWEST;
	query->max_ms = max_response_ms(code);
	query->n_sources = (uint32_t)(mld[26] << 8 | mld[27]);
	query->sources = mld + MLD_V2_QUERY_LEN;
	return query->n_sources * 16 <= (uint32_t)(len - MLD_V2_QUERY_LEN);
}

// As in IGMP (RFC 3810 5.1.15).
static bool query_is_for_us(
	const struct port *port, const struct rte_ipv6_hdr *ip, const struct multicast_query *query)
{
	struct endpoint to = {.family = AF_INET6}, all = {.family = AF_INET6};
	memcpy(to.addr, &ip->dst_addr, 16);
	bool general = endpoint_same_addr(&query->group, &all);
	if (!general && !endpoint_is_multicast(&query->group))
		return false;
	if (general && query->n_sources > 0)
		return false;
	return memcmp(to.addr, all_nodes, 16) == 0 ||
	       (!general && endpoint_same_addr(&to, &query->group)) || port_find_address(port, &to);
}

// The ICMPv6 message behind the hop-by-hop header, NULL if there is none; its length in *mld_len.
// What RFC 3810 6.2 demands of a query's way is checked here.
static const uint8_t *mld_find(
	const struct rte_ipv6_hdr *ip, const uint8_t *packet, uint16_t len, uint16_t *mld_len)
{
	uint16_t payload_len = rte_be_to_cpu_16(ip->payload_len);
	const uint8_t *hop = packet + sizeof(*ip);
	struct endpoint from = endpoint_ipv6((const uint8_t *)&ip->src_addr);
	if (ip->proto != IPPROTO_HOPOPTS || ip->hop_limits != MLD_HOP_LIMIT ||
		payload_len + sizeof(*ip) > len || payload_len < 8 ||
		!endpoint_is_link_local(&from))
		return NULL;
	uint16_t hop_len = (uint16_t)(8 + hop[1] * 8);
	if (hop[0] != IPPROTO_ICMPV6 || payload_len < hop_len + MLD_V1_LEN ||
		!options_alert(hop + 2, hop_len - 2))
		return NULL;
	*mld_len = payload_len - hop_len;
	return hop + hop_len;
}

bool mld_read(
	const struct port *port, const uint8_t *packet, uint16_t len, struct multicast_query *query)
{
	struct rte_ipv6_hdr ip;
	if (len < sizeof(ip))
		return false;
	memcpy(&ip, packet, sizeof(ip));
	uint16_t mld_len;
	const uint8_t *mld = mld_find(&ip, packet, len, &mld_len);
	if (!mld || mld[0] != MLD_QUERY || mld[1] != 0)
		return false;
	// The pseudo header is of the message alone (RFC 8200 8.1).
	struct rte_ipv6_hdr pseudo = ip;
	pseudo.proto = IPPROTO_ICMPV6;
	pseudo.payload_len = rte_cpu_to_be_16(mld_len);
	*query = (struct multicast_query){};
	return frame_icmp6_checksum_ok(&pseudo, mld) && query_read(mld, mld_len, query) &&
	       query_is_for_us(port, &ip, query);
}

// A link-local address: the port's, or else that of its MAC (RFC 4291 appendix A).
static void mld_source(const struct port *port, uint8_t addr[16])
{
	for (unsigned i = 0; i < port->n_addresses; i++) {
		const struct endpoint *own = &port->addresses[i].addr;
		if (endpoint_is_link_local(own)) {
			memcpy(addr, own->addr, 16);
			return;
		}
	}
	const uint8_t *mac = port->mac.addr_bytes;
	const uint8_t made[16] = {0xfe, 0x80, [8] = mac[0] ^ 0x02, mac[1], mac[2], 0xff, 0xfe,
		mac[3], mac[4], mac[5]};
	memcpy(addr, made, 16);
}

static void mld_send(
	struct relay *relay, uint8_t port, const uint8_t to[16], uint8_t *mld, uint16_t len)
{
	static const uint8_t hop[8] = {
		IPPROTO_ICMPV6, 0, OPTION_ROUTER_ALERT, 2, 0, 0, OPTION_PADN, 0};
	static_assert(sizeof(struct rte_ipv6_hdr) + sizeof(hop) == MLD_IP_LEN, "no padding");
	struct rte_ipv6_hdr ip = {
		.vtc_flow = RTE_BE32(6u << 28),
		.payload_len = rte_cpu_to_be_16(len),
		.proto = IPPROTO_ICMPV6,
		.hop_limits = MLD_HOP_LIMIT,
	};
	mld_source(&relay->ports[port], (uint8_t *)&ip.src_addr);
	memcpy(&ip.dst_addr, to, 16);
	uint16_t sum = rte_ipv6_udptcp_cksum(&ip, mld);
	memcpy(mld + 2, &sum, sizeof(sum));
	ip.proto = IPPROTO_HOPOPTS;
	ip.payload_len = rte_cpu_to_be_16((uint16_t)(sizeof(hop) + len));
	struct rte_ether_addr mac = {{0x33, 0x33, to[12], to[13], to[14], to[15]}};
	uint8_t *payload;
	struct rte_mbuf *mbuf = frame_new(
		relay, port, &mac, RTE_ETHER_TYPE_IPV6, (uint16_t)(MLD_IP_LEN + len), &payload);
	if (!mbuf)
		return;
	memcpy(payload, &ip, sizeof(ip));
	memcpy(payload + sizeof(ip), hop, sizeof(hop));
	memcpy(payload + MLD_IP_LEN, mld, len);
	frame_send(relay, port, mbuf);
}

void mld_send_report(struct relay *relay, uint8_t port, uint8_t *report, uint16_t len)
{
	report[0] = MLD_V2_REPORT;
	mld_send(relay, port, all_v2_routers, report, len);
}

void mld_send_older(struct relay *relay, uint8_t port, const struct endpoint *group, bool leave)
{
	uint8_t mld[MLD_V1_LEN] = {leave ? MLD_V1_DONE : MLD_V1_REPORT};
	memcpy(mld + 8, group->addr, 16);
	mld_send(relay, port, leave ? all_routers : group->addr, mld, sizeof(mld));
}
