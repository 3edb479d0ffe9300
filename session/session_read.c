// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/alloc.h"
#include "dataplane/relay_tables.h"
#include "key/key_read.h"
#include "key/users.h"
#include "server/reader.h"
#include "session/session_spec.h"

static bool id_read(struct reader *r, const char *name, const char **id)
{
	if (!reader_string(r, name, READER_REQUIRED, id))
		return false;
	size_t len = strlen(*id);
	if (len == 0 || len > SESSION_ID_MAX)
		reader_fail(r, RPC_INVALID_PARAMS, name, "has %zu octets; accepted: 1 to %d", len,
			SESSION_ID_MAX);
	return true;
}

static bool uri_read(struct reader *r, const char *name, const char **uri)
{
	if (!reader_string(r, name, READER_OPTIONAL, uri))
		return false;
	size_t len = strlen(*uri);
	if (len == 0 || len > USER_URI_MAX)
		reader_fail(r, RPC_INVALID_PARAMS, name, "has %zu octets; accepted: 1 to %d", len,
			USER_URI_MAX);
	return true;
}

// --- Protection

// A profile in which only what was stated counts.
static void protection_read_profile(struct reader *r, struct protection_spec *spec)
{
	enum key_type type = key_id_type(spec->key.id);
	spec->profile = key_profile_default(type);
	struct reader p;
	if (!reader_object(r, "profile", READER_OPTIONAL, &p))
		return;
	spec->has_suite = json_object_get(p.object, "suite");
	spec->has_mki_len = json_object_get(p.object, "mki_length");
	spec->has_roc_rate = json_object_get(p.object, "roc_rate");
	key_profile_read(r, "profile", type, &spec->profile);
}

static void protection_check(struct reader *r, const struct protection_spec *spec)
{
	if (spec->mode == LEG_SRTP && !spec->has_key)
		reader_fail(r, RPC_INVALID_PARAMS, "key",
			"is missing, and mode srtp needs it; accepted: the id of an installed key");
	if (!spec->has_key && spec->n_accept > 0)
		reader_fail(r, RPC_INVALID_PARAMS, "accept",
			"is for a leg with a key; accepted: ids of keys besides `key`");
	if (spec->mode == LEG_PLAIN && spec->has_key)
		reader_fail(r, RPC_INVALID_PARAMS, "key",
			"is for modes srtp and opaque, this is plain; accepted: no key");
	if (!spec->has_key && spec->has_roc)
		reader_fail(r, RPC_INVALID_PARAMS, "roc",
			"is for a leg with a key; accepted: a ROC that goes with `key`");
}

static void protection_read_accept(struct reader *r, struct protection_spec *spec)
{
	const json_t *array;
	if (!reader_array(r, "accept", READER_OPTIONAL, &array))
		return;
	if (json_array_size(array) > FANOUT_ACCEPT_MAX)
		reader_fail(r, RPC_INVALID_PARAMS, "accept", "has %zu keys; accepted: up to %d",
			json_array_size(array), FANOUT_ACCEPT_MAX);
	spec->accept = alloc_zero(json_array_size(array), sizeof(*spec->accept));
	for (size_t i = 0; i < json_array_size(array) && r->error->code == RPC_OK; i++) {
		char path[128];
		reader_element_path(r, "accept", i, path);
		if (key_id_of_json(json_array_get(array, i), path, &spec->accept[i].id, r->error))
			spec->n_accept++;
	}
}

static void protection_read_roc(struct reader *r, struct protection_spec *spec)
{
	uint64_t roc = 0;
	spec->has_roc = reader_uint(r, "roc", 0, UINT32_MAX, &roc);
	spec->roc = (uint32_t)roc;
}

static void protection_read(struct reader *r, struct protection_spec *spec)
{
	static const char *const modes[] = {"opaque", "plain", "srtp", NULL};
	static const char *const roles[] = {"initiator", "receiver", NULL};
	unsigned mode = LEG_OPAQUE;
	const char *domain = NULL, *user = NULL;
	spec->verify = true;
	spec->encrypt = true;
	reader_choice(r, "mode", READER_REQUIRED, modes, &mode);
	spec->mode = (uint8_t)mode;
	spec->has_key = key_id_read(r, "key", READER_OPTIONAL, &spec->key.id);
	protection_read_accept(r, spec);
	if (key_domain_read(r, &domain))
		spec->domain = alloc_string(domain);
	unsigned role;
	if (reader_choice(r, "role", READER_OPTIONAL, roles, &role))
		spec->role = role == 0 ? ROLE_INITIATOR : ROLE_RECEIVER;
	if (uri_read(r, "user", &user))
		spec->user = alloc_string(user);
	protection_read_profile(r, spec);
	protection_read_roc(r, spec);
	reader_bool(r, "verify", &spec->verify);
	reader_bool(r, "encrypt", &spec->encrypt);
	protection_check(r, spec);
	reader_skip(r, "key_state");
	reader_close(r);
}

static void leg_read_protections(struct reader *r, struct leg_spec *leg)
{
	struct reader p;
	if (reader_object(r, "protection", READER_REQUIRED, &p))
		protection_read(&p, &leg->protection[SRTP_RTP]);
	if (reader_object(r, "rtcp_protection", READER_OPTIONAL, &p)) {
		protection_read(&p, &leg->protection[SRTP_RTCP]);
	} else {
		leg->same_protection = true;
		leg->protection[SRTP_RTCP] = protection_copy(&leg->protection[SRTP_RTP]);
	}
}

// --- Leg

static void leg_read_port(const struct relay *relay, struct reader *r, uint8_t *port)
{
	const char *name;
	if (!reader_string(r, "port", READER_REQUIRED, &name))
		return;
	for (unsigned i = 0; i < relay->n_ports; i++) {
		if (strcmp(relay->ports[i].name, name) == 0) {
			*port = (uint8_t)i;
			return;
		}
	}
	char accepted[PORT_MAX * (PORT_NAME_MAX + 2)] = "";
	for (unsigned i = 0; i < relay->n_ports; i++) {
		strcat(accepted, i ? ", " : "");
		strcat(accepted, relay->ports[i].name);
	}
	reader_fail(
		r, RPC_INVALID_PARAMS, "port", "is no port of the relay; accepted: %s", accepted);
}

static void leg_read_peer(
	struct reader *r, const char *name, const struct leg_spec *leg, struct endpoint *peer)
{
	const char *text;
	if (!reader_string(r, name, READER_OPTIONAL, &text))
		return;
	if (!address_read(text, peer))
		reader_fail(r, RPC_INVALID_PARAMS, name,
			"is no address; accepted: \"192.0.2.1:5004\" or \"[2001:db8::1]:5004\"");
	else if (peer->family != leg->local.family)
		reader_fail(r, RPC_INVALID_PARAMS, name,
			"is of another address family than local; accepted: the same");
}

// {"port", "family"}: the relay picks the address as well.
static void leg_read_local_family(const struct relay *relay, struct reader *r, struct leg_spec *leg)
{
	struct reader l;
	uint64_t family = 0;
	uint8_t port = leg->port;
	if (!reader_object(r, "local", READER_REQUIRED, &l))
		return;
	leg_read_port(relay, &l, &port);
	if (port != leg->port)
		reader_fail(&l, RPC_INVALID_PARAMS, "port",
			"is another port than that of the leg; accepted: the same");
	if (!reader_uint(&l, "family", 0, UINT32_MAX, &family))
		reader_fail(&l, RPC_INVALID_PARAMS, "family", "is missing; accepted: 4 or 6");
	else if (family != 4 && family != 6)
		reader_fail(&l, RPC_INVALID_PARAMS, "family", "is %u; accepted: 4 or 6",
			(unsigned)family);
	leg->local_form = LOCAL_FAMILY;
	leg->local.family = family == 6 ? AF_INET6 : AF_INET;
	reader_close(&l);
}

static void leg_read_local(const struct relay *relay, struct reader *r, struct leg_spec *leg)
{
	const char *text;
	if (json_is_object(json_object_get(r->object, "local"))) {
		leg_read_local_family(relay, r, leg);
		return;
	}
	if (!reader_string(r, "local", READER_REQUIRED, &text) || address_read(text, &leg->local))
		return;
	if (address_read_host(text, &leg->local))
		leg->local_form = LOCAL_ADDRESS;
	else
		reader_fail(r, RPC_INVALID_PARAMS, "local",
			"is no address; accepted: \"192.0.2.1:5004\" or \"[2001:db8::1]:5004\", "
			"the "
			"same without port, or {\"port\": \"ran\", \"family\": 4}");
}

static void leg_read_addresses(const struct relay *relay, struct reader *r, struct leg_spec *leg)
{
	leg_read_local(relay, r, leg);
	leg_read_peer(r, "remote", leg, &leg->remote);
	leg_read_peer(r, "source", leg, &leg->source);
}

static void leg_read_to(struct reader *r, struct leg_spec *leg)
{
	const json_t *array;
	if (!reader_array(r, "to", READER_OPTIONAL, &array))
		return;
	leg->has_to = true;
	leg->to = alloc_zero(json_array_size(array), sizeof(*leg->to));
	size_t i;
	json_t *item;
	json_array_foreach ((json_t *)(uintptr_t)array, i, item) {
		char path[128];
		if (json_is_string(item)) {
			leg->to[leg->n_to++] = alloc_string(json_string_value(item));
			continue;
		}
		reader_element_path(r, "to", i, path);
		rpc_fail(r->error, RPC_INVALID_PARAMS, path, "is no leg id; accepted: a string");
	}
}

// Unauthenticated packets are taken from one address only, so there must be one.
static void leg_check_source(struct reader *r, const struct leg_spec *leg)
{
	const struct protection_spec *p = &leg->protection[leg->control ? SRTP_RTCP : SRTP_RTP];
	bool authenticated = p->has_key && p->verify;
	bool known = leg->remote.family != AF_UNSPEC || leg->source.family != AF_UNSPEC;
	if (leg->receive && !known && !authenticated)
		reader_fail(r, RPC_INVALID_PARAMS, "remote",
			"is missing; accepted: an address, or receive false: no key tells who "
			"sends on this leg");
}

// A group's address is fixed: it is not learned from packets.
static void leg_check_learn(struct reader *r, const struct leg_spec *leg)
{
	if (leg->learn && leg->remote.family != AF_UNSPEC && endpoint_is_multicast(&leg->remote))
		reader_fail(r, RPC_INVALID_PARAMS, "learn",
			"is \"authenticated\", and remote a multicast group; accepted: \"never\"");
}

static void leg_read_rate(struct reader *r, struct rate_spec *rate)
{
	struct reader p;
	if (!reader_object(r, "rate", READER_OPTIONAL, &p))
		return;
	rate->has_packets = reader_uint(&p, "packets", 0, RATE_MAX, &rate->packets);
	rate->has_octets = reader_uint(&p, "octets", 0, RATE_OCTETS_MAX, &rate->octets);
	reader_close(&p);
}

void leg_read(const struct relay *relay, const json_t *value, const char *path, uint32_t n,
	struct leg_spec *leg, struct rpc_error *error)
{
	static const char *const learns[] = {"never", "authenticated", NULL};
	static const char *const traffics[] = {"media", "control", NULL};
	static const char *const rtcps[] = {"mux", "none", NULL};
	static const char *const ssrcs[] = {"preserve", "random", NULL};
	const char *id = "";
	unsigned learn = 0, traffic = 0, rtcp = 0, ssrc = 0;
	uint64_t dscp = 0, clock_rate = 0;
	char full[128];
	*leg = (struct leg_spec){.receive = true, .send = true, .position = n};
	snprintf(full, sizeof(full), "%s.legs[%u]", path, n);
	struct reader r;
	reader_open(&r, value, full, error);
	id_read(&r, "id", &id);
	leg->id = alloc_string(id);
	leg_read_port(relay, &r, &leg->port);
	leg_read_addresses(relay, &r, leg);
	reader_choice(&r, "learn", READER_OPTIONAL, learns, &learn);
	reader_bool(&r, "receive", &leg->receive);
	reader_bool(&r, "send", &leg->send);
	reader_choice(&r, "traffic", READER_OPTIONAL, traffics, &traffic);
	reader_choice(&r, "rtcp", READER_OPTIONAL, rtcps, &rtcp);
	reader_choice(&r, "ssrc", READER_OPTIONAL, ssrcs, &ssrc);
	reader_uint(&r, "dscp", 0, 63, &dscp);
	reader_uint(&r, "clock_rate", 1, CLOCK_RATE_MAX, &clock_rate);
	leg->learn = learn == 1;
	leg->control = traffic == 1;
	leg->rtcp_mux = rtcp == 0;
	leg->ssrc_random = ssrc == 1;
	leg->dscp = (uint8_t)dscp;
	leg->clock_rate = (uint32_t)clock_rate;
	leg_read_protections(&r, leg);
	leg_read_to(&r, leg);
	leg_read_rate(&r, &leg->rate);
	leg_check_source(&r, leg);
	leg_check_learn(&r, leg);
	reader_skip(&r, "stated_remote");
	reader_close(&r);
}

// --- Session

bool session_read(
	const json_t *value, const char *path, struct session_spec *spec, struct rpc_error *error)
{
	static const char *const services[] = {"mcptt", "mcvideo", NULL};
	static const char *const types[] = {"group", "private", NULL};
	const char *id = "", *domain = "home", *group = NULL;
	const json_t *keys = NULL, *legs = NULL;
	unsigned service = 0, type = 0;
	uint64_t timeout = 0;
	*spec = (struct session_spec){};
	struct reader r;
	reader_open(&r, value, path, error);
	id_read(&r, "id", &id);
	reader_choice(&r, "service", READER_REQUIRED, services, &service);
	reader_choice(&r, "type", READER_REQUIRED, types, &type);
	key_domain_read(&r, &domain);
	uri_read(&r, "group", &group);
	reader_uint(&r, "timeout", 0, UINT32_MAX, &timeout);
	reader_array(&r, "keys", READER_OPTIONAL, &keys);
	reader_array(&r, "legs", READER_REQUIRED, &legs);
	if (!reader_close(&r))
		return false;
	spec->id = alloc_string(id);
	spec->domain = alloc_string(domain);
	spec->group = group ? alloc_string(group) : NULL;
	spec->service = (enum session_service)service;
	spec->type = (enum session_type)type;
	spec->timeout = (uint32_t)timeout;
	return true;
}
