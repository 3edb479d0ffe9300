// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "control/address.h"
#include "control/app.h"
#include "control/session.h"
#include "dataplane/worker.h"

static const char *const service_names[] = {"mcptt", "mcvideo"};
static const char *const type_names[] = {"group", "private"};

static void set(json_t *object, const char *name, json_t *value)
{
	json_object_set_new(object, name, value);
}

static json_t *count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

// Unix time of a TSC value of the past, with milliseconds; null if it is 0.
static json_t *time_of_tsc(uint64_t tsc)
{
	if (tsc == 0)
		return json_null();
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	double ago = (double)(rte_rdtsc() - tsc) / (double)rte_get_tsc_hz();
	double seconds = (double)now.tv_sec + (double)now.tv_nsec / 1e9 - ago;
	return json_real((double)(int64_t)(seconds * 1000) / 1000);
}

// --- what was stated
// ------------------------------------------------------------------------------------------

static json_t *protection_show(const struct protection_spec *spec, const struct key_slot *key)
{
	static const char *const modes[] = {"opaque", "plain", "srtp"};
	json_t *out = json_pack("{s:s}", "mode", modes[spec->mode]);
	if (spec->has_key) {
		set(out, "key", json_sprintf("%08x", spec->key.id));
		set(out, "verify", json_boolean(spec->verify));
	}
	if (spec->n_accept > 0) {
		json_t *accept = json_array();
		for (uint32_t i = 0; i < spec->n_accept; i++)
			json_array_append_new(accept, json_sprintf("%08x", spec->accept[i].id));
		set(out, "accept", accept);
	}
	if (spec->domain)
		set(out, "domain", json_string(spec->domain));
	if (spec->role != ROLE_NONE)
		set(out, "role",
			json_string(spec->role == ROLE_INITIATOR ? "initiator" : "receiver"));
	if (spec->user)
		set(out, "user", json_string(spec->user));
	if (key && key->installed) {
		struct key_profile p = protection_profile(spec, key);
		set(out, "profile",
			json_pack("{s:s,s:i,s:i}", "suite", srtp_suite_name(p.suite), "mki_length",
				(int)p.mki_len, "roc_rate", (int)p.roc_rate));
	}
	return out;
}

static json_t *address_show(const struct endpoint *address)
{
	char text[ADDRESS_TEXT_SIZE];
	if (address->family == AF_UNSPEC)
		return json_null();
	address_write(address, text);
	return json_string(text);
}

// --- statistics
// -----------------------------------------------------------------------------------------------

static json_t *drops_show(const struct app *app, uint32_t leg)
{
	json_t *out = json_object();
	for (unsigned reason = 1; reason < DROP_N_REASONS; reason++) {
		uint64_t n = 0;
		for (unsigned w = 0; w < app->relay.n_workers; w++)
			n += app->relay.workers[w]->legs[leg].drops[reason];
		if (n > 0)
			set(out, drop_label(reason), count(n));
	}
	return out;
}

// Packets that did not come of those that must have been sent: RFC 3550 A.3, over authentic
// packets.
static int64_t stream_lost(const struct stream *stream)
{
	return (int64_t)(stream->replay.next - stream->first_index) - (int64_t)stream->packets;
}

struct stream_sum {
	json_t *ssrcs;
	int64_t lost;
};

static void stream_sum_add(struct stream_sum *sum, const struct stream *stream)
{
	if (stream->packets == 0 || stream->source != STREAM_NONE)
		return;
	json_array_append_new(sum->ssrcs, json_integer(stream->ssrc));
	if (stream->protocol == SRTP_RTP)
		sum->lost += stream_lost(stream);
}

static struct stream_sum streams_sum(const struct app *app, const struct session_leg *leg)
{
	const struct stream_table *streams = &app->relay.streams;
	struct stream_sum sum = {.ssrcs = json_array()};
	uint32_t i =
		atomic_load_explicit(&app->relay.legs.streams[leg->index], memory_order_acquire);
	for (; i != 0; i = streams->streams[i - 1].sibling)
		stream_sum_add(&sum, &streams->streams[i - 1]);
	for (uint32_t s = 0; s < leg->n_streams; s++) {
		const struct stream *stream = &streams->streams[leg->streams[s]];
		// A plain one was counted above; another leg's is listed here from before.
		if (stream->leg == leg->index && !(stream->scope & STREAM_PLAIN))
			stream_sum_add(&sum, stream);
	}
	return sum;
}

static json_t *statistics_show(const struct app *app, const struct session_leg *leg)
{
	uint64_t rx_packets = 0, rx_octets = 0, tx_packets = 0, tx_octets = 0, last = 0;
	for (unsigned w = 0; w < app->relay.n_workers; w++) {
		const struct leg_counters *c = &app->relay.workers[w]->legs[leg->index];
		rx_packets += c->rx_packets;
		rx_octets += c->rx_octets;
		tx_packets += c->tx_packets;
		tx_octets += c->tx_octets;
		if (c->last_rx_tsc > last)
			last = c->last_rx_tsc;
	}
	struct stream_sum sum = streams_sum(app, leg);
	json_t *receive = json_object(), *send = json_object();
	set(receive, "packets", count(rx_packets));
	set(receive, "octets", count(rx_octets));
	set(receive, "lost", json_integer(sum.lost));
	set(receive, "ssrcs", sum.ssrcs);
	set(receive, "last_seen", time_of_tsc(last));
	set(receive, "drops", drops_show(app, leg->index));
	set(send, "packets", count(tx_packets));
	set(send, "octets", count(tx_octets));
	return json_pack("{s:o,s:o}", "receive", receive, "send", send);
}

// --- leg, session
// ---------------------------------------------------------------------------------------------

static json_t *leg_show(const struct app *app, const struct session_leg *leg)
{
	const struct leg_spec *spec = &leg->spec;
	json_t *out = json_object();
	set(out, "id", json_string(spec->id));
	set(out, "port", json_string(app->relay.ports[spec->port].name));
	set(out, "local", address_show(&spec->local));
	set(out, "remote", address_show(&spec->remote));
	set(out, "learn", json_string(spec->learn ? "authenticated" : "never"));
	set(out, "receive", json_boolean(spec->receive));
	set(out, "send", json_boolean(spec->send));
	set(out, "traffic", json_string(spec->control ? "control" : "media"));
	set(out, "rtcp", json_string(spec->rtcp_mux ? "mux" : "none"));
	set(out, "dscp", json_integer(spec->dscp));
	set(out, "ssrc", json_string(spec->ssrc_random ? "random" : "preserve"));
	set(out, "protection",
		protection_show(&spec->protection[SRTP_RTP], leg_key_slot(leg, SRTP_RTP)));
	if (!spec->same_protection)
		set(out, "rtcp_protection",
			protection_show(
				&spec->protection[SRTP_RTCP], leg_key_slot(leg, SRTP_RTCP)));
	if (spec->has_to) {
		json_t *to = json_array();
		for (uint32_t i = 0; i < spec->n_to; i++)
			json_array_append_new(to, json_string(spec->to[i]));
		set(out, "to", to);
	}
	set(out, "statistics", statistics_show(app, leg));
	return out;
}

json_t *session_summary(const struct session *session)
{
	return json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I}", "id", session->spec.id, "service",
		service_names[session->spec.service], "type", type_names[session->spec.type],
		"domain", session->spec.domain, "timeout", (json_int_t)session->spec.timeout,
		"n_legs", (json_int_t)session->n_legs, "n_keys", (json_int_t)session->n_keys);
}

json_t *session_show(struct app *app, const struct session *session)
{
	json_t *out = session_summary(session), *keys = json_array(), *legs = json_array();
	json_object_del(out, "n_legs");
	json_object_del(out, "n_keys");
	if (session->spec.group)
		set(out, "group", json_string(session->spec.group));
	for (uint32_t i = 0; i < session->n_keys; i++) {
		const struct key_slot *key =
			keystore_find(app, session->scope, session->key_ids[i]);
		if (key)
			json_array_append_new(keys, key_show(app, key));
	}
	for (uint32_t i = 0; i < session->n_legs; i++)
		json_array_append_new(legs, leg_show(app, &session->legs[i]));
	set(out, "keys", keys);
	set(out, "legs", legs);
	return out;
}
