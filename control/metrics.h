// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <event2/buffer.h>
#include <time.h>

#include "server/server.h"
#include "server/tls.h"

// The counters of the relay in the OpenMetrics 1.0.0 text format. Control thread.

struct config_limits;
struct keystore;
struct message_stats;
struct pool;
struct relay;
struct request_stats;
struct sessions;
struct subscriptions;

// Sources of the counters.
struct metrics_source {
	const struct relay *relay;
	const struct keystore *keys;
	const struct sessions *sessions;
	const struct request_stats *requests;
	const struct subscriptions *events;
	const struct config_limits *limits;
	const struct message_stats *messages;
	struct pool *pool;
	uint32_t pool_limit;                           // mikey.queue of the configuration
	const struct server *unix_server, *tls_server; // NULL: there is none
	const struct tls *tls;                         // NULL: without TLS listener
	time_t started; // when the relay did, Unix seconds: one value for its life
};

#define METRICS_CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

// Appends the whole exposition, "# EOF" included. Takes a time that depends on workers, ports and
// methods, not on keys, sessions or streams. Returns 0, or -1 if memory is short.
int metrics_write(struct evbuffer *out, const struct metrics_source *source);
