// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "bench/frame.h"

#include <rte_ip.h>
#include <rte_udp.h>

#include "crypto/srtp.h"

enum { TIMESTAMP_STEP = 320 }; // 20 ms of 16 kHz

void frame_headers_write(const struct frame_path *path, uint16_t payload_len, uint8_t *out)
{
	struct rte_ether_hdr *ethernet = (struct rte_ether_hdr *)out;
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(ethernet + 1);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);
	uint16_t udp_len = (uint16_t)(payload_len + sizeof(*udp));
	*ethernet = (struct rte_ether_hdr){
		.dst_addr = path->dst_mac,
		.src_addr = path->src_mac,
		.ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4),
	};
	*ip = (struct rte_ipv4_hdr){
		.version_ihl = RTE_IPV4_VHL_DEF,
		.total_length = rte_cpu_to_be_16((uint16_t)(udp_len + sizeof(*ip))),
		.time_to_live = 64,
		.next_proto_id = IPPROTO_UDP,
		.src_addr = path->src_addr,
		.dst_addr = path->dst_addr,
	};
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	*udp = (struct rte_udp_hdr){
		.src_port = rte_cpu_to_be_16(path->src_port),
		.dst_port = rte_cpu_to_be_16(path->dst_port),
		.dgram_len = rte_cpu_to_be_16(udp_len),
	};
}

void frame_rtp_header_write(uint64_t index, uint32_t ssrc, uint8_t *out)
{
	out[0] = 0x80;
	out[1] = 96;
	out[2] = (uint8_t)(index >> 8);
	out[3] = (uint8_t)index;
	srtp_write32(out + 4, (uint32_t)index * TIMESTAMP_STEP);
	srtp_write32(out + 8, ssrc);
}
