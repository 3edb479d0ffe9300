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
	bool known;       // transit is
};

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

// Takes one packet into account, in the order of arrival.
static inline void jitter_add(struct jitter *jitter, uint32_t arrival, uint32_t timestamp)
{
	uint32_t transit = arrival - timestamp, d = transit - jitter->transit;
	if (d > INT32_MAX)
		d = -d;
	if (jitter->known)
		counter_add(&jitter->scaled, d - ((jitter->scaled + 8) >> 4));
	jitter->transit = transit;
	jitter->known = true;
}

// As if nothing had been received.
static inline void jitter_begin_anew(struct jitter *jitter)
{
	counter_set(&jitter->scaled, 0);
	jitter->known = false;
}

// The estimate, rounded down, as a receiver report would have it.
static inline uint32_t jitter_value(const struct jitter *jitter)
{
	return (uint32_t)(counter_read(&jitter->scaled) >> 4);
}
