// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/server_state.h"

// The client whose long line is being processed, and the queue of those that wait for it.

void long_line_end(struct client *client);

// For a client that does not continue for now: removes it from the queue.
void long_line_stop_waiting(struct client *client);

// Whether a line of len octets may be processed now. If not, the client is queued and woken later.
bool long_line_begin(struct client *client, size_t len);
