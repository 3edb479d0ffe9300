// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "server/server.h"

enum { SERVER_BACKLOG = 64 };

// Keepalive: a peer that vanished is noticed within about two minutes.
void socket_set_tcp_options(evutil_socket_t fd);

void socket_format_address(
	const struct sockaddr *address, socklen_t address_len, char *text, size_t size);

// A listening socket at the path, or -errno. Connections are refused before listen(), and the file
// is created without any permission: at no moment it is open to more than the options allow.
int socket_listen(const struct server_options *options, struct stat *st);
