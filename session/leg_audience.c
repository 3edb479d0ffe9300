// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/leg_audience.h"

#include <string.h>

#include "dataplane/audience.h"
#include "dataplane/relay_tables.h"
#include "key/key_context.h"
#include "key/key_ring.h"
#include "session/protection_profile.h"
#include "session/session_store.h"

static bool kind_takes_leg(unsigned kind, const struct leg_spec *leg)
{
	switch (kind) {
	case AUDIENCE_RTP:
		return !leg->control;
	case AUDIENCE_RTCP:
		return !leg->control && leg->rtcp_mux;
	default:
		return leg->control;
	}
}

static bool leg_named_by(const struct leg_spec *from, const char *id)
{
	for (uint32_t i = 0; i < from->n_to; i++)
		if (strcmp(from->to[i], id) == 0)
			return true;
	return false;
}

// Floor control goes to control legs and RTCP to media legs, unless `to` says otherwise.
static bool leg_is_receiver(
	unsigned kind, const struct leg_spec *from, const struct session_leg *leg)
{
	if (!leg->spec.send || leg->neighbour == NEIGHBOUR_NONE)
		return false;
	if (!from || !from->has_to)
		return kind_takes_leg(kind, &leg->spec);
	if (!leg_named_by(from, leg->spec.id))
		return false;
	return kind == AUDIENCE_RTP ? !leg->spec.control : leg->spec.control || leg->spec.rtcp_mux;
}

static struct fanout_variant variant_of_leg(struct keystore *store, const struct session *session,
	const struct session_leg *leg, uint8_t protocol)
{
	const struct protection_spec *spec = &leg->spec.protection[protocol];
	struct fanout_variant variant = {.mode = spec->mode, .root = KEY_NONE, .ctx = KEY_NONE};
	struct key_slot *named = leg_key_slot(leg, protocol);
	if (spec->mode != LEG_SRTP || !named)
		return variant;
	struct key_ring ring = key_ring_of(store, named, session->spec.group);
	if (ring.n == 0)
		return variant; // nothing can be sent to it until a key is there
	struct key_slot *key = ring.keys[0];
	variant.n_others = (uint8_t)(ring.n - 1);
	for (uint32_t i = 1; i < ring.n; i++)
		variant.others[i - 1] = ring.keys[i]->index;
	for (uint32_t i = 0; i < spec->n_accept; i++) {
		const struct key_slot *accepted = leg->keys[protocol][1 + i]->slot;
		if (key_usable(accepted))
			variant.others[variant.n_others++] = accepted->index;
	}
	struct key_profile profile = protection_profile(spec, key);
	variant.root = key->index;
	variant.suite = profile.suite;
	variant.mki_len = profile.mki_len;
	variant.roc_rate = protocol == SRTP_RTP ? profile.roc_rate : 0;
	variant.cs_id = cs_id_send(session->spec.service, key->type, spec->role);
	variant.by_talker = key->type == KEY_GMK;
	if (!variant.by_talker)
		variant.ctx = key_ctx_fixed(store, key, variant.cs_id, protocol, variant.suite);
	return variant;
}

// Whether two legs get what is sent under the same rule, so that their variant is the same whatever
// becomes of the keys.
static bool legs_alike(const struct session_leg *a, const struct session_leg *b, unsigned protocol)
{
	const struct protection_spec *x = &a->spec.protection[protocol];
	const struct protection_spec *y = &b->spec.protection[protocol];
	if (x->mode != y->mode || x->has_key != y->has_key || x->n_accept != y->n_accept)
		return false;
	if (x->mode != LEG_SRTP || !x->has_key)
		return true;
	for (uint32_t i = 0; i <= x->n_accept; i++)
		if (a->keys[protocol][i]->slot != b->keys[protocol][i]->slot)
			return false;
	return x->role == y->role && x->has_suite == y->has_suite &&
	       x->has_mki_len == y->has_mki_len && x->has_roc_rate == y->has_roc_rate &&
	       x->profile.suite == y->profile.suite && x->profile.mki_len == y->profile.mki_len &&
	       x->profile.roc_rate == y->profile.roc_rate;
}

// One of the legs in a class: each follows the same rule.
static const struct session_leg *class_leg(
	const struct sessions *sessions, const struct audience_class *class)
{
	struct session *session;
	return session_leg_at(sessions, class->blocks[0].dests[0].leg, &session);
}

static struct audience_class *class_of_leg(const struct sessions *sessions,
	const struct session *session, struct audience *audience, const struct session_leg *leg,
	uint8_t protocol)
{
	for (uint32_t c = 0; c < audience->n_classes; c++)
		if (legs_alike(class_leg(sessions, audience->classes[c]), leg, protocol))
			return audience->classes[c];
	struct fanout_variant variant = variant_of_leg(sessions->keys, session, leg, protocol);
	return audience_open_class(audience, &variant);
}

static struct fanout_dest dest_of_leg(const struct session_leg *leg)
{
	struct fanout_receiver receiver = {
		.leg = leg->index,
		.neighbour = leg->neighbour,
		.port = leg->spec.port,
		.dscp = leg->spec.dscp,
		.local = &leg->spec.local,
		.remote = &leg->remote,
	};
	struct fanout_dest dest;
	fanout_dest_fill(&dest, &receiver);
	return dest;
}

struct audience *audience_of_legs(const struct sessions *sessions, const struct session *session,
	unsigned kind, const struct leg_spec *from)
{
	uint8_t protocol = kind == AUDIENCE_RTP ? SRTP_RTP : SRTP_RTCP;
	struct audience *audience = audience_new();
	for (uint32_t i = 0; i < session->n_legs; i++) {
		const struct session_leg *leg = &session->legs[i];
		if (!leg_is_receiver(kind, from, leg))
			continue;
		struct fanout_dest dest = dest_of_leg(leg);
		audience_put(
			audience, class_of_leg(sessions, session, audience, leg, protocol), &dest);
	}
	audience_publish(audience, &sessions->relay->keys, sessions->retire);
	return audience;
}

unsigned leg_audience_kind(const struct leg_spec *leg, unsigned protocol)
{
	if (protocol == SRTP_RTP)
		return AUDIENCE_RTP;
	return leg->control ? AUDIENCE_CONTROL : AUDIENCE_RTCP;
}

struct audience *leg_audience(
	const struct session *session, const struct session_leg *leg, unsigned protocol)
{
	return leg->own[protocol] ? leg->own[protocol]
				  : session->audiences[leg_audience_kind(&leg->spec, protocol)];
}
