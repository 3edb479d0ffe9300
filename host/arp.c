// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "host/arp.h"

#include <string.h>

#include <rte_arp.h>
#include <rte_mbuf.h>

#include "host/frame.h"

static void arp_fill(struct rte_arp_hdr *arp, uint16_t opcode)
{
	arp->arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER);
	arp->arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	arp->arp_hlen = RTE_ETHER_ADDR_LEN;
	arp->arp_plen = sizeof(arp->arp_data.arp_sip);
	arp->arp_opcode = rte_cpu_to_be_16(opcode);
}

static struct endpoint arp_endpoint(rte_be32_t ip)
{
	struct endpoint addr = {.family = AF_INET};
	memcpy(addr.addr, &ip, sizeof(ip));
	return addr;
}

bool arp_read(const uint8_t *packet, uint16_t len, struct arp_message *message)
{
	struct rte_arp_hdr arp, expected = {};
	if (len < sizeof(arp))
		return false;
	memcpy(&arp, packet, sizeof(arp));
	if (arp.arp_opcode != RTE_BE16(RTE_ARP_OP_REQUEST) &&
		arp.arp_opcode != RTE_BE16(RTE_ARP_OP_REPLY))
		return false;
	arp_fill(&expected, rte_be_to_cpu_16(arp.arp_opcode));
	if (memcmp(&arp, &expected, offsetof(struct rte_arp_hdr, arp_data)) != 0)
		return false;
	*message = (struct arp_message){
		.sender = arp_endpoint(arp.arp_data.arp_sip),
		.target = arp_endpoint(arp.arp_data.arp_tip),
		.sender_mac = arp.arp_data.arp_sha,
		.request = arp.arp_opcode == RTE_BE16(RTE_ARP_OP_REQUEST),
	};
	return true;
}

// Sends a message of the port; to whom it is of the target, who may not be known.
static void arp_send(struct relay *relay, uint8_t port, const struct rte_ether_addr *to,
	const struct arp_message *message, const struct rte_ether_addr *target_mac)
{
	uint8_t *payload;
	struct rte_mbuf *mbuf = frame_new(
		relay, port, to, RTE_ETHER_TYPE_ARP, sizeof(struct rte_arp_hdr), &payload);
	if (!mbuf)
		return;
	struct rte_arp_hdr arp = {};
	arp_fill(&arp, message->request ? RTE_ARP_OP_REQUEST : RTE_ARP_OP_REPLY);
	arp.arp_data.arp_sha = relay->ports[port].mac;
	arp.arp_data.arp_tha = *target_mac;
	memcpy(&arp.arp_data.arp_sip, message->sender.addr, 4);
	memcpy(&arp.arp_data.arp_tip, message->target.addr, 4);
	memcpy(payload, &arp, sizeof(arp));
	frame_send(relay, port, mbuf);
}

void arp_answer(struct relay *relay, uint8_t port, const struct arp_message *request)
{
	const struct arp_message reply = {.sender = request->target, .target = request->sender};
	arp_send(relay, port, &request->sender_mac, &reply, &request->sender_mac);
}

static const struct rte_ether_addr broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
static const struct rte_ether_addr unknown;

void arp_announce(struct relay *relay, uint8_t port, const struct endpoint *addr)
{
	const struct arp_message message = {.sender = *addr, .target = *addr, .request = true};
	arp_send(relay, port, &broadcast, &message, &unknown);
}

void arp_probe(struct relay *relay, uint8_t port, const struct endpoint *addr)
{
	const struct arp_message message = {
		.sender = {.family = AF_INET}, .target = *addr, .request = true};
	arp_send(relay, port, &broadcast, &message, &unknown);
}

void arp_solicit(struct relay *relay, uint8_t port, const struct endpoint *addr,
	const struct rte_ether_addr *to)
{
	const struct endpoint *source = port_source_address(&relay->ports[port], addr);
	if (!source)
		return;
	const struct arp_message message = {.sender = *source, .target = *addr, .request = true};
	arp_send(relay, port, to ? to : &broadcast, &message, &unknown);
}
