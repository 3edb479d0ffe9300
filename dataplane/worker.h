// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "dataplane/worker_state.h"

// A poll-mode worker: its memory and its rings. loop.h has what it does.

// Makes a worker with its rings. NULL if memory is short.
struct worker *worker_new(struct relay *relay, uint8_t id, unsigned lcore);

// Frees what it still holds. After its loop ended.
void worker_free(struct worker *worker);

// The worker begins, and ends, to be one that grace periods wait for. Its thread, or before it runs.
void worker_online(struct worker *worker);
void worker_offline(struct worker *worker);
