// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

// Who wants to hear of events, and what waits for each of them. Knows neither what an event is nor
// the connection: types are bits, events are text. Control thread.

enum {
	SUBSCRIPTION_QUEUE_MAX = 256 * 1024, // octets of events that wait for one subscriber
	SUBSCRIPTION_EVENT_MAX = 8 * 1024,   // octets of one event; what is longer is lost
};

// Of one connection. Zeroed memory is one that hears of nothing, not opened yet.
struct subscription {
	LIST_ENTRY(subscription) entry;
	uint32_t types;       // bit n: events of type n
	bool replaced;        // types were stated anew; whoever answers the request clears it
	uint64_t lost;        // events since the last one that found room
	char *queue;          // whole lines; NULL until types are stated for the first time
	size_t begin, len;    // octets of it that wait
	void (*wake)(void *); // something waits where nothing did; does not take it at once
	void *arg;
};

// All subscriptions. Zeroed memory is ready.
struct subscriptions {
	LIST_HEAD(, subscription) all;
	struct subscription *caller; // whose request runs; NULL: nobody's who can hear of events
	uint64_t n_told, n_lost;     // events, counted once for each who heard of them, or did not
};

void subscription_open(struct subscriptions *subscriptions, struct subscription *subscription,
	void (*wake)(void *), void *arg);
// Frees what waits. Before the connection is freed.
void subscription_close(struct subscription *subscription);

// States which types it hears of from now on; what waits stays. False if there is no memory.
bool subscription_set(struct subscription *subscription, uint32_t types);

// Whether anybody who hears of the type has room, so that it is worth to write the event. Everybody
// else who hears of it has lost it.
bool subscriptions_want(struct subscriptions *subscriptions, unsigned type);
// Counts an event that is not written at all: everybody who subscribed to it has lost it.
void subscriptions_lose(struct subscriptions *subscriptions, unsigned type);

// How many hear of anything at all.
unsigned subscriptions_count(const struct subscriptions *subscriptions);

// Queues an event for all that hear of its type and have room. text[len] is a line but for its end:
// "}}" and LF are added, and before them the number of events lost. After subscriptions_want(). True
// if somebody has it.
bool subscriptions_tell(
	struct subscriptions *subscriptions, unsigned type, const char *text, size_t len);

// The whole lines that wait, *len <= max octets. They are valid until the next call and go with
// subscription_drop().
const char *subscription_peek(const struct subscription *subscription, size_t max, size_t *len);
void subscription_drop(struct subscription *subscription, size_t len);
