// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include <rte_ether.h>

// Echo (RFC 792, RFC 4443 4). Control thread.

struct relay;

// Answers an echo request to an address of the port, from one that a host can have (RFC 1122 3.2.1.3). from is the frame's sender; packet is IPv4 or
// IPv6, anything else is ignored.
void echo_answer(struct relay *relay, uint8_t port, const struct rte_ether_addr *from,
	const uint8_t *packet, uint16_t len);
