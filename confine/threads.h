// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>

// What the kernel keeps for each thread, capabilities among it, no call of the C library sets for
// all of them: DPDK and its drivers start threads of their own.

// Runs function once in every thread of the process, the calling one too, and returns when all have.
// In other threads it runs in the handler of a signal: only async-signal-safe calls. It returns 0 or
// a positive errno. Returns 0, or -errno with a sentence in why if a call failed or a thread did not
// answer. Main thread, one call at a time.
int threads_run(int (*function)(void), char *why, size_t why_size);
