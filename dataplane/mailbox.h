// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "dataplane/drop.h"
#include "dataplane/key_table.h"

struct rte_mbuf;
struct rte_ring;

// Messages between a worker and the control thread: one ring each way for each worker, one
// producer, one consumer, never blocking. What finds a ring full is dropped (and counted) or tried
// again by its sender.

enum mail_to_worker {
	MAIL_RESUME, // packets held in slot wait for nothing any more
	MAIL_SEND,   // transmit mbuf, an Ethernet frame, on a port
	MAIL_SSRC,   // a fresh SSRC for the worker's pool
};

struct worker_mail {
	uint32_t type;    // enum mail_to_worker
	uint32_t value;   // RESUME: slot; SEND: port; SSRC: the SSRC
	uint32_t refused; // RESUME: DROP_NONE, or why there is no context
	uint32_t reserved;
	struct rte_mbuf *mbuf; // SEND: ownership passes
};

enum mail_to_control {
	MAIL_DERIVE,  // a key context is missing: name, slot, leg
	MAIL_STREAM,  // a stream was born: stream, leg
	MAIL_LEARN,   // an authenticated packet came from a new address: leg, learn
	MAIL_CROWDED, // a session key has nearly all the streams that it may have: scope
};

struct control_mail {
	uint32_t type;        // enum mail_to_control
	uint32_t leg, serial; // STREAM, LEARN: which leg had that index
	union {
		struct {
			struct key_name name;
			uint32_t slot;
			bool stranger; // asks, see enum leg_side
		} derive;
		uint32_t stream;
		uint32_t scope; // of streams
		struct {
			struct endpoint addr;
			uint8_t protocol; // enum srtp_protocol
		} learn;
	};
};

enum {
	MAILBOX_SIZE = 4096,   // messages
	MAILBOX_ANSWERS = 256, // of them, each way, that are kept for what held packets wait for
	PUNT_SIZE = 512,       // packets for the control thread
	HANDOFF_SIZE = 4096,   // packets for another worker
	SSRC_POOL_SIZE = 256,  // fresh SSRCs of a worker
};

struct mailbox {
	struct rte_ring *to_worker, *to_control;
};

// Makes the rings of a worker; false if memory is short. Main thread.
bool mailbox_init(struct mailbox *mailbox, uint8_t worker);

// Frees them, and the frames in them.
void mailbox_fini(struct mailbox *mailbox);

// Control thread puts, worker takes. False: the ring is full, or empty.
bool worker_mail_put(struct mailbox *mailbox, const struct worker_mail *mail);
bool worker_mail_take(struct mailbox *mailbox, struct worker_mail *mail);

// Worker puts, control thread takes.
bool control_mail_put(struct mailbox *mailbox, const struct control_mail *mail);
bool control_mail_take(struct mailbox *mailbox, struct control_mail *mail);
