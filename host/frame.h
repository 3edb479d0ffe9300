// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>

#include "dataplane/relay_tables.h"

struct rte_ipv6_hdr;
struct rte_mbuf;

// Frames that the relay itself sends. Control thread.

// A frame to be filled: Ethernet header (and the port's VLAN tag) written, size octets of zeroed
// payload at *payload. NULL if buffers are used up. frame_send() takes it.
struct rte_mbuf *frame_new(struct relay *relay, uint8_t port, const struct rte_ether_addr *to,
	uint16_t ether_type, uint16_t size, uint8_t **payload);

// Has worker 0 transmit a frame. Takes mbuf in any case.
void frame_send(struct relay *relay, uint8_t port, struct rte_mbuf *mbuf);

// Whether an ICMPv6 message has the checksum of RFC 4443 2.3; ip->payload_len octets are there.
bool frame_icmp6_checksum_ok(const struct rte_ipv6_hdr *ip, const uint8_t *message);
