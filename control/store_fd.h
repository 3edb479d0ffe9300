// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "store/store.h"

// The store in memory that outlives the process, because systemd holds its descriptor (FileDescriptorStoreMax=).

// With the descriptor that was handed to this process (LISTEN_FDS, LISTEN_FDNAMES), or a new one, which is handed to the
// service manager. NULL: there is none, which the log says. Main thread, before the process is confined.
struct store *store_fd_open(void);
