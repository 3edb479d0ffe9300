// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "host/multicast_query.h"

// IGMPv3 (RFC 3376) of a host, and what it has of versions 2 and 1. Control thread.

struct port;
struct relay;

enum { IGMP_IP_LEN = 24 }; // octets of the IP header before a message, with router alert

// False if it is no query, or none for the port. packet is IPv4; query points into it.
bool igmp_read(const struct port *port, const uint8_t *packet, uint16_t len,
	struct multicast_query *query);

// Sends a report: len octets, with the type and the checksum left to be filled in.
void igmp_send_report(struct relay *relay, uint8_t port, uint8_t *report, uint16_t len);

// A report on one group, or that it is left, as version 2 or 1 has it.
void igmp_send_older(
	struct relay *relay, uint8_t port, const struct endpoint *group, bool v1, bool leave);
