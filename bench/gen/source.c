// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "bench/gen/source.h"

#include <string.h>

#include <rte_cycles.h>

#include "bench/bench.h"
#include "bench/gen/stamp.h"
#include "crypto/srtp.h"

void source_init(struct source *source, struct gen_calls *calls, const struct rte_ether_addr *own,
	const struct rte_ether_addr *relay)
{
	const struct gen_options *options = calls->options;
	*source = (struct source){
		.calls = calls,
		.random = ~options->seed,
		.own_mac = *own,
		.relay_mac = *relay,
	};
	for (unsigned i = 0; i < options->n_sizes; i++)
		source->weights += options->sizes[i].weight;
}

uint32_t source_draw(struct source *source)
{
	return bench_random_below(&source->random, source->calls->options->streams);
}

static uint16_t size_draw(struct source *source)
{
	const struct gen_size *size = source->calls->options->sizes;
	uint32_t at = bench_random_below(&source->random, source->weights);
	for (; at >= size->weight; size++)
		at -= size->weight;
	return size->octets;
}

static uint16_t packet_protect(
	const struct gen_calls *calls, const struct gen_stream *s, uint8_t *packet, uint16_t len)
{
	struct srtp_op op = {
		.key = s->in->key,
		.salt = s->in->salt,
		.src = packet,
		.dst = packet,
		.index = s->index,
		.mki = s->in->mki,
		.len = len,
		.head_len = RTP_HEADER_MIN,
		.suite = calls->options->suite,
		.protocol = SRTP_RTP,
		.mki_len = s->in->mki_len,
		.append_roc = s->in->roc,
	};
	struct srtp_op *ops[] = {&op};
	return srtp_protect_burst(calls->cipher, ops, 1) == 1 ? op.len : 0;
}

uint16_t source_frame(struct source *source, uint32_t stream, uint8_t frame[SOURCE_FRAME_MAX])
{
	struct gen_stream *s = &source->calls->streams[stream];
	uint8_t *packet = frame + FRAME_HEADERS_LEN;
	uint16_t octets = size_draw(source), len = (uint16_t)(RTP_HEADER_MIN + octets);
	frame_rtp_header_write(s->index, s->ssrc, packet);
	memset(packet + RTP_HEADER_MIN, (int)s->index, octets);
	stamp_write(packet + RTP_HEADER_MIN, stream, s->index, rte_rdtsc());
	if (s->in)
		len = packet_protect(source->calls, s, packet, len);
	s->index++;
	struct frame_path path =
		gen_calls_path_in(source->calls, s->group, &source->own_mac, &source->relay_mac);
	frame_headers_write(&path, len, frame);
	return len == 0 ? 0 : (uint16_t)(FRAME_HEADERS_LEN + len);
}

double source_mean_octets(const struct source *source)
{
	const struct gen_options *options = source->calls->options;
	const struct gen_ctx *ctx = source->calls->streams[0].in;
	double sum = 0;
	for (unsigned i = 0; i < options->n_sizes; i++)
		sum += (double)options->sizes[i].octets * options->sizes[i].weight;
	double octets = FRAME_HEADERS_LEN + RTP_HEADER_MIN + sum / source->weights;
	if (ctx)
		octets += srtp_overhead_min(options->suite, SRTP_RTP) + ctx->mki_len +
			  (ctx->roc ? SRTP_ROC_LEN : 0);
	return octets;
}
