// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "host/igmp.h"

#include <string.h>

#include <rte_ip.h>
#include <rte_mbuf.h>

#include "dataplane/punt.h"
#include "host/frame.h"

// RFC 3376, with its compatibility with older queriers. Reports of other hosts are ignored: none
// can suppress those of the relay.

enum {
	IGMP_V1_REPORT = 0x12,
	IGMP_V2_REPORT = 0x16,
	IGMP_V2_LEAVE = 0x17,
	IGMP_V3_REPORT = 0x22,
	IGMP_OLDER_LEN = 8, // octets of all messages of versions 1 and 2
	IGMP_V3_QUERY_LEN = 12,
	IGMP_TTL = 1,
	IGMP_TOS = 0xc0, // Internetwork Control (RFC 3376 4)
	IGMP_V1_MAX_MS = 10000,
	OPTION_END = 0,
	OPTION_NOP = 1,
	OPTION_ROUTER_ALERT = 0x94, // RFC 2113
};

static const uint8_t all_systems[4] = {224, 0, 0, 1};
static const uint8_t all_routers[4] = {224, 0, 0, 2};
static const uint8_t all_v3_routers[4] = {224, 0, 0, 22};

// Whether the options of an IPv4 header have a router alert.
static bool options_alert(const uint8_t *options, size_t len)
{
	while (len > 0 && options[0] != OPTION_END) {
		uint16_t option_len = 1;
		if (options[0] != OPTION_NOP) {
			if (len < 2 || options[1] < 2 || options[1] > len)
				return false;
			option_len = options[1];
		}
		if (options[0] == OPTION_ROUTER_ALERT)
			return option_len == 4;
		options += option_len;
		len -= option_len;
	}
	return false;
}

// RFC 3376 4.1.1: tenths of a second, from 128 on with an exponent.
static uint32_t max_response_ms(uint8_t code)
{
	uint32_t tenths = code;
	if (code >= 128)
		tenths = (uint32_t)((code & 0x0f) | 0x10) << ((code >> 4 & 7) + 3);
	return tenths * 100;
}

// Which version a query is of: by its length and its code (RFC 3376 7.1).
static bool query_read(const uint8_t *igmp, uint16_t len, struct multicast_query *query)
{
	query->group = (struct endpoint){.family = AF_INET};
	memcpy(query->group.addr, igmp + 4, 4);
	query->max_ms = max_response_ms(igmp[1]);
	if (len == IGMP_OLDER_LEN) {
		query->age = igmp[1] == 0 ? MULTICAST_OLDEST : MULTICAST_OLDER;
		query->max_ms = igmp[1] == 0 ? IGMP_V1_MAX_MS : (uint32_t)igmp[1] * 100;
		return true;
	}
	if (len < IGMP_V3_QUERY_LEN)
		return false;
	query->age = MULTICAST_NEWEST;
	query->n_sources = (uint32_t)(igmp[10] << 8 | igmp[11]);
	query->sources = igmp + IGMP_V3_QUERY_LEN;
	return query->n_sources * 4 <= (uint32_t)(len - IGMP_V3_QUERY_LEN);
}

// The group that is queried is 0.0.0.0 or one that can be joined, and the destination is that of
// such a query (RFC 3376 4.1.12; an address of the relay is accepted, too).
static bool query_is_for_us(
	const struct port *port, const uint8_t *ip, const struct multicast_query *query)
{
	struct endpoint to = {.family = AF_INET}, all = {.family = AF_INET};
	memcpy(to.addr, ip + 16, 4);
	bool general = endpoint_same_addr(&query->group, &all);
	if (!general && !endpoint_is_multicast(&query->group))
		return false;
	if (general && query->n_sources > 0)
		return false;
	return memcmp(to.addr, all_systems, 4) == 0 ||
	       (!general && endpoint_same_addr(&to, &query->group)) || port_find_address(port, &to);
}

bool igmp_read(
	const struct port *port, const uint8_t *packet, uint16_t len, struct multicast_query *query)
{
	if (len < sizeof(struct rte_ipv4_hdr) || packet[9] != IPPROTO_IGMP)
		return false;
	uint16_t header_len = (uint16_t)((packet[0] & 0x0f) * 4);
	uint16_t total = (uint16_t)(packet[2] << 8 | packet[3]);
	if (header_len < sizeof(struct rte_ipv4_hdr) || total > len ||
		total < header_len + IGMP_OLDER_LEN || packet[8] != IGMP_TTL)
		return false;
	const uint8_t *igmp = packet + header_len;
	uint16_t igmp_len = total - header_len;
	*query = (struct multicast_query){};
	if (igmp[0] != IGMP_QUERY || rte_raw_cksum(igmp, igmp_len) != 0xffff ||
		!query_read(igmp, igmp_len, query) || !query_is_for_us(port, packet, query))
		return false;
	// Version 1 came before the option (RFC 3376 9.1).
	return query->age == MULTICAST_OLDEST || options_alert(packet + sizeof(struct rte_ipv4_hdr),
							 header_len - sizeof(struct rte_ipv4_hdr));
}

// The port's first IPv4 address; 0.0.0.0 if it has none.
static rte_be32_t igmp_source(const struct port *port)
{
	const struct endpoint any = {.family = AF_INET};
	const struct endpoint *source = port_source_address(port, &any);
	rte_be32_t addr;
	memcpy(&addr, source ? source->addr : any.addr, sizeof(addr));
	return addr;
}

static void igmp_send(
	struct relay *relay, uint8_t port, const uint8_t to[4], uint8_t *igmp, uint16_t len)
{
	struct {
		struct rte_ipv4_hdr ip;
		uint8_t alert[4];
	} head = {
		.ip =
			{
				.version_ihl = 4 << 4 | IGMP_IP_LEN / 4,
				.type_of_service = IGMP_TOS,
				.total_length = rte_cpu_to_be_16((uint16_t)(IGMP_IP_LEN + len)),
				.fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
				.time_to_live = IGMP_TTL,
				.next_proto_id = IPPROTO_IGMP,
			},
		.alert = {OPTION_ROUTER_ALERT, 4},
	};
	static_assert(sizeof(head) == IGMP_IP_LEN, "no padding");
	head.ip.src_addr = igmp_source(&relay->ports[port]);
	memcpy(&head.ip.dst_addr, to, 4);
	uint16_t sum = (uint16_t)~rte_raw_cksum(&head, sizeof(head));
	head.ip.hdr_checksum = sum;
	sum = (uint16_t)~rte_raw_cksum(igmp, len);
	memcpy(igmp + 2, &sum, sizeof(sum));
	struct rte_ether_addr mac = {{0x01, 0x00, 0x5e, to[1] & 0x7f, to[2], to[3]}};
	uint8_t *payload;
	struct rte_mbuf *mbuf = frame_new(
		relay, port, &mac, RTE_ETHER_TYPE_IPV4, (uint16_t)(sizeof(head) + len), &payload);
	if (!mbuf)
		return;
	memcpy(payload, &head, sizeof(head));
	memcpy(payload + sizeof(head), igmp, len);
	frame_send(relay, port, mbuf);
}

void igmp_send_report(struct relay *relay, uint8_t port, uint8_t *report, uint16_t len)
{
	report[0] = IGMP_V3_REPORT;
	igmp_send(relay, port, all_v3_routers, report, len);
}

void igmp_send_older(
	struct relay *relay, uint8_t port, const struct endpoint *group, bool v1, bool leave)
{
	uint8_t igmp[IGMP_OLDER_LEN] = {v1 ? IGMP_V1_REPORT : IGMP_V2_REPORT};
	if (v1 && leave)
		return; // version 1 has no word for it
	if (leave)
		igmp[0] = IGMP_V2_LEAVE;
	memcpy(igmp + 4, group->addr, 4);
	igmp_send(relay, port, leave ? all_routers : group->addr, igmp, sizeof(igmp));
}
