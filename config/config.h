// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// The configuration file (libconfig), read once into one immutable structure. Nothing here knows
// DPDK.

struct config_address {
	int family; // AF_INET or AF_INET6
	union {
		struct in_addr v4; // network byte order, as all addresses here
		struct in6_addr v6;
	};
	uint8_t prefix_len; // bits
};

struct config_port {
	char *name;   // unique, [A-Za-z0-9_.-]{1,31}
	char *device; // vdev ("net_af_packet0,iface=eth1") or PCI address ("0000:03:00.0")
	struct config_address *addresses;
	unsigned n_addresses; // at least 1; no address on two ports
	bool has_gateway, has_gateway6;
	struct in_addr gateway;   // inside one of the port's IPv4 prefixes
	struct in6_addr gateway6; // inside one of the port's IPv6 prefixes, or link-local
	uint16_t vlan;            // 0: untagged, 1..4094
	// Octets of an IP packet, 576 to 9,000; at least 1,280 if the port has an IPv6 address.
	uint16_t mtu;
	uint16_t udp_first, udp_last; // that the relay picks from for legs
};

struct config_tls {
	bool enabled;
	char *listen;                 // "192.0.2.1:7443" or "[2001:db8::1]:7443"
	char *certificate, *key, *ca; // paths
	char *crl;                    // path, or NULL: nobody is revoked
};

// Of a leg that states none, a second; 0: any number.
struct config_rate {
	uint32_t packets, octets;
};

struct config_limits {
	uint32_t keys; // root keys, and key contexts
	uint32_t sessions;
	uint32_t legs;
	uint32_t streams;
	struct config_rate rate_mcptt, rate_mcvideo;
};

struct config_mikey {
	uint32_t threads;                    // that open messages
	uint32_t queue;                      // messages that may wait for one
	uint32_t max_age_gmk, max_age_other; // seconds; of GMKs 0: as old as they may be
	uint32_t ahead;                      // seconds
	unsigned accept; // of enum mikey_quirk: departures of users of KMSs that state none
	uint8_t mcdata
		[2]; // MCData algorithms (TS 33.180 8.5.4.2), the preferred one first; 0: no more
	bool require_sync; // of the clock, for messages to be opened and made
	char *seal; // path of the key that seals secrets of pseudo KMSs; NULL: there are none
};

enum config_log_level { CONFIG_LOG_ERROR, CONFIG_LOG_WARNING, CONFIG_LOG_INFO, CONFIG_LOG_DEBUG };

// Where calls and keys are kept for the next life. AUTO: as MCXRELAY_STORE in the environment says, or nowhere.
enum config_store { CONFIG_STORE_AUTO, CONFIG_STORE_NONE, CONFIG_STORE_LOCAL };

#define CONFIG_STATE_DIRECTORY "/var/lib/mcxrelay" // if the file has none

struct config {
	char *path;
	unsigned n_workers;     // 1..64
	uint32_t idle_sleep_us; // 0: workers poll all the time
	unsigned *lcores;       // CPU of each worker, or NULL: chosen at start
	char **eal;             // n_eal arguments for DPDK
	unsigned n_eal;
	char *cipher; // "auto", "vaes", "ipsec-mb", "openssl", "cryptodev:NAME"; NULL: "auto"
	struct config_port *ports;
	unsigned n_ports;      // 1..16
	char *control_unix;    // path, at most 107 octets
	unsigned control_mode; // permission bits
	char *control_group;   // NULL: leave the group alone
	struct config_tls control_tls;
	char *metrics_listen; // NULL: off
	char *state_directory;
	enum config_store store;
	char *user, *group; // to run as after the start; NULL: as started; group only with user
	bool confine;       // after the start
	struct config_limits limits;
	struct config_mikey mikey;
	enum config_log_level log_level;
};

// Reads and checks the file. Every mistake found is written to errors as one line
// "FILE:LINE: SETTING: what is wrong; accepted: what is" and all are looked for, not just the
// first. Returns NULL if there was any. The caller frees with config_free(). No thread
// restrictions. ciphers are the names that "cipher" may have beside "cryptodev:NAME", up to a NULL.
struct config *config_load(const char *path, const char *const ciphers[], FILE *errors);

void config_free(struct config *config);
