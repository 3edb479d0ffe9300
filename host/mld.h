// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "host/multicast_query.h"

// MLDv2 (RFC 3810) of a host, and what it has of version 1. Control thread.

struct port;
struct relay;

enum { MLD_IP_LEN = 48 }; // octets of the IP headers before a message, with router alert

// False if it is no query, or none for the port. packet is IPv6 with a hop-by-hop header; query
// points into it.
bool mld_read(const struct port *port, const uint8_t *packet, uint16_t len,
	struct multicast_query *query);

// Sends a report: len octets, with the type and the checksum left to be filled in.
void mld_send_report(struct relay *relay, uint8_t port, uint8_t *report, uint16_t len);

// A report on one group, or that it is left, as version 1 has it.
void mld_send_older(struct relay *relay, uint8_t port, const struct endpoint *group, bool leave);
