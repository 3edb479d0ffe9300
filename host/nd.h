// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>

#include "base/endpoint.h"

// Neighbour Discovery (RFC 4861). Control thread.

struct relay;

struct nd_message {
	struct endpoint source, target;
	bool solicitation; // or else an advertisement
	bool has_mac;      // the option with the sender's, or the target's, address is present
	struct rte_ether_addr mac; // that one
};

// False if it is neither a solicitation nor an advertisement, or not sent as the RFC demands. packet
// is IPv6.
bool nd_read(const uint8_t *packet, uint16_t len, struct nd_message *message);

// Answers a solicitation of an address of the port.
void nd_answer(struct relay *relay, uint8_t port, const struct nd_message *solicitation);

// Solicits addr at its solicited-node group, or at `to` if that is not NULL.
void nd_solicit(struct relay *relay, uint8_t port, const struct endpoint *addr,
	const struct rte_ether_addr *to);
