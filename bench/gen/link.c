// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "bench/gen/link.h"

#include <stdio.h>
#include <string.h>

#include <rte_arp.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_ethdev.h>

enum { DESCRIPTORS = 1024, READY_SECONDS = 10, ASK_PER_SECOND = 10 };

static bool complain(const struct gen_side *side, const char *what, int rc)
{
	fprintf(stderr, "mcxgen: device \"%s\" %s: %s\n", side->device, what, strerror(-rc));
	return false;
}

// --- the device

static int device_find(struct link *link)
{
	char name[GEN_DEVICE_MAX];
	const char *device = link->side->device;
	int rc = rte_dev_probe(device);
	if (rc != 0 && rc != -EEXIST)
		return rc;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(device, ","), device);
	return rte_eth_dev_get_port_by_name(name, &link->ethdev);
}

static int device_start(struct link *link)
{
	static const struct rte_eth_conf conf;
	uint16_t n_rx = DESCRIPTORS, n_tx = DESCRIPTORS;
	unsigned socket = (unsigned)SOCKET_ID_ANY;
	int rc = rte_eth_dev_configure(link->ethdev, 1, 1, &conf);
	if (rc == 0)
		rc = rte_eth_dev_adjust_nb_rx_tx_desc(link->ethdev, &n_rx, &n_tx);
	if (rc == 0)
		rc = rte_eth_rx_queue_setup(link->ethdev, 0, n_rx, socket, NULL, link->pool);
	if (rc == 0)
		rc = rte_eth_tx_queue_setup(link->ethdev, 0, n_tx, socket, NULL);
	if (rc == 0)
		rc = rte_eth_dev_start(link->ethdev);
	if (rc == 0)
		rc = rte_eth_macaddr_get(link->ethdev, &link->mac);
	return rc;
}

bool link_open(struct link *link, const struct gen_side *side, struct rte_mempool *pool)
{
	*link = (struct link){.side = side, .pool = pool};
	int rc = device_find(link);
	if (rc != 0)
		return complain(side, "cannot be opened", rc);
	link->open = true;
	rc = device_start(link);
	if (rc != 0)
		return complain(side, "does not start", rc);
	link->relay_mac = side->relay_mac;
	link->relay_known = !rte_is_zero_ether_addr(&side->relay_mac);
	return true;
}

void link_close(struct link *link)
{
	if (!link->open)
		return;
	rte_eth_dev_stop(link->ethdev);
	rte_eth_dev_close(link->ethdev);
	link->open = false;
}

// --- ARP

static void arp_send(struct link *link, uint16_t opcode, const struct rte_ether_addr *to)
{
	struct rte_mbuf *frame = rte_pktmbuf_alloc(link->pool);
	if (!frame)
		return;
	struct rte_ether_hdr *ethernet = (struct rte_ether_hdr *)rte_pktmbuf_append(
		frame, sizeof(*ethernet) + sizeof(struct rte_arp_hdr));
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(ethernet + 1);
	*ethernet = (struct rte_ether_hdr){
		.dst_addr = *to,
		.src_addr = link->mac,
		.ether_type = RTE_BE16(RTE_ETHER_TYPE_ARP),
	};
	*arp = (struct rte_arp_hdr){
		.arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER),
		.arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4),
		.arp_hlen = sizeof(link->mac),
		.arp_plen = sizeof(rte_be32_t),
		.arp_opcode = rte_cpu_to_be_16(opcode),
		.arp_data =
			{
				.arp_sha = link->mac,
				.arp_sip = link->side->address,
				.arp_tip = link->side->relay_address,
			},
	};
	if (opcode == RTE_ARP_OP_REPLY)
		arp->arp_data.arp_tha = *to;
	if (rte_eth_tx_burst(link->ethdev, 0, &frame, 1) == 0)
		rte_pktmbuf_free(frame);
}

static void arp_take(struct link *link, const struct rte_arp_hdr *arp)
{
	if (arp->arp_data.arp_sip != link->side->relay_address)
		return;
	link->relay_mac = arp->arp_data.arp_sha;
	link->relay_known = true;
	if (arp->arp_opcode == RTE_BE16(RTE_ARP_OP_REQUEST) &&
		arp->arp_data.arp_tip == link->side->address)
		arp_send(link, RTE_ARP_OP_REPLY, &link->relay_mac);
}

uint16_t link_receive(struct link *link, struct rte_mbuf *frames[LINK_BURST])
{
	uint16_t n = rte_eth_rx_burst(link->ethdev, 0, frames, LINK_BURST), kept = 0;
	for (uint16_t i = 0; i < n; i++) {
		const struct rte_ether_hdr *ethernet =
			rte_pktmbuf_mtod(frames[i], const struct rte_ether_hdr *);
		if (rte_pktmbuf_data_len(frames[i]) <
				sizeof(*ethernet) + sizeof(struct rte_arp_hdr) ||
			ethernet->ether_type != RTE_BE16(RTE_ETHER_TYPE_ARP)) {
			frames[kept++] = frames[i];
			continue;
		}
		arp_take(link, (const struct rte_arp_hdr *)(ethernet + 1));
		rte_pktmbuf_free(frames[i]);
	}
	return kept;
}

bool link_ready(struct link *link)
{
	static const struct rte_ether_addr everybody = {{255, 255, 255, 255, 255, 255}};
	struct rte_eth_link state = {};
	uint64_t hz = rte_get_tsc_hz(), end = rte_rdtsc() + READY_SECONDS * hz, ask = 0;
	while (rte_rdtsc() < end) {
		if (rte_rdtsc() >= ask) {
			ask = rte_rdtsc() + hz / ASK_PER_SECOND;
			if (rte_eth_link_get_nowait(link->ethdev, &state) == 0 &&
				state.link_status && !link->relay_known)
				arp_send(link, RTE_ARP_OP_REQUEST, &everybody);
		}
		if (state.link_status && link->relay_known)
			return true;
		struct rte_mbuf *frames[LINK_BURST];
		rte_pktmbuf_free_bulk(frames, link_receive(link, frames));
	}
	fprintf(stderr, "mcxgen: device \"%s\": %s\n", link->side->device,
		state.link_status ? "the relay does not answer ARP" : "the link stays down");
	return false;
}
