// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "ctl/tls_client.h"

// Address of the relay, and the connection to it.

struct connection {
	const char *socket_path, *tls_address; // by TLS if tls_address
	struct tls_files files;
	int fd;
	struct tls_client *tls;
	char *input; // what was read and not taken yet
	size_t input_len, input_size;
	const volatile sig_atomic_t *interrupted; // set: reading ends silently; may be NULL
};

// Each says why it failed.
bool connection_open(struct connection *connection);
void connection_close(struct connection *connection);
// The next message. Owned by the caller.
json_t *connection_read(struct connection *connection);
// The response to a request, an error or not. Takes params.
json_t *connection_exchange(struct connection *connection, const char *method, json_t *params);
// The result of a request; an error is said in words, and NULL returned. Takes params.
json_t *connection_call(struct connection *connection, const char *method, json_t *params);
