// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "dataplane/checksum.h"
#include "dataplane/stages.h"
#include "dataplane/worker.h"

enum { COPIES_AT_ONCE = 32 };

// Writes the destination's IP and UDP headers with lengths and checksums. payload_sum is of the
// payload.
static void write_ip_udp(
	const struct fanout_dest *dest, uint8_t *ip, uint16_t payload_len, uint16_t payload_sum)
{
	uint16_t udp_len = (uint16_t)(payload_len + sizeof(struct rte_udp_hdr));
	// Constant lengths: a call for so few octets costs more than what it copies.
	if (dest->header_len == sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr))
		memcpy(ip, dest->header, sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr));
	else
		memcpy(ip, dest->header, sizeof(dest->header));
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + dest->header_len - sizeof(*udp));
	udp->dgram_len = rte_cpu_to_be_16(udp_len);
	if (dest->header_len == sizeof(struct rte_ipv4_hdr) + sizeof(*udp)) {
		struct rte_ipv4_hdr *v4 = (struct rte_ipv4_hdr *)ip;
		v4->total_length = rte_cpu_to_be_16((uint16_t)(udp_len + sizeof(*v4)));
		v4->hdr_checksum = (uint16_t)~checksum_add(dest->l3_sum, v4->total_length);
	} else {
		((struct rte_ipv6_hdr *)ip)->payload_len = udp->dgram_len;
	}
	// The length counts twice: in the pseudo header and in the UDP header.
	uint16_t sum = checksum_add(checksum_add(dest->l4_sum, payload_sum),
		checksum_add(udp->dgram_len, udp->dgram_len));
	sum = (uint16_t)~sum;
	udp->dgram_cksum = sum == 0 ? 0xffff : sum;
}

static void write_ethernet(
	const struct port *port, const struct rte_ether_addr *to, uint8_t *frame, bool ipv4)
{
	uint16_t type = ipv4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6;
	memcpy(frame, to, RTE_ETHER_ADDR_LEN);
	memcpy(frame + 6, &port->mac, RTE_ETHER_ADDR_LEN);
	uint8_t *tail = frame + 12;
	if (port->vlan != 0) {
		tail[0] = RTE_ETHER_TYPE_VLAN >> 8;
		tail[1] = RTE_ETHER_TYPE_VLAN & 0xff;
		tail[2] = (uint8_t)(port->vlan >> 8);
		tail[3] = (uint8_t)port->vlan;
		tail += 4;
	}
	tail[0] = (uint8_t)(type >> 8);
	tail[1] = (uint8_t)type;
}

// Before the copy is sent: if the port refuses it at once it is taken back.
static void copy_count(struct worker *worker, uint32_t leg, uint16_t len)
{
	struct leg_counters *counters = &worker->legs[leg];
	counters->tx_packets++;
	counters->tx_octets += len;
	counters->last_tx_tsc = worker->now;
}

// Puts a destination's headers before the payload in mbuf, sends and counts it. Takes mbuf.
static enum drop_reason dest_send(struct worker *worker, const struct fanout_dest *dest,
	struct rte_mbuf *mbuf, uint16_t payload_len, uint16_t payload_sum)
{
	const struct port *port = &worker->relay->ports[dest->port];
	struct rte_ether_addr mac;
	enum drop_reason reason = DROP_NONE;
	uint16_t l2_len = RTE_ETHER_HDR_LEN + (port->vlan ? RTE_VLAN_HLEN : 0);
	if (!neighbour_mac(&worker->relay->neighbours, dest->neighbour, &mac))
		reason = DROP_NEXT_HOP;
	else if (dest->header_len + payload_len > port->mtu)
		reason = DROP_TOO_BIG;
	uint8_t *frame = NULL;
	if (reason == DROP_NONE) {
		frame = (uint8_t *)rte_pktmbuf_prepend(mbuf, (uint16_t)(l2_len + dest->header_len));
		if (!frame)
			reason = DROP_NO_BUFFER;
	}
	if (reason != DROP_NONE) {
		rte_pktmbuf_free(mbuf);
		return reason;
	}
	write_ethernet(port, &mac, frame, dest->header_len == 28);
	write_ip_udp(dest, frame + l2_len, payload_len, payload_sum);
	// What it was received with does not go out; whose memory it is stays known.
	mbuf->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
	copy_count(worker, dest->leg, payload_len);
	worker_send_copy(worker, dest->port, mbuf, dest->leg);
	return DROP_NONE;
}

// Buffers for copies, taken from the pool many at a time.
struct copies {
	struct rte_mbuf *mbufs[COPIES_AT_ONCE];
	uint32_t n;      // in mbufs
	uint32_t wanted; // to be taken yet, at most one too many
};

static struct rte_mbuf *copies_take(struct worker *worker, struct copies *copies)
{
	if (copies->n == 0) {
		uint32_t n = RTE_MIN(copies->wanted, (uint32_t)COPIES_AT_ONCE);
		// All or none: what is left of a short pool comes one by one.
		if (n <= 1 || rte_pktmbuf_alloc_bulk(worker->relay->pool, copies->mbufs, n) != 0)
			return rte_pktmbuf_alloc(worker->relay->pool);
		copies->n = n;
		copies->wanted -= n;
	}
	return copies->mbufs[--copies->n];
}

static struct rte_mbuf *payload_copy(
	struct worker *worker, struct copies *copies, const uint8_t *data, uint16_t len)
{
	struct rte_mbuf *mbuf = copies_take(worker, copies);
	if (!mbuf)
		return NULL;
	uint8_t *room = (uint8_t *)rte_pktmbuf_append(mbuf, len);
	if (!room) {
		rte_pktmbuf_free(mbuf);
		return NULL;
	}
	memcpy(room, data, len);
	return mbuf;
}

void stage_output(struct worker *worker, const struct leg *leg, const struct fanout *fanout,
	const struct fanout_group *group, struct rte_mbuf *payload, bool with_payload_ownership)
{
	const uint8_t *data = rte_pktmbuf_mtod(payload, const uint8_t *);
	uint16_t len = payload->data_len;
	uint16_t payload_sum = checksum_sum(data, len);
	const struct fanout_dest *dests = &fanout->dests[group->first_dest];
	uint32_t last = group->n_dests - 1;
	if (dests[last].leg == leg->index && last > 0)
		last--; // the group is not the leg alone, or nobody would have come here
	struct copies copies;
	copies.n = 0;
	copies.wanted = group->n_dests - with_payload_ownership;
	for (uint32_t i = 0; i < group->n_dests; i++) {
		const struct fanout_dest *dest = &dests[i];
		if (dest->leg == leg->index)
			continue;
		bool take = with_payload_ownership && i == last;
		struct rte_mbuf *mbuf = take ? payload : payload_copy(worker, &copies, data, len);
		enum drop_reason reason =
			mbuf ? dest_send(worker, dest, mbuf, len, payload_sum) : DROP_NO_BUFFER;
		if (reason != DROP_NONE)
			worker_count_copy_drop(worker, dest->leg, reason);
	}
	rte_pktmbuf_free_bulk(copies.mbufs, copies.n);
}
