// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_statistics.h"

#include <stdlib.h>
#include <time.h>

#include <rte_cycles.h>

#include "base/alloc.h"
#include "base/counter.h"
#include "dataplane/worker.h"

// The statistics of a leg in session.get: docs/control.md defines each number.

enum {
	STREAMS_SHOWN = 64, // those received last
	SSRCS_SHOWN = 1024,
	ROC_NONE = -1,
};

static void set(json_t *object, const char *name, json_t *value)
{
	json_object_set_new(object, name, value);
}

static json_t *count(uint64_t n)
{
	return json_integer((json_int_t)n);
}

// The wall clock for a value of the TSC. Read anew for each answer the two would differ a little
// each time, and one event would be shown with different times; so they are only compared, until
// they differ by more than CLOCK_DRIFT.
#define CLOCK_DRIFT 0.01 // seconds

static double clock_seconds(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

// Unix time of a TSC value of the past, with milliseconds; null if it is 0. Control thread.
static json_t *time_of_tsc(uint64_t tsc)
{
	static uint64_t anchor_tsc;
	static double anchor_seconds;
	if (tsc == 0)
		return json_null();
	uint64_t now_tsc = rte_rdtsc();
	double now = clock_seconds(), hz = (double)rte_get_tsc_hz();
	double expected = anchor_seconds + (double)(now_tsc - anchor_tsc) / hz;
	if (now - expected > CLOCK_DRIFT || expected - now > CLOCK_DRIFT) {
		anchor_tsc = now_tsc;
		anchor_seconds = now;
	}
	double seconds = anchor_seconds + (double)(int64_t)(tsc - anchor_tsc) / hz;
	return json_real((double)(int64_t)(seconds * 1000) / 1000);
}

// --- streams

// One SSRC on a leg. It may have been several streams: of several keys, or of several workers.
struct heard {
	uint32_t ssrc, jitter;
	int64_t roc;      // of the newest packet; ROC_NONE: the stream has none
	uint8_t protocol; // enum srtp_protocol
	bool twin;        // RTCP of an SSRC whose RTP was received
	uint64_t packets, octets, last_tsc;
	int64_t lost;
};

struct heard_list {
	struct heard *items;
	uint32_t n, size;
};

// Packets lost of those expected: RFC 3550 A.3, over what was accepted.
static int64_t stream_lost(const struct stream *stream)
{
	uint64_t next = counter_read(&stream->replay.next);
	return (int64_t)(next - counter_read(&stream->first_index)) -
	       (int64_t)counter_read(&stream->packets);
}

// What is under a key has a ROC.
static int64_t stream_roc(const struct stream *stream)
{
	if (stream->protocol != SRTP_RTP || stream_scope_is_leg(stream->scope))
		return ROC_NONE;
	return (int64_t)((counter_read(&stream->replay.next) - 1) >> 16);
}

static void heard_add(struct heard_list *list, const struct stream *stream)
{
	if (counter_read(&stream->packets) == 0 || stream->source != STREAM_NONE)
		return;
	if (list->n == list->size) {
		list->size = list->size ? list->size * 2 : 16;
		list->items = alloc_resize(list->items, list->size, sizeof(*list->items));
	}
	bool rtp = stream->protocol == SRTP_RTP;
	list->items[list->n++] = (struct heard){
		.ssrc = stream->ssrc,
		.jitter = jitter_value(&stream->jitter),
		.roc = stream_roc(stream),
		.protocol = stream->protocol,
		.packets = counter_read(&stream->packets),
		.octets = counter_read(&stream->octets),
		.last_tsc = counter_read(&stream->last_tsc),
		.lost = rtp ? stream_lost(stream) : 0,
	};
}

// Sorts by SSRC, RTP before RTCP, in each the most recently received first.
static int heard_by_name(const void *a, const void *b)
{
	const struct heard *x = a, *y = b;
	if (x->ssrc != y->ssrc)
		return x->ssrc < y->ssrc ? -1 : 1;
	if (x->protocol != y->protocol)
		return x->protocol < y->protocol ? -1 : 1;
	return (x->last_tsc < y->last_tsc) - (x->last_tsc > y->last_tsc);
}

static int heard_by_time(const void *a, const void *b)
{
	const struct heard *x = a, *y = b;
	return (x->last_tsc < y->last_tsc) - (x->last_tsc > y->last_tsc);
}

// Merges those of one SSRC and protocol. The jitter is that of the most recently received.
static void heard_merge(struct heard_list *list)
{
	uint32_t n = 0;
	qsort(list->items, list->n, sizeof(*list->items), heard_by_name);
	for (uint32_t i = 0; i < list->n; i++) {
		const struct heard *more = &list->items[i];
		struct heard *sum = n > 0 ? &list->items[n - 1] : NULL;
		if (!sum || sum->ssrc != more->ssrc || sum->protocol != more->protocol) {
			bool twin = sum && sum->ssrc == more->ssrc;
			list->items[n] = *more;
			list->items[n++].twin = twin;
			continue;
		}
		sum->packets += more->packets;
		sum->octets += more->octets;
		sum->lost += more->lost;
	}
	list->n = n;
	qsort(list->items, list->n, sizeof(*list->items), heard_by_time);
}

// The streams received on a leg, the most recent first. The caller frees the items.
static struct heard_list heard_on_leg(const struct relay *relay, const struct session_leg *leg)
{
	const struct stream_table *streams = &relay->streams;
	struct heard_list list = {};
	const struct stream_note *notes = leg->session->sessions->notes;
	uint32_t i =
		atomic_load_explicit(&relay->legs.streams[leg->index].newest, memory_order_acquire);
	for (; i != 0; i = stream_sibling(&streams->streams[i - 1]))
		heard_add(&list, &streams->streams[i - 1]);
	for (i = leg->stream; i != 0; i = notes[i - 1].next) {
		const struct stream *stream = &streams->streams[i - 1];
		// The leg's own were counted above; another leg's is listed here from before.
		if (counter_read(&stream->leg_serial) == leg->serial &&
			!stream_scope_is_leg(stream->scope))
			heard_add(&list, stream);
	}
	if (list.n > 0)
		heard_merge(&list);
	return list;
}

// SSRCs of RTP and RTCP, each once, those received last.
static json_t *ssrcs_show(const struct heard_list *list)
{
	json_t *out = json_array();
	for (uint32_t i = 0; i < list->n && json_array_size(out) < SSRCS_SHOWN; i++)
		if (!list->items[i].twin)
			json_array_append_new(out, json_integer(list->items[i].ssrc));
	return out;
}

static json_t *heard_show(const struct heard *heard)
{
	json_t *out = json_object();
	set(out, "ssrc", json_integer(heard->ssrc));
	set(out, "packets", count(heard->packets));
	set(out, "octets", count(heard->octets));
	set(out, "lost", json_integer(heard->lost));
	set(out, "jitter", json_integer(heard->jitter));
	if (heard->roc != ROC_NONE)
		set(out, "roc", json_integer(heard->roc));
	set(out, "last_seen", time_of_tsc(heard->last_tsc));
	return out;
}

// lost, jitter, ssrcs and streams of what was received.
static void streams_show(const struct relay *relay, const struct session_leg *leg, json_t *receive)
{
	struct heard_list list = heard_on_leg(relay, leg);
	json_t *streams = json_array(), *jitter = NULL;
	int64_t lost = 0;
	for (uint32_t i = 0; i < list.n; i++) {
		const struct heard *heard = &list.items[i];
		if (heard->protocol != SRTP_RTP)
			continue;
		lost += heard->lost;
		if (!jitter)
			jitter = json_integer(heard->jitter);
		if (json_array_size(streams) < STREAMS_SHOWN)
			json_array_append_new(streams, heard_show(heard));
	}
	set(receive, "lost", json_integer(lost));
	set(receive, "jitter", jitter ? jitter : json_null());
	set(receive, "ssrcs", ssrcs_show(&list));
	set(receive, "streams", streams);
	free(list.items);
}

int64_t leg_lost(const struct relay *relay, const struct session_leg *leg)
{
	struct heard_list list = heard_on_leg(relay, leg);
	int64_t lost = 0;
	for (uint32_t i = 0; i < list.n; i++)
		lost += list.items[i].lost;
	free(list.items);
	return lost;
}

// --- counters

static json_t *drops_show(const struct relay *relay, uint32_t leg)
{
	json_t *out = json_object();
	for (unsigned reason = 1; reason < DROP_N_REASONS; reason++) {
		uint64_t n = 0;
		for (unsigned w = 0; w < relay->n_workers; w++)
			n += counter_read(&relay->workers[w]->legs[leg].drops[reason]);
		if (n > 0)
			set(out, drop_label(reason), count(n));
	}
	return out;
}

static json_t *copy_drops_show(const struct relay *relay, uint32_t leg)
{
	json_t *out = json_object();
	for (unsigned i = 0; i < DROP_COPY_N; i++) {
		uint64_t n = 0;
		for (unsigned w = 0; w < relay->n_workers; w++)
			n += counter_read(&relay->workers[w]->legs[leg].tx_drops[i]);
		if (n > 0)
			set(out, drop_label(DROP_COPY_FIRST + i), count(n));
	}
	return out;
}

// What all workers count of a leg.
struct leg_counters leg_counters_sum(const struct relay *relay, uint32_t leg)
{
	struct leg_counters sum = {};
	for (unsigned w = 0; w < relay->n_workers; w++) {
		const struct leg_counters *c = &relay->workers[w]->legs[leg];
		sum.rx_packets += counter_read(&c->rx_packets);
		sum.rx_octets += counter_read(&c->rx_octets);
		sum.tx_packets += counter_read(&c->tx_packets);
		sum.tx_octets += counter_read(&c->tx_octets);
		sum.keepalives += counter_read(&c->keepalives);
		sum.last_rx_tsc = RTE_MAX(sum.last_rx_tsc, counter_read(&c->last_rx_tsc));
		sum.last_tx_tsc = RTE_MAX(sum.last_tx_tsc, counter_read(&c->last_tx_tsc));
	}
	return sum;
}

bool leg_was_used(const struct relay *relay, uint32_t leg)
{
	uint64_t n = 0;
	for (unsigned w = 0; w < relay->n_workers; w++) {
		const struct leg_counters *c = &relay->workers[w]->legs[leg];
		n += counter_read(&c->rx_packets) + counter_read(&c->tx_packets);
		for (unsigned reason = 1; reason < DROP_N_REASONS; reason++)
			n += counter_read(&c->drops[reason]);
		for (unsigned i = 0; i < DROP_COPY_N; i++)
			n += counter_read(&c->tx_drops[i]);
	}
	return n != 0;
}

// What the network said of the way to the leg, if anything.
static void path_show(const struct session_leg *leg, json_t *send)
{
	const struct sessions *sessions = leg->session->sessions;
	uint32_t errors = sessions->watches[leg->index].errors;
	if (leg->mtu < sessions->relay->ports[leg->spec.port].mtu)
		set(send, "path_mtu", json_integer(leg->mtu));
	if (errors > 0)
		set(send, "unreachable", json_integer(errors));
}

json_t *leg_statistics_show(const struct relay *relay, const struct session_leg *leg)
{
	struct leg_counters sum = leg_counters_sum(relay, leg->index);
	json_t *receive = json_object(), *send = json_object();
	set(receive, "packets", count(sum.rx_packets));
	set(receive, "octets", count(sum.rx_octets));
	streams_show(relay, leg, receive);
	set(receive, "keepalives", count(sum.keepalives));
	set(receive, "last_seen", time_of_tsc(sum.last_rx_tsc));
	set(receive, "drops", drops_show(relay, leg->index));
	set(send, "packets", count(sum.tx_packets));
	set(send, "octets", count(sum.tx_octets));
	set(send, "last_sent", time_of_tsc(sum.last_tx_tsc));
	set(send, "drops", copy_drops_show(relay, leg->index));
	path_show(leg, send);
	return json_pack("{s:o,s:o}", "receive", receive, "send", send);
}
