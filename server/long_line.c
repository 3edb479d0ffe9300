// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/long_line.h"

// Octets of a line that may be worked on beside others. As JSON in memory a line can have fifty
// times its octets, so of longer ones there is one at a time.
enum { SERVER_SHORT_LINE = 16 * 1024 };

// Starts the client that has waited longest with a long line, if none is being processed.
static void long_line_pass_on(struct server *server)
{
	static const struct timeval now = {0};
	struct client *next = STAILQ_FIRST(&server->waiting);
	if (!server->long_line && next)
		event_add(next->turn, &now);
}

void long_line_end(struct client *client)
{
	struct server *server = client->server;
	if (server->long_line == client)
		server->long_line = NULL;
	long_line_pass_on(server);
}

void long_line_stop_waiting(struct client *client)
{
	struct server *server = client->server;
	if (!client->waits)
		return;
	STAILQ_REMOVE(&server->waiting, client, client, next_waiting);
	client->waits = false;
	long_line_pass_on(server);
}

bool long_line_begin(struct client *client, size_t len)
{
	struct server *server = client->server;
	struct client *first = STAILQ_FIRST(&server->waiting);
	if (len <= SERVER_SHORT_LINE)
		return true;
	if (!server->long_line && (!first || first == client)) {
		if (client->waits)
			STAILQ_REMOVE_HEAD(&server->waiting, next_waiting);
		client->waits = false;
		server->long_line = client;
		return true;
	}
	if (!client->waits)
		STAILQ_INSERT_TAIL(&server->waiting, client, next_waiting);
	client->waits = true;
	return false;
}
