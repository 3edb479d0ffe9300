// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/leg_bind.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "dataplane/relay_tables.h"
#include "dataplane/retire.h"
#include "host/multicast.h"
#include "host/neighbour.h"
#include "key/key_slot.h"
#include "key/users.h"
#include "session/leg_path.h"
#include "session/session_spec.h"

static struct key_use **leg_bind_keys(struct sessions *sessions, struct session_leg *leg,
	const struct protection_spec *protection)
{
	if (!protection->has_key)
		return NULL;
	struct key_use **uses = alloc_zero(1 + protection->n_accept, sizeof(struct key_use *));
	struct key_owner *owner = &leg->session->owner;
	uses[0] = key_use(sessions->keys, protection->key.scope, protection->key.id, owner, leg);
	for (uint32_t i = 0; i < protection->n_accept; i++)
		uses[1 + i] = key_use(sessions->keys, protection->accept[i].scope,
			protection->accept[i].id, owner, leg);
	return uses;
}

// Takes what a leg uses, apart from its index.
void leg_bind(struct sessions *sessions, struct session_leg *leg)
{
	const struct leg_spec *spec = &leg->spec;
	leg->address = port_find_address(&sessions->relay->ports[spec->port], &spec->local);
	leg->group = leg_spec_joins(spec)
			     ? multicast_join(sessions->relay, spec->port, &spec->remote)
			     : NULL;
	leg->neighbour = NEIGHBOUR_NONE;
	if (leg->remote.family != AF_UNSPEC) {
		struct endpoint hop =
			port_next_hop(&sessions->relay->ports[spec->port], &leg->remote);
		leg->neighbour = neighbour_take(sessions->relay, spec->port, &hop);
	}
	leg->mtu = leg_path_mtu(sessions, leg);
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
		const struct protection_spec *protection = &spec->protection[protocol];
		leg->users[protocol] = user_take(sessions->users, protection->user);
		leg->keys[protocol] = leg_bind_keys(sessions, leg, protection);
	}
}

static void release_neighbour(void *relay, uint32_t neighbour)
{
	neighbour_release(relay, neighbour);
}

static void release_user(void *users, uint32_t user)
{
	user_release(users, user);
}

// Gives back what leg_bind() took, when no worker uses it any more.
void leg_unbind(struct sessions *sessions, struct session_leg *leg)
{
	if (leg->group)
		multicast_leave(sessions->relay, leg->spec.port, leg->group);
	if (leg->neighbour != NEIGHBOUR_NONE)
		retire_later(sessions->retire, release_neighbour, sessions->relay, leg->neighbour);
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
		if (leg->users[protocol] != USER_NONE)
			retire_later(sessions->retire, release_user, sessions->users,
				leg->users[protocol]);
		for (uint32_t i = 0;
			leg->keys[protocol] && i <= leg->spec.protection[protocol].n_accept; i++)
			key_unuse(sessions->keys, leg->keys[protocol][i]);
		free(leg->keys[protocol]);
	}
}
