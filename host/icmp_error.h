// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"

// ICMP errors (RFC 792, RFC 1191, RFC 4443 3) about packets that the relay sent to a leg. Nothing authenticates them:
// all that speaks for one is that it quotes such a packet. Control thread.

struct relay;

enum {
	ICMP_MTU_MIN_IPV4 = 576,  // what every host takes (RFC 791 3.1): less is not believed
	ICMP_MTU_MIN_IPV6 = 1280, // what every link takes (RFC 8200 5): the same
	ICMP_QUOTE_SECONDS = 10,  // for which an error is believed after the last packet to its leg
	ICMP_WRONG_PER_SECOND = 100, // quotes of what was not sent, beyond which none is believed
	ICMP_RIGHT_PER_SECOND = 500, // errors that are heeded
};

struct icmp_error {
	bool too_big;                  // or else unreachable for a
	uint8_t reason;                // enum unreachable_reason
	uint32_t mtu;                  // of the next hop, if too_big; 0: not said
	struct endpoint from;          // who says it; port unused
	struct endpoint local, remote; // source and destination of the packet that is quoted
	uint16_t quoted_len;           // octets of that packet
};

// False if packet is no such error, is malformed, or does not quote a whole UDP header behind the IP header that the
// relay's packets have. packet is IPv4 or IPv6, len octets of it are there.
bool icmp_error_read(const uint8_t *packet, uint16_t len, struct icmp_error *error);

// Adds what an error says of a leg to the news, if the leg was sent such a packet. Anything else is ignored.
void icmp_error_hear(struct relay *relay, uint8_t port, const uint8_t *packet, uint16_t len);
