// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "bench/gen/sink.h"

#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "bench/gen/stamp.h"
#include "crypto/packet_index.h"
#include "crypto/srtp.h"

// One packet on its way through the checks.
struct arrival {
	uint8_t *packet;
	uint16_t len;
	uint32_t group, receiver; // of the leg
	uint32_t stream;          // GEN_STREAMS_MAX: not known before it is decrypted
	uint32_t ssrc;
	uint64_t now, index;
};

// --- streams

static struct sink_stream *stream_at(const struct sink *sink, uint32_t receiver, uint32_t stream)
{
	return &sink->streams[(size_t)receiver * sink->calls->options->streams + stream];
}

// The place of an SSRC that the relay chose, or the free one for it.
static uint32_t ssrc_slot(const struct sink *sink, uint32_t ssrc)
{
	uint32_t slot = ssrc * UINT32_C(2654435769) & sink->ssrcs_mask;
	while (sink->ssrcs[slot] != 0 && sink->ssrc_values[slot] != ssrc)
		slot = (slot + 1) & sink->ssrcs_mask;
	return slot;
}

static uint32_t stream_of(const struct sink *sink, uint32_t ssrc)
{
	if (sink->calls->ssrcs_preserved)
		return gen_calls_stream_of(sink->calls, ssrc);
	uint32_t known = sink->ssrcs[ssrc_slot(sink, ssrc)];
	return known == 0 ? GEN_STREAMS_MAX : known - 1;
}

// Only of an authentic packet, so there are no more than streams.
static void ssrc_learn(struct sink *sink, const struct arrival *a)
{
	uint32_t slot = ssrc_slot(sink, a->ssrc);
	sink->ssrcs[slot] = a->stream + 1;
	sink->ssrc_values[slot] = a->ssrc;
}

// --- reading

static bool frame_is_ours(const struct sink *sink, const struct rte_mbuf *frame)
{
	const struct rte_ether_hdr *ethernet =
		rte_pktmbuf_mtod(frame, const struct rte_ether_hdr *);
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(ethernet + 1);
	return frame->nb_segs == 1 && frame->data_len >= FRAME_HEADERS_LEN &&
	       ethernet->ether_type == RTE_BE16(RTE_ETHER_TYPE_IPV4) &&
	       ip->version_ihl == RTE_IPV4_VHL_DEF && ip->next_proto_id == IPPROTO_UDP &&
	       ip->dst_addr == sink->calls->options->out.address;
}

static bool arrival_read(const struct sink *sink, const struct rte_mbuf *frame, struct arrival *a)
{
	uint8_t *octets = rte_pktmbuf_mtod(frame, uint8_t *);
	const struct rte_udp_hdr *udp =
		(const struct rte_udp_hdr *)(octets + FRAME_HEADERS_LEN - sizeof(*udp));
	uint16_t udp_len = rte_be_to_cpu_16(udp->dgram_len);
	int place = gen_calls_place_out(sink->calls, rte_be_to_cpu_16(udp->dst_port));
	if (place < 0 || udp_len < sizeof(*udp) + RTP_HEADER_MIN ||
		udp_len - sizeof(*udp) + FRAME_HEADERS_LEN > frame->data_len)
		return false;
	a->packet = octets + FRAME_HEADERS_LEN;
	a->len = (uint16_t)(udp_len - sizeof(*udp));
	a->group = (uint32_t)place / sink->calls->options->receivers;
	a->receiver = (uint32_t)place % sink->calls->options->receivers;
	a->ssrc = rtp_ssrc(a->packet);
	a->stream = stream_of(sink, a->ssrc);
	return a->stream == GEN_STREAMS_MAX ? !sink->calls->ssrcs_preserved
					    : sink->calls->streams[a->stream].group == a->group;
}

// The key that such a packet must be under; NULL: it is in clear.
static const struct gen_ctx *ctx_of(const struct sink *sink, const struct arrival *a)
{
	// All streams of a group are under one key where their SSRC is not known.
	uint32_t stream = a->stream == GEN_STREAMS_MAX ? a->group : a->stream;
	return sink->calls->streams[stream].out;
}

static uint64_t index_of(
	const struct sink *sink, const struct arrival *a, const struct srtp_trailer *trailer)
{
	uint16_t seq = rtp_seq(a->packet);
	if (trailer->has_roc)
		return (uint64_t)trailer->roc << 16 | seq;
	return a->stream == GEN_STREAMS_MAX
		       ? seq
		       : packet_index_estimate(
				 stream_at(sink, a->receiver, a->stream)->list.next, seq);
}

static bool packet_unprotect(struct sink *sink, struct arrival *a, const struct gen_ctx *ctx)
{
	enum srtp_suite suite = sink->calls->options->suite;
	struct srtp_trailer trailer;
	if (!srtp_trailer_read(a->packet, a->len, suite, SRTP_RTP, RTP_HEADER_MIN, ctx->mki_len,
		    ctx->roc, &trailer) ||
		trailer.mki != ctx->mki) {
		sink->counts.unknown++;
		return false;
	}
	a->index = index_of(sink, a, &trailer);
	struct srtp_op op = {
		.key = ctx->key,
		.salt = ctx->salt,
		.src = a->packet,
		.dst = a->packet,
		.index = a->index,
		.len = trailer.body,
		.head_len = RTP_HEADER_MIN,
		.suite = suite,
		.protocol = SRTP_RTP,
		.mki_len = ctx->mki_len,
	};
	struct srtp_op *ops[] = {&op};
	// The tag of AES-GCM is within body, that of AES-CM behind the MKI.
	if (srtp_unprotect_burst(sink->calls->cipher, ops, 1) != 1) {
		sink->counts.auth_failed++;
		return false;
	}
	a->len = op.len;
	return true;
}

// --- counting

// Whether the content is what the source wrote, into the stream that it is in.
static bool stamp_read(struct sink *sink, struct arrival *a, struct stamp *stamp)
{
	if (a->len < RTP_HEADER_MIN + sizeof(*stamp))
		return false;
	memcpy(stamp, a->packet + RTP_HEADER_MIN, sizeof(*stamp));
	if (stamp->magic != STAMP_MAGIC || stamp->stream >= sink->calls->options->streams ||
		sink->calls->streams[stamp->stream].group != a->group)
		return false;
	if (a->stream != GEN_STREAMS_MAX)
		return a->stream == stamp->stream;
	a->stream = stamp->stream;
	ssrc_learn(sink, a);
	return true;
}

static void arrival_count(struct sink *sink, const struct arrival *a, const struct stamp *stamp)
{
	struct sink_stream *s = stream_at(sink, a->receiver, a->stream);
	bool late = stamp->index + 1 < s->list.next;
	if (s->list.next == 0)
		sink->heard++;
	if (replay_commit(&s->list, stamp->index) != REPLAY_NEW) {
		sink->counts.duplicates++;
		return;
	}
	if (stamp->index < s->first)
		return;
	s->received++;
	sink->counts.received++;
	sink->counts.reordered += late;
	histogram_add(&sink->latency,
		(uint64_t)((double)(a->now - stamp->tsc) * 1e9 / (double)sink->tsc_hz));
}

void sink_take(struct sink *sink, struct rte_mbuf *frame)
{
	struct arrival a = {.now = rte_rdtsc()};
	struct stamp stamp;
	if (!frame_is_ours(sink, frame)) {
		sink->counts.stray++;
		return;
	}
	if (!arrival_read(sink, frame, &a)) {
		sink->counts.unknown++;
		return;
	}
	const struct gen_ctx *ctx = ctx_of(sink, &a);
	if (ctx && !packet_unprotect(sink, &a, ctx))
		return;
	if (!stamp_read(sink, &a, &stamp) || (uint16_t)stamp.index != rtp_seq(a.packet)) {
		sink->counts.unknown++;
		return;
	}
	sink->counts.octets += frame->data_len;
	sink->counts.last_tsc = a.now;
	arrival_count(sink, &a, &stamp);
}

void sink_begin(struct sink *sink)
{
	const struct gen_options *options = sink->calls->options;
	for (uint32_t r = 0; r < options->receivers; r++) {
		for (uint32_t i = 0; i < options->streams; i++) {
			struct sink_stream *s = stream_at(sink, r, i);
			s->first = sink->calls->streams[i].index;
			s->received = 0;
		}
	}
	sink->counts = (struct sink_counts){.last_tsc = rte_rdtsc()};
	memset(&sink->latency, 0, sizeof(sink->latency));
}

bool sink_stream_heard(const struct sink *sink, uint32_t stream)
{
	for (uint32_t r = 0; r < sink->calls->options->receivers; r++)
		if (stream_at(sink, r, stream)->list.next == 0)
			return false;
	return true;
}

uint64_t sink_lost_by_seq(const struct sink *sink)
{
	const struct gen_options *options = sink->calls->options;
	uint64_t lost = 0;
	for (size_t i = 0; i < (size_t)options->receivers * options->streams; i++) {
		const struct sink_stream *s = &sink->streams[i];
		if (s->list.next > s->first)
			lost += s->list.next - s->first - s->received;
	}
	return lost;
}

// --- opening

static void *zeroed(size_t n, size_t size)
{
	void *p = calloc(n, size);
	if (!p)
		abort();
	return p;
}

void sink_open(struct sink *sink, struct gen_calls *calls)
{
	const struct gen_options *options = calls->options;
	uint32_t slots = 2;
	while (slots < 2 * options->streams)
		slots *= 2;
	*sink = (struct sink){.calls = calls, .tsc_hz = rte_get_tsc_hz(), .ssrcs_mask = slots - 1};
	sink->streams =
		zeroed((size_t)options->receivers * options->streams, sizeof(*sink->streams));
	sink->ssrcs = zeroed(slots, sizeof(*sink->ssrcs));
	sink->ssrc_values = zeroed(slots, sizeof(*sink->ssrc_values));
}

void sink_close(struct sink *sink)
{
	free(sink->streams);
	free(sink->ssrcs);
	free(sink->ssrc_values);
}
