// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <stdlib.h>

#include "bench/bench.h"
#include "bench/traffic.h"

// Whole packets through the relay: from a port's ring to a port's transmit function, in turns of the
// worker's own loop.
//
// A session has one leg on which its talkers come in (another system's media distribution function,
// say) and one or more that receive. A GMK has a key context for each talker, on either side.

enum {
	SESSION_USERS = 250,
	GMK_IN =
		0x01000000, // key ids, plus the session's number; the top four bits are the purpose
	GMK_OUT = 0x02000000,
	CSK_IN = 0x21000000,
	CSK_OUT = 0x22000000,
};

#define USER_FORMAT "sip:u%u@s%u.example"

enum scene_keys { KEYS_NONE, KEYS_GMK, KEYS_CSK };

struct scene {
	enum scene_keys in, out;
	const char *keyless;      // mode of legs without key
	const char *cryptodev;    // NULL: IPsec-MB
	uint32_t sessions, users; // users of each session
	uint32_t receivers;       // legs of each
	struct traffic_shape shape;
};

struct relay_state {
	const struct scene *scene;
	struct rig *rig;
	struct sender *senders;
	uint32_t n_senders;
	unsigned n_workers;
	struct traffic *traffic[RELAY_WORKERS_MAX];
};

static json_t *users_name(uint32_t session, uint32_t n)
{
	json_t *users = json_array();
	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(users, json_sprintf(USER_FORMAT, i, session));
	return users;
}

static json_t *protection_make(struct rig *rig, const struct scene *scene, enum scene_keys keys,
	uint32_t id, uint32_t session)
{
	if (keys == KEYS_NONE)
		return json_pack("{s:s}", "mode", scene->keyless);
	json_t *users = keys == KEYS_GMK ? users_name(session, scene->users) : NULL;
	rig_install(rig, rig_key(id, users));
	return json_pack("{s:s,s:o}", "mode", "srtp", "key", json_sprintf("%08x", id));
}

static json_t *leg_make(const struct scene *scene, const char *id, unsigned port, uint32_t place,
	json_t *protection)
{
	json_t *leg = rig_leg(id, port, place, protection);
	if (scene->shape.protocol == SRTP_RTCP)
		json_object_set_new(leg, "traffic", json_string("control"));
	return leg;
}

static void session_make(struct rig *rig, const struct scene *scene, uint32_t session)
{
	char id[16];
	uint32_t in_id = (scene->in == KEYS_GMK ? GMK_IN : CSK_IN) + session;
	uint32_t out_id = (scene->out == KEYS_GMK ? GMK_OUT : CSK_OUT) + session;
	json_t *in = protection_make(rig, scene, scene->in, in_id, session);
	// Who speaks on a leg without key, the first user of the receivers' GMK, only the leg can tell.
	if (scene->in == KEYS_NONE && scene->out == KEYS_GMK)
		json_object_set_new(in, "user", json_sprintf(USER_FORMAT, 0U, session));
	json_t *out = protection_make(rig, scene, scene->out, out_id, session);
	json_t *legs = json_array();
	json_array_append_new(legs, leg_make(scene, "in", RIG_RAN, session, in));
	for (uint32_t i = 0; i < scene->receivers; i++) {
		snprintf(id, sizeof(id), "out%u", i);
		json_array_append_new(
			legs, leg_make(scene, id, RIG_CORE, session * scene->receivers + i,
				      json_incref(out)));
	}
	json_decref(out);
	snprintf(id, sizeof(id), "s%u", session);
	rig_apply(rig, id, legs);
}

// Those whom the relay can name: two users of one GMK may have one GUK-ID.
static void gmk_senders_add(struct relay_state *state, uint32_t session)
{
	const struct key_slot *slot = rig_key_slot(state->rig, GMK_IN + session);
	const struct leg *leg = rig_leg_at(state->rig, RIG_RAN, session);
	for (uint32_t i = 0; i < slot->n_users; i++) {
		if (slot->users[i].ambiguous)
			continue;
		struct sender *s = &state->senders[state->n_senders++];
		*s = (struct sender){.place = session, .ssrc = state->n_senders * 7919};
		s->ctx = rig_ctx_in(
			state->rig, leg, state->scene->shape.protocol, slot->users[i].guk_id);
		rig_derive_out(state->rig, leg, state->scene->shape.protocol, s->ctx->root,
			(uint32_t)s->ctx->by_talker.mki);
	}
}

static void session_senders_add(struct relay_state *state, uint32_t session)
{
	if (state->scene->in == KEYS_GMK) {
		gmk_senders_add(state, session);
		return;
	}
	struct sender *s = &state->senders[state->n_senders++];
	const struct leg *leg = rig_leg_at(state->rig, RIG_RAN, session);
	uint8_t protocol = state->scene->shape.protocol;
	*s = (struct sender){.place = session, .ssrc = state->n_senders * 7919};
	if (state->scene->in == KEYS_CSK)
		s->ctx = rig_ctx_in(state->rig, leg, protocol, 0);
	else
		rig_derive_out(state->rig, leg, protocol, KEY_NONE, leg->in[protocol].user);
}

// Each worker has its own share of the senders, as RSS would have it.
static void traffic_share(struct relay_state *state)
{
	uint32_t share = state->n_senders / state->n_workers;
	for (unsigned i = 0; i < state->n_workers; i++) {
		state->traffic[i] = traffic_open(state->rig, i, &state->scene->shape,
			state->senders + (size_t)i * share, share);
		traffic_warm(state->traffic[i]);
	}
}

static void *relay_bench_open(const struct bench *bench, unsigned n_workers)
{
	const struct scene *scene = bench->detail;
	struct relay_state *state = bench_alloc(sizeof(*state));
	uint32_t users = RTE_MAX(scene->sessions * scene->users, scene->sessions);
	struct rig_size size = {
		.ctxs = users * 4 + 64,
		.legs = scene->sessions * (scene->receivers + 1),
		.streams = users * 2 + 64,
		.cryptodev = scene->cryptodev,
	};
	state->scene = scene;
	state->n_workers = n_workers;
	state->rig = rig_open(size, n_workers);
	state->senders = bench_alloc(users * sizeof(*state->senders));
	for (uint32_t i = 0; i < scene->sessions; i++)
		session_make(state->rig, scene, i);
	rig_learn_gateways(state->rig);
	for (uint32_t i = 0; i < scene->sessions; i++)
		session_senders_add(state, i);
	traffic_share(state);
	return state;
}

static struct chunk relay_bench_run(void *arg, unsigned worker)
{
	struct relay_state *state = arg;
	return traffic_run(state->traffic[worker]);
}

static void relay_bench_close(void *arg)
{
	struct relay_state *state = arg;
	for (unsigned i = 0; i < state->n_workers; i++)
		traffic_close(state->traffic[i]);
	rig_close(state->rig);
	free(state->senders);
	free(state);
}

// What a GMK's user sends: the profile of TS 33.180 Annex E.
#define GMK_SHAPE(octets_, copies_) .octets = octets_, .mki_len = 8, .roc = true, .copies = copies_

static const struct scene reencrypt_1k = {.in = KEYS_GMK,
	.out = KEYS_GMK,
	.sessions = 2,
	.users = SESSION_USERS,
	.receivers = 1,
	.shape = {GMK_SHAPE(160, 1)}};
static const struct scene reencrypt_aesni_gcm = {.in = KEYS_GMK,
	.out = KEYS_GMK,
	.cryptodev = "crypto_aesni_gcm0",
	.sessions = 2,
	.users = SESSION_USERS,
	.receivers = 1,
	.shape = {GMK_SHAPE(160, 1)}};
static const struct scene reencrypt_aesni_gcm_1m = {.in = KEYS_GMK,
	.out = KEYS_GMK,
	.cryptodev = "crypto_aesni_gcm0",
	.sessions = 2000,
	.users = SESSION_USERS,
	.receivers = 1,
	.shape = {GMK_SHAPE(160, 1)}};
static const struct scene reencrypt_aesni_mb = {.in = KEYS_GMK,
	.out = KEYS_GMK,
	.cryptodev = "crypto_aesni_mb0",
	.sessions = 2,
	.users = SESSION_USERS,
	.receivers = 1,
	.shape = {GMK_SHAPE(160, 1)}};
static const struct scene reencrypt_openssl = {.in = KEYS_GMK,
	.out = KEYS_GMK,
	.cryptodev = "crypto_openssl0",
	.sessions = 2,
	.users = SESSION_USERS,
	.receivers = 1,
	.shape = {GMK_SHAPE(160, 1)}};
static const struct scene fanout_aesni_gcm = {.in = KEYS_GMK,
	.out = KEYS_GMK,
	.cryptodev = "crypto_aesni_gcm0",
	.sessions = 1,
	.users = 16,
	.receivers = 100,
	.shape = {GMK_SHAPE(160, 100)}};
static const struct scene forged_aesni_gcm = {.in = KEYS_GMK,
	.out = KEYS_GMK,
	.cryptodev = "crypto_aesni_gcm0",
	.sessions = 2,
	.users = SESSION_USERS,
	.receivers = 1,
	.shape = {GMK_SHAPE(160, 1), .flaw = TRAFFIC_FORGED}};
static const struct scene reencrypt_100k = {.in = KEYS_GMK,
	.out = KEYS_GMK,
	.sessions = 200,
	.users = SESSION_USERS,
	.receivers = 1,
	.shape = {GMK_SHAPE(160, 1)}};
static const struct scene reencrypt_1m = {.in = KEYS_GMK,
	.out = KEYS_GMK,
	.sessions = 2000,
	.users = SESSION_USERS,
	.receivers = 1,
	.shape = {GMK_SHAPE(160, 1)}};
static const struct scene reencrypt_1200 = {.in = KEYS_GMK,
	.out = KEYS_GMK,
	.sessions = 2,
	.users = SESSION_USERS,
	.receivers = 1,
	.shape = {GMK_SHAPE(1200, 1)}};
static const struct scene reencrypt_ragged = {.in = KEYS_GMK,
	.out = KEYS_GMK,
	.sessions = 2,
	.users = SESSION_USERS,
	.receivers = 1,
	.shape = {GMK_SHAPE(1200, 1), .ragged = true}};
static const struct scene segy = {.in = KEYS_GMK,
	.keyless = "plain",
	.sessions = 4,
	.users = SESSION_USERS,
	.receivers = 1,
	.shape = {GMK_SHAPE(160, 1)}};
static const struct scene segy_protect = {.keyless = "plain",
	.out = KEYS_GMK,
	.sessions = 1000,
	.users = 1,
	.receivers = 1,
	.shape = {.octets = 160, .copies = 1}};
static const struct scene opaque = {.keyless = "opaque",
	.sessions = 1000,
	.receivers = 1,
	.shape = {.octets = 160, .copies = 1}};
static const struct scene fanout_10 = {.in = KEYS_GMK,
	.out = KEYS_GMK,
	.sessions = 1,
	.users = 16,
	.receivers = 10,
	.shape = {GMK_SHAPE(160, 10)}};
static const struct scene fanout_100 = {.in = KEYS_GMK,
	.out = KEYS_GMK,
	.sessions = 1,
	.users = 16,
	.receivers = 100,
	.shape = {GMK_SHAPE(160, 100)}};
static const struct scene fanout_1000 = {.in = KEYS_GMK,
	.out = KEYS_GMK,
	.sessions = 1,
	.users = 16,
	.receivers = 1000,
	.shape = {GMK_SHAPE(160, 1000)}};
static const struct scene srtcp = {.in = KEYS_CSK,
	.out = KEYS_CSK,
	.sessions = 500,
	.receivers = 1,
	.shape = {.protocol = SRTP_RTCP, .octets = 64, .mki_len = 4, .copies = 1}};
static const struct scene forged = {.in = KEYS_GMK,
	.out = KEYS_GMK,
	.sessions = 2,
	.users = SESSION_USERS,
	.receivers = 1,
	.shape = {GMK_SHAPE(160, 1), .flaw = TRAFFIC_FORGED}};
static const struct scene unknown_key = {.in = KEYS_GMK,
	.out = KEYS_GMK,
	.sessions = 2,
	.users = SESSION_USERS,
	.receivers = 1,
	.shape = {GMK_SHAPE(160, 1), .flaw = TRAFFIC_UNKNOWN_KEY}};
static const struct scene unknown_user = {.in = KEYS_GMK,
	.out = KEYS_GMK,
	.sessions = 2,
	.users = SESSION_USERS,
	.receivers = 1,
	.shape = {GMK_SHAPE(160, 1), .flaw = TRAFFIC_UNKNOWN_USER}};

#define BENCH(name_, what_, scene_, keys_, octets_, copies_)                                       \
	{.name = name_,                                                                            \
		.what = what_,                                                                     \
		.detail = &(scene_),                                                               \
		.keys = keys_,                                                                     \
		.octets = octets_,                                                                 \
		.copies = copies_,                                                                 \
		.open = relay_bench_open,                                                          \
		.run = relay_bench_run,                                                            \
		.close = relay_bench_close}

const struct bench relay_benches[] = {
	BENCH("relay-reencrypt-160-1k", "from GMK to GMK", reencrypt_1k, 1000, 160, 1),
	BENCH("relay-reencrypt-160-100k", "from GMK to GMK", reencrypt_100k, 100000, 160, 1),
	BENCH("relay-reencrypt-160-1m", "from GMK to GMK", reencrypt_1m, 1000000, 160, 1),
	BENCH("relay-reencrypt-1200-1k", "from GMK to GMK", reencrypt_1200, 1000, 1200, 1),
	BENCH("relay-reencrypt-ragged-1k", "from GMK to GMK, 1 to 1200 octets", reencrypt_ragged,
		1000, 0, 1),
	BENCH("relay-segy-160-1k", "from GMK to plain", segy, 1000, 160, 1),
	BENCH("relay-segy-protect-160-1k", "from plain to GMK", segy_protect, 1000, 160, 1),
	BENCH("relay-opaque-160-1k", "forwarded unchanged, 1,000 sessions", opaque, 0, 160, 1),
	BENCH("relay-fanout-10", "from GMK to GMK, protected once", fanout_10, 32, 160, 10),
	BENCH("relay-fanout-100", "from GMK to GMK, protected once", fanout_100, 32, 160, 100),
	BENCH("relay-fanout-1000", "from GMK to GMK, protected once", fanout_1000, 32, 160, 1000),
	BENCH("relay-srtcp-reencrypt-1k", "from CSK to CSK, SRTCP", srtcp, 1000, 64, 1),
	BENCH("reject-forged-160", "dropped: the tag does not match", forged, 1000, 160, 0),
	BENCH("reject-unknown-mki", "dropped: the MKI is of no key of the leg", unknown_key, 1000,
		160, 0),
	BENCH("reject-unknown-user", "dropped: the MKI is of no user of the GMK", unknown_user,
		1000, 160, 0),
	BENCH("cryptodev-aesni-gcm-160-1k", "relay-reencrypt-160-1k by a crypto device",
		reencrypt_aesni_gcm, 1000, 160, 1),
	BENCH("cryptodev-aesni-gcm-160-1m", "relay-reencrypt-160-1m by a crypto device",
		reencrypt_aesni_gcm_1m, 1000000, 160, 1),
	BENCH("cryptodev-aesni-mb-160-1k", "relay-reencrypt-160-1k by a crypto device",
		reencrypt_aesni_mb, 1000, 160, 1),
	BENCH("cryptodev-openssl-160-1k", "relay-reencrypt-160-1k by a crypto device",
		reencrypt_openssl, 1000, 160, 1),
	BENCH("cryptodev-aesni-gcm-fanout-100", "relay-fanout-100 by a crypto device",
		fanout_aesni_gcm, 32, 160, 100),
	BENCH("cryptodev-aesni-gcm-forged-160", "reject-forged-160 by a crypto device",
		forged_aesni_gcm, 1000, 160, 0),
	{},
};
