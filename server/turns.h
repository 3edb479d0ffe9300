// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/server_state.h"

// Answers the lines of clients in turns.

// Takes a turn and decides how to continue. May free the client, or another one.
void client_work(struct client *client);

void client_turn(evutil_socket_t fd, short what, void *arg);

void client_readable(struct bufferevent *bufferevent, void *arg);

// The output shrank below its low watermark.
void client_written(struct bufferevent *bufferevent, void *arg);
