// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "dataplane/multicast_table.h"
#include "host/multicast_query.h"

// The multicast groups that a port listens to, and the host side of IGMPv3 (RFC 3376) and MLDv2
// (RFC 3810): every group is received from all sources. The control thread joins, leaves and
// reports; workers read the tables that it publishes. What igmp.c and mld.c write and read differs in headers and
// the length of addresses alone, so memberships and timers are one.

struct relay;

enum {
	MULTICAST_GROUPS_MAX = 1024,   // of a port, its own solicited-node groups among them
	MULTICAST_SOURCES_MAX = 16,    // of one query that an answer names; beyond: all
	MULTICAST_ROBUSTNESS = 2,      // times that a change is reported (RFC 3376 8.1)
	MULTICAST_REPEAT_MS = 1000,    // within which it is reported again (RFC 3376 8.11)
	MULTICAST_OLDER_MS = 260000,   // for which an older querier counts (RFC 3376 8.12)
	MULTICAST_REPORT_MAX = 1500,   // octets of an IP packet, if the port's MTU is no less
	MULTICAST_REPORT_HEAD_LEN = 8, // octets before the records, in IGMPv3 as in MLDv2
};

// Record types, the same numbers in both protocols (RFC 3376 4.2.12, RFC 3810 5.2.12).
enum multicast_record {
	MULTICAST_IS_INCLUDE = 1,
	MULTICAST_IS_EXCLUDE = 2,
	MULTICAST_TO_INCLUDE = 3,
	MULTICAST_TO_EXCLUDE = 4,
};

// A group as the control thread keeps it, until its leaving has been reported.
struct multicast_group {
	struct endpoint addr;   // port unused
	_Atomic uint32_t *legs; // as in struct port_address; NULL: unpublished
	uint32_t users;         // legs, or the port itself; 0: left
	uint8_t changes;        // reports still to be sent of its joining or leaving
	uint8_t n_sources;      // of the queries to be answered; 0: all sources
	uint64_t answer_ms;     // when they are answered, 0: none
	uint8_t sources[MULTICAST_SOURCES_MAX][16];
};

// Timers of one address family, in milliseconds of clock_now_ms(); 0: not running.
struct multicast_host {
	uint64_t change_ms;                // when changes are reported next
	uint64_t answer_ms;                // when a general query is answered
	uint64_t group_ms;                 // the earliest answer_ms of a group
	uint64_t older_ms[MULTICAST_AGES]; // until when a querier of that age counts
	enum multicast_age age;            // version in use now
};

// The memberships of one port. Control thread.
struct multicast {
	struct multicast_group **groups;
	uint32_t n_groups, size;
	bool changed;                   // relay->multicast_tables is not as the groups are
	struct multicast_host hosts[2]; // IPv4, IPv6
};

// Joins the solicited-node groups (RFC 4291 2.7.1) of the port's own addresses: switches with MLD
// snooping would otherwise not forward Neighbour Solicitations to it. Before workers run.
void multicast_open(struct relay *relay, uint8_t port);
// Frees all of the port. After the workers.
void multicast_close(struct relay *relay, uint8_t port);

// The group if it has users, or NULL.
struct multicast_group *multicast_member(
	const struct multicast *multicast, const struct endpoint *addr);
// How many groups have users.
uint32_t multicast_count(const struct multicast *multicast);

// Adds a user to a group, which is joined with its first; multicast_leave() removes it. Workers
// find it after multicast_publish(). The caller has checked MULTICAST_GROUPS_MAX. Aborts if memory
// is short, as all of the control thread does.
struct multicast_group *multicast_join(
	struct relay *relay, uint8_t port, const struct endpoint *addr);
void multicast_leave(struct relay *relay, uint8_t port, struct multicast_group *group);

// Has workers see the groups as they are. Returns the table that they saw before, for
// multicast_table_free() when no worker reads it any more; NULL if there is nothing to free.
struct multicast_table *multicast_publish(struct relay *relay, uint8_t port);

// Has all memberships of a port reported as if they were new: whoever kept them may have lost them.
void multicast_report_again(struct relay *relay, uint8_t port);

// A query came: has it answered after a random part of its time.
void multicast_asked(struct relay *relay, uint8_t port, const struct multicast_query *query);

// Sends what is due. About once a millisecond.
void multicast_tick(struct relay *relay, uint64_t now_ms);

// Leaves all groups and queues the reports; worker 0 still has to transmit them.
void multicast_leave_all(struct relay *relay);
