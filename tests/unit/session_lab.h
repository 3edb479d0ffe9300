// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "control/app.h"

// A relay with one port, "ran" (10.0.0.1/24), and no worker that runs, for tests of sessions. What goes on
// beside requests goes on when a test says so.

// udp_first to udp_last are what the relay picks from; 0: nothing. 0 or -1.
int session_lab_open(struct app *app, uint32_t max_legs, uint16_t udp_first, uint16_t udp_last);
int session_lab_close(struct app *app);

// The answer to a request, of *len octets and nothing behind them; the caller frees it with secmem_free().
char *session_lab_call(struct app *app, const char *method, const char *params, size_t *len);

// The line of a request, which the caller frees.
char *session_lab_line(const char *method, const char *params);
