// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "dataplane/checksum.h"
#include "dataplane/hop_hold.h"
#include "dataplane/stages.h"
#include "dataplane/transmit.h"
#include "dataplane/worker_state.h"

enum {
	COPIES_AT_ONCE = 16, // with more the first would have left the cache when they are sent
	IPV4_UDP_LEN = sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr),
	IPV6_UDP_LEN = sizeof(struct rte_ipv6_hdr) + sizeof(struct rte_udp_hdr),
};

// What all copies have in common.
struct payload {
	const uint8_t *data;
	uint16_t len; // octets
	rte_be16_t udp_len, ipv4_len;
	uint16_t sum; // of the octets, and of udp_len for UDP header and pseudo header
};

static inline struct payload payload_of(const struct rte_mbuf *mbuf)
{
	const uint8_t *data = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	uint16_t len = mbuf->data_len;
	rte_be16_t udp_len = htons((uint16_t)(len + sizeof(struct rte_udp_hdr)));
	return (struct payload){
		.data = data,
		.len = len,
		.udp_len = udp_len,
		.ipv4_len = htons((uint16_t)(len + IPV4_UDP_LEN)),
		.sum = checksum_add(checksum_sum(data, len), checksum_add(udp_len, udp_len)),
	};
}

static inline bool dest_is_ipv4(const struct fanout_dest *dest)
{
	return dest->header_len == IPV4_UDP_LEN;
}

// The lengths of what is copied are constant: a call for so few octets costs more than the copy.
static inline void ethernet_write(
	const struct port *port, uint64_t next_hop, bool ipv4, uint8_t *frame)
{
	const struct port_l2 *l2 = port_l2(port);
	const struct port_l2_source *source = ipv4 ? &l2->ipv4 : &l2->ipv6;
	memcpy(frame, &next_hop, RTE_ETHER_ADDR_LEN);
	if (port->l2_len == RTE_ETHER_HDR_LEN)
		memcpy(frame + RTE_ETHER_ADDR_LEN, source, RTE_ETHER_HDR_LEN - RTE_ETHER_ADDR_LEN);
	else
		memcpy(frame + RTE_ETHER_ADDR_LEN, source, PORT_L2_SOURCE_LEN);
}

// The destination's IP and UDP headers, and in them the lengths and checksums.
static inline void ip_udp_write(
	const struct fanout_dest *dest, const struct payload *payload, uint8_t *ip)
{
	struct rte_udp_hdr *udp;
	if (dest_is_ipv4(dest)) {
		struct rte_ipv4_hdr *v4 = (struct rte_ipv4_hdr *)ip;
		memcpy(ip, dest->header, IPV4_UDP_LEN);
		v4->total_length = payload->ipv4_len;
		v4->hdr_checksum = (uint16_t)~checksum_add(dest->l3_sum, payload->ipv4_len);
		udp = (struct rte_udp_hdr *)(v4 + 1);
	} else {
		struct rte_ipv6_hdr *v6 = (struct rte_ipv6_hdr *)ip;
		memcpy(ip, dest->header, IPV6_UDP_LEN);
		v6->payload_len = payload->udp_len;
		udp = (struct rte_udp_hdr *)(v6 + 1);
	}
	uint16_t checksum = (uint16_t)~checksum_add(dest->l4_sum, payload->sum);
	udp->dgram_len = payload->udp_len;
	udp->dgram_cksum = checksum == 0 ? 0xffff : checksum;
}

// A copy in preparation: its destination, port and neighbour.
struct output {
	const struct fanout_dest *dest;
	const struct port *port;
	uint64_t next_hop;    // neighbour_word()
	uint16_t headers_len; // octets
};

// Fills output for a destination; returns why nothing can be sent there now.
static inline enum drop_reason output_begin(const struct relay *relay,
	const struct fanout_dest *dest, const struct payload *payload, struct output *output)
{
	output->dest = dest;
	output->port = &relay->ports[dest->port];
	output->next_hop = neighbour_word(&relay->neighbours, dest->neighbour);
	output->headers_len = output->port->l2_len + dest->header_len;
	if (!(output->next_hop & (NEIGHBOUR_RESOLVED | NEIGHBOUR_PENDING)))
		return dest->header_len == 0 ? DROP_NO_REMOTE : DROP_NEXT_HOP;
	if (payload->len > dest->payload_max)
		return DROP_TOO_BIG;
	return DROP_NONE;
}

// Sends and counts a frame that lacks its headers, or has it wait for its next hop. Takes mbuf.
static inline enum drop_reason output_end(struct worker *worker, const struct output *output,
	const struct payload *payload, struct rte_mbuf *mbuf, uint8_t *frame)
{
	const struct fanout_dest *dest = output->dest;
	ethernet_write(output->port, output->next_hop, dest_is_ipv4(dest), frame);
	ip_udp_write(dest, payload, frame + output->port->l2_len);
	if (hop_hold_needed(worker, output->next_hop))
		return hop_hold_copy(worker, dest, output->next_hop, mbuf);
	transmit_count(worker, dest->leg, payload->len);
	transmit_copy(worker, dest->port, mbuf, dest->leg);
	return DROP_NONE;
}

// The payload in the buffer where it is. Takes mbuf.
static inline enum drop_reason own_send(struct worker *worker, const struct fanout_dest *dest,
	const struct payload *payload, struct rte_mbuf *mbuf)
{
	struct output output;
	enum drop_reason reason = output_begin(worker->relay, dest, payload, &output);
	uint8_t *frame = NULL;
	if (reason == DROP_NONE) {
		frame = (uint8_t *)rte_pktmbuf_prepend(mbuf, output.headers_len);
		if (!frame)
			reason = DROP_NO_BUFFER;
	}
	if (reason != DROP_NONE) {
		rte_pktmbuf_free(mbuf);
		return reason;
	}
	// Receive metadata is not sent; the buffer's pool is kept.
	mbuf->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
	return output_end(worker, &output, payload, mbuf, frame);
}

// Buffers for copies, taken from the pool many at a time.
struct copies {
	struct rte_mbuf *mbufs[COPIES_AT_ONCE];
	uint32_t n;      // in mbufs
	uint32_t wanted; // to be taken yet, at most one too many
};

static inline struct rte_mbuf *copies_take(struct worker *worker, struct copies *copies)
{
	if (copies->n == 0) {
		uint32_t n = RTE_MIN(copies->wanted, (uint32_t)COPIES_AT_ONCE);
		// All or none: the rest of a short pool is taken one by one.
		if (n <= 1 || rte_pktmbuf_alloc_bulk(worker->relay->pool, copies->mbufs, n) != 0)
			return rte_pktmbuf_alloc(worker->relay->pool);
		copies->n = n;
		copies->wanted -= n;
	}
	return copies->mbufs[--copies->n];
}

// The payload in another buffer.
static inline enum drop_reason copy_send(struct worker *worker, const struct fanout_dest *dest,
	const struct payload *payload, struct copies *copies)
{
	struct output output;
	enum drop_reason reason = output_begin(worker->relay, dest, payload, &output);
	if (reason != DROP_NONE)
		return reason;
	struct rte_mbuf *mbuf = copies_take(worker, copies);
	if (!mbuf)
		return DROP_NO_BUFFER;
	uint8_t *frame =
		(uint8_t *)rte_pktmbuf_append(mbuf, (uint16_t)(output.headers_len + payload->len));
	if (!frame) {
		rte_pktmbuf_free(mbuf);
		return DROP_NO_BUFFER;
	}
	memcpy(frame + output.headers_len, payload->data, payload->len);
	return output_end(worker, &output, payload, mbuf, frame);
}

static inline void output_count_drop(
	struct worker *worker, const struct fanout_dest *dest, enum drop_reason reason)
{
	if (unlikely(reason != DROP_NONE))
		worker_count_copy_drop(worker, dest->leg, reason);
}

// The last receiver of a variant that is not self. There is one, or this would not have been
// called.
static inline const struct fanout_dest *last_dest(
	const struct fanout_variant *variant, uint32_t self)
{
	uint32_t i = variant->n_more;
	const struct fanout_part *part = i > 0 ? &variant->more[i - 1] : &variant->first;
	const struct fanout_dest *last = &part->dests[part->n - 1];
	if (last->leg != self)
		return last;
	if (part->n > 1)
		return last - 1;
	part = i > 1 ? &variant->more[i - 2] : &variant->first;
	return &part->dests[part->n - 1];
}

// Copies of payload to all but self; the last of them is own, if there is one.
static __rte_noinline void copies_send(struct worker *worker, const struct fanout_variant *variant,
	uint32_t self, const struct payload *payload, struct rte_mbuf *own)
{
	const struct fanout_dest *last = own ? last_dest(variant, self) : NULL;
	const struct fanout_part *more = variant->more;
	struct fanout_part part = variant->first;
	struct copies copies;
	copies.n = 0;
	copies.wanted = variant->n_dests - (own != NULL);
	for (uint32_t left = variant->n_more;; left--, part = *more++) {
		const struct fanout_dest *end = part.dests + part.n;
		for (const struct fanout_dest *dest = part.dests; dest < end; dest++) {
			if (dest->leg == self)
				continue;
			output_count_drop(worker, dest,
				dest == last ? own_send(worker, dest, payload, own)
					     : copy_send(worker, dest, payload, &copies));
		}
		if (left == 0)
			break;
	}
	rte_pktmbuf_free_bulk(copies.mbufs, copies.n);
}

static inline void job_send(struct worker *worker, const struct output_job *job)
{
	const struct fanout_variant *variant = job->variant;
	struct payload payload = payload_of(job->mbuf);
	if (job->shared) {
		copies_send(worker, variant, job->leg->index, &payload, NULL);
		rte_pktmbuf_free(job->mbuf);
	} else if (variant->n_dests == 1) { // and it is not the leg
		const struct fanout_dest *dest = variant->first.dests;
		output_count_drop(worker, dest, own_send(worker, dest, &payload, job->mbuf));
	} else {
		copies_send(worker, variant, job->leg->index, &payload, job->mbuf);
	}
}

void stage_output(struct worker *worker, const struct output_job *job)
{
	if (job->ctx != KEY_NONE && job->op.status != SRTP_OK) {
		worker_count_drop(worker, job->leg,
			job->op.status == SRTP_INDEX_LIMIT ? DROP_INDEX_LIMIT : DROP_CIPHER_FAIL);
		rte_pktmbuf_free(job->mbuf);
		return;
	}
	if (job->ctx != KEY_NONE)
		mbuf_cut(job->mbuf, job->op.len);
	job_send(worker, job);
}
