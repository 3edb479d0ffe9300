// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "bench/gen/result.h"

#include <inttypes.h>
#include <stdio.h>

static void set_count(json_t *object, const char *name, uint64_t value)
{
	json_object_set_new(object, name, json_integer((json_int_t)value));
}

static json_t *latency_show(const struct histogram *latency)
{
	json_t *shown = json_object();
	set_count(shown, "min", latency->min);
	set_count(shown, "p50", histogram_quantile(latency, 0.5));
	set_count(shown, "p90", histogram_quantile(latency, 0.9));
	set_count(shown, "p99", histogram_quantile(latency, 0.99));
	set_count(shown, "p99.9", histogram_quantile(latency, 0.999));
	set_count(shown, "max", latency->max);
	return shown;
}

// Packets by the longest time of their bucket; empty buckets are left out.
static json_t *histogram_show(const struct histogram *latency)
{
	json_t *shown = json_object();
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		char name[24];
		snprintf(name, sizeof(name), "%" PRIu64, histogram_bucket_end(i));
		if (latency->buckets[i] > 0)
			set_count(shown, name, latency->buckets[i]);
	}
	return shown;
}

// --- what the relay says of itself

static json_int_t grown(const json_t *before, const json_t *after, const char *name)
{
	return json_integer_value(json_object_get(after, name)) -
	       json_integer_value(json_object_get(before, name));
}

static json_t *drops_show(const json_t *before, json_t *after)
{
	json_t *shown = json_object();
	const char *reason;
	json_t *count;
	json_object_foreach (after, reason, count) {
		json_int_t n = grown(before, after, reason);
		if (n != 0)
			json_object_set_new(shown, reason, json_integer(n));
	}
	return shown;
}

static json_t *workers_show(const json_t *before, const json_t *after)
{
	static const char *const names[] = {"rx_packets", "tx_packets", "held", "handoffs", "loops",
		"busy_loops", "cycles", "busy_cycles"};
	json_t *shown = json_array();
	for (size_t i = 0; i < json_array_size(after); i++) {
		json_t *worker = json_object();
		for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++)
			json_object_set_new(worker, names[n],
				json_integer(grown(json_array_get(before, i),
					json_array_get(after, i), names[n])));
		double all = (double)json_integer_value(json_object_get(worker, "cycles"));
		double busy = (double)json_integer_value(json_object_get(worker, "busy_cycles"));
		json_object_set_new(worker, "busy", json_real(all > 0 ? busy / all : 0));
		json_array_append_new(shown, worker);
	}
	return shown;
}

static json_t *relay_show(const json_t *before, const json_t *after)
{
	return json_pack("{s:o,s:o}", "drops",
		drops_show(json_object_get(before, "drops"), json_object_get(after, "drops")),
		"workers",
		workers_show(
			json_object_get(before, "workers"), json_object_get(after, "workers")));
}

json_t *result_show(const struct run *run, const json_t *before, const json_t *after)
{
	const struct gen_options *options = run->calls->options;
	const struct sink_counts *counts = &run->sink.counts;
	uint64_t expected = run->sent * options->receivers;
	json_t *shown = json_pack("{s:s,s:s,s:s,s:i,s:i,s:i,s:f,s:f}", "from",
		gen_kind_name(options->from), "to", gen_kind_name(options->to), "suite",
		srtp_suite_name(options->suite), "streams", (int)options->streams, "groups",
		(int)options->groups, "receivers", (int)options->receivers, "seconds", run->seconds,
		"wanted_pps", run->wanted_pps);
	set_count(shown, "warmed_up", run->warmed_up);
	set_count(shown, "sent", run->sent);
	set_count(shown, "expected", expected);
	set_count(shown, "received", counts->received);
	set_count(shown, "lost", expected - counts->received);
	set_count(shown, "lost_by_seq", sink_lost_by_seq(&run->sink));
	set_count(shown, "reordered", counts->reordered);
	set_count(shown, "duplicates", counts->duplicates);
	set_count(shown, "auth_failed", counts->auth_failed);
	set_count(shown, "unknown", counts->unknown);
	set_count(shown, "stray", counts->stray);
	set_count(shown, "refused", run->refused);
	json_object_set_new(shown, "sent_pps", json_real((double)run->sent / run->seconds));
	json_object_set_new(
		shown, "received_pps", json_real((double)counts->received / run->seconds));
	json_object_set_new(shown, "received_mbit_per_s",
		json_real((double)counts->octets * 8 / 1e6 / run->seconds));
	json_object_set_new(shown, "latency_ns", latency_show(&run->sink.latency));
	json_object_set_new(shown, "latency_histogram", histogram_show(&run->sink.latency));
	if (before && after)
		json_object_set_new(shown, "relay", relay_show(before, after));
	return shown;
}
