// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_publish.h"

#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "dataplane/audience.h"
#include "dataplane/relay_tables.h"
#include "dataplane/retire.h"
#include "host/multicast.h"
#include "session/leg_audience.h"
#include "session/session_build.h"

static void release_memory(void *what, uint32_t index)
{
	(void)index;
	free(what);
}

void session_retire_memory(struct sessions *sessions, void *what)
{
	if (what)
		retire_later(sessions->retire, release_memory, what, 0);
}

// UDP port -> leg, of one address of a port or of one multicast group.
static void udp_map_set(_Atomic uint32_t *legs, const struct endpoint *at, uint32_t leg)
{
	atomic_store_explicit(&legs[ntohs(at->port)], leg + 1, memory_order_release);
}

static void publish_leg(
	struct sessions *sessions, const struct session *session, const struct session_leg *leg)
{
	struct leg *built = leg_build(sessions->keys, session, leg);
	struct leg *before = atomic_exchange_explicit(
		&sessions->relay->legs.legs[leg->index], built, memory_order_acq_rel);
	udp_map_set(leg->address->legs, &leg->spec.local, leg->index);
	if (leg->group)
		udp_map_set(leg->group->legs, &leg->spec.remote, leg->index);
	session_retire_memory(sessions, before);
}

// A leg's own audiences, if it names its receivers.
static void leg_build_own(
	const struct sessions *sessions, const struct session *session, struct session_leg *leg)
{
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
		leg->own[protocol] =
			leg->spec.has_to
				? audience_of_legs(sessions, session,
					  leg_audience_kind(&leg->spec, protocol), &leg->spec)
				: NULL;
}

// What was published before is retired only when nothing published leads to it any more.
void session_rebuild(struct sessions *sessions, struct session *session)
{
	struct audience *before[AUDIENCE_N];
	memcpy(before, session->audiences, sizeof(before));
	for (unsigned kind = 0; kind < AUDIENCE_N; kind++)
		session->audiences[kind] = audience_of_legs(sessions, session, kind, NULL);
	for (uint32_t i = 0; i < session->n_legs; i++) {
		struct session_leg *leg = &session->legs[i];
		struct audience *own_before[SRTP_N_PROTOCOLS];
		memcpy(own_before, leg->own, sizeof(own_before));
		leg_build_own(sessions, session, leg);
		publish_leg(sessions, session, leg);
		for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
			audience_end(own_before[protocol], sessions->retire);
	}
	for (unsigned kind = 0; kind < AUDIENCE_N; kind++)
		audience_end(before[kind], sessions->retire);
}

// A key that its legs name has changed.
void session_follow_key(struct key_owner *owner)
{
	struct session *session = container_of(owner, struct session, owner);
	session_rebuild(session->sessions, session);
}

// Another leg may have got the address in the same change.
static void udp_map_unset(_Atomic uint32_t *legs, const struct endpoint *at, uint32_t leg)
{
	uint32_t mine = leg + 1;
	atomic_compare_exchange_strong(&legs[ntohs(at->port)], &mine, 0);
}

static void leg_clear_group(const struct session_leg *leg)
{
	if (leg->group)
		udp_map_unset(leg->group->legs, &leg->spec.remote, leg->index);
}

// First, before anything that it leads to is retired: no worker finds the leg any more.
void leg_unpublish(struct sessions *sessions, struct session_leg *leg)
{
	udp_map_unset(leg->address->legs, &leg->spec.local, leg->index);
	leg_clear_group(leg);
	leg->published = atomic_exchange_explicit(
		&sessions->relay->legs.legs[leg->index], NULL, memory_order_acq_rel);
	sessions->by_leg[leg->index] = NULL;
}

void leg_unpublish_replaced(const struct session_leg *before, const struct session_leg *now)
{
	if (before->address != now->address || before->spec.local.port != now->spec.local.port)
		udp_map_unset(before->address->legs, &before->spec.local, before->index);
	if (before->group != now->group || before->spec.remote.port != now->spec.remote.port)
		leg_clear_group(before);
}

static void release_groups(void *table, uint32_t index)
{
	(void)index;
	multicast_table_free(table);
}

// Workers find the groups that legs joined, and no more those that none is in: after no leg array
// of these leads anywhere.
void groups_publish(struct sessions *sessions)
{
	for (unsigned i = 0; i < sessions->relay->n_ports; i++) {
		struct multicast_table *before = multicast_publish(sessions->relay, (uint8_t)i);
		if (before)
			retire_later(sessions->retire, release_groups, before, 0);
	}
}
