// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "host/multicast.h"

#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_random.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/secmem.h"
#include "dataplane/relay_tables.h"
#include "host/igmp.h"
#include "host/mld.h"

static struct multicast_host *host_of(struct multicast *multicast, const struct endpoint *addr)
{
	return &multicast->hosts[addr->family == AF_INET6];
}

// Groups that every node is in, and those of reserved or interface-local scope, are never reported
// (RFC 3376 5, RFC 3810 6).
static bool group_is_reported(const struct endpoint *addr)
{
	static const uint8_t all_systems[4] = {224, 0, 0, 1};
	static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
	if (addr->family == AF_INET)
		return memcmp(addr->addr, all_systems, sizeof(all_systems)) != 0;
	return (addr->addr[1] & 0x0f) >= 2 && memcmp(addr->addr, all_nodes, sizeof(all_nodes)) != 0;
}

// --- table

static struct multicast_table *table_build(const struct multicast *multicast)
{
	uint32_t n = multicast_count(multicast);
	struct multicast_table *table =
		alloc_zero(1, sizeof(*table) + n * sizeof(struct port_address));
	for (uint32_t i = 0; i < multicast->n_groups; i++) {
		const struct multicast_group *group = multicast->groups[i];
		if (group->users > 0)
			table->groups[table->n++] =
				(struct port_address){.addr = group->addr, .legs = group->legs};
	}
	qsort(table->groups, table->n, sizeof(struct port_address), multicast_address_compare);
	return table;
}

// The leg arrays of groups that were left end with the last table that has them.
static void table_take_gone(struct multicast_table *table, struct multicast *multicast)
{
	table->gone = alloc_zero(multicast->n_groups, sizeof(*table->gone));
	for (uint32_t i = 0; i < multicast->n_groups; i++) {
		struct multicast_group *group = multicast->groups[i];
		if (group->users > 0 || !group->legs)
			continue;
		table->gone[table->n_gone++] = group->legs;
		group->legs = NULL;
	}
}

// --- memberships

// What has been left and reported is forgotten.
static void groups_forget(struct multicast *multicast)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < multicast->n_groups; i++) {
		struct multicast_group *group = multicast->groups[i];
		if (group->users == 0 && group->changes == 0 && !group->legs)
			free(group);
		else
			multicast->groups[kept++] = group;
	}
	multicast->n_groups = kept;
}

struct multicast_table *multicast_publish(struct relay *relay, uint8_t port)
{
	struct multicast *multicast = &relay->multicast[port];
	if (!multicast->changed)
		return NULL;
	struct multicast_table *before = atomic_exchange_explicit(
		&relay->multicast_tables[port], table_build(multicast), memory_order_acq_rel);
	if (!before) // what was joined and left before the first table was never visible
		before = alloc_zero(1, sizeof(*before));
	table_take_gone(before, multicast);
	multicast->changed = false;
	groups_forget(multicast);
	return before;
}

static struct multicast_group *group_find(
	const struct multicast *multicast, const struct endpoint *addr)
{
	for (uint32_t i = 0; i < multicast->n_groups; i++)
		if (endpoint_same_addr(&multicast->groups[i]->addr, addr))
			return multicast->groups[i];
	return NULL;
}

struct multicast_group *multicast_member(
	const struct multicast *multicast, const struct endpoint *addr)
{
	struct multicast_group *group = group_find(multicast, addr);
	return group && group->users > 0 ? group : NULL;
}

uint32_t multicast_count(const struct multicast *multicast)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < multicast->n_groups; i++)
		n += multicast->groups[i]->users > 0;
	return n;
}

static struct multicast_group *group_add(struct multicast *multicast, const struct endpoint *addr)
{
	if (multicast->n_groups == multicast->size) {
		multicast->size = multicast->size ? multicast->size * 2 : 16;
		multicast->groups = alloc_resize(
			multicast->groups, multicast->size, sizeof(*multicast->groups));
	}
	struct multicast_group *group = alloc_zero(1, sizeof(*group));
	group->addr = *addr;
	group->addr.port = 0;
	multicast->groups[multicast->n_groups++] = group;
	return group;
}

// The next tick reports it, and once more later.
static void group_report(struct multicast *multicast, struct multicast_group *group)
{
	if (!group_is_reported(&group->addr))
		return;
	group->changes = MULTICAST_ROBUSTNESS;
	host_of(multicast, &group->addr)->change_ms = clock_now_ms();
}

// Joined or left.
static void group_changed(struct multicast *multicast, struct multicast_group *group)
{
	group->answer_ms = 0;
	multicast->changed = true;
	group_report(multicast, group);
}

void multicast_report_again(struct relay *relay, uint8_t port)
{
	struct multicast *multicast = &relay->multicast[port];
	for (uint32_t i = 0; i < multicast->n_groups; i++)
		if (multicast->groups[i]->users > 0)
			group_report(multicast, multicast->groups[i]);
}

struct multicast_group *multicast_join(
	struct relay *relay, uint8_t port, const struct endpoint *addr)
{
	struct multicast *multicast = &relay->multicast[port];
	struct multicast_group *group = group_find(multicast, addr);
	if (!group)
		group = group_add(multicast, addr);
	if (group->users++ > 0)
		return group;
	if (!group->legs)
		group->legs = secmem_map(PORT_LEGS_SIZE);
	if (!group->legs)
		alloc_failed(__func__, PORT_LEGS_SIZE);
	group_changed(multicast, group);
	return group;
}

void multicast_leave(struct relay *relay, uint8_t port, struct multicast_group *group)
{
	if (--group->users == 0)
		group_changed(&relay->multicast[port], group);
}

void multicast_open(struct relay *relay, uint8_t port)
{
	const struct port *p = &relay->ports[port];
	for (unsigned i = 0; i < p->n_addresses; i++) {
		const uint8_t *a = p->addresses[i].addr.addr;
		struct endpoint group = {.family = AF_INET6,
			.addr = {0xff, 0x02, [11] = 1, 0xff, a[13], a[14], a[15]}};
		if (p->addresses[i].addr.family == AF_INET6)
			multicast_join(relay, port, &group);
	}
	multicast_table_free(multicast_publish(relay, port));
}

void multicast_close(struct relay *relay, uint8_t port)
{
	struct multicast *multicast = &relay->multicast[port];
	for (uint32_t i = 0; i < multicast->n_groups; i++) {
		secmem_unmap((void *)(uintptr_t)multicast->groups[i]->legs, PORT_LEGS_SIZE);
		free(multicast->groups[i]);
	}
	free(multicast->groups);
	multicast_table_free(atomic_load(&relay->multicast_tables[port]));
	atomic_store(&relay->multicast_tables[port], NULL);
	*multicast = (struct multicast){};
}

// --- reports

// One report while records are put into it. Its head is filled in when it is sent.
struct report {
	struct relay *relay;
	uint8_t port;
	bool ipv6;
	enum multicast_age age;
	uint16_t n_records, len, max; // octets
	uint8_t octets[MULTICAST_REPORT_MAX];
};

static void report_clear(struct report *report)
{
	report->n_records = 0;
	report->len = MULTICAST_REPORT_HEAD_LEN;
	memset(report->octets, 0, MULTICAST_REPORT_HEAD_LEN);
}

static void report_begin(struct report *report, struct relay *relay, uint8_t port, bool ipv6)
{
	int len = RTE_MIN(relay->ports[port].mtu, MULTICAST_REPORT_MAX); // 576 at least
	report->relay = relay;
	report->port = port;
	report->ipv6 = ipv6;
	report->age = relay->multicast[port].hosts[ipv6].age;
	report->max = (uint16_t)(len - (ipv6 ? MLD_IP_LEN : IGMP_IP_LEN));
	report_clear(report);
}

static void report_send(struct report *report)
{
	if (report->n_records == 0)
		return;
	report->octets[6] = (uint8_t)(report->n_records >> 8);
	report->octets[7] = (uint8_t)report->n_records;
	if (report->ipv6)
		mld_send_report(report->relay, report->port, report->octets, report->len);
	else
		igmp_send_report(report->relay, report->port, report->octets, report->len);
	report_clear(report);
}

// Octets of an address in it.
static uint16_t report_put_addr(struct report *report, const uint8_t *addr)
{
	uint16_t len = report->ipv6 ? 16 : 4;
	memcpy(report->octets + report->len, addr, len);
	return len;
}

// A record of one group, with the queried sources if type is about sources. Older queriers do not
// know records: they get a message for each group.
static void report_add(
	struct report *report, enum multicast_record type, const struct multicast_group *group)
{
	if (report->age != MULTICAST_NEWEST) {
		bool leave = type == MULTICAST_TO_INCLUDE;
		if (report->ipv6)
			mld_send_older(report->relay, report->port, &group->addr, leave);
		else
			igmp_send_older(report->relay, report->port, &group->addr,
				report->age == MULTICAST_OLDEST, leave);
		return;
	}
	uint8_t n = type == MULTICAST_IS_INCLUDE ? group->n_sources : 0;
	uint8_t head[4] = {(uint8_t)type, 0, 0, n};
	unsigned addrs_len = (1U + n) * (report->ipv6 ? 16 : 4);
	if (report->len + sizeof(head) + addrs_len > report->max)
		report_send(report);
	memcpy(report->octets + report->len, head, sizeof(head));
	report->len += sizeof(head);
	report->len += report_put_addr(report, group->addr.addr);
	for (uint8_t i = 0; i < n; i++)
		report->len += report_put_addr(report, group->sources[i]);
	report->n_records++;
}

static bool group_is_of(const struct multicast_group *group, bool ipv6)
{
	return (group->addr.family == AF_INET6) == ipv6;
}

// Reports what was joined or left since, and again within a second (RFC 3376 5.1, RFC 3810 6.1).
static void changes_report(struct relay *relay, uint8_t port, bool ipv6, uint64_t now_ms)
{
	struct multicast *multicast = &relay->multicast[port];
	struct report report;
	bool more = false;
	report_begin(&report, relay, port, ipv6);
	for (uint32_t i = 0; i < multicast->n_groups; i++) {
		struct multicast_group *group = multicast->groups[i];
		if (!group_is_of(group, ipv6) || group->changes == 0)
			continue;
		report_add(&report, group->users > 0 ? MULTICAST_TO_EXCLUDE : MULTICAST_TO_INCLUDE,
			group);
		more |= --group->changes > 0;
	}
	report_send(&report);
	multicast->hosts[ipv6].change_ms =
		more ? now_ms + 1 + rte_rand_max(MULTICAST_REPEAT_MS) : 0;
	groups_forget(multicast);
}

static void general_answer(struct relay *relay, uint8_t port, bool ipv6)
{
	struct multicast *multicast = &relay->multicast[port];
	struct report report;
	report_begin(&report, relay, port, ipv6);
	for (uint32_t i = 0; i < multicast->n_groups; i++) {
		struct multicast_group *group = multicast->groups[i];
		if (group_is_of(group, ipv6) && group->users > 0 && group_is_reported(&group->addr))
			report_add(&report, MULTICAST_IS_EXCLUDE, group);
	}
	report_send(&report);
	multicast->hosts[ipv6].answer_ms = 0;
}

static uint64_t earlier(uint64_t a_ms, uint64_t b_ms)
{
	return a_ms == 0 || (b_ms != 0 && b_ms < a_ms) ? b_ms : a_ms;
}

static void groups_answer(struct relay *relay, uint8_t port, bool ipv6, uint64_t now_ms)
{
	struct multicast *multicast = &relay->multicast[port];
	struct report report;
	uint64_t next_ms = 0;
	report_begin(&report, relay, port, ipv6);
	for (uint32_t i = 0; i < multicast->n_groups; i++) {
		struct multicast_group *group = multicast->groups[i];
		if (!group_is_of(group, ipv6) || group->answer_ms == 0)
			continue;
		if (group->answer_ms > now_ms) {
			next_ms = earlier(next_ms, group->answer_ms);
			continue;
		}
		// All sources are included: so are those queried (RFC 3376 5.2).
		report_add(&report,
			group->n_sources > 0 ? MULTICAST_IS_INCLUDE : MULTICAST_IS_EXCLUDE, group);
		group->answer_ms = 0;
	}
	report_send(&report);
	multicast->hosts[ipv6].group_ms = next_ms;
}

// --- queries

static enum multicast_age host_age(const struct multicast_host *host, uint64_t now_ms)
{
	enum multicast_age age = MULTICAST_OLDEST;
	while (age > MULTICAST_NEWEST && now_ms >= host->older_ms[age])
		age--;
	return age;
}

// When the version changes, pending answers and repetitions end (RFC 3376 7.2.1, RFC 3810 8.2.1);
// changes that were not reported yet are not lost.
static void host_update(struct multicast *multicast, bool ipv6, uint64_t now_ms)
{
	struct multicast_host *host = &multicast->hosts[ipv6];
	enum multicast_age age = host_age(host, now_ms);
	if (age == host->age)
		return;
	host->age = age;
	host->answer_ms = host->group_ms = 0;
	for (uint32_t i = 0; i < multicast->n_groups; i++) {
		struct multicast_group *group = multicast->groups[i];
		if (!group_is_of(group, ipv6))
			continue;
		group->answer_ms = 0;
		if (group->changes < MULTICAST_ROBUSTNESS)
			group->changes = 0;
	}
	groups_forget(multicast);
}

static void group_add_source(struct multicast_group *group, const uint8_t *source, uint8_t len)
{
	for (uint8_t i = 0; i < group->n_sources; i++)
		if (memcmp(group->sources[i], source, len) == 0)
			return;
	memcpy(group->sources[group->n_sources++], source, len);
}

// RFC 3376 5.2, rules 3 to 5. Sources that do not fit become a question for all.
static void group_asked(struct multicast_host *host, struct multicast_group *group,
	const struct multicast_query *query, uint64_t at_ms)
{
	uint8_t len = endpoint_addr_len(&group->addr);
	bool pending = group->answer_ms != 0;
	group->answer_ms = earlier(group->answer_ms, at_ms);
	host->group_ms = earlier(host->group_ms, at_ms);
	if (!pending)
		group->n_sources = 0;
	else if (group->n_sources == 0)
		return;
	uint32_t n = query->n_sources;
	if (n == 0 || n + group->n_sources > MULTICAST_SOURCES_MAX) {
		group->n_sources = 0;
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		group_add_source(group, query->sources + (size_t)i * len, len);
}

static uint64_t answer_time(const struct multicast_query *query, uint64_t now_ms)
{
	return now_ms + rte_rand_max((uint64_t)query->max_ms + 1);
}

static void all_asked(struct multicast *multicast, const struct multicast_query *query,
	uint64_t at_ms, uint64_t now_ms)
{
	bool ipv6 = query->group.family == AF_INET6;
	struct multicast_host *host = &multicast->hosts[ipv6];
	if (host->age == MULTICAST_NEWEST) {
		host->answer_ms = at_ms;
		return;
	}
	// Older versions answer for each group in its own time (RFC 2236 3, RFC 2710 4).
	for (uint32_t i = 0; i < multicast->n_groups; i++) {
		struct multicast_group *group = multicast->groups[i];
		if (group_is_of(group, ipv6) && group->users > 0 && group_is_reported(&group->addr))
			group_asked(host, group, query, answer_time(query, now_ms));
	}
}

void multicast_asked(struct relay *relay, uint8_t port, const struct multicast_query *query)
{
	struct multicast *multicast = &relay->multicast[port];
	struct multicast_host *host = host_of(multicast, &query->group);
	uint64_t now_ms = clock_now_ms(), at_ms = answer_time(query, now_ms);
	if (query->age != MULTICAST_NEWEST)
		host->older_ms[query->age] = now_ms + MULTICAST_OLDER_MS;
	host_update(multicast, query->group.family == AF_INET6, now_ms);
	if (host->answer_ms != 0 && host->answer_ms <= at_ms)
		return; // that answer is one to this query, too
	struct endpoint all = {.family = query->group.family};
	if (endpoint_same_addr(&query->group, &all)) {
		all_asked(multicast, query, at_ms, now_ms);
		return;
	}
	struct multicast_group *group = multicast_member(multicast, &query->group);
	if (group && group_is_reported(&group->addr))
		group_asked(host, group, query, at_ms);
}

// --- time

static bool is_due(uint64_t at_ms, uint64_t now_ms)
{
	return at_ms != 0 && now_ms >= at_ms;
}

static void host_tick(struct relay *relay, uint8_t port, bool ipv6, uint64_t now_ms)
{
	struct multicast_host *host = &relay->multicast[port].hosts[ipv6];
	host_update(&relay->multicast[port], ipv6, now_ms);
	if (is_due(host->change_ms, now_ms))
		changes_report(relay, port, ipv6, now_ms);
	if (is_due(host->answer_ms, now_ms))
		general_answer(relay, port, ipv6);
	if (is_due(host->group_ms, now_ms))
		groups_answer(relay, port, ipv6, now_ms);
}

void multicast_tick(struct relay *relay, uint64_t now_ms)
{
	for (unsigned port = 0; port < relay->n_ports; port++)
		for (unsigned ipv6 = 0; ipv6 < 2; ipv6++)
			host_tick(relay, (uint8_t)port, ipv6 == 1, now_ms);
}

void multicast_leave_all(struct relay *relay)
{
	uint64_t now_ms = clock_now_ms();
	for (unsigned port = 0; port < relay->n_ports; port++) {
		struct multicast *multicast = &relay->multicast[port];
		for (uint32_t i = 0; i < multicast->n_groups; i++) {
			multicast->groups[i]->users = 0;
			group_changed(multicast, multicast->groups[i]);
		}
		changes_report(relay, (uint8_t)port, false, now_ms);
		changes_report(relay, (uint8_t)port, true, now_ms);
	}
}
