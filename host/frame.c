// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "host/frame.h"

#include <string.h>

#include <rte_ip.h>
#include <rte_mbuf.h>

#include "dataplane/worker.h"

struct rte_mbuf *frame_new(struct relay *relay, uint8_t port, const struct rte_ether_addr *to,
	uint16_t ether_type, uint16_t size, uint8_t **payload)
{
	const struct port *p = &relay->ports[port];
	uint16_t l2_len = p->l2_len;
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(relay->pool);
	if (!mbuf)
		return NULL;
	uint8_t *frame = (uint8_t *)rte_pktmbuf_append(mbuf, (uint16_t)(l2_len + size));
	if (!frame) {
		rte_pktmbuf_free(mbuf);
		return NULL;
	}
	memset(frame, 0, l2_len + size);
	memcpy(frame, to, RTE_ETHER_ADDR_LEN);
	memcpy(frame + 6, &p->mac, RTE_ETHER_ADDR_LEN);
	rte_be16_t tag[2] = {RTE_BE16(RTE_ETHER_TYPE_VLAN), rte_cpu_to_be_16(p->vlan)};
	rte_be16_t type = rte_cpu_to_be_16(ether_type);
	if (p->vlan)
		memcpy(frame + 12, tag, sizeof(tag));
	memcpy(frame + l2_len - 2, &type, sizeof(type));
	*payload = frame + l2_len;
	return mbuf;
}

bool frame_icmp6_checksum_ok(const struct rte_ipv6_hdr *ip, const uint8_t *message)
{
	uint32_t sum = rte_ipv6_phdr_cksum(ip, 0);
	sum += rte_raw_cksum(message, rte_be_to_cpu_16(ip->payload_len));
	return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

void frame_send(struct relay *relay, uint8_t port, struct rte_mbuf *mbuf)
{
	struct worker_mail mail = {.type = MAIL_SEND, .value = port, .mbuf = mbuf};
	if (!worker_mail_put(&relay->workers[0]->mailbox, &mail))
		rte_pktmbuf_free(mbuf);
}
