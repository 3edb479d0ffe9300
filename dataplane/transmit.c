// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/transmit.h"

#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "dataplane/worker_state.h"

enum { TX_TRIES = 4 };

uint16_t transmit_payload_len(const struct port *port, const struct rte_mbuf *mbuf)
{
	size_t headers = port->l2_len;
	bool ipv4 = *rte_pktmbuf_mtod_offset(mbuf, const uint8_t *, port->l2_len) >> 4 == 4;
	headers += (ipv4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr)) +
		   sizeof(struct rte_udp_hdr);
	return (uint16_t)(mbuf->pkt_len - headers);
}

// A copy that was counted as sent to its leg and was not.
static void tx_refuse(struct worker *worker, const struct port *port, const struct rte_mbuf *mbuf,
	enum drop_reason reason)
{
	counter_add(&worker->counters.drops[reason], 1);
	if (mbuf->hash.usr == LEG_NONE)
		return;
	struct leg_counters *counters = &worker->legs[mbuf->hash.usr];
	counter_add(&counters->tx_drops[reason - DROP_COPY_FIRST], 1);
	counter_set(&counters->tx_packets, counters->tx_packets - 1);
	counter_set(&counters->tx_octets, counters->tx_octets - transmit_payload_len(port, mbuf));
}

void transmit_flush(struct worker *worker, uint8_t port)
{
	struct tx_queue *queue = &worker->tx[port];
	uint64_t octets = 0;
	for (uint16_t i = 0; i < queue->n; i++)
		octets += queue->packets[i]->pkt_len;
	const struct port *p = &worker->relay->ports[port];
	// In its ring the kernel keeps what it cannot send, and sends it when the interface is up again: seconds late,
	// and counted as sent.
	bool sends = !atomic_load_explicit(&p->down, memory_order_relaxed);
	uint16_t sent = 0;
	// A full ring empties at line rate: a few tries are worth it, waiting is not.
	for (unsigned tries = 0; sends && tries < TX_TRIES && sent < queue->n; tries++)
		sent += rte_eth_tx_burst(
			p->ethdev, worker->id, queue->packets + sent, queue->n - sent);
	for (uint16_t i = sent; i < queue->n; i++) {
		octets -= queue->packets[i]->pkt_len;
		tx_refuse(worker, p, queue->packets[i], sends ? DROP_TX_FULL : DROP_PORT_DOWN);
	}
	counter_add(&worker->counters.tx_packets, sent);
	counter_add(&worker->counters.tx_octets, octets);
	rte_pktmbuf_free_bulk(queue->packets + sent, queue->n - sent);
	queue->n = 0;
}

void transmit_frame(struct worker *worker, uint8_t port, struct rte_mbuf *mbuf)
{
	transmit_copy(worker, port, mbuf, LEG_NONE);
}

void transmit_copy(struct worker *worker, uint8_t port, struct rte_mbuf *mbuf, uint32_t leg)
{
	struct tx_queue *queue = &worker->tx[port];
	mbuf->hash.usr = leg;
	queue->packets[queue->n++] = mbuf;
	if (queue->n == WORKER_TX_BURST)
		transmit_flush(worker, port);
}
