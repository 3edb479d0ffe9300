// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/metrics.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_version.h>

#include "base/counter.h"
#include "config/config.h"
#include "control/message_stats.h"
#include "dataplane/device_queue.h"
#include "dataplane/pipeline.h"
#include "dataplane/turn.h"
#include "dataplane/worker.h"
#include "event/subscription.h"
#include "host/relay.h"
#include "identity/pool.h"
#include "key/keystore.h"
#include "server/request_stats.h"
#include "session/session_types.h"

enum { LABEL_SIZE = 2 * PORT_DEVICE_MAX + 1 };

// Begins a family of samples; all of them follow before the next one begins. unit "": none, or one
// that its name ends with.
static void family(struct evbuffer *out, const char *name, const char *type, const char *unit,
	const char *help)
{
	evbuffer_add_printf(out, "# TYPE %s %s\n", name, type);
	if (unit[0] != '\0')
		evbuffer_add_printf(out, "# UNIT %s %s\n", name, unit);
	evbuffer_add_printf(out, "# HELP %s %s\n", name, help);
}

// A label's value: quotation marks, backslashes and line feeds escaped.
static const char *label(const char *text, char escaped[LABEL_SIZE])
{
	size_t len = 0;
	for (; *text != '\0' && len + 2 < LABEL_SIZE; text++) {
		if (*text == '"' || *text == '\\' || *text == '\n')
			escaped[len++] = '\\';
		escaped[len++] = *text == '\n' ? 'n' : *text;
	}
	escaped[len] = '\0';
	return escaped;
}

static void gauge(struct evbuffer *out, const char *name, const char *help, uint64_t value)
{
	family(out, name, "gauge", "", help);
	evbuffer_add_printf(out, "%s %" PRIu64 "\n", name, value);
}

// --- dataplane

// A family of counters, one sample for each element of an array: where its value is in there.
struct counter {
	const char *name, *unit, *help;
	size_t offset;
};

static uint64_t counter_value(const struct counter *counter, const void *structure)
{
	return counter_read((const uint64_t *)((const char *)structure + counter->offset));
}

static void write_worker_cycles(struct evbuffer *out, const struct relay *relay)
{
	static const char name[] = "mcxrelay_worker_cycles";
	family(out, name, "counter", "cycles", "TSC cycles of all turns of the loop.");
	for (unsigned w = 0; w < relay->n_workers; w++)
		evbuffer_add_printf(out, "%s_total{worker=\"%u\",lcore=\"%u\"} %" PRIu64 "\n", name,
			w, relay->workers[w]->lcore, worker_cycles(relay->workers[w]));
}

static void write_workers(struct evbuffer *out, const struct relay *relay)
{
#define COUNTER(member, name, unit, help)                                                          \
	{"mcxrelay_worker_" name, unit, help, offsetof(struct worker_counters, member)}
	static const struct counter counters[] = {
		COUNTER(loops, "loops", "", "Turns of the worker's poll loop."),
		COUNTER(busy_loops, "busy_loops", "",
			"Turns of the loop that had anything to do: a share of turns, not of "
			"time."),
		COUNTER(busy_cycles, "busy_cycles", "cycles",
			"TSC cycles of these turns; over mcxrelay_worker_cycles: the load."),
		COUNTER(rx_bursts, "rx_bursts", "", "Bursts in which ports gave frames."),
		COUNTER(rx_packets, "rx_packets", "packets", "Frames received."),
		COUNTER(rx_octets, "rx_octets", "octets", "Octets of frames received."),
		COUNTER(tx_packets, "tx_packets", "packets", "Frames handed to ports."),
		COUNTER(tx_octets, "tx_octets", "octets", "Octets of frames handed to ports."),
		COUNTER(handoffs, "handoffs", "",
			"Packets given to the worker that owns their stream."),
		COUNTER(held, "held_packets", "packets", "Packets that waited for a key context."),
		COUNTER(keepalives, "keepalives", "",
			"Keepalives received on legs (RFC 6263): neither media nor drops."),
	};
#undef COUNTER
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		family(out, counters[i].name, "counter", counters[i].unit, counters[i].help);
		for (unsigned w = 0; w < relay->n_workers; w++)
			evbuffer_add_printf(out,
				"%s_total{worker=\"%u\",lcore=\"%u\"} %" PRIu64 "\n",
				counters[i].name, w, relay->workers[w]->lcore,
				counter_value(&counters[i], &relay->workers[w]->counters));
	}
}

// Of relays that have a crypto device.
static void write_cryptodev(struct evbuffer *out, const struct relay *relay)
{
#define COUNTER(member, name, help)                                                                \
	{"mcxrelay_cryptodev_" name, "", help, offsetof(struct device_counters, member)}
	static const struct counter counters[] = {
		COUNTER(device_ops, "operations",
			"Operations that the crypto device has finished."),
		COUNTER(direct_ops, "direct_operations",
			"Operations that the worker did itself: the device is not for them."),
		COUNTER(waits, "waits",
			"Offers of operations of which the device did not take all."),
	};
#undef COUNTER
	if (!relay->cryptodev)
		return;
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		family(out, counters[i].name, "counter", counters[i].unit, counters[i].help);
		for (unsigned w = 0; w < relay->n_workers; w++)
			evbuffer_add_printf(out, "%s_total{worker=\"%u\"} %" PRIu64 "\n",
				counters[i].name, w,
				counter_value(&counters[i],
					pipeline_counters(relay->workers[w]->pipeline)));
	}
	family(out, "mcxrelay_cryptodev_stalled", "gauge", "",
		"1 if the crypto device stopped answering the worker, which goes on without it.");
	for (unsigned w = 0; w < relay->n_workers; w++)
		evbuffer_add_printf(out, "mcxrelay_cryptodev_stalled{worker=\"%u\"} %d\n", w,
			pipeline_has_stalled(relay->workers[w]->pipeline));
}

static void write_drops(struct evbuffer *out, const struct relay *relay)
{
	family(out, "mcxrelay_drops", "counter", "",
		"Packets, or copies of them, that were not forwarded, by reason.");
	for (unsigned reason = 1; reason < DROP_N_REASONS; reason++) {
		uint64_t n = 0;
		for (unsigned w = 0; w < relay->n_workers; w++)
			n += counter_read(&relay->workers[w]->counters.drops[reason]);
		evbuffer_add_printf(out, "mcxrelay_drops_total{reason=\"%s\"} %" PRIu64 "\n",
			drop_label((enum drop_reason)reason), n);
	}
}

static void write_port_counters(
	struct evbuffer *out, const struct relay *relay, const struct rte_eth_stats stats[])
{
#define COUNTER(member, name, unit, help)                                                          \
	{"mcxrelay_port_" name, unit, help, offsetof(struct rte_eth_stats, member)}
	static const struct counter counters[] = {
		COUNTER(ipackets, "rx_packets", "packets", "Frames received, by the device."),
		COUNTER(ibytes, "rx_octets", "octets", "Octets received, by the device."),
		COUNTER(imissed, "rx_missed_packets", "packets",
			"Frames lost because no worker took them in time."),
		COUNTER(ierrors, "rx_errors", "", "Frames received with an error."),
		COUNTER(rx_nombuf, "rx_no_buffer", "",
			"Failures to find a packet buffer for a frame."),
		COUNTER(opackets, "tx_packets", "packets", "Frames sent, by the device."),
		COUNTER(obytes, "tx_octets", "octets", "Octets sent, by the device."),
		COUNTER(oerrors, "tx_errors", "", "Frames that could not be sent."),
	};
#undef COUNTER
	char name[LABEL_SIZE];

	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		family(out, counters[i].name, "counter", counters[i].unit, counters[i].help);
		for (unsigned p = 0; p < relay->n_ports; p++)
			evbuffer_add_printf(out, "%s_total{port=\"%s\"} %" PRIu64 "\n",
				counters[i].name, label(relay->ports[p].name, name),
				counter_value(&counters[i], &stats[p]));
	}
}

static void write_ports(struct evbuffer *out, const struct relay *relay)
{
	struct rte_eth_stats stats[PORT_MAX];
	for (unsigned p = 0; p < relay->n_ports; p++)
		port_statistics(&relay->ports[p], &stats[p]);
	write_port_counters(out, relay, stats);
	family(out, "mcxrelay_port_link_up", "gauge", "", "Whether the port's link is up.");
	char name[LABEL_SIZE];
	for (unsigned p = 0; p < relay->n_ports; p++)
		evbuffer_add_printf(out, "mcxrelay_port_link_up{port=\"%s\"} %d\n",
			label(relay->ports[p].name, name), port_link_is_up(&relay->ports[p]));
	family(out, "mcxrelay_port_interfaces_found", "counter", "",
		"Interfaces that took the place of one that was deleted.");
	for (unsigned p = 0; p < relay->n_ports; p++)
		evbuffer_add_printf(out,
			"mcxrelay_port_interfaces_found_total{port=\"%s\"} %" PRIu64 "\n",
			label(relay->ports[p].name, name), relay->ports[p].n_found);
	family(out, "mcxrelay_port", "info", "", "The device behind each port.");
	char device[LABEL_SIZE];
	for (unsigned p = 0; p < relay->n_ports; p++)
		evbuffer_add_printf(out, "mcxrelay_port_info{port=\"%s\",device=\"%s\"} 1\n",
			label(relay->ports[p].name, name), label(relay->ports[p].device, device));
}

// --- keys and sessions

static void write_keys(struct evbuffer *out, const struct metrics_source *source)
{
	family(out, "mcxrelay_keys", "gauge", "", "Root keys installed, by type and state.");
	for (unsigned type = 0; type < KEY_N_TYPES; type++)
		for (unsigned state = 0; state < KEY_N_STATES; state++)
			evbuffer_add_printf(out,
				"mcxrelay_keys{type=\"%s\",state=\"%s\"} %" PRIu32 "\n",
				key_type_names[type], key_state_name((enum key_state)state),
				source->keys->n_by_state[type][state]);
	gauge(out, "mcxrelay_keys_limit", "limits.keys of the configuration.",
		source->limits->keys);
	gauge(out, "mcxrelay_key_contexts", "Key contexts derived from root keys.",
		source->relay->keys.n_used);
	gauge(out, "mcxrelay_key_contexts_limit", "Room for key contexts.",
		source->relay->keys.size);
}

static void write_sessions(struct evbuffer *out, const struct metrics_source *source)
{
	const struct sessions *sessions = source->sessions;
	static const char *const services[SERVICE_N] = {"mcptt", "mcvideo"};
	static const char *const types[SESSION_N_TYPES] = {"group", "private"};
	family(out, "mcxrelay_sessions", "gauge", "", "Sessions, by service and type.");
	for (unsigned service = 0; service < SERVICE_N; service++)
		for (unsigned type = 0; type < SESSION_N_TYPES; type++)
			evbuffer_add_printf(out,
				"mcxrelay_sessions{service=\"%s\",type=\"%s\"} %" PRIu32 "\n",
				services[service], types[type], sessions->n_by_type[service][type]);
	gauge(out, "mcxrelay_sessions_silent",
		"Sessions without media since their timeout passed; those without one do not "
		"count.",
		sessions->n_silent);
	gauge(out, "mcxrelay_sessions_limit", "limits.sessions of the configuration.",
		source->limits->sessions);
	gauge(out, "mcxrelay_legs", "Legs of all sessions.", sessions->n_legs);
	gauge(out, "mcxrelay_legs_limit", "limits.legs of the configuration.",
		source->limits->legs);
	gauge(out, "mcxrelay_streams", "Streams, inbound and outbound.",
		stream_table_used(&source->relay->streams));
	gauge(out, "mcxrelay_streams_limit", "limits.streams of the configuration.",
		source->limits->streams);
}

// --- messages

static void write_message_durations(struct evbuffer *out, const struct message_stats *messages)
{
	static const char name[] = "mcxrelay_message_open_duration_seconds";
	uint64_t n = 0;
	family(out, name, "histogram", "seconds",
		"How long it took to open I_MESSAGEs whose signature was looked at, waiting "
		"included.");
	for (unsigned b = 0; b < MESSAGE_N_BUCKETS - 1; b++) {
		n += messages->buckets[b];
		evbuffer_add_printf(out, "%s_bucket{le=\"%.9g\"} %" PRIu64 "\n", name,
			(double)message_bucket_ns[b] / 1e9, n);
	}
	n += messages->buckets[MESSAGE_N_BUCKETS - 1];
	evbuffer_add_printf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, n);
	evbuffer_add_printf(out, "%s_count %" PRIu64 "\n", name, n);
	evbuffer_add_printf(out, "%s_sum %.9f\n", name, (double)messages->total_ns / 1e9);
}

static void write_messages(struct evbuffer *out, const struct metrics_source *source)
{
	const struct message_stats *messages = source->messages;
	family(out, "mcxrelay_messages_opened", "counter", "",
		"I_MESSAGEs that gave or revoked a key, by its type.");
	for (unsigned type = 0; type < MESSAGE_N_TYPES; type++)
		if (type != KEY_SPK) // no message brings one
			evbuffer_add_printf(out,
				"mcxrelay_messages_opened_total{type=\"%s\"} %" PRIu64 "\n",
				key_type_names[type], messages->opened[type]);
	family(out, "mcxrelay_messages_refused", "counter", "",
		"I_MESSAGEs that were refused, by reason.");
	for (unsigned reason = MESSAGE_MIKEY_NONE + 1; reason < MESSAGE_N_REASONS; reason++)
		evbuffer_add_printf(out,
			"mcxrelay_messages_refused_total{reason=\"%s\"} %" PRIu64 "\n",
			message_reason_name(reason), messages->refused[reason]);
	write_message_durations(out, messages);
	gauge(out, "mcxrelay_message_queue",
		"Messages and key sets that wait for a thread that computes.",
		pool_waiting(source->pool));
	gauge(out, "mcxrelay_message_queue_limit", "mikey.queue of the configuration.",
		source->pool_limit);
}

// --- control

static void write_outcomes(struct evbuffer *out, const struct request_stats *requests)
{
	family(out, "mcxrelay_control_requests", "counter", "",
		"Control requests, by method and outcome. An empty method: none that is known.");
	for (unsigned i = 0; i <= requests->n_methods; i++) {
		const struct method_stats *method = &requests->by_method[i];
		for (unsigned o = 0; o < REQUEST_N_OUTCOMES; o++)
			// Successes from the start, failures once there are any
			if (method->outcomes[o] > 0 || (o == 0 && method->name))
				evbuffer_add_printf(out,
					"mcxrelay_control_requests_total{method=\"%s\",outcome="
					"\"%s\"} %" PRIu64 "\n",
					method->name ? method->name : "",
					request_stats_outcome_name(o), method->outcomes[o]);
	}
}

static void write_durations(struct evbuffer *out, const struct request_stats *requests)
{
	static const char name[] = "mcxrelay_control_request_duration_seconds";
	family(out, name, "histogram", "seconds", "How long control requests took, by method.");
	for (unsigned i = 0; i < requests->n_methods; i++) {
		const struct method_stats *method = &requests->by_method[i];
		uint64_t n = 0;
		for (unsigned b = 0; b < REQUEST_N_BUCKETS - 1; b++) {
			n += method->buckets[b];
			evbuffer_add_printf(out,
				"%s_bucket{method=\"%s\",le=\"%.9g\"} %" PRIu64 "\n", name,
				method->name, (double)request_stats_bucket_ns[b] / 1e9, n);
		}
		n += method->buckets[REQUEST_N_BUCKETS - 1];
		evbuffer_add_printf(out, "%s_bucket{method=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name,
			method->name, n);
		evbuffer_add_printf(
			out, "%s_count{method=\"%s\"} %" PRIu64 "\n", name, method->name, n);
		evbuffer_add_printf(out, "%s_sum{method=\"%s\"} %.9f\n", name, method->name,
			(double)method->total_ns / 1e9);
	}
}

// The counters of each listener that there is.
struct listener_sample {
	const char *name;
	struct server_counters counters;
};

static unsigned listener_samples(
	const struct metrics_source *source, struct listener_sample samples[2])
{
	unsigned n = 0;
	if (source->unix_server)
		samples[n++] = (struct listener_sample){"unix", server_count(source->unix_server)};
	if (source->tls_server)
		samples[n++] = (struct listener_sample){"tls", server_count(source->tls_server)};
	return n;
}

static void write_listeners(struct evbuffer *out, const struct metrics_source *source)
{
#define COUNTED(member, name, type, suffix, help)                                                  \
	{{"mcxrelay_control_" name, "", help, offsetof(struct server_counters, member)}, type,     \
		suffix}
	static const struct {
		struct counter counter;
		const char *type, *suffix;
	} families[] = {
		COUNTED(clients, "connections", "gauge", "", "Control clients connected."),
		COUNTED(limit, "connections_limit", "gauge", "",
			"Control clients that may be connected at once."),
		COUNTED(accepted, "connections_accepted", "counter", "_total",
			"Control clients that were ever connected."),
		COUNTED(refused, "connections_refused", "counter", "_total",
			"Control clients refused because there were too many."),
		COUNTED(handshakes, "handshakes", "gauge", "",
			"TLS handshakes that are under way."),
	};
#undef COUNTED
	struct listener_sample samples[2];
	unsigned n = listener_samples(source, samples);

	for (size_t f = 0; f < sizeof(families) / sizeof(families[0]); f++) {
		const struct counter *counter = &families[f].counter;
		family(out, counter->name, families[f].type, counter->unit, counter->help);
		for (unsigned i = 0; i < n; i++)
			evbuffer_add_printf(out, "%s%s{listener=\"%s\"} %" PRIu64 "\n",
				counter->name, families[f].suffix, samples[i].name,
				counter_value(counter, &samples[i].counters));
	}
}

static void write_expiry(struct evbuffer *out, const char *name, const char *help, time_t expiry)
{
	family(out, name, "gauge", "seconds", help);
	evbuffer_add_printf(out, "%s %lld\n", name, (long long)expiry);
}

static void write_tls(struct evbuffer *out, const struct metrics_source *source)
{
	static const char name[] = "mcxrelay_control_handshakes_failed";
	if (!source->tls_server)
		return;
	struct server_counters counters = server_count(source->tls_server);
	family(out, name, "counter", "", "TLS handshakes that did not end well, by reason.");
	for (unsigned failure = 0; failure < TLS_N_FAILURES; failure++)
		evbuffer_add_printf(out, "%s_total{listener=\"tls\",reason=\"%s\"} %" PRIu64 "\n",
			name, tls_failure_label((enum tls_failure)failure),
			counters.failed[failure]);
	write_expiry(out, "mcxrelay_control_certificate_expiry_timestamp_seconds",
		"When the certificate of the TLS listener expires.", tls_expiry(source->tls));
	time_t crl_expiry = tls_crl_expiry(source->tls);
	if (crl_expiry != 0)
		write_expiry(out, "mcxrelay_control_crl_expiry_timestamp_seconds",
			"When the first list of revoked certificates must have been replaced.",
			crl_expiry);
}

static void counter(struct evbuffer *out, const char *name, const char *help, uint64_t value)
{
	family(out, name, "counter", "", help);
	evbuffer_add_printf(out, "%s_total %" PRIu64 "\n", name, value);
}

static void write_events(struct evbuffer *out, const struct subscriptions *events)
{
	gauge(out, "mcxrelay_event_subscribers", "Control clients that hear of events.",
		subscriptions_count(events));
	counter(out, "mcxrelay_events_sent",
		"Events for subscribers, one for each who hears of it.", events->n_told);
	counter(out, "mcxrelay_events_lost",
		"Events that a subscriber was too slow for, or that were too many.",
		events->n_lost);
}

// --- the process

static void write_process(struct evbuffer *out, const struct metrics_source *source)
{
	static const char name[] = "process_start_time_seconds";
	family(out, name, "gauge", "seconds", "When the relay started.");
	evbuffer_add_printf(out, "%s %lld\n", name, (long long)source->started);
	family(out, "mcxrelay_build", "info", "", "What runs.");
	char cipher[LABEL_SIZE];
	evbuffer_add_printf(out,
		"mcxrelay_build_info{version=\"%s\",dpdk=\"%s\",cipher=\"%s\"} 1\n",
		MCXRELAY_VERSION, rte_version(), label(relay_cipher_name(source->relay), cipher));
}

int metrics_write(struct evbuffer *out, const struct metrics_source *source)
{
	write_process(out, source);
	write_workers(out, source->relay);
	write_worker_cycles(out, source->relay);
	write_cryptodev(out, source->relay);
	write_drops(out, source->relay);
	write_ports(out, source->relay);
	write_keys(out, source);
	write_sessions(out, source);
	write_messages(out, source);
	write_outcomes(out, source->requests);
	write_durations(out, source->requests);
	write_listeners(out, source);
	write_tls(out, source);
	write_events(out, source->events);
	return evbuffer_add_printf(out, "# EOF\n") > 0 ? 0 : -1;
}
