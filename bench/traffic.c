// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "bench/traffic.h"

#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>

#include "bench/frame.h"

enum {
	CHUNK_FRAMES = 256,
	CHUNK_COPIES = 32768, // a chunk has fewer frames if they have many copies
	STORE_OCTETS = 40 << 20,
	SENDER_REPORT_LEN = 28,
};

struct traffic {
	struct rig *rig;
	struct worker *worker;
	struct rte_ring *rx;
	struct traffic_shape shape;
	struct sender *senders;
	uint32_t n_senders;
	uint64_t random;
	uint8_t *frames; // n_frames of stride octets
	uint16_t *lens;
	uint32_t n_frames, stride, at;
	uint32_t chunk_frames;
};

// --- making frames

static uint16_t rtp_write(struct traffic *t, const struct sender *s, uint8_t *out)
{
	uint16_t octets = t->shape.octets;
	if (t->shape.ragged)
		octets = (uint16_t)(1 + bench_random_below(&t->random, octets));
	frame_rtp_header_write(s->index, s->ssrc, out);
	memset(out + RTP_HEADER_MIN, (int)s->index, octets);
	return (uint16_t)(RTP_HEADER_MIN + octets);
}

// A sender report, and an APP packet with the rest: what floor control looks like.
static uint16_t rtcp_write(struct traffic *t, const struct sender *s, uint8_t *out)
{
	uint16_t octets = t->shape.octets;
	memset(out, (int)s->index, octets);
	out[0] = 0x80;
	out[1] = 200;
	out[2] = 0;
	out[3] = SENDER_REPORT_LEN / 4 - 1;
	srtp_write32(out + 4, s->ssrc);
	uint8_t *app = out + SENDER_REPORT_LEN;
	app[0] = 0x80;
	app[1] = 204;
	app[2] = 0;
	app[3] = (uint8_t)((octets - SENDER_REPORT_LEN) / 4 - 1);
	return octets;
}

static uint16_t packet_protect(
	struct traffic *t, const struct sender *s, uint8_t *packet, uint16_t len)
{
	bool rtcp = t->shape.protocol == SRTP_RTCP;
	struct srtp_op op = {
		.key = s->ctx->key,
		.salt = s->ctx->salt,
		.src = packet,
		.dst = packet,
		.index = s->index,
		.mki = s->ctx->by_mki.mki,
		.len = len,
		.head_len = RTP_HEADER_MIN,
		.suite = s->ctx->by_mki.suite,
		.protocol = t->shape.protocol,
		.mki_len = t->shape.mki_len,
		.append_roc = t->shape.roc,
		.e_flag = rtcp,
	};
	struct srtp_op *ops[] = {&op};
	bench_require(srtp_protect_burst(t->rig->app.relay.cipher, ops, 1) == 1);
	return op.len;
}

static void packet_spoil(struct traffic *t, uint8_t *packet, uint16_t len)
{
	uint8_t *mki = packet + len - (t->shape.roc ? SRTP_ROC_LEN : 0) - t->shape.mki_len;
	switch (t->shape.flaw) {
	case TRAFFIC_FORGED:
		mki[-1] ^= 1;
		break;
	case TRAFFIC_UNKNOWN_KEY:
		mki[3] ^= 0x80;
		break;
	case TRAFFIC_UNKNOWN_USER:
		// Any GUK-ID but the sender's own.
		srtp_write32(mki + 4, srtp_read32(mki + 4) ^
					      (1 + bench_random_below(&t->random, (1U << 28) - 1)));
		break;
	default:
		break;
	}
}

static void frame_make(struct traffic *t, struct sender *s, uint32_t at)
{
	uint8_t *frame = t->frames + (size_t)at * t->stride, *packet = frame + FRAME_HEADERS_LEN;
	uint16_t len =
		t->shape.protocol == SRTP_RTP ? rtp_write(t, s, packet) : rtcp_write(t, s, packet);
	if (s->ctx)
		len = packet_protect(t, s, packet, len);
	packet_spoil(t, packet, len);
	rig_headers_write(t->rig, RIG_RAN, s->place, len, frame);
	t->lens[at] = FRAME_HEADERS_LEN + len;
	if (t->shape.flaw == TRAFFIC_GOOD) // the relay's idea of the sender must not fall behind
		s->index++;
}

static void frames_make(struct traffic *t)
{
	for (uint32_t i = 0; i < t->n_frames; i++)
		frame_make(t, &t->senders[bench_random_below(&t->random, t->n_senders)], i);
	t->at = 0;
}

// --- taking them through

// Puts n frames on the worker's ring, in buffers of the relay's pool.
static void frames_load(struct traffic *t, uint32_t n)
{
	struct rte_mbuf *mbufs[CHUNK_FRAMES];
	bench_require(rte_pktmbuf_alloc_bulk(t->rig->app.relay.pool, mbufs, n) == 0);
	for (uint32_t i = 0; i < n; i++, t->at++) {
		memcpy(rte_pktmbuf_mtod(mbufs[i], void *), t->frames + (size_t)t->at * t->stride,
			t->lens[t->at]);
		mbufs[i]->data_len = t->lens[t->at];
		mbufs[i]->pkt_len = t->lens[t->at];
	}
	bench_require(rte_ring_enqueue_bulk(t->rx, (void **)mbufs, n, NULL) == n);
}

static uint64_t drops_count(const struct worker *worker)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < DROP_N_REASONS; i++)
		n += worker->counters.drops[i];
	return n;
}

static void drops_print(const struct worker *worker)
{
	for (unsigned i = 0; i < DROP_N_REASONS; i++)
		if (worker->counters.drops[i] > 0)
			fprintf(stderr, "mcxbench: %lu packets dropped: %s\n",
				worker->counters.drops[i], drop_label((enum drop_reason)i));
}

static uint64_t frames_process(struct traffic *t, uint32_t n)
{
	struct worker *worker = t->worker;
	uint64_t drops = drops_count(worker), sent = worker->counters.tx_packets;
	uint64_t held = worker->counters.held;
	frames_load(t, n);
	uint64_t start = rte_rdtsc_precise();
	while (!rte_ring_empty(t->rx) ||
		(worker->pipeline && pipeline_in_flight(worker->pipeline) > 0))
		loop_turn(worker);
	uint64_t cycles = rte_rdtsc_precise() - start;
	drops = drops_count(worker) - drops;
	sent = worker->counters.tx_packets - sent;
	held = worker->counters.held - held;
	bool flawed = t->shape.flaw != TRAFFIC_GOOD;
	bool good = sent == (flawed ? 0 : (uint64_t)n * t->shape.copies) &&
		    drops + held == (flawed ? n : 0);
	if (!good) {
		fprintf(stderr,
			"mcxbench: of %u packets %lu copies were sent, %lu dropped, %lu held\n", n,
			sent, drops, held);
		drops_print(worker);
	}
	bench_require(good);
	return cycles;
}

struct chunk traffic_run(struct traffic *t)
{
	if (t->at + t->chunk_frames > t->n_frames)
		frames_make(t);
	return (struct chunk){frames_process(t, t->chunk_frames), t->chunk_frames};
}

// What the control thread would send: a chunk of plain senders needs one each.
static void ssrcs_fill(struct traffic *t)
{
	struct worker *worker = t->worker;
	while (worker->n_ssrcs < SSRC_POOL_SIZE)
		worker->ssrcs[worker->n_ssrcs++] = (uint32_t)bench_random(&t->random);
}

void traffic_warm(struct traffic *t)
{
	enum traffic_flaw flaw = t->shape.flaw;
	t->shape.flaw = TRAFFIC_GOOD;
	t->at = 0;
	for (uint32_t s = 0; s < t->n_senders;) {
		uint32_t n = RTE_MIN(t->n_senders - s, t->chunk_frames);
		for (uint32_t i = 0; i < n; i++)
			frame_make(t, &t->senders[s++], i);
		ssrcs_fill(t);
		frames_process(t, n);
		app_read_mail(&t->rig->app);
		t->at = 0;
	}
	t->at = t->n_frames;
	t->shape.flaw = flaw;
}

struct traffic *traffic_open(struct rig *rig, unsigned worker, const struct traffic_shape *shape,
	struct sender *senders, uint32_t n_senders)
{
	struct traffic *t = bench_alloc(sizeof(*t));
	*t = (struct traffic){
		.rig = rig,
		.worker = rig->app.relay.workers[worker],
		.rx = rig->rx[worker],
		.shape = *shape,
		.senders = senders,
		.n_senders = n_senders,
		.random = worker + 1,
		.chunk_frames = CHUNK_FRAMES,
	};
	while (t->chunk_frames > 1 && t->chunk_frames * shape->copies > CHUNK_COPIES)
		t->chunk_frames /= 2;
	uint32_t octets = shape->octets;
	t->stride = RTE_ALIGN(FRAME_HEADERS_LEN + RTP_HEADER_MIN + octets + SRTP_OVERHEAD_MAX, 64U);
	t->n_frames = STORE_OCTETS / t->stride;
	t->at = t->n_frames;
	t->frames = bench_alloc((size_t)t->n_frames * t->stride);
	t->lens = bench_alloc(t->n_frames * sizeof(*t->lens));
	return t;
}

void traffic_close(struct traffic *t)
{
	free(t->frames);
	free(t->lens);
	free(t);
}
