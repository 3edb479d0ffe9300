// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/ssrc_map.h"

#include <string.h>

#include "dataplane/plain_stream.h"
#include "dataplane/rtcp_translate.h"
#include "dataplane/worker_state.h"

// RTP with its CSRC list (RFC 3550 5.1); octets written, 0 if there is no room.
static uint16_t csrcs_translate(
	rtcp_map_ssrc *map, void *arg, const struct packet *p, uint8_t *out, uint16_t room)
{
	const uint8_t *in = rte_pktmbuf_mtod(p->plaintext, const uint8_t *);
	if (p->plaintext_len > room)
		return 0;
	memcpy(out, in, p->plaintext_len);
	for (unsigned i = 0; i < rtp_csrc_count(in); i++) {
		size_t at = RTP_HEADER_MIN + (size_t)i * RTP_CSRC_LEN;
		srtp_write32(out + at, map(arg, srtp_read32(in + at), true));
	}
	return p->plaintext_len;
}

static uint16_t reports_translate(struct worker *worker, rtcp_map_ssrc *map, void *arg,
	const struct packet *p, uint8_t *out, uint16_t room)
{
	struct rtcp_translation translation = {
		.map = map,
		.arg = arg,
		.name_key = worker->relay->name_key,
	};
	uint16_t len = rtcp_translate(&translation, rte_pktmbuf_mtod(p->plaintext, const uint8_t *),
		p->plaintext_len, out, room);
	for (unsigned i = 0; len > 0 && i < translation.n_left_out; i++)
		worker_count_drop(worker, p->leg, DROP_RTCP_UNTRANSLATED);
	return len;
}

static struct rte_mbuf *packet_translate(struct worker *worker, const struct packet *p,
	rtcp_map_ssrc *map, void *arg, enum drop_reason *reason)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(worker->relay->pool);
	if (!mbuf) {
		*reason = DROP_NO_BUFFER;
		return NULL;
	}
	uint8_t *out = rte_pktmbuf_mtod(mbuf, uint8_t *);
	uint16_t room = rte_pktmbuf_tailroom(mbuf) - SRTP_OVERHEAD_MAX;
	uint16_t len = p->protocol == SRTP_RTP ? csrcs_translate(map, arg, p, out, room)
					       : reports_translate(worker, map, arg, p, out, room);
	if (len > 0 && rte_pktmbuf_append(mbuf, len))
		return mbuf;
	rte_pktmbuf_free(mbuf);
	*reason = p->protocol == SRTP_RTP ? DROP_NO_BUFFER : DROP_RTCP_UNTRANSLATED;
	return NULL;
}

// --- from plain

struct fresh_map {
	struct worker *worker;
	const struct leg *leg;
	enum drop_reason reason; // why a sender has no fresh SSRC
};

static uint32_t fresh_of(void *arg, uint32_t ssrc, bool sender)
{
	struct fresh_map *map = arg;
	struct stream_table *streams = &map->worker->relay->streams;
	uint32_t scope = stream_plain_scope(map->leg->index, SRTP_RTP);
	struct stream *stream = sender ? plain_stream_get(map->worker, map->leg, SRTP_RTP, ssrc)
				       : stream_find(streams, scope, ssrc);
	if (!stream) {
		if (sender)
			map->reason = DROP_STREAM_LIMIT;
		return ssrc; // of a participant on the protected side
	}
	uint32_t fresh = plain_stream_fresh_ssrc(map->worker, stream);
	if (fresh == 0)
		map->reason = DROP_SSRC_POOL;
	return fresh;
}

struct rte_mbuf *ssrc_map_to_fresh(
	struct worker *worker, const struct packet *p, enum drop_reason *reason)
{
	struct fresh_map map = {.worker = worker, .leg = p->leg};
	struct rte_mbuf *mbuf = packet_translate(worker, p, fresh_of, &map, reason);
	if (mbuf && map.reason != DROP_NONE) {
		rte_pktmbuf_free(mbuf);
		*reason = map.reason;
		return NULL;
	}
	return mbuf;
}

// --- to plain

enum { ORIGINALS_MAX = 64, ORIGINAL_LEGS_MAX = 256 };

// Fresh SSRCs of the newest streams of a few legs.
struct original_map {
	unsigned n;
	uint32_t fresh[ORIGINALS_MAX], original[ORIGINALS_MAX];
};

static void original_map_add_leg(
	struct original_map *map, const struct relay *relay, uint32_t leg, unsigned *steps)
{
	// acquire: pairs with the release in stream_create(), which filled the stream before
	uint32_t i = atomic_load_explicit(&relay->legs.streams[leg].newest, memory_order_acquire);
	while (i != 0 && *steps > 0) {
		const struct stream *stream = &relay->streams.streams[i - 1];
		uint32_t fresh = atomic_load_explicit(&stream->out_ssrc, memory_order_relaxed);
		i = stream_sibling(stream);
		(*steps)--;
		if (fresh == 0)
			continue;
		map->fresh[map->n] = fresh;
		map->original[map->n++] = stream->ssrc;
	}
}

static uint32_t original_of(void *arg, uint32_t ssrc, bool sender)
{
	const struct original_map *map = arg;
	(void)sender;
	for (unsigned i = 0; i < map->n; i++)
		if (map->fresh[i] == ssrc)
			return map->original[i];
	return ssrc;
}

struct rte_mbuf *ssrc_map_to_original(struct worker *worker, const struct packet *p,
	const struct fanout_variant *variant, enum drop_reason *reason)
{
	const struct fanout_part *part = &variant->first, *more = variant->more;
	struct original_map map = {.n = 0};
	unsigned steps = ORIGINALS_MAX;
	uint32_t at = 0; // in the part
	for (uint32_t i = 0; i < variant->n_dests && i < ORIGINAL_LEGS_MAX && steps > 0; i++) {
		if (at == part->n) {
			part = more++;
			at = 0;
		}
		original_map_add_leg(&map, worker->relay, part->dests[at++].leg, &steps);
	}
	return packet_translate(worker, p, original_of, &map, reason);
}
