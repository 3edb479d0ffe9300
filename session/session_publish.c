// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_publish.h"

#include <stdlib.h>
#include <string.h>

#include "dataplane/audience.h"
#include "dataplane/relay_tables.h"
#include "dataplane/retire.h"
#include "host/multicast.h"
#include "session/session_build.h"

static void release_memory(void *what, uint32_t index)
{
	(void)index;
	free(what);
}

// Has memory freed when no worker can reach it. NULL is ignored.
static void retire_memory(struct sessions *sessions, void *what)
{
	if (what)
		retire_later(sessions->retire, release_memory, what, 0);
}

// UDP port -> leg, of one address of a port or of one multicast group.
static void udp_map_set(_Atomic uint32_t *legs, const struct endpoint *at, uint32_t leg)
{
	atomic_store_explicit(&legs[ntohs(at->port)], leg + 1, memory_order_release);
}

void leg_publish(struct sessions *sessions, const struct session_leg *leg)
{
	struct leg *built = leg_build(sessions->keys, leg);
	struct leg *before = atomic_exchange_explicit(
		&sessions->relay->legs.legs[leg->index], built, memory_order_acq_rel);
	udp_map_set(leg->address->legs, &leg->spec.local, leg->index);
	if (leg->group)
		udp_map_set(leg->group->legs, &leg->spec.remote, leg->index);
	retire_memory(sessions, before);
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

// First, before anything that it refers to is retired: no worker finds the leg any more.
void leg_unpublish(struct sessions *sessions, struct session_leg *leg)
{
	udp_map_unset(leg->address->legs, &leg->spec.local, leg->index);
	leg_clear_group(leg);
	struct leg *published = atomic_exchange_explicit(
		&sessions->relay->legs.legs[leg->index], NULL, memory_order_acq_rel);
	sessions->by_leg[leg->index] = NULL;
	retire_memory(sessions, published);
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

// Publishes the groups that legs joined and unpublishes those without members: after no leg array
// refers to the latter.
void groups_publish(struct sessions *sessions)
{
	for (unsigned i = 0; i < sessions->relay->n_ports; i++) {
		struct multicast_table *before = multicast_publish(sessions->relay, (uint8_t)i);
		if (before)
			retire_later(sessions->retire, release_groups, before, 0);
	}
}
