// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

struct relay;
struct retire;

// Removes streams that have been silent for long, so that senders who change their SSRC with
// every talk burst do not fill limits.streams. Control thread.
//
// Those of plain media go after REAPER_PLAIN_SECONDS: if the sender goes on it gets a fresh SSRC. So do
// those of opaque media, whose sender is counted anew.
// Those under a key go to rest (dataplane/stream_rest.h), which costs their sender nothing: when their leg is gone; when
// their session key has nearly all that it may have, the ones that have been silent longest; when three quarters of
// limits.streams are in use.
enum {
	REAPER_PLAIN_SECONDS = 60,
	REAPER_REST_SECONDS = 2,     // what has been heard since is not put to rest
	REAPER_CROWDED_SECONDS = 10, // when three quarters are in use
	REAPER_STREAMS = 20000,      // looked at in one tick, and half as many more in lists
	REAPER_LISTS = 1024,         // noted, to be looked through
};

// Zeroed memory is ready.
struct reaper {
	uint32_t cursor; // stream looked at last
	uint32_t n_scopes;
	uint32_t scopes[REAPER_LISTS]; // whose lists are noted
};

// A worker says that the streams of that scope are nearly as many as it may have.
void reaper_note(struct reaper *reaper, struct relay *relay, uint32_t scope);

// About ten times a second.
void reaper_tick(struct reaper *reaper, struct relay *relay, struct retire *retire);
