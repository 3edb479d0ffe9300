// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include "config/config.h"
#include "dataplane/relay_tables.h"
#include "dataplane/retire.h"
#include "event/subscription.h"
#include "identity/identity_store.h"
#include "identity/opened.h"
#include "identity/pool.h"
#include "identity/vault.h"
#include "key/keystore.h"
#include "server/request_stats.h"
#include "server/rpc.h"
#include "session/session_types.h"

struct message_orders;
struct message_stats;
struct overload;

// State that the methods of the control API work on; struct rpc passes it to each of them. Control thread.
struct api {
	const struct relay *relay;
	const struct overload *overload;
	struct retire *retire;
	struct keystore *keys;
	struct sessions *sessions;
	struct subscriptions *events;
	struct request_stats *requests;
	struct kms_store *kmss;
	struct identity_store *identities;
	struct opened *opened;
	struct vault *vault;
	struct pool *pool;
	struct message_stats *messages;
	struct message_orders *orders;
	const struct config_mikey *mikey;
	const struct config_limits *limits;
	uint64_t started_ms; // of clock_now_ms()
	// Serves requests of the workers and timers in the middle of a long request.
	void (*poll)(void *poll_arg);
	// Reads the workers' mail, so that an answer covers what they reported before the request.
	void (*read_mail)(void *poll_arg);
	void *poll_arg;
};

// The methods, for struct rpc with app = struct api.
extern const struct rpc_method control_methods[];
