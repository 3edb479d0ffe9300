// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/audience.h"
#include "dataplane/hold.h"
#include "dataplane/hop_hold.h"
#include "dataplane/loop.h"
#include "dataplane/pipeline.h"
#include "dataplane/stages.h"
#include "dataplane/tokens.h"
#include "dataplane/transmit.h"
#include "dataplane/worker.h"
#include "host/multicast.h"
#include "host/relay.h"

// A relay in memory whose bursts the caller drives: tables and workers as relay_open() makes them,
// two net_ring ports, keys and legs filled in by hand. Aborts, with the place, where the lab itself
// fails or a frame that the relay sent is not well formed in every field.
//
//   port 0  untagged   10.0.0.1, 2001:db8::1
//   port 1  VLAN 7     10.0.1.1, 2001:db8:1::1

enum { LAB_SRTCP_FLOOR = 1000 }; // first SRTCP index that the relay sends with

enum {
	LAB_LEGS = 12,
	LAB_KEYS = 8,
	LAB_PORTS = 2,
	LAB_VLAN = 7,           // of port 1
	LAB_MTU = 1500,         // octets
	LAB_CLOCK_RATE = 16000, // of RTP timestamps, Hz: 160 of them a packet
	LAB_PAYLOAD_MAX = 2048,
	LAB_COPIES = 2048, // that one lab_take() takes at most
};

#define lab_require(fact) lab_check(fact, #fact, __FILE__, __LINE__)
void lab_check(bool fact, const char *text, const char *file, int line);

// A root key, and of one that is not a GMK its key contexts.
struct lab_key {
	uint32_t root, scope, id;
	uint32_t ctx[SRTP_N_PROTOCOLS];
	uint8_t mki_len;   // octets
	uint16_t roc_rate; // 0: no ROC
	bool gmk;
};

// A leg as a test states it; zero is the usual case.
struct lab_leg {
	uint8_t mode; // enum leg_mode
	uint8_t port;
	bool ipv6, muted, deaf, unverified, learn, control, no_rtcp;
	bool unencrypted; // SRTCP that is sent to it
	bool group;       // its remote is a multicast group, which lab_connect() joins
	const struct lab_key *key;
	const struct lab_key *before; // in one ring with it, activated before; NULL: none
	const struct lab_key *older;  // the same, before that one
	uint32_t user;                // 0: not named
	uint32_t guk_id;              // the user's under a GMK, 0: its packets must tell
	uint32_t roc;                 // with which its streams begin
	struct endpoint local, remote;
};

struct lab {
	struct relay relay;
	struct leg legs[LAB_LEGS];
	struct leg_key leg_keys[LAB_LEGS][3];
	struct lab_leg specs[LAB_LEGS];
	uint32_t n_legs;
	struct lab_key keys[LAB_KEYS];
	uint32_t n_keys;
	struct audience *audiences[SRTP_N_PROTOCOLS];
	unsigned mbufs; // in the pool when nothing is under way
};

// An RTP packet, or a sender report, with octets that follow from ssrc and index.
struct lab_packet {
	uint8_t protocol;   // enum srtp_protocol
	uint16_t len;       // octets of clear payload (RTP)
	uint32_t ssrc, ctx; // key context; KEY_NONE: in clear
	uint64_t index;     // packet index or SRTCP index; what is said depends on it
	uint64_t own_index; // SRTCP index under which the relay sends it on, 0: the same
	uint8_t mki_len;    // octets
	bool roc;
	bool unencrypted;     // SRTCP: E = 0
	uint16_t source_port; // from which it comes to its leg, 0: as stated for it
	uint32_t later;       // what an RTP timestamp is ahead of index * 160; said in a report
};

// One copy that the relay sent.
struct lab_copy {
	uint32_t leg; // to which
	uint16_t len; // octets at payload
	uint8_t payload[LAB_PAYLOAD_MAX];
};

// Initialises the EAL without huge pages; once in a process.
void lab_start(void);

// With the crypto device that the environment names as LAB_CRYPTODEV, if it does.
void lab_open(struct lab *lab, unsigned n_workers);
// Takes what is still under way, checks that every mbuf came back, and frees all.
void lab_close(struct lab *lab);

// Installs a key. mki_len and roc_rate are its profile's.
const struct lab_key *lab_key_add(struct lab *lab, uint8_t mki_len, uint16_t roc_rate, bool gmk);
// Publishes the contexts of one user under a GMK in ctx.
void lab_talker_add(struct lab *lab, const struct lab_key *key, uint32_t guk_id, uint32_t user,
	uint32_t ctx[SRTP_N_PROTOCOLS]);
// Takes them away again, when no packet under them is on its way.
void lab_talker_remove(struct lab *lab, const uint32_t ctx[SRTP_N_PROTOCOLS]);

// Adds a leg; its index.
uint32_t lab_leg_add(struct lab *lab, struct lab_leg spec);
// Builds the fan-out over all legs and publishes them. Again after a change.
void lab_connect(struct lab *lab);

// Writes a packet at out[LAB_PAYLOAD_MAX], protected if it has a context; its length.
uint16_t lab_packet_write(struct lab *lab, const struct lab_packet *packet, uint8_t *out);

// The frame in which those octets come from the leg's remote address, or from a host to its group.
struct rte_mbuf *lab_frame(struct lab *lab, uint32_t leg, const uint8_t *payload, uint16_t len);
// The same of a packet.
struct rte_mbuf *lab_packet_frame(struct lab *lab, uint32_t leg, const struct lab_packet *packet);
// Any octets as a frame received on a port.
struct rte_mbuf *lab_raw_frame(struct lab *lab, uint8_t port, const uint8_t *frame, uint16_t len);

// Has a worker process one packet that comes to a leg.
void lab_push(struct lab *lab, uint8_t worker, uint32_t leg, const struct lab_packet *packet);
// The same from another address than the leg's remote.
struct rte_mbuf *lab_stranger_frame(
	struct lab *lab, uint32_t leg, const uint8_t *payload, uint16_t len);
// Has a worker process what other workers handed to it; how many.
unsigned lab_push_handed_over(struct lab *lab, uint8_t worker);

// All that a worker sent, in order for each port; how many.
unsigned lab_take(struct lab *lab, uint8_t worker, struct lab_copy *copies);
// Whether a copy has exactly the octets of a packet.
bool lab_copy_is(struct lab *lab, const struct lab_copy *copy, const struct lab_packet *packet);

// Leaves a leg so many tokens of a kind at a worker, on both sides.
void lab_tokens_set(
	struct lab *lab, uint8_t worker, uint32_t leg, enum token_kind kind, uint32_t n);

// As if no leg had used any token: time has passed.
void lab_tokens_forget(struct lab *lab);

// How many drops a worker counted: all, or those of one reason.
uint64_t lab_drops(const struct lab *lab, uint8_t worker);
uint64_t lab_drops_of(const struct lab *lab, uint8_t worker, enum drop_reason reason);
