// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_ring.h>

#include "base/counter.h"
#include "dataplane/drop.h"
#include "dataplane/mailbox.h"
#include "dataplane/packet.h"
#include "dataplane/relay_tables.h"
#include "dataplane/token_bucket.h"

// What the stages need of a worker.

struct pipeline;

enum {
	WORKER_BURST = 32, // packets taken from a queue at once
	// Of them that go through the stages together: with their keys they fit into the first-level cache.
	WORKER_VECTOR = 8,
	WORKER_TX_BURST = 64,         // packets collected for a port before they are sent
	HOLD_SLOTS = MAILBOX_ANSWERS, // key contexts for which packets wait
	HOLD_PACKETS = 512,     // packets that wait on account of one leg: a key frame of video
	HOLD_TOTAL = 4096,      // packets that wait in all
	HOLD_SLOTS_PER_LEG = 4, // of these contexts, on account of one leg
	// What all strangers may have of HOLD_SLOTS and HOLD_TOTAL, and of the packets of one slot beside the client's
	HOLD_STRANGER_SLOTS = HOLD_SLOTS / 2,
	HOLD_STRANGER_TOTAL = HOLD_TOTAL / 2,
	HOLD_STRANGER_PACKETS = HOLD_PACKETS / 2,
};

// What is used of what legs share, by one side of a leg, or by all strangers. Worker only.
struct hold_share {
	struct token_bucket tokens[TOKEN_N_KINDS];
	uint32_t slots;   // hold slots that wait on its account
	uint32_t packets; // that wait
};

// What one worker counts of one leg. Written by the worker, read relaxed by control, zeroed by
// control when no worker can reach the leg.
struct leg_counters {
	alignas(64) uint64_t rx_packets, rx_octets; // accepted; octets from the RTP header on
	uint64_t tx_packets, tx_octets; // handed to the port; octets from the RTP header on
	uint64_t last_rx_tsc;
	uint64_t rate_tsc; // until when what it sent would last at its rate: see rate.h
	uint64_t last_tx_tsc;
	uint32_t rx_unencrypted;        // SRTCP with E = 0
	uint32_t drops[DROP_N_REASONS]; // of what it sent
	uint32_t tx_drops[DROP_COPY_N]; // of copies to it, from DROP_COPY_FIRST on
	uint32_t keepalives;            // received; they count as nothing else
	// Port of the leg's remote when authentic RTCP came from there last, network byte order; 0: none did
	uint16_t rtcp_port;
	struct hold_share shares[SIDE_N];
};

// A packet that waits for a key context.
struct held_packet {
	struct rte_mbuf *mbuf;
	uint32_t leg;  // on whose account
	uint16_t next; // in its slot, or of the unused ones, + 1; 0: none
	uint8_t side;  // enum leg_side
};

// Those that wait for one context.
struct hold_slot {
	struct key_name name;
	uint32_t leg;         // on whose account
	uint8_t side;         // enum leg_side
	uint16_t n;           // 0: free
	uint16_t n_strangers; // of n
	uint16_t first, last; // packets + 1
	uint16_t next;        // in its chain, or of the unused ones, + 1; 0: none
};

enum {
	HOP_NEIGHBOURS = 256,    // next hops for which copies wait
	HOP_COPIES = 256,        // that wait for one of them: more than a video key frame
	HOP_COPIES_TOTAL = 1024, // that wait in all
};

// Copies that wait for one next hop, linked by mbuf->next.
struct hop_queue {
	struct rte_mbuf *first, *last;
	uint16_t n;
	uint16_t serial; // of the neighbour
};

struct hop_holds {
	uint32_t n; // next hops
	uint32_t n_copies;
	uint32_t neighbours[HOP_NEIGHBOURS];
	struct hop_queue queues[HOP_NEIGHBOURS];
};

struct tx_queue {
	uint16_t n;
	struct rte_mbuf *packets[WORKER_TX_BURST];
};

struct worker_counters {
	uint64_t rx_packets, rx_octets; // frames received, octets of frames
	uint64_t rx_bursts;             // in which ports gave them
	uint64_t tx_packets, tx_octets; // frames handed to ports
	uint64_t loops, busy_loops;     // turns of the loop, and those that had anything to do
	uint64_t busy_cycles;           // TSC cycles of the latter
	uint64_t handoffs;              // packets given to the worker that owns their stream
	uint64_t held;                  // packets that waited for a key context
	uint64_t keepalives;            // received on legs
	uint64_t drops[DROP_N_REASONS];
};

// What the worker had to do since rate_look() looked last, and the counters then.
struct worker_load {
	uint64_t since_tsc, calm_tsc; // when that was, and when it was overloaded last
	uint64_t loops, rx_packets, tx_packets, refused;
	uint64_t full_turns, full_loop; // turns with a full burst, and the last of them
};

// What worker_handoff() writes to mbuf->hash.usr.
enum { HANDOFF_FRESH, HANDOFF_HELD };

struct worker {
	alignas(64) struct relay *relay;
	unsigned lcore;
	uint8_t id;
	_Atomic bool quit;   // control: wo, worker: ro
	_Atomic int started; // worker: 1 forwards, -1 could not; control: ro
	uint32_t squeeze;    // steps: see rate.h. Control: ro
	uint64_t now;        // TSC at the begin of the burst
	uint64_t turn_tsc;   // when the last turn ended. Control: ro
	uint64_t tsc_hz;
	uint64_t rate_burst, rate_window; // cycles
	uint64_t began_tsc;               // when the first turn began. Control: ro
	struct hold_share strangers;      // what those of all legs use
	uint32_t n_unsettled; // packets under way that may move their stream, see stage_stream.c
	struct pipeline *pipeline; // NULL: there is no crypto device
	struct leg_counters *legs; // by leg
	struct hop_holds hops;     // n: each copy, as now
	struct tx_queue tx[PORT_MAX];
	uint32_t ssrcs[SSRC_POOL_SIZE];
	uint32_t n_ssrcs;
	_Atomic uint32_t ssrcs_taken; // so far; worker: wo, control: ro
	struct packet packets[WORKER_BURST];
	uint32_t n_held;                 // packets that wait
	uint16_t hold_heads[HOLD_SLOTS]; // chains by hash of the name: slot + 1; 0: none
	uint16_t hold_unused;            // first of the slots to use again + 1
	uint16_t hold_touched;           // slots ever used
	struct hold_slot hold[HOLD_SLOTS];
	struct held_packet held[HOLD_TOTAL];
	uint16_t held_unused;  // first of them to use again + 1
	uint16_t held_touched; // ever used
	struct mailbox mailbox;
	struct rte_ring *handoff; // mbufs; any worker puts, this one takes
	struct worker_load load;
	alignas(64) struct worker_counters counters; // worker: rw, control: relaxed reads
};

// Counts a drop of reason, by packet's leg too if it is known, and frees its buffers.
void worker_drop(struct worker *worker, struct packet *packet, enum drop_reason reason);

// Gives a packet, as it was received, to the worker that owns its stream, or drops it. It has no plaintext buffer.
void worker_handoff(struct worker *worker, struct packet *packet);

// Counts one copy, or one frame, that is dropped; leg may be NULL.
static inline void worker_count_drop(
	struct worker *worker, const struct leg *leg, enum drop_reason reason)
{
	counter_add(&worker->counters.drops[reason], 1);
	if (leg)
		counter_add(&worker->legs[leg->index].drops[reason], 1);
}

// Counts one copy to a leg that is dropped for a reason of stage_output.
static inline void worker_count_copy_drop(
	struct worker *worker, uint32_t leg, enum drop_reason reason)
{
	counter_add(&worker->counters.drops[reason], 1);
	counter_add(&worker->legs[leg].tx_drops[reason - DROP_COPY_FIRST], 1);
}
