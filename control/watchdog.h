// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

struct event_base;
struct relay;
struct watchdog;

// Tells systemd (WatchdogSec= of the unit) again and again that the relay lives: while the event loop
// turns and the loop of every worker moved since the last time. Worker threads that stand still end
// the service; the log names them. NULL if systemd does not ask, or if memory is short (logged).
// Control thread; relay outlives it.
struct watchdog *watchdog_open(struct event_base *base, struct relay *relay);

// NULL is ignored.
void watchdog_close(struct watchdog *watchdog);
