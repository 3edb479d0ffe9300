// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/server_state.h"

// A connection: its output, its events and its end.

// Wipes and drops len octets at the head of the input: they may hold keys. evbuffer memory goes
// back to the heap as it is, so this is done in place before the buffer gives it up.
void client_drop_input(struct client *client, size_t len);

void client_set_caller(struct client *client, struct subscription *caller);

// Ends the work on the line and returns its answer, NULL if it has none.
char *client_close_work(struct client *client, size_t *answer_len);

void client_free(struct client *client);

// Closes the client and releases its place.
void client_end(struct client *client);

void client_close(struct client *client);

void client_close_unauthenticated(
	struct client *client, enum tls_failure failure, const char *reason);

size_t client_output_len(const struct client *client);

// Queues pending events, in whole lines, until max octets are in the output.
void client_send_events(struct client *client, size_t max);

// Pending events belong to the subscription before the answer that is about to be sent: they are
// queued ahead of it.
void client_end_events(struct client *client);

void server_flush(evutil_socket_t fd, short what, void *arg);

// From here on the client may subscribe to events.
void client_enable_events(struct client *client);

void client_drop_without_memory(struct client *client);
