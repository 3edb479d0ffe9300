// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <event2/event.h>

#include "control/metrics.h"

// /metrics, /health and /ready by HTTP (GET, HEAD), one request a connection. Whoever reaches the address may read; what there
// is to read names ports and devices, never a key, a user or a session. Control thread.
struct metrics_server;

enum {
	METRICS_CONNECTIONS_MAX = 16, // more wait in the kernel's backlog
	METRICS_CONNECTION_MS = 5000, // for a request and its answer, whatever the scraper does
	METRICS_REQUEST_MAX = 8192,   // octets of a request's first line and headers
};

// Listens at an address ("127.0.0.1:9177", "[::1]:9177"). Warns in the log if it is not a loopback
// address. What source points to outlives it. NULL after a line in the log.
struct metrics_server *metrics_server_open(
	struct event_base *base, const char *listen, const struct metrics_source *source);

// Closes all connections. NULL is ignored.
void metrics_server_close(struct metrics_server *server);
