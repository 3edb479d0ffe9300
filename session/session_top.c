// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_top.h"

#include <rte_common.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/map.h"
#include "dataplane/relay_tables.h"
#include "dataplane/worker.h"
#include "session/session_show.h"
#include "session/session_statistics.h"

// The busiest sessions, found here: clients need not fetch all of them every second to see a few.

enum {
	RATE_MS = 900,          // a rate is as old as that, or older, before it is taken again
	SESSIONS_AT_A_TIME = 64 // before others get their turn
};

static uint32_t per_second(uint64_t now, uint64_t before, uint64_t ms)
{
	return now > before ? (uint32_t)RTE_MIN((now - before) * 1000 / ms, UINT32_MAX) : 0;
}

// The rate since the previous call, by whichever client. The counters of removed legs are no longer
// in the sum.
static void rate_take(const struct relay *relay, struct session *session)
{
	struct session_rate *before = session->rate, now = {.taken_ms = clock_now_ms()};
	uint64_t ms = before ? now.taken_ms - before->taken_ms : 0;
	if (before && ms < RATE_MS)
		return;
	const struct session_leg *leg;
	TAILQ_FOREACH (leg, &session->legs, entry) {
		struct leg_counters sum = leg_counters_sum(relay, leg->index);
		now.rx_packets += sum.rx_packets;
		now.rx_octets += sum.rx_octets;
		now.tx_packets += sum.tx_packets;
	}
	if (before) {
		now.rx_packets_per_s = per_second(now.rx_packets, before->rx_packets, ms);
		now.tx_packets_per_s = per_second(now.tx_packets, before->tx_packets, ms);
		now.rx_octets_per_s = per_second(now.rx_octets, before->rx_octets, ms);
	} else {
		session->rate = alloc_zero(1, sizeof(*session->rate));
	}
	*session->rate = now;
}

static uint64_t rate_of(const struct session *session)
{
	// NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the first n of the busiest are set
	return (uint64_t)session->rate->rx_packets_per_s + session->rate->tx_packets_per_s;
}

// Where the session belongs among the n busiest.
static void busiest_add(struct session **busiest, uint32_t *n, uint32_t limit, struct session *one)
{
	uint32_t at = *n;
	if (*n == limit && rate_of(busiest[limit - 1]) >= rate_of(one))
		return;
	if (*n < limit)
		(*n)++;
	else
		at--;
	for (; at > 0 && rate_of(busiest[at - 1]) < rate_of(one); at--)
		busiest[at] = busiest[at - 1];
	busiest[at] = one;
}

static uint64_t leg_drops_sum(const struct relay *relay, uint32_t leg)
{
	uint64_t n = 0;
	for (unsigned w = 0; w < relay->n_workers; w++) {
		const struct leg_counters *c = &relay->workers[w]->legs[leg];
		for (unsigned reason = 1; reason < DROP_N_REASONS; reason++)
			n += counter_read(&c->drops[reason]);
		for (unsigned i = 0; i < DROP_COPY_N; i++)
			n += counter_read(&c->tx_drops[i]);
	}
	return n;
}

static json_t *busy_show(const struct relay *relay, const struct session *session)
{
	const struct session_rate *rate = session->rate;
	json_t *out = session_summary(session);
	int64_t lost = 0;
	uint64_t drops = 0;
	const struct session_leg *leg;
	TAILQ_FOREACH (leg, &session->legs, entry) {
		lost += leg_lost(relay, leg);
		drops += leg_drops_sum(relay, leg->index);
	}
	json_object_set_new(out, "rates",
		json_pack("{s:I,s:I,s:I}", "received_packets", (json_int_t)rate->rx_packets_per_s,
			"received_octets", (json_int_t)rate->rx_octets_per_s, "sent_packets",
			(json_int_t)rate->tx_packets_per_s));
	json_object_set_new(out, "received_packets", json_integer((json_int_t)rate->rx_packets));
	json_object_set_new(out, "sent_packets", json_integer((json_int_t)rate->tx_packets));
	json_object_set_new(out, "lost", json_integer(lost));
	json_object_set_new(out, "drops", json_integer((json_int_t)drops));
	return out;
}

json_t *session_top(
	struct sessions *sessions, uint32_t limit, void (*give_way)(void *arg), void *arg)
{
	struct session *busiest[SESSION_TOP_MAX] = {}, *session;
	struct map_cursor cursor = {0};
	uint32_t n = 0, looked = 0;
	while ((session = map_next(sessions->by_id, &cursor)) != NULL) {
		rate_take(sessions->relay, session);
		busiest_add(busiest, &n, limit, session);
		if (++looked % SESSIONS_AT_A_TIME == 0)
			give_way(arg);
	}
	json_t *shown = json_array();
	for (uint32_t i = 0; i < n; i++)
		json_array_append_new(shown, busy_show(sessions->relay, busiest[i]));
	return json_pack("{s:I,s:o}", "n_sessions", (json_int_t)map_count(sessions->by_id),
		"sessions", shown);
}
