// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include "session/session_types.h"

// Notices from what workers count that media starts on a leg, that a session has been silent for
// its timeout, and that packets of a leg fail. Control thread.
//
// It looks at MEDIA_WATCH_LEGS legs a tick, in turn: at every leg ten times a second up to that
// many, every five seconds at each of a million.

enum {
	MEDIA_WATCH_LEGS = 20000,     // looked at in one tick
	MEDIA_WATCH_FAILS = 32,       // tags that fail...
	MEDIA_WATCH_FAIL_SECONDS = 10 // ...within that time are worth a notice
};

// About ten times a second. now: TSC.
void media_watch_tick(struct sessions *sessions, uint64_t now);
