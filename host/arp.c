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

void arp_answer(struct relay *relay, uint8_t port, const struct arp_message *request)
{
	uint8_t *payload;
	struct rte_mbuf *mbuf = frame_new(relay, port, &request->sender_mac, RTE_ETHER_TYPE_ARP,
		sizeof(struct rte_arp_hdr), &payload);
	if (!mbuf)
		return;
	struct rte_arp_hdr reply = {};
	arp_fill(&reply, RTE_ARP_OP_REPLY);
	reply.arp_data.arp_sha = relay->ports[port].mac;
	reply.arp_data.arp_tha = request->sender_mac;
	memcpy(&reply.arp_data.arp_sip, request->target.addr, 4);
	memcpy(&reply.arp_data.arp_tip, request->sender.addr, 4);
	memcpy(payload, &reply, sizeof(reply));
	frame_send(relay, port, mbuf);
}

void arp_solicit(struct relay *relay, uint8_t port, const struct endpoint *addr,
	const struct rte_ether_addr *to)
{
	static const struct rte_ether_addr broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
	const struct endpoint *source = port_source_address(&relay->ports[port], addr);
	if (!source)
		return;
	uint8_t *payload;
	struct rte_mbuf *mbuf = frame_new(relay, port, to ? to : &broadcast, RTE_ETHER_TYPE_ARP,
		sizeof(struct rte_arp_hdr), &payload);
	if (!mbuf)
		return;
	struct rte_arp_hdr request = {};
	arp_fill(&request, RTE_ARP_OP_REQUEST);
	request.arp_data.arp_sha = relay->ports[port].mac;
	memcpy(&request.arp_data.arp_sip, source->addr, 4);
	memcpy(&request.arp_data.arp_tip, addr->addr, 4);
	memcpy(payload, &request, sizeof(request));
	frame_send(relay, port, mbuf);
}
