// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <event2/listener.h>

#include "server/server_state.h"

// Accepted connections become clients; with TLS after the handshake.

void server_accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
	int address_len, void *arg);

void server_accepted_tls(struct evconnlistener *listener, evutil_socket_t fd,
	struct sockaddr *address, int address_len, void *arg);

// Out of file descriptors: the connection stays in the backlog, and accepting at once would spin.
void server_accept_failed(struct evconnlistener *listener, void *arg);

void server_reopen(evutil_socket_t fd, short what, void *arg);
