// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "config/config.h"
#include "control/metrics.h"
#include "server/rpc.h"

// The listening sockets for control and metrics, as configured. Control thread.
struct listeners;

// Opens them, and has SIGHUP read the files of TLS again. metrics is copied and completed by the
// listeners themselves. What it points to, config and rpc outlive it. NULL after a line in the log if
// one cannot be opened.
struct listeners *listeners_open(struct event_base *base, const struct config *config,
	const struct rpc *rpc, const struct metrics_source *metrics);

// Closes all connections. NULL is ignored.
void listeners_close(struct listeners *listeners);
