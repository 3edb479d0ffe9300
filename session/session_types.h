// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "dataplane/audience.h"
#include "dataplane/leg.h"
#include "key/key.h"

// Sessions (MC calls) and their legs. What a client states is kept as spec; from it what workers use
// is built. A change of a leg costs the same however many legs its session has. Control thread.

struct leg_claims;
struct map;

#define RATE_OCTETS_MAX UINT64_C(1000000000000) // a second

enum {
	SESSION_ID_MAX = 255, // octets of a session or leg id
	SESSION_LEGS_MAX = 10000,
	CLOCK_RATE_MAX = 1000000, // Hz
	RATE_MAX = 1000000000,    // packets a second
};

enum session_service { SERVICE_MCPTT, SERVICE_MCVIDEO, SERVICE_N };
enum session_type { SESSION_GROUP, SESSION_PRIVATE, SESSION_N_TYPES };
enum leg_role { ROLE_NONE, ROLE_INITIATOR, ROLE_RECEIVER };

// A Protection as stated; members left out of its profile come from the key.
struct key_ref {
	uint32_t id;
	uint32_t scope; // in which it was found: the session's or a domain's
};

struct protection_spec {
	uint8_t mode; // enum leg_mode
	uint8_t role; // enum leg_role
	bool has_key, verify;
	bool encrypt; // SRTCP that is sent
	bool has_suite, has_mki_len, has_roc_rate, has_roc;
	uint32_t roc; // with which its streams begin, if has_roc
	struct key_ref key;
	struct key_ref *accept; // taken from as well
	uint32_t n_accept;
	struct key_profile profile;
	char *domain; // NULL: the session's
	char *user;   // NULL: not named
};

// How much of its local address a leg states: all, or the relay picks a port, or an address as well.
enum local_form { LOCAL_STATED, LOCAL_ADDRESS, LOCAL_FAMILY };

// How much a leg may send, a second; 0: any number. What is not stated is the service's.
struct rate_spec {
	uint64_t packets, octets;
	bool has_packets, has_octets;
};

struct leg_spec {
	char *id;
	struct endpoint local;  // once it was checked with its port, if that was left open, too
	struct endpoint remote; // AF_UNSPEC: null
	struct endpoint source; // AF_UNSPEC: where packets are sent to
	uint8_t port, dscp;
	uint8_t local_form; // enum local_form
	bool learn, receive, send, control, rtcp_mux;
	bool ssrc_random;
	bool same_protection; // rtcp_protection was not stated
	bool has_to;
	uint32_t clock_rate; // of RTP timestamps, Hz; 0: the service's
	struct rate_spec rate;
	struct protection_spec protection[SRTP_N_PROTOCOLS];
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
	bool keeps_keys; // those of the session stay: legs alone are stated
	struct leg_spec *legs;
	uint32_t n_legs;
};

struct session_leg;

// One leg names another one in `to`.
struct leg_naming {
	struct session_leg *from, *to;
	LIST_ENTRY(leg_naming) entry;                   // of to's named_by
	struct audience_place places[SRTP_N_PROTOCOLS]; // of `to` in from's own audiences
};

// What the network said of the way to a leg, see leg_path.h.
struct leg_path {
	struct endpoint remote;               // to which the MTU is; port unused
	uint16_t mtu;                         // octets of an IP packet, 0: nothing is known
	uint8_t port;                         // from which
	uint8_t reason;                       // enum unreachable_reason, of the newest error
	struct endpoint mtu_from, error_from; // who said it; port unused
};

// A leg in use.
struct session_leg {
	struct session *session;
	TAILQ_ENTRY(session_leg) entry; // of the session's legs
	struct leg_spec spec;
	uint32_t serial;        // distinguishes it from earlier and later legs with the same index
	uint32_t index;         // for workers
	struct endpoint remote; // where its packets go: spec.remote, or what was learnt since
	struct endpoint left;   // where they went before another remote was stated
	uint64_t left_ms;       // and when that was
	uint64_t learn_due_ms;  // when it may be learnt anew without haste
	uint32_t record;        // place in the store, 0: none
	uint32_t learnt_record; // the same, of what was learnt
	uint64_t born;          // store_version() when the request began that made it
	struct port_address *address;     // of spec.local
	struct multicast_group *group;    // joined: of spec.remote; or NULL
	uint32_t neighbour;               // next hop to remote, NEIGHBOUR_NONE
	uint16_t mtu;                     // octets of an IP packet to remote
	bool learnt_of_rtcp;              // the remote, and no media has told it
	bool leaving;                     // requested, or just going on
	struct leg_path *path;            // NULL: nothing was said of it
	uint32_t users[SRTP_N_PROTOCOLS]; // of spec.protection[].user
	// Of the key that spec.protection[] names, and behind it of those that it accepts; or NULL
	struct key_use **keys[SRTP_N_PROTOCOLS];
	struct audience_place places[SRTP_N_PROTOCOLS]; // in the session's audiences
	LIST_HEAD(, leg_naming) named_by;
	struct leg_naming *names; // of those in spec.to
	uint32_t n_names;
	uint32_t stream;                        // newest noted on the leg + 1; may be stale
	struct audience *own[SRTP_N_PROTOCOLS]; // if spec.has_to
	LIST_ENTRY(session_leg) touched_entry;
	bool touched;   // in the session's
	uint32_t order; // in which it was stated, among the session's
};

// Counted ways to use a GMK: see gmk_ways.h.
struct gmk_ways;

// What a session's legs had sent and received when its rate was last taken, and that rate: 0 the first time.
struct session_rate {
	uint64_t taken_ms;
	uint64_t rx_packets, rx_octets, tx_packets;
	uint32_t rx_packets_per_s, tx_packets_per_s;
	uint64_t rx_octets_per_s;
};

enum { AUDIENCE_RTP, AUDIENCE_RTCP, AUDIENCE_CONTROL, AUDIENCE_N };

// What follows a change of keys in a large session, in this order.
enum follow_stage {
	FOLLOW_LOSE, // legs' own audiences are without the keys that went
	FOLLOW_LEGS, // legs know the keys that came
	FOLLOW_GAIN, // legs' own audiences have them
};

struct session {
	struct sessions *sessions; // in which it is
	struct key_owner owner;    // of the keys that its legs name
	struct session_spec spec;  // its legs and keys have moved to where they are used
	uint32_t scope;            // of its own keys, 0: none yet
	uint32_t record;           // place in the store, 0: none
	uint32_t *key_ids;         // of its own keys
	uint32_t n_keys;
	TAILQ_HEAD(, session_leg) legs; // in the order in which they were stated
	uint32_t n_legs;
	uint32_t n_touched;
	struct map *legs_by_id;           // NULL: there are few
	LIST_HEAD(, session_leg) touched; // by the change of a key that is being told
	TAILQ_ENTRY(session) follows_entry;
	struct session_leg
		*follows_at;       // leg that is to follow a change of a key next; NULL: none is
	bool follows;              // in sessions.following
	uint8_t follows_stage;     // enum follow_stage
	bool ends;                 // it is being removed: its legs are not recorded any more
	bool silent;               // media_watch: its timeout was noticed
	bool all_touched;          // not only those in touched
	struct gmk_ways *gmk_ways; // of its legs; NULL: none yet
	struct audience *audiences[AUDIENCE_N]; // of legs without `to`
	uint64_t heard_tsc;        // media_watch: when media was last accepted, or it was made
	struct session_rate *rate; // NULL: not requested yet
};

// A stream in the list of the leg on which it was heard last.
struct stream_note {
	uint32_t leg;            // index + 1; 0: in none
	uint32_t next, previous; // streams + 1
};

// What media_watch saw of a leg. Zeroed memory is a new one.
struct leg_watch {
	uint64_t heard_tsc;         // of the last packet before the silence
	uint64_t fails_tsc;         // when fails was taken
	uint32_t fails, collisions; // drops already reported, or discarded
	uint32_t unencrypted;       // packets already reported
	uint32_t limited;           // drops already reported
	uint32_t no_key, unknown_mki;
	bool playing;      // its start was noticed
	bool path_untold;  // the MTU of its path
	uint64_t path_tsc; // when that was said, if it is known
	uint32_t errors;   // ICMP errors about packets to it
	uint32_t errors_told;
};

struct sessions {
	struct relay *relay;
	struct keystore *keys;
	struct retire *retire;
	struct users *users;
	struct notices *notices;
	uint32_t max_sessions, max_legs;
	struct rate_spec rates[SERVICE_N]; // of legs that state none
	struct map *by_id;
	const struct leg_claims *claims; // of the request that is worked on in steps; NULL: none
	uint32_t n_by_type[SERVICE_N][SESSION_N_TYPES];
	uint32_t n_silent;               // sessions whose timeout was reported
	TAILQ_HEAD(, session) following; // a change of a key
	struct session_leg **by_leg;     // by leg index; secmem_map'd, touched as used
	struct leg_watch *watches;       // by leg index
	struct stream_note *notes;       // by stream; secmem_map'd, touched as used
	uint32_t watch_cursor;           // leg that media_watch looked at last
	uint32_t n_legs;                 // in use
	uint32_t next_serial;
	uint32_t next_order; // of a leg that is stated
	uint32_t n_touched;
	uint32_t *free_legs, n_free;
	// Of the session that comes back from an earlier life: ids of its own keys that are gone, members of an object; NULL: none
	// comes back. Legs may name keys that are not there then.
	const json_t *gone_keys;
};

// The key that a leg names, or NULL.
static inline struct key_slot *leg_key_slot(const struct session_leg *leg, unsigned protocol)
{
	return leg->keys[protocol] ? leg->keys[protocol][0]->slot : NULL;
}
