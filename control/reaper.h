// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

struct relay;
struct retire;

// Takes back streams that have been silent for long, so that senders who change their SSRC with
// every talk burst do not fill limits.streams. Control thread.
//
// Those of plain media go after REAPER_PLAIN_SECONDS: if the sender goes on it gets a fresh SSRC. So do
// those of opaque media, whose sender is counted anew.
// Those under a key go only when three quarters of limits.streams are in use, after
// REAPER_KEY_SECONDS: with the stream its replay list is forgotten, and a call that is being held
// is worth more than packets of an hour ago.
enum {
	REAPER_PLAIN_SECONDS = 60,
	REAPER_KEY_SECONDS = 3600,
	REAPER_STREAMS = 20000, // looked at in one tick
};

// Zeroed memory is ready.
struct reaper {
	uint32_t cursor; // stream looked at last
};

// About ten times a second.
void reaper_tick(struct reaper *reaper, struct relay *relay, struct retire *retire);
