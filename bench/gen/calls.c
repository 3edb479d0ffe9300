// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "bench/gen/calls.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "base/secmem.h"
#include "bench/bench.h"
#include "crypto/mcx_kdf.h"
#include "crypto/mikey_prf.h"
#include "crypto/srtp_kdf.h"

#define DOMAIN     "mcxgen"
#define SSRC_FIRST UINT32_C(0x20000000)

enum {
	OWN_UDP_PORT_FIRST = 6000, // of place 0
	RELAY_UDP_PORT_FIRST = 20000,
	GMK_TAG = 0, // purpose tags, TS 33.180 table G-1
	PCK_TAG = 1,
	KEY_IN = 0x0a00000, // key ids, plus the group's number
	KEY_OUT = 0x0b00000,
	CS_GROUP = 4,     // TS 33.180 table E.1.3-1: group media of MCPTT
	CS_INITIATOR = 0, // private media of MCPTT that the initiator sends
	NAME_MAX_LEN = 64,
};

static bool kind_has_key(enum gen_kind kind)
{
	return kind != GEN_PLAIN;
}

// --- users

static void user_name(uint32_t group, uint32_t user, char name[NAME_MAX_LEN])
{
	snprintf(name, NAME_MAX_LEN, "sip:u%u@g%u.mcxgen.example", user, group);
}

static bool guk_id_of(const struct gen_calls *calls, const struct gen_key *key, uint32_t group,
	uint32_t user, uint32_t *guk_id)
{
	char name[NAME_MAX_LEN];
	user_name(group, user, name);
	return mcx_guk_id(key->value, srtp_suite_key_len(calls->options->suite), key->id, name,
		       guk_id) == 0;
}

// Another user of the stream's group has that GUK-ID: 28 bits collide, and the relay could not tell
// the two apart.
static bool guk_id_taken(const struct gen_calls *calls, uint32_t stream, uint32_t guk_id)
{
	uint32_t groups = calls->options->groups;
	for (uint32_t other = stream % groups; other < stream; other += groups)
		if (calls->streams[other].guk_id == guk_id)
			return true;
	return false;
}

static bool user_choose(struct gen_calls *calls, uint32_t stream)
{
	struct gen_stream *s = &calls->streams[stream];
	uint32_t groups = calls->options->groups;
	s->user = stream < groups ? 0 : calls->streams[stream - groups].user + 1;
	for (;; s->user++) {
		if (!guk_id_of(calls, &calls->groups[s->group].in, s->group, s->user, &s->guk_id))
			return false;
		if (!guk_id_taken(calls, stream, s->guk_id))
			return true;
	}
}

// --- key contexts

static struct gen_ctx *ctx_derive(struct gen_calls *calls, const struct gen_key *key, uint8_t cs_id,
	uint32_t csb_id, uint8_t mki_len)
{
	struct srtp_master master;
	struct srtp_session session;
	enum srtp_suite suite = calls->options->suite;
	struct gen_ctx *ctx = &calls->ctxs[calls->n_ctxs++];
	bool good =
		mikey_derive_master(key->value, srtp_suite_key_len(suite), cs_id, csb_id, key->rand,
			sizeof(key->rand), suite, &master) == 0 &&
		srtp_kdf(&master, suite, SRTP_RTP, &session) == 0 &&
		cipher_of_suite(calls->cipher, suite)->expand(suite, session.key, ctx->key) == 0;
	if (good)
		memcpy(ctx->salt, session.salt, sizeof(ctx->salt));
	secmem_wipe(&master, sizeof(master));
	secmem_wipe(&session, sizeof(session));
	ctx->mki_len = mki_len;
	ctx->mki = mki_len == 8 ? (uint64_t)key->id << 32 | csb_id : (uint64_t)key->id << 32;
	ctx->roc = mki_len == 8 && srtp_suite_is_aead(suite);
	return good ? ctx : NULL;
}

// What a user of a group protects with under a GMK.
static struct gen_ctx *ctx_of_user(
	struct gen_calls *calls, const struct gen_key *gmk, uint32_t group, uint32_t user)
{
	uint32_t guk_id;
	return guk_id_of(calls, gmk, group, user, &guk_id)
		       ? ctx_derive(calls, gmk, CS_GROUP, guk_id, 8)
		       : NULL;
}

static struct gen_ctx *ctx_of_initiator(struct gen_calls *calls, const struct gen_key *pck)
{
	return ctx_derive(calls, pck, CS_INITIATOR, pck->id, 4);
}

static bool group_ctxs_derive(struct gen_calls *calls, uint32_t group)
{
	struct gen_group *g = &calls->groups[group];
	enum gen_kind from = calls->options->from;
	if (from == GEN_PCK && !(g->ctx_in = ctx_of_initiator(calls, &g->in)))
		return false;
	if (calls->options->to == GEN_SAME)
		return true;
	if (calls->to == GEN_PCK)
		return (g->ctx_out = ctx_of_initiator(calls, &g->out)) != NULL;
	// Nobody but the leg's own user is known to speak.
	if (calls->to == GEN_GMK && from != GEN_GMK)
		return (g->ctx_out = ctx_of_user(calls, &g->out, group, 0)) != NULL;
	return true;
}

static bool stream_ctxs_derive(struct gen_calls *calls, struct gen_stream *s)
{
	const struct gen_group *g = &calls->groups[s->group];
	enum gen_kind from = calls->options->from;
	s->in = g->ctx_in;
	if (from == GEN_GMK || from == GEN_OPAQUE)
		s->in = ctx_of_user(calls, &g->in, s->group, s->user);
	s->out = calls->to == GEN_PLAIN ? NULL : g->ctx_out ? g->ctx_out : s->in;
	if (from == GEN_GMK && calls->options->to == GEN_GMK)
		s->out = ctx_of_user(calls, &g->out, s->group, s->user);
	return (s->in || !kind_has_key(from)) && (s->out || !kind_has_key(calls->to));
}

// --- opening

static void octets_draw(uint64_t *random, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)bench_random(random);
}

static void group_keys_draw(struct gen_calls *calls, uint32_t group, uint64_t *random)
{
	struct gen_group *g = &calls->groups[group];
	struct gen_key *keys[] = {&g->in, &g->out};
	g->in.id = (uint32_t)(calls->options->from == GEN_PCK ? PCK_TAG : GMK_TAG) << 28 |
		   (KEY_IN + group);
	g->out.id = (uint32_t)(calls->to == GEN_PCK ? PCK_TAG : GMK_TAG) << 28 | (KEY_OUT + group);
	for (unsigned i = 0; i < 2; i++) {
		octets_draw(random, keys[i]->value, sizeof(keys[i]->value));
		octets_draw(random, keys[i]->rand, sizeof(keys[i]->rand));
	}
}

static bool calls_derive(struct gen_calls *calls)
{
	const struct gen_options *options = calls->options;
	uint64_t random = options->seed;
	for (uint32_t i = 0; i < options->groups; i++) {
		group_keys_draw(calls, i, &random);
		if (!group_ctxs_derive(calls, i))
			return false;
	}
	for (uint32_t i = 0; i < options->streams; i++) {
		struct gen_stream *s = &calls->streams[i];
		s->group = i % options->groups;
		s->ssrc = SSRC_FIRST + i;
		if (!user_choose(calls, i) || !stream_ctxs_derive(calls, s))
			return false;
	}
	return true;
}

struct gen_calls *gen_calls_open(const struct gen_options *options, const struct cipher *cipher)
{
	struct gen_calls *calls = calloc(1, sizeof(*calls));
	if (!calls)
		abort();
	calls->options = options;
	calls->cipher = cipher;
	calls->to = options->to == GEN_SAME ? options->from : options->to;
	calls->ssrcs_preserved = kind_has_key(options->from) || !kind_has_key(calls->to);
	calls->streams = calloc(options->streams, sizeof(*calls->streams));
	calls->groups = calloc(options->groups, sizeof(*calls->groups));
	calls->ctxs_size = 2 * ((size_t)options->streams + options->groups) * sizeof(*calls->ctxs);
	calls->ctxs = secmem_map(calls->ctxs_size);
	if (!calls->streams || !calls->groups || !calls->ctxs)
		abort();
	if (calls_derive(calls))
		return calls;
	fputs("mcxgen: keys cannot be derived\n", stderr);
	gen_calls_close(calls);
	return NULL;
}

void gen_calls_close(struct gen_calls *calls)
{
	secmem_unmap(calls->ctxs, calls->ctxs_size);
	secmem_wipe(calls->groups, calls->options->groups * sizeof(*calls->groups));
	free(calls->groups);
	free(calls->streams);
	free(calls);
}

// --- what the relay is told

static json_t *users_show(const struct gen_calls *calls, uint32_t group)
{
	json_t *users = json_array();
	for (uint32_t i = group; i < calls->options->streams; i += calls->options->groups) {
		char name[NAME_MAX_LEN];
		user_name(group, calls->streams[i].user, name);
		json_array_append_new(users, json_string(name));
	}
	return users;
}

static json_t *key_show(const struct gen_calls *calls, const struct gen_key *key, json_t *users)
{
	char value[2 * SRTP_KEY_MAX + 1], rand[2 * sizeof(key->rand) + 1];
	enum srtp_suite suite = calls->options->suite;
	hex_encode(key->value, srtp_suite_key_len(suite), value);
	hex_encode(key->rand, sizeof(key->rand), rand);
	json_t *shown = json_pack("{s:o,s:s,s:s,s:s,s:{s:s}}", "id", json_sprintf("%08x", key->id),
		"value", value, "rand", rand, "domain", DOMAIN, "profile", "suite",
		srtp_suite_name(suite));
	if (users)
		json_object_set_new(shown, "users", users);
	secmem_wipe(value, sizeof(value));
	return shown;
}

static bool kind_installed(enum gen_kind kind)
{
	return kind == GEN_GMK || kind == GEN_PCK;
}

json_t *gen_calls_keys(const struct gen_calls *calls, uint32_t group)
{
	const struct gen_group *g = &calls->groups[group];
	const struct gen_options *options = calls->options;
	json_t *keys = json_array();
	if (kind_installed(options->from))
		json_array_append_new(
			keys, key_show(calls, &g->in,
				      options->from == GEN_GMK ? users_show(calls, group) : NULL));
	if (kind_installed(options->to))
		json_array_append_new(keys, key_show(calls, &g->out, NULL));
	if (json_array_size(keys) > 0)
		return json_pack("{s:o,s:b}", "keys", keys, "replace", 1);
	json_decref(keys);
	return NULL;
}

static json_t *protection_show(
	const struct gen_key *key, enum gen_kind kind, const char *role, const char *user)
{
	json_t *protection = json_object();
	if (kind_installed(kind)) {
		json_object_set_new(protection, "mode", json_string("srtp"));
		json_object_set_new(protection, "key", json_sprintf("%08x", key->id));
		if (kind == GEN_PCK)
			json_object_set_new(protection, "role", json_string(role));
	} else {
		json_object_set_new(protection, "mode", json_string(gen_kind_name(kind)));
	}
	if (user)
		json_object_set_new(protection, "user", json_string(user));
	return protection;
}

static json_t *address_show(rte_be32_t address, uint32_t udp_port)
{
	char text[INET_ADDRSTRLEN];
	inet_ntop(AF_INET, &address, text, sizeof(text));
	return json_sprintf("%s:%u", text, udp_port);
}

static json_t *leg_show(
	const struct gen_side *side, const char *id, uint32_t place, json_t *protection)
{
	return json_pack("{s:s,s:s,s:o,s:o,s:o}", "id", id, "port", side->port, "local",
		address_show(side->relay_address, RELAY_UDP_PORT_FIRST + place), "remote",
		address_show(side->address, OWN_UDP_PORT_FIRST + place), "protection", protection);
}

static uint32_t place_in(const struct gen_calls *calls, uint32_t group)
{
	return calls->options->groups * calls->options->receivers + group;
}

json_t *gen_calls_session(const struct gen_calls *calls, uint32_t group)
{
	const struct gen_options *options = calls->options;
	const struct gen_group *g = &calls->groups[group];
	const struct gen_key *key_out = options->to == GEN_SAME ? &g->in : &g->out;
	char user[NAME_MAX_LEN];
	bool named = calls->to == GEN_GMK && options->from != GEN_GMK;
	user_name(group, 0, user);
	json_t *legs = json_array();
	json_array_append_new(legs,
		leg_show(&options->in, "in", place_in(calls, group),
			protection_show(&g->in, options->from, "initiator", named ? user : NULL)));
	for (uint32_t i = 0; i < options->receivers; i++) {
		char id[16];
		snprintf(id, sizeof(id), "out%u", i);
		json_array_append_new(
			legs, leg_show(&options->out, id, group * options->receivers + i,
				      protection_show(key_out, calls->to, "receiver", NULL)));
	}
	return json_pack("{s:{s:o,s:s,s:s,s:s,s:o}}", "session", "id",
		json_sprintf("mcxgen-%u", group), "service", "mcptt", "type",
		options->from == GEN_PCK ? "private" : "group", "domain", DOMAIN, "legs", legs);
}

json_t *gen_calls_session_ids(const struct gen_calls *calls)
{
	json_t *ids = json_array();
	for (uint32_t i = 0; i < calls->options->groups; i++)
		json_array_append_new(ids, json_sprintf("mcxgen-%u", i));
	return json_pack("{s:o}", "ids", ids);
}

json_t *gen_calls_key_names(const struct gen_calls *calls)
{
	json_t *keys = json_array();
	for (uint32_t i = 0; i < calls->options->groups; i++) {
		uint32_t ids[] = {calls->groups[i].in.id, calls->groups[i].out.id};
		for (unsigned n = 0; n < 2; n++)
			json_array_append_new(keys, json_pack("{s:s,s:o}", "domain", DOMAIN, "id",
							    json_sprintf("%08x", ids[n])));
	}
	return json_pack("{s:o}", "keys", keys);
}

// --- what goes to and fro

struct frame_path gen_calls_path_in(const struct gen_calls *calls, uint32_t group,
	const struct rte_ether_addr *own, const struct rte_ether_addr *relay)
{
	const struct gen_side *side = &calls->options->in;
	return (struct frame_path){
		.src_mac = *own,
		.dst_mac = *relay,
		.src_addr = side->address,
		.dst_addr = side->relay_address,
		.src_port = (uint16_t)(OWN_UDP_PORT_FIRST + place_in(calls, group)),
		.dst_port = (uint16_t)(RELAY_UDP_PORT_FIRST + place_in(calls, group)),
	};
}

int gen_calls_place_out(const struct gen_calls *calls, uint16_t udp_port)
{
	int place = udp_port - OWN_UDP_PORT_FIRST;
	int n = (int)(calls->options->groups * calls->options->receivers);
	return place >= 0 && place < n ? place : -1;
}

uint32_t gen_calls_stream_of(const struct gen_calls *calls, uint32_t ssrc)
{
	uint32_t stream = ssrc - SSRC_FIRST;
	return stream < calls->options->streams ? stream : GEN_STREAMS_MAX;
}
