// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <event2/event.h>
#include <stdint.h>

#include "control/api.h"
#include "control/expiry_watch.h"
#include "control/message_order.h"
#include "control/message_stats.h"
#include "control/overload.h"
#include "control/reaper.h"
#include "event/notice.h"
#include "key/srtcp_floor.h"
#include "key/ssrc_source.h"
#include "key/state_store.h"
#include "key/users.h"
#include "store/store.h"

// What came back from an earlier life.
struct restored {
	uint32_t sessions, legs, keys;
	uint32_t losses; // records, keys, their streams, legs and sessions that did not
};

// State owned by the control thread.
struct app {
	struct relay relay;
	struct retire retire;
	struct users users;
	struct keystore keys;
	struct sessions sessions;
	struct state_store state;
	struct ssrc_source ssrcs;
	struct srtcp_floor srtcp;
	struct notices notices;
	struct subscriptions events;
	struct overload overload;
	struct reaper reaper;
	bool cryptodev_given_up[RELAY_WORKERS_MAX]; // the log has said so
	struct request_stats requests;
	struct event_base *base;
	uint64_t started_ms, polled_ms, ticked_ms; // of clock_now_ms()
	uint32_t ssrcs_given[RELAY_WORKERS_MAX];   // to each worker so far
	struct config_limits limits;
	struct config_mikey mikey;
	struct kms_store kmss;
	struct identity_store identities;
	struct opened opened; // opened by who knows its directory
	struct vault *vault;  // opened by who knows its directory
	struct pool *pool;
	struct message_stats messages;
	struct message_orders orders;
	struct expiry_watch expiry;
	struct store *store; // NULL: nothing is recorded
	struct restored restored;
	struct api api; // what its methods get
};

// Opens what stands on the relay, which is open. Returns 0, or -1 if there is no memory. No SSRC is
// given before the caller has opened ssrcs, no message opened before opened.
int app_open(struct app *app, const struct config_limits *limits, const struct config_mikey *mikey);

// Removes all keys and sessions, while workers run or after they ended; the relay stays open.
void app_close(struct app *app);

// Serves requests of the workers.
void app_read_mail(struct app *app);

// Does what workers asked for and what time brings. At least every millisecond; at most once in
// one.
void app_poll(struct app *app);
