// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

// Whether the ports' links are up: told in the log and as news, and to workers, which give nothing to a port that is
// down. A kernel's interface that was deleted and made again is taken in place of the one before; where the driver
// cannot, relay->restart is set as soon as that would help. Control thread.

struct relay;

enum { LINK_WATCH_MS = 100 }; // between two looks at a device that is not the kernel's

// At every tick: the kernel is asked each time, because its ring keeps what it is given while the interface is down.
// When a link comes back the port's addresses are announced, its neighbours asked anew and its groups reported again.
void link_watch_tick(struct relay *relay, uint64_t now_ms);
