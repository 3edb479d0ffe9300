// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include "dataplane/leg.h"

struct stream;
struct worker;

// Streams of legs whose packets no tag verifies: they are created by their first packet, for one of
// the leg's tokens, and removed after a minute of silence.

// The stream of an SSRC on a plain leg; if the worker owns it, its time is set to now. There is one
// for RTP with the RTCP that belongs to it, and one for RTCP of control traffic: protocol (enum
// srtp_protocol). NULL: it would be new, and the leg has no token or the table no room.
struct stream *plain_stream_get(
	struct worker *worker, const struct leg *leg, uint8_t protocol, uint32_t ssrc);

// The SSRC under which its protected copies leave, drawn from the worker's pool at the first call.
// 0: the pool is empty. Any worker.
uint32_t plain_stream_fresh_ssrc(struct worker *worker, struct stream *stream);
