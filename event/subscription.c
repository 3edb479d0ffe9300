// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "event/subscription.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUBSCRIPTION_END_MAX = 48 }; // octets of ,"lost":18446744073709551615}} and LF

void subscription_open(struct subscriptions *subscriptions, struct subscription *subscription,
	void (*wake)(void *), void *arg)
{
	*subscription = (struct subscription){.wake = wake, .arg = arg};
	LIST_INSERT_HEAD(&subscriptions->all, subscription, entry);
}

void subscription_close(struct subscription *subscription)
{
	if (!subscription->wake)
		return; // never opened
	LIST_REMOVE(subscription, entry);
	free(subscription->queue);
	*subscription = (struct subscription){0};
}

bool subscription_set(struct subscription *subscription, uint32_t types)
{
	if (!subscription->queue && types != 0)
		subscription->queue = malloc(SUBSCRIPTION_QUEUE_MAX);
	if (!subscription->queue && types != 0)
		return false;
	subscription->types = types;
	subscription->replaced = true;
	return true;
}

static bool hears(const struct subscription *subscription, unsigned type)
{
	return subscription->types >> type & 1;
}

// Room for the longest event: so that whether there is room does not depend on the event, and what
// is lost is lost in one piece until some was taken.
static bool has_room(const struct subscription *subscription)
{
	return SUBSCRIPTION_QUEUE_MAX - subscription->len >=
	       SUBSCRIPTION_EVENT_MAX + SUBSCRIPTION_END_MAX;
}

bool subscriptions_want(struct subscriptions *subscriptions, unsigned type)
{
	bool wanted = false;
	for (struct subscription *subscription = LIST_FIRST(&subscriptions->all); subscription;
		subscription = LIST_NEXT(subscription, entry))
		wanted |= hears(subscription, type) && has_room(subscription);
	if (!wanted)
		subscriptions_lose(subscriptions, type);
	return wanted;
}

static void subscription_lose(
	struct subscriptions *subscriptions, struct subscription *subscription)
{
	subscription->lost++;
	subscriptions->n_lost++;
}

void subscriptions_lose(struct subscriptions *subscriptions, unsigned type)
{
	for (struct subscription *subscription = LIST_FIRST(&subscriptions->all); subscription;
		subscription = LIST_NEXT(subscription, entry))
		if (hears(subscription, type))
			subscription_lose(subscriptions, subscription);
}

unsigned subscriptions_count(const struct subscriptions *subscriptions)
{
	unsigned n = 0;
	for (const struct subscription *subscription = LIST_FIRST(&subscriptions->all);
		subscription; subscription = LIST_NEXT(subscription, entry))
		n += subscription->types != 0;
	return n;
}

static void queue_add(struct subscription *subscription, const char *text, size_t len)
{
	memcpy(subscription->queue + subscription->begin + subscription->len, text, len);
	subscription->len += len;
}

static void subscription_add(struct subscription *subscription, const char *text, size_t len)
{
	char end[SUBSCRIPTION_END_MAX];
	bool waited = subscription->len > 0;
	int end_len;
	if (subscription->lost > 0)
		end_len =
			snprintf(end, sizeof(end), ",\"lost\":%" PRIu64 "}}\n", subscription->lost);
	else
		end_len = snprintf(end, sizeof(end), "}}\n");
	if (SUBSCRIPTION_QUEUE_MAX - subscription->begin - subscription->len <
		len + (size_t)end_len) {
		memmove(subscription->queue, subscription->queue + subscription->begin,
			subscription->len);
		subscription->begin = 0;
	}
	queue_add(subscription, text, len);
	queue_add(subscription, end, (size_t)end_len);
	subscription->lost = 0;
	if (!waited)
		subscription->wake(subscription->arg);
}

bool subscriptions_tell(
	struct subscriptions *subscriptions, unsigned type, const char *text, size_t len)
{
	bool told = false;
	for (struct subscription *subscription = LIST_FIRST(&subscriptions->all); subscription;
		subscription = LIST_NEXT(subscription, entry)) {
		if (!hears(subscription, type))
			continue;
		if (len <= SUBSCRIPTION_EVENT_MAX && has_room(subscription)) {
			subscription_add(subscription, text, len);
			subscriptions->n_told++;
			told = true;
		} else {
			subscription_lose(subscriptions, subscription);
		}
	}
	return told;
}

const char *subscription_peek(const struct subscription *subscription, size_t max, size_t *len)
{
	*len = subscription->len;
	if (subscription->len == 0)
		return NULL;
	const char *lines = subscription->queue + subscription->begin;
	if (*len > max) {
		const char *end = memrchr(lines, '\n', max);
		*len = end ? (size_t)(end - lines) + 1 : 0;
	}
	return lines;
}

void subscription_drop(struct subscription *subscription, size_t len)
{
	subscription->len -= len;
	subscription->begin = subscription->len > 0 ? subscription->begin + len : 0;
}
