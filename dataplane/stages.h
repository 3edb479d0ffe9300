// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include "dataplane/packet.h"

struct burst_origin;
struct rte_mbuf;
struct worker;

// The way of a packet. Each stage takes the packets that the one before let through, in their
// order, and returns how many it lets through itself, kept at the front of the array; what it does
// not let through it has dropped and counted, held, or handed over. All run in the worker's thread.

// Frames to packets: Ethernet, VLAN, IP, UDP. ARP, ND and ICMP go to the control thread. Fills
// packets and the array of pointers to those that go on.
uint16_t stage_parse(struct worker *worker, const struct burst_origin *origin,
	struct rte_mbuf *mbufs[], uint16_t n, struct packet *packets[]);

// Local address and port to leg; RTP or RTCP; may this leg send it?
uint16_t stage_leg(struct worker *worker, struct packet *packets[], uint16_t n);

// MKI to key context, by bulk look-up. Packets whose context must be derived first are held.
uint16_t stage_key(struct worker *worker, const struct burst_origin *origin,
	struct packet *packets[], uint16_t n);

// Talker to the key contexts under which copies leave; what has to be kept and what decrypted.
uint16_t stage_route(struct worker *worker, const struct burst_origin *origin,
	struct packet *packets[], uint16_t n);

// SSRC to stream, packet index, replay check. Packets of another worker's stream are handed to it.
uint16_t stage_stream(struct worker *worker, struct packet *packets[], uint16_t n);

// Decrypts and verifies tags.
uint16_t stage_unprotect(struct worker *worker, struct packet *packets[], uint16_t n);

// Its half before the cipher, which collects the ops to run, and its half after it.
uint16_t stage_unprotect_before(struct worker *worker, struct packet *packets[], uint16_t n,
	struct srtp_op *ops[], uint16_t *n_ops);
uint16_t stage_unprotect_after(struct worker *worker, struct packet *packets[], uint16_t n);

// Only now state changes: replay commit, birth of the stream, learned address, counters.
uint16_t stage_commit(struct worker *worker, struct packet *packets[], uint16_t n);

// Protects each packet once per group of receivers and gives the result to stage_output. Ends all
// packets.
void stage_protect(struct worker *worker, struct packet *packets[], uint16_t n);

// One packet to protect for one group of receivers.
struct protect_job {
	struct packet *packet;
	const struct fanout_group *group;
	struct rte_mbuf *mbuf; // that holds the result
	struct srtp_op op;
};

// How far stage_protect_some() came with a packet. Zero: it has not begun.
struct protect_progress {
	bool begun;
	uint32_t next_group;
	uint32_t served;
};

// stage_protect() of one packet with a crypto device: gives at most room jobs and payloads to the worker's
// pipeline. True when the packet has ended; otherwise the call is made again with the same progress.
bool stage_protect_some(struct worker *worker, struct packet *packet,
	struct protect_progress *progress, uint16_t room);

// The half after the cipher: gives a protected packet that came from leg to stage_output. Takes its mbuf.
void stage_protect_after(struct worker *worker, const struct leg *leg, const struct fanout *fanout,
	const struct protect_job *job);

// Copies one protected payload to the receivers of a group, with their headers. payload holds the
// RTP or RTCP packet alone; with_payload_ownership: it is the caller's no more. leg is the one the
// packet came from.
void stage_output(struct worker *worker, const struct leg *leg, const struct fanout *fanout,
	const struct fanout_group *group, struct rte_mbuf *payload, bool with_payload_ownership);
