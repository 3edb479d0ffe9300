// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include "bench/bench.h"
#include "bench/rig.h"

// Authentic media of many senders, mixed at random, for one worker. Frames are made ahead, far more
// than the caches hold, and made anew when they are used up: each packet index comes once. Only a
// worker's turns are on the clock.

enum traffic_flaw {
	TRAFFIC_GOOD,
	TRAFFIC_FORGED,       // the tag does not match
	TRAFFIC_UNKNOWN_KEY,  // the MKI names a key that the leg does not have
	TRAFFIC_UNKNOWN_USER, // the MKI names a random user under the leg's GMK
};

struct sender {
	const struct key_ctx *ctx; // NULL: in clear
	uint64_t index;            // of its next packet
	uint32_t place;            // of its leg on the port "ran"
	uint32_t ssrc;
};

struct traffic_shape {
	uint8_t protocol; // enum srtp_protocol
	uint8_t mki_len;  // octets
	bool roc;
	bool ragged;     // sizes from 1 octet to .octets
	uint16_t octets; // of RTP payload, or of a whole RTCP packet
	enum traffic_flaw flaw;
	uint32_t copies; // that the relay sends of each packet
};

// The senders stay the caller's; no other traffic has any of them.
struct traffic *traffic_open(struct rig *rig, unsigned worker, const struct traffic_shape *shape,
	struct sender *senders, uint32_t n_senders);
void traffic_close(struct traffic *traffic);

// One packet of each sender, in order, off the clock: streams are born, and control hears of them.
// Main thread.
void traffic_warm(struct traffic *traffic);

// Some bursts on the clock. Aborts if not all of them ended as the shape says.
struct chunk traffic_run(struct traffic *traffic);
