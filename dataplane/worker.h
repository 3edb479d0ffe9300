// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "base/counter.h"
#include "dataplane/burst.h"
#include "dataplane/drop.h"
#include "dataplane/mailbox.h"
#include "dataplane/packet.h"
#include "dataplane/pipeline.h"
#include "dataplane/relay_tables.h"

// A poll-mode worker: one loop on one core, no lock, no allocation, no system call.

enum {
	WORKER_BURST = 32,      // packets taken from a queue at once
	WORKER_GROUP = 8,       // of them that go through the stages together: with their keys they
				// fit into the first-level cache
	WORKER_TX_BURST = 64,   // packets collected for a port before they are sent
	HOLD_SLOTS = 256,       // key contexts for which packets wait
	HOLD_PACKETS = 64,      // packets that wait for one of them: a video frame
	HOLD_TOTAL = 4096,      // packets that wait in all
	HOLD_SLOTS_PER_LEG = 4, // of these contexts, on account of one leg
	LEG_TOKENS =
		64, // what a leg may ask for unauthenticated at once: derivations, plain streams
	LEG_TOKENS_PER_SECOND = 64, // and in the long run
	RESYNC_PER_SECOND = 1000,   // packets that get a second try with the ROC they carry
};

// What one worker counts of one leg. Written by the worker, read relaxed by control, zeroed by
// control when no worker can reach the leg.
struct leg_counters {
	alignas(64) uint64_t rx_packets, rx_octets; // accepted; octets from the RTP header on
	uint64_t tx_packets, tx_octets; // handed to the port; octets from the RTP header on
	uint64_t last_rx_tsc;
	uint64_t token_tsc;  // when tokens was brought up to date
	uint32_t tokens;     // LEG_TOKENS at most
	uint32_t held_slots; // hold slots that wait on its account
	uint64_t last_tx_tsc;
	uint32_t drops[DROP_N_REASONS]; // of what it sent
	uint32_t tx_drops[DROP_COPY_N]; // of copies to it, from DROP_COPY_FIRST on
};

// Packets that wait for a key context.
struct hold_slot {
	struct key_name name;
	uint32_t leg;
	uint16_t n;    // 0: free
	uint16_t next; // in its chain, or of the free ones, + 1; 0: none
	struct rte_mbuf *packets[HOLD_PACKETS];
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
	uint64_t handoffs;              // packets given to the worker that owns their stream
	uint64_t held;                  // packets that waited for a key context
	uint64_t drops[DROP_N_REASONS];
};

// What worker_handoff() writes to mbuf->hash.usr.
enum { HANDOFF_FRESH, HANDOFF_HELD };

struct worker {
	alignas(64) struct relay *relay;
	unsigned lcore;
	uint8_t id;
	_Atomic int started; // worker: 1 forwards, -1 could not; control: ro
	_Atomic bool quit;   // control: wo, worker: ro
	uint64_t now;        // TSC at the begin of the burst
	uint64_t tsc_hz;
	uint64_t resync_tsc;       // when a packet last got a second try
	struct pipeline *pipeline; // NULL: there is no crypto device
	struct leg_counters *legs; // by leg
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
	struct rte_ring *from_control;               // struct worker_mail
	struct rte_ring *to_control;                 // struct control_mail
	struct rte_ring *handoff;                    // mbufs; any worker puts, this one takes
	alignas(64) struct worker_counters counters; // worker: rw, control: relaxed reads
};

// Makes a worker with its rings. NULL if memory is short.
struct worker *worker_new(struct relay *relay, uint8_t id, unsigned lcore);

// Frees what it still holds. After its loop ended.
void worker_free(struct worker *worker);

// The worker begins, and ends, to be one that grace periods wait for. Its thread, or before it runs.
void worker_online(struct worker *worker);
void worker_offline(struct worker *worker);

// The loop, on its lcore (lcore_function_t). Returns 0 after worker->quit, -1 if the cipher has no
// memory.
int worker_run(void *worker);

// One turn of that loop: mail, handed over packets, one burst of each port, transmission, quiescent
// state. Returns how many messages and frames it took. The worker's thread, online in relay->rcu.
unsigned worker_turn(struct worker *worker);

// Takes n <= WORKER_BURST frames that a port gave through all stages; with a crypto device, which has room
// for them in the pipeline, through those before it. Takes the mbufs in any case.
void worker_process_burst(struct worker *worker, struct rte_mbuf *mbufs[], uint16_t n);

// A part of a burst, WORKER_GROUP frames at most, at worker->now.
void worker_process_vector(struct worker *worker, const struct burst_origin *origin,
	struct rte_mbuf *mbufs[], uint16_t n);

// Does the same with the packets that wait for what a MAIL_RESUME is about.
void worker_resume(struct worker *worker, const struct worker_mail *mail);

// And with a burst of what other workers handed over. Returns how many.
unsigned worker_take_handed_over(struct worker *worker);

// Posts to control; false if the mailbox is full. Control's side of it.
bool worker_post(struct worker *worker, const struct control_mail *mail);
bool worker_mail_put(struct worker *worker, const struct worker_mail *mail);
bool worker_mail_take(struct worker *worker, struct control_mail *mail);

// Counts a drop of reason, by packet's leg too if it is known, and frees its buffers.
void worker_drop(struct worker *worker, struct packet *packet, enum drop_reason reason);

// Gives a packet, as it was received, to the worker that owns its stream, or drops it. It has no clear buffer.
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

// Shortens a buffer of one segment to len octets, no more than it has.
static inline void mbuf_cut(struct rte_mbuf *mbuf, uint16_t len)
{
	mbuf->data_len = len;
	mbuf->pkt_len = len;
}

// Most packets have no buffer left when they end: not worth a call.
static inline void buffer_free(struct rte_mbuf *mbuf)
{
	if (unlikely(mbuf != NULL))
		rte_pktmbuf_free(mbuf);
}

// Frees the buffers that the packet still has.
static inline void packet_free(struct packet *packet)
{
	if (packet->clear != packet->mbuf)
		buffer_free(packet->clear);
	buffer_free(packet->mbuf);
}

// The frame again as it was received, to start anew: puts back the headers that stage_parse took
// off.
static inline struct rte_mbuf *packet_unparse(struct packet *packet)
{
	rte_pktmbuf_prepend(packet->mbuf, packet->headers_len);
	return packet->mbuf;
}

// Takes one of the leg's tokens; false if there is none. Invariant 5: what costs the relay
// something before a tag verified is bounded per source.
bool leg_token_take(struct worker *worker, uint32_t leg);

// The same for what can do without: half of the tokens stay for what cannot.
bool leg_token_take_spare(struct worker *worker, uint32_t leg);

// Queues an Ethernet frame for a port; sends when a burst is full. Takes mbuf.
void worker_send(struct worker *worker, uint8_t port, struct rte_mbuf *mbuf);
// The same of a copy for a leg, which has counted it as sent: if the port refuses it, the leg takes that back.
void worker_send_copy(struct worker *worker, uint8_t port, struct rte_mbuf *mbuf, uint32_t leg);
