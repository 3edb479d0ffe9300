// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/leg.h"
#include "key/key.h"
#include "server/rpc.h"
#include "session/media_watch.h"

// Sessions (MC calls) and their legs. What a client states is kept as spec; from it the legs and
// fan-outs that workers use are built anew at every change and published as a whole. Control
// thread.

struct leg_counters;
struct map;

enum {
	SESSION_ID_MAX = 255, // octets of a session or leg id
	SESSION_LEGS_MAX = 10000,
	CLOCK_RATE_MAX = 1000000, // Hz
};

enum session_service { SERVICE_MCPTT, SERVICE_MCVIDEO, SERVICE_N };
enum session_type { SESSION_GROUP, SESSION_PRIVATE, SESSION_N_TYPES };
enum leg_role { ROLE_NONE, ROLE_INITIATOR, ROLE_RECEIVER };

// A Protection as stated; what was left out of its profile comes from the key.
struct key_ref {
	uint32_t id;
	uint32_t scope; // in which it was found: the session's or a domain's
};

struct protection_spec {
	uint8_t mode; // enum leg_mode
	uint8_t role; // enum leg_role
	bool has_key, verify;
	bool has_suite, has_mki_len, has_roc_rate;
	struct key_ref key;
	struct key_ref *accept; // taken from as well
	uint32_t n_accept;
	struct key_profile profile;
	char *domain; // NULL: the session's
	char *user;   // NULL: not named
};

struct leg_spec {
	char *id;
	uint8_t port;
	struct endpoint local, remote; // remote AF_UNSPEC: null
	bool learn, receive, send, control, rtcp_mux;
	bool ssrc_random;
	bool same_protection; // rtcp_protection was not stated
	bool stays;           // in use already
	uint8_t dscp;
	uint32_t clock_rate; // of RTP timestamps, Hz; 0: the service's
	struct protection_spec protection[SRTP_N_PROTOCOLS];
	bool has_to;
	char **to; // leg ids, if has_to; otherwise all others
	uint32_t n_to;
	uint32_t position; // in the request, for errors
};

struct session_spec {
	char *id, *domain;
	char *group; // URI, NULL: not stated
	enum session_service service;
	enum session_type type;
	uint32_t timeout; // seconds, 0: none
	struct key_spec *keys;
	uint32_t n_keys;
	struct leg_spec *legs;
	uint32_t n_legs;
};

// A leg in use.
struct session_leg {
	struct leg_spec spec;
	uint32_t serial;     // tells it from other legs with the same index, before and after
	uint64_t learned_ms; // when its remote address last moved
	uint32_t index;      // for workers
	struct port_address *address;     // of spec.local
	struct multicast_group *group;    // joined: of spec.remote; or NULL
	uint32_t neighbour;               // next hop to spec.remote, NEIGHBOUR_NONE
	uint32_t users[SRTP_N_PROTOCOLS]; // of spec.protection[].user
	// Of the key that spec.protection[] names, and behind it of those that it accepts; or NULL
	struct key_use **keys[SRTP_N_PROTOCOLS];
	struct fanout *own[SRTP_N_PROTOCOLS]; // if spec.to
	uint32_t *streams;                    // seen on the leg; may be stale
	uint32_t n_streams, streams_size;
	struct leg *published; // what workers saw of it, once it is leaving
};

// What a session's legs had sent and received when its rate was last taken, and that rate: 0 the first time.
struct session_rate {
	uint64_t taken_ms;
	uint64_t rx_packets, rx_octets, tx_packets;
	uint32_t rx_packets_per_s, tx_packets_per_s;
	uint64_t rx_octets_per_s;
};

enum { FANOUT_RTP, FANOUT_RTCP, FANOUT_CONTROL, FANOUT_N };

struct session {
	struct sessions *sessions; // in which it is
	struct key_owner owner;    // of the keys that its legs name
	struct session_spec spec;  // its legs and keys have moved to where they are used
	uint32_t scope;            // of its own keys, 0: none yet
	uint32_t *key_ids;         // of its own keys
	uint32_t n_keys;
	struct session_leg *legs;
	uint32_t n_legs;
	struct fanout *fanouts[FANOUT_N];
	uint64_t heard_tsc;        // media_watch: when media was last accepted, or it was made
	bool silent;               // media_watch: its timeout was noticed
	struct session_rate *rate; // NULL: nobody asked for it yet
};

struct sessions {
	struct relay *relay;
	struct keystore *keys;
	struct retire *retire;
	struct users *users;
	struct notices *notices;
	uint32_t max_sessions, max_legs;
	struct map *by_id;
	uint32_t n_by_type[SERVICE_N][SESSION_N_TYPES];
	uint32_t n_silent;         // sessions whose timeout was noticed
	struct session **by_leg;   // by leg index; secmem_map'd, touched as used
	uint32_t *positions;       // by leg index: where it is among its session's legs
	struct leg_watch *watches; // by leg index
	uint32_t watch_cursor;     // leg that media_watch looked at last
	uint32_t n_legs;           // in use
	uint32_t next_serial;
	uint32_t n_touched;
	uint32_t *free_legs, n_free;
};

// For legs of the relay that keys are for. 0 or -ENOMEM.
int sessions_init(
	struct sessions *sessions, struct keystore *keys, uint32_t max_sessions, uint32_t max_legs);
void sessions_fini(struct sessions *sessions);

// --- session_read.c: from JSON ---

// Reads a Session. False with *error set. The caller frees spec in any case.
bool session_read(const struct relay *relay, const json_t *value, const char *path,
	struct session_spec *spec, struct rpc_error *error);
// Reads an array of Legs into *legs, of which the caller frees *n in any case.
bool session_read_legs(const struct relay *relay, const json_t *array, const char *path,
	struct leg_spec **legs, uint32_t *n, struct rpc_error *error);
void session_spec_free(struct session_spec *spec);
void leg_spec_free(struct leg_spec *spec);
struct leg_spec leg_spec_copy(const struct leg_spec *spec);
// Whether the leg receives from a multicast group: its remote is one, and it may receive.
bool leg_spec_joins(const struct leg_spec *spec);

// --- session_check.c: may it be? Each returns false with *error set, and changes nothing ---

// Leg specs by id. Values are the specs' own; the caller frees the map.
struct map *leg_specs_by_id(struct leg_spec *legs, uint32_t n);
// No two have one id.
bool leg_specs_check_ids(
	const struct leg_spec *legs, uint32_t n, const char *path, struct rpc_error *error);
// Its own keys can be installed.
bool session_check_keys(struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, const char *path, struct rpc_error *error);
// Its legs: limits, addresses, keys (finds the scope of each), receivers.
bool session_check(struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, const char *path, struct rpc_error *error);

// --- session.c ---

struct session *session_find(const struct sessions *sessions, const char *id);

// Makes the session be what spec says, or changes nothing and sets *error, with paths below path.
// Takes what it needs out of spec. *created tells whether it is new.
bool session_apply(struct sessions *sessions, struct session_spec *spec, const char *path,
	bool *created, struct rpc_error *error);

// As session_apply() for some legs: those with an id that exists change, the others join.
bool session_apply_legs(struct sessions *sessions, struct session *session, struct leg_spec *legs,
	uint32_t n, const char *path, struct rpc_error *error);

// Takes legs out. Unknown ids are an error, and none leaves then.
bool session_remove_legs(struct sessions *sessions, struct session *session, const json_t *ids,
	const char *path, uint32_t *removed, struct rpc_error *error);

void session_remove(struct sessions *sessions, struct session *session);

// Builds and publishes anew what workers see of it, after a key changed.
void session_rebuild(struct sessions *sessions, struct session *session);

// The leg of an index and its session; NULL if there is none.
struct session_leg *session_leg_at(
	const struct sessions *sessions, uint32_t index, struct session **session);

// A worker says that an authentic packet of a leg came from addr.
void session_learn(
	struct sessions *sessions, uint32_t index, uint32_t serial, const struct endpoint *addr);
// A worker says that a stream is on a leg.
void session_note_stream(
	struct sessions *sessions, uint32_t index, uint32_t serial, uint32_t stream);

// --- session_build.c: from spec to what workers use ---

// Crypto session identifiers of TS 33.180 table E.1.3-1 (SPK, MSCCK, MKFC: see docs) for what a
// client behind a leg with that role sends, and for what it receives.
uint8_t cs_id_receive(enum session_service service, enum key_type type, enum leg_role role);
uint8_t cs_id_send(enum session_service service, enum key_type type, enum leg_role role);

// The key that a leg names, or NULL.
static inline struct key_slot *leg_key_slot(const struct session_leg *leg, unsigned protocol)
{
	return leg->keys[protocol] ? leg->keys[protocol][0]->slot : NULL;
}

// Profile of a leg: what it states, over the key's.
struct key_profile protection_profile(
	const struct protection_spec *spec, const struct key_slot *key);

// The list of all that legs of one kind send to; to NULL: all legs. Never NULL.
struct fanout *fanout_build(struct keystore *store, const struct session *session, unsigned kind,
	const struct leg_spec *from);

// Rate of a leg's RTP timestamps in Hz: as stated, or that of the service's usual codecs.
uint32_t leg_clock_rate(enum session_service service, const struct leg_spec *spec);

// A leg as workers see it.
struct leg *leg_build(
	struct keystore *store, const struct session *session, const struct session_leg *leg);

// --- session_show.c: to JSON ---

json_t *session_show(const struct sessions *sessions, const struct session *session);

// --- session_statistics.c: to JSON, too ---

json_t *leg_statistics_show(const struct relay *relay, const struct session_leg *leg);
json_t *session_summary(const struct session *session);

// What all workers count of a leg: its packets and octets, and when the last ones were.
struct leg_counters leg_counters_sum(const struct relay *relay, uint32_t leg);
// RTP packets that did not come, of all streams of the leg.
int64_t leg_lost(const struct relay *relay, const struct session_leg *leg);

// --- session_top.c: the busiest ---

enum { SESSION_TOP_DEFAULT = 20, SESSION_TOP_MAX = 100 };

// The sessions that sent and received most packets a second lately, the busiest first. give_way is
// called now and then while all are looked at; no session comes or goes in it.
json_t *session_top(
	struct sessions *sessions, uint32_t limit, void (*give_way)(void *arg), void *arg);
