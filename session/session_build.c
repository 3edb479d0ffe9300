// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_build.h"

#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "base/alloc.h"
#include "dataplane/audience.h"
#include "dataplane/rate.h"
#include "dataplane/relay_tables.h"
#include "key/key_context.h"
#include "key/key_ring.h"
#include "key/key_user.h"
#include "session/leg_audience.h"
#include "session/protection_profile.h"

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
		.serial = (uint32_t)key->serial,
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

// Adds one to some keys, of which the one activated last is the first. Of two with the same id, of two domains, packets
// name the one that was there.
static void leg_keys_add(struct key_slot *keys[LEG_KEYS_MAX], uint32_t n, struct key_slot *key)
{
	for (; n > 0 && keys[n - 1]->id != key->id && key_activated_before(keys[n - 1], key); n--)
		keys[n] = keys[n - 1];
	keys[n] = key;
}

// The usable keys for inbound packets: those of the ring and those in `accept`.
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
		if (!key_usable(key))
			continue;
		// No packet names it: it is there for nobody before the one that the leg sends under.
		if (protection_profile(&leg->spec.protection[protocol], key).mki_len == 0)
			keys[n++] = key;
		else
			leg_keys_add(keys, n++, key);
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
		.roc = spec->roc,
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

// Where packets of a leg go that may not speak. Nothing is derived for receivers, nor held.
static struct fanout nobody;
static struct fanout *_Atomic fanout_nobody = &nobody;

static struct fanout *_Atomic *leg_fanout(const struct session_leg *leg, unsigned protocol)
{
	return leg->spec.receive ? &leg_audience(leg, protocol)->fanout : &fanout_nobody;
}

struct rate_spec leg_rate_of(const struct session *session, const struct leg_spec *spec)
{
	const struct rate_spec *service = &session->sessions->rates[session->spec.service];
	return (struct rate_spec){
		.packets = spec->rate.has_packets ? spec->rate.packets : service->packets,
		.octets = spec->rate.has_octets ? spec->rate.octets : service->octets,
	};
}

static struct leg_rate rate_build(const struct session *session, const struct leg_spec *spec)
{
	struct rate_spec rate = leg_rate_of(session, spec);
	uint32_t floor =
		session->spec.service == SERVICE_MCVIDEO ? RATE_FLOOR_MCVIDEO : RATE_FLOOR_MCPTT;
	return rate_make(rate.packets, rate.octets, floor, rte_get_tsc_hz());
}

struct leg *leg_build(struct keystore *store, const struct session_leg *leg)
{
	const struct session *session = leg->session;
	struct key_slot *keys[SRTP_N_PROTOCOLS][LEG_KEYS_MAX];
	uint32_t n[SRTP_N_PROTOCOLS];
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
		n[protocol] = leg_keys_collect(store, session, leg, protocol, keys[protocol]);
	// The keys are stored behind the leg, in the same allocation.
	struct leg *out =
		alloc_zero(1, sizeof(*out) + (n[SRTP_RTP] + n[SRTP_RTCP]) * sizeof(struct leg_key));
	struct leg_key *room = (struct leg_key *)(out + 1);
	bool stated = leg->spec.source.family != AF_UNSPEC;
	*out = (struct leg){
		.index = leg->index,
		.serial = leg->serial,
		.port = leg->spec.port,
		.receive = leg->spec.receive,
		.learn = leg->spec.learn,
		.control = leg->spec.control,
		.rtcp_mux = leg->spec.rtcp_mux,
		.remote = leg->remote,
		.source = stated ? leg->spec.source : leg->remote,
		.any_source = !stated && endpoint_is_multicast(&leg->remote),
		.clock_factor = jitter_clock_factor(
			leg_clock_rate(session->spec.service, &leg->spec), rte_get_tsc_hz()),
		.rate = rate_build(session, &leg->spec),
		.fanout = {leg_fanout(leg, SRTP_RTP), leg_fanout(leg, SRTP_RTCP)},
	};
	for (enum srtp_protocol protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
		protection_build(store, session, leg, protocol, keys[protocol], n[protocol], room,
			&out->in[protocol]);
		room += n[protocol];
	}
	return out;
}
