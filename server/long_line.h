// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/server_state.h"

// Whose long line is worked on, and who waits for that.

void long_line_end(struct client *client);

// Of a client that does not go on for now: others need not wait for it.
void long_line_stop_waiting(struct client *client);

// Whether a line of that length may be worked on now. If not, the client is woken when it may.
bool long_line_begin(struct client *client, size_t len);
