// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "dataplane/packet.h"

// Streams of media that the relay forwards without reading its payload, kept for the statistics
// only. So they never drop a packet, hand it over or change its order; a packet without a stream is
// not counted in one. Worker.

struct worker;

// RTP of an opaque leg whose tag is not verified: that leg names no key, or says verify false.
static inline bool packet_is_opaque(const struct packet *p)
{
	return !p->decrypt && p->protocol == SRTP_RTP && p->in->mode == LEG_OPAQUE;
}

// Fetches what opaque_count() reads of those packets of a burst that are opaque.
void opaque_prefetch(const struct worker *worker, struct packet *packets[], uint16_t n);

// Counts an opaque packet in its stream, which is created if there is room.
void opaque_count(struct worker *worker, struct packet *p);
