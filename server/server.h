// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <event2/event.h>
#include <stdint.h>

#include "server/rpc.h"
#include "server/tls.h"

// A control socket: lines in, lines out, several clients at once, each answered in order. Each
// socket has limits of its own: clients of one do not use up the places of another.
struct server;

struct server_options {
	const char *path;  // Unix stream socket; a stale one is replaced, one in use is refused
	unsigned mode;     // permission bits
	const char *group; // NULL: as created
};

enum {
	SERVER_LINE_MAX = 1024 * 1024, // octets of a request, LF included
	SERVER_CLIENTS_MAX = 256,
	SERVER_HANDSHAKES_MAX = 64, // TLS: clients that have not shown a certificate yet
	SERVER_HANDSHAKE_MS = 5000, // TLS: time limit of a handshake
	// octets queued for a client before its requests are no longer read
	SERVER_OUTPUT_MAX = 16 * 1024 * 1024,
	// octets of output before events wait, and are lost in the end
	SERVER_EVENTS_MAX = 64 * 1024,
	// octets of answers of all clients: beyond, the client with most is dropped
	SERVER_ANSWERS_MAX = 256 * 1024 * 1024,
};

// Listens and answers through rpc from the loop of base. Returns NULL after writing one line to the
// log. rpc and base outlive it. Control thread only, as all of it.
struct server *server_open(
	struct event_base *base, const struct server_options *options, const struct rpc *rpc);

// As server_open(), over TCP at an address ("192.0.2.1:7443", "[2001:db8::1]:7443"), for clients
// that tls authenticates. Others get a TLS alert only. tls outlives it.
struct server *server_open_tls(
	struct event_base *base, const char *listen, struct tls *tls, const struct rpc *rpc);

struct server_counters {
	uint64_t clients;                // connected now
	uint64_t limit;                  // of them
	uint64_t handshakes;             // TLS: in progress
	uint64_t accepted;               // clients ever connected
	uint64_t refused;                // because of the limit
	uint64_t failed[TLS_N_FAILURES]; // TLS: handshakes that failed
};

struct server_counters server_count(const struct server *server);

// Closes connections whose certificate has been revoked since. For a TLS listener; not to be called
// from one of its own callbacks.
void server_close_revoked(struct server *server);

// Closes all connections, removes the socket file. NULL is ignored.
void server_close(struct server *server);
