// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"

// Interarrival jitter of one RTP stream, RFC 3550 6.4.1 and A.8, in RTP timestamp units. One thread
// writes it, any may read its value. Zeroed memory is a stream without packets.
struct jitter {
	uint64_t scaled;  // the estimate times 16; the largest difference, 2^31, makes 2^35 of it
	uint32_t transit; // arrival - timestamp of the last packet, mod 2^32
	uint32_t before;  // if jumped: the estimate before
	bool known;       // transit is
	bool jumped;      // transit was another one by more than a second
};

// A smaller difference is no jump, whatever the clock rate: the lowest that audio has (RFC 3551 6).
enum { JITTER_JUMP_MIN = 8000 };

// RTP timestamp units that pass in a TSC tick, times 2^64. clock_rate in Hz. For control, once.
static inline uint64_t jitter_clock_factor(uint32_t clock_rate, uint64_t tsc_hz)
{
	if (clock_rate >= tsc_hz)
		return UINT64_MAX;
	return (uint64_t)(((unsigned __int128)clock_rate << 64) / tsc_hz);
}

// When a packet came, in the units of its timestamp and mod 2^32 as that is.
static inline uint32_t jitter_arrival(uint64_t tsc, uint64_t clock_factor)
{
	return (uint32_t)((unsigned __int128)tsc * clock_factor >> 64);
}

// How the packets of a stream are counted: the clocks of their arrival and of their timestamps.
struct jitter_clock {
	uint64_t tsc_hz, factor; // jitter_clock_factor()
};

// Takes one packet into account, in the order of arrival. A difference of more than a second that the next packet
// does not have is no jitter: the sender's timestamps went on from elsewhere, or stood still while it was silent.
static inline void jitter_add(
	struct jitter *jitter, struct jitter_clock clock, uint32_t arrival, uint32_t timestamp)
{
	uint32_t transit = arrival - timestamp, d = transit - jitter->transit;
	if (d > INT32_MAX)
		d = -d;
	bool jump = d > JITTER_JUMP_MIN && d > jitter_arrival(clock.tsc_hz, clock.factor);
	if (!jitter->known) {
		jump = false;
	} else if (jump && !jitter->jumped) {
		jitter->before = (uint32_t)(jitter->scaled >> 4);
	} else if (!jump && jitter->jumped) {
		counter_set(&jitter->scaled, (uint64_t)jitter->before << 4);
	}
	if (jitter->known)
		counter_add(&jitter->scaled, d - ((jitter->scaled + 8) >> 4));
	jitter->transit = transit;
	jitter->jumped = jump;
	jitter->known = true;
}

// As if nothing had been received.
static inline void jitter_begin_anew(struct jitter *jitter)
{
	counter_set(&jitter->scaled, 0);
	jitter->known = false;
	jitter->jumped = false;
}

// The estimate, rounded down, as a receiver report would have it.
static inline uint32_t jitter_value(const struct jitter *jitter)
{
	return (uint32_t)(counter_read(&jitter->scaled) >> 4);
}
