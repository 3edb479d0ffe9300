// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "server/server.h"

enum { SERVER_BACKLOG = 64 };

// Whoever is gone without a word is noticed within about two minutes.
void socket_set_tcp_options(evutil_socket_t fd);

void socket_format_address(
	const struct sockaddr *address, socklen_t address_len, char *text, size_t size);

// A listening socket at the path, or -errno. Nobody can connect before listen(), and the file is
// born without any permission, so there is no moment at which it is open to more than options say.
int socket_listen(const struct server_options *options, struct stat *st);
