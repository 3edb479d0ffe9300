// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "store/store.h"

// The store in memory that outlives the process, because systemd holds its descriptor (FileDescriptorStoreMax=).

// With the descriptor that was handed to this process (LISTEN_FDS, LISTEN_FDNAMES), or a new one, which is handed to the
// service manager. NULL: there is none, which the log says. generation: see store_open(). Main thread, before the
// process is confined.
struct store *store_fd_open(uint64_t generation);

// What an earlier life recorded goes, since this one does not record what it changes: what was handed to this process is
// closed, and the service manager has it no longer. Main thread.
void store_fd_drop(void);
