// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "bench/gen/run.h"

#include <signal.h>
#include <stdio.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

enum {
	WARM_UP_BURST = 16,     // streams asked for at once: each may cost the relay a derivation
	WARM_UP_PAUSE_MS = 20,  // between them
	SILENCE_MS = 300,       // after which nothing is under way any more
	ETHERNET_OVERHEAD = 24, // octets of a frame that nobody sees: preamble, check sum, gap
};

// --- sending

static void waiting_send(struct run *run)
{
	uint16_t n = rte_eth_tx_burst(run->in->ethdev, 0, run->waiting, run->n_waiting);
	run->refused += n < run->n_waiting;
	run->sent += n;
	run->n_waiting -= n;
	for (uint16_t i = 0; i < run->n_waiting; i++)
		run->waiting[i] = run->waiting[n + i];
}

// False if there is no buffer: they are all under way.
static bool packet_make(struct run *run, uint32_t stream)
{
	struct rte_mbuf *frame = rte_pktmbuf_alloc(run->in->pool);
	if (!frame)
		return false;
	uint16_t len = source_frame(&run->source, stream, rte_pktmbuf_mtod(frame, uint8_t *));
	if (len == 0) {
		rte_pktmbuf_free(frame);
		return false;
	}
	frame->data_len = len;
	frame->pkt_len = len;
	run->waiting[run->n_waiting++] = frame;
	return true;
}

// --- receiving

static void link_drain(struct run *run, struct link *link)
{
	struct rte_mbuf *frames[LINK_BURST];
	uint16_t n = link_receive(link, frames);
	for (uint16_t i = 0; i < n; i++)
		if (link == run->out)
			sink_take(&run->sink, frames[i]);
	rte_pktmbuf_free_bulk(frames, n);
}

static void receive(struct run *run)
{
	link_drain(run, run->out);
	if (run->in != run->out)
		link_drain(run, run->in);
}

static void receive_for(struct run *run, uint64_t ms)
{
	uint64_t end = rte_rdtsc() + ms * rte_get_tsc_hz() / 1000;
	while (rte_rdtsc() < end)
		receive(run);
}

static uint64_t expected(const struct run *run)
{
	return run->sent * run->calls->options->receivers;
}

// Takes what is still under way.
static void receive_rest(struct run *run)
{
	uint64_t silence = SILENCE_MS * rte_get_tsc_hz() / 1000, start = rte_rdtsc();
	while (run->sink.counts.received < expected(run) &&
		rte_rdtsc() < RTE_MAX(run->sink.counts.last_tsc, start) + silence)
		receive(run);
}

// --- phases

static uint32_t streams_ask(struct run *run, uint32_t *next)
{
	uint32_t n_streams = run->calls->options->streams, unheard = 0;
	for (uint32_t looked = 0; looked < n_streams && unheard < WARM_UP_BURST; looked++) {
		uint32_t stream = *next;
		*next = (stream + 1) % n_streams;
		if (sink_stream_heard(&run->sink, stream))
			continue;
		unheard++;
		if (!packet_make(run, stream))
			break;
	}
	return unheard;
}

bool run_warm_up(struct run *run)
{
	uint64_t pairs = (uint64_t)run->calls->options->streams * run->calls->options->receivers;
	uint64_t end =
		rte_rdtsc() + (uint64_t)(run->calls->options->warm_up * (double)rte_get_tsc_hz());
	uint32_t next = 0;
	receive_for(run, WARM_UP_PAUSE_MS); // the relay asks for our MACs
	while (streams_ask(run, &next) > 0) {
		waiting_send(run);
		receive_for(run, WARM_UP_PAUSE_MS);
		while (run->n_waiting > 0 && rte_rdtsc() < end)
			waiting_send(run);
		if (run->sink.heard < pairs && rte_rdtsc() >= end) {
			fprintf(stderr,
				"mcxgen: %u of %lu streams were heard before measuring began; "
				"authentication failed %lu times, %lu frames were unknown\n",
				run->sink.heard, pairs, run->sink.counts.auth_failed,
				run->sink.counts.unknown);
			return false;
		}
	}
	receive_for(run, SILENCE_MS);
	return true;
}

static double rate_wanted(const struct run *run)
{
	const struct gen_options *options = run->calls->options;
	struct rte_eth_link link = {};
	if (options->share == 0)
		return options->rate;
	if (rte_eth_link_get_nowait(run->in->ethdev, &link) != 0 ||
		link.link_speed == RTE_ETH_SPEED_NUM_NONE ||
		link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN) {
		fputs("mcxgen: the port does not say how fast it is; 10 Gbit/s are assumed\n",
			stderr);
		link.link_speed = RTE_ETH_SPEED_NUM_10G;
	}
	double octets = source_mean_octets(&run->source) + ETHERNET_OVERHEAD;
	return options->share * link.link_speed * 1e6 / (octets * 8);
}

// How many packets are due by now, of which made were made.
static uint16_t due(const struct run *run, uint64_t elapsed, uint64_t made)
{
	uint16_t room = LINK_BURST - run->n_waiting;
	if (run->wanted_pps == 0)
		return room;
	double n = (double)elapsed / (double)rte_get_tsc_hz() * run->wanted_pps - (double)made;
	return n <= 0 ? 0 : n < room ? (uint16_t)n : room;
}

// Set by SIGINT: measuring ends before its time.
static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

void run_measure(struct run *run)
{
	uint64_t hz = rte_get_tsc_hz(), elapsed, made = 0;
	uint64_t length = (uint64_t)(run->calls->options->seconds * (double)hz);
	run->wanted_pps = rate_wanted(run);
	run->warmed_up = run->sent;
	run->sent = run->refused = 0;
	sink_begin(&run->sink);
	signal(SIGINT, on_interrupt);
	uint64_t start = rte_rdtsc();
	while ((elapsed = rte_rdtsc() - start) < length && !interrupted) {
		receive(run);
		for (uint16_t n = due(run, elapsed, made); n > 0; n--)
			made += packet_make(run, source_draw(&run->source));
		if (run->n_waiting > 0)
			waiting_send(run);
	}
	run->seconds = (double)(rte_rdtsc() - start) / (double)hz;
	signal(SIGINT, SIG_DFL);
	for (uint64_t end = rte_rdtsc() + hz; run->n_waiting > 0 && rte_rdtsc() < end;) {
		waiting_send(run);
		receive(run);
	}
	receive_rest(run);
}

void run_open(struct run *run, struct gen_calls *calls, struct link *in, struct link *out)
{
	*run = (struct run){.calls = calls, .in = in, .out = out};
	source_init(&run->source, calls, &in->mac, &in->relay_mac);
	sink_open(&run->sink, calls);
}

void run_close(struct run *run)
{
	rte_pktmbuf_free_bulk(run->waiting, run->n_waiting);
	sink_close(&run->sink);
}
