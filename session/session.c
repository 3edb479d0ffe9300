// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_cycles.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/secmem.h"
#include "dataplane/relay_tables.h"
#include "dataplane/retire.h"
#include "dataplane/worker.h"
#include "event/notice.h"
#include "host/multicast.h"
#include "host/neighbour.h"
#include "key/key_domain.h"
#include "key/key_slot.h"
#include "key/keystore.h"
#include "key/users.h"

enum { LEARN_MS = 100 }; // between two moves of a leg's remote address

int sessions_init(
	struct sessions *sessions, struct keystore *keys, uint32_t max_sessions, uint32_t max_legs)
{
	*sessions = (struct sessions){
		.relay = keys->relay,
		.keys = keys,
		.retire = keys->retire,
		.users = keys->users,
		.notices = keys->notices,
		.max_sessions = max_sessions,
		.max_legs = max_legs,
		.by_id = map_new(),
	};
	sessions->by_leg = secmem_map(max_legs * sizeof(*sessions->by_leg));
	sessions->positions = secmem_map(max_legs * sizeof(*sessions->positions));
	sessions->free_legs = secmem_map(max_legs * sizeof(*sessions->free_legs));
	sessions->watches = secmem_map(max_legs * sizeof(*sessions->watches));
	return sessions->by_id && sessions->by_leg && sessions->positions && sessions->free_legs &&
			       sessions->watches
		       ? 0
		       : -ENOMEM;
}

void sessions_fini(struct sessions *sessions)
{
	struct map_cursor cursor = {0};
	struct session *session;
	while ((session = map_next(sessions->by_id, &cursor)) != NULL)
		session_remove(sessions, session);
	retire_all(sessions->retire);
	map_free(sessions->by_id);
	secmem_unmap(sessions->by_leg, sessions->max_legs * sizeof(*sessions->by_leg));
	secmem_unmap(sessions->positions, sessions->max_legs * sizeof(*sessions->positions));
	secmem_unmap(sessions->free_legs, sessions->max_legs * sizeof(*sessions->free_legs));
	secmem_unmap(sessions->watches, sessions->max_legs * sizeof(*sessions->watches));
}

struct session *session_find(const struct sessions *sessions, const char *id)
{
	return map_get(sessions->by_id, id, strlen(id));
}

// --- publishing
// -----------------------------------------------------------------------------------------------

static void release_memory(void *what, uint32_t index)
{
	(void)index;
	free(what);
}

static void retire_memory(struct sessions *sessions, void *what)
{
	if (what)
		retire_later(sessions->retire, release_memory, what, 0);
}

static void address_lead_to(_Atomic uint32_t *legs, const struct endpoint *at, uint32_t leg)
{
	atomic_store_explicit(&legs[ntohs(at->port)], leg + 1, memory_order_release);
}

static void publish_leg(
	struct sessions *sessions, const struct session *session, const struct session_leg *leg)
{
	struct leg *built = leg_build(sessions->keys, session, leg);
	struct leg *before = atomic_exchange_explicit(
		&sessions->relay->legs.legs[leg->index], built, memory_order_acq_rel);
	address_lead_to(leg->address->legs, &leg->spec.local, leg->index);
	if (leg->group)
		address_lead_to(leg->group->legs, &leg->spec.remote, leg->index);
	retire_memory(sessions, before);
}

// A leg's own fan-outs, if it names its receivers.
static void leg_build_own(
	struct sessions *sessions, const struct session *session, struct session_leg *leg)
{
	unsigned rtcp = leg->spec.control ? FANOUT_CONTROL : FANOUT_RTCP;
	unsigned kinds[SRTP_N_PROTOCOLS] = {FANOUT_RTP, rtcp};
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
		leg->own[protocol] = leg->spec.has_to ? fanout_build(sessions->keys, session,
								kinds[protocol], &leg->spec)
						      : NULL;
}

// What was published before is retired only when nothing published leads to it any more.
void session_rebuild(struct sessions *sessions, struct session *session)
{
	struct fanout *before[FANOUT_N];
	memcpy(before, session->fanouts, sizeof(before));
	for (unsigned kind = 0; kind < FANOUT_N; kind++)
		session->fanouts[kind] = fanout_build(sessions->keys, session, kind, NULL);
	for (uint32_t i = 0; i < session->n_legs; i++) {
		struct session_leg *leg = &session->legs[i];
		struct fanout *own_before[SRTP_N_PROTOCOLS];
		memcpy(own_before, leg->own, sizeof(own_before));
		leg_build_own(sessions, session, leg);
		publish_leg(sessions, session, leg);
		for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
			retire_memory(sessions, own_before[protocol]);
	}
	for (unsigned kind = 0; kind < FANOUT_N; kind++)
		retire_memory(sessions, before[kind]);
}

// A key that its legs name has changed.
static void session_follow_key(struct key_owner *owner)
{
	struct session *session = container_of(owner, struct session, owner);
	session_rebuild(session->sessions, session);
}

// --- legs in and out
// ------------------------------------------------------------------------------------------

static uint32_t leg_index_take(struct sessions *sessions, struct session *session)
{
	uint32_t index = sessions->n_free > 0 ? sessions->free_legs[--sessions->n_free]
					      : sessions->n_touched++;
	sessions->by_leg[index] = session;
	sessions->watches[index] = (struct leg_watch){};
	sessions->n_legs++;
	return index;
}

// Last step of a leg's end: its index and counters can be used again.
static void leg_index_release(void *arg, uint32_t index)
{
	struct sessions *sessions = arg;
	stream_free_siblings(&sessions->relay->streams, &sessions->relay->legs.streams[index]);
	for (unsigned w = 0; w < sessions->relay->n_workers; w++)
		memset(&sessions->relay->workers[w]->legs[index], 0, sizeof(struct leg_counters));
	sessions->free_legs[sessions->n_free++] = index;
	sessions->n_legs--;
}

// No worker sees the leg any more: no plain stream of it is born.
static void leg_release(void *arg, uint32_t index)
{
	struct sessions *sessions = arg;
	stream_unlink_siblings(&sessions->relay->streams, &sessions->relay->legs.streams[index]);
	retire_later(sessions->retire, leg_index_release, sessions, index);
}

static struct key_use **leg_bind_keys(struct sessions *sessions, struct session *session,
	const struct protection_spec *protection)
{
	if (!protection->has_key)
		return NULL;
	struct key_use **uses = alloc_zero(1 + protection->n_accept, sizeof(struct key_use *));
	uses[0] =
		key_use(sessions->keys, protection->key.scope, protection->key.id, &session->owner);
	for (uint32_t i = 0; i < protection->n_accept; i++)
		uses[1 + i] = key_use(sessions->keys, protection->accept[i].scope,
			protection->accept[i].id, &session->owner);
	return uses;
}

// Takes what a leg uses, apart from its index.
static void leg_bind(struct sessions *sessions, struct session *session, struct session_leg *leg)
{
	const struct leg_spec *spec = &leg->spec;
	leg->address = port_find_address(&sessions->relay->ports[spec->port], &spec->local);
	leg->group = leg_spec_joins(spec)
			     ? multicast_join(sessions->relay, spec->port, &spec->remote)
			     : NULL;
	leg->neighbour = NEIGHBOUR_NONE;
	if (spec->remote.family != AF_UNSPEC) {
		struct endpoint hop =
			port_next_hop(&sessions->relay->ports[spec->port], &spec->remote);
		leg->neighbour = neighbour_take(sessions->relay, spec->port, &hop);
	}
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
		const struct protection_spec *protection = &spec->protection[protocol];
		leg->users[protocol] = user_take(sessions->users, protection->user);
		leg->keys[protocol] = leg_bind_keys(sessions, session, protection);
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
static void leg_unbind(struct sessions *sessions, struct session_leg *leg)
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

// Another leg may have got the address in the same change.
static void address_clear(_Atomic uint32_t *legs, const struct endpoint *at, uint32_t leg)
{
	uint32_t mine = leg + 1;
	atomic_compare_exchange_strong(&legs[ntohs(at->port)], &mine, 0);
}

static void leg_clear_group(const struct session_leg *leg)
{
	if (leg->group)
		address_clear(leg->group->legs, &leg->spec.remote, leg->index);
}

// First, before anything that it leads to is retired: no worker finds the leg any more.
static void leg_unpublish(struct sessions *sessions, struct session_leg *leg)
{
	address_clear(leg->address->legs, &leg->spec.local, leg->index);
	leg_clear_group(leg);
	leg->published = atomic_exchange_explicit(
		&sessions->relay->legs.legs[leg->index], NULL, memory_order_acq_rel);
	sessions->by_leg[leg->index] = NULL;
}

static void leg_leave(struct sessions *sessions, struct session_leg *leg)
{
	retire_memory(sessions, leg->published);
	retire_later(sessions->retire, leg_release, sessions, leg->index);
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
		retire_memory(sessions, leg->own[protocol]);
	leg_unbind(sessions, leg);
	free(leg->streams);
	leg_spec_free(&leg->spec);
}

// Legs by id. Values are the legs' own.
static struct map *legs_by_id(struct session_leg *legs, uint32_t n)
{
	struct map *by_id = map_new();
	for (uint32_t i = 0; i < n; i++)
		if (!by_id || map_put(by_id, legs[i].spec.id, strlen(legs[i].spec.id), &legs[i],
				      NULL) != 0)
			abort();
	return by_id;
}

// Gives back what a leg used before it was bound anew.
static void leg_replaced(
	struct sessions *sessions, struct session_leg *before, const struct session_leg *now)
{
	if (before->address != now->address || before->spec.local.port != now->spec.local.port)
		address_clear(before->address->legs, &before->spec.local, before->index);
	if (before->group != now->group || before->spec.remote.port != now->spec.remote.port)
		leg_clear_group(before);
	leg_unbind(sessions, before);
	leg_spec_free(&before->spec);
}

static void release_groups(void *table, uint32_t index)
{
	(void)index;
	multicast_table_free(table);
}

// Workers find the groups that legs joined, and no more those that none is in: after no leg array
// of these leads anywhere.
static void groups_publish(struct sessions *sessions)
{
	for (unsigned i = 0; i < sessions->relay->n_ports; i++) {
		struct multicast_table *before = multicast_publish(sessions->relay, (uint8_t)i);
		if (before)
			retire_later(sessions->retire, release_groups, before, 0);
	}
}

// Replaces the session's legs by those of specs, which are taken. Legs of the same id keep their
// index, and with it their streams and counters.
static void session_set_legs(
	struct sessions *sessions, struct session *session, struct leg_spec *specs, uint32_t n)
{
	struct session_leg *before = session->legs, *legs = alloc_zero(n, sizeof(*legs));
	struct session_leg **same = alloc_zero(n, sizeof(struct session_leg *));
	struct map *gone = legs_by_id(before, session->n_legs);
	for (uint32_t i = 0; i < n; i++) {
		same[i] = map_remove(gone, specs[i].id, strlen(specs[i].id));
		if (same[i])
			legs[i] = *same[i];
		else {
			legs[i].index = leg_index_take(sessions, session);
			legs[i].serial = ++sessions->next_serial;
		}
		legs[i].spec = specs[i];
		specs[i] = (struct leg_spec){};
		sessions->positions[legs[i].index] = i;
		leg_bind(sessions, session, &legs[i]);
	}
	session->legs = legs;
	session->n_legs = n;
	struct map_cursor cursor = {0};
	struct session_leg *leaver;
	while ((leaver = map_next(gone, &cursor)) != NULL)
		leg_unpublish(sessions, leaver);
	session_rebuild(sessions, session);
	for (uint32_t i = 0; i < n; i++)
		if (same[i])
			leg_replaced(sessions, same[i], &legs[i]);
	cursor = (struct map_cursor){0};
	while ((leaver = map_next(gone, &cursor)) != NULL)
		leg_leave(sessions, leaver);
	groups_publish(sessions);
	map_free(gone);
	free(same);
	free(before);
}

// --- apply
// ----------------------------------------------------------------------------------------------------

static bool key_ids_have(const struct session_spec *spec, uint32_t id)
{
	for (uint32_t k = 0; k < spec->n_keys; k++)
		if (spec->keys[k].id == id)
			return true;
	return false;
}

// Installs the session's own keys, and removes those it had before and no longer has.
static void session_set_keys(
	struct sessions *sessions, struct session *session, struct session_spec *spec)
{
	uint32_t *before = session->key_ids, n_before = session->n_keys;
	session->key_ids = alloc_zero(spec->n_keys, sizeof(uint32_t));
	session->n_keys = spec->n_keys;
	for (uint32_t i = 0; i < spec->n_keys; i++) {
		session->key_ids[i] = spec->keys[i].id;
		key_install(sessions->keys, session->scope, &spec->keys[i]);
	}
	for (uint32_t i = 0; i < n_before; i++)
		if (!key_ids_have(spec, before[i]))
			key_remove(sessions->keys, session->scope, before[i]);
	free(before);
}

static void session_free(struct session *session)
{
	session_spec_free(&session->spec);
	free(session->key_ids);
	free(session->legs);
	free(session->rate);
	free(session);
}

static void sessions_count(struct sessions *sessions, const struct session *session, int change)
{
	sessions->n_by_type[session->spec.service][session->spec.type] += (uint32_t)change;
	if (session->silent)
		sessions->n_silent += (uint32_t)change;
}

bool session_apply(struct sessions *sessions, struct session_spec *spec, const char *path,
	bool *created, struct rpc_error *error)
{
	struct session *session = session_find(sessions, spec->id);
	struct session *fresh = NULL;
	*created = !session;
	if (!session) {
		fresh = alloc_zero(1, sizeof(*fresh));
		fresh->owner.changed = session_follow_key;
		fresh->sessions = sessions;
		fresh->heard_tsc = rte_rdtsc();
		fresh->scope = keystore_session_scope(sessions->keys);
	}
	struct session *target = session ? session : fresh;
	if (!session_check_keys(sessions, target, spec, path, error) ||
		!session_check(sessions, target, spec, path, error)) {
		if (fresh)
			keystore_session_scope_release(sessions->keys, fresh->scope);
		free(fresh);
		return false;
	}
	if (fresh && map_put(sessions->by_id, spec->id, strlen(spec->id), fresh, NULL) != 0)
		abort();
	if (session)
		sessions_count(sessions, session, -1);
	// The description changes first: legs and keys are rebuilt under it.
	free(target->spec.id);
	free(target->spec.domain);
	free(target->spec.group);
	target->spec = (struct session_spec){
		.id = spec->id,
		.domain = spec->domain,
		.group = spec->group,
		.service = spec->service,
		.type = spec->type,
		.timeout = spec->timeout,
	};
	target->owner.id = spec->id;
	spec->id = NULL;
	spec->domain = NULL;
	spec->group = NULL;
	sessions_count(sessions, target, +1);
	session_set_keys(sessions, target, spec);
	session_set_legs(sessions, target, spec->legs, spec->n_legs);
	return true;
}

// A spec with all legs of the session as they are.
static struct session_spec session_copy_legs(const struct session *session, uint32_t n_more)
{
	struct session_spec spec = session->spec;
	spec.keys = secmem_malloc(session->n_keys * sizeof(*spec.keys) + 1);
	if (!spec.keys)
		abort();
	spec.n_keys = session->n_keys;
	for (uint32_t i = 0; i < session->n_keys; i++)
		spec.keys[i] = (struct key_spec){.id = session->key_ids[i]};
	spec.legs = alloc_zero(session->n_legs + n_more, sizeof(*spec.legs));
	spec.n_legs = session->n_legs;
	for (uint32_t i = 0; i < session->n_legs; i++) {
		spec.legs[i] = leg_spec_copy(&session->legs[i].spec);
		spec.legs[i].stays = true;
	}
	return spec;
}

static void session_copy_free(struct session_spec *spec)
{
	spec->id = spec->domain = spec->group = NULL;
	session_spec_free(spec);
}

// In place of the leg of the same id, or behind the others. by_id has the legs that were there
// before.
static void copy_put_leg(struct session_spec *spec, const struct map *by_id, struct leg_spec *leg)
{
	struct leg_spec *place = map_get(by_id, leg->id, strlen(leg->id));
	if (place)
		leg_spec_free(place);
	else
		place = &spec->legs[spec->n_legs++];
	*place = *leg;
	*leg = (struct leg_spec){};
}

bool session_apply_legs(struct sessions *sessions, struct session *session, struct leg_spec *legs,
	uint32_t n, const char *path, struct rpc_error *error)
{
	if (!leg_specs_check_ids(legs, n, path, error))
		return false;
	struct session_spec spec = session_copy_legs(session, n);
	struct map *by_id = leg_specs_by_id(spec.legs, spec.n_legs);
	for (uint32_t i = 0; i < n; i++)
		copy_put_leg(&spec, by_id, &legs[i]);
	map_free(by_id);
	bool ok = session_check(sessions, session, &spec, path, error);
	if (ok)
		session_set_legs(sessions, session, spec.legs, spec.n_legs);
	session_copy_free(&spec);
	return ok;
}

// Who named the leg in `to` sends to the others it named; to nobody if there are none.
static void copy_drop_leg(struct session_spec *spec, uint32_t leg)
{
	struct leg_spec gone = spec->legs[leg];
	memmove(&spec->legs[leg], &spec->legs[leg + 1], (--spec->n_legs - leg) * sizeof(gone));
	for (uint32_t i = 0; i < spec->n_legs; i++) {
		struct leg_spec *other = &spec->legs[i];
		for (uint32_t t = other->n_to; t-- > 0;) {
			if (strcmp(other->to[t], gone.id) != 0)
				continue;
			free(other->to[t]);
			other->to[t] = other->to[--other->n_to];
		}
	}
	leg_spec_free(&gone);
}

bool session_remove_legs(struct sessions *sessions, struct session *session, const json_t *ids,
	const char *path, uint32_t *removed, struct rpc_error *error)
{
	struct session_spec spec = session_copy_legs(session, 0);
	size_t i;
	json_t *item;
	*removed = 0;
	json_array_foreach ((json_t *)(uintptr_t)ids, i, item) {
		const char *id = json_string_value(item);
		char full[128];
		snprintf(full, sizeof(full), "%s[%zu]", path, i);
		if (!id) {
			rpc_fail(error, RPC_INVALID_PARAMS, full,
				"is no leg id; accepted: a string");
			break;
		}
		uint32_t l = 0;
		while (l < spec.n_legs && strcmp(spec.legs[l].id, id) != 0)
			l++;
		if (l == spec.n_legs) {
			rpc_fail(error, RPC_NOT_FOUND, full,
				"is no leg of the session; accepted: ids that session.get shows");
			break;
		}
		copy_drop_leg(&spec, l);
		++*removed;
	}
	bool ok = error->code == RPC_OK;
	if (ok)
		session_set_legs(sessions, session, spec.legs, spec.n_legs);
	session_copy_free(&spec);
	return ok;
}

void session_remove(struct sessions *sessions, struct session *session)
{
	session_set_legs(sessions, session, NULL, 0);
	for (uint32_t i = 0; i < session->n_keys; i++)
		key_remove(sessions->keys, session->scope, session->key_ids[i]);
	keystore_session_scope_release(sessions->keys, session->scope);
	for (unsigned kind = 0; kind < FANOUT_N; kind++)
		retire_memory(sessions, session->fanouts[kind]);
	map_remove(sessions->by_id, session->spec.id, strlen(session->spec.id));
	sessions_count(sessions, session, -1);
	session_free(session);
}

// --- what workers tell
// ----------------------------------------------------------------------------------------

struct session_leg *session_leg_at(
	const struct sessions *sessions, uint32_t index, struct session **session)
{
	*session = sessions->by_leg[index];
	return *session ? &(*session)->legs[sessions->positions[index]] : NULL;
}

// The leg that a worker speaks of, if it still is the one that the worker saw.
static struct session_leg *session_leg_by_index(
	const struct sessions *sessions, uint32_t index, uint32_t serial, struct session **session)
{
	struct session_leg *leg = session_leg_at(sessions, index, session);
	return leg && leg->serial == serial ? leg : NULL;
}

// Whether media can be sent to an address that a packet claims to come from.
static bool address_learnable(
	const struct sessions *sessions, const struct session_leg *leg, const struct endpoint *addr)
{
	const struct port *port = &sessions->relay->ports[leg->spec.port];
	return addr->port != 0 && port_address_is_hosts(port, addr) &&
	       port_next_hop(port, addr).family != AF_UNSPEC;
}

void session_learn(
	struct sessions *sessions, uint32_t index, uint32_t serial, const struct endpoint *addr)
{
	struct session *session;
	struct session_leg *leg = session_leg_by_index(sessions, index, serial, &session);
	uint64_t now_ms = clock_now_ms();
	if (!leg || !leg->spec.learn || endpoint_equal(&leg->spec.remote, addr) ||
		!address_learnable(sessions, leg, addr) || now_ms - leg->learned_ms < LEARN_MS)
		return; // if it is only too early the next packet says so again
	leg->learned_ms = now_ms;
	struct session_leg before = *leg;
	leg->spec.remote = *addr;
	leg_bind(sessions, session, leg);
	session_rebuild(sessions, session);
	leg_unbind(sessions, &before);
	struct notice learned = {.type = NOTICE_LEG_LEARNED,
		.session = session->spec.id,
		.leg = leg->spec.id,
		.address = &leg->spec.remote};
	notice(sessions->notices, &learned);
}

void session_note_stream(
	struct sessions *sessions, uint32_t index, uint32_t serial, uint32_t stream)
{
	struct session *session;
	struct session_leg *found = session_leg_by_index(sessions, index, serial, &session);
	if (!found)
		return;
	for (uint32_t i = 0; i < found->n_streams; i++)
		if (found->streams[i] == stream)
			return;
	if (found->n_streams == found->streams_size) {
		found->streams_size = found->streams_size ? found->streams_size * 2 : 4;
		found->streams =
			alloc_resize(found->streams, found->streams_size, sizeof(*found->streams));
	}
	found->streams[found->n_streams++] = stream;
}
