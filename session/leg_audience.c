// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/leg_audience.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "dataplane/audience.h"
#include "dataplane/relay_tables.h"
#include "key/key_context.h"
#include "key/key_ring.h"
#include "session/protection_profile.h"
#include "session/protection_rule.h"
#include "session/session_legs.h"
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

// One without remote is among the receivers, so that it counts what it would have been sent.
static bool leg_can_receive(const struct session_leg *leg)
{
	return leg->spec.send &&
	       (leg->neighbour != NEIGHBOUR_NONE || leg->remote.family == AF_UNSPEC);
}

// Floor control is sent to control legs and RTCP to media legs, unless `to` states otherwise.
static bool named_takes(unsigned protocol, const struct leg_spec *leg)
{
	return protocol == SRTP_RTP ? !leg->control : leg->control || leg->rtcp_mux;
}

static struct fanout_key fanout_key_of(
	const struct protection_spec *spec, const struct key_slot *key, uint8_t protocol)
{
	struct key_profile profile = protection_profile(spec, key);
	return (struct fanout_key){
		.root = key->index,
		.suite = profile.suite,
		.mki_len = profile.mki_len,
		.roc_rate = protocol == SRTP_RTP ? profile.roc_rate : 0,
	};
}

// others: room for those of the variant.
static struct fanout_variant variant_of_leg(struct keystore *store, const struct session_leg *leg,
	uint8_t protocol, struct fanout_key others[FANOUT_OTHERS_MAX])
{
	const struct session *session = leg->session;
	const struct protection_spec *spec = &leg->spec.protection[protocol];
	struct fanout_variant variant = {
		.mode = spec->mode, .key = {.root = KEY_NONE}, .ctx = KEY_NONE, .others = others};
	struct key_slot *named = leg_key_slot(leg, protocol);
	if (spec->mode != LEG_SRTP || !named)
		return variant;
	struct key_ring ring = key_ring_of(store, named, session->spec.group);
	if (ring.n == 0)
		return variant; // nothing can be sent to it until a key is there
	struct key_slot *key = ring.keys[0];
	for (uint32_t i = 1; i < ring.n; i++)
		others[variant.n_others++] = fanout_key_of(spec, ring.keys[i], protocol);
	for (uint32_t i = 0; i < spec->n_accept; i++) {
		const struct key_slot *accepted = leg->keys[protocol][1 + i]->slot;
		if (key_usable(accepted))
			others[variant.n_others++] = fanout_key_of(spec, accepted, protocol);
	}
	variant.key = fanout_key_of(spec, key, protocol);
	variant.encrypt = protocol == SRTP_RTCP && spec->encrypt;
	variant.cs_id = cs_id_send(session->spec.service, key->type, spec->role);
	variant.by_talker = key->type == KEY_GMK;
	if (!variant.by_talker)
		variant.ctx = key_ctx_fixed(store, key, variant.cs_id, protocol, variant.key.suite);
	return variant;
}

// The class of those that follow the same rule as the leg, which is in none.
static struct audience_class *class_of_leg(const struct sessions *sessions,
	struct audience *audience, const struct session_leg *leg, uint8_t protocol)
{
	struct protection_rule rule = protection_rule_of(&leg->spec.protection[protocol]);
	struct audience_class *class = audience_find_class(audience, rule.octets, rule.len);
	if (class)
		return class;
	struct fanout_key others[FANOUT_OTHERS_MAX];
	struct fanout_variant variant = variant_of_leg(sessions->keys, leg, protocol, others);
	return audience_open_class(audience, rule.octets, rule.len, &variant);
}

static struct fanout_dest dest_of_leg(const struct session_leg *leg)
{
	struct fanout_receiver receiver = {
		.leg = leg->index,
		.neighbour = leg->remote.family == AF_UNSPEC ? NEIGHBOUR_NOBODY : leg->neighbour,
		.port = leg->spec.port,
		.dscp = leg->spec.dscp,
		.mtu = leg->mtu,
		.local = &leg->spec.local,
		.remote = &leg->remote,
	};
	struct fanout_dest dest;
	fanout_dest_fill(&dest, &receiver);
	return dest;
}

// --- places

// Where a leg is in an audience: the session's, or that of a leg that names it.
static struct audience_place *place_of_leg(
	struct session_leg *leg, const struct session_leg *from, unsigned protocol)
{
	struct leg_naming *naming;
	if (!from)
		return &leg->places[protocol];
	LIST_FOREACH (naming, &leg->named_by, entry)
		if (naming->from == from)
			break;
	return &naming->places[protocol];
}

static void place_leave(struct sessions *sessions, struct audience *audience,
	struct audience_place *place, const struct session_leg *from, unsigned protocol)
{
	if (!place->class)
		return;
	uint32_t moved = audience_take(audience, *place);
	if (moved != LEG_NONE)
		place_of_leg(session_leg_at(sessions, moved), from, protocol)->at = place->at;
	*place = (struct audience_place){};
}

static void place_join(struct sessions *sessions, struct audience *audience,
	struct audience_place *place, const struct session_leg *leg, uint8_t protocol)
{
	struct fanout_dest dest = dest_of_leg(leg);
	*place = audience_put(audience, class_of_leg(sessions, audience, leg, protocol), &dest);
}

// The leg was as before and is in its place in `was`; where it receives now is `is`, NULL: nowhere.
static void place_follow(struct sessions *sessions, struct audience *was, struct audience *is,
	struct audience_place *place, const struct session_leg *from,
	const struct session_leg *before, const struct session_leg *leg, uint8_t protocol)
{
	struct protection_rule old = protection_rule_of(&before->spec.protection[protocol]);
	struct protection_rule new = protection_rule_of(&leg->spec.protection[protocol]);
	if (place->class && was == is && protection_rules_equal(&old, &new)) {
		struct fanout_dest dest = dest_of_leg(leg);
		audience_replace(is, *place, &dest);
		return;
	}
	place_leave(sessions, was, place, from, protocol);
	if (is)
		place_join(sessions, is, place, leg, protocol);
}

// --- legs

static void audience_show(struct sessions *sessions, struct audience *audience)
{
	audience_publish(audience, sessions->retire);
}

static unsigned kind_of_leg(const struct leg_spec *leg, unsigned protocol)
{
	if (protocol == SRTP_RTP)
		return AUDIENCE_RTP;
	return leg->control ? AUDIENCE_CONTROL : AUDIENCE_RTCP;
}

struct audience *leg_audience(const struct session_leg *leg, unsigned protocol)
{
	return leg->own[protocol] ? leg->own[protocol]
				  : leg->session->audiences[kind_of_leg(&leg->spec, protocol)];
}

// Of the session's audiences the one in which a leg with that spec is; NULL: it takes nothing of that
// protocol.
static struct audience *audience_with(const struct session_leg *leg, unsigned protocol)
{
	unsigned kind = kind_of_leg(&leg->spec, protocol);
	return kind_takes_leg(kind, &leg->spec) ? leg->session->audiences[kind] : NULL;
}

void leg_audience_follow(
	struct sessions *sessions, const struct session_leg *before, struct session_leg *leg)
{
	bool receives = leg_can_receive(leg);
	for (enum srtp_protocol protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
		struct audience *was = audience_with(before, protocol);
		struct audience *is = receives ? audience_with(leg, protocol) : NULL;
		place_follow(
			sessions, was, is, &leg->places[protocol], NULL, before, leg, protocol);
	}
	struct leg_naming *naming;
	LIST_FOREACH (naming, &leg->named_by, entry)
		for (enum srtp_protocol protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
			struct audience *own = naming->from->own[protocol];
			bool takes = receives && named_takes(protocol, &leg->spec);
			place_follow(sessions, own, takes ? own : NULL, &naming->places[protocol],
				naming->from, before, leg, protocol);
		}
}

static void naming_drop(struct sessions *sessions, struct leg_naming *naming)
{
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
		place_leave(sessions, naming->from->own[protocol], &naming->places[protocol],
			naming->from, protocol);
	LIST_REMOVE(naming, entry);
	naming->to = NULL;
}

void leg_audience_leave(struct sessions *sessions, struct session_leg *leg)
{
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
		place_leave(sessions, audience_with(leg, protocol), &leg->places[protocol], NULL,
			protocol);
	while (!LIST_EMPTY(&leg->named_by)) {
		struct leg_naming *naming = LIST_FIRST(&leg->named_by);
		struct session_leg *from = naming->from;
		naming_drop(sessions, naming);
		for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
			audience_show(sessions, from->own[protocol]);
	}
}

void leg_audience_open(struct session_leg *leg)
{
	const struct key_table *keys = &leg->session->sessions->relay->keys;
	for (unsigned protocol = 0; leg->spec.has_to && protocol < SRTP_N_PROTOCOLS; protocol++)
		leg->own[protocol] = audience_new(keys);
}

void leg_audience_name(struct sessions *sessions, struct session_leg *leg)
{
	if (!leg->spec.has_to)
		return;
	leg->names = alloc_zero(leg->spec.n_to, sizeof(*leg->names));
	for (uint32_t i = 0; i < leg->spec.n_to; i++) {
		struct session_leg *to = session_leg_find(leg->session, leg->spec.to[i]);
		const struct leg_naming *newest = LIST_FIRST(&to->named_by);
		if (newest && newest->from == leg)
			continue; // named twice
		struct leg_naming *naming = &leg->names[leg->n_names++];
		*naming = (struct leg_naming){.from = leg, .to = to};
		LIST_INSERT_HEAD(&to->named_by, naming, entry);
		for (enum srtp_protocol protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
			if (leg_can_receive(to) && named_takes(protocol, &to->spec))
				place_join(sessions, leg->own[protocol], &naming->places[protocol],
					to, protocol);
	}
}

void leg_audience_unname(struct session_leg *leg)
{
	for (uint32_t i = 0; i < leg->n_names; i++)
		if (leg->names[i].to)
			LIST_REMOVE(&leg->names[i], entry);
	free(leg->names);
	leg->names = NULL;
	leg->n_names = 0;
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
		leg->own[protocol] = NULL;
}

// --- publishing

void leg_audience_publish(struct sessions *sessions, const struct session_leg *leg)
{
	const struct leg_naming *naming;
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
		if (leg->own[protocol])
			audience_show(sessions, leg->own[protocol]);
		LIST_FOREACH (naming, &leg->named_by, entry)
			audience_show(sessions, naming->from->own[protocol]);
	}
}

void session_audiences_publish(struct sessions *sessions, const struct session *session)
{
	for (unsigned kind = 0; kind < AUDIENCE_N; kind++)
		audience_show(sessions, session->audiences[kind]);
}

static bool variant_has_root(const struct fanout_variant *variant, uint32_t root)
{
	bool has = root == KEY_NONE || variant->key.root == root;
	for (uint32_t i = 0; i < variant->n_others; i++)
		has |= variant->others[i].root == root;
	return has;
}

// Whether all root keys of a are among those of b.
static bool variant_within(const struct fanout_variant *a, const struct fanout_variant *b)
{
	bool within = variant_has_root(b, a->key.root);
	for (uint32_t i = 0; i < a->n_others; i++)
		within &= variant_has_root(b, a->others[i].root);
	return within;
}

// What a variant becomes at once when keys change: it is without those that went, and stays without
// those that came; where the key that it sends under went nothing is sent. room: for others that stay.
static struct fanout_variant variant_lose(const struct fanout_variant *is,
	const struct fanout_variant *becomes, struct fanout_key room[FANOUT_OTHERS_MAX])
{
	if (variant_within(is, becomes))
		return *is;
	if (variant_within(becomes, is))
		return *becomes;
	if (!variant_has_root(becomes, is->key.root))
		return (struct fanout_variant){
			.mode = is->mode, .key = {.root = KEY_NONE}, .ctx = KEY_NONE};
	struct fanout_variant stays = *is;
	stays.n_others = 0;
	stays.others = room;
	for (uint32_t i = 0; i < is->n_others; i++)
		if (variant_has_root(becomes, is->others[i].root))
			room[stays.n_others++] = is->others[i];
	return stays;
}

// One of the legs in a class: each follows the same rule.
static const struct session_leg *class_leg(
	const struct sessions *sessions, const struct audience_class *class)
{
	return session_leg_at(sessions, class->blocks[0].dests[0].leg);
}

static void class_revise(struct sessions *sessions, struct audience *audience,
	struct audience_class *class, uint8_t protocol, bool lose_only)
{
	struct fanout_key others[FANOUT_OTHERS_MAX], stay[FANOUT_OTHERS_MAX];
	struct fanout_variant variant =
		variant_of_leg(sessions->keys, class_leg(sessions, class), protocol, others);
	if (lose_only)
		variant = variant_lose(&class->variant, &variant, stay);
	audience_set_variant(audience, class, &variant);
}

static void audience_revise(
	struct sessions *sessions, struct audience *audience, uint8_t protocol, bool lose_only)
{
	for (uint32_t c = 0; c < audience->n_classes; c++)
		class_revise(sessions, audience, audience->classes[c], protocol, lose_only);
	audience_show(sessions, audience);
}

void leg_audience_revise(struct sessions *sessions, const struct session_leg *leg, bool lose_only)
{
	for (enum srtp_protocol protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
		struct audience *audience = audience_with(leg, protocol);
		struct audience_class *class = leg->places[protocol].class;
		const struct leg_naming *naming;
		if (class)
			class_revise(sessions, audience, class, protocol, lose_only);
		LIST_FOREACH (naming, &leg->named_by, entry) {
			if (!naming->places[protocol].class)
				continue;
			class_revise(sessions, naming->from->own[protocol],
				naming->places[protocol].class, protocol, lose_only);
			audience_show(sessions, naming->from->own[protocol]);
		}
	}
}

void leg_own_audiences_revise(
	struct sessions *sessions, const struct session_leg *leg, bool lose_only)
{
	for (uint8_t protocol = 0; protocol < SRTP_N_PROTOCOLS && leg->own[protocol]; protocol++)
		audience_revise(sessions, leg->own[protocol], protocol, lose_only);
}

void session_shared_audiences_revise(
	struct sessions *sessions, const struct session *session, bool lose_only)
{
	for (unsigned kind = 0; kind < AUDIENCE_N; kind++)
		audience_revise(sessions, session->audiences[kind],
			kind == AUDIENCE_RTP ? SRTP_RTP : SRTP_RTCP, lose_only);
}

void session_audiences_revise(
	struct sessions *sessions, const struct session *session, bool lose_only)
{
	session_shared_audiences_revise(sessions, session, lose_only);
	const struct session_leg *leg;
	TAILQ_FOREACH (leg, &session->legs, entry)
		leg_own_audiences_revise(sessions, leg, lose_only);
}
