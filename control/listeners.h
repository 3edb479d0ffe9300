// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "config/config.h"
#include "server/rpc.h"

// All that the relay listens on for control and metrics, as the configuration says. Control thread.
struct app;
struct listeners;

// Opens them, and has SIGHUP read the files of TLS again. app, config and rpc outlive it. NULL after a
// line in the log if one cannot be opened.
struct listeners *listeners_open(
	struct app *app, const struct config *config, const struct rpc *rpc);

// Closes all connections. NULL is ignored.
void listeners_close(struct listeners *listeners);
