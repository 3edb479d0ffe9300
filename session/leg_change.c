// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/leg_change.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "dataplane/audience.h"
#include "dataplane/retire.h"
#include "session/gmk_ways.h"
#include "session/leg_audience.h"
#include "session/leg_bind.h"
#include "session/leg_remote.h"
#include "session/session_learn.h"
#include "session/session_legs.h"
#include "session/session_publish.h"
#include "session/session_record.h"
#include "session/session_spec.h"
#include "session/session_statistics.h"
#include "session/session_store.h"

static struct session_leg *leg_new(struct sessions *sessions, struct session *session)
{
	struct session_leg *leg = alloc_zero(1, sizeof(*leg));
	leg->session = session;
	leg->index = leg_index_take(sessions, leg);
	leg->serial = ++sessions->next_serial;
	return leg;
}

struct session_leg *leg_join(
	struct sessions *sessions, struct session *session, struct leg_spec *spec)
{
	struct session_leg *leg = leg_new(sessions, session);
	leg->spec = *spec;
	*spec = (struct leg_spec){};
	leg_remote_state(leg, NULL, clock_now_ms());
	leg_bind(sessions, leg);
	session_leg_add(session, leg);
	gmk_ways_add(session->gmk_ways, leg->spec.protection);
	leg_audience_follow(sessions, leg, leg);
	leg_audience_open(leg);
	return leg;
}

// The leg is bound anew to what the spec states, which is taken. It keeps its index, and with it its
// streams and counters; what it was before goes to *before.
static void leg_restate(struct sessions *sessions, struct session_leg *leg, struct leg_spec *spec,
	struct session_leg *before)
{
	*before = *leg;
	leg->spec = *spec;
	*spec = (struct leg_spec){};
	leg_remote_state(leg, &before->spec, clock_now_ms());
	leg_bind(sessions, leg);
	leg_audience_unname(leg);
	gmk_ways_drop(leg->session->gmk_ways, before->spec.protection);
	gmk_ways_add(leg->session->gmk_ways, leg->spec.protection);
	leg_audience_open(leg);
}

// A leg that named it in `to` keeps sending to the others it named; to none if it named no other.
static void spec_forget(struct leg_spec *spec, const char *id)
{
	for (uint32_t t = spec->n_to; t-- > 0;) {
		if (strcmp(spec->to[t], id) != 0)
			continue;
		free(spec->to[t]);
		spec->to[t] = spec->to[--spec->n_to];
	}
}

// First step of removing a leg: nothing published refers to it afterwards.
static void leg_hide(struct sessions *sessions, struct session_leg *leg)
{
	struct session *session = leg->session;
	struct leg_naming *naming;
	LIST_FOREACH (naming, &leg->named_by, entry)
		if (!naming->from->leaving)
			spec_forget(&naming->from->spec, leg->spec.id);
	leg_audience_leave(sessions, leg);
	leg_unpublish(sessions, leg);
	session_leg_drop(session, leg);
	gmk_ways_drop(session->gmk_ways, leg->spec.protection);
}

// Second step, when its session's audiences are published.
static void leg_leave(struct sessions *sessions, struct session_leg *leg)
{
	retire_later(sessions->retire, leg_release, sessions, leg->index);
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
		audience_end(leg->own[protocol], sessions->retire);
	leg_audience_unname(leg);
	leg_unbind(sessions, leg);
	session_forget_streams(sessions, leg);
	leg_record_drop(leg);
	free(leg->path);
	leg_spec_free(&leg->spec);
	free(leg);
}

// Gives back what a leg used before it was bound anew.
static void leg_replaced(
	struct sessions *sessions, struct session_leg *before, const struct session_leg *now)
{
	leg_unpublish_replaced(before, now);
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
		audience_end(before->own[protocol], sessions->retire);
	leg_unbind(sessions, before);
	leg_spec_free(&before->spec);
}

void legs_change(struct sessions *sessions, struct session *session, struct session_leg *legs[],
	struct leg_spec specs[], uint32_t n)
{
	struct session_leg *before = alloc_zero(n, sizeof(*before));
	for (uint32_t i = 0; i < n; i++)
		if (specs[i].id)
			leg_restate(sessions, legs[i], &specs[i], &before[i]);
	for (uint32_t i = 0; i < n; i++)
		if (before[i].spec.id)
			leg_audience_follow(sessions, &before[i], legs[i]);
	for (uint32_t i = 0; i < n; i++)
		leg_audience_name(sessions, legs[i]);
	session_audiences_publish(sessions, session);
	for (uint32_t i = 0; i < n; i++) {
		leg_audience_publish(sessions, legs[i]);
		leg_publish(sessions, legs[i]);
	}
	for (uint32_t i = 0; i < n; i++)
		if (before[i].spec.id)
			leg_replaced(sessions, &before[i], legs[i]);
	groups_publish(sessions);
	free(before);
}

// What was counted of the leg, if it saw any packet. It is unpublished: at most what a worker has in
// hand is not in it.
static void leg_tell(const struct sessions *sessions, const struct session_leg *leg, json_t *shown)
{
	if (leg_was_used(sessions->relay, leg->index))
		json_array_append_new(
			shown, json_pack("{s:s,s:o}", "id", leg->spec.id, "statistics",
				       leg_statistics_show(sessions->relay, leg)));
}

void legs_remove(struct sessions *sessions, struct session *session, struct session_leg *legs[],
	uint32_t n, json_t *shown)
{
	for (uint32_t i = 0; i < n; i++)
		legs[i]->leaving = true;
	for (uint32_t i = 0; i < n; i++)
		leg_hide(sessions, legs[i]);
	session_audiences_publish(sessions, session);
	for (uint32_t i = 0; shown && i < n; i++)
		leg_tell(sessions, legs[i], shown);
	for (uint32_t i = 0; i < n; i++)
		leg_leave(sessions, legs[i]);
	groups_publish(sessions);
}
