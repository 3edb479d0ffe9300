// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <rte_byteorder.h>
#include <rte_ether.h>

#include "crypto/suite.h"

enum {
	GEN_SIZES_MAX = 16,
	GEN_STREAMS_MAX = 100000,
	GEN_LEGS_MAX = 40000,
	GEN_OCTETS_MIN = 24, // what stamp.h puts into each payload
	GEN_OCTETS_MAX = 1400,
	GEN_DEVICE_MAX = 256,
};

// How the relay is to see a side of the calls.
#define GEN_KINDS(_)                                                                               \
	_(GMK, "gmk")                                                                              \
	_(PCK, "pck")                                                                              \
	_(PLAIN, "plain")                                                                          \
	_(OPAQUE, "opaque")                                                                        \
	_(SAME, "same")

enum gen_kind {
#define _(name, text) GEN_##name,
	GEN_KINDS(_)
#undef _
		GEN_N_KINDS,
};

const char *gen_kind_name(enum gen_kind kind);

// A port of the relay and the device that leads to it.
struct gen_side {
	char port[32];               // the relay's name of it; empty: not given
	char device[GEN_DEVICE_MAX]; // as in the relay's configuration
	rte_be32_t address, relay_address;
	struct rte_ether_addr relay_mac; // zeros: asked for by ARP
};

struct gen_size {
	uint16_t octets; // of RTP payload
	uint32_t weight;
};

struct gen_options {
	struct gen_side in, out; // out is a copy of in if there is one port only
	enum gen_kind from, to;  // to may be GEN_SAME
	enum srtp_suite suite;
	uint32_t streams, groups, receivers; // receivers of each group
	struct gen_size sizes[GEN_SIZES_MAX];
	unsigned n_sizes;
	double rate;  // packets a second; 0: as fast as they are taken
	double share; // of the speed of the port in, 0 to 1, if rate is 0; 0: not given
	double seconds, warm_up;
	uint64_t seed, packets; // packets of the capture
	unsigned cpu;
	const char *control, *write, *pcap;
	bool keep, stay;
	char **eal; // of n_eal
	int n_eal;
};

// Reads the command line. Returns -1 if it is good, else the exit status, with a message printed.
int gen_options_read(int argc, char **argv, struct gen_options *options);
