// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Whether the relay lives and forwards, for those who start it anew or send it calls. Control thread.

struct relay;

enum { HEALTH_STILL_S = 10 }; // a worker whose loop has not turned for so long stands still

// Whether all workers turn at tsc (rte_rdtsc()). Else why[size] says which does not.
bool health_is_alive(const struct relay *relay, uint64_t tsc, char *why, size_t size);

// The same, and whether the links of all ports are up.
bool health_is_ready(const struct relay *relay, uint64_t tsc, char *why, size_t size);
