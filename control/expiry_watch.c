// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/expiry_watch.h"

#include <stdbool.h>

#include "event/notice.h"
#include "identity/identity_store.h"
#include "mikey/ntp.h"

struct look {
	struct notices *notices;
	uint64_t now;
};

static bool is_near(const struct look *look, uint64_t end)
{
	return end != 0 && end < look->now + EXPIRY_WATCH_SECONDS;
}

static void kms_look(void *value, void *arg)
{
	struct kms *kms = value;
	const struct look *look = arg;
	uint64_t end = kms->facts.valid_to;
	if (!is_near(look, end) || kms->end_told == end)
		return;
	const struct notice what = {
		.type = NOTICE_KMS_EXPIRING, .kms = (const char *)kms->facts.uri.octets, .to = end};
	if (notice(look->notices, &what))
		kms->end_told = end;
}

// Of the last key period that there is a key set for, in Unix seconds.
static uint64_t identity_end(const struct identity *identity)
{
	const struct mikey_kms *kms = &identity->kms->facts;
	uint64_t last = 0;
	for (size_t i = 0; i < identity->local.n_sets; i++)
		if (identity->sets[i]->period_no > last)
			last = identity->sets[i]->period_no;
	uint64_t end = kms->offset + (last + 1) * kms->period;
	return end > MIKEY_NTP_UNIX ? end - MIKEY_NTP_UNIX : 1;
}

static void identity_look(void *value, void *arg)
{
	struct identity *identity = value;
	const struct look *look = arg;
	uint64_t end = identity_end(identity);
	if (!is_near(look, end) || identity->end_told == end)
		return;
	const struct notice what = {.type = NOTICE_IDENTITY_EXPIRING,
		.uri = identity->uri,
		.kms = (const char *)identity->kms->facts.uri.octets,
		.to = end};
	if (notice(look->notices, &what))
		identity->end_told = end;
}

void expiry_watch_tick(struct expiry_watch *watch, const struct kms_store *kmss,
	const struct identity_store *identities, struct notices *notices, uint64_t now)
{
	struct look look = {.notices = notices, .now = now};
	if (!map_walk(kmss->by_uri, &watch->kms_place, kms_look, &look))
		watch->kms_place = 0;
	if (!map_walk(identities->by_name, &watch->identity_place, identity_look, &look))
		watch->identity_place = 0;
}
