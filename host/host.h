// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

struct relay;
struct rte_mbuf;

// The relay as a host of its networks: ARP, Neighbour Discovery, echo, ICMP errors, group memberships.
// Control thread.

// Takes part in the protocol of a frame that a worker passed on. The mbuf stays the caller's.
void host_input(struct relay *relay, struct rte_mbuf *mbuf);
