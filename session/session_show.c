// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_show.h"

#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "dataplane/relay_tables.h"
#include "key/key_show.h"
#include "key/key_slot.h"
#include "session/protection_profile.h"
#include "session/session_build.h"
#include "session/session_statistics.h"

static const char *const service_names[] = {"mcptt", "mcvideo"};
static const char *const type_names[] = {"group", "private"};

static void set(json_t *object, const char *name, json_t *value)
{
	json_object_set_new(object, name, value);
}

// --- what was stated

json_t *protection_show(const struct protection_spec *spec, const struct key_slot *key)
{
	static const char *const modes[] = {"opaque", "plain", "srtp"};
	json_t *out = json_pack("{s:s}", "mode", modes[spec->mode]);
	if (spec->has_key) {
		set(out, "key", json_sprintf("%08x", spec->key.id));
		set(out, "key_state",
			json_string(
				key && key->installed ? key_state_name(key->state) : "missing"));
		set(out, "verify", json_boolean(spec->verify));
		set(out, "encrypt", json_boolean(spec->encrypt));
	}
	if (spec->n_accept > 0) {
		json_t *accept = json_array();
		for (uint32_t i = 0; i < spec->n_accept; i++)
			json_array_append_new(accept, json_sprintf("%08x", spec->accept[i].id));
		set(out, "accept", accept);
	}
	if (spec->domain)
		set(out, "domain", json_string(spec->domain));
	if (spec->role != ROLE_NONE)
		set(out, "role",
			json_string(spec->role == ROLE_INITIATOR ? "initiator" : "receiver"));
	if (spec->user)
		set(out, "user", json_string(spec->user));
	if (spec->has_roc)
		set(out, "roc", json_integer(spec->roc));
	if (key && key->installed) {
		struct key_profile p = protection_profile(spec, key);
		set(out, "profile",
			json_pack("{s:s,s:i,s:i}", "suite", srtp_suite_name(p.suite), "mki_length",
				(int)p.mki_len, "roc_rate", (int)p.roc_rate));
	}
	return out;
}

json_t *address_show(const struct endpoint *address)
{
	if (address->family == AF_UNSPEC)
		return json_null();
	char text[ADDRESS_TEXT_SIZE];
	address_write(address, text);
	return json_string(text);
}

// --- leg, session

json_t *leg_form_show(const struct sessions *sessions, const struct session_leg *leg)
{
	const struct leg_spec *spec = &leg->spec;
	json_t *out = json_object();
	set(out, "id", json_string(spec->id));
	set(out, "port", json_string(sessions->relay->ports[spec->port].name));
	set(out, "local", address_show(&spec->local));
	if (spec->source.family != AF_UNSPEC)
		set(out, "source", address_show(&spec->source));
	set(out, "learn", json_string(spec->learn ? "authenticated" : "never"));
	set(out, "receive", json_boolean(spec->receive));
	set(out, "send", json_boolean(spec->send));
	set(out, "traffic", json_string(spec->control ? "control" : "media"));
	set(out, "rtcp", json_string(spec->rtcp_mux ? "mux" : "none"));
	set(out, "dscp", json_integer(spec->dscp));
	set(out, "ssrc", json_string(spec->ssrc_random ? "random" : "preserve"));
	if (spec->has_to) {
		json_t *to = json_array();
		for (uint32_t i = 0; i < spec->n_to; i++)
			json_array_append_new(to, json_string(spec->to[i]));
		set(out, "to", to);
	}
	return out;
}

json_t *leg_show(const struct sessions *sessions, const struct session_leg *leg)
{
	const struct session *session = leg->session;
	const struct leg_spec *spec = &leg->spec;
	json_t *out = leg_form_show(sessions, leg);
	set(out, "remote", address_show(&leg->remote));
	if (!endpoint_equal(&leg->remote, &spec->remote))
		set(out, "stated_remote", address_show(&spec->remote));
	set(out, "clock_rate", json_integer(leg_clock_rate(session->spec.service, spec)));
	set(out, "protection",
		protection_show(&spec->protection[SRTP_RTP], leg_key_slot(leg, SRTP_RTP)));
	if (!spec->same_protection)
		set(out, "rtcp_protection",
			protection_show(
				&spec->protection[SRTP_RTCP], leg_key_slot(leg, SRTP_RTCP)));
	if (spec->rate.has_packets || spec->rate.has_octets) {
		struct rate_spec rate = leg_rate_of(session, spec);
		set(out, "rate",
			json_pack("{s:I,s:I}", "packets", (json_int_t)rate.packets, "octets",
				(json_int_t)rate.octets));
	}
	set(out, "statistics", leg_statistics_show(sessions->relay, leg));
	return out;
}

json_t *leg_local_show(const struct session_leg *leg)
{
	return json_pack("{s:s,s:o}", "id", leg->spec.id, "local", address_show(&leg->spec.local));
}

json_t *session_stated(const struct session *session)
{
	json_t *out = json_pack("{s:s,s:s,s:s,s:s,s:I}", "id", session->spec.id, "service",
		service_names[session->spec.service], "type", type_names[session->spec.type],
		"domain", session->spec.domain, "timeout", (json_int_t)session->spec.timeout);
	if (session->spec.group)
		set(out, "group", json_string(session->spec.group));
	return out;
}

json_t *session_summary(const struct session *session)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I}", "id", session->spec.id, "service",
		service_names[session->spec.service], "type", type_names[session->spec.type],
		"domain", session->spec.domain, "timeout", (json_int_t)session->spec.timeout,
		"n_legs", (json_int_t)session->n_legs, "n_keys", (json_int_t)session->n_keys);
}

json_t *session_show(const struct sessions *sessions, const struct session *session)
{
	json_t *out = session_summary(session), *keys = json_array();
	json_object_del(out, "n_legs");
	json_object_del(out, "n_keys");
	if (session->spec.group)
		set(out, "group", json_string(session->spec.group));
	for (uint32_t i = 0; i < session->n_keys; i++) {
		const struct key_slot *key =
			keystore_find(sessions->keys, session->scope, session->key_ids[i]);
		if (key)
			json_array_append_new(keys, key_show(sessions->keys, key));
	}
	set(out, "keys", keys);
	return out;
}
