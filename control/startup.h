// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "config/config.h"

// The life of the relay: opens resources, drops privileges, runs, closes.

// EX_TEMPFAIL of sysexits(3): a port cannot go on in this process, but in the next.
enum { STARTUP_RESTART = 75 };

// Until a signal ends it, or a port that needs a restart. Returns the exit status.
int startup_run(const struct config *config);
