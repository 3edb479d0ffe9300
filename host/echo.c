// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "host/echo.h"

#include <string.h>

#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

#include "host/frame.h"

enum {
	ECHO_TTL = 64,
	ICMP_ECHO_REQUEST = 8,
	ICMP_ECHO_REPLY = 0,
	ICMP6_ECHO_REQUEST = 128,
	ICMP6_ECHO_REPLY = 129,
};

static void echo_answer_v4(struct relay *relay, uint8_t port, const struct rte_ether_addr *from,
	const uint8_t *packet, uint16_t len)
{
	struct rte_ipv4_hdr ip;
	memcpy(&ip, packet, sizeof(ip));
	uint16_t header_len = (uint16_t)((ip.version_ihl & 0x0f) * 4);
	uint16_t total = rte_be_to_cpu_16(ip.total_length);
	struct endpoint to = {.family = AF_INET}, source = {.family = AF_INET};
	memcpy(to.addr, &ip.dst_addr, 4);
	memcpy(source.addr, &ip.src_addr, 4);
	if (ip.next_proto_id != IPPROTO_ICMP || total > len ||
		total < header_len + sizeof(struct rte_icmp_hdr) ||
		!port_find_address(&relay->ports[port], &to) ||
		!port_address_is_hosts(&relay->ports[port], &source))
		return;
	const uint8_t *icmp = packet + header_len;
	uint16_t icmp_len = total - header_len;
	if (icmp[0] != ICMP_ECHO_REQUEST || icmp[1] != 0 || rte_raw_cksum(icmp, icmp_len) != 0xffff)
		return;
	uint8_t *out;
	struct rte_mbuf *mbuf = frame_new(
		relay, port, from, RTE_ETHER_TYPE_IPV4, (uint16_t)(sizeof(ip) + icmp_len), &out);
	if (!mbuf)
		return;
	struct rte_ipv4_hdr reply = {
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16((uint16_t)(sizeof(ip) + icmp_len)),
		.time_to_live = ECHO_TTL,
		.next_proto_id = IPPROTO_ICMP,
		.src_addr = ip.dst_addr,
		.dst_addr = ip.src_addr,
	};
	reply.hdr_checksum = rte_ipv4_cksum(&reply);
	memcpy(out, &reply, sizeof(reply));
	uint8_t *body = out + sizeof(reply);
	memcpy(body, icmp, icmp_len);
	body[0] = ICMP_ECHO_REPLY;
	memset(body + 2, 0, 2);
	uint16_t sum = (uint16_t)~rte_raw_cksum(body, icmp_len);
	memcpy(body + 2, &sum, 2);
	frame_send(relay, port, mbuf);
}

static void echo_answer_v6(struct relay *relay, uint8_t port, const struct rte_ether_addr *from,
	const uint8_t *packet, uint16_t len)
{
	struct rte_ipv6_hdr ip;
	memcpy(&ip, packet, sizeof(ip));
	uint16_t icmp_len = rte_be_to_cpu_16(ip.payload_len);
	struct endpoint to = {.family = AF_INET6}, source = {.family = AF_INET6};
	memcpy(to.addr, &ip.dst_addr, 16);
	memcpy(source.addr, &ip.src_addr, 16);
	if (ip.proto != IPPROTO_ICMPV6 || icmp_len < sizeof(struct rte_icmp_hdr) ||
		icmp_len + sizeof(ip) > len || !port_find_address(&relay->ports[port], &to) ||
		!port_address_is_hosts(&relay->ports[port], &source))
		return;
	const uint8_t *icmp = packet + sizeof(ip);
	if (icmp[0] != ICMP6_ECHO_REQUEST || icmp[1] != 0 || !frame_icmp6_checksum_ok(&ip, icmp))
		return;
	uint8_t *out;
	struct rte_mbuf *mbuf = frame_new(
		relay, port, from, RTE_ETHER_TYPE_IPV6, (uint16_t)(sizeof(ip) + icmp_len), &out);
	if (!mbuf)
		return;
	struct rte_ipv6_hdr reply = {
		.vtc_flow = RTE_BE32(6u << 28),
		.payload_len = ip.payload_len,
		.proto = IPPROTO_ICMPV6,
		.hop_limits = ECHO_TTL,
	};
	memcpy(&reply.src_addr, &ip.dst_addr, 16);
	memcpy(&reply.dst_addr, &ip.src_addr, 16);
	memcpy(out, &reply, sizeof(reply));
	uint8_t *body = out + sizeof(reply);
	memcpy(body, icmp, icmp_len);
	body[0] = ICMP6_ECHO_REPLY;
	memset(body + 2, 0, 2);
	uint16_t sum = rte_ipv6_udptcp_cksum(&reply, body);
	memcpy(body + 2, &sum, 2);
	frame_send(relay, port, mbuf);
}

void echo_answer(struct relay *relay, uint8_t port, const struct rte_ether_addr *from,
	const uint8_t *packet, uint16_t len)
{
	if (len >= sizeof(struct rte_ipv6_hdr) && packet[0] >> 4 == 6)
		echo_answer_v6(relay, port, from, packet, len);
	else if (len >= sizeof(struct rte_ipv4_hdr) && packet[0] >> 4 == 4)
		echo_answer_v4(relay, port, from, packet, len);
}
