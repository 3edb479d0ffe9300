// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "crypto/srtp_kdf.h"
#include "dataplane/fanout.h"

// A leg as workers see it: immutable, built by the control thread, published in leg_table and given
// back after every worker passed a quiescent state.

struct stream_list;

#define LEG_NONE UINT32_MAX

enum leg_mode { LEG_OPAQUE, LEG_PLAIN, LEG_SRTP };

// A key for inbound packets of one protocol on a leg.
struct leg_key {
	uint64_t own_mki; // key name if the packet's MKI does not identify the talker; 0: none
	uint32_t scope, id;
	uint32_t root;     // index of the root key
	uint32_t serial;   // which of all installations of root keys this is; 0: none
	uint16_t roc_rate; // of the profile, 0: no ROC
	uint8_t mki_len;   // octets, of the profile
	uint8_t cs_id;
	uint8_t suite; // enum srtp_suite
	bool is_gmk;
};

static_assert(sizeof(struct leg_key) == 32, "two in a cache line");

// How what arrives of one protocol is protected.
struct leg_protection {
	uint8_t mode;   // enum leg_mode; opaque with a key: forwarded unchanged after its tag
			// verified
	bool named_key; // the leg names a key
	bool verify;    // false: what can be forwarded unchanged is, unverified
	uint8_t n_keys; // that are installed and active
	uint32_t user;  // index of the user who sends on the leg, 0: not stated
	uint32_t roc;   // RTP: with which a new stream begins, or one more
	const struct leg_key *keys; // the one activated last first, NULL: none; freed with the leg
};

enum { RATE_OCTET_SHIFT = 8 };

// What its packets cost of the time in which it may send: see rate.h. Cycles; 0: nothing.
struct leg_rate {
	uint32_t packet_cost;
	uint32_t octet_cost; // 2^-RATE_OCTET_SHIFT cycles
	uint32_t floor_cost; // of a packet, at most, while the worker squeezes
};

struct leg {
	uint32_t index;
	uint32_t serial; // distinguishes it from other legs with that index
	uint8_t port;
	bool receive; // takes packets from it
	bool learn;   // its remote address follows authenticated packets, though it receive none
	bool control; // RTCP only
	bool rtcp_mux;
	struct leg_rate rate;
	uint64_t clock_factor; // of its RTP timestamps, see jitter_clock_factor()
	struct endpoint remote;
	struct endpoint source; // of packets that no tag vouches for
	bool any_source;        // a group, and it does not matter
	struct leg_protection in[SRTP_N_PROTOCOLS];
	struct fanout *_Atomic const
		*fanout[SRTP_N_PROTOCOLS]; // where its packets go: of an audience
};

struct leg_table {
	struct leg *_Atomic *legs;   // by index; control: rw, worker: ro
	struct stream_list *streams; // by index: of media without key from the leg
	uint32_t size;
};

// Workers, between two quiescent states. NULL: there is none.
static inline const struct leg *leg_get(const struct leg_table *table, uint32_t index)
{
	return atomic_load_explicit(&table->legs[index], memory_order_acquire);
}
