// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include <rte_byteorder.h>
#include <rte_ether.h>

// Frames that carry RTP over UDP and IPv4, as a client of the relay sends them.

enum { FRAME_HEADERS_LEN = 14 + 20 + 8 }; // octets: Ethernet, IPv4, UDP

struct frame_path {
	struct rte_ether_addr src_mac, dst_mac;
	rte_be32_t src_addr, dst_addr;
	uint16_t src_port, dst_port; // UDP, host byte order
};

// Writes FRAME_HEADERS_LEN octets; UDP goes without checksum.
void frame_headers_write(const struct frame_path *path, uint16_t payload_len, uint8_t *out);

// Writes the 12 octets of an RTP header; SEQ is the low half of the packet index.
void frame_rtp_header_write(uint64_t index, uint32_t ssrc, uint8_t *out);
