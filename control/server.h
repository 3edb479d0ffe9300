// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <event2/event.h>

#include "control/rpc.h"

// The control socket: lines in, lines out, several clients at once, each answered in order.
struct server;

struct server_options {
	const char *path;  // Unix stream socket; a stale one is replaced, one in use is refused
	unsigned mode;     // permission bits
	const char *group; // NULL: as created
};

enum {
	SERVER_LINE_MAX = 1024 * 1024, // octets of a request, LF included
	SERVER_CLIENTS_MAX = 256,
	SERVER_OUTPUT_MAX =
		16 * 1024 *
		1024, // octets waiting for a client before its requests are no longer read
};

// Listens and answers through rpc from the loop of base. Returns NULL after writing one line to the
// log. rpc and base outlive it. Control thread only, as all of it.
struct server *server_open(
	struct event_base *base, const struct server_options *options, const struct rpc *rpc);

// Closes all connections, removes the socket file.
void server_close(struct server *server);
