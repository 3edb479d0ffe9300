// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/leg_local.h"

#include "dataplane/relay_tables.h"
#include "session/leg_check.h"
#include "session/leg_claims.h"
#include "session/leg_fail.h"
#include "session/session_legs.h"

// Restated, it keeps the port that it has.
void leg_local_keep(const struct session *session, struct leg_spec *leg)
{
	if (leg->local_form == LOCAL_STATED)
		return;
	const struct session_leg *there = session_leg_find(session, leg->id);
	if (!there || there->spec.port != leg->port ||
		there->spec.local.family != leg->local.family)
		return;
	if (leg->local_form == LOCAL_FAMILY || endpoint_same_addr(&there->spec.local, &leg->local))
		leg->local = there->spec.local;
}

// The next even port (RFC 3550 11) that no leg has. The one that was given back last is the last one
// to be used again: packets for the leg before may still come.
static bool address_pick(const struct port *port, struct port_address *address,
	const struct leg_claims *claims, const struct leg_claims *others, struct leg_spec *leg)
{
	uint32_t first = (port->udp_first + 1u) & ~1u;
	uint32_t n = first <= port->udp_last ? (port->udp_last - first) / 2 + 1 : 0;
	leg->local = address->addr;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = (address->pick + i) % n;
		leg->local.port = htons((uint16_t)(first + at * 2));
		if (atomic_load_explicit(&address->legs[first + at * 2], memory_order_relaxed) ||
			leg_claims_have_local(claims, leg) || leg_claims_have_local(others, leg))
			continue;
		address->pick = (at + 1) % n;
		return true;
	}
	return false;
}

// A host beyond the link is not reached from a link-local address.
static bool address_suits(const struct port_address *address, const struct leg_spec *leg)
{
	if (address->addr.family != leg->local.family)
		return false;
	if (leg->local_form == LOCAL_ADDRESS)
		return endpoint_same_addr(&address->addr, &leg->local);
	return !endpoint_is_link_local(&address->addr) || endpoint_is_link_local(&leg->remote);
}

// The address on the link of the leg's remote, if there is one: where the search begins.
static unsigned address_best(const struct port *port, const struct leg_spec *leg)
{
	const struct endpoint *best =
		leg->remote.family == AF_UNSPEC ? NULL : port_source_address(port, &leg->remote);
	for (unsigned i = 0; best && i < port->n_addresses; i++)
		if (best == &port->addresses[i].addr)
			return i;
	return 0;
}

// Why it could not be: the port has no such address, or none with a free port.
static void fail_pick(struct sessions *sessions, const struct session *session, bool suits,
	const struct leg_spec *leg, const char *path, struct rpc_error *error)
{
	const struct port *port = &sessions->relay->ports[leg->port];
	if (suits)
		leg_fail(error, RPC_LIMIT, path, leg, "local",
			"has no free even UDP port; accepted: %u to %u, by limits.ports",
			port->udp_first, port->udp_last);
	else if (leg->local_form == LOCAL_ADDRESS)
		leg_check_local(sessions, session, NULL, leg, path, error);
	else
		leg_fail(error, RPC_INVALID_PARAMS, path, leg, "local.family",
			"is %d, of which port %s has no address; accepted: %d",
			leg->local.family == AF_INET ? 4 : 6, port->name,
			leg->local.family == AF_INET ? 6 : 4);
}

void leg_local_pick(struct sessions *sessions, const struct session *session,
	struct leg_claims *claims, struct leg_spec *leg, const char *path, struct rpc_error *error)
{
	const struct port *port = &sessions->relay->ports[leg->port];
	const struct leg_claims *others = leg_claims_of_others(sessions, session);
	struct endpoint stated = leg->local;
	bool suits = false;
	for (unsigned i = 0; i < port->n_addresses; i++) {
		struct port_address *address =
			&port->addresses[(address_best(port, leg) + i) % port->n_addresses];
		if (!address_suits(address, leg))
			continue;
		suits = true;
		if (address_pick(port, address, claims, others, leg)) {
			leg_claim_local(claims, leg, path, error);
			return;
		}
		leg->local = stated;
	}
	fail_pick(sessions, session, suits, leg, path, error);
}
