// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include "dataplane/output_job.h"
#include "dataplane/packet.h"

struct burst_origin;
struct rte_mbuf;
struct worker;

// Stages of a packet. Each stage takes the packets that the one before passed, in their order, and
// returns how many it passes itself, kept at the front of the array; the others it has dropped and
// counted, held, or handed over. All run in the worker's thread.

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

// What has to be decrypted is made ready for the cipher: *n_ops ops, which the caller runs.
uint16_t stage_unprotect(struct worker *worker, struct packet *packets[], uint16_t n,
	struct srtp_op *ops[], uint16_t *n_ops);

// Passes packets whose tag was verified, and those without one.
uint16_t stage_verify(struct worker *worker, struct packet *packets[], uint16_t n);

// The first change of state: replay commit, creation of the stream, learned address, counters.
uint16_t stage_commit(struct worker *worker, struct packet *packets[], uint16_t n);

// Makes the jobs of which each packet is one for each group of receivers: to be protected under the group's
// key, or to go as it is. Returns how many packets have ended, the first ones; fewer than n if the list is full: then
// the call is made again for the others, with the same state.
uint16_t stage_protect(struct worker *worker, struct packet *packets[], uint16_t n,
	struct protect_state *state, struct output_list *list);

// Sends a job, which the cipher has finished with if it has a context, to the receivers of its group. Takes its
// mbuf.
void stage_output(struct worker *worker, const struct output_job *job);
