// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/leg_check.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/relay_tables.h"
#include "host/multicast.h"
#include "session/leg_claims.h"
#include "session/leg_fail.h"
#include "session/session_spec.h"
#include "session/session_store.h"

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

// The leg in a slot of a UDP map; NULL: none.
static const struct session_leg *leg_of_slot(const struct sessions *sessions, uint32_t slot)
{
	return slot == 0 ? NULL : session_leg_at(sessions, slot - 1);
}

// Whether a leg stays as it is while others of its session are stated; NULL: all are.
static bool leg_stays(const struct session_leg *leg, const struct leg_claims *restated)
{
	return restated && !leg_claims_find(restated, leg->spec.id);
}

// Its address must be free, or the session's own.
void leg_check_local(struct sessions *sessions, const struct session *session,
	const struct leg_claims *restated, const struct leg_spec *leg, const char *path,
	struct rpc_error *error)
{
	const struct port *port = &sessions->relay->ports[leg->port];
	const struct port_address *address = port_find_address(port, &leg->local);
	if (!address) {
		char accepted[LIST_SIZE];
		addresses_join(port, AF_UNSPEC, accepted);
		leg_fail(error, RPC_INVALID_PARAMS, path, leg, "local",
			"is no address of port %s; accepted: %s", port->name, accepted);
		return;
	}
	const struct session_leg *user =
		leg_of_slot(sessions, atomic_load(&address->legs[ntohs(leg->local.port)]));
	if ((user && user->session != session) ||
		leg_claims_have_local(leg_claims_of_others(sessions, session), leg))
		leg_fail(error, RPC_CONFLICT, path, leg, "local",
			"is used by another session; accepted: an address and UDP port of no leg");
	else if (user && leg_stays(user, restated))
		leg_fail(error, RPC_CONFLICT, path, leg, "local", LOCAL_TWICE);
}

// Nor may another session receive from the leg's group and port.
void leg_check_group(struct sessions *sessions, const struct session *session,
	const struct leg_claims *restated, const struct leg_spec *leg, const char *path,
	struct rpc_error *error)
{
	if (!leg_spec_joins(leg))
		return;
	const struct multicast_group *group =
		multicast_member(&sessions->relay->multicast[leg->port], &leg->remote);
	const struct session_leg *user = leg_of_slot(
		sessions, group ? atomic_load(&group->legs[ntohs(leg->remote.port)]) : 0);
	if ((user && user->session != session) ||
		leg_claims_have_received(leg_claims_of_others(sessions, session), leg))
		leg_fail(error, RPC_CONFLICT, path, leg, "remote",
			"is a group that another session receives from on this port; accepted: "
			"another group or UDP port");
	else if (user && leg_stays(user, restated))
		leg_fail(error, RPC_CONFLICT, path, leg, "remote", GROUP_TWICE);
}

static void fail_unreachable(const struct port *port, const struct leg_spec *leg, const char *path,
	struct rpc_error *error)
{
	char links[LIST_SIZE];
	addresses_join(port, (uint8_t)leg->remote.family, links);
	leg_fail(error, RPC_INVALID_PARAMS, path, leg, "remote",
		"cannot be reached from port %s, which has no %s; accepted: what is on the links "
		"of %s",
		port->name, leg->remote.family == AF_INET ? "gateway" : "gateway6",
		links[0] != '\0' ? links : "nothing");
}

void leg_check_remote(struct sessions *sessions, const struct leg_spec *leg, const char *path,
	struct rpc_error *error)
{
	const struct port *port = &sessions->relay->ports[leg->port];
	if (leg->remote.family == AF_UNSPEC)
		return;
	if (!endpoint_is_multicast(&leg->remote) && !port_address_is_hosts(port, &leg->remote))
		leg_fail(error, RPC_INVALID_PARAMS, path, leg, "remote",
			"is no host's; accepted: the address of a host that is not the relay, or a "
			"multicast group");
	else if (port_next_hop(port, &leg->remote).family == AF_UNSPEC)
		fail_unreachable(port, leg, path, error);
}

void leg_check_source(struct sessions *sessions, const struct leg_spec *leg, const char *path,
	struct rpc_error *error)
{
	const struct port *port = &sessions->relay->ports[leg->port];
	if (leg->source.family != AF_UNSPEC && !port_address_is_hosts(port, &leg->source))
		leg_fail(error, RPC_INVALID_PARAMS, path, leg, "source",
			"is no host's; accepted: the address of a host that is not the relay");
}
