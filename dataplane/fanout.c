// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/fanout.h"

#include <string.h>

#include <rte_ip.h>
#include <rte_udp.h>

enum { FANOUT_TTL = 64 };

static void dest_fill_ipv4(struct fanout_dest *dest, const struct fanout_receiver *receiver)
{
	struct rte_ipv4_hdr ip = {
		.version_ihl = RTE_IPV4_VHL_DEF,
		.type_of_service = (uint8_t)(receiver->dscp << 2),
		.fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
		.time_to_live = FANOUT_TTL,
		.next_proto_id = IPPROTO_UDP,
	};
	memcpy(&ip.src_addr, receiver->local->addr, 4);
	memcpy(&ip.dst_addr, receiver->remote->addr, 4);
	memcpy(dest->header, &ip, sizeof(ip));
	dest->header_len = sizeof(ip);
	dest->l3_sum = rte_raw_cksum(&ip, sizeof(ip));
}

static void dest_fill_ipv6(struct fanout_dest *dest, const struct fanout_receiver *receiver)
{
	struct rte_ipv6_hdr ip = {
		.vtc_flow = rte_cpu_to_be_32(6u << 28 | (uint32_t)receiver->dscp << 22),
		.proto = IPPROTO_UDP,
		.hop_limits = FANOUT_TTL,
	};
	memcpy(&ip.src_addr, receiver->local->addr, 16);
	memcpy(&ip.dst_addr, receiver->remote->addr, 16);
	memcpy(dest->header, &ip, sizeof(ip));
	dest->header_len = sizeof(ip);
}

void fanout_dest_fill(struct fanout_dest *dest, const struct fanout_receiver *receiver)
{
	*dest = (struct fanout_dest){
		.leg = receiver->leg, .neighbour = receiver->neighbour, .port = receiver->port};
	if (receiver->remote->family == AF_UNSPEC)
		return;
	if (receiver->remote->family == AF_INET)
		dest_fill_ipv4(dest, receiver);
	else
		dest_fill_ipv6(dest, receiver);
	struct {
		uint8_t source[16], destination[16];
		rte_be16_t protocol;
		struct rte_udp_hdr udp;
	} pseudo = {
		.protocol = RTE_BE16(IPPROTO_UDP),
		.udp = {.src_port = receiver->local->port, .dst_port = receiver->remote->port},
	};
	memcpy(pseudo.source, receiver->local->addr, 16);
	memcpy(pseudo.destination, receiver->remote->addr, 16);
	dest->l4_sum = rte_raw_cksum(&pseudo, sizeof(pseudo));
	memcpy(dest->header + dest->header_len, &pseudo.udp, sizeof(pseudo.udp));
	dest->header_len += sizeof(pseudo.udp);
	dest->payload_max = (uint16_t)(receiver->mtu - dest->header_len);
}

#define DIFFER(member)                                                                             \
	if (a->member != b->member)                                                                \
	return a->member < b->member ? -1 : 1

int variant_compare(const struct fanout_variant *a, const struct fanout_variant *b)
{
	DIFFER(mode);
	DIFFER(key.root);
	DIFFER(key.suite);
	DIFFER(cs_id);
	DIFFER(ctx);
	DIFFER(by_talker);
	DIFFER(encrypt);
	DIFFER(key.mki_len);
	DIFFER(key.roc_rate);
	DIFFER(n_others);
	return a->n_others == 0 ? 0
				: memcmp(a->others, b->others, a->n_others * sizeof(a->others[0]));
}

#undef DIFFER
