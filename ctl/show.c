// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/table.h"
#include "dataplane/drop.h"

// mcxctl show: what the relay has, as tables.

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

static long long number_of(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static int by_domain_and_id(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	int order = strcmp(text_of(x, "domain"), text_of(y, "domain"));
	return order ? order : strcmp(text_of(x, "id"), text_of(y, "id"));
}

static int by_id(const void *a, const void *b)
{
	return strcmp(text_of(*(json_t *const *)a, "id"), text_of(*(json_t *const *)b, "id"));
}

// A sorted array of the same elements, owned by the caller.
static json_t *sorted(const json_t *array, int (*order)(const void *, const void *))
{
	size_t n = json_array_size(array);
	json_t **items = alloc_zero(n + 1, sizeof(json_t *)), *out = json_array();
	for (size_t i = 0; i < n; i++)
		items[i] = json_array_get(array, i);
	qsort(items, n, sizeof(json_t *), order);
	for (size_t i = 0; i < n; i++)
		json_array_append(out, items[i]);
	free(items);
	return out;
}

static void members_add(struct table *table, const json_t *object, const char *const names[])
{
	for (; *names; names++)
		table_add_member(table, object, *names);
}

// --- sessions

static void sessions_print(const json_t *result)
{
	static const char *const titles[] = {
		"SESSION", "SERVICE", "TYPE", "DOMAIN", ">LEGS", ">KEYS", ">TIMEOUT", NULL};
	static const char *const names[] = {
		"id", "service", "type", "domain", "n_legs", "n_keys", "timeout", NULL};
	struct table *table = table_new(titles);
	for (size_t i = 0; i < json_array_size(json_object_get(result, "sessions")); i++)
		members_add(table, json_array_get(json_object_get(result, "sessions"), i), names);
	table_print(table, 0, 0);
}

static long long drops_sum(const json_t *direction)
{
	long long sum = 0;
	const char *reason;
	json_t *n;
	json_object_foreach (json_object_get(direction, "drops"), reason, n)
		sum += json_integer_value(n);
	return sum;
}

// As packets and octets a second; "-" if any number is accepted, or none was stated.
static void rate_add(struct table *table, const json_t *rate)
{
	table_add_member(table, rate, "packets");
	table_add_member(table, rate, "octets");
}

static void leg_add(struct table *table, const json_t *leg, bool rates)
{
	static const char *const stated[] = {"id", "port", "local", "remote", NULL};
	const json_t *protection = json_object_get(leg, "protection");
	const json_t *statistics = json_object_get(leg, "statistics");
	const json_t *receive = json_object_get(statistics, "receive");
	const json_t *send = json_object_get(statistics, "send");
	members_add(table, leg, stated);
	table_add_member(table, protection, "mode");
	table_add_member(table, protection, "key");
	if (rates)
		rate_add(table, json_object_get(leg, "rate"));
	table_add_member(table, receive, "packets");
	table_add_member(table, receive, "lost");
	table_add_member(table, receive, "jitter");
	table_add_number(table, drops_sum(receive));
	table_add_member(table, send, "packets");
	table_add_number(table, drops_sum(send));
}

static bool legs_have_rates(const json_t *legs)
{
	for (size_t i = 0; i < json_array_size(legs); i++)
		if (json_object_get(json_array_get(legs, i), "rate"))
			return true;
	return false;
}

static void session_print(const json_t *session)
{
#define STATED  "LEG", "PORT", "LOCAL", "REMOTE", "MODE", "KEY"
#define COUNTED ">RECEIVED", ">LOST", ">JITTER", ">DROPS", ">SENT", ">DROPS", NULL
	static const char *const titles[] = {STATED, COUNTED};
	static const char *const titles_with_rates[] = {STATED, ">PACKETS/S", ">OCTETS/S", COUNTED};
#undef STATED
#undef COUNTED
	bool rates = legs_have_rates(json_object_get(session, "legs"));
	static const char *const names[] = {"id", "service", "type", "domain", "group", NULL};
	for (const char *const *name = names; *name; name++) {
		if (!json_object_get(session, *name))
			continue;
		printf("%s%s=", name == names ? "" : "  ", *name);
		text_print(text_of(session, *name));
	}
	printf("  timeout=%lld  keys=%zu\n", number_of(session, "timeout"),
		json_array_size(json_object_get(session, "keys")));
	struct table *table = table_new(rates ? titles_with_rates : titles);
	json_t *legs = sorted(json_object_get(session, "legs"), by_id);
	for (size_t i = 0; i < json_array_size(legs); i++)
		leg_add(table, json_array_get(legs, i), rates);
	json_decref(legs);
	table_print(table, 0, 0);
}

// --- keys

static void table_add_time(struct table *table, const json_t *key, const char *name)
{
	long long when = number_of(key, name);
	char text[32];
	table_add(table, when != 0 ? time_text((double)when, false, text) : "-");
}

static void keys_print(const json_t *result)
{
	static const char *const titles[] = {"KEY", "DOMAIN", "TYPE", "STATE", "ACTIVATION",
		"EXPIRY", ">CONTEXTS", ">PACKETS", NULL};
	static const char *const names[] = {"id", "domain", "type", "state", NULL};
	struct table *table = table_new(titles);
	for (size_t i = 0; i < json_array_size(json_object_get(result, "keys")); i++) {
		const json_t *key = json_array_get(json_object_get(result, "keys"), i);
		members_add(table, key, names);
		table_add_time(table, key, "activation");
		table_add_time(table, key, "expiry");
		table_add_member(table, key, "contexts");
		table_add_member(table, key, "packets");
	}
	table_print(table, 0, 0);
}

// --- relay

static void ports_print(const json_t *ports)
{
	static const char *const titles[] = {"PORT", "DEVICE", "MAC", ">MTU", ">VLAN", "LINK",
		">RECEIVED", ">MISSED", ">ERRORS", ">SENT", ">ERRORS", NULL};
	static const char *const names[] = {"name", "device", "mac", "mtu", "vlan", "link",
		"rx_packets", "rx_missed", "rx_errors", "tx_packets", "tx_errors", NULL};
	struct table *table = table_new(titles);
	for (size_t i = 0; i < json_array_size(ports); i++)
		members_add(table, json_array_get(ports, i), names);
	table_print(table, 0, 0);
}

// TSC cycles for each frame that was received, since the start.
static void table_add_cycles(struct table *table, const json_t *worker)
{
	long long packets = number_of(worker, "rx_packets");
	if (packets > 0)
		table_add_number(table, number_of(worker, "busy_cycles") / packets);
	else
		table_add(table, "-");
}

static void workers_print(const json_t *workers)
{
	static const char *const titles[] = {">WORKER", ">LCORE", ">BUSY%", ">CYCLES/PACKET",
		">RECEIVED", ">BURSTS", ">SENT", ">HANDOFFS", ">HELD", NULL};
	static const char *const names[] = {
		"rx_packets", "rx_bursts", "tx_packets", "handoffs", "held", NULL};
	struct table *table = table_new(titles);
	for (size_t i = 0; i < json_array_size(workers); i++) {
		const json_t *worker = json_array_get(workers, i);
		char busy[16];
		snprintf(busy, sizeof(busy), "%.1f",
			json_number_value(json_object_get(worker, "busy_percent")));
		table_add_number(table, (long long)i);
		table_add_member(table, worker, "lcore");
		table_add(table, busy);
		table_add_cycles(table, worker);
		members_add(table, worker, names);
	}
	table_print(table, 0, 0);
}

static const char *reason_text(const char *label)
{
	for (unsigned reason = 1; reason < DROP_N_REASONS; reason++)
		if (strcmp(label, drop_label((enum drop_reason)reason)) == 0)
			return drop_text((enum drop_reason)reason);
	return "-";
}

static void drops_print(const json_t *drops)
{
	static const char *const titles[] = {">PACKETS", "REASON", "WHAT IT MEANS", NULL};
	struct table *table = table_new(titles);
	const char *reason;
	json_t *n;
	json_object_foreach ((json_t *)(uintptr_t)drops, reason, n) {
		if (json_integer_value(n) == 0)
			continue;
		table_add_number(table, json_integer_value(n));
		table_add(table, reason);
		table_add(table, reason_text(reason));
	}
	table_print(table, 0, 0);
}

static void stats_print(const json_t *stats)
{
	static const char *const titles[] = {"WHAT", ">NOW", NULL};
	static const char *const names[] = {"sessions", "legs", "keys", "key_contexts", NULL};
	static const char *const sums[] = {
		"rx_packets", "rx_octets", "tx_packets", "tx_octets", NULL};
	struct table *table = table_new(titles);
	for (const char *const *name = names; *name; name++) {
		table_add(table, *name);
		table_add_member(table, stats, *name);
	}
	const json_t *workers = json_object_get(stats, "workers");
	for (const char *const *name = sums; *name; name++) {
		long long n = 0;
		for (size_t i = 0; i < json_array_size(workers); i++)
			n += number_of(json_array_get(workers, i), *name);
		table_add(table, *name);
		table_add_number(table, n);
	}
	table_add(table, "drops");
	table_add_number(table, drops_sum(stats));
	table_print(table, 0, 0);
}

// What relay.info says of each port, with what relay.stats counts.
static json_t *ports_merge(struct connection *connection, json_t *info)
{
	json_t *stats = connection_call(connection, "relay.stats", json_object());
	json_t *ports = json_deep_copy(json_object_get(info, "ports"));
	for (size_t i = 0; stats && i < json_array_size(ports); i++)
		json_object_update_missing(json_array_get(ports, i),
			json_array_get(json_object_get(stats, "ports"), i));
	json_decref(info);
	if (!stats)
		json_decref(ports);
	json_decref(stats);
	return stats ? ports : NULL;
}

// --- subjects

static const struct subject {
	const char *name, *method;
	const char *member; // of the result that is shown, NULL: all
	const char *array;  // of the result that is sorted
	int (*order)(const void *, const void *);
	void (*print)(const json_t *result);
} subjects[] = {
	{"sessions", "session.list", NULL, "sessions", by_id, sessions_print},
	{"session", "session.get", NULL, NULL, NULL, session_print},
	{"keys", "key.list", NULL, "keys", by_domain_and_id, keys_print},
	{"ports", "relay.info", NULL, NULL, NULL, ports_print},
	{"workers", "relay.stats", "workers", NULL, NULL, workers_print},
	{"drops", "relay.stats", "drops", NULL, NULL, drops_print},
	{"stats", "relay.stats", NULL, NULL, NULL, stats_print},
};

static json_t *subject_fetch(struct ctl *ctl, const struct subject *subject)
{
	json_t *params = ctl->argc > 1 ? json_pack("{s:s}", "id", ctl->argv[1]) : json_object();
	if (!params) {
		ctl_fail("the session's id is no UTF-8");
		return NULL;
	}
	json_t *result = connection_call(&ctl->connection, subject->method, params);
	if (result && strcmp(subject->name, "ports") == 0)
		return ports_merge(&ctl->connection, result);
	if (result && subject->array)
		json_object_set_new(result, subject->array,
			sorted(json_object_get(result, subject->array), subject->order));
	if (result && subject->member) {
		json_t *part = json_incref(json_object_get(result, subject->member));
		json_decref(result);
		return part;
	}
	return result;
}

static int subject_show(struct ctl *ctl, const struct subject *subject)
{
	if (ctl->argc != (strcmp(subject->name, "session") == 0 ? 2 : 1))
		return ctl_fail("show session takes an id, the others nothing; see mcxctl --help");
	json_t *result = connection_open(&ctl->connection) ? subject_fetch(ctl, subject) : NULL;
	if (!result)
		return 1;
	if (ctl->json)
		return ctl_json_print(result);
	subject->print(result);
	json_decref(result);
	return 0;
}

int ctl_show(struct ctl *ctl)
{
	for (size_t i = 0; ctl->argc > 0 && i < sizeof(subjects) / sizeof(subjects[0]); i++)
		if (strcmp(ctl->argv[0], subjects[i].name) == 0)
			return subject_show(ctl, &subjects[i]);
	return ctl_fail("show takes sessions, session ID, keys, ports, workers, drops or stats; "
			"see mcxctl --help");
}
