// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_ether.h>

#include "base/endpoint.h"

// ARP (RFC 826). Control thread.

struct relay;

struct arp_message {
	struct endpoint sender, target;
	struct rte_ether_addr sender_mac;
	bool request; // or else a reply
};

// False if it is no ARP of Ethernet and IPv4. packet has len octets.
bool arp_read(const uint8_t *packet, uint16_t len, struct arp_message *message);

// Answers a request for an address of the port.
void arp_answer(struct relay *relay, uint8_t port, const struct arp_message *request);

// Asks whether anybody else has an address of the port (RFC 5227 2.1.1).
void arp_probe(struct relay *relay, uint8_t port, const struct endpoint *addr);

// Says to all that an address of the port is the port's (RFC 5227 2.3).
void arp_announce(struct relay *relay, uint8_t port, const struct endpoint *addr);

// Requests the address of addr: by broadcast, or by unicast to `to` if that is not NULL (RFC 1122
// 2.3.2.1).
void arp_solicit(struct relay *relay, uint8_t port, const struct endpoint *addr,
	const struct rte_ether_addr *to);
