// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "server/tls.h"

// A client's blocking TLS 1.3 connection to a relay, for mcxctl.
struct tls_client;

// Connects to "HOST:PORT" or "[ADDRESS]:PORT". The certificate of the other side must be signed by
// files->ca and be for HOST. NULL with a sentence in why[why_size].
struct tls_client *tls_client_open(
	const char *host_port, const struct tls_files *files, char *why, size_t why_size);

// Sends len octets; false if the connection ended.
bool tls_client_write(struct tls_client *client, const void *data, size_t len);

// Receives 1 to size octets; 0 at the end, -1 if the relay refused the certificate or the
// connection broke.
ssize_t tls_client_read(struct tls_client *client, void *data, size_t size);

// The reason for the last failure, one sentence.
const char *tls_client_error(const struct tls_client *client);

// NULL is ignored.
void tls_client_close(struct tls_client *client);
