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
	bool solicitation;         // or else an advertisement, with
	bool solicited, override;  // its flags (RFC 4861 4.4)
	bool has_mac;              // the option with the sender's, or target's, address is present
	struct rte_ether_addr mac; // that one, or zeros
};

// False if it is neither a solicitation nor an advertisement, or not valid (RFC 4861 7.1). packet is
// IPv6.
bool nd_read(const uint8_t *packet, uint16_t len, struct nd_message *message);

// Answers a solicitation of an address of the port, which came in a frame from that address.
void nd_answer(struct relay *relay, uint8_t port, const struct rte_ether_addr *from,
	const struct nd_message *solicitation);

// Asks whether anybody else has an address of the port (RFC 4862 5.4.2).
void nd_probe(struct relay *relay, uint8_t port, const struct endpoint *addr);

// Says to all nodes that an address of the port is the port's (RFC 4861 7.2.6).
void nd_announce(struct relay *relay, uint8_t port, const struct endpoint *addr);

// Solicits addr at its solicited-node group, or at `to` if that is not NULL.
void nd_solicit(struct relay *relay, uint8_t port, const struct endpoint *addr,
	const struct rte_ether_addr *to);
