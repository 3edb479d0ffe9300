// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"
#include "dataplane/relay_tables.h"
#include "dataplane/retire.h"
#include "host/multicast.h"
#include "key/key_domain.h"
#include "key/key_ring.h"
#include "key/key_slot.h"
#include "key/keystore.h"
#include "session/session.h"

// Whether a session can be what a client states. Everything is looked at before anything changes.

// ---------------------------------------------------------------------------------------------------

__attribute__((format(printf, 6, 7))) static void fail_at(struct rpc_error *error,
	enum rpc_code code, const char *path, const struct leg_spec *leg, const char *member,
	const char *format, ...)
{
	char full[128], message[sizeof(error->message)];
	va_list args;
	snprintf(full, sizeof(full), "%s.legs[%u].%s", path, leg->position, member);
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	rpc_fail(error, code, full, "%s", message);
}

enum { LIST_SIZE = 256 }; // octets of a list of addresses in a message; a longer one is cut

// The port's addresses as "a, b", or those of a family with their prefix length.
static void addresses_join(const struct port *port, uint8_t family, char text[LIST_SIZE])
{
	size_t len = 0;
	text[0] = '\0';
	for (unsigned i = 0; i < port->n_addresses && len < LIST_SIZE; i++) {
		const struct port_address *address = &port->addresses[i];
		char host[INET6_ADDRSTRLEN], prefix[8] = "";
		if (family != AF_UNSPEC && address->addr.family != family)
			continue;
		if (family != AF_UNSPEC)
			snprintf(prefix, sizeof(prefix), "/%u", address->prefix_len);
		inet_ntop(address->addr.family, address->addr.addr, host, sizeof(host));
		len += (size_t)snprintf(
			text + len, LIST_SIZE - len, "%s%s%s", len > 0 ? ", " : "", host, prefix);
	}
	if (len >= LIST_SIZE)
		strcpy(text + LIST_SIZE - sizeof("..."), "...");
}

// Its address must be free, or the session's own.
static void check_local(struct sessions *sessions, const struct session *session,
	const struct leg_spec *leg, const char *path, struct rpc_error *error)
{
	const struct port *port = &sessions->relay->ports[leg->port];
	const struct port_address *address = port_find_address(port, &leg->local);
	if (!address) {
		char accepted[LIST_SIZE];
		addresses_join(port, AF_UNSPEC, accepted);
		fail_at(error, RPC_INVALID_PARAMS, path, leg, "local",
			"is no address of port %s; accepted: %s", port->name, accepted);
		return;
	}
	uint32_t user = atomic_load(&address->legs[ntohs(leg->local.port)]);
	if (user != 0 && sessions->by_leg[user - 1] != session)
		fail_at(error, RPC_CONFLICT, path, leg, "local",
			"is used by another session; accepted: an address and UDP port of no leg");
}

// Nor may another session receive from the leg's group and port.
static void check_group(struct sessions *sessions, const struct session *session,
	const struct leg_spec *leg, const char *path, struct rpc_error *error)
{
	if (!leg_spec_joins(leg))
		return;
	const struct multicast_group *group =
		multicast_member(&sessions->relay->multicast[leg->port], &leg->remote);
	uint32_t user = group ? atomic_load(&group->legs[ntohs(leg->remote.port)]) : 0;
	if (user != 0 && sessions->by_leg[user - 1] != session)
		fail_at(error, RPC_CONFLICT, path, leg, "remote",
			"is a group that another session receives from on this port; accepted: "
			"another group or UDP port");
}

static void fail_unreachable(const struct port *port, const struct leg_spec *leg, const char *path,
	struct rpc_error *error)
{
	char links[LIST_SIZE];
	addresses_join(port, (uint8_t)leg->remote.family, links);
	fail_at(error, RPC_INVALID_PARAMS, path, leg, "remote",
		"cannot be reached from port %s, which has no %s; accepted: what is on the links "
		"of %s",
		port->name, leg->remote.family == AF_INET ? "gateway" : "gateway6",
		links[0] != '\0' ? links : "nothing");
}

static void check_remote(struct sessions *sessions, const struct leg_spec *leg, const char *path,
	struct rpc_error *error)
{
	const struct port *port = &sessions->relay->ports[leg->port];
	if (leg->remote.family == AF_UNSPEC)
		return;
	if (!endpoint_is_multicast(&leg->remote) && !port_address_is_hosts(port, &leg->remote))
		fail_at(error, RPC_INVALID_PARAMS, path, leg, "remote",
			"is no host's; accepted: the address of a host that is not the relay, or a "
			"multicast group");
	else if (port_next_hop(port, &leg->remote).family == AF_UNSPEC)
		fail_unreachable(port, leg, path, error);
}

static uint32_t find_domain_key_scope(
	const struct sessions *sessions, const char *domain, uint32_t id)
{
	uint32_t scope = keystore_domain_find(sessions->keys, domain);
	const struct key_slot *key = scope ? keystore_find(sessions->keys, scope, id) : NULL;
	return key && key->installed ? scope : 0;
}

// Where a key is that a leg names: in the domain that it names, else among the session's own, else
// in the session's domain. 0: nowhere.
static uint32_t find_key_scope(const struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, const char *domain, uint32_t id)
{
	uint32_t scope = 0;
	if (domain)
		scope = find_domain_key_scope(sessions, domain, id);
	for (uint32_t k = 0; scope == 0 && k < spec->n_keys; k++)
		if (spec->keys[k].id == id)
			scope = session->scope;
	if (scope == 0 && !domain)
		scope = find_domain_key_scope(sessions, spec->domain, id);
	return scope;
}

// Says where the key was looked for. A domain that has no keys is not quoted: it may be one.
static void fail_key(struct sessions *sessions, const struct session_spec *spec,
	const struct leg_spec *leg, const char *domain, const struct key_ref *ref, const char *path,
	const char *member, struct rpc_error *error)
{
	const char *searched = domain ? domain : spec->domain;
	bool known = keystore_domain_find(sessions->keys, searched) != 0;
	fail_at(error, RPC_NOT_FOUND, path, leg, member,
		"%08x is no key of the session's own `keys`, nor installed in %s%s%s; accepted: an "
		"id that is",
		ref->id, known ? "domain \"" : "its domain, which has no keys",
		known ? searched : "", known ? "\"" : "");
}

// Finds one of the keys of a leg.
static void check_key_ref(struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, const struct leg_spec *leg, const char *domain,
	struct key_ref *ref, const char *path, const char *member, struct rpc_error *error)
{
	ref->scope = find_key_scope(sessions, session, spec, domain, ref->id);
	if (ref->scope == 0)
		fail_key(sessions, spec, leg, domain, ref, path, member, error);
}

// GMK and PCK protect media (TS 33.180 7.4), all others SRTCP only (9.4.6, E.4). RTCP that is muxed
// with media is under the media's key if no other is named.
static const char *purpose_objection(
	const struct leg_spec *leg, unsigned protocol, enum key_type type)
{
	bool for_media = type == KEY_GMK || type == KEY_PCK;
	if (protocol == SRTP_RTP && !leg->control && !for_media)
		return "protects SRTCP only; accepted for media: a gmk or pck";
	if (protocol == SRTP_RTCP && leg->control && for_media)
		return "protects media; accepted for control traffic: a csk, spk, mkfc, mscck or "
		       "musik";
	return NULL;
}

static bool uris_have(const json_t *uris, const char *uri)
{
	size_t i;
	json_t *item;
	json_array_foreach ((json_t *)(uintptr_t)uris, i, item)
		if (strcmp(json_string_value(item), uri) == 0)
			return true;
	return json_array_size(uris) == 0;
}

// Whether a key that a leg names is one of the session's group, as far as both are stated.
static bool key_fits_group(const struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, const struct key_ref *ref)
{
	if (!spec->group)
		return true;
	for (uint32_t k = 0; ref->scope == session->scope && k < spec->n_keys; k++)
		if (spec->keys[k].id == ref->id && spec->keys[k].groups)
			return uris_have(spec->keys[k].groups, spec->group);
	const struct key_slot *slot = keystore_find(sessions->keys, ref->scope, ref->id);
	return !slot || key_is_of_group(slot, spec->group);
}

// The suite in which a leg uses its key: its own, or the key's.
static enum srtp_suite protection_suite(const struct sessions *sessions,
	const struct session *session, const struct session_spec *spec,
	const struct protection_spec *protection)
{
	const struct key_ref *ref = &protection->key;
	if (protection->has_suite)
		return protection->profile.suite;
	// leg.apply knows the session's keys by id only; they are installed.
	for (uint32_t k = 0; ref->scope == session->scope && k < spec->n_keys; k++)
		if (spec->keys[k].id == ref->id && spec->keys[k].secret.value_len > 0)
			return spec->keys[k].profile.suite;
	const struct key_slot *key = keystore_find(sessions->keys, ref->scope, ref->id);
	return key ? key->profile.suite : protection->profile.suite;
}

// The key that a leg names is what its traffic and the session need.
static void check_key_use(const struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, const struct leg_spec *leg, unsigned protocol,
	const char *path, const char *member, struct rpc_error *error)
{
	const struct protection_spec *protection = &leg->protection[protocol];
	enum key_type type = (enum key_type)(protection->key.id >> 28);
	char full[64];
	const char *objection = purpose_objection(leg, protocol, type);
	snprintf(full, sizeof(full), "%s.key", member);
	if (objection)
		fail_at(error, RPC_KEY_REFUSED, path, leg, full, "%s", objection);
	if (!key_fits_group(sessions, session, spec, &protection->key))
		fail_at(error, RPC_KEY_REFUSED, path, leg, full,
			"is for other groups than the session's `group`; accepted: a key whose "
			"`groups` have it");
	snprintf(full, sizeof(full), "%s.profile.roc_rate", member);
	if (protection->has_roc_rate && protection->profile.roc_rate != 0 &&
		!srtp_suite_is_aead(protection_suite(sessions, session, spec, protection)))
		fail_at(error, RPC_INVALID_PARAMS, path, leg, full,
			"is not 0; accepted: 0, mode 3 of RFC 4771 is for the suites of AES-GCM");
	snprintf(full, sizeof(full), "%s.role", member);
	if (type == KEY_PCK && protection->role == ROLE_NONE)
		fail_at(error, RPC_INVALID_PARAMS, path, leg, full,
			"is missing; accepted: \"initiator\" or \"receiver\", a pck has one key "
			"for each");
	for (uint32_t i = 0; i < protection->n_accept; i++) {
		snprintf(full, sizeof(full), "%s.accept[%u]", member, i);
		if (protection->accept[i].id >> 28 != type)
			fail_at(error, RPC_KEY_REFUSED, path, leg, full,
				"has another purpose tag than `key`; accepted: the same");
	}
}

// Finds the keys of a leg, and checks that they are for what it does with them.
static void check_protection(struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, struct leg_spec *leg, unsigned protocol, const char *path,
	struct rpc_error *error)
{
	bool same = protocol == SRTP_RTCP && leg->same_protection;
	const char *member = protocol == SRTP_RTP || same ? "protection" : "rtcp_protection";
	struct protection_spec *protection = &leg->protection[protocol];
	char full[64];
	if (!protection->has_key)
		return;
	snprintf(full, sizeof(full), "%s.key", member);
	check_key_ref(sessions, session, spec, leg, protection->domain, &protection->key, path,
		full, error);
	for (uint32_t i = 0; i < protection->n_accept; i++) {
		snprintf(full, sizeof(full), "%s.accept[%u]", member, i);
		check_key_ref(sessions, session, spec, leg, protection->domain,
			&protection->accept[i], path, full, error);
	}
	check_key_use(sessions, session, spec, leg, protocol, path, member, error);
}

// Leg specs by id. Values are the specs' own.
struct map *leg_specs_by_id(struct leg_spec *legs, uint32_t n)
{
	struct map *by_id = map_new();
	for (uint32_t i = 0; i < n; i++)
		if (!by_id || map_put(by_id, legs[i].id, strlen(legs[i].id), &legs[i], NULL) != 0)
			abort();
	return by_id;
}

static void check_to(const struct map *by_id, const struct leg_spec *leg, const char *path,
	struct rpc_error *error)
{
	for (uint32_t t = 0; t < leg->n_to; t++) {
		const struct leg_spec *named = map_get(by_id, leg->to[t], strlen(leg->to[t]));
		if (named && named != leg)
			continue;
		char member[32];
		snprintf(member, sizeof(member), "to[%u]", t);
		fail_at(error, RPC_NOT_FOUND, path, leg, member,
			"is no other leg of the session; accepted: ids of its other legs");
	}
}

static int compare_ids(const void *a, const void *b)
{
	return strcmp(
		(*(const struct leg_spec *const *)a)->id, (*(const struct leg_spec *const *)b)->id);
}

static int compare_locals(const void *a, const void *b)
{
	const struct leg_spec *x = *(const struct leg_spec *const *)a;
	const struct leg_spec *y = *(const struct leg_spec *const *)b;
	int order = (int)x->port - (int)y->port;
	if (order == 0)
		order = (int)x->local.port - (int)y->local.port;
	if (order == 0)
		order = (int)x->local.family - (int)y->local.family;
	return order ? order : memcmp(x->local.addr, y->local.addr, sizeof(x->local.addr));
}

// By port and group. Those that join none come first, and are all the same.
static int compare_groups(const void *a, const void *b)
{
	const struct leg_spec *x = *(const struct leg_spec *const *)a;
	const struct leg_spec *y = *(const struct leg_spec *const *)b;
	int order = (int)leg_spec_joins(x) - (int)leg_spec_joins(y);
	if (order != 0)
		return order;
	if (!leg_spec_joins(x))
		return 0;
	order = (int)x->port - (int)y->port;
	if (order == 0)
		order = (int)x->remote.family - (int)y->remote.family;
	return order ? order : memcmp(x->remote.addr, y->remote.addr, sizeof(x->remote.addr));
}

// By port, group and UDP port. Those that join none differ all.
static int compare_received(const void *a, const void *b)
{
	const struct leg_spec *x = *(const struct leg_spec *const *)a;
	const struct leg_spec *y = *(const struct leg_spec *const *)b;
	int order = compare_groups(a, b);
	if (order == 0 && leg_spec_joins(x))
		return (int)x->remote.port - (int)y->remote.port;
	return order == 0 ? (x > y) - (x < y) : order;
}

// No two legs of a session with one id or one local address.
static void check_unique(const struct leg_spec *legs, uint32_t n, const char *path,
	int (*compare)(const void *, const void *), const char *member, const char *message,
	struct rpc_error *error)
{
	const struct leg_spec **sorted = alloc_zero(n, sizeof(*sorted));
	for (uint32_t i = 0; i < n; i++)
		sorted[i] = &legs[i];
	qsort(sorted, n, sizeof(*sorted), compare);
	for (uint32_t i = 1; i < n; i++)
		if (compare(&sorted[i - 1], &sorted[i]) == 0) {
			const struct leg_spec *later =
				sorted[i] > sorted[i - 1] ? sorted[i] : sorted[i - 1];
			fail_at(error, RPC_CONFLICT, path, later, member, "%s", message);
		}
	free(sorted);
}

#define ID_TWICE "is the id of two legs; accepted: each id once"

bool leg_specs_check_ids(
	const struct leg_spec *legs, uint32_t n, const char *path, struct rpc_error *error)
{
	check_unique(legs, n, path, compare_ids, "id", ID_TWICE, error);
	return error->code == RPC_OK;
}

// Groups that need a key context for each talker: a packet carries a fixed number of them.
static void check_gmks(
	const struct leg_spec *legs, uint32_t n, const char *path, struct rpc_error *error)
{
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
		const struct protection_spec *seen[FANOUT_TALKER_GROUPS_MAX];
		uint32_t n_seen = 0;
		for (uint32_t i = 0; i < n && error->code == RPC_OK; i++) {
			const struct protection_spec *p = &legs[i].protection[protocol];
			if (p->mode != LEG_SRTP || !p->has_key || p->key.id >> 28 != KEY_GMK)
				continue;
			uint32_t s = 0;
			while (s < n_seen && (seen[s]->key.id != p->key.id ||
						     seen[s]->key.scope != p->key.scope ||
						     seen[s]->has_suite != p->has_suite ||
						     seen[s]->has_mki_len != p->has_mki_len ||
						     seen[s]->has_roc_rate != p->has_roc_rate ||
						     memcmp(&seen[s]->profile, &p->profile,
							     sizeof(p->profile)) != 0))
				s++;
			if (s < n_seen)
				continue;
			if (n_seen == FANOUT_TALKER_GROUPS_MAX)
				fail_at(error, RPC_LIMIT, path, &legs[i], "protection",
					"is the ninth way to use a gmk in the session; accepted: "
					"8");
			else
				seen[n_seen++] = p;
		}
	}
}

// What new legs need: a leg that leaves gives its index back only after those that come have
// theirs.
static void count_new(const struct session *session, const struct map *by_id, uint32_t n_legs,
	uint32_t *n_new, uint32_t *n_ctxs)
{
	struct map_cursor cursor = {0};
	const struct leg_spec *leg;
	uint32_t n_stay = 0;
	for (uint32_t i = 0; i < session->n_legs; i++) {
		const char *id = session->legs[i].spec.id;
		n_stay += map_get(by_id, id, strlen(id)) != NULL;
	}
	*n_new = n_legs - n_stay;
	*n_ctxs = 0; // two for a key, to receive and to send, one for each that is only accepted
	while (*n_new > 0 && (leg = map_next(by_id, &cursor)) != NULL)
		for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
			if (leg->protection[protocol].has_key &&
				leg->protection[protocol].key.id >> 28 != KEY_GMK)
				*n_ctxs += 2 + leg->protection[protocol].n_accept;
}

static void check_limits(struct sessions *sessions, const struct session *session,
	const struct map *by_id, const struct session_spec *spec, const char *path,
	struct rpc_error *error)
{
	uint32_t n_new, n_ctxs;
	count_new(session, by_id, spec->n_legs, &n_new, &n_ctxs);
	// Those that have left count until no worker can reach them.
	if (sessions->n_legs + n_new > sessions->max_legs ||
		sessions->relay->keys.size - sessions->relay->keys.n_used < n_ctxs)
		retire_all(sessions->retire);
	if (spec->n_legs > SESSION_LEGS_MAX)
		rpc_fail(error, RPC_LIMIT, path, "has %u legs; accepted: %d", spec->n_legs,
			SESSION_LEGS_MAX);
	else if (sessions->n_legs + n_new > sessions->max_legs)
		rpc_fail(error, RPC_LIMIT, path,
			"needs %u legs more than are in use; accepted: up to %u in all, by "
			"limits.legs",
			n_new, sessions->max_legs);
	else if (sessions->relay->keys.size - sessions->relay->keys.n_used < n_ctxs)
		rpc_fail(error, RPC_LIMIT, path,
			"needs %u key contexts more than are in use; accepted: up to %u in all, by "
			"limits.keys",
			n_ctxs, sessions->relay->keys.size);
	else if (!session_find(sessions, spec->id) &&
		 map_count(sessions->by_id) >= sessions->max_sessions)
		rpc_fail(error, RPC_LIMIT, path,
			"is one session too many; accepted: %u, by limits.sessions",
			sessions->max_sessions);
}

// Groups that its legs join are within what a port can join. Those that it leaves count until the
// others are there.
static void check_group_limit(struct sessions *sessions, const struct session_spec *spec,
	const char *path, struct rpc_error *error)
{
	const struct leg_spec **sorted = alloc_zero(spec->n_legs, sizeof(*sorted));
	uint32_t n[PORT_MAX];
	for (unsigned port = 0; port < sessions->relay->n_ports; port++)
		n[port] = multicast_count(&sessions->relay->multicast[port]);
	for (uint32_t i = 0; i < spec->n_legs; i++)
		sorted[i] = &spec->legs[i];
	qsort(sorted, spec->n_legs, sizeof(*sorted), compare_groups);
	for (uint32_t i = 0; i < spec->n_legs && error->code == RPC_OK; i++) {
		const struct leg_spec *leg = sorted[i];
		bool same = i > 0 && compare_groups(&sorted[i - 1], &sorted[i]) == 0;
		if (same || !leg_spec_joins(leg) ||
			multicast_member(&sessions->relay->multicast[leg->port], &leg->remote))
			continue;
		if (++n[leg->port] > MULTICAST_GROUPS_MAX)
			fail_at(error, RPC_LIMIT, path, leg, "remote",
				"is one multicast group too many for the port; accepted: 1024");
	}
	free(sorted);
}

bool session_check(struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, const char *path, struct rpc_error *error)
{
	struct leg_spec *legs = spec->legs;
	struct map *by_id = leg_specs_by_id(legs, spec->n_legs);
	check_unique(legs, spec->n_legs, path, compare_ids, "id", ID_TWICE, error);
	check_unique(legs, spec->n_legs, path, compare_locals, "local",
		"is the local address of two legs; accepted: one leg for each address and port",
		error);
	check_unique(legs, spec->n_legs, path, compare_received, "remote",
		"is the multicast group and port that two legs receive from; accepted: one leg for "
		"each",
		error);
	if (error->code == RPC_OK)
		check_limits(sessions, session, by_id, spec, path, error);
	check_group_limit(sessions, spec, path, error);
	for (uint32_t i = 0; i < spec->n_legs && error->code == RPC_OK; i++) {
		check_to(by_id, &legs[i], path, error);
		if (legs[i].stays)
			continue; // what it names was found when it came
		check_local(sessions, session, &legs[i], path, error);
		check_remote(sessions, &legs[i], path, error);
		check_group(sessions, session, &legs[i], path, error);
		for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
			check_protection(sessions, session, spec, &legs[i], protocol, path, error);
	}
	check_gmks(legs, spec->n_legs, path, error);
	map_free(by_id);
	return error->code == RPC_OK;
}

bool session_check_keys(struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, const char *path, struct rpc_error *error)
{
	for (uint32_t i = 0; i < spec->n_keys && error->code == RPC_OK; i++) {
		char full[128];
		snprintf(full, sizeof(full), "%s.keys[%u]", path, i);
		for (uint32_t k = 0; k < i; k++)
			if (spec->keys[k].id == spec->keys[i].id)
				rpc_fail(error, RPC_INVALID_PARAMS, full,
					"has the id of another key; accepted: each id once");
		key_admit(sessions->keys, session->scope, &spec->keys[i], false, i, full, error);
	}
	return error->code == RPC_OK;
}
