// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "event/subscription.h"
#include "server/rpc.h"
#include "server/server.h"
#include "server/tls.h"

// State shared by the units of a server. Control thread.

enum { CLIENT_NAME_SIZE = 384 }; // octets with NUL

struct server {
	struct event_base *base;
	const struct rpc *rpc;
	struct tls *tls; // NULL: a Unix socket
	struct evconnlistener *listener;
	struct event *reopen; // accepts again after a pause
	unsigned accepts;     // since then
	struct event *flush;  // sends the events that wait
	char *path;
	dev_t device; // of the socket file: only this one is removed at the end
	ino_t inode;
	LIST_HEAD(, client) clients;
	LIST_HEAD(, client) detached;        // disconnected; the running request runs to its end
	LIST_HEAD(, client) unauthenticated; // TLS: in their handshake, newest first
	struct client *long_line;            // the client whose long line is processed, or NULL
	STAILQ_HEAD(client_queue, client) waiting; // for a long line, first come first served
	struct server_counters counters;
	bool refusing;           // the limit of clients has been logged
	uint64_t failure_second; // of clock_now_ms(), for the limit of lines in the log
	unsigned failure_lines;
	uint64_t failures;      // handshakes
	uint64_t failures_told; // of them
};

struct client {
	LIST_ENTRY(client) entry;
	struct server *server;
	struct bufferevent *bufferevent; // NULL: detached
	// Continues with lines that are in the buffer already; of an unauthenticated one: its handshake timed out.
	struct event *turn;
	struct rpc_work *work; // the line that is being answered; NULL: none
	STAILQ_ENTRY(client) next_waiting;
	bool waits;           // in server.waiting; a long line is at the head of the input
	size_t searched;      // octets at the head of the input that have no LF
	bool answering;       // part of an answer is in the output
	bool unauthenticated; // TLS: has presented no certificate yet
	bool at_eof;          // the peer has shut down its sending half
	bool closing;         // nothing more is read; ends when the output has been sent
	struct subscription events;
	char name[CLIENT_NAME_SIZE]; // for the log: key=value
};
