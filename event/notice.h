// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

// What the relay notices and whoever runs it should know: the event types of the control API.
// Each becomes one line of the log, "type key=value ...", and an event for those who subscribed to
// its type. Control thread.

struct endpoint;
struct subscriptions;

// Name; seconds between two notices of one type about one object; whether something is wrong.
#define NOTICE_TYPES(_)                                                                            \
	_(MEDIA_STARTED, "media.started", 1, false)                                                \
	_(MEDIA_TIMEOUT, "media.timeout", 1, false)                                                \
	_(LEG_LEARNED, "leg.learned", 1, false)                                                    \
	_(KEY_ACTIVATED, "key.activated", 1, false)                                                \
	_(KEY_EXPIRED, "key.expired", 1, false)                                                    \
	_(KEY_UNKNOWN, "key.unknown", 10, true)                                                    \
	_(AUTH_FAILING, "auth.failing", 10, true)                                                  \
	_(SSRC_COLLISION, "ssrc.collision", 10, true)                                              \
	_(RTCP_UNENCRYPTED, "rtcp.unencrypted", 10, true)                                          \
	_(OVERLOAD, "overload", 10, true)                                                          \
	_(ADDRESS_CONFLICT, "address.conflict", 10, true)                                          \
	_(PATH_MTU, "path.mtu", 10, true)                                                          \
	_(PATH_UNREACHABLE, "path.unreachable", 10, true)                                          \
	_(NEIGHBOUR_MOVED, "neighbour.moved", 10, true)                                            \
	_(LEG_LIMITED, "leg.limited", 10, true)                                                    \
	_(PORT_DOWN, "port.down", 0, true)                                                         \
	_(PORT_UP, "port.up", 0, false)                                                            \
	_(KEY_OPENED, "key.opened", 0, false)                                                      \
	_(MESSAGE_REFUSED, "message.refused", 10, true)                                            \
	_(IDENTITY_EXPIRING, "identity.expiring", 0, true)                                         \
	_(KMS_EXPIRING, "kms.expiring", 0, true)

enum notice_type {
#define _(name, label, seconds, warning) NOTICE_##name,
	NOTICE_TYPES(_)
#undef _
		NOTICE_N_TYPES,
};

// A root key as events call it.
struct notice_key {
	uint32_t scope, id;
	const char *type;    // NULL: not known
	const char *domain;  // that has it, or
	const char *session; // whose own it is
};

// What is noticed, and about what. NULL and 0: not said. All stay the caller's.
struct notice {
	enum notice_type type;
	const char *session, *leg; // ids
	const struct notice_key *key;
	const struct endpoint *address;   // learned; or of a path, where it leads to
	const struct endpoint *host;      // an address without port; of a path, who says it
	const uint8_t *mac;               // 6 octets, of a host
	const char *reason;               // label of a drop reason or error, or what is overloaded
	const char *port;                 // name
	const char *state;                // "on", "off"; or of the key
	const char *initiator, *receiver; // URIs, of a message
	const char *uri, *kms;            // of an identity, and of its KMS or a KMS alone
	uint64_t to;                      // Unix seconds, when its time is over; 0: not said
	const uint32_t *worker;           // number
	uint64_t count;                   // of packets
	uint32_t seconds;                 // of silence
	uint16_t mtu;                     // octets
};

enum {
	NOTICE_OBJECTS = 4096,           // remembered for the rate limit
	NOTICE_LINES_PER_SECOND = 200,   // of all types and objects, in the log
	NOTICE_EVENTS_PER_SECOND = 5000, // of all types and objects, to subscribers
};

struct notices {
	struct subscriptions *events;
	uint64_t now_ms; // of a clock that never goes back; whoever polls sets it
	struct {
		uint64_t name;    // hash of type and object, 0: unused
		uint64_t told_ms; // now_ms
	} told[NOTICE_OBJECTS];
	uint64_t second; // to which these belong
	uint32_t n_lines, n_lost, n_events;
};

void notices_init(struct notices *notices, struct subscriptions *events);

// Tells log and subscribers, unless the same was told of the same object just before, or too much is
// told in all. False if nobody was told.
bool notice(struct notices *notices, const struct notice *what);

// Name of a type in the control API.
const char *notice_label(enum notice_type type);

// Names of all types in their order, ending with NULL.
extern const char *const notice_labels[NOTICE_N_TYPES + 1];
