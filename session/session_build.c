// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_build.h"

#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "base/alloc.h"
#include "dataplane/fanout.h"
#include "dataplane/relay_tables.h"
#include "key/key_context.h"
#include "key/key_ring.h"
#include "key/key_user.h"
#include "session/protection_profile.h"

enum { LEG_TTL = 64 };

// --- fan-out

static bool kind_takes_leg(unsigned kind, const struct leg_spec *leg)
{
	switch (kind) {
	case FANOUT_RTP:
		return !leg->control;
	case FANOUT_RTCP:
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
	return kind == FANOUT_RTP ? !leg->spec.control : leg->spec.control || leg->spec.rtcp_mux;
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

static bool variant_same(const struct fanout_variant *a, const struct fanout_variant *b)
{
	return a->mode == b->mode && a->root == b->root && a->suite == b->suite &&
	       a->cs_id == b->cs_id && a->ctx == b->ctx && a->by_talker == b->by_talker &&
	       a->n_others == b->n_others && memcmp(a->others, b->others, sizeof(a->others)) == 0 &&
	       a->mki_len == b->mki_len && a->roc_rate == b->roc_rate;
}

// Whether two variants get a packet under one session key: that of one talker under one GMK, whose key
// both AES-CM suites share, or one that was derived for both.
static bool variant_same_space(const struct keystore *store, const struct fanout_variant *a,
	const struct fanout_variant *b)
{
	const struct key_ctx *ctxs = store->relay->keys.ctxs;
	if (a->ctx != KEY_NONE && b->ctx != KEY_NONE)
		return ctxs[a->ctx].space == ctxs[b->ctx].space;
	return a->mode == b->mode && a->by_talker == b->by_talker && a->root == b->root &&
	       a->cs_id == b->cs_id && srtp_suite_is_aead(a->suite) == srtp_suite_is_aead(b->suite);
}

// Groups while they are being collected: those by talker first.
struct variant_list {
	struct fanout_variant *variants;
	uint32_t n, n_by_talker;
};

static uint32_t variant_list_add(struct variant_list *list, const struct fanout_variant *variant)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (variant_same(&list->variants[i], variant))
			return i;
	list->variants[list->n] = *variant;
	list->n_by_talker += variant->by_talker;
	return list->n++;
}

static void dest_fill_ipv4(struct fanout_dest *dest, const struct session_leg *leg)
{
	struct rte_ipv4_hdr ip = {
		.version_ihl = RTE_IPV4_VHL_DEF,
		.type_of_service = (uint8_t)(leg->spec.dscp << 2),
		.fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
		.time_to_live = LEG_TTL,
		.next_proto_id = IPPROTO_UDP,
	};
	memcpy(&ip.src_addr, leg->spec.local.addr, 4);
	memcpy(&ip.dst_addr, leg->remote.addr, 4);
	memcpy(dest->header, &ip, sizeof(ip));
	dest->header_len = sizeof(ip);
	dest->l3_sum = rte_raw_cksum(&ip, sizeof(ip));
}

static void dest_fill_ipv6(struct fanout_dest *dest, const struct session_leg *leg)
{
	struct rte_ipv6_hdr ip = {
		.vtc_flow = rte_cpu_to_be_32(6u << 28 | (uint32_t)leg->spec.dscp << 22),
		.proto = IPPROTO_UDP,
		.hop_limits = LEG_TTL,
	};
	memcpy(&ip.src_addr, leg->spec.local.addr, 16);
	memcpy(&ip.dst_addr, leg->remote.addr, 16);
	memcpy(dest->header, &ip, sizeof(ip));
	dest->header_len = sizeof(ip);
}

// The headers of a copy, and the sums of all in them that is constant.
static void dest_fill(struct fanout_dest *dest, const struct session_leg *leg)
{
	const struct leg_spec *spec = &leg->spec;
	*dest = (struct fanout_dest){
		.leg = leg->index, .neighbour = leg->neighbour, .port = spec->port};
	if (leg->remote.family == AF_INET)
		dest_fill_ipv4(dest, leg);
	else
		dest_fill_ipv6(dest, leg);
	struct {
		uint8_t source[16], destination[16];
		rte_be16_t protocol;
		struct rte_udp_hdr udp;
	} pseudo = {
		.protocol = RTE_BE16(IPPROTO_UDP),
		.udp = {.src_port = spec->local.port, .dst_port = leg->remote.port},
	};
	memcpy(pseudo.source, spec->local.addr, 16);
	memcpy(pseudo.destination, leg->remote.addr, 16);
	dest->l4_sum = rte_raw_cksum(&pseudo, sizeof(pseudo));
	memcpy(dest->header + dest->header_len, &pseudo.udp, sizeof(pseudo.udp));
	dest->header_len += sizeof(pseudo.udp);
}

// A leg finds out by it that a variant is itself alone.
static void fanout_note_only_legs(struct fanout *fanout)
{
	for (uint32_t i = 0; i < fanout->n_variants; i++) {
		struct fanout_variant *variant = &fanout->variants[i];
		bool alone = variant->n_dests == 1;
		variant->only_leg = alone ? fanout->dests[variant->first_dest].leg : LEG_NONE;
	}
}

static void fanout_place_variant(
	struct fanout *fanout, const struct fanout_variant *variant, uint32_t at)
{
	uint32_t first_dest = at == 0 ? 0 : fanout->variants[at - 1].first_dest;
	fanout->variants[at] = *variant;
	fanout->variants[at].first_dest =
		first_dest + (at == 0 ? 0 : fanout->variants[at - 1].n_dests);
}

// Lays the variants out with their receivers behind each other: those by talker first, those of one
// session key next to each other (stage_protect claims its packet index once).
static void fanout_place_variants(const struct keystore *store, struct fanout *fanout,
	const struct variant_list *list, uint32_t *place)
{
	uint32_t at = 0;
	for (int by_talker = 1; by_talker >= 0; by_talker--) {
		for (uint32_t i = 0; i < list->n; i++) {
			if (list->variants[i].by_talker != by_talker || place[i] != UINT32_MAX)
				continue;
			for (uint32_t j = i; j < list->n; j++) {
				if (!variant_same_space(
					    store, &list->variants[i], &list->variants[j]) ||
					place[j] != UINT32_MAX)
					continue;
				fanout_place_variant(fanout, &list->variants[j], at);
				place[j] = at++;
			}
		}
	}
	fanout->n_talker_variants = (uint8_t)list->n_by_talker;
}

struct fanout *fanout_build(struct keystore *store, const struct session *session, unsigned kind,
	const struct leg_spec *from)
{
	uint8_t protocol = kind == FANOUT_RTP ? SRTP_RTP : SRTP_RTCP;
	struct variant_list list = {
		.variants = alloc_zero(session->n_legs, sizeof(struct fanout_variant))};
	uint32_t *variant_of = alloc_zero(session->n_legs, sizeof(*variant_of));
	uint32_t *place = alloc_zero(session->n_legs, sizeof(*place));
	uint32_t n_dests = 0;
	for (uint32_t i = 0; i < session->n_legs; i++) {
		const struct session_leg *leg = &session->legs[i];
		variant_of[i] = place[i] = UINT32_MAX;
		if (!leg_is_receiver(kind, from, leg))
			continue;
		struct fanout_variant variant = variant_of_leg(store, session, leg, protocol);
		variant_of[i] = variant_list_add(&list, &variant);
		list.variants[variant_of[i]].n_dests++;
		n_dests++;
	}
	struct fanout *fanout = fanout_alloc(n_dests, list.n);
	if (!fanout)
		alloc_failed(__func__, sizeof(*fanout) + list.n * sizeof(*fanout->variants) +
					       n_dests * sizeof(*fanout->dests));
	fanout->n_dests = n_dests;
	fanout->n_variants = list.n;
	fanout_place_variants(store, fanout, &list, place);
	for (uint32_t g = 0; g < fanout->n_variants; g++)
		fanout->variants[g].n_dests = 0; // counted again as they are filled
	for (uint32_t i = 0; i < session->n_legs; i++) {
		if (variant_of[i] == UINT32_MAX)
			continue;
		struct fanout_variant *variant = &fanout->variants[place[variant_of[i]]];
		dest_fill(&fanout->dests[variant->first_dest + variant->n_dests++],
			&session->legs[i]);
	}
	fanout_note_only_legs(fanout);
	free(list.variants);
	free(variant_of);
	free(place);
	return fanout;
}

// --- leg

static struct leg_key leg_key_build(struct keystore *store, const struct session *session,
	const struct protection_spec *spec, struct key_slot *key, uint8_t protocol)
{
	struct key_profile profile = protection_profile(spec, key);
	struct leg_key out = {
		.is_gmk = key->type == KEY_GMK,
		.mki_len = profile.mki_len,
		.roc_rate = profile.roc_rate,
		.suite = profile.suite,
		.cs_id = cs_id_receive(session->spec.service, key->type, spec->role),
		.scope = key->scope,
		.id = key->id,
		.root = key->index,
	};
	uint32_t guk_id;
	if (!out.is_gmk) {
		out.own_mki = key_name_mki(key->id, 0);
		key_ctx_fixed(store, key, out.cs_id, protocol, out.suite);
	} else if (spec->user && key_guk_id(store, key, spec->user, &guk_id)) {
		out.own_mki = key_name_mki(key->id, guk_id);
	}
	return out;
}

enum { LEG_KEYS_MAX = FANOUT_RING_MAX + FANOUT_ACCEPT_MAX };

// The usable keys under which packets may come: those of the ring, then those that are accepted.
static uint32_t leg_keys_collect(struct keystore *store, const struct session *session,
	const struct session_leg *leg, unsigned protocol, struct key_slot *keys[LEG_KEYS_MAX])
{
	struct key_slot *named = leg_key_slot(leg, protocol);
	if (!named)
		return 0;
	struct key_ring ring = key_ring_of(store, named, session->spec.group);
	uint32_t n = ring.n;
	memcpy(keys, ring.keys, n * sizeof(struct key_slot *));
	for (uint32_t i = 0; i < leg->spec.protection[protocol].n_accept; i++) {
		struct key_slot *key = leg->keys[protocol][1 + i]->slot;
		if (key_usable(key))
			keys[n++] = key;
	}
	return n;
}

static void protection_build(struct keystore *store, const struct session *session,
	const struct session_leg *leg, uint8_t protocol, struct key_slot *const keys[], uint32_t n,
	struct leg_key *room, struct leg_protection *in)
{
	const struct protection_spec *spec = &leg->spec.protection[protocol];
	*in = (struct leg_protection){
		.mode = spec->mode,
		.named_key = spec->has_key,
		.verify = spec->verify,
		.user = leg->users[protocol],
		.n_keys = (uint8_t)n,
		.keys = n > 0 ? room : NULL,
	};
	for (uint32_t i = 0; i < n; i++)
		room[i] = leg_key_build(store, session, spec, keys[i], protocol);
}

uint32_t leg_clock_rate(enum session_service service, const struct leg_spec *spec)
{
	if (spec->clock_rate != 0)
		return spec->clock_rate;
	// RFC 4867 and the EVS payload format (TS 26.445 A.2): 16 kHz; RFC 6184 8.2.1: 90 kHz.
	return service == SERVICE_MCVIDEO ? 90000 : 16000;
}

struct leg *leg_build(
	struct keystore *store, const struct session *session, const struct session_leg *leg)
{
	struct key_slot *keys[SRTP_N_PROTOCOLS][LEG_KEYS_MAX];
	uint32_t n[SRTP_N_PROTOCOLS];
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
		n[protocol] = leg_keys_collect(store, session, leg, protocol, keys[protocol]);
	// The keys live behind the leg, in its memory.
	struct leg *out =
		alloc_zero(1, sizeof(*out) + (n[SRTP_RTP] + n[SRTP_RTCP]) * sizeof(struct leg_key));
	struct leg_key *room = (struct leg_key *)(out + 1);
	unsigned rtcp = leg->spec.control ? FANOUT_CONTROL : FANOUT_RTCP;
	*out = (struct leg){
		.index = leg->index,
		.serial = leg->serial,
		.port = leg->spec.port,
		.receive = leg->spec.receive,
		.learn = leg->spec.learn,
		.control = leg->spec.control,
		.rtcp_mux = leg->spec.rtcp_mux,
		.remote = leg->remote,
		.clock_factor = jitter_clock_factor(
			leg_clock_rate(session->spec.service, &leg->spec), rte_get_tsc_hz()),
		.fanout =
			{
				leg->own[SRTP_RTP] ? leg->own[SRTP_RTP]
						   : session->fanouts[FANOUT_RTP],
				leg->own[SRTP_RTCP] ? leg->own[SRTP_RTCP] : session->fanouts[rtcp],
			},
	};
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
		protection_build(store, session, leg, protocol, keys[protocol], n[protocol], room,
			&out->in[protocol]);
		room += n[protocol];
	}
	return out;
}
